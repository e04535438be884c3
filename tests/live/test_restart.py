# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a watch says of the time before it: how the previous run of the daemon ended and for how long nobody watched,
and the mail that was under way when the watch began.
"""

import datetime
import os
import signal
import socket
import subprocess
import time

from daemon import Bench, Daemon, events
from harness import (SLOW, LiveCase, Recorder, Server, Watch, action, get, strict_json, unique, validate,
                     wait_for)


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
        state = daemon.runtime
        wait_for(lambda: os.path.exists(os.path.join(state, "run.state")), 5 * SLOW, "the state file")
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait(10)
        killed = time.time()
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


SLOW_DATA = r"""
import sys, time
import client
port, host, recipient = int(sys.argv[1]), sys.argv[2], sys.argv[3]
session = client.Session(port, host)
session.envelope("s@example.org", [recipient])
session.command("DATA")
session.send(b"Subject: slow\r\n\r\nsent before the start\r\n")
print("ready", flush=True)
for line in sys.stdin:
    session.send(line.rstrip("\n").encode() + b"\r\n")
assert session.reply() == 250
session.mail("s@example.org", "second-" + recipient)
session.quit()
"""


HANGING_DATA = r"""
import sys
import client
session = client.Session(int(sys.argv[1]), sys.argv[2])
session.envelope("s@example.org", ["r@example.net"])
session.data((b"x" * 70 + b"\r\n") * 120000)
session.sock.close()
"""


class UnderWay(LiveCase):
    """A mail whose DATA began before the watch did."""

    def slow(self, server, recipient):
        process = self.program("client_program.py", SLOW_DATA, server.port, server.host, recipient,
                               stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    @staticmethod
    def say(process, text):
        process.stdin.write(text + b"\n")
        process.stdin.flush()

    def test_on_a_mail_port(self):
        # An idle connection to the same server says nothing: it is no message.
        server, recipient = Server(self, "--port", "2525", host="127.0.0.77"), unique("r")
        idle = socket.create_connection((server.host, server.port))
        self.addCleanup(idle.close)
        idle.recv(100)
        process, path = self.slow(server, recipient), self.path("under.rec")
        watch = Recorder(self, path)
        began = time.monotonic()
        for number in range(4):
            self.say(process, b"a line of the text, number %d" % number)
            time.sleep(0.4)
        event, = watch.wait(lambda event: action(event) == "smtp-message" and not get(event, "smtpsnoop.final"),
                            timeout_s=3 * SLOW)
        self.assertLess(event["_arrived"] - began, 2.5 * SLOW)
        self.assertEqual(get(event, "smtpsnoop.result"), "open")
        self.assertEqual(get(event, "event.kind"), "alert")
        self.assertIn("under_way_at_start", get(event, "smtpsnoop.reasons"))
        self.assertTrue(get(event, "smtpsnoop.capture.mid_stream"))
        self.assertIsNone(get(event, "smtp.mail_from"))
        self.assert_mail(event, process.pid, port=2525, outcome="unknown", complete=False)
        self.say(process, b".")
        self.finish(process, 0)
        final, = watch.wait_messages(lambda one: get(one, "event.id") == get(event, "event.id"))
        self.assert_mail(final, process.pid, port=2525, outcome="success", complete=False)
        self.assertGreater(get(final, "smtp.bytes"), 100)
        second = watch.message("second-" + recipient)
        self.assert_mail(second, process.pid, "s@example.org", port=2525, complete=None)
        idle.close()
        stopped = watch.stop()
        self.assertEqual(len(watch.messages()), 2)
        self.assertEqual(get(stopped, "smtpsnoop.stats.mid_stream"), 1)
        self.replayed(path, [get(event, "event.id"), get(second, "event.id")])

    def replayed(self, path, ids):
        """The recording gives the same events, and the summary does not say that nothing was lost."""
        done = self.run_snoop("replay", path, "-o", "json", status=0)
        found = [strict_json(line) for line in done.stdout.splitlines()]
        self.assertEqual([(get(event, "event.id"), get(event, "smtpsnoop.final")) for event in found
                          if action(event) == "smtp-message"], [(ids[0], False), (ids[0], True), (ids[1], True)])
        table = self.run_snoop("replay", path, status=0).stdout.decode()
        self.assertIn(" open ", table)
        self.assertNotIn("nothing was lost", table)
        self.assertIn("1 connection began before the watch", table)

    def test_server_that_does_not_read(self):
        # The client hangs in one send from before the start: nothing passes, and the send hook has nothing to see.
        listener = socket.create_server(("127.0.0.77", 587))
        self.addCleanup(listener.close)
        process = self.program("client_program.py", HANGING_DATA, 587, "127.0.0.77")
        peer, _ = listener.accept()
        self.addCleanup(peer.close)
        lines = peer.makefile("rb")
        for reply in (b"220 x", b"250 x", b"250 ok", b"250 ok", b"354 go"):
            peer.sendall(reply + b"\r\n")
            if reply != b"354 go":
                lines.readline()
        time.sleep(0.5)
        watch = Watch(self)
        event, = watch.wait(lambda event: action(event) == "smtp-message" and not get(event, "smtpsnoop.final"),
                            timeout_s=5 * SLOW)
        self.assert_mail(event, process.pid, port=587, outcome="unknown", complete=False)
        while lines.readline() != b".\r\n":
            pass
        peer.sendall(b"250 queued\r\n")
        self.finish(process, 0)
        final, = watch.wait_messages(lambda one: get(one, "event.id") == get(event, "event.id"))
        self.assert_mail(final, process.pid, port=587, complete=False)
        watch.stop(losses=True)

    def test_on_another_port(self):
        # Text on any port may be anything: the server's reply shows that it was a mail.
        server, recipient = Server(self), unique("r")
        process = self.slow(server, recipient)
        watch = Watch(self)
        self.say(process, b"a line of the text\r\nanother one")
        time.sleep(1.5)
        self.say(process, b".")
        self.finish(process, 0)
        watch.message("second-" + recipient)
        watch.stop()
        first, _ = watch.messages()
        self.assertIn("under_way_at_start", get(first, "smtpsnoop.reasons"))
        self.assert_mail(first, process.pid, port=server.port, complete=False)
        self.assertEqual(watch.select(lambda event: get(event, "smtpsnoop.final") is False), [])
