# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The daemon for the live tests (`run -c FILE`), and what it writes to: rsyslogd, syslog-ng, systemd-journald.

Each is run with sockets, ports, process id files and, for the daemon, a runtime folder of its own: several of them, and
those of the host, do not see each other.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

from harness import HOOK, PROGRAM, SLOW, START_S, LiveCase, end_process, free_port, is_listening, strict_json, wait_for

ID = re.compile(rb'"id":"([0-9a-f]{32})"')  # event.id comes before everything that a client chose


def clean_up(case, *what):
    (case.addClassCleanup if isinstance(case, type) else case.addCleanup)(*what)


class Bench(LiveCase):
    """A test case with a folder for the whole class."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp(prefix="smtpsnoop-live-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        os.chmod(cls.folder, 0o755)


class Manager:
    """A service manager's socket. Keeps every datagram with its time."""

    def __init__(self, case, path):
        self.path, self.received = path, []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        clean_up(case, self.close)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)  # wakes the reader before the number of the descriptor is used again
        self.reader.join(5)
        self.socket.close()

    def read(self):
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except OSError:
                return
            if not text:
                return
            self.received.append((time.monotonic(), text))

    def lines(self):
        return [line for _, text in list(self.received) for line in text.split("\n")]

    def times(self, wanted):
        return [stamp for stamp, text in list(self.received) if wanted in text.split("\n")]


class Daemon:
    """`smtpsnoop run` with a configuration: its text, or a dictionary, which is written as JSON (a subset of YAML). With
    a dictionary, alike events are not joined unless its `alerts` say so: most tests look for every event."""

    def __init__(self, case, folder, config, *options, ready=True, stdout=subprocess.DEVNULL, env=None, runtime=None,
                 pass_fds=()):
        self.folder = folder
        self.runtime = runtime or tempfile.mkdtemp(prefix="run-", dir=folder)
        self.path = os.path.join(tempfile.mkdtemp(prefix="etc-", dir=folder), "smtpsnoop.yaml")
        self.configure(config)
        self.manager = Manager(case, os.path.join(self.runtime, "notify"))
        self.errors = []
        environment = {**os.environ, "RUNTIME_DIRECTORY": self.runtime, "STATE_DIRECTORY": self.runtime,
                       "NOTIFY_SOCKET": self.manager.path, **(env or {})}
        argv = [PROGRAM, "run", "-c", self.path, *(("--hook", HOOK) if HOOK else ()), *options]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                                        env=environment, pass_fds=pass_fds)
        self.pid = self.process.pid
        self.reader = threading.Thread(target=self.read_errors, daemon=True)
        self.reader.start()
        clean_up(case, end_process, self.process)
        if ready:
            wait_for(lambda: "READY=1" in self.manager.lines() or self.process.poll() is not None, START_S, "READY=1")
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon has ended, status {self.process.returncode}: {self.errors}")

    def configure(self, config):
        if isinstance(config, dict):
            config = {"alerts": {"join": False}, **config}
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(config if isinstance(config, str) else json.dumps(config, indent=1))

    def read_errors(self):
        for line in self.process.stderr:
            self.errors.append((time.monotonic(), line.decode("utf-8", "replace").rstrip("\n")))

    def said(self, *words, since=0.0):
        """The lines on standard error that contain all these words."""
        return [line for stamp, line in list(self.errors) if stamp >= since and all(word in line for word in words)]

    def hup(self, wait=True):
        """Sends SIGHUP and waits until the reload is done; returns the new lines on standard error."""
        began, before = time.monotonic(), len(self.manager.times("READY=1"))
        self.process.send_signal(signal.SIGHUP)
        if not wait:
            return []
        wait_for(lambda: len(self.manager.times("READY=1")) > before, 10 * SLOW,
                 lambda: f"READY=1 after SIGHUP: {self.process.poll()} {before} {self.errors} "
                         f"{[(s, l) for s, l in self.manager.received if not l.startswith(('WATCHDOG', 'STATUS'))]}")
        time.sleep(0.05)  # standard error is read by another thread
        return self.said(since=began)

    def stop(self, signal_number=signal.SIGTERM, timeout_s=20 * SLOW):
        """Ends the daemon; returns the seconds that took. Its exit status must be 0."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running {timeout_s} s after the signal") from None
        took = time.monotonic() - began
        self.reader.join(5)
        if self.process.returncode != 0:
            raise AssertionError(f"exit status {self.process.returncode}: {self.errors}")
        return took


class Metrics:
    """The metrics page; values() maps each name with its labels to the value."""

    def __init__(self, port):
        self.port = port

    def text(self, timeout_s=20):
        try:
            answer = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=timeout_s)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 503:  # in the first second
                    return ""
            raise
        with answer:
            return answer.read().decode()

    def values(self):
        lines = [line for line in self.text().splitlines() if line and not line.startswith("#")]
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}

    def outputs(self, name):
        """smtpsnoop_output_NAME of each output."""
        found = {}
        for key, value in self.values().items():
            match = re.fullmatch(r'smtpsnoop_output_%s\{output="(.*)"\}' % name, key)
            if match:
                found[match[1]] = int(value)
        return found


# ---- What arrived ---------------------------------------------------------------------------------


def records(*paths):
    """The JSON of every line as bytes, without a header before it. A line without JSON stays as it is."""
    for path in paths:
        with open(path, "rb") as file:
            for line in file:
                at = line.find(b"{")
                yield line[at:].rstrip(b"\n") if at >= 0 else line


def events(*paths):
    return [strict_json(record) for record in records(*paths)]


# ---- Receivers ------------------------------------------------------------------------------------


class Rsyslog:
    """rsyslogd with its own socket, TCP ports and UDP port. It writes what each receives to a file, at once: whatever it
    has read is in the file."""

    CONFIGURATION = """
global(workDirectory="{work}")
main_queue(queue.type="Direct")
module(load="imuxsock" SysSock.Use="off")
module(load="imtcp")
module(load="imudp")
template(name="raw" type="string" string="%rawmsg%\\n")
ruleset(name="socket") {{ action(type="omfile" file="{work}/socket.log" template="raw") }}
ruleset(name="tcp") {{ action(type="omfile" file="{work}/tcp.log" template="raw") }}
ruleset(name="newline") {{ action(type="omfile" file="{work}/newline.log" template="raw") }}
ruleset(name="udp") {{ action(type="omfile" file="{work}/udp.log" template="raw") }}
input(type="imuxsock" Socket="{work}/log" ruleset="socket")
input(type="imtcp" address="127.0.0.1" port="{tcp}" ruleset="tcp")
input(type="imtcp" address="127.0.0.1" port="{newline}" ruleset="newline" supportOctetCountedFraming="off")
input(type="imudp" address="127.0.0.1" port="{udp}" ruleset="udp" rcvbufSize="16m")
"""

    def __init__(self, case, folder):
        self.case, self.work = case, tempfile.mkdtemp(prefix="rsyslog-", dir=folder)
        self.socket = os.path.join(self.work, "log")
        self.tcp, self.newline, self.udp = free_port(), free_port(), free_port()
        with open(self.file("conf"), "w", encoding="utf-8") as file:
            file.write(self.CONFIGURATION.format(work=self.work, tcp=self.tcp, newline=self.newline, udp=self.udp))
        for name in ("socket", "tcp", "newline", "udp"):
            with open(self.file(name + ".log"), "wb"):
                pass
        self.start()

    def file(self, name):
        return os.path.join(self.work, name)

    def start(self):
        self.process = subprocess.Popen(["rsyslogd", "-n", "-f", self.file("conf"), "-i", self.file("pid")],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        clean_up(self.case, end_process, self.process)
        wait_for(lambda: is_listening(self.tcp) and is_listening(self.newline) and os.path.exists(self.socket), 20,
                 "rsyslogd to listen")

    def tell(self, number):
        self.process.send_signal(number)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(20)


class SyslogNg:
    """syslog-ng, which parses messages: its files have program, message id and message."""

    CONFIGURATION = """
@version: 3.38
options {{ flush-lines(100); time-reopen(1); stats-freq(0); }};
source tcp {{ syslog(ip("127.0.0.1") port({tcp}) transport("tcp")); }};
source socket {{ unix-dgram("{work}/log"); }};
destination tcp {{ file("{work}/tcp.log" template("$PROGRAM $MSGID $MSG\\n")); }};
destination socket {{ file("{work}/socket.log" template("$PROGRAM - $MSG\\n")); }};
log {{ source(tcp); destination(tcp); flags(flow-control); }};
log {{ source(socket); destination(socket); flags(flow-control); }};
"""

    def __init__(self, case, root, folder):
        self.work = tempfile.mkdtemp(prefix="syslog-ng-", dir=folder)
        self.socket, self.tcp = os.path.join(self.work, "log"), free_port()
        path = os.path.join(self.work, "conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.CONFIGURATION.format(work=self.work, tcp=self.tcp))
        self.process = root.start(case, self.tcp, "syslog-ng", "-F", "-f", path, "--no-caps",
                                  *(f"--{name}={os.path.join(self.work, name)}" for name in ("persist-file", "pidfile",
                                                                                             "control")))
        wait_for(lambda: os.path.exists(self.socket), 20, "syslog-ng's socket")

    def file(self, name):
        return os.path.join(self.work, name)


class Journal:
    """systemd-journald without systemd, in a mount namespace with its own /run."""

    SCRIPT = """
mount -t tmpfs tmpfs /run || exit 9
mkdir -p /run/systemd/journal /run/systemd/journald.conf.d /run/log/journal
printf '[Journal]\\nRateLimitBurst=0\\nRuntimeMaxUse=200M\\nReadKMsg=no\\nAudit=no\\n' \\
	>/run/systemd/journald.conf.d/test.conf
mount --bind "$1/socket" /run/systemd/journal && mount --bind "$1/log" /run/log/journal || exit 9
exec /lib/systemd/systemd-journald
"""

    def __init__(self, case, folder):
        self.case, self.work = case, tempfile.mkdtemp(prefix="journal-", dir=folder)
        self.socket = os.path.join(self.work, "socket", "socket")
        for name in ("socket", "log"):
            os.mkdir(os.path.join(self.work, name))
        self.start()

    def start(self):
        self.process = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", self.SCRIPT, "sh",
                                         self.work], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        clean_up(self.case, end_process, self.process)
        wait_for(lambda: os.path.exists(self.socket) or self.process.poll() is not None, 10, "journald's socket")

    def entries(self, *match):
        done = subprocess.run(["journalctl", "-D", os.path.join(self.work, "log"), "-o", "json", "--no-pager", "--all",
                               "-q", *match], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]
