# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A file that contains no events ends `suggest` and `explain` after three lines, with one message; mistakes among
events are told, and bounded."""

import os
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("SMTPSNOOP", os.path.join(ROOT, "build/smtpsnoop"))
EVENT = b'{"event": {"action": "stopped"}}\n'
LINE_MAX = 8 << 20


def run(data, *command):
    return subprocess.run([PROGRAM, *command], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          check=False)


class Lines(unittest.TestCase):
    def told(self, data, status=1):
        done = run(data, "suggest")
        self.assertEqual(done.returncode, status, done.stderr[:1000])
        return done.stderr.decode().splitlines()

    def test_no_events(self):
        many = 100_000
        for name, data, words in (
                ("text", b"hello\n" * many, "contains no events: line 1: column 5: "),
                ("after empty lines", b"\n \n" + b"hello\n" * many, "contains no events: line 3: column 5: "),
                ("a CEF log", b"CEF:0|smtpsnoop|smtpsnoop|1|x|y|3|\n" * many, "contains no events: line 1: "),
                ("other JSON", b'{"log": "x"}\n' * many, "contains no events: line 1: it has no event.action"),
                ("JSON that is not an object", b"[1]\n" * many, "contains no events: line 1: it has no event.action"),
                ("an action that is not a text", b'{"event": {"action": 1}}\n' * many, "no event.action"),
                ("one line", b"hello", "contains no events: line 1: "),
                ("bytes", bytes(range(256)) * 999, "contains no events: line 1: "),
                ("a recording", b"smtpsnoop recording 1\n\0\0\0", "smtpsnoop replay FILE -o json writes its events"),
                ("a line without end", b'"' + b"a" * (LINE_MAX + 9), f"line 1: longer than {LINE_MAX} bytes")):
            with self.subTest(name):
                line, = self.told(data)
                self.assertIn("smtpsnoop: standard input: contains no events: ", line)
                self.assertIn(words, line)
                self.assertTrue(line.endswith("; expected lines of smtpsnoop -o json"), line)

    def test_explain_says_the_same(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("exclusions: []\n")
            file.flush()
            done = run(b"hello\n" * 1000, "explain", "-c", file.name)
        self.assertEqual((done.returncode, done.stdout, len(done.stderr.splitlines())), (1, b"", 1))

    def test_mistakes_among_events(self):
        self.assertEqual(self.told(EVENT * 9 + b"\n" + EVENT, status=0), [])
        self.assertEqual(self.told(b"", status=0), [])
        first, second = self.told(b"x\n" + EVENT * 3 + b"{}\n" + EVENT)
        self.assertIn("standard input: line 1: not an event: column 1: ", first)
        self.assertIn("standard input: line 5: not an event: it has no event.action", second)
        *lines, last = self.told(EVENT + b"x\n" * 50_000)
        self.assertEqual(len(lines), 3)
        self.assertEqual(last, "smtpsnoop: standard input: 49997 more lines are not events")

    def test_events_behind_a_line_that_is_too_long(self):
        line, = self.told(EVENT + b"[" * (LINE_MAX + 1) + b"\n" + EVENT)
        self.assertIn(f"line 2: not an event: longer than {LINE_MAX} bytes", line)

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            done = run(b"", "suggest", folder, "/dev/null", os.path.join(folder, "none"))
        none_line, folder_line = done.stderr.decode().splitlines()
        self.assertIn("/none: cannot open: No such file", none_line)
        self.assertIn("cannot read: Is a directory", folder_line)
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main()
