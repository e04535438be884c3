# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs every test, a line each, and ends with `N passed, N failed, N skipped`.

    run.py --build DIR [--sanitized DIR] [GROUP]…

Groups, in this order: check (layout, clang's warnings, clang-tidy, cppcheck), unit (cmocka), events (what
the unit tests wrote, against the schema), formats (as other programs read them), sanitized (unit and replay tests under ASan and UBSan), fuzz (ten
seconds a target), replay, docs, sentinel (deploy/sentinel by the service's own query parser),
vm (Debian's kernels, and systemd, in QEMU), live (real clients, servers and kernel). All of them where none is named. The live tests need root.
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
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = "/usr/bin/python3"
UNIT_TIMEOUT_S = 300
GROUPS = ("check", "unit", "events", "formats", "sanitized", "fuzz", "replay", "docs", "sentinel", "vm", "live")


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def tell(self, state, name, seconds=None, detail=""):
        took = f" ({seconds:.1f} s)" if seconds is not None else ""
        print(f"{state} {name}{took}", flush=True)
        if state == "FAIL" and detail:
            print("    " + detail.strip()[-6000:].replace("\n", "\n    "), flush=True)
        if state == "ok":
            self.passed += 1
        elif state == "skip":
            self.skipped += 1
        else:
            self.failed += 1

    def command(self, name, *command, env=None, timeout=1800):
        """A command that passes by its exit status."""
        start = time.monotonic()
        try:
            done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  stdin=subprocess.DEVNULL, timeout=timeout, check=False)
            detail, good = done.stdout.decode(errors="replace"), done.returncode == 0
        except subprocess.TimeoutExpired as expired:
            detail, good = (expired.stdout or b"").decode(errors="replace") + "\ntimed out", False
        self.tell("ok" if good else "FAIL", name, time.monotonic() - start, detail)
        return good

    def lines(self, prefix, *command, timeout):
        """A runner that prints `ok NAME`, `FAIL NAME` and `skip NAME: why` itself."""
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, text=True, errors="replace")
        last, deadline, failed_before = "", time.monotonic() + timeout, self.failed
        for line in process.stdout:
            last = line.rstrip("\n") or last
            if re.fullmatch(r"\d+ passed, \d+ failed, \d+ skipped", last):
                continue
            print(line, end="", flush=True)
            state = line.split(" ", 1)[0]
            self.passed += state == "ok"
            self.failed += state == "FAIL"
            self.skipped += state == "skip"
            if time.monotonic() > deadline:
                process.kill()
        status = process.wait()
        if not re.fullmatch(r"\d+ passed, \d+ failed, \d+ skipped", last):
            self.tell("FAIL", f"{prefix}: it ended early, with status {status}", detail=last)
        elif status and self.failed == failed_before:
            self.tell("FAIL", f"{prefix}: no test failed, and its status is {status}", detail=last)


def check(count, _):
    for target in ("check-format", "check-clang", "check-cppcheck", "check-tidy"):
        count.command(target, "make", "--no-print-directory", target)


def run_alone(program, env):
    """Its exit status (None: it took too long), output and errors. A child that it leaves behind holds nothing up."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen([program], cwd=ROOT, env=env, stdout=out, stderr=err, stdin=subprocess.DEVNULL,
                                   start_new_session=True)
        try:
            status = process.wait(timeout=UNIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            status = None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        out.seek(0)
        err.seek(0)
        return status, out.read().decode(errors="replace"), err.read().decode(errors="replace")


def cmocka(count, build, label):
    """Each cmocka test is counted, by the TAP lines that the library prints."""
    programs = sorted(glob.glob(os.path.join(build, "tests/unit/test_*[a-z]")))
    if not programs:
        count.tell("FAIL", f"{label}: there are no unit tests in {build}")
    for program in programs:
        if program.endswith((".o", ".d")):
            continue
        name = f"{label} {os.path.basename(program)[len('test_'):]}"
        env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP")
        start = time.monotonic()
        status, out, err = run_alone(program, env)
        if status is None:
            count.tell("FAIL", f"{name}: timed out", detail=out + err)
            continue
        good = re.findall(r"^ok \d+ - (\S+)(?! # SKIP)\s*$", out, re.M)
        skipped = re.findall(r"^(?:not )?ok \d+ # SKIP (\S+)", out, re.M)
        bad = re.findall(r"^not ok \d+ - (\S+)(?! # SKIP)\s*$", out, re.M)
        count.passed += len(good)
        for test in skipped:
            count.tell("skip", f"{name}.{test}: {(err or out).strip().splitlines()[0] if (err or out).strip() else ''}")
        for test in bad:
            count.tell("FAIL", f"{name}.{test}", detail=out + err)
        if status and not bad:
            count.tell("FAIL", f"{name}: status {status}", detail=out + err)
        elif not bad:
            print(f"ok {name}: {len(good)} tests ({time.monotonic() - start:.1f} s)", flush=True)


def unit(count, options):
    cmocka(count, options.build, "unit")


def events(count, options):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "events.json")
        env = dict(os.environ, SMTPSNOOP_EVENTS_OUT=out)
        for name in ("event", "json_shrink"):
            if not count.command(f"events: written by {name}", os.path.join(options.build, f"tests/unit/test_{name}"),
                                 env=env):
                return
        count.command("events: valid by the schema", "/bin/sh", "-c",
                      f"exec {PYTHON} tests/validate_events.py <'{out}'")


def formats(count, options):
    """What the unit tests wrote, as programs that are not ours read it."""
    env = dict(os.environ, BUILD=os.path.abspath(options.build))
    for path in sorted(glob.glob(os.path.join(ROOT, "tests/formats/test_*.py"))):
        name = os.path.basename(path)[len("test_"):-len(".py")]
        if name == "journal" and os.geteuid() != 0:
            count.tell("skip", "formats journal: needs root")
        else:
            count.command(f"formats {name}", PYTHON, path, env=env)


def sanitized(count, options):
    if not options.sanitized:
        count.tell("skip", "sanitized: no --sanitized folder was named")
        return
    cmocka(count, options.sanitized, "sanitized")
    program = os.path.join(options.sanitized, "smtpsnoop")
    env = dict(os.environ, SMTPSNOOP=program)
    count.command("sanitized replay", PYTHON, "tests/replay/test_replay.py", env=env)
    if os.geteuid() == 0:
        count.command("sanitized doctor", program, "doctor", env=env, timeout=60)
        count.command("sanitized live", PYTHON, "tests/live/run.py", "test_hostile", "test_sends.Forms", env=env,
                      timeout=600)


def fuzz(count, options):
    """Ten seconds for each target."""
    targets = [path for path in sorted(glob.glob(os.path.join(ROOT, "build-fuzz/fuzz_*"))) if "." not in os.path.basename(path)]
    wanted = glob.glob(os.path.join(ROOT, "tests/fuzz/fuzz_*.c"))
    if len(targets) != len(wanted):
        count.tell("FAIL", f"fuzz: {len(targets)} of {len(wanted)} targets were built")
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(lambda target: count.command(f"fuzz {os.path.basename(target)}", PYTHON, "tests/fuzz/fuzz.py", target,
                                                   "10", timeout=120), targets))


def replay(count, options):
    env = dict(os.environ, SMTPSNOOP=os.path.join(options.build, "smtpsnoop"))
    count.command("replay", PYTHON, "tests/replay/test_replay.py", env=env)


def docs(count, options):
    """The manual page has no mistakes, and names every option that --help names."""
    for page in ("smtpsnoop.8", "smtpsnoop.yaml.5"):
        count.command(f"docs: manual page {page}", "mandoc", "-T", "lint", "-W", "warning", f"docs/{page}")
    for path in sorted(glob.glob(os.path.join(ROOT, "deploy/examples/*.yaml"))):
        count.command(f"docs: {os.path.basename(path)}", os.path.join(options.build, "smtpsnoop"), "check", "-c", path)
    shown = subprocess.run([os.path.join(options.build, "smtpsnoop"), "--help"], stdout=subprocess.PIPE, text=True,
                           check=False).stdout
    with open(os.path.join(ROOT, "docs/smtpsnoop.8"), encoding="utf-8") as file:
        manual = file.read().replace("\\-", "-")
    missing = [name for name in re.findall(r"--([a-z-]+)", shown) if f"-{name}" not in manual]
    count.tell("FAIL" if missing else "ok", "docs: the manual has every option", detail=" ".join(missing))


def sentinel(count, options):
    """Queries, rules, parsers and templates of deploy/sentinel. The packages come from npm once; then nothing is fetched."""
    folder = os.path.join(options.build, "sentinel-node")
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            count.tell("FAIL", f"sentinel: no {tool} on the PATH: make deps-test installs it")
            return
    os.makedirs(folder, exist_ok=True)
    names = ("package.json", "package-lock.json")
    wanted, had = ([read(os.path.join(path, name)) for name in names]
                   for path in (os.path.join(ROOT, "tests/sentinel"), folder))
    if had != wanted or not os.path.exists(os.path.join(folder, "node_modules/.package-lock.json")):
        for name, text in zip(names, wanted):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(text)
        if not count.command("sentinel: npm fetches what the checks need", "npm", "ci", "--prefix", folder,
                             "--ignore-scripts", "--no-audit", "--no-fund", timeout=300):
            return
    count.lines("sentinel", "node", "tests/sentinel/check.js", folder, timeout=300)


def read(path):
    """The bytes of a file; None: there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def vm(count, options):
    """Debian's kernels from 5.10 to 7.2, and systemd as PID 1, in virtual machines of x86-64."""
    if os.uname().machine != "x86_64":
        count.tell("skip", f"vm: no virtual machine is made on {os.uname().machine} yet")
        return
    count.lines("vm", PYTHON, "tests/vm/test_kernels.py", options.build, timeout=2700)
    count.lines("vm", PYTHON, "tests/vm/test_systemd.py", options.build, timeout=1200)


def live(count, options):
    if os.geteuid() != 0:
        count.tell("skip", "live: needs root")
        return
    os.environ["SMTPSNOOP"] = os.path.abspath(os.path.join(options.build, "smtpsnoop"))
    count.lines("live", PYTHON, "tests/live/run.py", timeout=2700)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--sanitized")
    parser.add_argument("groups", nargs="*")
    options = parser.parse_args()
    for group in options.groups:
        if group not in GROUPS:
            sys.exit(f"run.py: no such group: {group}: {', '.join(GROUPS)}")
    count = Count()
    for group in GROUPS:
        if not options.groups or group in options.groups:
            globals()[group](count, options)
    print(f"{count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    return 1 if count.failed or not count.passed else 0


if __name__ == "__main__":
    sys.exit(main())
