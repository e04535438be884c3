# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""docs/coverage.md is right: `doctor --attack` tries each class of its table, with this kernel's family of hooks (or
SMTPSNOOP_HOOK), with and without the wire hook, and the result is what the table says.
"""

import os
import re
import subprocess
import unittest

from harness import HOOK, LONG, PROGRAM, ROOT, SLOW, LiveCase

COVERAGE = os.path.join(ROOT, "docs", "coverage.md")
FAMILIES = ("fentry", "kprobe", "tracepoint")
SAID = {"caught": "seen", "partly": "partly", "MISSED": "not"}


def table():
    """{class: six cells}: three families with the wire hook, then without it."""
    rows = {}
    with open(COVERAGE, encoding="utf-8") as file:
        for line in file:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) >= 8 and re.fullmatch(r"`[a-z0-9-]+`", cells[0]):
                rows[cells[0].strip("`")] = cells[2:8]
    return rows


class Attacks(LiveCase):
    """One run of doctor; each class is a test."""

    options = ()
    limit_s = 300

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        hook = ("--hook", HOOK) if HOOK else ()
        done = subprocess.run([PROGRAM, "doctor", "--attack", *hook, *cls.options], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=240 * SLOW, check=False)
        cls.output = done.stdout.decode()
        cls.status, cls.errors = done.returncode, done.stderr.decode()
        chosen = re.search(r"(\w+) +yes +chosen", cls.output)
        cls.family = chosen.group(1) if chosen else ""
        cls.blind = "".join(re.findall(r"contents of sendfile.*|what sendfile.*", cls.output))
        cls.results = dict(re.findall(r"^([a-z0-9-]+) +\S.{51} (caught|partly|MISSED|WRONG|not possible here|FAILED)", cls.output,
                                      re.M))

    def check(self, name):
        self.assertIn(self.family, FAMILIES, self.output + self.errors)
        self.assertIn(name, self.results, f"doctor --attack does not try it: {self.output[-3000:]}")
        line = re.search(rf"^{name} .*$", self.output, re.M).group(0)
        if self.results[name] == "not possible here":
            self.skipTest(line)
        column = FAMILIES.index(self.family) + (3 if "--no-wire" in self.options else 0)
        expected = table()[name][column]
        if expected == "seen/not":  # note 1: depends on what doctor says about this kernel
            expected = "not" if self.blind else "seen"
        allowed = {expected, "seen"} if expected == "partly" else {expected}  # luck may decide a race
        self.assertIn(SAID.get(self.results[name]), allowed, line)

    def test_every_class_is_in_the_table(self):
        self.assertEqual(set(self.results), set(table()))

    def test_status(self):
        self.assertEqual(self.status, 0, self.output[-4000:] + self.errors)
        self.assertEqual(self.errors, "")


class AttacksWithoutWire(Attacks):
    options = ("--no-wire",)


class AttacksWithoutTls(LiveCase):
    """Without the probes, what began with STARTTLS is known to be mail, and nothing more."""

    limit_s = 300

    def test_tls(self):
        if not LONG:
            self.skipTest("a whole run of doctor: only with SMTPSNOOP_LONG=1")
        done = subprocess.run([PROGRAM, "doctor", "--attack", "--no-tls"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=240 * SLOW, check=False)
        output = done.stdout.decode()
        self.assertEqual(done.returncode, 0, output[-4000:] + done.stderr.decode())
        results = dict(re.findall(r"^(tls-[a-z-]+) +\S.{51} (\w+)", output, re.M))
        self.assertEqual(set(results), {name for name in table() if name.startswith("tls-")})
        self.assertEqual(results, {name: "MISSED" if name == "tls-smtps" else "partly" for name in results})


def add(name):
    def test(self):
        self.check(name)

    setattr(Attacks, "test_" + name.replace("-", "_"), test)


for one in table():
    add(one)


if __name__ == "__main__":
    unittest.main()
