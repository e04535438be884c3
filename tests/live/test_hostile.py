# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Nothing that a sender chooses can break the output: comm, arguments, paths and every byte of a mail full of quotes,
control characters, escape sequences and invalid UTF-8 give one JSON object per line, valid by the schema, and tables
without control characters.
"""

import os
import shutil
import subprocess
import time
import unittest

from harness import LiveCase, PYTHON, PYTHON_EXECUTABLE, Server, Watch, get, unique, wait_for

NASTY = b"\"'\\ \x1b[31;1m\x1b]0;title\x07 \x7f\x9b\x85 " \
        b"\xff\xfe\xc3[ \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x80\xa8 \x01\x08\x0b\x0c %s%n ${x}"

NASTY_NAME = b"to\"ol \x1b[2J\n\xff\t\\"

CLIENT = """
import ctypes, os, sys
import client
port, recipient = int(sys.argv[1]), os.fsencode(sys.argv[2])
nasty = %r
ctypes.CDLL(None).prctl(15, nasty[:15], 0, 0, 0)
session = client.Session(port, helo=nasty)
session.mail(nasty + b"@example.org", [recipient, nasty + b"@example.net", b'"a b>c\\x1b"@example.net'],
             b"Subject: " + nasty + b"\\r\\nFrom: " + nasty + b"\\r\\nTo: =?utf-8?B?Gw==?= <x>\\r\\n\\r\\n"
             + nasty + b"\\r\\n")
session.command(nasty)
session.quit()
""" % NASTY

CONTROLS = [bytes([one]) for one in (*range(0x0a), *range(0x0b, 0x20))]
DELETE = [b"\x7f"]  # allowed in a JSON string, not in a table
C1_CONTROLS = [chr(one).encode() for one in range(0x80, 0xa0)]


class Hostile(LiveCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.watch = Watch(cls)

    @classmethod
    def tearDownClass(cls):
        # Every line is parsed strictly and validated. The kernel skips a run of a program while that program runs on the
        # same CPU, and counts it (missed_runs). No test of this class depends on it.
        cls.watch.stop(losses=True)
        super().tearDownClass()

    def send(self, server, recipient, executable=PYTHON_EXECUTABLE, arguments=(), cwd=None, script=None):
        """Runs a client with these arguments, as `script` or by `executable`, a copy of Python; returns its pid."""
        command = [script] if script else [executable, self.write("client_program.py", CLIENT)]
        process = self.spawn([*command, str(server.port).encode(), recipient.encode(), *arguments],
                             cwd=cwd or self.work, env={**os.environ, "PYTHONHOME": "/usr", "PYTHONPATH": self.work})
        self.finish(process)
        return process.pid

    def nasty_directory(self):
        path = os.fsencode(self.work) + b"/" + NASTY_NAME
        os.mkdir(path)
        return path

    def nasty_executable(self):
        path = self.nasty_directory() + b"/" + NASTY_NAME
        shutil.copy(PYTHON_EXECUTABLE, path)
        return path

    def json_case(self, **keywords):
        server, watch, recipient = Server(self), self.watch, unique("r")
        pid = self.send(server, recipient, **keywords)
        event = watch.message(recipient)
        self.assertEqual(get(event, "process.pid"), pid)
        self.assertEqual(get(event, "event.outcome"), "success")
        self.assertEqual(len(get(event, "smtp.rcpt_to")), 3)
        self.assertTrue(get(event, "smtp.mail_from").endswith("@example.org"))
        for text in watch.lines:
            for control in CONTROLS:
                self.assertNotIn(control, text)
        return event

    def test_mail_and_comm(self):
        event = self.json_case()
        self.assertEqual(get(event, "process.executable"), PYTHON_EXECUTABLE)
        self.assertIn("[31;1m", get(event, "smtp.mail_from"))
        self.assertIn("[31;1m", get(event, "smtp.helo"))

    def test_arguments(self):
        event = self.json_case(arguments=[NASTY, b"", b"\n\n", b"\xff" * 100])
        args = get(event, "process.args")
        self.assertEqual(len(args), 8, args)
        self.assertEqual(args[5], "")
        self.assertEqual(args[6], "\n\n")

    def test_arguments_of_100_kb(self):
        # Cut somewhere; the first argument is whole.
        event = self.json_case(arguments=[b"x" * 100_000, NASTY * 50])
        self.assertEqual(get(event, "process.args")[1], self.path("client_program.py"))

    def test_2000_arguments(self):
        event = self.json_case(arguments=[b"\x1b%d" % number for number in range(2000)])
        arguments = get(event, "process.args")
        self.assertEqual(arguments[1], self.path("client_program.py"))
        first = arguments.index("\x1b0")
        self.assertEqual(arguments[first:], ["\x1b%d" % number for number in range(len(arguments) - first)])
        self.assertEqual(get(event, "process.args_count"), first + 2000)
        self.assertTrue(get(event, "smtpsnoop.process.args_truncated"))

    def test_no_arguments_at_all(self):
        # without argv[0], the kernel sets it to ""
        server, watch, recipient = Server(self), self.watch, unique("r")
        program = CLIENT.replace("sys.argv[1]", f"'{server.port}'").replace("sys.argv[2]", f"'{recipient}'")
        process = self.spawn([""], executable=PYTHON_EXECUTABLE, cwd=self.work, stdin=subprocess.PIPE,
                             env={**os.environ, "PYTHONPATH": self.work, "PYTHONHOME": "/usr"})
        process.communicate(program.encode(), timeout=30)
        event = watch.message(recipient)
        self.assertEqual(get(event, "process.executable"), PYTHON_EXECUTABLE)
        self.assertEqual(get(event, "process.args"), [""])

    def test_executable_and_directory(self):
        executable = self.nasty_executable()
        event = self.json_case(executable=executable, cwd=os.path.dirname(executable))
        path = get(event, "process.executable")
        self.assertTrue(path.startswith(self.work + '/to"ol \x1b[2J\n'), path)
        self.assertTrue(get(event, "process.working_directory").startswith(self.work + '/to"ol'))

    def test_script_path(self):
        path = self.nasty_directory() + b"/" + NASTY_NAME + b".py"
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!{PYTHON}\n" + CLIENT)
        os.chmod(path, 0o755)
        event = self.json_case(script=path)
        self.assertIn('to"ol \x1b[2J\n', get(event, "smtpsnoop.process.script"))

    def test_executable_path_4000_bytes_deep(self):
        path = self.work
        while len(path) < 3700:
            path += "/" + "d" * 200
            os.mkdir(path)
        path += "/tool"
        shutil.copy(PYTHON_EXECUTABLE, path)
        server, watch, recipient = Server(self), Watch(self), unique("r")
        self.send(server, recipient, executable=path)
        event = watch.message(recipient)
        watch.stop()
        # Either the whole path is reported, or it is marked as cut: a part must not look like another path.
        known = get(event, "process.executable")
        self.assertTrue(known is None or known == path or not known.startswith("/") or known.endswith("…")
                        or known.endswith("..."), f"{len(known)} bytes: {known[:60]} to {known[-60:]}")

    def test_very_long_lines(self):
        server, watch = Server(self), Watch(self)
        recipient = unique("r")
        program = """
import sys
import client
session = client.Session(int(sys.argv[1]))
session.mail("a" * 3000 + "@example.org", [sys.argv[2], "b" * 60000 + "@example.net"])
session.quit()
"""
        self.run_program("client_program.py", program, server.port, recipient)
        event = watch.message(recipient)
        watch.stop()
        self.assertEqual(get(event, "smtp.mail_from")[:100], "a" * 100)
        self.assertEqual(get(event, "event.outcome"), "success")

    def tables(self, output):
        server, recipients = Server(self), [unique("r") for _ in range(3)]
        watch = Watch(self, output=output, ready=False, env={**os.environ, "TERM": "xterm-256color"})
        wait_for(lambda: watch.lines, 20, "the table's header")
        time.sleep(1)
        executable = self.nasty_executable()
        for recipient in recipients:
            self.send(server, recipient, executable=executable, arguments=[NASTY], cwd=os.path.dirname(executable))
        time.sleep(2)
        watch.stop()
        text = b"".join(watch.lines)
        for control in CONTROLS + DELETE + C1_CONTROLS + ["\u2028".encode(), "\u202e".encode()]:
            self.assertNotIn(control, text)
        text.decode("utf-8")
        rows = [line for line in watch.lines if str(server.port).encode() in line]
        self.assertEqual(len(rows), len(recipients), f"not one line a mail: {text!r}")

    def test_table(self):
        self.tables("table")

    def test_wide(self):
        self.tables("wide")


if __name__ == "__main__":
    unittest.main()
