# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs the tests of deploy/exclusions, as root; the arguments and the output are those of tests/live/run.py.

    run.py [-f] [test_mailers | test_mailers.Class | test_mailers.Class.test]...     without a name: all of them
"""

import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def live_runner():
    spec = importlib.util.spec_from_file_location("live_run", os.path.join(os.path.dirname(HERE), "live", "run.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.path.insert(0, HERE)
    sys.exit(live_runner().main(sys.argv[1:] or ["test_mailers"]))
