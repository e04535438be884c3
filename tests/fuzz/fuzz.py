# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Fuzzes one target for some seconds: fuzz.py TARGET SECONDS [LIBFUZZER OPTION]...

Starts from the seeds (seeds.py) and from the inputs that earlier runs found, which are kept in corpus/ beside the
target. A crash, leak or hang is a finding: its input is written beside the target and the output names it.
Prints the number of executions; fewer than RUNS_MIN count as a failure, because the target then hardly ran.
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
RUNS_MIN = 1000


def main():
    target, seconds, options = os.path.abspath(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    name, folder = os.path.basename(target), os.path.dirname(target)
    seeds, corpus = os.path.join(folder, "seeds"), os.path.join(folder, "corpus", name)
    os.makedirs(corpus, exist_ok=True)
    subprocess.run([sys.executable, os.path.join(HERE, "seeds.py"), seeds], check=True)
    done = subprocess.run([target, f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-rss_limit_mb=2048",
                           "-print_final_stats=1", f"-artifact_prefix={folder}/finding-{name}-", *options, corpus,
                           os.path.join(seeds, name)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode(errors="replace")
    runs = re.search(r"number_of_executed_units:\s*(\d+)", text)
    if done.returncode or not runs or int(runs.group(1)) < RUNS_MIN:
        print(text[-6000:])
        sys.exit(f"{name}: status {done.returncode}, {runs.group(1) if runs else 'no'} executions: a finding, or the "
                 "target did not run")
    print(f"{name}: {runs.group(1)} executions, no finding", flush=True)


main()
