# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""check_layout.py finds each kind of fault, in a small tree that has it, and nothing in one that has none."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check_layout.py")


class CheckLayout(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        subprocess.run(["git", "init", "-q", self.root], check=True)
        os.makedirs(os.path.join(self.root, "tests"))
        shutil.copy(SCRIPT, os.path.join(self.root, "tests"))
        self.write("user/base/text.h", "int text_length(void);\n")
        self.write("user/base/text.c", '#include "base/text.h"\nint text_length(void) { return 1; }\n')
        self.write("user/smtp/smtp.h", '#include "base/text.h"\nint smtp_begin(void);\n')
        self.write("user/smtp/smtp.c", '#include "smtp/smtp.h"\nint smtp_begin(void) { return text_length(); }\n')

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    def faults(self):
        """The lines that the script prints; its exit status must fit."""
        for at, _, names in os.walk(os.path.join(self.root, "user")):
            for name in names:
                if name.endswith(".c"):
                    source = os.path.relpath(os.path.join(at, name), self.root)
                    out = os.path.join(self.root, "build", source[:-2] + ".o")
                    os.makedirs(os.path.dirname(out), exist_ok=True)
                    subprocess.run(["gcc", "-Iuser", "-c", "-o", out, source], cwd=self.root, check=True)
        done = subprocess.run([sys.executable, "tests/check_layout.py", "build"], cwd=self.root, check=False,
                              stdout=subprocess.PIPE, text=True)
        lines = done.stdout.splitlines()
        self.assertEqual(done.returncode, 1 if lines else 0)
        return lines

    def test_no_fault(self):
        self.assertEqual(self.faults(), [])

    def test_include_of_a_later_folder(self):
        self.write("user/base/text.h", '#include "smtp/smtp.h"\nint text_length(void);\n')
        self.write("user/smtp/smtp.h", "int smtp_begin(void);\n")
        self.write("user/smtp/smtp.c", '#include "smtp/smtp.h"\nint smtp_begin(void) { return 2; }\n')
        line, = self.faults()
        self.assertIn("user/base/text.h:1: includes smtp/smtp.h, but base comes before smtp", line)

    def test_unknown_folder(self):
        self.write("user/misc/misc.c", "int misc;\n")
        line, = self.faults()
        self.assertIn("user/misc/misc.c: its folder is not in ORDER", line)

    def test_circle(self):
        self.write("user/base/text.c", "int zone(void);\nint text_length(void) { return zone(); }\n")
        self.write("user/base/zone.c", "int text_length(void);\nint zone(void) { return text_length(); }\n")
        line, = self.faults()
        self.assertIn("base/text -> base/zone -> base/text", line)

    def test_long_file(self):
        self.write("tests/long.py", "x = 1\n" * 601)
        line, = self.faults()
        self.assertIn("tests/long.py: 601 lines", line)
        self.write("tests/long.py", "# Over 600 lines: it has one subject.\n" + "x = 1\n" * 601)
        self.assertEqual(self.faults(), [])

    def test_nothing_built(self):
        done = subprocess.run([sys.executable, "tests/check_layout.py", "build"], cwd=self.root, check=False,
                              stdout=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("run make first", done.stdout)


if __name__ == "__main__":
    sys.exit(unittest.main())
