# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What people see: doctor says what this kernel allows and catches its own mail. On a terminal, watch prints a header, an
aligned line per mail and, after Ctrl-C, a summary.
"""

import os
import re
import shutil
import subprocess
import time
import unittest

from harness import LiveCase, PROGRAM, Server, Watch, get, unique, wait_for

CLIENT = """
import sys
import client
port, sender, recipients = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
session = client.Session(port)
for recipient in recipients:
    session.mail(sender, recipient)
session.quit()
"""

HOOKS = ("fentry", "kprobe", "tracepoint")


class Doctor(LiveCase):
    def test_doctor(self):
        watch = Watch(self)
        hook = get(watch.events[0], "smtpsnoop.capture.hook")
        watch.stop()
        self.assertIn(hook, HOOKS)
        done = self.run_snoop("doctor", status=0)
        text = done.stdout.decode("utf-8")
        self.assertEqual(done.stderr, b"")
        self.assertIn("caught", text.lower())
        self.assertIn(hook, text.lower())
        self.assertNotIn("\x1b", text)
        self.assertGreater(text.count("\n"), 3)

    def test_doctor_names_each_hook_family(self):
        text = self.run_snoop("doctor", status=0).stdout.decode().lower()
        for hook in HOOKS:
            self.assertIn(hook, text)

    def test_doctor_beside_other_mail(self):
        # it must catch its own mail, whatever else is sent
        server = Server(self)
        self.write("client_program.py", CLIENT)
        busy = self.program("client_program.py", CLIENT, server.port, "s@example.org",
                            *[unique("r") for _ in range(2000)])
        done = self.run_snoop("doctor", status=0)
        self.assertIn("caught", done.stdout.decode().lower())
        busy.kill()

    def test_started_event(self):
        watch = Watch(self)
        started = watch.events[0]
        stopped = watch.stop()
        self.assertEqual(get(started, "event.kind"), "state")
        self.assertIn(get(started, "smtpsnoop.capture.hook"), HOOKS)
        self.assertEqual(get(stopped, "event.kind"), "state")

    def test_watch_is_the_default_command(self):
        watch = Watch(self, command=())
        watch.stop()


class Terminal(LiveCase):
    """In tmux, with a tmux server for this test only."""

    def setUp(self):
        super().setUp()
        if not shutil.which("tmux"):
            self.skipTest("tmux is not installed")
        self.socket = self.path("tmux.socket")
        self.addCleanup(self.tmux, "kill-server", check=False)

    def tmux(self, *arguments, check=True):
        done = subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=20,
                              env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"})
        if check and done.returncode != 0:
            raise AssertionError(f"tmux {arguments}: {done.stderr!r}")
        return done.stdout.decode("utf-8", "replace")

    def screen(self, *flags):
        return self.tmux("capture-pane", "-p", *flags, "-t", "w")

    def begin(self, width, *options, before=""):
        command = f"{before} '{PROGRAM}' {' '.join(options)}; echo STATUS=$?; exec sleep 60"
        self.tmux("-u", "new-session", "-d", "-s", "w", "-x", str(width), "-y", "50", command)
        wait_for(lambda: self.screen().strip(), 20, "the header on the screen")
        time.sleep(1.5)  # the first output may come before the hooks are attached

    def send(self, server, sender, recipient):
        return self.run_program("client_program.py", CLIENT, server.port, sender, recipient)[0]

    def rows(self, server):
        return [line for line in self.screen().splitlines() if str(server.port) in line]

    def end(self):
        self.tmux("send-keys", "-t", "w", "C-c")
        wait_for(lambda: "STATUS=" in self.screen(), 20, "the end after Ctrl-C")
        return self.screen()

    def watch(self, width, *options):
        server = Server(self)
        self.begin(width, *options)
        pids = [self.send(server, "a@example.org", f"short-{number}@example.net") for number in range(3)]
        pids.append(self.send(server, "l" * 60 + "@example.org", "m" * 60 + "@example.net"))
        wait_for(lambda: len(self.rows(server)) >= 4, 10, lambda: f"four lines on the screen:\n{self.screen()}")
        rows = self.rows(server)
        screen = self.screen()
        return server, pids, rows, screen

    def test_watch_on_a_terminal(self):
        server, pids, rows, screen = self.watch(140)
        self.assertEqual(len(rows), 4, screen)
        lines = [line for line in screen.splitlines() if line.strip()]
        header = next((line for line in lines[:6] if "PID" in line.upper()), None)
        self.assertIsNotNone(header, f"no header that names PID:\n{screen}")
        self.assertLess(lines.index(header), lines.index(rows[0]))
        for row, pid in zip(rows, pids):
            self.assertIn(str(pid), row.split(), screen)
            self.assertRegex(row, r"python3|client\S*\.py", "neither the executable nor its script")
            self.assertIn("root", row)
        # aligned: the server's port starts or ends in the same column in every row
        places = {row.index(str(server.port)) for row in rows}
        self.assertEqual(len(places), 1, screen)
        end = self.end()
        self.assertIn("STATUS=0", end)
        summary = end.split(rows[-1])[-1]
        self.assertRegex(summary, r"\b4\b", f"the closing summary does not say 4:\n{end}")
        self.assertRegex(summary.lower(), r"lost|loss|drop", f"the closing summary does not say what was lost:\n{end}")

    def test_80_columns(self):
        _, pids, rows, screen = self.watch(80)
        self.assertEqual(len(rows), 4, f"a mail takes more than a line at 80 columns:\n{screen}")
        # not wrapped: each row is followed by the next one
        lines = screen.splitlines()
        at = [lines.index(row) for row in rows]
        self.assertEqual(at, list(range(at[0], at[0] + 4)), screen)
        for row, pid in zip(rows, pids):
            self.assertIn(str(pid), row)
        self.assertIn("STATUS=0", self.end())

    def colours(self, before=""):
        server = Server(self)
        self.begin(140, before=before)
        self.send(server, "a@example.org", "b@example.net")
        wait_for(lambda: self.rows(server), 10, lambda: f"a line on the screen:\n{self.screen()}")
        text = self.screen("-e")
        self.end()
        return re.search("\x1b\\[[0-9;]*m", text) is not None

    def test_colour_on_a_terminal(self):
        self.assertTrue(self.colours("env -u NO_COLOR"))

    def test_no_color(self):
        self.assertFalse(self.colours("NO_COLOR=1"))

    def test_wide(self):
        server = Server(self)
        self.begin(240, "-o", "wide")
        self.send(server, "a@example.org", "b@example.net")
        wait_for(lambda: "b@example.net" in self.screen(), 10, lambda: f"the mail on the screen:\n{self.screen()}")
        self.assertIn("a@example.org", self.screen())
        self.assertIn("STATUS=0", self.end())


if __name__ == "__main__":
    unittest.main()
