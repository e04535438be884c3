# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Fuzzes one target from its seeds: fuzz.py TARGET SECONDS [OPTION OF LIBFUZZER]…

What was found of new inputs is kept for the next run beside the target; a finding is written there as
well, and its path is said. Ends with a line of how many executions it was.
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    target, seconds, options = os.path.abspath(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    name, folder = os.path.basename(target), os.path.dirname(target)
    seeds, kept = os.path.join(folder, "seeds"), os.path.join(folder, "corpus", name)
    os.makedirs(kept, exist_ok=True)
    subprocess.run([sys.executable, os.path.join(HERE, "seeds.py"), seeds], check=True)
    done = subprocess.run([target, f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-rss_limit_mb=2048",
                           "-print_final_stats=1", f"-artifact_prefix={folder}/finding-{name}-", *options, kept,
                           os.path.join(seeds, name)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode(errors="replace")
    runs = re.search(r"number_of_executed_units:\s*(\d+)", text)
    if done.returncode or not runs or int(runs.group(1)) < 1000:
        print(text[-6000:])
        sys.exit(f"{name}: a finding, or no run: status {done.returncode}")
    print(f"{name}: {runs.group(1)} executions, no finding", flush=True)


main()
