# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs the tests: one line per test, then the failures, the time of each group, the ten slowest tests and,
as the very last line, `N passed, N failed, N skipped`.

    run.py [--build DIR] [--sanitized DIR] [--long] [--essential] [--test NAME]... [GROUP]...

Groups: unit (cmocka), replay (recordings without a kernel), events (output of the unit tests against the schema),
formats (the same output, read by other programs), docs (manual pages and examples), live (real clients, servers
and kernel; needs root), check (format, layout), sanitized (unit, replay; with --long some live tests under ASan and
UBSan), fuzz (each target for FUZZ_SECONDS), sentinel (deploy/sentinel, by the service's own query parser), mailers (deploy/exclusions with Debian's mailers; needs root), tidy (clang's
warnings, cppcheck, clang-tidy: five minutes of processor time), vm (Debian's kernels and systemd in QEMU). Without a
group, every group runs except mailers, tidy and vm, which --long adds.

Groups run in lanes, side by side. The live tests have a lane of their own, because they watch the whole host and
would see each other's mail; they mostly wait. The groups of `make quick` are the second lane. Builds, static analysis
and fuzzing are the third, at the lowest priority: they use the processor time that the others leave.

--long sets SMTPSNOOP_LONG=1, the full sizes of the live tests (harness.sized).
--essential runs only a part of the tests on each kernel of the group vm.
--test runs only the named unit tests (`--test test_smtp unit`).

A line is: state, seconds since the start, tests so far, group, name.
"""

import argparse
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = "/usr/bin/python3"
UNIT_TIMEOUT_S = 300
UNIT_WORKERS = 4  # more than cores: the longest unit tests wait for timers
NICE = ("nice", "-n", "19")
SUMMARY = re.compile(r"\d+ passed, \d+ failed, \d+ skipped")
SLOWEST = 10

# These unit tests take longest. They start first, so that none of them is left alone at the end.
LONGEST = ("metrics", "outputs", "schedule", "smtp_auth", "snapshot", "privacy_text")


class Report:
    """Counts results, and prints each as it comes. Every method may be called from any thread."""

    def __init__(self):
        self.lock = threading.Lock()
        self.began = time.monotonic()
        self.passed = self.failed = self.skipped = 0
        self.failures, self.times, self.groups = [], [], []
        self.processes = set()

    def add(self, state, group, name, seconds=None, detail="", tests=1):
        """Adds a result and prints it. `state` is ok, FAIL or skip; `tests` is the number of tests in it."""
        with self.lock:
            self.passed += tests * (state == "ok")
            self.failed += tests * (state == "FAIL")
            self.skipped += tests * (state == "skip")
            if state == "FAIL":
                self.failures.append(f"{group} {name}")
            if seconds is not None:
                self.times.append((seconds, f"{group} {name}"))
            took = f" ({seconds:.1f} s)" if seconds is not None else ""
            done = self.passed + self.failed + self.skipped
            print(f"{state:<4} {clock(time.monotonic() - self.began)} {done:4} {group:<9} {name}{took}", flush=True)
            if state == "FAIL" and detail.strip():
                print("    " + detail.strip()[-6000:].replace("\n", "\n    "), flush=True)

    def say(self, text):
        with self.lock:
            print(text, flush=True)

    def start(self, command, **keywords):
        """A process in a session of its own: it can be ended with all that it has started."""
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True, **keywords)
        with self.lock:
            self.processes.add(process)
        return process

    def end(self, process):
        """Kills what is left of a process's session."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        with self.lock:
            self.processes.discard(process)

    def end_all(self):
        for process in list(self.processes):
            self.end(process)

    def close(self):
        print(f"\n{clock(time.monotonic() - self.began)} in all, by group (the lanes overlap): "
              + ", ".join(f"{name} {clock(seconds).strip()}" for name, seconds in self.groups))
        print(f"the {SLOWEST} slowest:")
        for seconds, name in sorted(self.times, reverse=True)[:SLOWEST]:
            print(f"  {seconds:6.1f} s  {name}")
        if self.failures:
            print("failed:")
            for name in self.failures:
                print(f"  {name}")
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)


def clock(seconds):
    return f"{int(seconds) // 60:3}:{int(seconds) % 60:02}"


class Group:
    """Where the results of one group go."""

    def __init__(self, report, name, options):
        self.report, self.name, self.options = report, name, options

    def add(self, state, name, seconds=None, detail="", tests=1):
        self.report.add(state, self.name, name, seconds, detail, tests)

    def run(self, command, env=None, timeout=None):
        """The exit status (None: timed out), standard output and standard error of a command. A child that the
        command leaves behind cannot hold this up: output goes to files, and the session is killed."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = self.report.start(command, env=env, stdout=out, stderr=err)
            try:
                status = process.wait(timeout=timeout)
            except subprocess.TimeoutExpired:
                status = None
            self.report.end(process)
            out.seek(0)
            err.seek(0)
            return status, out.read().decode(errors="replace"), err.read().decode(errors="replace")

    def command(self, name, *command, env=None, timeout=1800):
        """One test: a command that passes if its exit status is 0."""
        start = time.monotonic()
        status, out, err = self.run(command, env, timeout)
        detail = out + err + ("" if status is not None else f"\ntimed out after {timeout} s")
        self.add("FAIL" if status != 0 else "ok", name, time.monotonic() - start, detail)
        return status == 0

    def lines(self, name, *command, env=None, timeout):
        """A runner that prints `ok NAME (N s)`, `FAIL NAME`, `skip NAME: why`, and a summary at the end."""
        process = self.report.start(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                    errors="replace")
        expired = threading.Event()
        timer = threading.Timer(timeout, lambda: (expired.set(), self.report.end(process)))
        timer.start()
        last, failed, pending, summary = "", 0, None, ""
        for line in process.stdout:
            line = line.rstrip("\n")
            if SUMMARY.fullmatch(line):
                summary = line
                continue
            last = line or last
            state, _, rest = line.partition(" ")
            if pending and line.startswith("    "):
                pending[1].append(line[4:])
                continue
            if pending:
                self.add("FAIL", pending[0], detail="\n".join(pending[1]))
                pending = None
            if state == "FAIL":
                pending, failed = (rest, []), failed + 1
            elif state in ("ok", "skip"):
                found = re.fullmatch(r"(.*) \(([\d.]+) s\)", rest) if state == "ok" else None
                self.add(state, found[1] if found else rest, float(found[2]) if found else None)
            elif line:
                self.report.say(line)
        if pending:
            self.add("FAIL", pending[0], detail="\n".join(pending[1]))
        timer.cancel()
        status = process.wait()
        self.report.end(process)
        if expired.is_set():
            self.add("FAIL", f"{name}: timed out after {timeout} s", detail=last)
        elif not summary:
            self.add("FAIL", f"{name}: ended without a summary, status {status}", detail=last)
        elif status and not failed:
            self.add("FAIL", f"{name}: no test failed, but its exit status is {status}", detail=last)

    def make(self, name, *arguments):
        """Builds, as one test, on every core at a low priority."""
        return self.command(name, *NICE, "make", "--no-print-directory", f"-j{os.cpu_count()}", *arguments)


# ---- The groups -----------------------------------------------------------------------------------


def check(group):
    for target in ("check-format", "check-layout"):
        group.command(target, *NICE, "make", "--no-print-directory", target)


def tidy(group):
    for target in ("check-clang", "check-cppcheck", "check-tidy"):
        group.command(target, *NICE, "make", "--no-print-directory", target)


def cmocka(group, build, names=(), workers=UNIT_WORKERS, prefix=()):
    """Every cmocka test is counted, by the TAP lines that the library prints; the time is that of the program."""
    programs = {os.path.basename(path)[len("test_"):]: path
                for path in glob.glob(os.path.join(build, "tests/unit/test_*[a-z]")) if not path.endswith((".o", ".d"))}
    for name in names:
        if name not in programs:
            group.add("FAIL", f"{name}: there is no {build}/tests/unit/test_{name}")
    if not programs:
        group.add("FAIL", f"no unit tests in {build}: make unit-build builds them")
    chosen = sorted((name for name in programs if not names or name in names),
                    key=lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST))
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda name: cmocka_program(group, name, [*prefix, programs[name]]), chosen))


def cmocka_program(group, name, command):
    start = time.monotonic()
    status, out, err = group.run(command, dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP"), UNIT_TIMEOUT_S)
    seconds = time.monotonic() - start
    good = re.findall(r"^ok \d+ - (\S+)(?! # SKIP)\s*$", out, re.M)
    skipped = re.findall(r"^(?:not )?ok \d+ # SKIP (\S+)", out, re.M)
    bad = re.findall(r"^not ok \d+ - (\S+)(?! # SKIP)\s*$", out, re.M)
    said = ((err or out).strip().splitlines() or ["the test gives no reason"])[0]
    for test in skipped:
        group.add("skip", f"{name}.{test}: {said}")
    for test in bad:
        group.add("FAIL", f"{name}.{test}", detail=out + err)
    if status is None:
        group.add("FAIL", f"{name}: timed out after {UNIT_TIMEOUT_S} s", seconds, out + err)
    elif status and not bad:
        group.add("FAIL", f"{name}: exit status {status}", seconds, out + err)
    if good:
        group.add("ok", f"{name}: {len(good)} tests", seconds, tests=len(good))


def unit(group):
    cmocka(group, group.options.build, [name.removeprefix("test_") for name in group.options.test])


def events(group):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "events.json")
        env = dict(os.environ, SMTPSNOOP_EVENTS_OUT=out)
        for name in ("event", "json_shrink", "ancestry"):
            if not group.command(f"written by test_{name}", os.path.join(group.options.build, f"tests/unit/test_{name}"),
                                 env=env):
                return
        group.command("valid by docs/event.schema.json", "/bin/sh", "-c",
                      f"exec {PYTHON} tests/validate_events.py <'{out}'")


def formats(group):
    env = dict(os.environ, BUILD=os.path.abspath(group.options.build))
    for path in sorted(glob.glob(os.path.join(ROOT, "tests/formats/test_*.py"))):
        name = os.path.basename(path)[len("test_"):-len(".py")]
        if name == "journal" and os.geteuid() != 0:
            group.add("skip", "journal: needs root")
        else:
            group.command(name, PYTHON, path, env=env)


def replay(group):
    env = dict(os.environ, SMTPSNOOP=os.path.join(group.options.build, "smtpsnoop"))
    for path in sorted(glob.glob("tests/replay/test_*.py")):
        group.command(os.path.basename(path).removesuffix(".py"), PYTHON, path, env=env)


def docs(group):
    """The manual pages have no mistakes and name every option that --help names; the examples are valid; the Makefile
    does what it and the documents say."""
    program = os.path.join(group.options.build, "smtpsnoop")
    for page in ("smtpsnoop.8", "smtpsnoop.yaml.5"):
        group.command(f"manual page {page}", "mandoc", "-T", "lint", "-W", "warning", f"docs/{page}")
    with tempfile.TemporaryDirectory() as folder:  # a configuration that others could change is refused
        for path in sorted(glob.glob(os.path.join(ROOT, "deploy/examples/*.yaml"))):
            copy = shutil.copyfile(path, os.path.join(folder, os.path.basename(path)))
            os.chmod(copy, 0o644)
            group.command(os.path.basename(path), program, "check", "-c", copy)
    group.command("deploy/exclusions", PYTHON, "tests/mailers/check_library.py", program)
    _, shown, _ = group.run([program, "--help"])
    with open(os.path.join(ROOT, "docs/smtpsnoop.8"), encoding="utf-8") as file:
        manual = file.read().replace("\\-", "-")
    missing = [name for name in re.findall(r"--([a-z-]+)", shown) if f"-{name}" not in manual]
    group.add("ok" if shown and not missing else "FAIL", "the manual has every option",
              detail="missing: " + " ".join(missing))
    group.command("what packages.sh installs", PYTHON, "tests/test_packages.py")
    group.command("the Makefile", PYTHON, "tests/test_make.py",
                  env=dict(os.environ, BUILD=os.path.abspath(group.options.build)))
    described = re.findall(r"^\.It Fl (-[a-z-]+)", manual, re.M)
    twice = sorted({name for name in described if described.count(name) > 1})
    group.add("ok" if described and not twice else "FAIL", "the manual describes each option once", detail=str(twice))


def sanitized_build(group):
    return group.make("build", "SANITIZE=1", f"BUILD={group.options.sanitized}", "all", "unit-build")


def sanitized(group):
    """These tests measure time, so they get more than the time that others leave, but less than the live tests."""
    build = group.options.sanitized
    cmocka(group, build, workers=2, prefix=("nice", "-n", "5"))
    for name in ("replay", "channels"):
        group.command(f"replay: {name}", *NICE, PYTHON, f"tests/replay/test_{name}.py",
                      env=dict(os.environ, SMTPSNOOP=os.path.join(build, "smtpsnoop")))


def sanitized_live(group):
    if os.geteuid() != 0:
        group.add("skip", "doctor: needs root")
        group.add("skip", "live: needs root")
        return
    program = os.path.abspath(os.path.join(group.options.sanitized, "smtpsnoop"))
    env = dict(os.environ, SMTPSNOOP=program)
    group.command("doctor", program, "doctor", env=env, timeout=60)
    if group.options.long:
        group.lines("live", PYTHON, "tests/live/run.py", "test_hostile", "test_sends.Forms", env=env, timeout=600)


def fuzz(group):
    if not group.make("build", "fuzz-build"):
        return
    names = [os.path.basename(path)[:-len(".c")] for path in sorted(glob.glob(os.path.join(ROOT, "tests/fuzz/fuzz_*.c")))]
    seconds = group.options.fuzz_seconds
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda name: group.command(f"{name}, {seconds} s", *NICE, PYTHON, "tests/fuzz/fuzz.py",
                                                 f"build-fuzz/{name}", str(seconds), timeout=seconds + 120), names))


def sentinel(group):
    """Queries, rules, parsers and templates of deploy/sentinel. npm fetches the packages once."""
    folder = os.path.join(group.options.build, "sentinel-node")
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            group.add("FAIL", f"{tool} is missing: sudo make deps-test installs it")
            return
    os.makedirs(folder, exist_ok=True)
    names = ("package.json", "package-lock.json")
    expected, found = ([read(os.path.join(path, name)) for name in names]
                       for path in (os.path.join(ROOT, "tests/sentinel"), folder))
    if found != expected or not os.path.exists(os.path.join(folder, "node_modules/.package-lock.json")):
        for name, text in zip(names, expected):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(text)
        if not group.command("npm fetches the packages", "npm", "ci", "--prefix", folder, "--ignore-scripts",
                             "--no-audit", "--no-fund", timeout=300):
            return
    group.lines("check.js", *NICE, "node", "tests/sentinel/check.js", folder, timeout=300)


def read(path):
    """The bytes of a file, or None if it does not exist."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def vm(group):
    if os.uname().machine != "x86_64":
        group.add("skip", f"virtual machines run on x86_64 only; this host is {os.uname().machine}")
        return
    essential = ["--essential"] if group.options.essential else []
    group.lines("kernels", PYTHON, "tests/vm/test_kernels.py", *essential, group.options.build, timeout=3600)
    group.lines("systemd", PYTHON, "tests/vm/test_systemd.py", group.options.build, timeout=1200)


def live(group):
    if os.geteuid() != 0:
        group.add("skip", "needs root")
        return
    env = dict(os.environ, SMTPSNOOP=os.path.abspath(os.path.join(group.options.build, "smtpsnoop")))
    group.lines("live", PYTHON, "tests/live/run.py", env=env, timeout=5400 if group.options.long else 2700)


def mailers(group):
    if os.geteuid() != 0:
        group.add("skip", "needs root")
        return
    env = dict(os.environ, SMTPSNOOP=os.path.abspath(os.path.join(group.options.build, "smtpsnoop")))
    group.lines("mailers", PYTHON, "tests/mailers/run.py", env=env, timeout=5400)


# ---- The lanes ------------------------------------------------------------------------------------

GROUPS = ("unit", "replay", "events", "formats", "docs", "live", "mailers", "check", "sanitized", "fuzz", "sentinel", "tidy", "vm")
LONG = ("mailers", "tidy", "vm")  # not without --long, unless named


class Run:
    def __init__(self, options):
        self.options, self.report = options, Report()
        self.chosen = options.groups or [name for name in GROUPS if name not in LONG or options.long]
        self.built = threading.Event()  # with sanitizers, or failed to
        self.built_well = False

    def group(self, name, run=None, part=""):
        """Runs one group, or a part of it, if it was chosen."""
        if name not in self.chosen:
            return
        began = time.monotonic()
        try:
            (run or globals()[name])(Group(self.report, name, self.options))
        except Exception as error:  # a group that breaks must not pass unseen
            self.report.add("FAIL", name, f"the runner failed: {error!r}")
        with self.report.lock:
            self.report.groups.append((f"{name} {part}".strip(), time.monotonic() - began))

    def build_sanitized(self, group):
        try:
            self.built_well = sanitized_build(group)
        finally:
            self.built.set()

    def live(self):
        self.group("live")
        self.group("mailers")
        if "sanitized" in self.chosen:
            self.built.wait()
            if self.built_well:
                self.group("sanitized", sanitized_live, "live")

    def unit(self):
        self.group("unit")

    def small(self):
        for name in ("replay", "events", "formats", "docs"):
            self.group(name)

    def back(self):
        self.group("sanitized", self.build_sanitized, "build")
        if self.built_well:
            self.group("sanitized")
        for name in ("fuzz", "sentinel", "check", "tidy"):
            self.group(name)

    def all(self):
        lanes = [threading.Thread(target=lane) for lane in (self.live, self.unit, self.small, self.back)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        self.group("vm")
        self.report.close()
        return 1 if self.report.failed or not self.report.passed else 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--sanitized", default="build-sanitize")
    parser.add_argument("--fuzz-seconds", type=int, default=5)
    parser.add_argument("--essential", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--test", action="append", default=[])
    parser.add_argument("groups", nargs="*")
    options = parser.parse_args()
    for name in options.groups:
        if name not in GROUPS:
            sys.exit(f"run.py: no group {name}; there are: {', '.join(GROUPS)}")
    if options.long:
        os.environ["SMTPSNOOP_LONG"] = "1"
    run = Run(options)

    def stop(number, _):
        run.report.end_all()
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    return run.all()


if __name__ == "__main__":
    sys.exit(main())
