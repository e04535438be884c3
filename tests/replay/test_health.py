# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a self-check of the capture found, as a recording holds it, becomes the events that the watch gave."""

import struct
import subprocess
import sys
import tempfile
import unittest

import test_replay
from test_replay import SECOND

HEALTH = 72


class Health(unittest.TestCase):
    replay = test_replay.Replay.replay

    def check(self, recording, flags, good_s, error=0):
        recording.record(HEALTH, struct.pack("<QIi", recording.now - int(good_s * SECOND), flags, error))

    def test_self_checks(self):
        """An event when something was found or a state changes, none while it stays; what hooks work is told as it is
        then."""
        seen, wire_removed, wire_detached, wire_missed, unsent = 1 << 13, 1 << 9, 1 << 1, 1 << 3, 1 << 4
        steps = [(seen, 1), (seen, 50),
                 (wire_removed, 1), (seen, 1),
                 (wire_removed | wire_detached, 1), (wire_detached, 2), (seen, 3),
                 (wire_missed, 50), (wire_missed, 100), (seen, 100),
                 (unsent, 50), (seen, 50)]
        recording = test_replay.Recording()
        for flags, good_s in steps:
            self.check(recording, flags, good_s, 110 if flags & unsent else 0)
        told = [event for event in self.replay(recording) if event["event"]["action"] == "capture-loss"]
        self.assertEqual([event["smtpsnoop"]["reasons"] for event in told], [
            ["wire_hook_removed", "wire_hook_attached"],
            ["wire_hook_removed", "wire_hook_detached"], ["wire_hook_attached"],
            ["wire_hook_blind"], ["wire_hook_sees"],
            ["canary_unsent"], ["canary_sent"]])
        self.assertEqual([event["smtpsnoop"]["capture"]["wire"] for event in told],
                         [True, False, True, False, True, True, True])
        self.assertEqual([round(event["event"]["duration"] / SECOND) for event in told], [1, 1, 3, 50, 100, 50, 50])
        self.assertIn("Connection timed out", told[5]["event"]["reason"])
        self.assertEqual(told[0]["event"]["reason"], "the wire hook was removed; the wire hook is attached again; "
                                                     "the last good check was 1.0 s earlier")
        for event in told:
            self.assertEqual(event["smtpsnoop"]["capture"]["hook"], "tracepoint")
            self.assertIn("checked", event["smtpsnoop"]["capture"])

    def test_table(self):
        """The summary does not say that nothing was lost."""
        recording = test_replay.Recording()
        self.check(recording, 1 << 9, 1)
        with tempfile.NamedTemporaryFile(suffix=".rec") as file:
            file.write(recording.data)
            file.flush()
            said = subprocess.run([test_replay.PROGRAM, "replay", file.name, "-o", "table"], stdout=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL, timeout=60, check=True).stdout.decode()
        self.assertIn("self-check: the wire hook was removed; the wire hook is attached again", said)
        self.assertIn("not captured: see above", said)
        self.assertNotIn("nothing was lost", said)

    def test_a_blind_send_hook(self):
        recording = test_replay.Recording()
        self.check(recording, 1 << 2, 50)
        event = [event for event in self.replay(recording) if event["event"]["action"] == "capture-loss"][0]
        self.assertEqual(event["smtpsnoop"]["capture"], {"hook": "none", "wire": True})
        self.assertEqual(event["smtpsnoop"]["reasons"], ["send_hook_blind"])

    def canary(self, uid=0, token="0123456789abcdef" * 2, remote="127.0.0.1", helo=b"localhost", body=b"", before=()):
        """The verdict and the exclusion of a mail that looks like the canary of another watch."""
        address = f"<{token}@localhost>\r\n".encode()
        recording = test_replay.Recording()
        recording.sender(9, 42, 1, uid)
        recording.session(9, 42, 1, [
            ("S", b"220 localhost self-check\r\n"), ("C", b"EHLO " + helo + b"\r\n"), ("S", b"250 self-check\r\n"), *before,
            ("C", b"MAIL FROM:" + address), ("S", b"250 sender\r\n"), ("C", b"RCPT TO:" + address),
            ("S", b"250 recipient\r\n"), ("C", b"DATA\r\n"), ("S", b"354 go on\r\n"),
            ("C", b"Subject: " + token.encode() + b"\r\n\r\n" + body + b".\r\n"), ("S", b"250 taken\r\n"),
            ("C", b"QUIT\r\n"), ("S", b"221 bye\r\n")], uid=uid, local="127.0.0.1", remote=remote)
        recording.close(9)
        event = [event for event in self.replay(recording, "--all") if event["event"]["action"] == "smtp-message"][-1]
        return event["smtpsnoop"]["verdict"], event["smtpsnoop"].get("exclusion")

    def test_the_canary_of_another_watch(self):
        self.assertEqual(self.canary(), ("excluded", "self-check"))
        for other in ({"uid": 1000}, {"token": "0123456789abcdeg" * 2}, {"token": "0123456789abcdef" * 3},
                      {"remote": "10.0.0.25"}, {"helo": b"client"}, {"body": b"secret\r\n"},
                      {"before": (("C", b"MAIL FROM:<a@example.org>\r\n"), ("S", b"250 ok\r\n"),
                                  ("C", b"RCPT TO:<b@example.org>\r\n"), ("S", b"250 ok\r\n"),
                                  ("C", b"RSET\r\n"), ("S", b"250 ok\r\n"))}):
            with self.subTest(other):
                self.assertEqual(self.canary(**other), ("alert", None))


if __name__ == "__main__":
    sys.exit(unittest.main())
