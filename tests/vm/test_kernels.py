# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The live tests of what is sent and who sends it, on Debian's kernels, with each family of hooks that a kernel has:
each kernel is booted by QEMU (software emulation, whatever runs on the host) to an initramfs of the host's Python, the
tests and the program.

    test_kernels.py BUILD [KERNEL]…        those of x86-64, where none is named

Ends with a table of kernel, family of hooks and cases passed, and `N passed, N failed, N skipped`.
"""

import os
import re
import shutil
import sys
import time

import machine

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON_PACKAGES = ("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "python3-jsonschema",
                   "python3-attr", "python3-pyrsistent")
TOOLS = ("sh", "mount", "ifconfig", "echo", "uname", "poweroff", "insmod", "cat", "ls", "true", "mkdir", "sleep", "dmesg",
         "test", "ip", "head", "grep", "kill", "ps", "env", "timeout", "tee", "sysctl")
PROGRAMS = ("/usr/bin/unshare", "/usr/bin/setpriv")
BOOT_S = 1500
SLOW = 8  # limits on waiting are this many times those of a host

INIT = """#!/bin/sh
export PATH=/bin:/usr/bin:/usr/sbin HOME=/root LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/hugepages
mount -t tmpfs tmp /tmp
mount -t tmpfs shm /dev/shm
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tracefs trace /sys/kernel/tracing
ifconfig lo 127.0.0.1 up
for module in /modules/*.ko; do insmod $module 2>/dev/null; done
echo "kernel: $(uname -r)"
export SMTPSNOOP=/bin/smtpsnoop SMTPSNOOP_SLOW=%d
%s
poweroff -f
"""

# family of hooks, options of the program, live tests
CASES = (
    ("fentry", "", "test_sends test_doctor"),
    ("kprobe", "", "test_sends test_doctor"),
    ("tracepoint", "", "test_sends test_doctor"),
)


def tree_of(build, name):
    """The initramfs of one kernel."""
    folder = f"{build}/vm"
    tree, image = f"{folder}/tree-{name}", f"{folder}/{name}.cpio"
    shutil.rmtree(tree, ignore_errors=True)
    for path in ("proc", "sys", "dev", "tmp", "root", "etc", "run", "var"):
        os.makedirs(f"{tree}/{path}")
    for path in ("bin", "sbin", "lib", "lib64"):
        os.makedirs(f"{tree}/usr/{path}")
        os.symlink(f"usr/{path}", f"{tree}/{path}")
    machine.busybox(tree, TOOLS)
    for path in PROGRAMS:
        machine.with_libraries(tree, path)
    machine.package_files(tree, *PYTHON_PACKAGES)
    os.symlink("python3.11", f"{tree}/usr/bin/python3")
    machine.with_libraries(tree, f"{build}/smtpsnoop", "/usr/bin/smtpsnoop")
    shutil.copytree(f"{ROOT}/tests/live", f"{tree}/tests/live", ignore=shutil.ignore_patterns("__pycache__"))
    os.makedirs(f"{tree}/docs")
    shutil.copy(f"{ROOT}/docs/event.schema.json", f"{tree}/docs")
    for path, text in (("passwd", "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"),
                       ("group", "root:x:0:\nnogroup:x:65534:\n"), ("hosts", "127.0.0.1 localhost\n"),
                       ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")):
        with open(f"{tree}/etc/{path}", "w", encoding="ascii") as file:
            file.write(text)
    root, kernel = machine.kernel(name)
    machine.modules(root, tree)
    script = []
    for hook, options, tests in CASES:
        script.append(f'echo "case: {hook} {options}"\n'
                      f"if SMTPSNOOP_HOOK={hook} smtpsnoop doctor --hook {hook} {options}; then\n"
                      f'SMTPSNOOP_HOOK={hook} SMTPSNOOP_OPTIONS="{options}" python3 /tests/live/run.py {tests} 2>&1\nfi')
    with open(f"{tree}/init", "w", encoding="ascii") as file:
        file.write(INIT % (SLOW, "\n".join(script)))
    os.chmod(f"{tree}/init", 0o755)
    machine.pack(tree, image)
    shutil.rmtree(tree)
    return kernel, image


def main():
    build = os.path.abspath(sys.argv[1])
    os.makedirs(f"{build}/vm", exist_ok=True)
    for name in sys.argv[2:]:
        start = time.monotonic()
        kernel, image = tree_of(build, name)
        print(f"image {time.monotonic() - start:.0f} s, {os.path.getsize(image) >> 20} MiB", flush=True)
        machine.boot(name, kernel, image, BOOT_S, memory=2048,
                     on_line=lambda line: print(f"[{time.monotonic() - start:.0f}] {line}", flush=True))


if __name__ == "__main__":
    sys.exit(main())
