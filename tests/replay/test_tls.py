# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Mail under TLS: a session whose plaintext a library passed on is decided like any other, and one whose plaintext was
not seen by what is known of it. Who replays text that was encrypted on the wire is told so."""

import struct
import subprocess
import tempfile
import unittest

import test_replay
from test_replay import PROGRAM, Recording

TLS, PLAINTEXT, FLOW_TLS = 10, 1 << 62, 1 << 5
WIRE, PROBES = 1, 4
OPENSSL, GNUTLS = 1, 2
MAIL = (("C", b"EHLO x\r\n"), ("S", b"250 ok\r\n"), ("C", b"MAIL FROM:<a@corp.example>\r\n"), ("S", b"250 ok\r\n"),
        ("C", b"RCPT TO:<b@corp.example>\r\n"), ("S", b"250 ok\r\n"), ("C", b"DATA\r\n"), ("S", b"354 go\r\n"),
        ("C", b"Subject: daily\r\n\r\nhi\r\n.\r\n"), ("S", b"250 ok\r\n"), ("C", b"QUIT\r\n"), ("S", b"221 bye\r\n"))


def hello(message, body):
    """A handshake message in one TLS record."""
    return b"\x16\3\3" + struct.pack(">HBBH", 4 + len(body), message, 0, len(body)) + body


def client(name):
    names = struct.pack(">HBH", 3 + len(name), 0, len(name)) + name
    extensions = struct.pack(">HH", 0, len(names)) + names
    return hello(1, b"\3\3" + bytes(32) + b"\0\0\2\x13\1\1\0" + struct.pack(">H", len(extensions)) + extensions)


SERVER = hello(2, b"\3\3" + bytes(32) + b"\0\x13\1\0\0\6\0\x2b\0\2\3\4")


def smtps(plaintext=True, name=b"mx.corp.example", cookie=5):
    """TLS from the first byte on, to port 465."""
    recording = Recording(wire=WIRE | PROBES)
    recording.exec(42, 1, "/usr/bin/one")
    add(recording, plaintext, name, cookie)
    return recording


def add(recording, plaintext, name, cookie):
    key = cookie ^ PLAINTEXT
    recording.sender(cookie, 42, 1)
    recording.send(cookie, 42, 1, 1000, client(name), port=465)
    recording.segment(cookie, 1000, client(name), True, port=465, flags=1 | FLOW_TLS)
    if plaintext:
        recording.record(TLS, recording.flow(key, port=465) + struct.pack("<4I", GNUTLS, 0, len(client(name)), len(SERVER)) +
                         client(name) + SERVER)
        recording.sender(key, 42, 1)
        there = back = 0
        for side, data in (("S", b"220 hello\r\n"), *MAIL):
            if side == "C":
                recording.send(key, 42, 1, there, data, port=465)
                there += len(data)
            else:
                recording.segment(key, back, data, False, port=465)
                back += len(data)
    recording.close(cookie, port=465)


class Tls(unittest.TestCase):
    replay = test_replay.Replay.replay

    def decided(self, recording, exclusion, warnings):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("exclusions: [ { name: one, accept_forgeable: true, process: { executable: /usr/bin/one }, " +
                       exclusion + " } ]\n")
            file.flush()
            events = self.replay(recording, "-c", file.name, "--all", warnings=warnings)
        event, = (event for event in events if event["event"]["action"] in ("smtp-message", "smtp-encrypted"))
        own = event["smtpsnoop"]
        return own["verdict"], own.get("exclusion") or own["nearest"]["failed"]

    def test_exclusions(self):
        passed = ("excluded", "one")
        for exclusion, plain, unseen in (
                ("tls: required", passed, ("alert", ["encrypted"])),
                ("tls: required, encrypted: allow", passed, passed),
                ("tls: none, encrypted: allow", ("alert", ["tls"]), ("alert", ["tls"])),
                ("tls: any, encrypted: allow", passed, passed),
                # of mail that was not seen, no criterion is met; `encrypted: allow` is what lets it pass
                ("mail: { sender: '*@*' }", passed, ("alert", ["encrypted"])),
                ("mail: { recipients: '*@*' }", passed, ("alert", ["encrypted"])),
                ("mail: { subject: '*' }", passed, ("alert", ["encrypted"])),
                ("mail: { matches: '.*' }", passed, ("alert", ["encrypted"])),
                ("mail: { sender: b@corp.example }", ("alert", ["mail.sender"]), ("alert", ["encrypted"]))):
            with self.subTest(exclusion):
                self.assertEqual(self.decided(smtps(), exclusion, 1), plain)
                self.assertEqual(self.decided(smtps(plaintext=False), exclusion, 0), unseen)

    def text(self, recording, *options):
        with tempfile.NamedTemporaryFile(suffix=".rec") as file:
            file.write(recording.data)
            file.flush()
            done = subprocess.run([PROGRAM, "replay", file.name, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL, timeout=60, check=True)
        return done.stdout.decode(), done.stderr.decode().replace(file.name, "FILE")

    def test_the_recording_says_what_it_contains(self):
        recording = smtps()
        self.assertEqual(self.text(recording)[1], "smtpsnoop: FILE: the recording contains the text of 1 session that was "
                         "encrypted on the wire\n")
        add(recording, True, b"mx.corp.example", 6)
        self.assertEqual(self.text(recording)[1], "smtpsnoop: FILE: the recording contains the text of 2 sessions that were "
                         "encrypted on the wire\n")
        self.assertEqual(self.text(smtps(plaintext=False))[1], "")

    def test_sentence(self):
        out, _ = self.text(smtps(), "-o", "cef")
        self.assertIn(" sent mail to 10.0.0.25:465 under TLS 1.3 (250, ", out)
        out, _ = self.text(smtps(plaintext=False), "-o", "cef")
        self.assertIn(" opened an encrypted SMTP session to 10.0.0.25:465 for <mx.corp.example> under TLS with ", out)
        self.assertIn(" reason=plaintext_unseen", out)

    def test_table(self):
        out, _ = self.text(smtps(plaintext=False))
        row, = (line for line in out.splitlines() if " tls " in line)
        self.assertNotIn("plaintext_unseen", row)  # the result says it
        self.assertIn("one (0): plaintext_unseen", out)

    def test_hostile_names(self):
        for name in (b"a b.example", b"\x1b[31m.example", b"a\0.example", b"", b"n" * 256):
            event, = (event for event in self.replay(smtps(False, name), "--all")
                      if event["event"]["action"] == "smtp-encrypted")
            self.assertNotIn("client", event["tls"])
        event, = (event for event in self.replay(smtps(False, b"<\"=|\\"), "--all")
                  if event["event"]["action"] == "smtp-encrypted")
        self.assertEqual(event["tls"]["client"]["server_name"], "<\"=|\\")

    def test_what_is_dark(self):
        for wire, says in ((WIRE, "TLS libraries are not probed"), (WIRE | PROBES, "whose TLS library cannot be probed")):
            started = self.replay(Recording(wire=wire))[0]
            self.assertIn(says, "\n".join(started["smtpsnoop"]["capture"]["blind"]))


if __name__ == "__main__":
    unittest.main()
