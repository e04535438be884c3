# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Datagrams as the journal reads them. The unit test writes datagrams of plain and hostile events; a systemd-journald in its
own namespaces (mounts, processes, network), with its own /run and /var/log, receives them on its socket; journalctl returns
what was sent. Needs root."""

import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WRITER = os.path.join(os.environ.get("BUILD", os.path.join(ROOT, "build")), "tests/unit/test_event_journal")
JOURNALD = "/lib/systemd/systemd-journald"
SOCKET = "/run/systemd/journal/socket"
SETTINGS = "[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=no\nRateLimitIntervalSec=0\n"
DATAGRAM_MAX = 49152
OWN = ("SMTPSNOOP_", "MESSAGE", "PRIORITY", "SYSLOG_")


def datagrams(path):
    with open(path, "rb") as file:
        data = file.read()
    while data:
        length, = struct.unpack_from("<I", data)
        yield data[4:4 + length]
        data = data[4 + length:]


def fields(datagram):
    """The name and value of each field, by the description of the protocol."""
    while datagram:
        line, rest = datagram.split(b"\n", 1)
        if b"=" in line:
            name, value = line.split(b"=", 1)
        else:
            name, (length,) = line, struct.unpack_from("<Q", rest)
            value, rest = rest[8:8 + length], rest[8 + length + 1:]
        yield name.decode(), value
        datagram = rest


def inside(path):
    """In the namespaces: starts the daemon, sends it everything, and prints what it stored."""
    for folder in ("/run", "/var/log"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    for folder in ("/run/systemd/journald.conf.d", "/run/systemd/journal", "/run/log/journal"):
        os.makedirs(folder)
    with open("/run/systemd/journald.conf.d/test.conf", "w", encoding="ascii") as file:
        file.write(SETTINGS)
    with subprocess.Popen([JOURNALD], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as daemon:
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        for _ in range(200):
            try:
                sender.connect(SOCKET)
                break
            except OSError:
                time.sleep(0.05)
        for datagram in datagrams(path):
            sender.send(datagram)
        living = next(datagram for datagram in datagrams(path) if b"\nOBJECT_PID=" in datagram)
        number = dict(fields(living))["OBJECT_PID"]
        sender.send(living.replace(b"OBJECT_PID=" + number, b"OBJECT_PID=%d" % os.getpid()))
        subprocess.run(["journalctl", "--sync"], check=True)
        done = subprocess.run(["journalctl", "--no-pager", "--all", "-o", "json", "--directory=/run/log/journal",
                               "_TRANSPORT=journal"], stdout=subprocess.PIPE, check=True)
        daemon.terminate()
    sys.stdout.buffer.write(done.stdout)
    return 0


def as_bytes(value):
    """A value in journalctl's JSON: a string, or a list of byte values if it is not printable."""
    return bytes(value) if isinstance(value, list) else value.encode()


def values_of(value):
    repeated = isinstance(value, list) and not all(isinstance(one, int) for one in value)
    return [as_bytes(one) for one in value] if repeated else [as_bytes(value)]


@unittest.skipIf(os.geteuid() != 0, "needs root")
class Journal(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            path = os.path.join(folder, "datagrams")
            subprocess.run([WRITER], env=dict(os.environ, SMTPSNOOP_JOURNAL_OUT=path), stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=True)
            cls.sent = [list(fields(datagram)) for datagram in datagrams(path)]
            cls.sizes = [len(datagram) for datagram in datagrams(path)]
            done = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "--mount-proc", "--kill-child",
                                   sys.executable, __file__, "--inside", path], stdout=subprocess.PIPE, timeout=60, check=True)
            cls.kept = [json.loads(line) for line in done.stdout.splitlines()]

    def test_all_are_kept(self):
        self.assertGreater(len(self.sent), 20)
        self.assertLess(max(self.sizes), DATAGRAM_MAX)
        self.assertEqual(len(self.kept), len(self.sent) + 1)
        self.assertEqual({entry["SYSLOG_IDENTIFIER"] for entry in self.kept}, {"smtpsnoop"})

    def test_values(self):
        """Every field of every event, byte for byte, and no other field with our names."""
        compared = 0
        for sent, kept in zip(self.sent, self.kept):
            wanted = {}
            for name, value in sent:
                wanted.setdefault(name, []).append(value)
            self.assertEqual({name for name in kept if name.startswith(OWN)},
                             {name for name in wanted if name.startswith(OWN)})
            for name, values in wanted.items():
                if name == "OBJECT_PID" and int(values[0]) > 4194304:
                    continue  # no process has such a number, and the daemon ignores it
                self.assertEqual(sorted(set(values)), sorted(set(values_of(kept[name]))), name)
                compared += 1
        self.assertGreater(compared, 400)

    def test_nothing_is_forged(self):
        for sent, kept in zip(self.sent, self.kept):
            self.assertEqual(values_of(kept["PRIORITY"]), [dict(sent)["PRIORITY"]])
            self.assertNotIn("_SMTPSNOOP", " ".join(kept))

    def test_the_manual_has_them(self):
        with open(os.path.join(ROOT, "docs/smtpsnoop.8"), encoding="utf-8") as file:
            manual = set(re.findall(r"\w+", file.read()))
        for name, value in (pair for sent in self.sent for pair in sent):
            if name == "MESSAGE_ID":
                self.assertTrue(value.decode() in manual, value)
            elif name.startswith("SMTPSNOOP_"):
                self.assertTrue(name[len("SMTPSNOOP_"):] in manual, name)

    def test_a_living_process(self):
        """The journal adds what it knows of a process that still exists."""
        self.assertIn("python", self.kept[-1]["OBJECT_COMM"])
        self.assertIn("--inside", self.kept[-1]["OBJECT_CMDLINE"])
        self.assertEqual(self.kept[-1]["OBJECT_UID"], "0")


if __name__ == "__main__":
    sys.exit(inside(sys.argv[2]) if sys.argv[1:2] == ["--inside"] else unittest.main())
