# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Over 600 lines: every output and its failures, against receivers that are defined here.
"""Every event reaches every output of the daemon. The receivers are the programs that users have: rsyslogd, syslog-ng,
journald, logrotate. They are stopped, killed and restarted, files are rotated, disks are full, and the configuration
is reloaded. Further: metrics, the service manager, start and end, hostile mail.

An event may arrive twice if a receiver was down, but never less than once; build/bench/live-outputs.txt says how
often. Over UDP, at most as many events may be missing as the output has counted.
"""

import collections
import hashlib
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
import unittest
import urllib.error
import urllib.request

import mta
from daemon import ID, Bench, Daemon, Journal, Metrics, Rsyslog, SyslogNg, events, records
from harness import (LONG, ROOT, SLOW, Server, Sink, action, end_process, free_port, get, short, sized, strict_json,
                     unique, validate, wait_for)

REPORT = os.path.join(ROOT, "build", "bench", "live-outputs.txt")
SOURCE = shutil.which("smtp-source") or "/usr/sbin/smtp-source"


def note(line):
    os.makedirs(os.path.dirname(REPORT), exist_ok=True)
    with open(REPORT, "a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}\n")


def json_file(path, name, **more):
    return {"type": "json", "path": path, "name": name, **more}


def syslog(address, name, **more):
    return {"type": "syslog", "address": address, "name": name, "format": "json", **more}


def lost(everything):
    """The sums of the capture-loss events, without bytes_left_out and missed_runs: another large mail on this host may cause
    the one, and a task that preempts another in the middle of a program causes the other (docs/coverage.md)."""
    total = collections.Counter()
    for event in everything:
        if action(event) == "capture-loss":
            total.update(get(event, "smtpsnoop.stats.lost"))
    return {name: count for name, count in total.items() if count and name not in ("bytes_left_out", "missed_runs")}


class Arrived:
    """Counts the events of one server's port in a growing file."""

    def __init__(self, path, port):
        self.path, self.mark = path, re.compile(rb'"port":%d[,}]' % port)
        self.offset, self.count, self.rest = 0, 0, b""

    def look(self):
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            text = self.rest + file.read()
            self.offset = file.tell()
        whole, _, self.rest = text.rpartition(b"\n")
        self.count += sum(bool(self.mark.search(line)) for line in whole.split(b"\n"))
        return self.count


class Traffic:
    """Sends mails by smtp-source in rounds. A round ends when the reference file has its events: this bounds the load,
    so that the outputs are tested and not the capture (which test_load does)."""

    def __init__(self, case, reference):
        self.sink, self.mails = Sink(case), 0
        self.arrived = Arrived(reference, self.sink.port)
        self.reference = reference

    def round(self, mails, sender="out@example.org", wait=True, prefix=()):
        subprocess.run([*prefix, SOURCE, "-s", "5", "-m", str(mails), "-l", "1024", "-N", "-f", sender, "-t", "out@example.net",
                        f"inet:127.0.0.1:{self.sink.port}"], check=True, timeout=60, stdin=subprocess.DEVNULL)
        self.mails += mails
        if wait:
            self.wait()

    def wait(self):
        wait_for(lambda: self.arrived.look() >= 2 * self.mails, 20 * SLOW,
                 lambda: f"{2 * self.mails} events in the reference file: there are {self.arrived.count}")


def settled(metrics, but=(), timeout_s=20):
    """Waits until every output has written all its events, repeated ones included. The figures are taken right after a
    heartbeat, so that one event may be on its way in some outputs."""
    def all_written():
        values = metrics.values()
        up = {key for key, value in values.items() if key.startswith("smtpsnoop_output_up") and not value}
        written = {key: value for key, value in values.items() if key.startswith("smtpsnoop_output_events_total")
                   and not any(f'"{name}"' in key for name in but)}
        return not up and max(written.values()) - min(written.values()) <= 1
    wait_for(all_written, timeout_s * SLOW, lambda: f"empty queues of all outputs: {metrics.values()}", 0.3)


# ---- Everything at once ---------------------------------------------------------------------------


UNREAD = 300  # datagrams that may be unread in the receive buffer when its process ends


def overflows():
    """Datagrams that this host dropped because a receive buffer was full. The sender cannot know of these."""
    with open("/proc/net/snmp", encoding="ascii") as file:
        names, values = (line.split() for line in file if line.startswith("Udp:"))
    return int(values[names.index("RcvbufErrors")])


class Everything(Bench):
    """One daemon, sixteen outputs, 4,000 mails (10,000 in a long run), and failing receivers."""

    ROUNDS, MAILS, ROUND_S = 40, sized(100, 250), sized(0.45, 0.9)
    AWAY_S = sized(14, 30)

    ROTATE = """
"{path}" {{
	rotate 20
	{create}
	{extra}
	postrotate
		{postrotate}
	endscript
}}
"""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        ng = {}
        installing = threading.Thread(target=cls.install, args=(ng,), daemon=True)
        installing.start()
        cls.overflows = overflows()
        cls.steady, cls.stopped, cls.frozen, cls.killed = (Rsyslog(cls, cls.folder) for _ in range(4))
        installing.join(mta.INSTALL_S)
        if "error" in ng:
            raise ng["error"]
        cls.ng = SyslogNg(cls, ng["root"], cls.folder)
        cls.metrics = Metrics(free_port())
        cls.rotated = {name: cls.file(name, "events.json") for name in ("create", "nocreate", "late")}
        cls.reference = os.path.join(cls.folder, "reference.json")
        cls.daemon = Daemon(cls, cls.folder, cls.configuration())
        cls.traffic = Traffic(cls, cls.reference)
        cls.play()

    @classmethod
    def install(cls, result):
        try:
            result["root"] = mta.shared_root("syslog-ng-core")
        except BaseException as error:
            result["error"] = error

    @classmethod
    def file(cls, folder, name):
        os.makedirs(os.path.join(cls.folder, folder), exist_ok=True)
        return os.path.join(cls.folder, folder, name)

    @classmethod
    def configuration(cls):
        away = {"queue": "256MiB"}  # enough for all of it
        outputs = [json_file(cls.reference, "reference", queue="256MiB")]
        outputs += [json_file(path, f"rotated-{name}") for name, path in cls.rotated.items()]
        outputs += [syslog(cls.steady.socket, "rsyslog-socket"),
                    syslog(f"tcp://127.0.0.1:{cls.steady.tcp}", "rsyslog-tcp"),
                    syslog(f"tcp://127.0.0.1:{cls.steady.newline}", "rsyslog-newline", framing="newline"),
                    syslog(f"tcp://127.0.0.1:{cls.ng.tcp}", "syslog-ng-tcp"),
                    syslog(cls.ng.socket, "syslog-ng-socket"),
                    syslog(f"udp://127.0.0.1:{cls.stopped.udp}", "stopped-udp", **away)]
        for name, receiver in (("stopped", cls.stopped), ("frozen", cls.frozen), ("killed", cls.killed)):
            outputs += [syslog(receiver.socket, f"{name}-socket", **away),
                        syslog(f"tcp://127.0.0.1:{receiver.tcp}", f"{name}-tcp", **away)]
        return {"outputs": outputs, "metrics": {"listen": f"127.0.0.1:{cls.metrics.port}"}, "heartbeat": "1s"}

    @classmethod
    def rotate(cls, name):
        """Runs logrotate. With `late`, SIGHUP comes a second or two after the file was renamed."""
        hup = f"kill -HUP {cls.daemon.pid}"
        conf = cls.file(name, "logrotate.conf")
        if not os.path.exists(conf):
            with open(conf, "w", encoding="utf-8") as file:
                file.write(cls.ROTATE.format(
                    path=cls.rotated[name], create="nocreate" if name == "nocreate" else "create 0640 root root",
                    extra="compress\n\tdelaycompress" if name == "create" else "nocompress",
                    postrotate=f"(sleep {sized(1, 2)}; {hup}) >/dev/null 2>&1 &" if name == "late" else hup))
            os.chmod(conf, 0o644)
        subprocess.run(["logrotate", "-f", "-s", cls.file(name, "state"), conf], check=True, timeout=30,
                       stdin=subprocess.DEVNULL)
        cls.rotations[name] += 1

    @classmethod
    def play(cls):
        cls.rotations = collections.Counter()
        back_s = None
        for turn in range(cls.ROUNDS):
            began = time.monotonic()
            if turn == 5:
                cls.stopped.end(signal.SIGTERM)
                back_s = began + cls.AWAY_S
                cls.frozen.tell(signal.SIGSTOP)
            if turn == 16:
                cls.killed.tell(signal.SIGSTOP)  # so that much is unread when it is killed below
            if turn == 20:
                cls.frozen.tell(signal.SIGCONT)
                cls.killed.end(signal.SIGKILL)
            if turn == 23:
                cls.killed.start()
            if turn == 30:
                cls.killed.end(signal.SIGKILL)
                cls.killed.start()
            if turn % 9 in (2, 5, 8):
                cls.rotate({2: "create", 5: "nocreate", 8: "late"}[turn % 9])
            if turn == cls.ROUNDS - 2:
                time.sleep(max(0, back_s - time.monotonic()))
                cls.stopped.start()
            cls.traffic.round(cls.MAILS)
            time.sleep(max(0, began + cls.ROUND_S - time.monotonic()))
        try:
            settled(cls.metrics, but=("stopped-udp",))
            cls.unsettled = None
        except AssertionError as error:
            cls.unsettled = str(error)
        cls.values = cls.metrics.values()
        time.sleep(2)
        cls.took_s = cls.daemon.stop()
        for receiver in (cls.steady, cls.stopped, cls.frozen, cls.killed):
            receiver.end()
        end_process(cls.ng.process)
        port = cls.traffic.arrived.mark
        cls.expected = {}
        for record in records(cls.reference):
            if port.search(record):
                cls.expected[ID.search(record)[1]] = record

    def figure(self, name, output):
        return int(self.values[f'smtpsnoop_output_{name}{{output="{output}"}}'])

    def arrived(self, output, *paths, missing=0, twice=False, receivers_own=0):
        """Every event of the traffic is in these files, unchanged, and only once unless `twice`."""
        mark, seen, broken = self.traffic.arrived.mark, collections.Counter(), []
        for record in records(*paths):
            if not mark.search(record) and record.endswith(b"}"):
                continue
            found = ID.search(record)
            one = found and found[1]
            if self.expected.get(one) == record:
                seen[one] += 1
            else:
                broken.append(record)
        absent = len(self.expected) - len(seen)
        again = sum(seen.values()) - len(seen)
        told = {name: self.figure(name, output)
                for name in ("events_total", "repeated_events_total", "lost_events_total", "failures_total")}
        note(f"{output}: {len(seen)} of {len(self.expected)} events, {absent} missing, {again} twice, {len(broken)} "
             f"broken lines; counted: {told}")
        self.assertEqual(broken[:2], [], f"{len(broken)} broken lines")
        self.assertLessEqual(absent, missing + receivers_own, f"{absent} of {len(self.expected)} events are missing")
        if not twice:
            self.assertEqual(again, 0, f"{again} events arrived twice")
        if not told["failures_total"] or "udp" not in output:
            self.assertEqual(told["lost_events_total"], 0)
        return absent, again

    def test_reference(self):
        everything = events(self.reference)
        validate(everything)
        kinds = collections.Counter(action(event) for event in everything
                                    if get(event, "destination.port") == self.traffic.sink.port)
        self.assertEqual(kinds, {"smtp-message": self.traffic.mails, "smtp-session": self.traffic.mails})
        self.assertEqual(len(self.expected), 2 * self.traffic.mails)
        refused = self.figure("lost_events_total", "stopped-udp")  # only datagrams may be lost
        self.assertEqual(lost(everything), {"events": refused} if refused else {})

    def test_all_came_to_rest(self):
        self.assertIsNone(self.unsettled)
        self.assertLess(self.took_s, 7)

    def rotated_files(self, name):
        folder = os.path.dirname(self.rotated[name])
        files = []
        for one in sorted(os.listdir(folder)):
            if not one.startswith("events.json"):
                continue
            if one.endswith(".gz"):
                subprocess.run(["gzip", "-d", os.path.join(folder, one)], check=True, timeout=30)
            files.append(os.path.join(folder, one.removesuffix(".gz")))
        self.assertEqual(len(files), self.rotations[name] + 1)
        self.assertGreaterEqual(self.rotations[name], 4)
        return files

    def test_logrotate_create(self):
        self.arrived("rotated-create", *self.rotated_files("create"))

    def test_logrotate_nocreate(self):
        self.arrived("rotated-nocreate", *self.rotated_files("nocreate"))

    def test_logrotate_late_signal(self):
        self.arrived("rotated-late", *self.rotated_files("late"))

    def test_rsyslog_socket(self):
        self.arrived("rsyslog-socket", self.steady.file("socket.log"))

    def test_rsyslog_tcp(self):
        self.arrived("rsyslog-tcp", self.steady.file("tcp.log"))

    def test_rsyslog_tcp_newline(self):
        self.arrived("rsyslog-newline", self.steady.file("newline.log"))

    def test_rsyslog_keeps_the_header(self):
        with open(self.steady.file("tcp.log"), encoding="utf-8") as file:
            for line in file:
                self.assertRegex(line, r"^<30>1 |^<28>1 ")
                header = re.match(r"<\d+>1 (\S+) \S+ smtpsnoop (\d+) (\S+) - \{", line)
                self.assertIsNotNone(header, line[:200])
                self.assertEqual(header[2], str(self.daemon.pid))
                self.assertIn(f'"action":"{header[3]}"', line)

    def test_syslog_ng_tcp(self):
        self.arrived("syslog-ng-tcp", self.ng.file("tcp.log"))
        with open(self.ng.file("tcp.log"), encoding="utf-8") as file:
            heads = collections.Counter(" ".join(line.split(" ", 2)[:2]) for line in file)
        self.assertEqual(heads["smtpsnoop smtp-message"] >= self.traffic.mails, True, heads)
        self.assertEqual({head.split(" ")[0] for head in heads}, {"smtpsnoop"})

    def test_syslog_ng_socket(self):
        self.arrived("syslog-ng-socket", self.ng.file("socket.log"))
        with open(self.ng.file("socket.log"), encoding="utf-8") as file:
            self.assertEqual({line.split(" ", 1)[0] for line in file}, {"smtpsnoop"})

    def test_stopped_socket(self):
        self.arrived("stopped-socket", self.stopped.file("socket.log"), twice=True)

    def test_stopped_tcp(self):
        self.arrived("stopped-tcp", self.stopped.file("tcp.log"), twice=True)

    def test_stopped_udp(self):
        # one probe per second is lost before the host reports the closed port
        refused = self.figure("lost_events_total", "stopped-udp")
        self.arrived("stopped-udp", self.stopped.file("udp.log"), missing=refused + overflows() - self.overflows + UNREAD)

    def test_frozen_socket(self):
        self.arrived("frozen-socket", self.frozen.file("socket.log"))

    def test_frozen_tcp(self):
        self.arrived("frozen-tcp", self.frozen.file("tcp.log"))

    def test_killed_socket(self):
        # rsyslogd may be killed with one datagram read but not written; it is killed twice
        self.arrived("killed-socket", self.killed.file("socket.log"), twice=True, receivers_own=2)

    def test_killed_tcp(self):
        self.arrived("killed-tcp", self.killed.file("tcp.log"), twice=True)

    def test_reported_once(self):
        """A failure gives one line when it begins and one when it ends."""
        outages = {"stopped-socket": 1, "stopped-tcp": 1, "stopped-udp": 1, "killed-socket": 2, "killed-tcp": 2}
        for output in ("frozen-socket", "frozen-tcp"):  # reported if nothing was written for ten seconds
            outages[output] = len(self.daemon.said(f"smtpsnoop: {output}: ", "nothing written"))
        for output in ("stopped-socket", "stopped-tcp", "stopped-udp", "killed-socket", "killed-tcp", "frozen-socket",
                       "frozen-tcp", "rsyslog-tcp", "syslog-ng-tcp"):
            with self.subTest(output=output):
                began = self.daemon.said(f"smtpsnoop: {output}: ", "events wait")
                over = self.daemon.said(f"smtpsnoop: {output}: ", "writing again")
                self.assertEqual((len(began), len(over)), (outages.get(output, 0),) * 2, self.daemon.said(output)[:6])

    def test_status_events(self):
        told = [event for event in events(self.reference) if action(event) == "status"]
        self.assertEqual([get(event, "smtpsnoop.sequence") for event in told], list(range(1, len(told) + 1)))
        self.assertGreaterEqual(len(told), 8)
        for event in told:
            self.assertEqual(len(get(event, "smtpsnoop.outputs")), 16, short(event))
        ups = {one["name"]: [] for one in get(told[0], "smtpsnoop.outputs")}
        for event in told:
            for one in get(event, "smtpsnoop.outputs"):
                ups[one["name"]].append(one["up"])
        self.assertIn(False, ups["stopped-tcp"])
        self.assertTrue(all(ups["rsyslog-tcp"]))


# ---- Small disks, small queues --------------------------------------------------------------------


class Room(Bench):
    """A disk that is full, a file that is gone, a queue that is too small."""

    KNOWN = {"name": "known", "accept_forgeable": True, "mail": {"sender": "known@example.org"}}

    def disk(self, size="1m"):
        """Mounts a small file system; grow() enlarges it."""
        path = tempfile.mkdtemp(prefix="disk-", dir=self.work)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], stderr=subprocess.PIPE)
        if mounted.returncode:
            self.skipTest(f"file systems cannot be mounted here: {mounted.stderr.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", path])
        return path

    @staticmethod
    def grow(disk):
        subprocess.run(["mount", "-o", "remount,size=128m", disk], check=True)

    def start(self, *outputs, exclusions=(), **more):
        self.reference = self.path("reference.json")
        self.metrics = Metrics(free_port())
        self.daemon = Daemon(self, self.work, {
            "outputs": [json_file(self.reference, "reference", queue="256MiB"), *outputs],
            "metrics": {"listen": f"127.0.0.1:{self.metrics.port}"}, "exclusions": list(exclusions), **more})
        wait_for(self.metrics.text, 10 * SLOW, "the first page of the metrics")
        self.traffic = Traffic(self, self.reference)

    def at_rest(self):
        def empty():
            waiting, up = self.metrics.outputs("waiting_events"), self.metrics.outputs("up")
            return all(up.values()) and not any(waiting.values())
        wait_for(empty, 20 * SLOW, lambda: f"empty queues: {self.metrics.outputs('waiting_events')}", 0.2)

    def missing(self, *paths):
        """The events of the reference that these files lack. Every line in them must be whole and unique."""
        expected = {ID.search(record)[1]: record for record in records(self.reference)}
        seen = collections.Counter()
        for record in records(*paths):
            strict_json(record)
            self.assertEqual(expected[ID.search(record)[1]], record)
            seen[ID.search(record)[1]] += 1
        self.assertEqual([one for one, count in seen.items() if count > 1], [])
        return [strict_json(record) for one, record in expected.items() if one not in seen]

    def test_full_disk(self):
        if not LONG:
            self.skipTest("takes 8 s: make test-all runs it")
        one, other = self.disk(), self.disk()
        patient, hasty = os.path.join(one, "patient.json"), os.path.join(other, "hasty.json")
        self.start(json_file(patient, "patient"), json_file(hasty, "hasty", queue="1MiB"), exclusions=[self.KNOWN])
        self.traffic.round(600, "known@example.org")
        wait_for(lambda: not any((self.metrics.outputs("up")[name] for name in ("patient", "hasty"))), 10 * SLOW,
                 lambda: f"two full disks: {self.metrics.outputs('up')}", 0.2)
        self.traffic.round(60, "alarm@example.org")
        self.traffic.round(300, "known@example.org")
        wait_for(lambda: self.metrics.outputs("lost_events_total")["hasty"], 5 * SLOW, "losses in the metrics", 0.2)
        time.sleep(1.2)
        full = self.metrics.outputs("queue_bytes")
        self.assertLessEqual(full["hasty"], 1 << 20)
        self.assertEqual(self.metrics.outputs("lost_events_total")["patient"], 0)
        for disk in (one, other):
            self.grow(disk)
        self.at_rest()
        self.traffic.round(50, "known@example.org")
        self.at_rest()
        time.sleep(1.5)
        lost = self.metrics.outputs("lost_events_total")
        self.daemon.stop()
        self.assertEqual(self.missing(patient), [])
        missing = self.missing(hasty)
        kinds = collections.Counter((action(event), get(event, "smtpsnoop.verdict")) for event in missing)
        note(f"full disk, queue 1MiB: {lost['hasty']} reported lost, {len(missing)} missing: {dict(kinds)}")
        self.assertEqual(lost, {"reference": 0, "patient": 0, "hasty": len(missing)})
        everything = events(self.reference)
        ports = {get(event, "destination.port") for event in everything}
        if ports <= {None, self.traffic.sink.port}:  # other alerts on this host may have filled the queue
            self.assertEqual(kinds["smtp-message", "alert"], 0, "an alert gave way to what is none")
        losses = [get(event, "smtpsnoop.stats.lost.events") for event in everything if action(event) == "capture-loss"]
        self.assertTrue(losses, "no capture-loss event reports it")
        self.assertEqual(sum(losses), len(missing))  # each event has what was lost since the one before
        outputs = {one["name"]: one["lost"] for one in get(everything[-1], "smtpsnoop.outputs")}
        self.assertEqual(outputs, lost)
        for name, count in (("patient", 0), ("hasty", len(missing))):
            began = self.daemon.said(f"{name}: ", "No space left", "events wait in memory")
            over = self.daemon.said(f"{name}: ", "writing again")
            self.assertEqual((len(began), len(over)), (1, 1), self.daemon.said(name))
            told = re.search(r"(\d+) events were dropped", over[0])
            self.assertEqual(int(told[1]) > 0, count > 0, over[0])
            if told:  # some may have been lost before the disk was reported full
                self.assertLessEqual(int(told[1]), count)

    def test_full_disk_and_a_flood_of_alerts(self):
        """A user whose alerts overflow the queue does not displace the alerts of other users."""
        if not LONG:
            self.skipTest("takes 5 s: make test-all runs it")
        disk = self.disk()
        path = os.path.join(disk, "events.json")
        self.start(json_file(path, "flooded", queue="1MiB"))
        self.traffic.round(1000)
        wait_for(lambda: self.metrics.outputs("lost_events_total")["flooded"], 10 * SLOW, "a queue that is full", 0.2)
        self.traffic.round(20, "nobody@example.org", prefix=("setpriv", "--reuid=nobody", "--clear-groups"))
        self.traffic.round(100)
        self.grow(disk)
        self.at_rest()
        self.daemon.stop()
        alerts = [event for event in self.missing(path) if get(event, "smtpsnoop.verdict") == "alert"]
        users = collections.Counter(get(event, "user.name") for event in alerts)
        note(f"flood of alerts, queue 1MiB: lost by user: {dict(users)}")
        self.assertGreater(users["root"], 100, "the queue was never full: this proves nothing")
        self.assertEqual(users["nobody"], 0)

    def cut_and(self, rename):
        """SIGHUP while a record is half written to a full disk: the files still consist of whole lines."""
        disk = self.disk()
        path = os.path.join(disk, "events.json")
        self.start(json_file(path, "small"))
        self.traffic.round(400)
        wait_for(lambda: not self.metrics.outputs("up")["small"], 10 * SLOW, "a full disk", 0.2)
        with open(path, "rb") as file:
            self.assertFalse(file.read().endswith(b"\n"), "no record was cut: this proves nothing")
        if rename:
            os.rename(path, path + ".1")
        self.grow(disk)
        self.daemon.hup()
        self.at_rest()
        self.traffic.round(20)
        self.at_rest()
        self.daemon.stop()
        files = [name for name in (path + ".1", path) if os.path.exists(name)]
        self.assertEqual(len(files), 1 + rename)
        self.assertEqual(self.missing(*files), [])

    def test_full_disk_and_sighup(self):
        self.cut_and(False)

    def test_full_disk_and_rotation(self):
        self.cut_and(True)

    def test_removed_file(self):
        if not LONG:
            self.skipTest("takes 5 s: make test-all runs it")
        path = self.path("gone", "events.json")
        os.mkdir(self.path("gone"))
        self.start(json_file(path, "gone"))
        self.traffic.round(20)
        os.unlink(path)
        wait_for(lambda: os.path.exists(path), 2.5 * SLOW, "the file to be created again")
        self.traffic.round(20)
        shutil.rmtree(self.path("gone"))
        self.traffic.round(20)
        wait_for(lambda: not self.metrics.outputs("up")["gone"], 5 * SLOW, "the loss of the folder to be noticed", 0.2)
        os.mkdir(self.path("gone"))
        wait_for(lambda: os.path.exists(path), 5 * SLOW, "the file to be created again")
        self.at_rest()
        self.daemon.stop()
        missing = [event for event in self.missing(path) if get(event, "destination.port") == self.traffic.sink.port]
        self.assertEqual(len(missing), 80, "the removed files had 40 messages and 40 sessions")
        self.assertEqual(len(self.daemon.said("gone: ", "events wait in memory")), 1)

    def test_place_that_is_taken_at_a_rotation(self):
        """A path that cannot be reopened is opened once that is possible, and reported as failing until then."""
        if not LONG:
            self.skipTest("takes 5 s: make test-all runs it")
        path = self.path("events.json")
        self.start(json_file(path, "taken"))
        self.traffic.round(20)
        os.rename(path, path + ".1")
        os.mkdir(path)
        self.daemon.hup()
        self.traffic.round(20)
        time.sleep(1.5)
        self.assertEqual(self.daemon.said("taken: ", "writing again"), [])
        os.rmdir(path)
        wait_for(lambda: os.path.isfile(path), 4 * SLOW, "the file to be created")
        self.traffic.round(20)
        self.at_rest()
        self.daemon.stop()
        self.assertEqual(self.missing(path + ".1", path), [])

    def test_small_queue_and_a_good_receiver(self):
        """Sent events are kept until they are surely received; with a receiver that reads them, that must not fill the queue."""
        receiver = Rsyslog(self, self.work)
        self.start(syslog(f"tcp://127.0.0.1:{receiver.tcp}", "tcp", queue="1MiB"),
                   syslog(receiver.socket, "socket", queue="1MiB"))
        for _ in range(12):
            self.traffic.round(50)
        time.sleep(1.2)
        lost = self.metrics.outputs("lost_events_total")
        self.daemon.stop()
        receiver.end()
        self.assertEqual(lost, {"reference": 0, "tcp": 0, "socket": 0})
        self.assertEqual(self.missing(receiver.file("tcp.log")), [])
        self.assertEqual(self.missing(receiver.file("socket.log")), [])

    def test_frozen_for_12_s_and_killed(self):
        """A receiver that stops reading for longer than sent events are kept, and is then killed with them unread."""
        if not LONG:
            self.skipTest("takes 21 s: make test-all runs it")
        receiver = Rsyslog(self, self.work)
        self.start(syslog(f"tcp://127.0.0.1:{receiver.tcp}", "tcp"), syslog(receiver.socket, "socket"))
        self.traffic.round(5)
        time.sleep(0.5)
        receiver.tell(signal.SIGSTOP)
        self.traffic.round(10)
        time.sleep(12)
        receiver.end(signal.SIGKILL)
        receiver.start()
        wait_for(lambda: all(self.metrics.outputs("up").values()), 5 * SLOW, "connections to the new one", 0.2)
        time.sleep(2)
        self.daemon.stop()
        receiver.end()
        expected = {ID.search(record)[1] for record in records(self.reference)}
        missing = {name: len(expected - {ID.search(record)[1] for record in records(receiver.file(f"{name}.log"))})
                   for name in ("socket", "tcp")}
        note(f"frozen for 12 s and killed: {missing} of {len(expected)} missing")
        self.assertLessEqual(missing["socket"], 1, "one may have been read but not written")
        self.assertEqual(missing["tcp"], 0)

    def test_receiver_that_hangs_up_at_once(self):
        """A relay without its back end accepts connections and closes them: reported once, nothing is lost."""
        if not LONG:
            self.skipTest("takes 10 s: make test-all runs it")
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        port = listener.getsockname()[1]

        def hang_up():
            while True:
                try:
                    listener.accept()[0].close()
                except OSError:
                    return
        threading.Thread(target=hang_up, daemon=True).start()
        self.start(syslog(f"tcp://127.0.0.1:{port}", "relay"), syslog(f"udp://127.0.0.1:{free_port()}", "nobody"))
        self.traffic.round(20)
        time.sleep(sized(3, 6))
        figures = {name: self.metrics.outputs(name + "_total") for name in ("events", "repeated_events", "failures")}
        self.daemon.stop()
        note(f"a receiver that hangs up, and none over UDP: {figures}")
        for name in ("relay", "nobody"):
            with self.subTest(output=name):
                self.assertLessEqual(len(self.daemon.said(f"{name}: ", "events wait in memory")), 2,
                                     self.daemon.said(name)[:8])


# ---- Reloading ------------------------------------------------------------------------------------


class Reload(Room):
    """SIGHUP applies a configuration as a whole or not at all. (Removed below: the tests inherited from Room.)"""

    def status_hashes(self):
        return [get(event, "smtpsnoop.config.sha256") for event in events(self.reference)
                if action(event) in ("started", "status")]

    def verdicts(self):
        """The verdicts on the messages of the traffic, in order."""
        return [get(event, "smtpsnoop.verdict") for event in events(self.reference)
                if action(event) == "smtp-message" and get(event, "destination.port") == self.traffic.sink.port]

    def config(self, **changes):
        config = {"outputs": [json_file(self.reference, "reference", queue="256MiB")],
                  "metrics": {"listen": f"127.0.0.1:{self.metrics.port}"}}
        return {**config, **changes}

    def refused(self, config, *words):
        """The daemon prints one line with these words and continues as before."""
        before = self.metrics.values()
        self.daemon.configure(config)
        lines = self.daemon.hup()
        self.assertEqual(len(lines), 1, lines)
        for word in words:
            self.assertIn(word, lines[0])
        self.traffic.round(5)
        failures = 'smtpsnoop_config_reloads_total{result="failure"}'
        after = wait_for(lambda: (now := self.metrics.values())[failures] > before[failures] and now, 3 * SLOW,
                         "the failure in the metrics", 0.1)
        self.assertEqual(after["smtpsnoop_config_last_reload_successful"], 0)
        self.assertEqual(after[failures], before[failures] + 1)
        self.assertEqual(set(self.status_hashes()), set(self.status_hashes()[:1]))

    def test_what_is_wrong(self):
        other = self.path("other.json")
        self.start()
        wrong = self.config(outputs=[json_file(other, "other")])
        self.refused("outputs:\n  - { type: json, path: /x }\n  - { type: jsno, path: /y }\n", "smtpsnoop.yaml:3:",
                     "jsno")
        self.refused("metrics: { listen: 0.0.0.0:9099 }\n", "smtpsnoop.yaml:1:")
        self.refused("outputs: [\n", "smtpsnoop.yaml:")
        self.refused("heartbeat: 5m\nheartbaet: 5m\n", "smtpsnoop.yaml:2:1", "heartbaet")
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        self.refused({**wrong, "metrics": {"listen": f"127.0.0.1:{taken.getsockname()[1]}"}}, "metrics", "in use")
        self.assertFalse(os.path.exists(other))
        for bad in ("/nonexistent/x.json", self.work, "/proc/x.json"):
            self.refused({**self.config(outputs=[json_file(other, "other"), json_file(bad, "bad")],
                                        exclusions=[self.KNOWN]),
                          "metrics": {"listen": f"127.0.0.1:{free_port()}"}}, "bad", bad)
        self.traffic.round(1, "known@example.org")
        os.unlink(self.daemon.path)
        lines = self.daemon.hup()
        self.assertEqual(len(lines), 1, lines)
        self.daemon.stop()
        self.assertEqual(set(self.verdicts()), {"alert"}, "an exclusion of a rejected configuration is in force")
        self.assertFalse(os.path.exists(other) and os.path.getsize(other))

    def test_outputs_come_and_go(self):
        first, second = self.path("first.json"), self.path("second.json")
        self.start(json_file(first, "first"))
        reference = json_file(self.reference, "reference", queue="256MiB")
        self.traffic.round(20)
        self.daemon.configure(self.config(outputs=[reference, json_file(second, "second")]))
        self.assertEqual(len(self.daemon.hup()), 1)
        self.traffic.round(20)
        metrics = Metrics(free_port())
        self.daemon.configure({**self.config(outputs=[reference]), "metrics": {"listen": f"127.0.0.1:{metrics.port}"}})
        self.assertEqual(len(self.daemon.hup()), 1)
        with self.assertRaises(OSError):
            self.metrics.text(2)
        self.traffic.round(20)
        time.sleep(1.2)
        self.assertEqual(set(metrics.outputs("events_total")), {"reference"})
        with open(self.daemon.path, "rb") as file:
            current = hashlib.sha256(file.read()).hexdigest()
        self.daemon.stop()
        mark = self.traffic.arrived.mark
        everything = [record for record in records(self.reference) if mark.search(record)]
        for path, part in ((first, everything[:40]), (second, everything[40:80])):
            self.assertEqual([record for record in records(path) if mark.search(record)], part)
        hashes = self.status_hashes()
        self.assertEqual(len(hashes), 3, "started, and a status event after each reload")
        self.assertEqual(len(set(hashes)), 3)
        self.assertEqual(hashes[-1], current)

    def test_exclusions_take_effect(self):
        self.start()
        for exclusions in ([], [self.KNOWN], []):
            self.daemon.configure(self.config(exclusions=exclusions))
            self.daemon.hup()
            self.traffic.round(5, "known@example.org")
        self.daemon.stop()
        self.assertEqual(self.verdicts(), ["alert"] * 5 + ["excluded"] * 5 + ["alert"] * 5)

    def test_alerts_only(self):
        path = self.path("alerts.json")
        self.start(json_file(path, "alerts", events="alerts"), exclusions=[self.KNOWN])
        self.traffic.round(10, "known@example.org")
        self.traffic.round(10, "alarm@example.org")
        self.at_rest()
        self.daemon.stop()
        kinds = collections.Counter(action(event) for event in events(path)
                                    if get(event, "destination.port") == self.traffic.sink.port)
        self.assertEqual(kinds, {"smtp-message": 10})
        self.assertEqual([action(event) for event in events(path) if not get(event, "destination.port")],
                         [action(event) for event in events(self.reference) if not get(event, "destination.port")])

    def test_reloads_while_mail_flows(self):
        if not LONG:
            self.skipTest("takes 6 s: make test-all runs it")
        receiver = Rsyslog(self, self.work)
        path = self.path("events.json")
        constant = [json_file(path, "file"), syslog(f"tcp://127.0.0.1:{receiver.tcp}", "tcp"),
                    syslog(receiver.socket, "socket")]
        self.start(*constant)
        reference = json_file(self.reference, "reference", queue="256MiB")
        done = threading.Event()

        def flow():
            while not done.is_set():
                self.traffic.round(100)
                time.sleep(0.1)
        flowing = threading.Thread(target=flow)
        flowing.start()
        for turn in range(sized(8, 20)):
            more = [json_file(self.path(f"more-{turn % 3}.json"), f"more-{turn}")] if turn % 2 else []
            self.daemon.configure(self.config(outputs=[*constant[turn % 3:], reference, *more, *constant[:turn % 3]],
                                              exclusions=[self.KNOWN] if turn % 2 else []))
            self.assertEqual(len(self.daemon.hup()), 1)
            time.sleep(0.15)
        done.set()
        flowing.join(60)
        self.traffic.wait()
        wait_for(lambda: not any(count for name, count in self.metrics.outputs("waiting_events").items()
                                 if name not in ("tcp", "socket")), 10 * SLOW, "files to be written", 0.2)
        time.sleep(1)
        self.daemon.stop()
        receiver.end()
        for one in (path, receiver.file("tcp.log"), receiver.file("socket.log")):
            self.assertEqual(self.missing(one), [])
        kinds = collections.Counter(action(event) for event in events(self.reference)
                                    if get(event, "destination.port") == self.traffic.sink.port)
        self.assertEqual(kinds, {"smtp-message": self.traffic.mails, "smtp-session": self.traffic.mails})
        self.assertGreaterEqual(self.traffic.mails, sized(100, 500))
        self.assertEqual(lost(events(self.reference)), {})

for _name in [name for name in vars(Room) if name.startswith("test_")]:
    setattr(Reload, _name, None)


# ---- Metrics --------------------------------------------------------------------------------------


class MetricsPage(Bench):
    """What Prometheus reads."""

    CLIENT = """
import ctypes, sys
import client
port, marker, recipients = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3:]
ctypes.CDLL(None).prctl(15, marker[:15], 0, 0, 0)
for recipient in recipients:
    session = client.Session(port, helo=marker)
    session.mail(marker + b"@example.org", [recipient, marker + b'"\\\\\\n@example.net'],
                 b"Subject: " + marker + b"\\r\\n\\r\\n" + marker + b"\\r\\n")
    session.quit()
"""

    def setUp(self):
        super().setUp()
        self.known = unique("known")
        self.metrics, self.file, self.page = Metrics(free_port()), self.path("events.json"), self.path("smtpsnoop.prom")
        self.daemon = Daemon(self, self.work, {
            "outputs": [json_file(self.file, 'file'), {"type": "stdout"}], "heartbeat": "1s",
            "metrics": {"listen": f"127.0.0.1:{self.metrics.port}", "textfile": self.page},
            "exclusions": [{"name": 'quote " slash \\ known', "accept_forgeable": True,
                            "mail": {"sender": self.known}}]})
        wait_for(self.metrics.text, 10 * SLOW, "the first page")

    def promtool(self, text):
        done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=30)
        self.assertEqual((done.returncode, done.stdout), (0, b""))

    def test_what_it_says(self):
        server, marker, recipients = Server(self), "mArKeR" + os.urandom(4).hex(), [unique() for _ in range(5)]
        self.run_program("client_program.py", self.CLIENT, server.port, marker, *recipients)
        traffic = Traffic(self, self.file)
        traffic.round(20, self.known)
        before = time.monotonic()
        wait_for(lambda: self.own()["smtpsnoop_sessions_total"] >= 25, 5 * SLOW, "25 sessions in the metrics", 0.3)
        self.promtool(self.metrics.text())
        time.sleep(1.2)
        last = self.metrics.text()
        wait_for(lambda: os.path.exists(self.page), 20 * SLOW, "the text file", 0.2)
        with open(self.page, encoding="utf-8") as file:
            self.promtool(file.read())
        self.daemon.stop()
        self.assertFalse(os.path.exists(self.page), "old figures stay behind")
        self.promtool(last)
        everything = events(self.file)
        self.assertIn(marker, json.dumps(everything))
        for text in (last, *self.pages):
            self.assertNotIn(marker[:15].lower(), text.lower())
            for secret in (*recipients, "example.org", "example.net", "smtp-source", "/usr"):
                self.assertNotIn(secret, text)
        self.assertLess(time.monotonic() - before, 60)
        # the last page is at most a second old at the end, and nothing was sent in that second
        values = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in last.splitlines() if line[0] != "#"}
        stats = get(everything[-1], "smtpsnoop.stats")
        others = [event for event in everything[-2000:]  # other mail of this host, which may have come in that second
                  if get(event, "destination.port", server.port) not in (server.port, traffic.sink.port)]
        for name, value in (("messages_total{verdict=\"alert\"}", stats["messages"] - stats["excluded"]),
                            ("messages_total{verdict=\"excluded\"}", stats["excluded"]),
                            ("alerts_total", stats["alerts"]), ("recipients_total", stats["recipients"]),
                            ("message_bytes_total", stats["bytes"]), ("sessions_total", stats["sessions"]),
                            ('excluded_messages_total{exclusion="quote \\" slash \\\\ known"}', 20),
                            ("event_latency_seconds_count", stats["messages"]),
                            ('output_lost_events_total{output="file"}', 0), ('output_up{output="stdout"}', 1)):
            self.assertLessEqual(values["smtpsnoop_" + name], value, name)
            if not others:
                self.assertEqual(values["smtpsnoop_" + name], value, name)
        sequences = [get(event, "smtpsnoop.sequence") for event in everything if action(event) == "status"]
        self.assertLessEqual(abs(values["smtpsnoop_heartbeat_sequence"] - len(sequences)), 1)
        if not others:
            self.assertLessEqual(abs(values['smtpsnoop_output_events_total{output="file"}'] - len(everything)), 3)

    pages = ()

    def own(self):
        text = self.metrics.text()
        self.pages = (*self.pages, text)
        return {line.split(" ")[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[0] != "#"}

    def request(self, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.metrics.port}{path}", data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def test_methods_and_paths(self):
        status, headers, body = self.request("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        self.assertIn(b"smtpsnoop_build_info", body)
        status, headers, body = self.request("HEAD", "/metrics")
        self.assertEqual((status, body), (200, b""))
        self.assertGreater(int(headers["Content-Length"]), 1000)
        for path in ("/", "/metrics/", "/metrics/../etc/passwd", "//metrics", "/metric", "/%2e/metrics", "/metrics%20"):
            with self.subTest(path=path):
                self.assertEqual(self.request("GET", path)[0], 404)
        for method, body in (("POST", b"x" * 100_000), ("PUT", b"x"), ("DELETE", None), ("OPTIONS", None)):
            with self.subTest(method=method):
                self.assertEqual(self.request(method, "/metrics", body)[0], 405)
        self.daemon.stop()
        self.assertEqual(len(self.daemon.errors), 1, self.daemon.errors)

    def hold_on(self, *said):
        for text in said:
            sock = socket.create_connection(("127.0.0.1", self.metrics.port))
            self.addCleanup(sock.close)
            sock.sendall(text)
            yield sock

    def answered(self, limit_s):
        """Asks for the page until an answer comes; returns the seconds that took."""
        began = time.monotonic()

        def ask():
            try:
                return self.metrics.text(limit_s)
            except OSError:
                return ""
        self.assertIn("smtpsnoop_build_info", wait_for(ask, limit_s, "an answer", 0.5))
        return time.monotonic() - began

    def test_clients_that_hold_on(self):
        """30 clients send nothing, half a request, a byte per second, or nonsense. Another client gets its answer once
        their time is over, and the capture does not wait."""
        server, recipient = Server(self), unique()
        dripping = b"GET /metrics HTTP/1.1\r\nX: "
        held = [*self.hold_on(*(dripping,) * 16, *(b"", b"GET /metr") * 7, b"\x00\xff\r\n\r\n" * 100,
                              b"GET /metrics HTTP/1.1\r\nA: " + b"b" * 60000, b"GET /metrics HTTP/9\r\n\r\n")]
        end = threading.Event()

        def drip():
            while not end.wait(1):
                for sock in held[:16]:
                    try:
                        sock.send(b"a")
                    except OSError:
                        pass
        threading.Thread(target=drip, daemon=True).start()
        self.addCleanup(end.set)
        self.run_program("client_program.py", self.CLIENT, server.port, "x", recipient)
        arrived = Arrived(self.file, server.port)
        wait_for(lambda: arrived.look() >= 2, 1.5 * SLOW, "the events of a mail meanwhile")
        note(f"metrics with {len(held)} clients that hold on: {self.answered(12 * SLOW):.1f} s to an answer")
        self.assertLess(self.daemon.stop(), 3)


# ---- Beginning, end, and the service manager ------------------------------------------------------


class Life(Bench):
    def start(self, config, *options, **keywords):
        return Daemon(self, self.work, config, *options, **keywords)

    def test_what_the_manager_gets(self):
        daemon = self.start({"outputs": [json_file(self.path("events.json"), "file")]})
        time.sleep(4.5)
        daemon.hup()
        daemon.stop()
        told = daemon.manager.lines()
        times = daemon.manager.times("WATCHDOG=1")
        gaps = [later - earlier for earlier, later in zip(times, times[1:])]
        self.assertGreaterEqual(len(times), 4)
        self.assertLess(max(gaps), 2 * SLOW)
        self.assertTrue([line for line in told if line.startswith("STATUS=") and "0 of 1 outputs fail" in line], told)
        states = [line for line in told if line in ("READY=1", "RELOADING=1", "STOPPING=1")]
        self.assertEqual(states, ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"])
        self.assertTrue([line for line in told if re.fullmatch(r"MONOTONIC_USEC=\d+", line)])

    def test_manager_that_does_not_read(self):
        """Any user can fill the queue of the manager's socket; the watch does not wait for it."""
        full = os.path.join(self.work, "full")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.bind(full)
        self.addCleanup(manager.close)
        other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(other.close)
        other.setblocking(False)
        other.connect(full)
        with self.assertRaises(BlockingIOError):
            for _ in range(100000):
                other.send(b"X_NOISE=1")
        path, sink = self.path("events.json"), Sink(self)
        daemon = Daemon(self, self.work, {"outputs": [json_file(path, "file")]}, env={"NOTIFY_SOCKET": full}, ready=False)
        wait_for(lambda: daemon.said("watching with"), 30 * SLOW, "the watch")
        time.sleep(2)
        subprocess.run([SOURCE, "-m", "1", "-t", "a@example.net", f"inet:127.0.0.1:{sink.port}"], check=True, timeout=20)
        wait_for(lambda: [one for one in events(path) if action(one) == "smtp-message"], 10 * SLOW, "the mail's event", 0.1)
        self.assertLess(daemon.stop(), 5 * SLOW)

    PARSED = """
global(workDirectory="{work}")
main_queue(queue.type="Direct")
module(load="imuxsock" SysSock.Use="off")
module(load="imtcp")
module(load="imudp")
template(name="parsed" type="string"
    string="%app-name% %procid% %msgid% %syslogfacility-text% %syslogseverity-text% %hostname% %msg%\\n")
ruleset(name="socket") {{ action(type="omfile" file="{work}/socket.log" template="parsed") }}
ruleset(name="tcp") {{ action(type="omfile" file="{work}/tcp.log" template="parsed") }}
ruleset(name="newline") {{ action(type="omfile" file="{work}/newline.log" template="parsed") }}
ruleset(name="udp") {{ action(type="omfile" file="{work}/udp.log" template="parsed") }}
input(type="imuxsock" Socket="{work}/log" ruleset="socket")
input(type="imuxsock" Socket="{work}/log5424" UseSpecialParser="off" ruleset="newline")
input(type="imtcp" address="127.0.0.1" port="{tcp}" ruleset="tcp")
input(type="imtcp" address="127.0.0.1" port="{newline}" ruleset="newline")
input(type="imudp" address="127.0.0.1" port="{udp}" ruleset="udp")
"""

    def test_headers(self):
        """Each form of the syslog header, read by rsyslog's parsers."""
        class Parsing(Rsyslog):
            CONFIGURATION = self.PARSED

        receiver, sink, path = Parsing(self, self.work), Sink(self), self.path("events.json")
        other = os.path.join(receiver.work, "log5424")
        wait_for(lambda: os.path.exists(other), 5 * SLOW, "the second socket")
        facility = {"facility": "local4", "format": "cef"}
        daemon = self.start({"outputs": [
            json_file(path, "file"), syslog(receiver.socket, "local", **facility),
            syslog(other, "rfc5424", protocol="rfc5424", **facility),
            syslog(f"tcp://127.0.0.1:{receiver.tcp}", "tcp", **facility),
            syslog(f"udp://127.0.0.1:{receiver.udp}", "rfc3164", protocol="rfc3164", **facility)]})
        self.run_program("client_program.py", "import sys, client\nsession = client.Session(int(sys.argv[1]))\n"
                         "session.mail('a@example.org', ['b@example.net'])\n", sink.port)
        arrived = Arrived(path, sink.port)
        wait_for(lambda: arrived.look() >= 2, 8 * SLOW, "two events")
        time.sleep(1)
        daemon.stop()
        receiver.end()
        whole = events(path)
        host = socket.gethostname()
        for name, message_id in (("socket", False), ("newline", True), ("tcp", True), ("udp", False)):
            with open(receiver.file(name + ".log"), encoding="utf-8") as file:
                lines = file.read().splitlines()
            with self.subTest(form=name):
                self.assertEqual(len(lines), len(whole), lines)
                for line, event in zip(lines, whole):
                    words = line.split(" ", 6)
                    self.assertEqual(words[:2], ["smtpsnoop", str(daemon.pid)], line)
                    self.assertEqual(words[2], action(event) if message_id else "-", line)
                    self.assertEqual(words[3], "local4", line)
                    self.assertEqual(words[4], "warning" if get(event, "event.kind") == "alert" else "info", line)
                    self.assertEqual(words[5], host, line)
                    self.assertRegex(words[6].strip(), rf"^CEF:0\|smtpsnoop\|smtpsnoop\|[^|]*\|{action(event)}\|")
                    self.assertIn("externalId=" + get(event, "event.id"), words[6])

    FLOOD = """
import sys, threading
import client
client.signal.alarm(120)
sock = client.connect(int(sys.argv[1]))
threading.Thread(target=client.drain, args=(sock,), daemon=True).start()
mail = b"MAIL FROM:<a@example.org>\\r\\nRCPT TO:<b@example.net>\\r\\nRSET\\r\\n"
sock.sendall(b"EHLO flood\\r\\n" + mail * int(sys.argv[2]))
sock.shutdown(1)
"""

    def test_flood(self):
        """One process causes the largest events as fast as it can. The daemon still answers the watchdog, and stops on
        SIGTERM."""
        if not LONG:
            self.skipTest("takes 12 s: make test-all runs it; test_join and test_flood have smaller floods")
        sink = Sink(self)
        daemon = self.start({"outputs": [json_file(self.path("events.json"), "file"),
                                         syslog(f"udp://127.0.0.1:{free_port()}", "udp")]})
        flood = (sink.port, 30000, *(["\x01" * 1300] * 3))
        began = time.monotonic()
        process = self.program("flood.py", self.FLOOD, *flood)
        time.sleep(sized(2, 8) * SLOW)
        times = [began, *(stamp for stamp in daemon.manager.times("WATCHDOG=1") if stamp > began), time.monotonic()]
        gaps = [later - earlier for earlier, later in zip(times, times[1:])]
        note(f"flood of 30,000 transactions: at most {max(gaps):.1f} s between two signs of life")
        self.assertLess(max(gaps), 4 * SLOW)
        end_process(process)
        process = self.program("flood.py", self.FLOOD, *flood)
        time.sleep(1)
        began = time.monotonic()
        daemon.stop()
        note(f"SIGTERM during the flood: {time.monotonic() - began:.1f} s to the end")
        self.assertLess(time.monotonic() - began, 15 * SLOW)
        end_process(process)

    def refused(self, config, *words, **keywords):
        daemon = self.start(config, ready=False, **keywords)
        daemon.process.wait(20 * SLOW)
        daemon.reader.join(5)
        text = "".join(line + "\n" for _, line in daemon.errors)
        self.assertEqual(daemon.process.returncode, 1, text)
        self.assert_one_line(text.encode(), *words)

    def test_one_on_a_host(self):
        config = {"outputs": [json_file(self.path("events.json"), "file")]}
        first = self.start(config)
        self.refused({"outputs": [json_file(self.path("other.json"), "file")]}, str(first.pid), "another daemon",
                     runtime=self.copy_runtime(first))
        self.assertFalse(os.path.exists(self.path("other.json")))
        first.process.kill()
        first.process.wait(10)
        again = self.start(config, runtime=self.copy_runtime(first))
        again.stop()
        with open(self.path("events.json"), encoding="utf-8") as file:
            self.assertEqual([action(json.loads(line)) for line in file], ["started", "started", "stopped"])

    def copy_runtime(self, daemon):
        """A second runtime folder with the same pid file: the notify socket of the first one is in use."""
        folder = tempfile.mkdtemp(dir=self.work)
        subprocess.run(["ln", os.path.join(daemon.runtime, "smtpsnoop.pid"), folder], check=True)
        return folder

    def test_invalid_paths(self):
        os.mkfifo(self.path("fifo"))
        os.mkdir(self.path("folder"))
        os.symlink(self.path("loop"), self.path("loop"))
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.path("socket"))
        for path in (self.path("fifo"), self.path("folder"), self.path("missing", "x.json"), "/proc/x.json",
                     "/sys/kernel/x.json", "/dev/null", "/dev/full", self.path("loop"), self.path("socket"),
                     self.path("n" * 260)):
            with self.subTest(path=path):
                self.refused({"outputs": [json_file(self.path("good.json"), "good"), json_file(path, "bad")]}, "bad",
                             path[:150])
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        # a metrics port that is in use does not stop the daemon
        daemon = self.start({"outputs": [json_file(self.path("good.json"), "good")],
                             "metrics": {"listen": f"127.0.0.1:{taken.getsockname()[1]}"}})
        self.assertEqual(len(daemon.said("metrics.listen", "in use")), 1, daemon.errors)
        daemon.stop()

    def test_end_with_every_output_down(self):
        """It ends within 7 s, and reports for each output how many events were not written."""
        if not LONG:
            self.skipTest("takes 6 s: make test-all runs it")
        never = socket.socket()  # accepts a connection or two; further ones hang
        self.addCleanup(never.close)
        never.bind(("127.0.0.1", 0))
        never.listen(0)
        fill = [socket.socket() for _ in range(3)]
        for sock in fill:
            self.addCleanup(sock.close)
            sock.setblocking(False)
            sock.connect_ex(never.getsockname())
        disk = tempfile.mkdtemp(dir=self.work)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk]).returncode:
            self.skipTest("file systems cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", disk])
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        names = ("disk", "refused", "hanging", "away", "journal", "pipe")
        daemon = self.start({"outputs": [
            json_file(os.path.join(disk, "events.json"), "disk"), syslog(f"tcp://127.0.0.1:{free_port()}", "refused"),
            syslog(f"tcp://127.0.0.1:{never.getsockname()[1]}", "hanging"), syslog(self.path("away"), "away"),
            {"type": "journald", "address": self.path("no-journal"), "name": "journal"},
            {"type": "stdout", "name": "pipe"}, json_file(self.path("good.json"), "good")]}, stdout=writing)
        os.close(writing)
        traffic = Traffic(self, self.path("good.json"))
        traffic.round(100)
        took = daemon.stop()
        note(f"end with {len(names)} outputs down: {took:.1f} s")
        self.assertLess(took, 7)
        arrived = len(events(self.path("good.json")))
        for name in names:
            with self.subTest(output=name):
                lines = daemon.said(f"{name}: ", "could not be written in time")
                self.assertEqual(len(lines), 1, daemon.said(name))
                told = int(re.search(r"(\d+) events? could not", lines[0])[1])
                kept = {"disk": 1, "pipe": 20}.get(name, 0)  # events that fit
                self.assertLessEqual(told, arrived)
                self.assertGreaterEqual(told, arrived - 1 - kept * 2)

    def test_standard_output_is_closed(self):
        if not LONG:
            self.skipTest("takes 8 s: make test-all runs it")
        good = self.path("good.json")
        reading, writing = os.pipe()
        daemon = self.start({"outputs": [json_file(good, "good")]}, "-o", "json", stdout=writing)
        os.close(writing)
        head = self.spawn(["head", "-1"], stdin=reading)
        os.close(reading)
        self.assertEqual(action(strict_json(self.finish(head))), "started")
        traffic = Traffic(self, good)
        traffic.round(50)
        time.sleep(1.5)
        traffic.round(50)
        self.assertLess(daemon.stop(), 7)
        self.assertEqual(len(daemon.said("stdout: ", "Broken pipe")), 1, daemon.errors)
        self.assertEqual(daemon.said("stdout: ", "writing again"), [])

    def test_standard_output_that_nobody_reads(self):
        """The other outputs do not wait for it, and a reader that comes late gets everything."""
        good = self.path("good.json")
        reading, writing = os.pipe()
        daemon = self.start({"outputs": [json_file(good, "good")]}, "-o", "json", stdout=writing)
        os.close(writing)
        traffic = Traffic(self, good)
        began = time.monotonic()
        traffic.round(200)
        self.assertLess(time.monotonic() - began, 10 * SLOW)
        text = []

        def read():
            with open(reading, "rb") as file:
                text.extend(file)
        reader = threading.Thread(target=read)
        reader.start()
        daemon.stop()
        reader.join(10)
        with open(good, "rb") as file:
            self.assertEqual(text, list(file))

    def test_no_output_is_standard_output(self):
        reading, writing = os.pipe()
        daemon = self.start({}, stdout=writing)
        os.close(writing)
        daemon.stop(signal.SIGINT)
        with open(reading, "rb") as file:
            self.assertEqual([action(strict_json(line)) for line in file], ["started", "stopped"])

    def test_signals_twice(self):
        if not LONG:
            self.skipTest("takes 6 s: make test-all runs it")
        daemon = self.start({"outputs": [syslog(f"tcp://127.0.0.1:{free_port()}", "away"),
                                         json_file(self.path("good.json"), "good")]})
        daemon.hup(wait=False)
        daemon.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.send_signal(signal.SIGHUP)
        self.assertLess(daemon.stop(), 7)
        self.assertEqual(action(events(self.path("good.json"))[-1]), "stopped")

    def test_journal(self):
        """journald is killed and restarted meanwhile."""
        journal, good = Journal(self, self.work), self.path("good.json")
        if journal.process.poll() is not None:
            self.skipTest("journald cannot be run here")
        daemon = self.start({"outputs": [json_file(good, "good"), {"type": "journald", "address": journal.socket}]})
        traffic = Traffic(self, good)
        for turn in range(8):
            if turn == 3:
                journal.process.kill()
                journal.process.wait(10)
            if turn == 6:
                journal.start()
            traffic.round(50)
        time.sleep(2)
        daemon.stop()
        time.sleep(1)
        entries = journal.entries(f"_PID={daemon.pid}")
        expected = {get(event, "event.id") for event in events(good)}
        seen = collections.Counter(one.get("SMTPSNOOP_EVENT_ID") for one in entries)
        note(f"journald, killed once: {len(seen)} of {len(expected)} events, {len(entries) - len(seen)} twice")
        self.assertLessEqual(len(expected - set(seen)), 1, "one may have been read but not written")
        self.assertEqual(set(seen) - expected, set(), json.dumps(entries[:1])[:1500])


# ---- Hostile mail ---------------------------------------------------------------------------------


class HostileMail(Bench):
    """Whatever a sender chooses, an event stays one syslog message of at most 8 KiB."""

    NASTY = (b"\"'\\\\ \x1b[31;1m\x1b]0;title\x07 \x7f\x9b\x85 \xff\xfe\xc3[ \xed\xa0\x80 \xf4\x90\x80\x80 "
             b"\xe2\x80\xa8 \x01\x08\x0b\x0c \x00 %s%n ${x} <34>1 2026-01-01T00:00:00Z host su - - - forged #012")
    LIMIT = 8192

    CLIENT = """
import ctypes, sys
import client
port, recipient = int(sys.argv[1]), sys.argv[2].encode()
nasty = %r
ctypes.CDLL(None).prctl(15, nasty[:15], 0, 0, 0)
def send(kind, sender, recipients, helo=b"client.test", body=None):
    session = client.Session(port, helo=helo)
    session.mail(sender, [kind + recipient, *recipients], body)
    session.quit()
head = b"Subject: " + nasty + b"\\r\\nFrom: " + nasty + b"\\r\\nTo: =?utf-8?B?Gwo8MzQ+Cg==?= <x>\\r\\n\\r\\n"
send(b"plain-", b"s@example.org", [])
send(b"nasty-", nasty + b"@example.org", [nasty + b"@example.net", b'"a b>c\\x1b"@example.net'], nasty,
     head + nasty + b"\\r\\n")
send(b"return-", b"a\\r<34>b@example.org", [b"c\\rd@example.net"], body=head)
send(b"long-", b"a" * 3000 + b"@example.org", [b"b" * 60000 + b"@example.net"],
     body=b"Subject: " + b"c" * 900 + b"\\r\\n\\r\\n")
send(b"escapes-", b"\\x1b" * 900 + b"@example.org", [b"\\x01" * 900 + b"@example.net" for _ in range(20)])
send(b"many-", b"s@example.org", [b"recipient-%%d@example.net" %% number for number in range(1000)])
""" % NASTY

    KINDS = ("plain", "nasty", "return", "long", "escapes", "many")

    def test_each_stays_one(self):
        receiver, server, recipient, good = Rsyslog(self, self.work), Server(self), unique(), self.path("good.json")
        cef, journal, flat = Rsyslog(self, self.work), Journal(self, self.work), self.path("flat.json")
        others = [syslog(cef.socket, "cef-socket", format="cef"),
                  syslog(f"tcp://127.0.0.1:{cef.tcp}", "cef-tcp", format="cef"),
                  syslog(f"udp://127.0.0.1:{cef.udp}", "cef-udp", format="cef", protocol="rfc3164"),
                  syslog(f"tcp://127.0.0.1:{cef.newline}", "cef-newline", format="cef", framing="newline"),
                  json_file(flat, "flat", format="sentinel")]
        daemon = Daemon(self, self.work, {"outputs": [
            json_file(good, "good"), *others, {"type": "journald", "address": journal.socket},
            syslog(receiver.socket, "socket"), syslog(f"tcp://127.0.0.1:{receiver.tcp}", "tcp"),
            syslog(f"tcp://127.0.0.1:{receiver.newline}", "newline", framing="newline"),
            syslog(f"udp://127.0.0.1:{receiver.udp}", "udp")]})
        self.run_program("client_program.py", self.CLIENT, server.port, recipient, *("x" * 5000 for _ in range(20)))
        arrived = Arrived(good, server.port)
        wait_for(lambda: arrived.look() >= 12, 8 * SLOW, lambda: f"12 events, not {arrived.count}")
        time.sleep(1.5)
        daemon.stop()
        for one in (receiver, cef):
            one.end()
        whole = events(good)
        validate(whole)
        self.assertEqual(len(daemon.errors), 1, daemon.errors)
        by_id = {get(event, "event.id"): event for event in whole}
        for name in ("socket", "tcp", "newline", "udp"):
            with self.subTest(output=name):
                self.compare(receiver.file(name + ".log"), by_id, recipient)
                self.count(cef.file(name + ".log"), rb"^<\d+>[^{]*smtpsnoop[^{]*CEF:0\|", len(by_id))
        self.count(flat, rb"^\{.*\}$", len(by_id), limit=1 << 20)
        time.sleep(1)
        ids = [one.get("SMTPSNOOP_EVENT_ID") for one in journal.entries(f"_PID={daemon.pid}")]
        self.assertEqual(ids, list(by_id))

    def count(self, path, form, number, limit=LIMIT):
        """The file has one line per event, of this form, without control characters."""
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")[:-1]
        self.assertEqual(len(lines), number)
        for line in lines:
            self.assertRegex(line, form)
            self.assertLess(len(line), limit, line[:300])
            self.assertEqual([one for one in line if one < 0x20 or one == 0x7f], [], line[:600])
            line.decode("utf-8")

    def compare(self, path, by_id, recipient):
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")[:-1]
        arrived, longest = [], 0
        for line in lines:
            self.assertLess(len(line), self.LIMIT, line[:300])
            longest = max(longest, len(line))
            self.assertRegex(line, rb"^<\d+>[^{]*smtpsnoop[^{]*\{")
            for control in (*range(0x20), 0x7f):
                self.assertNotIn(bytes([control]), line)
            arrived.append(strict_json(line[line.index(b"{"):]))
        validate(arrived)
        self.assertEqual([get(event, "event.id") for event in arrived], list(by_id))
        for event in arrived:
            original, shortened = by_id[get(event, "event.id")], get(event, "smtpsnoop.truncated")
            if not shortened:
                self.assertEqual(event, original)
            else:
                for field in ("event.action", "event.kind", "@timestamp", "process.pid", "process.executable",
                              "user.id", "destination.port", "smtpsnoop.verdict"):
                    self.assertEqual(get(event, field), get(original, field), field)
        first = {get(event, "smtp.rcpt_to", [""])[0]: event for event in arrived if action(event) == "smtp-message"}
        for kind in self.KINDS:
            self.assertIn(f"{kind}-{recipient}", first)
        self.assertTrue(get(first[f"many-{recipient}"], "smtpsnoop.truncated"))
        note(f"hostile mail, {os.path.basename(path)}: {len(arrived)} messages, the longest {longest} bytes, "
             f"{sum(bool(get(event, 'smtpsnoop.truncated')) for event in arrived)} shortened")


if __name__ == "__main__":
    unittest.main()
