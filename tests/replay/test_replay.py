# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Over 600 lines: the format, written down a second time, and what replay makes of it.
"""Replay gives the events that a recording holds: recordings are written here, record by record, by what
include/record.h says, and not by the program; so no kernel and no root are needed, and a change of the
format shows."""

import ipaddress
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("SMTPSNOOP", os.path.join(ROOT, "build/smtpsnoop"))
MAGIC = b"smtpsnoop recording 1\n"

EXEC, FORK, EXIT, SENDER, SEND, SEGMENT, CLOSE = range(1, 8)
HOST, CLOCK, LOSS, NAME, HASH, CGROUP = range(64, 70)
DIRECTORY, RUN, CONNECTION = 9, 73, 74
HOOK_TRACEPOINT = 3
NS_USER = 4026531837
NO_LOGIN = 0xFFFFFFFF
FROM_START, SKIPPED = 1, 2
OUTBOUND = 1
ENTRY, EXIT_FLAG = 1, 2
SECOND = 1_000_000_000
REALTIME_OFFSET = 1_700_000_000 * SECOND


def leaf_first(path):
    return b"".join(part + b"\0" for part in reversed(path.encode().strip(b"/").split(b"/")) if part)


class Recording:
    """Writes records; the clock goes on by a millisecond a record."""

    def __init__(self, wire=True, version=2):
        self.data = bytearray(MAGIC)
        self.now = 100 * SECOND
        self.record(CLOCK, struct.pack("<q", REALTIME_OFFSET))
        self.host(b"recorded-host", wire, version)

    def record(self, kind, body):
        self.now += 1_000_000
        self.data += struct.pack("<IIQ", kind, 16 + len(body), self.now) + body

    def host(self, name, wire=True, version=2):
        self.record(HOST, struct.pack("<8I16s", version, HOOK_TRACEPOINT, int(wire), NS_USER, 1, 2, 3, len(name),
                                      bytes(range(16))) + name)

    def exec(self, pid, start, path, args=(), filename=None, interp=None, cwd="/", flags=0, inode=7, parent=1,
             dev=0x800001):
        parts = [leaf_first(path), (filename or path).encode() + b"\0", (interp or filename or path).encode() + b"\0",
                 leaf_first(cwd), b"".join(arg.encode() + b"\0" for arg in args)]
        self.record(EXEC, struct.pack("<QQIIQQQIIQ5H3H", start, self.now, pid, flags, inode, 11, 13, dev, parent,
                                      1, *map(len, parts), 0, 0, 0) + b"".join(parts))

    @staticmethod
    def task(pid, start, uid=0, comm="client"):
        return struct.pack("<QIIIIIIII16s", start, pid, pid, uid, uid, uid, uid, NO_LOGIN, NS_USER, comm.encode())

    def sender(self, cookie, pid, start, uid=0, cgroup="/system.slice/report.service", ancestors=()):
        row = b"".join(struct.pack("<QII", begun, number, 0) for number, begun in ancestors)
        self.record(SENDER, struct.pack("<Q", cookie) + self.task(pid, start, uid) +
                    struct.pack("<QQI", 99, 7, 0x800001) +
                    struct.pack("<9I", 1, 1, 2, 3, 0, 0, 0, len(ancestors), 0) + row.ljust(16 * 8, b"\0") +
                    struct.pack("<II", len(leaf_first(cgroup)), 0) + leaf_first(cgroup))

    def directory(self, cookie, pid, start, path, truncated=False, tid=None):
        parts = leaf_first(path)
        self.record(DIRECTORY, struct.pack("<QQIIII", cookie, start, pid, tid or pid, int(truncated), len(parts)) + parts)

    @staticmethod
    def flow(cookie, port=25, flags=FROM_START, local="10.0.0.1", remote="10.0.0.25"):
        mapped = b"\0" * 10 + b"\xff\xff"
        return struct.pack("<Q16s16sHHIII", cookie, mapped + ipaddress.IPv4Address(local).packed,
                           mapped + ipaddress.IPv4Address(remote).packed, 40000, port, 3, flags, 0)

    def send(self, cookie, pid, start, seq, data, length=None, call=ENTRY, uid=0, **flow):
        length = len(data) if length is None else length
        self.record(SEND, self.flow(cookie, **flow) + self.task(pid, start, uid) +
                    struct.pack("<IIII", seq & 0xFFFFFFFF, length, len(data), call) + data)

    def segment(self, cookie, seq, data, outbound, length=None, **flow):
        length = len(data) if length is None else length
        self.record(SEGMENT, self.flow(cookie, **flow) +
                    struct.pack("<IIII", seq & 0xFFFFFFFF, length, len(data), OUTBOUND if outbound else 0) + data)

    def close(self, cookie, **flow):
        self.record(CLOSE, self.flow(cookie, **flow))

    def name(self, uid, name):
        self.record(NAME, struct.pack("<IIII", 1, uid, len(name), 0) + name.encode())

    def hash(self, sha256, inode=7):
        self.record(HASH, struct.pack("<QQQII32s", inode, 11, 13, 0x800001, 1, sha256) + b"")

    def session(self, cookie, pid, start, steps, seq=1000, uid=0, **flow):
        """Steps: ("C", bytes) from the client, sent and on the wire; ("S", bytes) from the server."""
        there, back = seq, 5000
        for side, data in steps:
            if side == "C":
                self.send(cookie, pid, start, there, data[:256], len(data), uid=uid, **flow)
                self.segment(cookie, there, data, True, **flow)
                there += len(data)
            else:
                self.segment(cookie, back, data, False, **flow)
                back += len(data)
        return there


STEPS = (
    ("S", b"220 mail.example ESMTP\r\n"),
    ("C", b"EHLO client.example\r\n"), ("S", b"250-mail.example\r\n250 SIZE\r\n"),
    ("C", b"MAIL FROM:<reports@corp.example> SIZE=100\r\n"), ("S", b"250 ok\r\n"),
    ("C", b"RCPT TO:<a@corp.example>\r\n"), ("S", b"250 ok\r\n"),
    ("C", b"RCPT TO:<b@corp.example>\r\n"), ("S", b"550 5.1.1 no such user\r\n"),
    ("C", b"DATA\r\n"), ("S", b"354 go on\r\n"),
    ("C", b"Subject: x\r\n\r\n..hello\r\n.\r\n"), ("S", b"250 2.0.0 queued as 1\r\n"),
    ("C", b"QUIT\r\n"), ("S", b"221 bye\r\n"),
)


class Replay(unittest.TestCase):
    maxDiff = None

    def replay(self, recording, *options, status=0, data=None, warnings=0):
        with tempfile.NamedTemporaryFile(suffix=".rec") as file:
            file.write(recording.data if data is None else data)
            file.flush()
            done = subprocess.run([PROGRAM, "replay", file.name, "-o", "json", *options], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60, check=False)
        self.assertEqual(done.returncode, status, done.stderr.decode())
        self.assertEqual(len(done.stderr.splitlines()), 1 if status else warnings, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def messages(self, *args, **kwargs):
        return [event for event in self.replay(*args, **kwargs) if event["event"]["action"] == "smtp-message"]

    def whole(self):
        recording = Recording()
        start = 90 * SECOND + 12345
        recording.exec(10, 50 * SECOND + 1, "/usr/sbin/cron")
        recording.exec(42, start, "/usr/bin/python3.11", ["python3", "daily.py"], filename="./daily.py",
                       interp="/usr/bin/python3.11", cwd="/srv/reports")
        recording.sender(77, 42, start, 1000, ancestors=((10, 50 * SECOND + 1),))
        recording.session(77, 42, start, STEPS, uid=1000)
        recording.name(1000, "reports")
        recording.hash(bytes(range(32)))
        recording.close(77)
        return recording

    def test_a_session(self):
        event, = self.messages(self.whole())
        self.assertEqual(event["smtp"]["mail_from"], "reports@corp.example")
        self.assertEqual(event["smtp"]["mail_parameters"], "SIZE=100")
        self.assertEqual(event["smtp"]["rcpt_to"], ["a@corp.example", "b@corp.example"])
        self.assertEqual(event["smtp"]["rcpt_refused"], ["b@corp.example"])
        self.assertEqual(event["smtp"]["helo"], "client.example")
        self.assertEqual(event["smtp"]["bytes"], 23)
        self.assertEqual(event["smtp"]["last_reply"], {"code": 250, "text": "2.0.0 queued as 1"})
        self.assertEqual(event["event"]["outcome"], "success")
        self.assertEqual(event["rule"]["name"], "network_smtp_raw")
        self.assertEqual(event["process"]["pid"], 42)
        self.assertEqual(event["process"]["executable"], "/usr/bin/python3.11")
        self.assertEqual(event["process"]["parent"], {"pid": 10, "name": "cron", "executable": "/usr/sbin/cron"})
        self.assertEqual(event["process"]["hash"]["sha256"], bytes(range(32)).hex())
        self.assertEqual(event["process"]["start"], "2023-11-14T22:14:50.000012Z")
        self.assertEqual(event["smtpsnoop"]["process"]["script"], "/srv/reports/daily.py")
        self.assertEqual(event["user"], {"id": "1000", "name": "reports", "group": {"id": "1000"}})
        self.assertEqual(event["systemd"]["unit"], "report.service")
        self.assertEqual(event["destination"], {"ip": "10.0.0.25", "port": 25})
        self.assertEqual(event["host"]["name"], "recorded-host")
        self.assertEqual(event["smtpsnoop"]["capture"], {
            "hook": "tracepoint", "layer": "socket", "witness": "agree", "complete": True, "missing_bytes": 0,
            "mid_stream": False, "senders_complete": True})

    def test_the_same_again(self):
        recording = self.whole()
        self.assertEqual(self.replay(recording), self.replay(recording))

    def test_started_and_stopped(self):
        events = self.replay(self.whole())
        self.assertEqual(events[0]["event"]["action"], "started")
        self.assertEqual(events[-1]["event"]["action"], "stopped")
        self.assertEqual(events[-1]["smtpsnoop"]["stats"]["messages"], 1)

    def test_the_run_before(self):
        before = REALTIME_OFFSET + 90 * SECOND
        for end, flags, ended, unwatched, how, reason in (
                (1, 0, before, 10 * SECOND, "stopped", "stopped"), (2, 0, before, 10 * SECOND, "killed", "killed"),
                (2, 1, before, 10 * SECOND, "rebooted", "rebooted"), (2, 3, before, 0, "rebooted", "clock set back"),
                (3, 0, 0, 0, "unknown", "unknown time"), (0, 0, 0, 0, "none", None)):
            with self.subTest(end=end, flags=flags):
                recording = Recording()
                recording.data = recording.data[:len(MAGIC) + 24]  # the clock alone
                recording.record(RUN, struct.pack("<IIqQ", end, flags, ended, unwatched))
                recording.host(b"recorded-host")
                events = self.replay(recording)
                previous = events[0]["smtpsnoop"]["previous_run"]
                self.assertEqual((previous["how"], previous.get("unwatched", 0)), (how, unwatched))
                self.assertEqual(previous.get("rebooted", False), bool(flags & 1))
                self.assertEqual([one["event"]["action"] for one in events],
                                 ["started", "capture-loss", "stopped"] if reason else ["started", "stopped"])
                if reason:
                    self.assertIn(reason, events[1]["event"]["reason"])
                self.assertEqual(events[1]["event"].get("duration", 0), unwatched)
                if unwatched:
                    self.assertEqual(events[1]["event"]["start"], previous["end"])

    def connection(self, recording, cookie, queued, port=25, pid=42):
        recording.record(CONNECTION, recording.flow(cookie, port=port, flags=0) + recording.task(pid, 5) +
                         struct.pack("<Q", queued))

    def test_a_peer_that_takes_nothing(self):
        """Much was on its way when the watch began, and nothing passes: the mail is open, and ends as the server says."""
        recording = Recording()
        self.connection(recording, 7, 100_000)
        recording.now += 3 * SECOND
        recording.name(1, "tick")
        recording.segment(7, 1000, b"rest\r\n.\r\n", True, flags=0)
        recording.segment(7, 5000, b"250 ok\r\n", False, flags=0)
        recording.close(7, flags=0)
        first, last = self.messages(recording)
        self.assertEqual(first["smtpsnoop"]["result"], "open")
        self.assertEqual(first["process"]["pid"], 42)
        self.assertEqual((first["event"]["id"], last["event"]["outcome"]), (last["event"]["id"], "success"))

    def test_what_was_on_its_way_was_no_mail(self):
        """Little, on another port, on a connection that begins after all, or followed by a command."""
        for queued, port, flags, then in ((2047, 25, 0, b"NOOP\r\n"), (100_000, 2500, 0, b"NOOP\r\n"),
                                          (100_000, 25, FROM_START, b"EHLO me\r\n"), (100_000, 25, 0, b"NOOP\r\n")):
            with self.subTest(queued=queued, port=port, flags=flags):
                recording = Recording()
                self.connection(recording, 7, queued, port)
                recording.segment(7, 1000, then, True, port=port, flags=flags)
                recording.now += 3 * SECOND
                recording.name(1, "tick")
                recording.segment(7, 5000, b"250 ok\r\n", False, port=port, flags=flags)
                recording.close(7, port=port, flags=flags)
                self.assertEqual(self.messages(recording), [])

    def test_what_left_counts_and_the_difference_is_told(self):
        recording = Recording()
        recording.sender(5, 42, 1)
        recording.segment(5, 1, b"220 hello\r\n", False)
        recording.send(5, 42, 1, 100, b"MAIL FROM:<innocent@x>\r\nRCPT TO:<c@d>\r\n")
        recording.segment(5, 100, b"MAIL FROM:<attacker@x>\r\nRCPT TO:<c@d>\r\n", True)
        recording.close(5)
        event, = self.messages(recording)
        self.assertEqual(event["smtp"]["mail_from"], "attacker@x")
        self.assertEqual(event["smtpsnoop"]["capture"]["witness"], "differ")
        self.assertIn("witnesses_differ", event["smtpsnoop"]["reasons"])
        self.assertEqual(event["event"]["risk_score"], 73)

    def test_a_hole_in_the_message(self):
        recording = Recording()
        recording.sender(5, 42, 1)
        recording.segment(5, 1, b"220 hello\r\n", False)
        recording.segment(5, 100, b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", True)
        recording.segment(5, 12, b"250 ok\r\n250 ok\r\n354 go\r\n", False)
        recording.segment(5, 138, b"first line\r\nand", True, length=500)
        recording.segment(5, 638, b"\r\nlast line\r\n.\r\n", True)
        recording.segment(5, 36, b"250 taken\r\n", False)
        recording.close(5)
        event, = self.messages(recording)
        self.assertEqual(event["event"]["outcome"], "success")
        self.assertEqual(event["smtpsnoop"]["capture"]["missing_bytes"], 485)
        self.assertFalse(event["smtpsnoop"]["capture"]["complete"])

    def test_sequence_numbers_wrap(self):
        recording = Recording()
        recording.sender(5, 42, 1)
        recording.session(5, 42, 1, STEPS, seq=0xFFFFFFF0)
        recording.close(5)
        event, = self.messages(recording)
        self.assertEqual(event["smtp"]["rcpt_to"], ["a@corp.example", "b@corp.example"])
        self.assertEqual(event["smtpsnoop"]["capture"]["witness"], "agree")

    def test_replies_out_of_order_and_repeated(self):
        recording = Recording()
        recording.sender(5, 42, 1)
        recording.segment(5, 1, b"220 hello\r\n", False)
        recording.segment(5, 100, b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", True)
        recording.segment(5, 20, b"550 no\r\n", False)
        recording.segment(5, 12, b"250 ok\r\n", False)
        recording.segment(5, 12, b"250 ok\r\n", False)
        recording.segment(5, 132, b"QUIT\r\n", True)
        recording.close(5)
        event, = self.messages(recording)
        self.assertEqual(event["smtp"]["rcpt_refused"], ["c@d"])
        self.assertEqual(event["event"]["outcome"], "failure")

    def test_several_senders(self):
        recording = Recording()
        recording.exec(42, 1, "/usr/bin/one")
        recording.exec(43, 2, "/usr/bin/two")
        recording.sender(5, 42, 1)
        recording.segment(5, 1, b"220 hello\r\n", False)
        recording.send(5, 42, 1, 100, b"MAIL FROM:<a@b>\r\n")
        recording.segment(5, 100, b"MAIL FROM:<a@b>\r\n", True)
        recording.sender(5, 43, 2)
        recording.send(5, 43, 2, 117, b"RCPT TO:<c@d>\r\n")
        recording.segment(5, 117, b"RCPT TO:<c@d>\r\n", True)
        recording.close(5)
        event, = self.messages(recording)
        self.assertEqual([sender["process"]["executable"] for sender in event["smtpsnoop"]["senders"]],
                         ["/usr/bin/one", "/usr/bin/two"])
        self.assertIn("several_senders", event["smtpsnoop"]["reasons"])

    STOOD = [  # what the kernel side reported before the sender: process, start, path, more; what the event says
        ((42, 1, "/srv/www/shop/uploads"), {}, "/srv/www/shop/uploads"),
        ((42, 1, "/"), {}, "/"),
        ((42, 1, "deep/er"), {"truncated": True}, ".../deep/er"),
        ((42, 1, ""), {"truncated": True}, None),
        ((43, 1, "/other/process"), {}, None),
        ((42, 2, "/later/process/with/this/pid"), {}, None),
        ((42, 1, "/other/thread"), {"tid": 44}, None),
    ]

    def test_working_directory_at_the_send(self):
        for stood, more, expected in self.STOOD:
            with self.subTest(stood=stood, more=more):
                recording = Recording()
                recording.exec(42, 1, "/usr/sbin/php-fpm8.2", cwd="/")
                recording.directory(77, *stood, **more)
                recording.sender(77, 42, 1)
                recording.session(77, 42, 1, STEPS)
                recording.close(77)
                event, = self.messages(recording)
                self.assertEqual(event["smtpsnoop"]["process"].get("working_directory_at_send"), expected)
                self.assertEqual(event["process"]["working_directory"], "/")

    def test_working_directory_of_each_mail(self):
        """A worker keeps its connection: each mail has the directory of its own first byte, and one sender."""
        recording = Recording()
        recording.exec(42, 1, "/usr/sbin/apache2")
        there, back = 100, 1
        for place in ("/srv/one", "/srv/two", "/srv/one", None):
            if place:
                recording.directory(5, 42, 1, place)
            recording.sender(5, 42, 1)
            for data, reply in ((b"MAIL FROM:<a@b>\r\n", b"250 ok\r\n"), (b"RCPT TO:<c@d>\r\n", b"250 ok\r\n"),
                                (b"DATA\r\n", b"354 go on\r\n"), (b"x\r\n.\r\n", b"250 ok\r\n")):
                recording.send(5, 42, 1, there, data)
                recording.segment(5, there, data, True)
                recording.segment(5, back, reply, False)
                there, back = there + len(data), back + len(reply)
                if data == b"DATA\r\n":  # it goes elsewhere within a mail
                    recording.directory(5, 42, 1, "/tmp")
                    recording.sender(5, 42, 1)
        recording.close(5)
        events = self.messages(recording)
        self.assertEqual([event["smtpsnoop"]["process"].get("working_directory_at_send") for event in events],
                         ["/srv/one", "/srv/two", "/srv/one", None])
        for event in events:
            self.assertNotIn("senders", event["smtpsnoop"])
            self.assertNotIn("several_senders", event["smtpsnoop"].get("reasons", []))

    def open_mail(self, recording, rcpt=b"RCPT TO:<c@d>\r\n"):
        """A mail whose data has begun; the position behind it."""
        recording.exec(42, 1, "/usr/bin/one")
        recording.sender(5, 42, 1)
        steps = (("S", b"220 hello\r\n"), ("C", b"HELO x\r\n"), ("S", b"250 ok\r\n"), ("C", b"MAIL FROM:<a@b>\r\n"),
                 ("S", b"250 ok\r\n"), ("C", rcpt), ("S", b"250 ok\r\n"), ("C", b"DATA\r\n"),
                 ("S", b"354 go on\r\n"), ("C", b"Subject: x\r\n\r\n"))
        return recording.session(5, 42, 1, steps)

    def test_silent_for_the_deadline(self):
        recording = Recording()
        seq = self.open_mail(recording)
        recording.now += 61 * SECOND
        recording.name(1, "tick")
        recording.session(5, 42, 1, (("C", b"text\r\n.\r\n"),), seq)
        recording.segment(5, 5046, b"250 taken\r\n", False)
        recording.close(5)
        early, late = self.messages(recording)
        self.assertEqual(early["event"]["id"], late["event"]["id"])
        self.assertEqual((early["smtpsnoop"]["final"], late["smtpsnoop"]["final"]), (False, True))
        self.assertEqual(early["smtpsnoop"]["reasons"], ["transaction_open"])
        self.assertEqual((early["smtp"]["rcpt_to"], early["smtp"]["bytes"]), (["c@d"], 14))
        self.assertEqual(late["event"]["outcome"], "success")

    def test_a_byte_now_and_then(self):
        recording = Recording()
        seq = self.open_mail(recording)
        for at in range(30, 1500, 30):
            recording.now += 30 * SECOND
            seq = recording.session(5, 42, 1, (("C", b"x"),), seq)
            if at == 570: # ten times the deadline has not passed yet
                self.assertEqual([event["smtpsnoop"]["final"] for event in self.messages(recording)], [True])
        recording.close(5)
        early, late = self.messages(recording)
        self.assertEqual((early["smtpsnoop"]["final"], late["smtpsnoop"]["final"]), (False, True))
        self.assertEqual(early["event"]["id"], late["event"]["id"])

    def excluded(self, recording):
        """The one message's verdict and what it lacked, under an exclusion of executable and recipient."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("exclusions: [ { name: one, accept_forgeable: true, process: { executable: /usr/bin/one }, "
                       "mail: { recipients: c@d } } ]\n")
            file.flush()
            event, = self.messages(recording, "--all", "-c", file.name)
        return event["smtpsnoop"]["verdict"], event["smtpsnoop"].get("nearest", {}).get("failed")

    def ended_mail(self, between=lambda recording, seq: seq, after=lambda recording: None, **options):
        recording = Recording()
        seq = self.open_mail(recording, **options)
        seq = between(recording, seq)
        recording.session(5, 42, 1, (("C", b"text\r\n.\r\n"),), seq)
        recording.segment(5, 5046, b"250 taken\r\n", False)
        after(recording)
        recording.close(5)
        return recording

    def test_excluded(self):
        self.assertEqual(self.excluded(self.ended_mail()), ("excluded", None))

    def test_excluded_by_what_was_run(self):
        run = ("script: /srv/reports/daily.py", "working_directory: /srv/*", "arguments: python3 daily.?y")
        for wrong in range(len(run) + 1):
            keys = [f"{key}x" if index == wrong else key for index, key in enumerate(run)]
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                file.write("exclusions: [ { name: one, process: { user: reports, %s } } ]\n" % ", ".join(keys))
                file.flush()
                event, = self.messages(self.whole(), "--all", "-c", file.name)
            found = event["smtpsnoop"]["verdict"], event["smtpsnoop"].get("nearest", {}).get("failed")
            wanted = ("alert", ["process." + run[wrong].partition(":")[0]]) if wrong < len(run) else ("excluded", None)
            self.assertEqual(found, wanted)

    def test_excluded_while_another_user_floods(self):
        # More events of that user than can wait push out his own, not the one whose user is not known yet.
        recording = Recording()
        recording.name(33, "www-data")
        recording.sender(6, 50, 1, uid=33)
        recording.exec(42, 1, "/usr/bin/one")
        recording.sender(5, 42, 1, uid=1000)
        now = recording.now
        recording.session(5, 42, 1, (
            ("S", b"220 x\r\n"), ("C", b"EHLO one\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"),
            ("S", b"250 x\r\n250 x\r\n250 x\r\n354 x\r\n"), ("C", b"text\r\n.\r\n"), ("S", b"250 taken\r\n")), uid=1000)
        greeting = (("S", b"220 x\r\n"), ("C", b"EHLO x\r\n"), ("S", b"250 x\r\n"))
        there, back = recording.session(6, 50, 1, greeting, uid=33), 5014
        said, replies = b"MAIL FROM:<x@y>\r\nRCPT TO:<v@w>\r\nRSET\r\n" * 50, b"250 x\r\n" * 150
        for _ in range(100):
            recording.now = now
            recording.send(6, 50, 1, there, said[:256], len(said), uid=33)
            recording.segment(6, there, said, True)
            recording.segment(6, back, replies, False)
            there, back = there + len(said), back + len(replies)
        recording.name(1000, "reports")
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("exclusions: [ { name: one, process: { executable: /usr/bin/one, user: reports } } ]\n")
            file.flush()
            messages = self.messages(recording, "--all", "-c", file.name)
        verdicts = [event["smtpsnoop"]["verdict"] for event in messages if event["process"]["pid"] == 42]
        self.assertEqual((len(messages), verdicts), (5001, ["excluded"]))

    def test_not_excluded_when_replies_to_nothing_follow(self):
        # What the server takes for a second mail is answered behind the reply that ends the transaction.
        def replies(recording):
            recording.now += SECOND // 10
            recording.segment(5, 5057, b"250 ok\r\n250 ok\r\n", False)
        self.assertEqual(self.excluded(self.ended_mail(after=replies)), ("alert", ["capture"]))

    def test_not_excluded_when_an_address_is_odd(self):
        # A server may take another recipient from it than the one that the exclusion allows.
        for rcpt in (b"RCPT TO:(v@y)c@d\r\n", b"RCPT TO:boss <c@d>\r\n", b"RCPT TO:<c@d>" + b" " * 5000 + b"\r\n"):
            recording = self.ended_mail(rcpt=rcpt)
            self.assertEqual(self.excluded(recording), ("alert", ["capture"]))
            event, = self.messages(recording)
            self.assertEqual(event["smtp"]["rcpt_to"], ["c@d"])
            self.assertIn("odd_address", event["smtpsnoop"]["reasons"])

    def test_not_excluded_when_bytes_are_nobodys(self):
        def unseen(recording, seq):
            recording.segment(5, seq, b"whose is this?\r\n", True)
            return seq + 16
        verdict, failed = self.excluded(self.ended_mail(between=unseen))
        self.assertEqual(verdict, "alert")
        self.assertIn("process.executable", failed)

    def test_not_excluded_when_bytes_are_missing(self):
        def gap(recording, seq):
            recording.send(5, 42, 1, seq, b"x" * 100)
            recording.segment(5, seq, b"", True, 100)
            return seq + 100
        self.assertEqual(self.excluded(self.ended_mail(between=gap)), ("alert", ["capture"]))

    def test_not_excluded_when_its_executable_is_older_than_the_watch(self):
        recording = self.ended_mail()
        self.assertEqual(self.excluded(recording)[0], "excluded")
        recording = Recording()
        recording.exec(42, 1, "/usr/bin/one", flags=4) # EXEC_SNAPSHOT
        recording.sender(5, 42, 1, 1000)
        recording.session(5, 42, 1, (("S", b"220 hello\r\n"), ("C", b"HELO x\r\n"), ("S", b"250 ok\r\n"),
                                     ("C", b"MAIL FROM:<a@b>\r\n"), ("S", b"250 ok\r\n"), ("C", b"RCPT TO:<c@d>\r\n"),
                                     ("S", b"250 ok\r\n"), ("C", b"DATA\r\n"), ("S", b"354 go on\r\n"),
                                     ("C", b"x\r\n.\r\n"), ("S", b"250 ok\r\n")), uid=1000)
        recording.close(5)
        self.assertEqual(self.excluded(recording), ("alert", ["process.executable"]))

    def test_a_mail_behind_gigabytes(self):
        """Where more was let pass than sequence numbers tell, the mail is told, and its sender."""
        for skipped in (1 << 31, (1 << 31) + 5, (1 << 32) - (1 << 24), (1 << 32) - 20, (1 << 32) - 1, 1 << 32):
            recording = Recording()
            recording.sender(5, 41, 1)
            recording.sender(5, 42, 1)
            recording.segment(5, 5000 - len(STEPS[0][1]), STEPS[0][1], False)
            recording.send(5, 41, 1, 1000, b"\0 nothing much, at some length")
            recording.segment(5, 1000, b"\0 nothing much, at some length\n", True)
            recording.session(5, 42, 1, STEPS[1:], 1031 + skipped, flags=FROM_START | SKIPPED)
            recording.close(5)
            event, = self.messages(recording)
            self.assertEqual(event["event"]["outcome"], "success")
            self.assertEqual(event["smtp"]["rcpt_to"], ["a@corp.example", "b@corp.example"])
            self.assertEqual(event["process"]["pid"], 42)
            self.assertNotIn("senders", event["smtpsnoop"])
            self.assertTrue(event["smtpsnoop"]["capture"]["senders_complete"])
            self.assertTrue(event["smtpsnoop"]["capture"]["mid_stream"])

    def test_without_the_wire(self):
        recording = Recording(wire=False)
        recording.sender(5, 42, 1)
        seq = 100
        for line in (b"EHLO x\r\n", b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n", b"DATA\r\n", b"x\r\n.\r\n", b"QUIT\r\n"):
            recording.send(5, 42, 1, seq, line, call=EXIT_FLAG)
            seq += len(line)
        recording.close(5)
        event, = self.messages(recording)
        self.assertEqual(event["event"]["outcome"], "unknown")
        self.assertEqual(event["smtp"]["rcpt_to"], ["c@d"])
        self.assertEqual(event["smtpsnoop"]["capture"]["witness"], "send-only")

    def test_a_second_host(self):
        """What waits for a name, of the first, is told with the first host's name."""
        recording = self.whole()
        recording.exec(43, 91 * SECOND, "/usr/bin/client")
        recording.sender(78, 43, 91 * SECOND, 1001)
        recording.session(78, 43, 91 * SECOND, STEPS, uid=1001)
        for number in range(20):
            recording.host(b"another-host-%d" % number)
        names = [event["host"]["name"] for event in self.replay(recording)
                 if event["event"]["action"] == "smtp-message"]
        self.assertEqual(names, ["recorded-host"] * 2)

    def relay(self, received, uid=105, user="postfix", path="/usr/lib/postfix/sbin/smtp", **exec_options):
        recording = Recording()
        recording.exec(42, 90 * SECOND, path, **exec_options)
        recording.sender(77, 42, 90 * SECOND, uid)
        recording.session(77, 42, 90 * SECOND, [(side, data.replace(b"Subject: x", received + b"Subject: x"))
                                                for side, data in STEPS], uid=uid)
        recording.name(uid, user)
        recording.name(1000, "reports")
        recording.hash(bytes(range(32)))
        recording.close(77)
        event, = self.messages(recording)
        return event["smtpsnoop"].get("origin"), event

    def test_origin(self):
        received = b"Received: by mx (Postfix, from userid 1000)\r\n\tid 4XyZ; now\r\n"
        self.assertEqual(self.relay(received)[0],
                         {"uid": "1000", "user": "reports", "mta": "postfix", "queue_id": "4XyZ"})
        self.assertIsNone(self.relay(b"")[0])
        self.assertIsNone(self.relay(received, user="joe")[0])
        self.assertIsNone(self.relay(received, path="/tmp/smtp")[0])
        self.assertIsNone(self.relay(b"Received: by mx (own)\r\n" + received)[0])

    def test_a_snapshot_from_another_device(self):
        """On overlayfs, /proc tells another device than the kernel: that is no changed link."""
        snapshot, other = 4, 8
        self.assertNotIn("executable_link_changed", self.relay(b"", flags=snapshot, dev=other)[1]["smtpsnoop"].get(
            "reasons", []))
        self.assertIn("executable_link_changed", self.relay(b"", dev=other)[1]["smtpsnoop"]["reasons"])
        self.assertIn("executable_link_changed", self.relay(b"", flags=snapshot, inode=8)[1]["smtpsnoop"]["reasons"])

    def test_losses(self):
        recording = Recording()
        recording.record(LOSS, struct.pack("<10Q", 0, 0, 3, 4096, 0, 0, 0, 0, 0, 0))
        recording.record(LOSS, struct.pack("<10Q", 0, 0, 5, 5000, 0, 0, 0, 0, 0, 0))
        losses = [event["smtpsnoop"]["stats"]["lost"] for event in self.replay(recording)
                  if event["event"]["action"] == "capture-loss"]
        self.assertEqual([(lost["segments"], lost["segment_bytes"]) for lost in losses], [(3, 4096), (2, 904)])

    FLOWS_MAX = 16384

    def hold_open(self, recording, said, count):
        now = recording.now
        for cookie in range(1000, 1000 + count):
            recording.now = now
            recording.segment(cookie, 1000, said, True)

    def dropped(self, events):
        """Flows that left the table, as told while it went on, and at the end."""
        return (sum(event["smtpsnoop"]["stats"]["lost"].get("flows", 0) for event in events
                    if event["event"]["action"] == "capture-loss"),
                events[-1]["smtpsnoop"]["stats"]["lost"]["flows"])

    def test_a_mail_among_many_sessions(self):
        """A full table lets a session go in which no mail is open, and says so."""
        recording = Recording()
        recording.sender(5, 42, 1)
        seq = recording.session(5, 42, 1, STEPS[:4])
        self.hold_open(recording, b"EHLO x\r\n", self.FLOWS_MAX + 200)
        recording.segment(5, 5000 + sum(len(data) for side, data in STEPS[:4] if side == "S"), STEPS[4][1], False)
        for side, data in STEPS[5:]:
            if side == "C":
                recording.send(5, 42, 1, seq, data)
                recording.segment(5, seq, data, True)
                seq += len(data)
        recording.close(5)
        events = self.replay(recording)
        event, = (event for event in events if event["event"]["action"] == "smtp-message")
        self.assertEqual(event["smtp"]["rcpt_to"], ["a@corp.example", "b@corp.example"])
        self.assertEqual(event["process"]["pid"], 42)
        self.assertTrue(event["smtpsnoop"]["capture"]["missing_bytes"] == 0)
        self.assertEqual(self.dropped(events), (201, 201))

    def test_a_mail_among_many_mails(self):
        """Where a mail is open in each of them, one that must go is told as it is: incomplete."""
        recording = Recording()
        recording.session(5, 42, 1, STEPS[:6])
        self.hold_open(recording, b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", self.FLOWS_MAX)
        events = self.replay(recording)
        messages = [event for event in events if event["event"]["action"] == "smtp-message"]
        self.assertEqual(len(messages), self.FLOWS_MAX + 1)
        self.assertEqual(messages[0]["smtp"]["rcpt_to"], ["a@corp.example"])
        self.assertEqual([event["smtpsnoop"]["capture"]["complete"] for event in messages],
                         [False] + [True] * self.FLOWS_MAX)
        self.assertIn("bytes_missing", messages[0]["smtpsnoop"]["reasons"])
        self.assertEqual(self.dropped(events), (1, 1))

    def test_filters(self):
        recording = self.whole()
        for good in (("--pid", "42"), ("--pid", "10"), ("--user", "reports"), ("--user", "1000"), ("--port", "25"),
                     ("--unit", "report.service")):
            self.assertEqual(len(self.messages(recording, *good)), 1, good)
        for bad in (("--pid", "43"), ("--user", "root"), ("--port", "26"), ("--unit", "cron.service"),
                    ("--container", "ab")):
            self.assertEqual(len(self.messages(recording, *bad, warnings=1)), 0, bad)

    def test_count(self):
        # Six mails become known at once; no more are told than were asked for.
        recording = Recording()
        recording.sender(5, 42, 1)
        one = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n"
        recording.segment(5, 1, b"220 hello\r\n", False)
        recording.segment(5, 100, one * 6, True)
        recording.segment(5, 12, b"250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n" * 6, False)
        recording.close(5)
        self.assertEqual(len(self.messages(recording)), 6)
        self.assertEqual(len(self.messages(recording, "--count", "2")), 2)

    def test_a_damaged_recording_gives_what_came_before(self):
        recording = self.whole()
        self.assertEqual(len(self.messages(recording, status=1, data=recording.data[:-1])), 1)
        self.assertEqual(len(self.messages(recording, status=1, data=recording.data + b"\0" * 16)), 1)

    def test_every_truncation(self):
        recording = self.whole()
        for cut in range(len(MAGIC) + 1, len(recording.data), 97):
            data = recording.data[:cut]
            with tempfile.NamedTemporaryFile(suffix=".rec") as file:
                file.write(data)
                file.flush()
                done = subprocess.run([PROGRAM, "replay", file.name, "-o", "json"], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60, check=False)
            self.assertIn(done.returncode, (0, 1), (cut, done.stderr))
            for line in done.stdout.splitlines():
                json.loads(line)

    def test_a_clock_that_wraps(self):
        recording = Recording()
        recording.record(CLOCK, struct.pack("<q", 2**63 - 1))
        recording.session(9, 100, 5, STEPS)
        recording.close(9)
        self.assertEqual(len([one for one in self.replay(recording) if one["event"]["action"] == "smtp-message"]), 1)

    def test_cef(self):
        """A line an event, of the same events, in the same order."""
        recording = self.whole()
        events = self.replay(recording, "--all")
        with tempfile.NamedTemporaryFile(suffix=".rec") as file:
            file.write(recording.data)
            file.flush()
            done = subprocess.run([PROGRAM, "replay", file.name, "--all", "-o", "cef"], stdout=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL, timeout=60, check=True)
        lines = done.stdout.decode().splitlines()
        self.assertEqual([line.split("|")[4] for line in lines], [event["event"]["action"] for event in events])
        self.assertEqual([re.search(r" externalId=(\w+) ", line)[1] for line in lines],
                         [event["event"]["id"] for event in events])

    def test_a_clock_that_goes_back(self):
        """From the end of time to its beginning, within a mail: its duration is no signed number."""
        recording = Recording()
        recording.record(CLOCK, struct.pack("<q", -2**63 + 1))
        there = recording.session(9, 100, 5, STEPS[:4])
        recording.record(CLOCK, struct.pack("<q", 2**62))
        recording.session(9, 100, 5, [step for step in STEPS[4:] if step[0] == "C"], seq=there)
        recording.close(9)
        event, = self.messages(recording)
        self.assertGreaterEqual(event["event"]["duration"], 0)

    def test_flipped_bytes(self):
        recording = self.whole()
        for at in range(len(MAGIC), len(recording.data), 31):
            data = bytearray(recording.data)
            data[at] ^= 0xFF
            with tempfile.NamedTemporaryFile(suffix=".rec") as file:
                file.write(data)
                file.flush()
                done = subprocess.run([PROGRAM, "replay", file.name, "-o", "json"], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60, check=False)
            self.assertIn(done.returncode, (0, 1), (at, done.stderr))


if __name__ == "__main__":
    sys.exit(unittest.main())
