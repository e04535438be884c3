# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `check` says of a configuration besides its mistakes."""

import os
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("SMTPSNOOP", os.path.join(ROOT, "build/smtpsnoop"))


def check(text, status=0):
    """Returns the lines of standard output, or of standard error if the status is not 0."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "smtpsnoop.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o644)
        done = subprocess.run([PROGRAM, "check", "-c", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == status, (done.returncode, done.stderr.decode())
    return [line.replace(path, "FILE") for line in (done.stderr if status else done.stdout).decode().splitlines()]


def exclusion(name, more):
    return f"  - {{ name: {name}, process: {{ user: root }}, relay: 10.0.0.1, {more} }}\n"


class Schedules(unittest.TestCase):
    def notes(self, *exclusions):
        return [line for line in check("exclusions:\n" + "".join(exclusions)) if ": note: " in line]

    def test_schedules_without_early_are_named_in_one_line(self):
        note, = self.notes(exclusion("first", "schedule: { at: daily, for: 1h }"),
                           exclusion("sooner", "schedule: { at: daily, for: 1h, early: 5m }"),
                           exclusion("never", "limits: { messages: 1/1h }"),
                           exclusion("third", "schedule: { at: '0 8 * * *', for: 15m }"))
        self.assertTrue(note.startswith("FILE: note: these schedules match from their time on, not before it"), note)
        self.assertTrue(note.endswith(": first, third"), note)

    def test_early_answers_it(self):
        self.assertEqual(self.notes(exclusion("a", "schedule: { at: daily, for: 1h, early: 0s }"),
                                    exclusion("b", "schedule: { at: daily, for: 1h, early: 2h }")), [])
        self.assertEqual(self.notes(exclusion("a", "expires: 2099-01-01")), [])

    def test_mistakes(self):
        for early, place, words in (("early: 5", 97, "expected a duration such as 30s"), ("early: -5m", 97, "expected"),
                                    ("before: 5m", 90, "before: unknown key; expected one of at, for, early")):
            line, = check("exclusions:\n" + exclusion("a", f"schedule: {{ at: daily, for: 1h, {early} }}"), status=2)
            self.assertIn(f"FILE:2:{place}: {words}", line)

    def test_many_are_counted(self):
        note, = self.notes(*(exclusion(f"x{i}", "schedule: { at: daily, for: 1h }") for i in range(13)))
        self.assertTrue(note.endswith(", x9 and 3 more"), note)


if __name__ == "__main__":
    unittest.main()
