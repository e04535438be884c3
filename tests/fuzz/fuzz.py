# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Fuzzes one target for some seconds: fuzz.py TARGET SECONDS [LIBFUZZER OPTION]...

Starts from the seeds (seeds.py) and from the inputs that earlier runs found, which are kept in corpus/ beside the
target. A crash, leak or hang is a finding: its input is written beside the target and the output names it.
Prints the number of executions. On a busy machine a few seconds may be too short for RUNS_MIN executions: then it
continues, up to ROUNDS_MAX times as long. Fewer executions than that are a failure: the target hardly ran.
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
RUNS_MIN = 1000
ROUNDS_MAX = 12


def main():
    target, seconds, options = os.path.abspath(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    name, folder = os.path.basename(target), os.path.dirname(target)
    seeds, corpus = os.path.join(folder, "seeds"), os.path.join(folder, "corpus", name)
    os.makedirs(corpus, exist_ok=True)
    subprocess.run([sys.executable, os.path.join(HERE, "seeds.py"), seeds], check=True)
    total = 0
    for _ in range(ROUNDS_MAX):
        done = subprocess.run([target, f"-max_total_time={seconds}", "-max_len=4096", "-timeout=25",
                               "-rss_limit_mb=2048", "-print_final_stats=1",
                               f"-artifact_prefix={folder}/finding-{name}-", *options, corpus,
                               os.path.join(seeds, name)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        text = done.stdout.decode(errors="replace")
        runs = re.search(r"number_of_executed_units:\s*(\d+)", text)
        total += int(runs.group(1)) if runs else 0
        if done.returncode or not runs:
            print(text[-6000:])
            sys.exit(f"{name}: a finding, status {done.returncode}, after {total} executions")
        if total >= RUNS_MIN:
            print(f"{name}: {total} executions, no finding", flush=True)
            return
    print(text[-6000:])
    sys.exit(f"{name}: only {total} executions in {ROUNDS_MAX} x {seconds} s: the target hardly ran")


main()
