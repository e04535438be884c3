# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs doctor on every kernel with the program that each clang builds: the kernel's verifier must accept it, and it must
see a mail over loopback.

    test_compilers.py CLANG...      each with its build in build-CLANG
"""

import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import machine
from test_kernels import FAMILIES, HAS, INIT, TOOLS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOOT_S = 1500
OPTIONS = ("", "--no-wire")


def tree_of(name, compilers):
    folder = f"{ROOT}/build/vm"
    tree, image = f"{folder}/compilers-{name}", f"{folder}/compilers-{name}.cpio"
    shutil.rmtree(tree, ignore_errors=True)
    for path in ("proc", "sys", "dev", "tmp", "root", "etc"):
        os.makedirs(f"{tree}/{path}")
    machine.busybox(tree, TOOLS)
    for compiler in compilers:
        machine.with_libraries(tree, f"{ROOT}/build-{compiler}/smtpsnoop", f"/bin/smtpsnoop-{compiler}")
    root, kernel = machine.kernel(name)
    machine.modules(root, tree)
    script = []
    for compiler in compilers:
        for hook in HAS[name]:
            for option in OPTIONS:
                case = f"{compiler} {hook} {option}".strip()
                script.append(f"if smtpsnoop-{compiler} doctor --hook {hook} {option} >/tmp/out 2>&1; then "
                              f'echo "ok {case}"; else echo "FAIL {case}"; cat /tmp/out; fi')
    with open(f"{tree}/init", "w", encoding="ascii") as file:
        file.write(INIT % (1, "\n".join(script)))
    os.chmod(f"{tree}/init", 0o755)
    machine.pack(tree, image)
    shutil.rmtree(tree)
    return kernel, image


def test(name, compilers):
    """Returns {(compiler, hook): number of passed cases} and the number of failed ones."""
    kernel, image = tree_of(name, compilers)
    shown = machine.boot(name, kernel, image, BOOT_S)
    os.remove(image)
    passed, failed = {}, 0
    for compiler in compilers:
        for hook in HAS[name]:
            for option in OPTIONS:
                case = f"{compiler} {hook} {option}".strip()
                if re.search(rf"^ok {re.escape(case)}$", shown, re.M):
                    passed[compiler, hook] = passed.get((compiler, hook), 0) + 1
                    print(f"ok {name} {case}", flush=True)
                else:
                    failed += 1
                    said = re.search(rf"^FAIL {re.escape(case)}\n((?:(?!ok |FAIL ).*\n?)*)", shown, re.M)
                    print(f"FAIL {name} {case}\n{said.group(1) if said else shown[-2000:]}", flush=True)
    return passed, failed


def main():
    compilers = sys.argv[1:]
    names = [name for name in HAS if machine.KERNELS[name][1] == "amd64"]
    os.makedirs(f"{ROOT}/build/vm", exist_ok=True)
    for name in names:
        machine.kernel(name)
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = dict(zip(names, pool.map(lambda name: test(name, compilers), names)))
    print(f"{'kernel':<9}{'compiler':<11}" + "".join(f"{hook:<16}" for hook in FAMILIES))
    for name, (passed, _) in results.items():
        for compiler in compilers:
            cells = [f"{passed.get((compiler, hook), 0)} of {len(OPTIONS)} passed" if hook in HAS[name] else "-"
                     for hook in FAMILIES]
            print(f"{name:<9}{compiler:<11}" + "".join(f"{cell:<16}" for cell in cells))
    good = sum(sum(passed.values()) for passed, _ in results.values())
    bad = sum(failed for _, failed in results.values())
    print(f"{good} passed, {bad} failed, 0 skipped")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
