# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Ids and names of containers: as fields, for the filter, and for exclusions, from a recording and from its events."""

import json
import subprocess
import sys
import tempfile
import unittest

import test_replay
from test_replay import SECOND, STEPS

ID = "0123456789abcdef" * 4
TASK = "fedcba9876543210" * 2


class Containers(unittest.TestCase):
    replay = test_replay.Replay.replay
    messages = test_replay.Replay.messages

    def mailed(self, cgroup):
        recording = test_replay.Recording()
        start = 90 * SECOND
        recording.exec(42, start, "/usr/bin/one")
        recording.sender(5, 42, start, 1000, cgroup=cgroup)
        recording.session(5, 42, start, STEPS, uid=1000)
        recording.name(1000, "reports")
        recording.close(5)
        return recording

    def test_fields(self):
        for cgroup, container in (
                (f"/ecs/{TASK}/{ID}", {"id": ID, "runtime": "docker"}),
                (f"/kubepods/burstable/pod1/{ID}", {"id": ID}),
                ("/lxc.payload.web", {"name": "web", "runtime": "lxc"}),
                ("/machine.slice/systemd-nspawn@db.service/payload", {"name": "db", "runtime": "systemd-nspawn"}),
                (f"/system.slice/report.service/ecs/{TASK}/{ID}", None)):
            event, = self.messages(self.mailed(cgroup))
            self.assertEqual(event.get("container"), container, cgroup)

    def test_filter(self):
        with_id, named = self.mailed(f"/ecs/{TASK}/{ID}"), self.mailed("/lxc.payload.web2")
        for recording, wanted, count in ((with_id, ID[:12], 1), (with_id, ID, 1), (with_id, TASK, 0),
                                         (named, "web2", 1), (named, "web", 0), (named, "web22", 0)):
            self.assertEqual(len(self.messages(recording, "--container", wanted, warnings=1 - count)), count, wanted)

    def test_exclusions(self):
        """An exclusion sees the id or the name; explain reads the same from the event."""
        for cgroup, pattern, verdict in ((f"/ecs/{TASK}/{ID}", ID[:8] + "*", "excluded"),
                                         ("/lxc.payload.web", "web", "excluded"), ("/lxc.payload.web2", "web", "alert"),
                                         ("/system.slice/report.service/lxc.payload.web", "web", "alert")):
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                file.write("exclusions: [ { name: one, process: { user: reports, executable: /usr/bin/one, "
                           f"container: '{pattern}' }} }} ]\n")
                file.flush()
                event, = self.messages(self.mailed(cgroup), "--all", "-c", file.name)
                done = subprocess.run([test_replay.PROGRAM, "explain", "-c", file.name], input=json.dumps(event).encode(),
                                      stdout=subprocess.PIPE, timeout=60, check=True)
            self.assertEqual(event["smtpsnoop"]["verdict"], verdict, cgroup)
            state = "met" if verdict == "excluded" else "failed"
            self.assertRegex(done.stdout.decode(), rf"{state} +process\.container", cgroup)


if __name__ == "__main__":
    sys.exit(unittest.main())
