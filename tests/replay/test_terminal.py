# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The table on a real pseudo-terminal: the width of every line, colours, a change of the size, and what a pipe gets.

The lines are read by a small terminal that is not ours: it has Python's own table of the width of characters."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import tempfile
import termios
import threading
import time
import unicodedata
import unittest

from test_replay import PROGRAM, SECOND, Recording

SGR = re.compile(r"\033\[[0-9;]*m")
WIDTHS = range(60, 221)
CONFIG = """
exclusions:
  - name: nightly
    process: { user: reports, executable: /usr/bin/* }
"""
MAILERS = (  # executable, script, user, recipient
    ("/usr/bin/msmtp", None, "reports", "ops@corp.example"),
    ("/usr/bin/msmtp", None, "www-data", "firstname.lastname@partner.example"),
    ("/usr/bin/python3.11", "/srv/夜間報告書送信プログラム.py", "nuxtr", "受取人@取引先企業株式会社.example"),
    ("/usr/bin/perl", "/srv/e\u0301\u200b\u200d\ufeff.pl", "list-x", "x\u200d@\u200b.example"),
    ("/usr/bin/" + "long" * 30, None, "long" * 8, "local" * 10 + "@" + "label." * 10 + "example"),
)


def mail(recording, cookie, mailer):
    executable, script, user, recipient = mailer
    uid, start = 1000 + cookie, 90 * SECOND + cookie
    recording.exec(cookie, start, executable, [executable, script] if script else [executable],
                   filename=script or executable, interp=executable)
    recording.sender(cookie, cookie, start, uid, cgroup="/system.slice/夜間報告.service" if script else "/")
    recording.name(uid, user)
    recording.session(cookie, cookie, start, (
        ("S", b"220 mail.example ESMTP\r\n"), ("C", b"EHLO c.example\r\n"), ("S", b"250 mail.example\r\n"),
        ("C", b"MAIL FROM:<" + "報告@corp.example".encode() + b">\r\n"), ("S", b"250 ok\r\n"),
        ("C", b"RCPT TO:<" + recipient.encode() + b">\r\n"), ("S", b"250 ok\r\n"),
        ("C", b"RCPT TO:<b@other.example>\r\n"), ("S", b"550 5.1.1 no such user\r\n"),
        ("C", b"DATA\r\n"), ("S", b"354 go on\r\n"), ("C", b"Subject: x\r\n\r\nhello\r\n.\r\n"),
        ("S", b"250 2.0.0 queued\r\n"), ("C", b"QUIT\r\n"), ("S", b"221 bye\r\n")), uid=uid)
    recording.close(cookie)


def whole():
    recording = Recording()
    for cookie, mailer in enumerate(MAILERS, 10):
        mail(recording, cookie, mailer)
    return recording


def columns(text):
    """Those that a terminal uses. Zero-width characters must not reach it."""
    for char in text:
        assert not unicodedata.combining(char) and unicodedata.category(char) not in ("Cf", "Cc"), ascii(char)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def screen(text, width):
    """The lines as a strict terminal shows them: it begins a line as soon as one is full."""
    lines, used = [""], 0
    for char in SGR.sub("", text).replace("\r\n", "\n"):
        if char == "\n":
            lines.append("")
            used = 0
            continue
        wide = columns(char)
        if used + wide > width:
            lines.append("")
            used = 0
        lines[-1] += char
        used += wide
        if used == width:
            lines.append("")
            used = 0
    return lines


class Terminal:
    """A pseudo-terminal, and the program on it."""

    def __init__(self, width, rows, *args, **environment):
        self.master, slave = pty.openpty()
        self.resize(width, rows)
        given = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm", **environment}
        if "NO_COLOR" not in environment:
            given.pop("NO_COLOR", None)
        # pylint: disable=consider-using-with
        self.program = subprocess.Popen([PROGRAM, *args], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
                                        env=given)
        os.close(slave)
        self.data = b""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def resize(self, width, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, width, 0, 0))

    def read(self):
        while True:
            try:
                more = os.read(self.master, 65536)
            except OSError:  # the program has ended
                return
            if not more:
                return
            self.data += more

    def wait_for_line(self, words, start):
        """Until there is a whole line with these words, as a regular expression."""
        end, line = time.monotonic() + 20, re.compile(words + rb"[^\n]*\n")
        while not line.search(self.data[start:]):
            assert time.monotonic() < end, self.data
            time.sleep(0.002)

    def all(self):
        assert self.program.wait(60) == 0
        self.reader.join()
        os.close(self.master)
        return self.data


class Table(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        cls.addClassCleanup(cls.work.cleanup)
        cls.file = os.path.join(cls.work.name, "whole.rec")
        cls.config = os.path.join(cls.work.name, "smtpsnoop.yaml")
        with open(cls.file, "wb") as file:
            file.write(whole().data)
        with open(cls.config, "w", encoding="utf-8") as file:
            file.write(CONFIG)
        os.chmod(cls.config, 0o600)

    def replay(self, width, *more, rows=50, **environment):
        return Terminal(width, rows, "replay", self.file, "-c", self.config, *more, **environment).all().decode()

    def resized(self, sizes, mailers, **environment):
        """One program on a terminal that changes its size before each batch of mails: (width, what was written)."""
        pipe, recording, done, seen = os.path.join(self.work.name, "pipe.rec"), Recording(), 0, []
        os.mkfifo(pipe)
        terminal = Terminal(sizes[0], 1000, "replay", pipe, "-c", self.config, "--all", **environment)
        with open(pipe, "wb", buffering=0) as file:
            for number, width in enumerate(sizes):
                terminal.resize(width, 1000)
                for cookie, mailer in enumerate(mailers, 1000 + 10 * number):
                    mail(recording, cookie, mailer)
                recording.now += 5 * SECOND
                recording.sender(999, 1, 1)  # so that the clock goes on
                before = len(terminal.data)
                file.write(recording.data[done:])
                done = len(recording.data)
                seen.append((width, before))
                # The end of the last session comes last, and has no notes below it.
                terminal.wait_for_line(rb"session[^\n]* %d " % cookie, before)
        data = terminal.all()
        os.unlink(pipe)
        ends = [before for _, before in seen[1:]] + [len(data)]
        return [(width, data[before:end].decode()) for (width, before), end in zip(seen, ends)]

    def assert_fits(self, width, text):
        lines = screen(text, width)
        self.assertEqual(len(lines), text.count("\n") + 1, (width, lines))
        return lines

    def test_every_width(self):
        """No line is as wide as the screen, so none is broken and none is followed by a blank one. The size changes
        while the program runs: the next row fits it, under a header of its own."""
        for environment in ({}, {"NO_COLOR": "1"}):
            for width, text in self.resized([*WIDTHS, 90, 61, 200, 80], MAILERS, **environment)[:-1]:
                with self.subTest(width=width, **environment):
                    lines = self.assert_fits(width, text)
                    self.assertEqual(lines.count(""), 1, lines)  # behind the last end of line
                    self.assertEqual(len([line for line in lines if line.startswith("! ")]), len(MAILERS) - 1)
                    self.assertEqual("\033" in text, not environment)

    def test_summary_fits(self):
        for width in (60, 61, 79, 80, 133):
            lines = self.assert_fits(width, self.replay(width, "--all"))
            self.assertEqual(lines.count(""), 2, lines)  # before the summary, and at the end

    def test_alert_on_one_line(self):
        for width in (60, 80, 120, 160):
            lines = screen(self.replay(width), width)
            self.assertIn("  ALERT: closest exclusion 'nightly' failed on process.user", lines)
            row = next(line for line in lines if "www-data" in line or "partner" in line)
            self.assertTrue(row.startswith("! "), row)
            self.assertIn("@partner.example +1", row)

    def test_no_green_alert(self):
        text = self.replay(120, "--all")
        self.assertEqual(text.count("\033[32msent"), 1)  # the one that an exclusion covers
        self.assertEqual(text.count("\033[1;31msent"), len(MAILERS) - 1)

    def test_colour(self):
        for environment, colour in (({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False),
                                    ({"NO_COLOR": "0"}, False), ({"TERM": "dumb"}, False)):
            with self.subTest(**environment):
                for form in ("table", "wide"):
                    self.assertEqual("\033" in self.replay(120, "-o", form, **environment), colour)

    def test_pipe(self):
        """Neither cut nor coloured; one line an event; the same whatever the terminal is."""
        for form in ("table", "wide"):
            done = subprocess.run([PROGRAM, "replay", self.file, "-o", form], stdout=subprocess.PIPE, check=True,
                                  env=dict(os.environ, LC_ALL="C.UTF-8", TERM="xterm", COLUMNS="40"))
            text = done.stdout.decode()
            self.assertNotIn("\033", text)
            self.assertNotIn("…", text)
            self.assertLessEqual(text.count("RESULT"), 1)
            for executable, script, user, recipient in MAILERS:
                name = os.path.basename(script or executable)
                for part in (name, user, recipient):
                    if not re.search("[\u0301\u200b\u200d\ufeff]", part):
                        self.assertTrue([line for line in text.split("\n") if part in line and "corp.example" in line],
                                        (part, text))

    def test_sessions_on_request(self):
        self.assertNotIn(" session ", self.replay(120))
        self.assertIn(" session ", SGR.sub("", self.replay(120, "--all")))

    def test_header_after_a_resize(self):
        for width, text in self.resized([150, 80, 61, 200, 99, 100], MAILERS[:2])[:-1]:
            self.assertEqual(text.count("RESULT"), 1, (width, text))

    def test_header_repeats(self):
        recording, rows = Recording(), 20
        for cookie in range(100, 160):
            mail(recording, cookie, MAILERS[0])
        path = os.path.join(self.work.name, "many.rec")
        with open(path, "wb") as file:
            file.write(recording.data)
        lines = screen(Terminal(120, rows, "replay", path).all().decode(), 120)
        last = max(i for i, line in enumerate(lines) if line.startswith("! ") and "msmtp" in line and ":" in line[:5])
        for end in range(rows - 1, last + 1):
            shown = lines[end - (rows - 2):end + 1]
            if lines[end].startswith("!"):
                self.assertTrue([line for line in shown if "RESULT" in line], shown)
        self.assertLess(len([line for line in lines if "RESULT" in line]), 20)


if __name__ == "__main__":
    unittest.main()
