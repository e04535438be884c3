# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`explain` shows the nearest exclusion first: of each criterion that failed, what was expected and what the message
has; of each that is unknown, why. --all shows the others."""

import json
import os
import subprocess
import tempfile
import unittest

from test_replay import PROGRAM, SECOND, Recording
from test_suggest import Mail, recorded, session

MAIL = Mail(1, recipients=("a@corp.example", "x@evil.example"), subject="Hello")
FORGEABLE = "accept_forgeable: true, "

# Keys of an exclusion, and the lines of what is not met.
FAILED = (
    ("process: { user: billing }", "process.user: expected billing; it is reports"),
    ("process: { user: [a, b, c, d, e, f, g] }", "process.user: expected a, b, c, d, e and 2 more; it is reports"),
    ("process: { user: reports, executable: /usr/bin/curl }",
     "process.executable: expected /usr/bin/curl; it is /usr/bin/msmtp"),
    ("process: { user: reports, unit: other.service }", "process.unit: expected other.service; it is report.service"),
    ("process: { user: reports, group: ['5', '6'] }", "process.group: expected 5, 6; it is 2001"),
    ("process: { user: reports, login: reports }", "process.login: expected reports; it is none"),
    ("process: { user: reports, tty: required }", "process.tty: expected required; it is no terminal"),
    ("process: { user: reports, container: abc* }", "process.container: expected abc*; it is not those, and no container"),
    ("process: { user: reports, script: [/opt/a.py, -m a] }",
     "process.script: expected /opt/a.py, -m a; it is (none)"),
    ("process: { user: reports, working_directory: '/srv/*' }", "process.working_directory: expected /srv/*; it is /"),
    ("process: { user: reports, arguments: '* -q' }", "process.arguments: expected * -q; it is /usr/bin/msmtp"),
    ("process: { user: reports }, relay: [10.0.0.26, '10.0.0.25:587', 10.1.0.0/16]",
     "relay: expected 10.0.0.26, 10.0.0.25:587, 10.1.0.0/16; it is 10.0.0.25:25"),
    ("process: { user: reports }, tls: required", "tls: expected required; it is no TLS"),
    ("process: { user: reports }, auth_user: smtp", "auth_user: expected smtp; it is (none)"),
    ("process: { user: reports }, mail: { sender: ceo@corp.example }",
     "mail.sender: expected ceo@corp.example; it is reports@corp.example"),
    ("process: { user: reports }, mail: { recipients: '*@corp.example' }",
     "mail.recipients: expected *@corp.example; it is x@evil.example"),
    ("process: { user: reports }, mail: { header_from: a@corp.example }",
     "mail.header_from: expected a@corp.example; it is (none)"),
    ("process: { user: reports }, mail: { subject: 'Report *' }", "mail.subject: expected Report *; it is Hello"),
    ("process: { user: reports }, mail: { contains: [sales, costs] }",
     "mail.contains: expected sales, costs; it is none of these in 22 bytes of header and body"),
    ("process: { user: reports }, schedule: { at: '0 9 * * *', for: 15m, early: 5m, timezone: UTC }",
     "schedule: expected 0 9 * * *, for 900s, early 300s; it is 2023-11-16T08:00:00Z"),
    ("process: { user: reports }, limits: { recipients: 1/1h }",
     "limits.recipients: expected at most 1 in 3600s; it is 2"),
    ("process: { user: reports }, limits: { bytes: 0/1d }",
     "limits.bytes: expected at most 0 bytes in 86400s; it is 25 bytes"),
    ("process: { user: reports }, expires: 2023-11-10",
     "expires: expected until the end of 2023-11-10; it is 2023-11-16T08:00:00Z"),
    ("process: { user: reports }, origin: { user: joe }", None),
)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, 0o644)
        return path

    def explain(self, exclusions, recording, *options, events=False):
        """The lines that explain prints; of the events of the recording, or of the recording."""
        text = "exclusions:\n" + "".join(f"  - {{ name: {name}, {keys} }}\n" for name, keys in exclusions)
        path, file = self.write("smtpsnoop.yaml", text.encode()), self.write("recording", recording.data)
        data = None
        if events:
            data = subprocess.run([PROGRAM, "replay", file, "-o", "json"], stdout=subprocess.PIPE, check=True).stdout
        done = subprocess.run([PROGRAM, "explain", "-c", path, *options, *([] if events else [file])], input=data,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout.decode().splitlines()


class Failed(Case):
    def test_expected_and_actual(self):
        recording = recorded([MAIL])
        for keys, expected in FAILED:
            for events in (False, True):
                if "contains" in keys and events:
                    continue
                with self.subTest(keys, events=events):
                    lines = self.explain([("one", keys)], recording, events=events)
                    failed = [line for line in lines if line.startswith("    failed   ")]
                    if expected:
                        self.assertEqual(failed, ["    failed   " + expected])
                    self.assertIn("    met      capture", lines)

    def test_of_each_process_that_differs(self):
        recording = Recording()
        for pid, path in ((42, "/usr/bin/msmtp"), (43, "/usr/bin/curl"), (44, "/usr/bin/nc")):
            recording.exec(pid, pid, path)
            recording.sender(5, pid, pid, 2001)
        recording.name(2001, "reports")
        seq = 1000
        for number, (side, data) in enumerate(session(MAIL)):
            if side == "C":
                recording.send(5, 42 + number // 2 % 3, 42 + number // 2 % 3, seq, data, uid=2001)
                recording.segment(5, seq, data, True)
                seq += len(data)
            else:
                recording.segment(5, 5000 + number * 100, data, False)
        recording.close(5)
        lines = self.explain([("one", "process: { user: reports, executable: /usr/bin/msmtp }")], recording)
        failed = next(line for line in lines if "process.executable" in line)
        self.assertIn("; it is /usr/bin/curl, /usr/bin/nc", failed)

    def test_control_characters(self):
        mail = Mail(1, sender="a\x1b]0;x\x07@corp.example", subject="x\u202ey")
        lines = self.explain([("one", "process: { user: reports }, mail: { sender: b@corp.example, subject: z }")],
                             recorded([mail]))
        self.assertFalse(any(c in "".join(lines) for c in "\x1b\x07\u202e"), lines)


UNKNOWN = (
    ("process: { user: reports }, mail: { contains: x }",
     "mail.contains: expected x; the body is not known: an event does not contain it, a recording does"),
    ("process: { user: reports }, mail: { matches: 'x{2}' }", "the body is not known: an event does not contain it"),
    ("process: { user: reports }, relay: no-such-name.invalid",
     "relay: expected no-such-name.invalid; a name among them could not be resolved"),
    ("process: { user: reports, sha256: '" + "0" * 64 + "' }", "; the executable was not hashed"),
    ("process: { user: reports, scheduled_by: cron }",
     "process.scheduled_by: expected cron; what started the process is not known"),
    ("process: { user: nobody-knows }", None),
)


class Unknown(Case):
    def unknown(self, keys, recording, events=True):
        return [line for line in self.explain([("one", keys)], recording, events=events) if line.startswith("    unknown  ")]

    def test_why(self):
        recording = recorded([MAIL])
        for keys, words in UNKNOWN:
            with self.subTest(keys):
                lines = self.unknown(keys, recording)
                self.assertEqual(len(lines), 1 if words else 0, lines)
                self.assertIn(words or "", "".join(lines))

    def test_of_a_process(self):
        recording = Recording()
        recording.sender(5, 42, 1, 2001)  # its exec was not seen
        recording.session(5, 42, 1, session(MAIL), uid=2001)
        recording.close(5)
        for keys, words in (("process: { user: reports }", "process.user: expected reports; the user id has no known name"),
                            ("process: { user: '2001', executable: /usr/bin/* }",
                             "process.executable: expected /usr/bin/*; the path at exec is not known"),
                            ("process: { user: '2001', ancestor: /usr/sbin/cron }",
                             "process.ancestor: expected /usr/sbin/cron; the path at exec of an ancestor is not known")):
            for events in (False, True):
                with self.subTest(keys, events=events):
                    self.assertIn(words, "".join(self.unknown(keys, recording, events)))

    def test_when_bytes_are_missing(self):
        recording = Recording()
        recording.exec(42, 1, "/usr/bin/msmtp")
        recording.sender(5, 42, 1, 2001)
        steps = session(MAIL)
        seq = recording.session(5, 42, 1, steps[:-4], uid=2001)
        recording.session(5, 42, 1, [("C", b"hello\r\n.\r\n")], seq=seq + 50, uid=2001)
        recording.close(5)
        lines = self.unknown("process: { user: '2001' }, limits: { bytes: 1MiB/1h }", recording)
        self.assertIn("capture: expected everything was seen, and nothing hidden; bytes or replies were not seen",
                      "".join(lines))
        self.assertIn("limits.bytes: expected at most 1048576 bytes in 3600s; not every byte was seen", "".join(lines))


class Origin(Case):
    """Who handed it to an MTA, and by which process: as the event says."""

    PROCESS = {"executable": "/usr/bin/python3.11", "script": "/opt/daily.py", "args": ["python3"], "exe_verified": True,
               "real_user": True, "own_namespaces": True, "scheduled_by": "cron"}
    EXIM = "process: { user: Debian-exim }, origin: { user: reports, "

    def lines(self, keys, process, unit="report.service"):
        received = b"Received: from reports by mx with local (Exim 4.96)\r\n\tid 1rABCD-000123-2X; now\r\n"
        mail = Mail(1, executable="/usr/sbin/exim4", uid=105, received=received)
        events = subprocess.run([PROGRAM, "replay", self.write("recording", recorded([mail]).data), "-o", "json"],
                                stdout=subprocess.PIPE, check=True).stdout.splitlines()
        event, = (event for event in map(json.loads, events) if event["event"]["action"] == "smtp-message")
        if process:
            event["smtpsnoop"]["origin"].update(process=process, how="pid", systemd={"unit": unit})
        path = self.write("smtpsnoop.yaml", f"exclusions:\n  - {{ name: one, {keys} }}\n".encode())
        done = subprocess.run([PROGRAM, "explain", "-c", path], input=json.dumps(event).encode() + b"\n",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout.decode().splitlines()

    def test_each_criterion(self):
        other = {**self.PROCESS, "executable": "/usr/bin/perl", "script": "/tmp/x.pl",
                 "scheduled_by": "none", "own_namespaces": False}
        keys = self.EXIM + "executable: /usr/bin/python3*, script: /opt/daily.py, unit: report.service, scheduled_by: cron }"
        lines = self.lines(keys, self.PROCESS)
        self.assertIn("excludes it", lines[1])
        lines = self.lines(keys, other, "x.scope")
        for words in ("origin.executable: expected /usr/bin/python3*; it is /usr/bin/perl",
                      "origin.script: expected /opt/daily.py; it is /tmp/x.pl",
                      "origin.unit: expected report.service; it is x.scope",
                      "origin.scheduled_by: expected cron; it is none",
                      "origin.container: expected the namespaces of the watch; it is not those, and no container"):
            self.assertIn("    failed   " + words, lines)
        lines = self.lines(keys, None)
        self.assertIn("    met      origin.user", lines)
        for name in ("executable", "script", "unit", "scheduled_by", "real_user", "container"):
            self.assertTrue(any(line.startswith(f"    unknown  origin.{name}: ") and
                                line.endswith("; the process that handed it to an MTA is not known") for line in lines), lines)
        lines = self.lines(keys, {**self.PROCESS, "exe_verified": False, "real_user": False})
        self.assertIn("    unknown  origin.real_user: expected real and effective user and group are the same; its effective "
                      "user is not known", lines)
        self.assertIn("    unknown  origin.script: expected /opt/daily.py; its path is not known, or has '..' in it", lines)

    def test_whose_mail_it_is(self):
        for keys, words in (("process: { user: Debian-exim }", "origin: expected no MTA that relays for others, or "
                             "origin.user or unit; it is an MTA relays it"),
                            ("process: { user: Debian-exim }, origin: { user: joe }",
                             "origin.user: expected joe; it is reports")):
            self.assertIn("    failed   " + words, self.lines(keys, self.PROCESS))


class Order(Case):
    EXCLUSIONS = [("far", "process: { user: x, unit: x.service }, relay: 10.6.6.6"),
                  ("near", "process: { user: reports, executable: /usr/bin/msmtp }, mail: { subject: Bye }"),
                  ("middle", "process: { user: reports, unit: x.service }, relay: 10.6.6.6")]

    @staticmethod
    def headlines(lines):
        return [line.strip() for line in lines if line.startswith("  ") and not line.startswith("    ")]

    def test_the_nearest_alone(self):
        for events in (False, True):
            lines = self.explain(self.EXCLUSIONS, recorded([MAIL]), events=events)
            self.assertEqual(self.headlines(lines), ["near: does not exclude it, 5 of 6 met",
                                                     "2 other exclusions are not shown; add --all to see them"])
            self.assertEqual(lines[2], "    failed   mail.subject: expected Bye; it is Hello")
            self.assertEqual(len([line for line in lines if line.startswith("    met ")]), 5)

    def test_all_in_their_order(self):
        lines = self.explain(self.EXCLUSIONS, recorded([MAIL]), "--all")
        self.assertEqual([line.split(":")[0] for line in self.headlines(lines)], ["near", "middle", "far"])

    def test_what_failed_stands_before_what_is_met(self):
        lines = self.explain([("one", "process: { user: reports }, expires: 2000-01-01, mail: { contains: x }")],
                             recorded([MAIL]), events=True)
        self.assertEqual([line.split()[0] for line in lines[2:5]], ["failed", "unknown", "met"])

    def test_the_one_that_applies(self):
        lines = self.explain(self.EXCLUSIONS + [("right", "process: { user: reports }"),
                                                ("later", "process: { user: reports }, relay: 10.0.0.25")],
                             recorded([MAIL]))
        self.assertEqual(self.headlines(lines)[0], "right: excludes it, 4 of 4 met")
        self.assertFalse(any("failed" in line for line in lines))

    def test_it_is_the_nearest_of_the_alert(self):
        recording = recorded([MAIL])
        lines = self.explain(self.EXCLUSIONS, recording)
        done = subprocess.run([PROGRAM, "replay", os.path.join(self.folder, "recording"), "-o", "json", "-c",
                               os.path.join(self.folder, "smtpsnoop.yaml")], stdout=subprocess.PIPE, check=True)
        event = next(event for event in map(json.loads, done.stdout.splitlines())
                     if event["event"]["action"] == "smtp-message")
        self.assertEqual(event["smtpsnoop"]["nearest"]["name"], "near")
        self.assertTrue(lines[1].startswith("  near: "))

    def test_without_exclusions(self):
        path = self.write("none.yaml", b"exclusions: []\n")
        file = self.write("recording", recorded([MAIL]).data)
        done = subprocess.run([PROGRAM, "explain", "-c", path, file], stdout=subprocess.PIPE, check=True)
        self.assertIn(b"\n  no exclusion is configured\n", done.stdout)


if __name__ == "__main__":
    unittest.main()
