# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""TLS libraries are found wherever they are, attached in time, and released when they are gone: copies of libssl with
a size of their own, so that no other process on this host uses them. The driver (libraries.c) attaches programs that
only count; a Python process uses a copy.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import unittest

from harness import PROGRAM, ROOT, SLOW, end_process, wait_for

GONE_S = 15 * SLOW  # checks are 1 s apart, and two scans must miss a process
MAPPED_MS = 30 * SLOW
END_MS = 2000 * SLOW
USER = 65534

# Uses the copy that LD_LIBRARY_PATH names. "write 5" on standard input: five calls of SSL_write_ex; "read 5": of SSL_read_ex.
CLIENT = """
import ssl, sys
context = ssl.create_default_context()
tls = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="relay.example")
print("ready", flush=True)
for line in sys.stdin:
    call, count = line.split()
    for _ in range(int(count)):
        try:
            tls.write(b"x") if call == "write" else tls.read(1)
        except ssl.SSLError:
            pass
    print("done", flush=True)
"""

# Maps each file that standard input names, and tells when.
LOADER = """
import mmap, sys, time
kept = []
print("ready", flush=True)
for line in sys.stdin:
    with open(line.strip(), "rb") as file:
        kept.append(mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC))
    print(time.monotonic_ns(), flush=True)
"""


def functions(*names):
    """The system's libssl, and where these functions begin in the file."""
    path = subprocess.run([sys.executable, "-c", "import ssl; print([l.split()[-1] for l in open('/proc/self/maps') "
                           "if '/libssl' in l][0])"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    symbols = subprocess.run(["nm", "-D", path], check=True, stdout=subprocess.PIPE, text=True).stdout
    places = [int(re.search(rf"^([0-9a-f]+) T {name}(@|$)", symbols, re.M)[1], 16) for name in names]
    loads = subprocess.run(["readelf", "-lW", path], check=True, stdout=subprocess.PIPE, text=True).stdout
    for offset, address, size in re.findall(r"LOAD\s+0x(\w+)\s+0x(\w+)\s+0x\w+\s+0x(\w+)", loads):
        if int(address, 16) <= places[0] < int(address, 16) + int(size, 16):
            return path, [place - int(address, 16) + int(offset, 16) for place in places]
    raise AssertionError(f"{path}: {names[0]} is in no segment")


class Talk:
    """A process that answers each line with a line."""

    def __init__(self, test, argv, **keywords):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **keywords)
        test.addCleanup(end_process, self.process)
        self.first = self.process.stdout.readline().split()
        if not self.first:
            raise AssertionError(f"{argv[0]} did not start")

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.stdin.close()
        rest = self.process.stdout.read().strip()
        self.process.wait(20 * SLOW)
        return rest


class Libraries(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root")
        cls.libssl, (cls.write, cls.read, cls.shutdown) = functions("SSL_write_ex", "SSL_read_ex", "SSL_shutdown")
        cls.size = os.path.getsize(cls.libssl) + 17 + os.getpid() % 4000
        cls.folder = tempfile.mkdtemp(prefix="smtpsnoop-libraries-")
        os.chmod(cls.folder, 0o755)
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.driver = os.path.join(cls.folder, "driver")
        subprocess.run(["gcc", "-D_GNU_SOURCE", "-O1", f"-I{ROOT}/include", f"-I{ROOT}/user", "-o", cls.driver,
                        os.path.join(ROOT, "tests/live/libraries.c"), os.path.join(os.path.dirname(PROGRAM), "libsmtpsnoop.a"),
                        "-pthread"], check=True)

    def begin(self):
        """Starts the watch. A file with one byte more is a library too, whose functions are at other places."""
        self.watch = Talk(self, [self.driver, f"{self.size}:{self.write}:{self.read}",
                                 f"{self.size + 1}:{self.read}:{self.shutdown}"])
        self.assertEqual(self.watch.ask("settle"), "1")

    def copy(self, name):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copyfile(self.libssl, path + ".new")
        os.truncate(path + ".new", self.size)
        os.rename(path + ".new", path)
        return path

    def client(self, library):
        return Talk(self, ["/usr/bin/python3", "-c", CLIENT], env={**os.environ, "LD_LIBRARY_PATH": os.path.dirname(library)})

    def client_inside(self, folder, *commands):
        """A client in a mount namespace of its own, after these commands; its library is in the folder."""
        script = " && ".join((*commands, f"LD_LIBRARY_PATH={folder} exec /usr/bin/python3 -c \"$CLIENT\""))
        return Talk(self, ["unshare", "-m", "sh", "-c", script], env={**os.environ, "CLIENT": CLIENT})

    def client_in_namespace(self):
        """Its library is on a file system that exists nowhere else."""
        place = os.path.join(self.folder, "private")
        os.makedirs(place)
        source = self.copy("source/libssl.so.3")
        return self.client_inside(place, f"mount -t tmpfs none {place}", f"cp {source} {place}/")

    def client_on_overlay(self, number):
        """Several of them share the library's file, each through a mount of its own."""
        top = os.path.join(self.folder, f"overlay{number}")
        os.makedirs(top)
        return self.client_inside(
            f"{top}/merged", f"mount -t tmpfs none {top}", f"mkdir {top}/upper {top}/work {top}/merged",
            f"mount -t overlay none -o lowerdir={self.folder}/lower,upperdir={top}/upper,workdir={top}/work {top}/merged")

    def counts(self):
        names = ("attached", "dark", "examined", "refused", "detached", "not_examined")
        return dict(zip(names, map(int, self.watch.ask("counts").split())))

    def until(self, count):
        """Waits until so many libraries are attached; returns the time."""
        time_ns, attached = map(int, self.watch.ask(f"until {count}").split())
        self.assertEqual(attached, count, self.watch.ask("list"))
        return time_ns

    def hits(self, client, command):
        """Entries and returns that are seen while a client obeys."""
        before = self.watch.ask("hits").split()
        self.assertEqual(client.ask(command), "done")
        return [int(after) - int(was) for was, after in zip(before, self.watch.ask("hits").split())]

    def assert_seen(self, *clients):
        for client in clients:
            self.assertEqual(self.hits(client, "write 20"), [20, 20], self.watch.ask("list"))

    def detach(self):
        self.assertLess(float(self.watch.end()), END_MS)

    def test_found_and_released(self):
        """Wherever a library is, its calls are seen once each; when its last process has ended, it is released."""
        self.copy("lower/libssl.so.3")
        inside, first, second = self.client_in_namespace(), self.client_on_overlay(1), self.client_on_overlay(2)
        self.begin()
        self.until(3)  # of these, two are the same file
        self.assert_seen(inside, first, second)

        library = self.copy("use/libssl.so.3")
        deleted = self.client(library)
        self.until(4)
        os.unlink(library)
        self.assert_seen(deleted)
        replaced = self.client(self.copy("use/libssl.so.3"))
        self.until(5)
        self.assert_seen(deleted, replaced)

        for client in (inside, first, deleted):
            client.end()
        wait_for(lambda: self.counts()["attached"] == 2, GONE_S, "three libraries to be released", 0.1)
        self.assert_seen(replaced, second)

        # Written anew: the same inode, but the functions are at other places. (Bytes behind its end change no code.)
        with open(library, "ab") as file:
            file.write(b"\0")
        wait_for(lambda: self.hits(replaced, "read 1") == [1, 1] and self.hits(replaced, "write 1") == [0, 0], GONE_S,
                 "the probes to move", 0.1)
        self.detach()

    def test_mapped_to_attached(self):
        """Ten libraries, each new to the watch: attached in 30 ms, and all detached in 2 s."""
        self.begin()
        loader = Talk(self, [sys.executable, "-c", LOADER])
        took_ms = []
        for number in range(10):
            mapped_ns = int(loader.ask(self.copy(f"many/{number}.so")))
            took_ms.append((self.until(number + 1) - mapped_ns) / 1e6)
        self.assertLess(statistics.median(took_ms), MAPPED_MS, took_ms)
        self.detach()

    def test_many_copies_cost_their_owner(self):
        """Beyond his share a user's copies are refused. Another user's library is attached all the same."""
        self.begin()
        loader = Talk(self, [sys.executable, "-c", LOADER], user=USER)
        os.makedirs(os.path.join(self.folder, "copies"))
        for number in range(60):
            path = os.path.join(self.folder, "copies", str(number))
            with open(path, "wb") as file:
                file.truncate(self.size)
                os.pwrite(file.fileno(), b"\x90" * 64, self.write)
                os.pwrite(file.fileno(), b"\x90" * 64, self.read)
            loader.ask(path)
        self.until(32)
        wait_for(lambda: self.counts()["refused"] >= 28, GONE_S, "28 refused copies", 0.1)
        honest = self.client(self.copy("honest/libssl.so.3"))
        self.until(33)
        self.assert_seen(honest)
        self.detach()


if __name__ == "__main__":
    unittest.main()
