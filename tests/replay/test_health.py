# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a self-check of the capture found, as a recording holds it, becomes the events that the watch gave."""

import struct
import sys
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

    def test_a_blind_send_hook(self):
        recording = test_replay.Recording()
        self.check(recording, 1 << 2, 50)
        event = [event for event in self.replay(recording) if event["event"]["action"] == "capture-loss"][0]
        self.assertEqual(event["smtpsnoop"]["capture"], {"hook": "none", "wire": True})
        self.assertEqual(event["smtpsnoop"]["reasons"], ["send_hook_blind"])


if __name__ == "__main__":
    sys.exit(unittest.main())
