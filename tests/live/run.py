# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs the live tests, as root: one line per test, and `N passed, N failed, N skipped` at the end.

    run.py [-f] [MODULE | MODULE.Class | MODULE.Class.test]...     without a name: every test_*.py in this folder, and
                                                                   in the long form every scenario_*.py

-f stops at the first failure. A module that cannot be loaded or has no test counts as failed.

Environment: SMTPSNOOP is the program to test. SMTPSNOOP_LONG=1 runs the long form of load, churn and waits.
SMTPSNOOP_MAILS (mails per client), SMTPSNOOP_LOAD (mails of the load test), SMTPSNOOP_CONNECTIONS (of the churn test)
and SMTPSNOOP_REWRITTEN (mails sent from a buffer that changes) set one size each.

Exit status: 0 if no test failed, else 1.
"""

import glob
import importlib
import os
import sys
import time
import traceback
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))

# First what all other tests rely on; last what loads the host or looks at it as a whole; the rest by name.
FIRST = ("test_clients", "test_identity", "test_sends", "test_failure", "test_hostile", "test_record_replay")
LAST = ("test_churn", "test_load", "test_doctor")


def modules():
    """Every test module in this folder. A missing one of FIRST and LAST fails when it is loaded."""
    patterns = ("test_*.py", "scenario_*.py") if os.environ.get("SMTPSNOOP_LONG") == "1" else ("test_*.py",)
    found = [os.path.basename(path).removesuffix(".py") for pattern in patterns
             for path in glob.glob(os.path.join(HERE, pattern))]
    return [*FIRST, *sorted(set(found) - {*FIRST, *LAST}), *LAST]


class Lines(unittest.TestResult):
    """Prints one line per test. Failed subtests are shown with their test."""

    def __init__(self, failfast):
        super().__init__()
        self.failfast = failfast
        self.passed = self.failed = self.skips = 0
        self.began, self.faults = 0.0, []

    @staticmethod
    def name(test):
        name = test.id()
        if name.startswith("setUpClass") or name.startswith("tearDownClass"):
            step, _, rest = name.partition(" (")
            return f"{rest.rstrip(')')}.{step}"
        return name

    def startTest(self, test):
        super().startTest(test)
        self.began, self.faults = time.monotonic(), []

    def fault(self, test, error):
        text = self._exc_info_to_string(error, test).rstrip()
        if self.faults is None:
            self.failed += 1
            self.print_faults(self.name(test), [text])
        else:
            self.faults.append(text)

    @staticmethod
    def print_faults(name, faults):
        print(f"FAIL {name}")
        for fault in faults:
            print("    " + fault.replace("\n", "\n    "))
        sys.stdout.flush()

    def add_broken(self, module, why):
        self.failed += 1
        self.print_faults(module, [why])
        if self.failfast:
            self.stop()

    def stopTest(self, test):
        super().stopTest(test)
        if self.faults:
            self.failed += 1
            self.print_faults(self.name(test), self.faults)
            if self.failfast:
                self.stop()
        elif self.faults is not None and not getattr(self, "skipped_now", False):
            self.passed += 1
            print(f"ok {self.name(test)} ({time.monotonic() - self.began:.1f} s)", flush=True)
        self.skipped_now = False
        self.faults = None  # until the next test starts, a fault belongs to the class

    def addError(self, test, err):
        self.fault(test, err)

    def addFailure(self, test, err):
        self.fault(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.fault(subtest, err)

    def addSkip(self, test, reason):
        self.skipped_now = True
        self.skips += 1
        print(f"skip {self.name(test)}: {reason}", flush=True)
        if self.faults is None:
            self.skipped_now = False

    def addUnexpectedSuccess(self, test):
        self.faults.append("expected to fail, but passed")


def load(name, result):
    """The tests of a module, class or test. If it cannot be loaded, that is a failure."""
    try:
        importlib.import_module(name.split(".", 1)[0])
        tests = unittest.defaultTestLoader.loadTestsFromName(name)
    except (Exception, SystemExit):
        result.add_broken(name, traceback.format_exc().rstrip())
        return unittest.TestSuite()
    if not tests.countTestCases():
        result.add_broken(name, "contains no test")
    return tests


def main(arguments):
    sys.path.insert(0, HERE)
    failfast = "-f" in arguments
    names = [name.removesuffix(".py") for name in arguments if name != "-f"] or modules()
    result = Lines(failfast)
    result.faults = None
    if names == modules() and os.geteuid() == 0:
        importlib.import_module("mta").install_early()
    # One suite: a class that several names are of is set up for all of them, and taken down once.
    unittest.TestSuite(load(name, result) for name in names).run(result)
    print(f"{result.passed} passed, {result.failed} failed, {result.skips} skipped")
    return 1 if result.failed or not result.passed and not result.skips else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
