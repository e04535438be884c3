# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Virtual machines for the tests: kernels of several Debian releases, an initramfs made from the host's own packages,
and QEMU with software emulation.

The kernels are ordinary packages. They are downloaded and unpacked into a cache, not installed: the host stays as it
is.
"""

import functools
import glob
import lzma
import os
import re
import shutil
import subprocess

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "smtpsnoop", "kernels")

# name: the Debian release that ships it, its architecture, and its meta package
KERNELS = {
    "5.10": ("bullseye", "amd64", "linux-image-cloud-amd64"),
    "6.1": ("bookworm", "amd64", "linux-image-cloud-amd64"),
    "6.12": ("trixie", "amd64", "linux-image-cloud-amd64"),
    "7.2": ("forky", "amd64", "linux-image-cloud-amd64"),
    "6.1-arm64": ("bookworm", "arm64", "linux-image-cloud-arm64"),
}

# The modules that the tests use, where a kernel has them.
MODULES = ("ctr", "gcm", "ghash-generic", "tls", "smc", "veth")

QEMU = {
    "amd64": ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max"],
    "arm64": ["qemu-system-aarch64", "-accel", "tcg,thread=multi", "-M", "virt", "-cpu", "cortex-a57"],
}
CONSOLE = {"amd64": "ttyS0", "arm64": "ttyAMA0"}


def run(*command, **keywords):
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, **keywords)


def output(*command, **keywords):
    return run(*command, stdout=subprocess.PIPE, text=True, **keywords).stdout


# ---- Kernels ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def host_suite():
    with open("/etc/os-release", encoding="utf-8") as file:
        return re.search(r"^VERSION_CODENAME=(\S+)", file.read(), re.M).group(1)


def apt_options(folder, suite, arch):
    """Options that make apt use another release: the host's sources with the name of the suite replaced."""
    parts = f"{folder}/sources"
    os.makedirs(f"{folder}/lists/partial", exist_ok=True)
    os.makedirs(f"{folder}/cache/archives/partial", exist_ok=True)
    os.makedirs(parts, exist_ok=True)
    open(f"{folder}/status", "w", encoding="ascii").close()
    for path in ["/etc/apt/sources.list", *glob.glob("/etc/apt/sources.list.d/*")]:
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if re.search(rf"^(Suites:.*|deb .*)\b{host_suite()}\b", text, re.M) and "main" in text:
            # only Debian's archive: other vendors have no such suite
            text = re.sub(rf"\b{host_suite()}\b", suite, text)
            name = os.path.basename(path)
            if name == "sources.list":
                name = "host.list"
            with open(f"{parts}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
    return ["-qq", "-o", "APT::Sandbox::User=root", "-o", f"APT::Architecture={arch}", "-o",
            f"APT::Architectures={arch}", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={parts}",
            "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::State::status={folder}/status", "-o",
            f"Dir::Cache={folder}/cache", "-o", "Acquire::Languages=none", "-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"]


def download(folder, options, package):
    """Downloads the release's current version of a package; returns its path."""
    for path in glob.glob(f"{folder}/{package}_*.deb"):
        os.remove(path)
    run("apt-get", *options, "download", package, cwd=folder)
    return glob.glob(f"{folder}/{package}_*.deb")[0]


def images(folder):
    return glob.glob(f"{folder}/root/boot/vmlinu*-*") + glob.glob(f"{folder}/root/usr/lib/modules/*/vmlinu*")


def kernel(name):
    """The folder of an unpacked kernel and the path of its image. Downloads it if the cache lacks it."""
    suite, arch, meta = KERNELS[name]
    folder = f"{CACHE}/{name}"
    found = images(folder)
    if not found:
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        options = apt_options(folder, suite, arch)
        subprocess.run(["apt-get", *options, "update"], check=False, stdin=subprocess.DEVNULL)
        depends = output("apt-cache", *options, "depends", meta)
        package = re.search(r"Depends: (linux-image-\S+)", depends).group(1)
        # from 7.2 on, image and modules are separate packages
        parts = re.findall(r"Depends: (linux-(?:binary|modules)-\S+)", output("apt-cache", *options, "depends", package))
        for one in [package, *parts]:
            deb = download(folder, options, one)
            run("dpkg-deb", "-x", deb, f"{folder}/root")
            os.remove(deb)
        shutil.rmtree(f"{folder}/lists")
        found = images(folder)
    return f"{folder}/root", found[0]


def sysroot(arch, packages):
    """The folder where another architecture's packages and their dependencies are unpacked, to build and to run."""
    folder = f"{CACHE}/sysroot-{arch}"
    if not os.path.exists(f"{folder}/done"):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        options = apt_options(folder, host_suite(), arch)
        subprocess.run(["apt-get", *options, "update"], check=False, stdin=subprocess.DEVNULL)
        run("apt-get", *options, "-o", "Debug::NoLocking=1", "--download-only", "--no-install-recommends", "-y", "install",
            *packages)
        for deb in glob.glob(f"{folder}/cache/archives/*.deb"):
            run("dpkg-deb", "-x", deb, f"{folder}/root")
            os.remove(deb)
        shutil.rmtree(f"{folder}/lists")
        open(f"{folder}/done", "w", encoding="ascii").close()
    return f"{folder}/root"


def modules(root, tree):
    """Copies MODULES and their dependencies, uncompressed, to /modules/NN-NAME.ko in the tree, in loading order."""
    os.makedirs(f"{tree}/modules", exist_ok=True)
    base = f"{root}/usr" if os.path.isdir(f"{root}/usr/lib/modules") else root
    version = os.listdir(f"{base}/lib/modules")[0]
    folder = f"{base}/lib/modules/{version}"
    if not os.path.exists(f"{folder}/modules.dep"):
        run("/sbin/depmod", "-b", base, version, stderr=subprocess.DEVNULL)
    with open(f"{folder}/modules.dep", encoding="ascii") as file:
        needs = {path: rest.split() for path, _, rest in (line.partition(":") for line in file)}
    order = []
    for name in MODULES:
        for path in needs:
            if os.path.basename(path).split(".")[0] == name:
                order += [one for one in [*reversed(needs[path]), path] if one not in order]
    for number, path in enumerate(order):
        opened = lzma.open(f"{folder}/{path}") if path.endswith(".xz") else open(f"{folder}/{path}", "rb")
        name = os.path.basename(path).removesuffix(".xz")
        with opened as source, open(f"{tree}/modules/{number:02}-{name}", "wb") as target:
            shutil.copyfileobj(source, target)


# ---- The tree of an initramfs ---------------------------------------------------------------------


def copy(tree, path, target=None):
    target = tree + (target or path)
    if not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(path, target)


def with_libraries(tree, program, target=None):
    """Copies a program or library of the host and every library that it is linked to."""
    copy(tree, program, target)
    shown = subprocess.run(["ldd", program], check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           text=True).stdout
    for path in re.findall(r"/\S+", shown):
        copy(tree, path)


def busybox(tree, names, program="/bin/busybox"):
    os.makedirs(f"{tree}/bin", exist_ok=True)
    if not os.path.exists(f"{tree}/bin/busybox"):
        shutil.copy(program, f"{tree}/bin/busybox")
    for name in names:
        if not os.path.lexists(f"{tree}/bin/{name}"):
            os.symlink("busybox", f"{tree}/bin/{name}")


def package_files(tree, *packages):
    """Copies the files of installed packages, without documentation, and the libraries of their programs."""
    for package in packages:
        for path in output("dpkg", "-L", package).splitlines():
            if path.startswith(("/usr/share/doc", "/usr/share/man", "/usr/share/lintian", "/usr/share/locale")):
                continue
            if os.path.islink(path):
                os.makedirs(os.path.dirname(tree + path), exist_ok=True)
                if not os.path.lexists(tree + path):
                    os.symlink(os.readlink(path), tree + path)
            elif os.path.isfile(path):
                copy(tree, path)
                if os.access(path, os.X_OK) or ".so" in os.path.basename(path):
                    with_libraries(tree, path)


def pack(tree, image):
    run("/bin/sh", "-c", f"cd '{tree}' && find . | cpio --quiet -o -H newc >'{image}'")


# ---- Running ----------------------------------------------------------------------------------------


def command(name, image, initrd, memory=1024, more=()):
    arch = KERNELS[name][1]
    return [*QEMU[arch], "-m", str(memory), "-smp", "2", "-nographic", "-no-reboot", "-kernel", image, "-initrd", initrd,
            "-append", f"console={CONSOLE[arch]} quiet panic=1 oops=panic", *more]


BOOTS_MAX = 3  # an emulated kernel panics now and then while it boots, before anything of ours runs
STARTED = "kernel: "  # what the first process of every machine prints first


def boot(name, image, initrd, timeout_s, on_line=None, **keywords):
    """Runs the machine until it powers off; returns its output. `on_line` gets each line as it comes. A kernel that
    panics before its first process has said a word is booted again."""
    for _ in range(BOOTS_MAX):
        output = boot_once(name, image, initrd, timeout_s, on_line, **keywords)
        if any(line.startswith(STARTED) for line in output.split("\n")) or "Kernel panic" not in output:
            return output
    return output


def boot_once(name, image, initrd, timeout_s, on_line, **keywords):
    process = subprocess.Popen(["timeout", str(timeout_s), *command(name, image, initrd, **keywords)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = []
    for line in process.stdout:
        line = line.decode(errors="replace").replace("\r", "").rstrip("\n")
        lines.append(line)
        if on_line:
            on_line(line)
    process.wait()
    return "\n".join(lines)
