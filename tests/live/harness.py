# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the live tests share: the program under test, servers, clients, and waiting with a time limit.

Watch.stop ends a run of the program and checks what must hold for every run: exit status 0, `started` is the first
event and `stopped` the last, every line is one JSON object that is valid by docs/event.schema.json, no event comes
twice, standard error is empty, and there is no capture-loss unless the test expects it.

Every process that is started here is ended here, by its process id. Traffic stays on the loopback interface.
"""

import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROGRAM = os.path.abspath(os.environ.get("SMTPSNOOP", os.path.join(ROOT, "build", "smtpsnoop")))
HOOK = os.environ.get("SMTPSNOOP_HOOK", "")  # the family of hooks for every watch
SCHEMA = os.path.join(ROOT, "docs", "event.schema.json")
PYTHON = sys.executable
PYTHON_EXECUTABLE = os.path.realpath(PYTHON)

SLOW = int(os.environ.get("SMTPSNOOP_SLOW", "1"))  # how many times slower than a host this machine is
START_S = 20 * SLOW  # until `started` has been written
STOP_S = 20 * SLOW  # until the program has ended after a signal
EVENT_S = 8 * SLOW  # until an event has been written (1 s is promised; test_sends measures it)
LONG = os.environ.get("SMTPSNOOP_LONG") == "1"  # make test-all: full sizes
VALIDATED_MAX = 4000 if LONG else 500  # events of each kind validated per run; of more, a random choice


def sized(short_run, long_run):
    """A number of mails, connections, rounds or seconds: the first for `make test`, the second for `make test-all`."""
    return long_run if LONG else short_run


# ---- Waiting and small things ---------------------------------------------------------------------


def wait_for(condition, timeout_s, what, pause_s=0.02):
    """Calls `condition` until it returns something true, and returns that. AssertionError after `timeout_s`;
    `what` says what was missing, and may be a function."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s} s for {what() if callable(what) else what}")
        time.sleep(pause_s)


def get(event, path, default=None):
    """A nested field by its dotted name."""
    for name in path.split("."):
        if not isinstance(event, dict) or name not in event:
            return default
        event = event[name]
    return event


def unique(prefix="r"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}@example.net"


def action(event):
    return get(event, "event.action")


def strict_json(line):
    def no_pairs_twice(pairs):
        names = [name for name, _ in pairs]
        if len(names) != len(set(names)):
            raise ValueError(f"duplicate name in an object: {names}")
        return dict(pairs)

    def no_constant(text):
        raise ValueError(f"{text} is not JSON")

    return json.loads(line.decode("utf-8"), object_pairs_hook=no_pairs_twice, parse_constant=no_constant)


def validator():
    import jsonschema

    with open(SCHEMA, encoding="utf-8") as file:
        schema = json.load(file)
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


def validate(events):
    check, kinds = validator(), {}
    for event in events:
        kinds.setdefault(action(event), []).append(event)
    for alike in kinds.values():
        for event in random.sample(alike, min(len(alike), VALIDATED_MAX)):
            for error in check.iter_errors(event):
                where = ".".join(str(part) for part in error.absolute_path)
                raise AssertionError(f"not valid by the schema: {where or 'the event'}: {error.message[:300]}\n"
                                     f"{short(event)}")


def short(event):
    return json.dumps(event)[:1500]


def free_port(host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.bind((host, 0))
        return sock.getsockname()[1]


def is_listening(port):
    """Looks the port up; to connect would make one more flow for the program to see."""
    wanted = f"{port:04X}"
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(name, encoding="ascii") as table:
            for row in table.readlines()[1:]:
                words = row.split()
                if words[3] == "0A" and words[1].endswith(":" + wanted):
                    return True
    return False


def end_process(process, timeout_s=5):
    """Ends a Popen object's process, in whatever state it is, and closes its pipes."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout_s)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            try:
                stream.close()
            except OSError:
                pass


def unshare_works(*flags):
    return subprocess.run(["unshare", *flags, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          timeout=20).returncode == 0


# ---- The program under test -----------------------------------------------------------------------


class Watch:
    """One run of the program with -o json (or another `output`). Its events are kept as they arrive.

    With `spool`, the path of a file, the output goes there and is read after the end, so that a load test does not
    depend on the speed of its own reader.
    """

    def __init__(self, case, *options, command=("watch",), output="json", prefix=(), ready=True, env=None,
                 spool=None):
        self.lines, self.events, self.broken = [], [], []
        self.output = output
        self.arrived = threading.Condition()
        if HOOK and command in (("watch",), ("record",)) and "--hook" not in options:
            options = ("--hook", HOOK, *options)
        argv = [*prefix, PROGRAM, *command, *(("-o", output) if output else ()), *options]
        self.spool = spool
        with open(spool or os.devnull, "wb") as file:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=file if spool else subprocess.PIPE,
                                            stderr=subprocess.PIPE, env=env)
        self.pid = self.process.pid
        self.stderr = b""
        self.readers = [threading.Thread(target=self.read_errors, daemon=True)]
        if not spool:
            self.readers.append(threading.Thread(target=self.read_output, daemon=True))
        for reader in self.readers:
            reader.start()
        cleanup = case.addClassCleanup if isinstance(case, type) else case.addCleanup
        cleanup(self.kill)
        if spool:
            wait_for(lambda: os.path.getsize(spool) > 0, START_S, "the started event in the file")
        elif ready:
            self.wait(lambda event: action(event) == "started", 1, START_S, "the started event")

    def read_output(self, source=None):
        for line in source or self.process.stdout:
            stamp = time.monotonic()
            with self.arrived:
                self.lines.append(line)
                if self.output == "json":
                    try:
                        event = strict_json(line)
                        event["_arrived"] = stamp
                        self.events.append(event)
                    except ValueError as error:
                        self.broken.append((line, error))
                self.arrived.notify_all()

    def read_errors(self):
        for line in self.process.stderr:
            self.stderr += line

    def kill(self):
        end_process(self.process)

    def select(self, where):
        with self.arrived:
            return [event for event in self.events if where(event)]

    def wait(self, where, count=1, timeout_s=EVENT_S, what="events"):
        """Waits for `count` events for which `where` is true; returns them."""
        end = time.monotonic() + timeout_s
        seen, found = 0, []
        with self.arrived:
            while True:
                found += [event for event in self.events[seen:] if where(event)]
                seen = len(self.events)
                if len(found) >= count:
                    return found
                left = end - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and left < timeout_s - 1):
                    ended = self.process.poll()
                    raise AssertionError(
                        f"{len(found)} of {count} {what} after {timeout_s} s"
                        f"{'' if ended is None else f' (the program has ended, status {ended})'}; "
                        f"standard error: {self.stderr[-500:]!r}; the last events:\n"
                        + "\n".join(short(event) for event in self.events[-4:]))
                self.arrived.wait(min(left, 0.5))

    def messages(self, where=lambda event: True):
        return self.select(lambda event: action(event) == "smtp-message" and get(event, "smtpsnoop.final", True)
                           and where(event))

    def wait_messages(self, where, count=1, timeout_s=EVENT_S, what="messages"):
        return self.wait(lambda event: action(event) == "smtp-message" and get(event, "smtpsnoop.final", True)
                         and where(event), count, timeout_s, what)

    def message(self, recipient, timeout_s=EVENT_S):
        """Waits for the message to this recipient. stop() checks that there is no second one."""
        return self.wait_messages(lambda event: recipient in get(event, "smtp.rcpt_to", []), 1, timeout_s,
                                  f"messages to {recipient}")[0]

    def stop(self, signal_number=signal.SIGINT, losses=False, warnings=0):
        """Ends the run, checks what must hold for every run, and returns its `stopped` event.
        `losses`: capture-loss is allowed. `warnings`: the number of lines allowed on standard error."""
        self.process.send_signal(signal_number)
        return self.finished(losses, warnings)

    def finished(self, losses=False, warnings=0):
        """The same for a run that ends by itself."""
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running {STOP_S} s after the signal") from None
        for reader in self.readers:
            reader.join(10)
        if self.spool:
            with open(self.spool, "rb") as file:
                self.read_output(file)
        if self.process.returncode != 0:
            raise AssertionError(f"exit status {self.process.returncode}; standard error: {self.stderr[-2000:]!r}")
        if self.output != "json":
            return None
        if self.broken:
            line, error = self.broken[0]
            raise AssertionError(f"{len(self.broken)} lines are not JSON: {error}: {line[:600]!r}")
        for event in self.events:
            event.pop("_arrived", None)
        if self.stderr.count(b"\n") > warnings:
            raise AssertionError(f"on standard error: {self.stderr[:1000]!r}")
        self.check_order()
        self.check_once()
        validate(self.events)
        lost = self.select(lambda event: action(event) == "capture-loss")
        if SLOW > 1:  # missed runs (docs/coverage.md) are rare on a host, but not in an emulated machine
            lost = [event for event in lost if any(number for name, number in get(event, "smtpsnoop.stats.lost").items()
                                                   if name != "missed_runs")]
        if lost and not losses:
            raise AssertionError(f"{len(lost)} capture-loss events, the first: {short(lost[0])}")
        return self.events[-1]

    def check_order(self):
        actions = [action(event) for event in self.events]
        if not actions or actions[0] != "started" or actions[-1] != "stopped":
            raise AssertionError(f"first event {actions[:1]}, last {actions[-1:]}: expected started and stopped")
        if actions.count("started") != 1 or actions.count("stopped") != 1:
            raise AssertionError("more than one started or stopped event")
        stats = get(self.events[-1], "smtpsnoop.stats")
        if not isinstance(stats, dict) or not stats:
            raise AssertionError(f"stopped carries no smtpsnoop.stats: {short(self.events[-1])}")

    def check_once(self):
        ids, transactions = set(), set()
        for event in self.messages():
            one = get(event, "event.id")
            if one is None or one in ids:
                raise AssertionError(f"event.id missing or duplicate: {short(event)}")
            ids.add(one)
            pair = (get(event, "smtp.session_id"), get(event, "smtp.transaction"))
            if None in pair or pair in transactions:
                raise AssertionError(f"session and transaction missing or duplicate: {short(event)}")
            transactions.add(pair)


class Part(Watch):
    """The events of another watch from now on. Its end does not end the other one, which checks what it must then."""

    def __init__(self, whole):
        self.whole, self.first = whole, len(whole.events)

    def __getattr__(self, name):
        return getattr(self.whole, name)

    @property
    def events(self):
        return self.whole.events[self.first:]

    @property
    def started(self):
        return self.whole.events[0]

    def stop(self):
        if self.whole.process.poll() is not None:
            raise AssertionError(f"the shared watch has ended: {self.whole.stderr[-2000:]!r}")


class Module:
    """Stands where a case is expected: what it is to clean up is cleaned up at the end of the test module."""

    addClassCleanup = staticmethod(unittest.addModuleCleanup)


shared = {}


def shared_watch(*options):
    """A part of the one watch with these options that the tests of a module share: a start costs more than most tests.
    The first caller starts it. After the last test it is stopped, with all checks of Watch.stop."""
    if options not in shared:
        shared[options] = Watch(Module, *options)
        unittest.addModuleCleanup(stop_shared, options)
    return Part(shared[options])


def stop_shared(options):
    watch = shared.pop(options, None)
    if watch:
        watch.stop(losses="--no-wire" in options)


# ---- Servers --------------------------------------------------------------------------------------


class Sink:
    """postfix's smtp-sink: accepts every mail and drops it."""

    def __init__(self, case, host="127.0.0.1", options=()):
        self.host = host
        cleanup = case.addClassCleanup if isinstance(case, type) else case.addCleanup
        program = shutil.which("smtp-sink") or "/usr/sbin/smtp-sink"
        address = f"inet:[{host}]" if ":" in host else f"inet:{host}"
        for _ in range(5):
            self.port = free_port(host)
            self.process = subprocess.Popen([program, "-u", "nobody", *options, f"{address}:{self.port}", "1000"],
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL)
            cleanup(end_process, self.process)
            wait_for(lambda: is_listening(self.port) or self.process.poll() is not None, 10, "smtp-sink to listen")
            if self.process.poll() is None:
                return
        raise AssertionError("smtp-sink does not start")


class Server:
    """server.py in its own process. Its reports of what it received are kept."""

    def __init__(self, case, *options, host="127.0.0.1", prefix=()):
        self.host, self.reports = host, []
        self.arrived = threading.Condition()
        self.process = subprocess.Popen([*prefix, PYTHON, "-I", os.path.join(HERE, "server.py"), "--host", host,
                                         *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        cleanup = case.addClassCleanup if isinstance(case, type) else case.addCleanup
        cleanup(end_process, self.process)
        threading.Thread(target=self.read, daemon=True).start()
        listening = self.wait(lambda report: report["event"] == "listening", 1, 15 * SLOW)[0]
        self.port, self.smtps = listening["port"], listening.get("smtps")

    def read(self):
        for line in self.process.stdout:
            with self.arrived:
                self.reports.append(json.loads(line))
                self.arrived.notify_all()

    def wait(self, where, count=1, timeout_s=EVENT_S):
        end = time.monotonic() + timeout_s
        with self.arrived:
            while True:
                found = [report for report in self.reports if where(report)]
                if len(found) >= count:
                    return found
                if time.monotonic() > end:
                    raise AssertionError(f"the server saw {len(found)} of {count}; its last reports: "
                                         f"{self.reports[-3:]}")
                self.arrived.wait(0.5)

    def mail(self, recipient, timeout_s=EVENT_S):
        return self.wait(lambda report: report["event"] == "mail" and recipient in report["recipients"], 1,
                         timeout_s)[0]


# ---- Test cases -----------------------------------------------------------------------------------


class Overtime(Exception):
    pass


class LiveCase(unittest.TestCase):
    """A test with its own time limit and a directory that every user can read, with client.py in it."""

    limit_s = 120
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root")
        if not os.access(PROGRAM, os.X_OK):
            raise AssertionError(f"{PROGRAM} is not built")

    def run(self, result=None):
        def overtime(number, frame):
            raise Overtime(f"over its limit of {self.limit_s} s")

        before = signal.signal(signal.SIGALRM, overtime)
        signal.alarm(self.limit_s * SLOW)
        try:
            return super().run(result)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="smtpsnoop-live-")
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        os.chmod(self.work, 0o755)
        shutil.copy(os.path.join(HERE, "client.py"), self.work)
        os.chmod(self.path("client.py"), 0o644)

    def path(self, *names):
        return os.path.join(self.work, *names)

    def write(self, name, text, mode=0o755):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def spawn(self, argv, **keywords):
        """Starts a process that the end of the test kills. `finish` reads its output."""
        keywords.setdefault("stdin", subprocess.DEVNULL)
        keywords.setdefault("stdout", subprocess.PIPE)
        keywords.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen(argv, **keywords)
        self.addCleanup(end_process, process)
        return process

    def finish(self, process, status=0, timeout_s=60):
        """Waits for a spawned process; returns its standard output. `status` None: any status is fine."""
        try:
            output, errors = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{process.args} did not end in {timeout_s} s") from None
        if status is not None and process.returncode != status:
            raise AssertionError(f"{process.args}: status {process.returncode}: {(errors or b'')[-1500:].decode()}")
        return output

    def program(self, name, text, *arguments, **keywords):
        """Writes a Python program into the work directory, beside client.py, and starts it."""
        self.write(name, text)
        return self.spawn([PYTHON, self.path(name), *(str(one) for one in arguments)], cwd=self.work, **keywords)

    def run_program(self, name, text, *arguments, status=0, **keywords):
        """The same, and waits for its end; returns its pid and its standard output."""
        process = self.program(name, text, *arguments, **keywords)
        output = self.finish(process, status)
        return process.pid, output

    def run_snoop(self, *arguments, status=None, timeout_s=40, prefix=(), **keywords):
        """Runs the program to its end and checks its status; returns the completed process."""
        keywords.setdefault("stdin", subprocess.DEVNULL)
        keywords.setdefault("stdout", subprocess.PIPE)
        done = subprocess.run([*prefix, PROGRAM, *arguments], stderr=subprocess.PIPE, timeout=timeout_s, **keywords)
        if status is not None:
            self.assertEqual(done.returncode, status, f"{arguments}: {done.stderr!r} {(done.stdout or b'')[:400]!r}")
        return done

    def assert_one_line(self, stderr, *words):
        """Standard error is one line, `smtpsnoop: what: why`, and contains these words."""
        text = stderr.decode("utf-8", "replace")
        self.assertTrue(text.startswith("smtpsnoop: "), f"not `smtpsnoop: what: why`: {text!r}")
        self.assertEqual(text.count("\n"), 1, f"not one line: {text!r}")
        self.assertTrue(text.endswith("\n"))
        self.assertGreater(len(text), len("smtpsnoop: x"))
        for word in words:
            self.assertIn(word.lower(), text.lower())

    def assert_mail(self, event, pid=None, sender=None, recipients=None, port=None, outcome="success",
                    executable=None, complete=True, uid=None):
        """Checks what the event of every ordinary client's mail must say. None: not checked."""
        expected, actual = {}, {}

        def expect(path, value):
            if value is not None:
                expected[path], actual[path] = value, get(event, path)

        expect("process.pid", pid)
        expect("process.executable", executable)
        expect("user.id", None if uid is None else str(uid))
        expect("smtp.mail_from", sender)
        expect("smtp.rcpt_to", recipients)
        expect("destination.port", port)
        expect("event.outcome", outcome)
        expect("smtpsnoop.capture.complete", complete)
        if complete:
            expected["missing_bytes"] = 0
            actual["missing_bytes"] = get(event, "smtpsnoop.capture.missing_bytes", 0)
        self.assertEqual(actual, expected, short(event))


libc = ctypes.CDLL(None, use_errno=True)


# ---- Recording ------------------------------------------------------------------------------------


class Recorder(Watch):
    """`record FILE -o json`: prints the events that watch would print, so the same checks apply."""

    def __init__(self, case, path, *options):
        super().__init__(case, *options, command=("record", path))


def replay(path, *options):
    """Runs `replay PATH -o json`; returns its events, validated against the schema."""
    done = subprocess.run([PROGRAM, "replay", path, "-o", "json", *options], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"replay: status {done.returncode}: {done.stderr[-1000:]!r}")
    events = [strict_json(line) for line in done.stdout.splitlines()]
    validate(events)
    return events
