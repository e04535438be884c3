# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a watch says of the time before it: how the previous run of the daemon ended and for how long nobody watched,
and the mail that was under way when the watch began.
"""

import datetime
import os
import signal
import time

from daemon import Bench, Daemon, events
from harness import SLOW, action, get, validate


def seconds(stamp):
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


class PreviousRun(Bench):
    def begun(self, path, count):
        """The events of the last run: from its `started` on."""
        everything = events(path)
        starts = [number for number, event in enumerate(everything) if action(event) == "started"]
        self.assertEqual(len(starts), count)
        return everything[starts[-1]:]

    def look(self, path, count, how, ended):
        """One run after another one that ended at `ended`: `started`, and the loss that covers the span."""
        run = self.begun(path, count)
        previous = get(run[0], "smtpsnoop.previous_run")
        self.assertEqual((previous["how"], previous["rebooted"]), (how, False))
        began = seconds(run[0]["@timestamp"])
        self.assertAlmostEqual(seconds(previous["end"]) + previous["unwatched"] / 1e9, began, delta=0.2)
        loss = run[1]
        self.assertEqual(action(loss), "capture-loss")
        self.assertIn(how, get(loss, "event.reason"))
        self.assertEqual(get(loss, "event.start"), previous["end"])
        self.assertEqual(get(loss, "event.duration"), previous["unwatched"])
        self.assertLessEqual(seconds(previous["end"]), ended + 0.1)
        self.assertGreater(seconds(previous["end"]), ended - 11)
        validate(run)
        return seconds(previous["end"])

    def test_killed_and_stopped(self):
        path = os.path.join(self.folder, "events.json")
        config = {"outputs": [{"type": "json", "path": path, "name": "file"}]}
        daemon = Daemon(self, self.folder, config)
        first = self.begun(path, 1)
        self.assertEqual(get(first[0], "smtpsnoop.previous_run"), {"how": "none"})
        self.assertEqual([event for event in first if action(event) == "capture-loss"], [])
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait(10)
        killed = time.time()
        state = daemon.runtime
        daemon = Daemon(self, self.folder, config, env={"STATE_DIRECTORY": state})
        self.look(path, 2, "killed", killed)
        daemon.stop()
        stopped = time.time()
        daemon = Daemon(self, self.folder, config, env={"STATE_DIRECTORY": state})
        # An orderly end is known exactly; outputs may have written for a while after it.
        self.assertGreater(self.look(path, 3, "stopped", stopped), stopped - 6 * SLOW)
        daemon.stop()
        self.assertEqual(sorted(os.listdir(state)), ["notify", "run.lock", "run.state", "smtpsnoop.pid"])
        self.assertEqual(os.stat(os.path.join(state, "run.state")).st_mode & 0o777, 0o600)
