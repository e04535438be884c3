# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a 64-byte send over loopback costs: bare, with programs that do nothing on the same hooks, and with
the watch; in turn, on one CPU, medians of several rounds. Then the kernel's own figures for each program.

    bench.py --build DIR [--turns N]
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time

SENDS = 150000
STATS = "/proc/sys/kernel/bpf_stats_enabled"


def cgroup_root():
    with open("/proc/self/mounts", encoding="ascii") as file:
        for line in file:
            fields = line.split()
            if fields[2] == "cgroup2":
                return fields[1]
    sys.exit("bench: no cgroup v2 hierarchy is mounted")


def measure(build):
    """Median nanoseconds a send, sender and receiver on one CPU: nothing then depends on where the two run."""
    done = subprocess.run(["taskset", "-c", "0", f"{build}/tests/bench/sendcost", "5", str(SENDS)],
                          stdout=subprocess.PIPE, check=True, text=True)
    return statistics.median(map(float, done.stdout.split()))


class Running:
    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.process.stdout.readline()  # it says when it is attached
        time.sleep(0.2)

    def end(self):
        self.process.terminate()
        self.process.communicate()


def program_stats(load, command):
    """Mean nanoseconds a run of each program of `command`, while `load` runs."""
    with open(STATS, "w", encoding="ascii") as file:
        file.write("1")
    running = Running(*command)
    load()
    shown = subprocess.run(["bpftool", "prog", "show"], stdout=subprocess.PIPE, text=True, check=True).stdout
    running.end()
    with open(STATS, "w", encoding="ascii") as file:
        file.write("0")
    figures = {}
    for name, spent, runs in re.findall(r"name (\w+).*?run_time_ns (\d+) run_cnt (\d+)", shown):
        if int(runs) > 10000:
            figures[name] = int(spent) / int(runs)
    return figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root")
    build = os.path.abspath(options.build)
    empty = [f"{build}/tests/bench/empty", cgroup_root()]
    watch = ["taskset", "-c", "1", f"{build}/smtpsnoop", "watch", "-o", "json"]
    rounds = []
    for turn in range(options.turns):
        bare = measure(build)
        running = Running(*empty)
        with_empty = measure(build)
        running.end()
        running = Running(*watch)
        with_watch = measure(build)
        running.end()
        rounds.append((bare, with_empty, with_watch))
        print(f"turn {turn + 1}: bare {bare:.0f} ns, empty programs {with_empty:.0f} ns, watch {with_watch:.0f} ns",
              flush=True)
    bare, with_empty, with_watch = (statistics.median(column) for column in zip(*rounds))
    print(f"median: bare {bare:.0f} ns; empty +{with_empty - bare:.0f} ns ({with_empty / bare:.2f}); "
          f"watch +{with_watch - bare:.0f} ns ({with_watch / bare:.2f}); watch against empty {with_watch / with_empty:.2f}")
    for command in (empty, watch):
        for name, mean in sorted(program_stats(lambda: measure(build), command).items()):
            print(f"  {name:<20} {mean:5.1f} ns a run, the kernel's clock reads included")


if __name__ == "__main__":
    main()
