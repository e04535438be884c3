# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs live tests on several Debian kernels, once for each family of hooks that the kernel has. QEMU boots each kernel
(by software emulation, so that it works on every host) with an initramfs of the host's Python, the tests and the
program.

    test_kernels.py [--essential] BUILD [KERNEL]...   all kernels of x86-64, if no kernel is named
    test_kernels.py --sysroot ARCH                    prints the folder to build against for another architecture

--essential runs a part of the tests (.ci/run). The environment variable SMTPSNOOP_VM_TESTS names others.
Ends with a table of kernels, families and passed tests, and `N passed, N failed, N skipped`.
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
TLS_PACKAGES = ("openssl", "msmtp")  # for a certificate, and a client with GnuTLS
SYSROOT_PACKAGES = ("libc6-dev", "libbpf-dev", "libelf-dev", "zlib1g-dev", "libssl-dev", "libyaml-dev", "libpcre2-dev",
                    "libjansson-dev", "libsystemd-dev", "libyara-dev", "libmicrohttpd-dev", "python3", "python3-jsonschema",
                    "busybox-static", "util-linux", "iproute2", *TLS_PACKAGES)
TOOLS = ("sh", "mount", "ifconfig", "echo", "uname", "poweroff", "insmod", "cat", "ls", "true", "mkdir", "sleep", "dmesg",
         "test", "head", "grep", "kill", "ps", "env", "timeout", "tee", "sysctl")
PROGRAMS = ("/usr/bin/unshare", "/usr/bin/setpriv", "/usr/sbin/bpftool", "/usr/sbin/ip")
BOOT_S = 1500
SLOW = 8  # time limits are this many times those on a host

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

# The families that each kernel has. fentry needs support that arm64 got after 6.1; the tracepoint came with 6.16.
HAS = {
    "5.10": ("fentry", "kprobe"),
    "6.1": ("fentry", "kprobe"),
    "6.12": ("fentry", "kprobe"),
    "7.2": ("fentry", "kprobe", "tracepoint"),
    "6.1-arm64": ("kprobe",),
}

# test_sends.Forms is missing: the forms of a session only concern the parser, which is the same on every kernel.
OLDER = "test_identity.OlderThanTheWatch.test_busy_connection_older_than_the_watch"
TAKEN = "test_selfcheck.SelfCheck.test_hooks_taken_away"
ALL = ("test_sends.Calls", "test_sends.Transports", "test_sends.Urgent", "test_sends.Rewritten", "test_sends.WithoutWire",
       OLDER, TAKEN, "test_attack", "test_churn", "test_tls_kernels")

# Each way into the kernel's send path once, with and without the wire hook.
ESSENTIAL = (*(f"test_sends.Calls.test_{name}" for name in ("send", "sendmsg", "sendmmsg", "writev", "sendfile",
                                                            "splice_from_pipe", "zerocopy", "untouched_mmap")),
             "test_sends.Transports", *(f"test_sends.WithoutWire.test_{name}" for name in ("send", "sendmmsg")),
             OLDER, TAKEN, "test_attack.Attacks")


def host_files(tree, build):
    """The programs that run in the machine, from the host's own packages."""
    for path in ("bin", "sbin", "lib", "lib64"):
        os.makedirs(f"{tree}/usr/{path}")
        os.symlink(f"usr/{path}", f"{tree}/{path}")
    machine.busybox(tree, TOOLS)
    for path in PROGRAMS:
        machine.with_libraries(tree, path)
    machine.package_files(tree, *PYTHON_PACKAGES, *TLS_PACKAGES)
    os.symlink("python3.11", f"{tree}/usr/bin/python3")
    for path in glob.glob("/lib/*/libgcc_s.so.1"):  # Python's threads load it when they end
        machine.copy(tree, path)
    for path in glob.glob("/lib/*/libnss_files.so.2"):
        machine.copy(tree, path)
    machine.with_libraries(tree, f"{build}/smtpsnoop", "/usr/bin/smtpsnoop")


def foreign_files(tree, build, arch):
    """The same, from the packages of another architecture that the build used (machine.sysroot)."""
    unwanted = ("include", "doc", "man", "locale", "pkgconfig", "*.a", "zoneinfo", "perl*", "gconv", "__pycache__")
    shutil.copytree(machine.sysroot(arch, SYSROOT_PACKAGES), tree, symlinks=True, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns(*unwanted))
    machine.busybox(tree, TOOLS, f"{tree}/bin/busybox")
    shutil.copy(f"{build}/smtpsnoop", f"{tree}/usr/bin/smtpsnoop")


def tree_of(build, name, tests):
    """The kernel's image, and the initramfs that runs these tests."""
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
        script.append(f'echo "case: {hook}"\nSMTPSNOOP_HOOK={hook} python3 /tests/live/run.py {tests} 2>&1')
    with open(f"{tree}/init", "w", encoding="ascii") as file:
        file.write(INIT % (SLOW, "\n".join(script)))
    os.chmod(f"{tree}/init", 0o755)
    machine.pack(tree, image)
    shutil.rmtree(tree)
    return kernel, image


class Result:
    """One kernel's run: prints each result as it comes, with the kernel and the family."""

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
                print(f"{state} {self.name} {self.family} {rest}", flush=True)
            elif line.startswith("    "):
                print(line, flush=True)

    def close(self, families):
        """Fails for a family that the kernel lacks, that did not run to its end, or that no test covers."""
        for family in families:
            good = family in self.families and family in self.ended
            counts = self.counts.setdefault(family, {"ok": 0, "FAIL": 0, "skip": 0})
            counts["ok" if good else "FAIL"] += 1
            print(f"{'ok' if good else 'FAIL'} {self.name} {family}: the kernel has it, and its tests ran to the end")
            if not good:
                print("    " + "\n    ".join(self.lines[-30:]))
        for family in self.families - set(families):
            self.counts[family] = {"ok": 0, "FAIL": 1, "skip": 0}
            print(f"FAIL {self.name} {family}: the kernel has it, and no test covers it")


def test(build, name, tests):
    result = Result(name)
    kernel, image = tree_of(build, name, tests)
    machine.boot(name, kernel, image, BOOT_S, memory=2048, on_line=result.tell)
    os.remove(image)
    result.close(HAS[name])
    return result


def main():
    if sys.argv[1] == "--sysroot":
        print(machine.sysroot(sys.argv[2], SYSROOT_PACKAGES))
        return 0
    arguments = [one for one in sys.argv[1:] if one != "--essential"]
    tests = os.environ.get("SMTPSNOOP_VM_TESTS") or " ".join(ESSENTIAL if "--essential" in sys.argv else ALL)
    build = os.path.abspath(arguments[0])
    names = arguments[1:] or [name for name in HAS if machine.KERNELS[name][1] == "amd64"]
    os.makedirs(f"{build}/vm", exist_ok=True)
    for name in names:
        machine.kernel(name)  # one at a time: apt-get locks its folders
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(lambda name: test(build, name, tests), names))
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
