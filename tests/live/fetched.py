# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What tests need beyond the packages of the Makefile: packages that are unpacked and not installed, npm's, and programs
that are built. All of it stays below build/, so it is fetched and built once. What cannot be had fails the test.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile

from harness import HERE, ROOT

FOLDER = os.path.join(ROOT, "build", "fetched")
FETCH_S = 300
TLS = os.path.join(HERE, "tls")


def run(*command, **keywords):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=FETCH_S, **keywords)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: status {done.returncode}: {done.stdout[-1500:].decode(errors='replace')}")


@contextlib.contextmanager
def becoming(path):
    """A folder that gets its name when it is complete. None if it is there already."""
    os.makedirs(FOLDER, exist_ok=True)
    with open(path + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(path):
            yield None
            return
        part = tempfile.mkdtemp(dir=FOLDER)
        try:
            os.chmod(part, 0o755)
            yield part
            os.rename(part, path)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def unpacked(package):
    """The folder with the files of a Debian package. None of its scripts has run."""
    path = os.path.join(FOLDER, package)
    with becoming(path) as part:
        if part:
            download = ("apt-get", "-o", "APT::Sandbox::User=root", "download", package)
            try:
                run(*download, cwd=part)
            except AssertionError:
                run("apt-get", "update")
                run(*download, cwd=part)
            deb, = (name for name in os.listdir(part) if name.endswith(".deb"))
            run("dpkg-deb", "-x", os.path.join(part, deb), part)
            os.unlink(os.path.join(part, deb))
    return path


def node_modules():
    """The folder with the npm packages of tests/live/tls/package.json."""
    with open(os.path.join(TLS, "package-lock.json"), "rb") as file:
        lock = file.read()
    path = os.path.join(FOLDER, "node")
    with contextlib.suppress(FileNotFoundError), open(os.path.join(path, "package-lock.json"), "rb") as file:
        if file.read() != lock:
            shutil.rmtree(path)
    with becoming(path) as part:
        if part:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(os.path.join(TLS, name), part)
            run("npm", "ci", "--prefix", part, "--ignore-scripts", "--no-audit", "--no-fund")
    return os.path.join(path, "node_modules")


def library(name):
    """The path of a library of this host, as ld.so.cache knows it."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in listed.splitlines():
        if line.split()[0] == name:
            return line.rsplit(" ", 1)[1]
    raise AssertionError(f"{name} is not installed: sudo make deps-test installs it")


def compile_c(source, target, *arguments):
    """Builds a program of tests/live/tls in a folder of the test."""
    run("gcc", "-O1", "-g0", "-o", target, os.path.join(TLS, source), *arguments)
    return target
