#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Makes the recordings of real TLS clients that test_tls_recordings.py replays, and what must come of each. As root:

    record_tls.py [CLIENT...]        without a name: all of them

Each client sends a mail with STARTTLS under TLS 1.3 and one with SMTPS under TLS 1.2, with AUTH, to the server of the live
tests. recordings/CLIENT.json has what must come of it, by what the client was given and what the server received.

Of the recording only what concerns the clients is kept: their connections, the processes that send on them, and the host
without its name. The accounts, secrets and certificates are made for the run.
"""

import json
import os
import shutil
import struct
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "live"))

import fetched  # noqa: E402
import tls_clients  # noqa: E402
from tls_case import Job, TlsBench  # noqa: E402

PROGRAMS = fetched.TLS
FOLDER = os.path.join(HERE, "recordings")
MAGIC = b"smtpsnoop recording 1\n"
PLAINTEXT = 1 << 62
PAIRS = (("starttls", "1.3"), ("smtps", "1.2"))
AT_ONCE = 10

# include/record.h
EXEC, FORK, EXIT, SENDER, SEND, SEGMENT, CLOSE, URGENT, DIRECTORY, TLS = range(1, 11)
HOST, CLOCK, NAME, HASH = 64, 65, 67, 68
OF_FLOW = (SEND, SEGMENT, CLOSE, URGENT, TLS)
HEADER, REMOTE_PORT_AT = 16, 16 + 8 + 16 + 16 + 2
NAME_AT, BOOT_ID_AT = HEADER + 8 * 4 + 16, HEADER + 8 * 4


def number(data, at, size=4):
    return int.from_bytes(data[at:at + size], "little")


def records(data):
    at = len(MAGIC)
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        yield kind, data[at:at + length]
        at += length


def without_name(record):
    name = b"recorded-host"
    body = record[HEADER:HEADER + 7 * 4] + struct.pack("<I", len(name)) + bytes(range(16)) + name
    return struct.pack("<II", HOST, HEADER + len(body)) + record[8:HEADER] + body


def kept(data, ports):
    """The recording with what concerns the connections to these ports."""
    whole = list(records(data))
    flows = {number(one, HEADER, 8) for kind, one in whole if kind in OF_FLOW and number(one, REMOTE_PORT_AT, 2) in ports}
    flows |= {flow ^ PLAINTEXT for flow in flows}
    pids = {number(one, 32) for kind, one in whole if kind == SENDER and number(one, HEADER, 8) in flows}
    execs = {number(one, 32) for kind, one in whole if kind == EXEC}
    for kind, one in reversed(whole):  # a process that was only forked runs its parent's executable
        if kind == FORK and number(one, 36) in pids - execs:
            pids.add(number(one, 32))
    parts = [MAGIC]
    for kind, one in whole:
        if kind == HOST:
            parts.append(without_name(one))
        elif (kind in (CLOCK, NAME, HASH) or (kind in (*OF_FLOW, SENDER, DIRECTORY) and number(one, HEADER, 8) in flows) or
              (kind == EXEC and number(one, 32) in pids) or (kind == FORK and number(one, 36) in pids) or
              (kind == EXIT and number(one, 24) in pids)):
            parts.append(one)
    return b"".join(parts)


def standard_names():
    """OpenSSL's name of a cipher: the one of the standard."""
    lines = subprocess.run(["openssl", "ciphers", "-stdname", "ALL"], check=True, stdout=subprocess.PIPE).stdout.decode()
    return {words[2]: words[0] for words in map(str.split, lines.splitlines())}


class OneClient(TlsBench):
    """Records one client. `client` is set by the subclass."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        fetched.TLS = shutil.copytree(PROGRAMS, os.path.join(cls.folder, "tls"))  # its path is in the recording
        cls.wanted = []

    def jobs(self, count=1, pairs=PAIRS):
        secret = self.new_secret()
        return [Job(type(self), type(self).__name__, mode, version, count, secret=secret) for mode, version in pairs]

    def test_record(self):
        sent = type(self).client(self)
        self.check(sent)
        names = standard_names()
        for one in sent:
            report = self.servers[one.version].mail(one.recipient)
            self.wanted.append({**self.expected(one, report), "tls.cipher": names[report["cipher"]],
                                "smtpsnoop.capture.witness": "send-only"})

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        with open(cls.recording, "rb") as file:
            data = kept(file.read(), cls.ports)
        os.makedirs(FOLDER, exist_ok=True)
        path = os.path.join(FOLDER, cls.__name__)
        with open(path + ".rec", "wb") as file:
            file.write(data)
        with open(path + ".json", "w", encoding="ascii") as file:
            json.dump({"secrets": [secret.text for secret in cls.secrets], "messages": cls.wanted}, file, indent=1)
            file.write("\n")


def each(client):
    return lambda case: [one for job in case.jobs() for one in client(job)]


CLIENTS = {
    "curl": each(tls_clients.curl),
    "swaks": each(tls_clients.swaks),
    "msmtp": each(tls_clients.msmtp),
    "smtplib": each(tls_clients.smtplib),
    "s_client": each(tls_clients.s_client),
    "gnutls-cli": each(tls_clients.gnutls_cli),
    "postfix": lambda case: tls_clients.postfix(case, case.jobs()),
    "exim": lambda case: tls_clients.exim(case, case.jobs()),
    # ten connections at once in one process, on one thread
    "asyncio": lambda case: [one for job in case.jobs(AT_ONCE, PAIRS[:1]) for one in tls_clients.asyncio(job, "parallel")],
}


def main():
    suite = unittest.TestSuite()
    for name in sys.argv[1:] or CLIENTS:
        suite.addTest(type(name, (OneClient,), {"client": CLIENTS[name]})("test_record"))
    return not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful()


if __name__ == "__main__":
    sys.exit(main())
