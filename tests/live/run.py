# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs the live tests: one line a test, and at the end `N passed, N failed, N skipped`. Root, on a Linux host.

    run.py [-f] [module|module.Class|module.Class.test]…    every test_*.py beside it, where none is named

A module that cannot be loaded, or has no test, counts as failed. -f stops at the first failure. Environment:
SMTPSNOOP (the program), SMTPSNOOP_MAILS (mails a client, 500), SMTPSNOOP_LOAD (mails of the load test, 20000).
Exit status: 0 all passed or skipped, 1 some failed.
"""

import glob
import importlib
import os
import sys
import time
import traceback
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))

# What the others build on comes first; what loads the host, or tells of it as a whole, last. The rest by name between.
FIRST = ("test_clients", "test_identity", "test_sends", "test_failure", "test_hostile", "test_record_replay")
LAST = ("test_churn", "test_load", "test_doctor")


def modules():
    """Every module of tests in this folder. One that is named above and is not there fails as it is loaded."""
    found = [os.path.basename(path).removesuffix(".py") for path in glob.glob(os.path.join(HERE, "test_*.py"))]
    return [*FIRST, *sorted(set(found) - {*FIRST, *LAST}), *LAST]


class Lines(unittest.TestResult):
    """One line a test; subtests that fail are told with their test."""

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
            self.tell_fault(self.name(test), [text])
        else:
            self.faults.append(text)

    @staticmethod
    def tell_fault(name, faults):
        print(f"FAIL {name}")
        for fault in faults:
            print("    " + fault.replace("\n", "\n    "))
        sys.stdout.flush()

    def add_broken(self, module, why):
        self.failed += 1
        self.tell_fault(module, [why])
        if self.failfast:
            self.stop()

    def stopTest(self, test):
        super().stopTest(test)
        if self.faults:
            self.failed += 1
            self.tell_fault(self.name(test), self.faults)
            if self.failfast:
                self.stop()
        elif self.faults is not None and not getattr(self, "skipped_now", False):
            self.passed += 1
            print(f"ok {self.name(test)} ({time.monotonic() - self.began:.1f} s)", flush=True)
        self.skipped_now = False
        self.faults = None  # until the next test starts, a fault is a class's own

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
        self.faults.append("it was expected to fail and did not")


def run(name, result):
    """A module, or the class or test of one that is named. What keeps it from being loaded is told as a failure."""
    try:
        importlib.import_module(name.split(".", 1)[0])
        tests = unittest.defaultTestLoader.loadTestsFromName(name)
    except (Exception, SystemExit):
        result.add_broken(name, traceback.format_exc().rstrip())
        return
    if not tests.countTestCases():
        result.add_broken(name, "there is no test in it")
    tests.run(result)


def main(arguments):
    sys.path.insert(0, HERE)
    failfast = "-f" in arguments
    names = [name.removesuffix(".py") for name in arguments if name != "-f"] or modules()
    result = Lines(failfast)
    result.faults = None
    for name in names:
        if result.shouldStop:
            break
        run(name, result)
    print(f"{result.passed} passed, {result.failed} failed, {result.skips} skipped")
    return 1 if result.failed or not result.passed and not result.skips else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
