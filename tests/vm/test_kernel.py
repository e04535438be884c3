# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The function hooks on Debian 12's own kernel, which the machine that runs the tests need not have: the kernel's
package is unpacked, booted by QEMU (software emulation) to an initramfs of busybox and the program, and the
program's self-test is run there for each family of hooks, with and without the wire hook.

    test_kernel.py BUILD
"""

import glob
import os
import re
import shutil
import subprocess
import sys

CASES = (("fentry", ""), ("fentry", "--no-wire"), ("kprobe", ""), ("kprobe", "--no-wire"))
BOOT_S = 240

INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tracefs trace /sys/kernel/tracing
ifconfig lo 127.0.0.1 up
echo "kernel: $(uname -r)"
"""


def run(*command, **keywords):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, **keywords)


def kernel(folder):
    """The path of an unpacked Debian cloud kernel; fetched once."""
    found = glob.glob(f"{folder}/root/boot/vmlinuz-*")
    if not found:
        os.makedirs(f"{folder}/root", exist_ok=True)
        depends = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout
        package = re.search(r"Depends: (linux-image-\S+)", depends).group(1)
        run("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package, cwd=folder)
        run("dpkg", "-x", *glob.glob(f"{folder}/{package}_*.deb"), f"{folder}/root")
        found = glob.glob(f"{folder}/root/boot/vmlinuz-*")
    return found[0]


def initramfs(folder, program):
    tree, image = f"{folder}/initramfs", f"{folder}/initramfs.gz"
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("bin", "proc", "sys", "dev", "tmp"):
        os.makedirs(f"{tree}/{name}")
    shutil.copy("/bin/busybox", f"{tree}/bin/busybox")
    for name in ("sh", "mount", "ifconfig", "echo", "uname", "poweroff"):
        os.symlink("busybox", f"{tree}/bin/{name}")
    shutil.copy(program, f"{tree}/bin/smtpsnoop")
    needed = subprocess.run(["ldd", program], check=True, text=True, stdout=subprocess.PIPE).stdout
    for library in re.findall(r"/\S+", needed):
        os.makedirs(tree + os.path.dirname(library), exist_ok=True)
        shutil.copy(library, tree + library)
    with open(f"{tree}/init", "w", encoding="ascii") as file:
        file.write(INIT)
        for hook, option in CASES:
            file.write(f'echo "case: {hook} {option}"; smtpsnoop doctor --hook {hook} {option} 2>&1\n')
        file.write("poweroff -f\n")
    os.chmod(f"{tree}/init", 0o755)
    run("/bin/sh", "-c", f"cd '{tree}' && find . | cpio --quiet -o -H newc | gzip -1 >'{image}'")
    return image


def main():
    build = os.path.abspath(sys.argv[1])
    folder = f"{build}/vm"
    os.makedirs(folder, exist_ok=True)
    command = ["qemu-system-x86_64", "-accel", "tcg", "-m", "1024", "-smp", "2", "-nographic", "-no-reboot", "-kernel",
               kernel(folder), "-initrd", initramfs(folder, f"{build}/smtpsnoop"), "-append",
               "console=ttyS0 quiet panic=1"]
    shown = subprocess.run(command, check=False, timeout=BOOT_S, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT).stdout.decode(errors="replace").replace("\r", "")
    failed = 0
    parts = shown.split("case: ")
    for hook, option in CASES:
        name = f"{hook} {option}".strip()
        part = next((part for part in parts[1:] if part.split("\n", 1)[0].strip() == name), "")
        if "caught, with the right process and outcome" in part and re.search(rf"{hook} +yes +chosen", part):
            print(f"ok vm {name}")
        else:
            failed += 1
            print(f"FAIL vm {name}\n    " + (part or shown[-2000:]).strip().replace("\n", "\n    "))
    print(f"{len(CASES) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
