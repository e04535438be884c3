# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The live tests of what is sent and who sends it, on Debian's kernels, with each family of hooks that a kernel has:
each kernel is booted by QEMU (software emulation, whatever runs on the host) to an initramfs of the host's Python, the
tests and the program.

    test_kernels.py BUILD [KERNEL]…        those of x86-64, where none is named
    test_kernels.py --sysroot ARCH          the folder to build against for another architecture

Ends with a table of kernel, family of hooks and cases passed, and `N passed, N failed, N skipped`.
"""

import glob
import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import machine

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON_PACKAGES = ("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "python3-jsonschema",
                   "python3-attr", "python3-pyrsistent")
SYSROOT_PACKAGES = ("libc6-dev", "libbpf-dev", "libelf-dev", "zlib1g-dev", "libssl-dev", "libyaml-dev", "libpcre2-dev",
                    "libjansson-dev", "libsystemd-dev", "libyara-dev", "python3", "python3-jsonschema", "busybox-static",
                    "util-linux", "iproute2")
TOOLS = ("sh", "mount", "ifconfig", "echo", "uname", "poweroff", "insmod", "cat", "ls", "true", "mkdir", "sleep", "dmesg",
         "test", "head", "grep", "kill", "ps", "env", "timeout", "tee", "sysctl")
PROGRAMS = ("/usr/bin/unshare", "/usr/bin/setpriv", "/usr/sbin/bpftool", "/usr/sbin/ip")
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
export SMTPSNOOP=/usr/bin/smtpsnoop SMTPSNOOP_SLOW=%d
%s
poweroff -f
"""

FAMILIES = ("fentry", "kprobe", "tracepoint")

# Which families each kernel has: fentry needs what arm64 got after 6.1, the tracepoint came with 6.16.
HAS = {
    "5.10": ("fentry", "kprobe"),
    "6.1": ("fentry", "kprobe"),
    "6.12": ("fentry", "kprobe"),
    "7.2": ("fentry", "kprobe", "tracepoint"),
    "6.1-arm64": ("kprobe",),
}
# The forms that a session may have (test_sends.Forms) are the parser's affair, the same on every kernel.
TESTS = os.environ.get("SMTPSNOOP_VM_TESTS", "test_sends.Calls test_sends.Transports test_sends.Urgent test_sends.Rewritten "
                       "test_sends.WithoutWire test_identity.OlderThanTheWatch.test_busy_connection_older_than_the_watch "
                       "test_attack test_churn")


def host_files(tree, build):
    """What is run, from the host's own packages."""
    for path in ("bin", "sbin", "lib", "lib64"):
        os.makedirs(f"{tree}/usr/{path}")
        os.symlink(f"usr/{path}", f"{tree}/{path}")
    machine.busybox(tree, TOOLS)
    for path in PROGRAMS:
        machine.with_libraries(tree, path)
    machine.package_files(tree, *PYTHON_PACKAGES)
    os.symlink("python3.11", f"{tree}/usr/bin/python3")
    for path in glob.glob("/lib/*/libgcc_s.so.1"):  # Python's threads load it when they end
        machine.copy(tree, path)
    for path in glob.glob("/lib/*/libnss_files.so.2"):
        machine.copy(tree, path)
    machine.with_libraries(tree, f"{build}/smtpsnoop", "/usr/bin/smtpsnoop")


def foreign_files(tree, build, arch):
    """The same from another architecture's packages, which were unpacked to build against."""
    unwanted = ("include", "doc", "man", "locale", "pkgconfig", "*.a", "zoneinfo", "perl*", "gconv", "__pycache__")
    shutil.copytree(machine.sysroot(arch, SYSROOT_PACKAGES), tree, symlinks=True, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns(*unwanted))
    machine.busybox(tree, TOOLS, f"{tree}/bin/busybox")
    shutil.copy(f"{build}/smtpsnoop", f"{tree}/usr/bin/smtpsnoop")


def tree_of(build, name):
    """The initramfs of one kernel."""
    arch = machine.KERNELS[name][1]
    folder = f"{build}/vm"
    tree, image = f"{folder}/tree-{name}", f"{folder}/{name}.cpio"
    shutil.rmtree(tree, ignore_errors=True)
    for path in ("proc", "sys", "dev", "tmp", "root", "etc", "run", "var"):
        os.makedirs(f"{tree}/{path}")
    if arch == "amd64":
        host_files(tree, build)
    else:
        foreign_files(tree, build, arch)
    shutil.copytree(f"{ROOT}/tests/live", f"{tree}/tests/live", ignore=shutil.ignore_patterns("__pycache__"))
    os.makedirs(f"{tree}/docs")
    for path in ("event.schema.json", "coverage.md"):
        shutil.copy(f"{ROOT}/docs/{path}", f"{tree}/docs")
    for path in ("passwd", "group", "hosts", "nsswitch.conf"):
        shutil.copy(f"/etc/{path}", f"{tree}/etc/{path}")
    root, kernel = machine.kernel(name)
    machine.modules(root, tree)
    script = ["smtpsnoop doctor"]
    for hook in HAS[name]:
        script.append(f'echo "case: {hook}"\nSMTPSNOOP_HOOK={hook} python3 /tests/live/run.py {TESTS} 2>&1')
    with open(f"{tree}/init", "w", encoding="ascii") as file:
        file.write(INIT % (SLOW, "\n".join(script)))
    os.chmod(f"{tree}/init", 0o755)
    machine.pack(tree, image)
    shutil.rmtree(tree)
    return kernel, image


class Result:
    """One kernel's run, told line by line with its kernel and family."""

    def __init__(self, name):
        self.name, self.family = name, None
        self.lines = []
        self.counts, self.ended, self.families = {}, set(), set()

    def tell(self, line):
        self.lines.append(line)
        begins = re.fullmatch(r"case: (\w+)", line)
        chosen = re.match(r"(?:send hooks)? +(\w+) +yes\b", line)
        if begins:
            self.family = begins.group(1)
            self.counts[self.family] = {"ok": 0, "FAIL": 0, "skip": 0}
        elif chosen and not self.family:
            self.families.add(chosen.group(1))
        elif re.fullmatch(r"\d+ passed, \d+ failed, \d+ skipped", line):
            self.ended.add(self.family)
        elif self.family:
            state, _, rest = line.partition(" ")
            if state in ("ok", "FAIL", "skip"):
                self.counts[self.family][state] += 1
                print(f"{state} vm {self.name} {self.family} {rest}", flush=True)
            elif line.startswith("    "):
                print(line, flush=True)

    def close(self, families):
        """What is said of the run as a whole: each family that the kernel must have, and each case's end."""
        for family in families:
            good = family in self.families and family in self.ended
            counts = self.counts.setdefault(family, {"ok": 0, "FAIL": 0, "skip": 0})
            counts["ok" if good else "FAIL"] += 1
            print(f"{'ok' if good else 'FAIL'} vm {self.name} {family}: the family is there, and its tests ended")
            if not good:
                print("    " + "\n    ".join(self.lines[-30:]))
        for family in self.families - set(families):
            self.counts[family] = {"ok": 0, "FAIL": 1, "skip": 0}
            print(f"FAIL vm {self.name} {family}: the family is there, and is not tested")


def test(build, name):
    result = Result(name)
    kernel, image = tree_of(build, name)
    machine.boot(name, kernel, image, BOOT_S, memory=2048, on_line=result.tell)
    os.remove(image)
    result.close(HAS[name])
    return result


def main():
    if sys.argv[1] == "--sysroot":
        print(machine.sysroot(sys.argv[2], SYSROOT_PACKAGES))
        return 0
    build = os.path.abspath(sys.argv[1])
    names = sys.argv[2:] or [name for name in HAS if machine.KERNELS[name][1] == "amd64"]
    os.makedirs(f"{build}/vm", exist_ok=True)
    for name in names:
        machine.kernel(name)  # one after the other: apt-get locks its folders
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(lambda name: test(build, name), names))
    print(f"{'kernel':<12}" + "".join(f"{family:<20}" for family in FAMILIES))
    for result in results:
        cells = []
        for family in FAMILIES:
            counts = result.counts.get(family)
            cells.append(f"{counts['ok']} of {sum(counts.values())} passed" if counts else "-")
        print(f"{result.name:<12}" + "".join(f"{cell:<20}" for cell in cells))
    sums = [sum(counts[state] for result in results for counts in result.counts.values())
            for state in ("ok", "FAIL", "skip")]
    print("{} passed, {} failed, {} skipped".format(*sums))
    return 1 if sums[1] else 0


if __name__ == "__main__":
    sys.exit(main())
