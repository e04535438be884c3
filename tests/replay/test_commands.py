# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The command line: filters over a recording, and what each mistake is answered with. Needs no kernel; the tests of
missing capabilities need root, because only root can give them away."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from test_replay import PROGRAM, SECOND, STEPS, Recording

HELD = ("watch", "run", "record", "doctor")
SPAM = (
    ("S", b"220 mail.example ESMTP\r\n"),
    ("C", b"EHLO x\r\n"), ("S", b"250 mail.example\r\n"),
    ("C", b"MAIL FROM:<shop@corp.example>\r\n"), ("S", b"250 ok\r\n"),
    ("C", b"RCPT TO:<a@corp.example>\r\n"), ("S", b"250 ok\r\n"),
    ("C", b"RCPT TO:<drop@evil.example>\r\n"), ("S", b"250 ok\r\n"),
    ("C", b"DATA\r\n"), ("S", b"354 go on\r\n"),
    ("C", b"Subject: Order 7\r\nFrom: shop@corp.example\r\n\r\nvoucher code\r\n.\r\n"), ("S", b"250 2.0.0 ok\r\n"),
    ("C", b"QUIT\r\n"), ("S", b"221 bye\r\n"),
)


def two_mailers():
    """A report by /usr/bin/msmtp to port 25, and spam by /tmp/.x/mailer to port 587, 10 minutes later."""
    recording = Recording()
    recording.exec(42, 90 * SECOND, "/usr/bin/msmtp", ["msmtp", "a@corp.example"])
    recording.sender(77, 42, 90 * SECOND, 1000)
    recording.session(77, 42, 90 * SECOND, STEPS, uid=1000)
    recording.name(1000, "reports")
    recording.close(77)
    recording.now += 600 * SECOND
    recording.exec(43, 91 * SECOND, "/tmp/.x/mailer", ["mailer"])
    recording.sender(78, 43, 91 * SECOND, 33, cgroup="/system.slice/apache2.service")
    recording.session(78, 43, 91 * SECOND, SPAM, uid=33, port=587)
    recording.name(33, "www-data")
    recording.close(78, port=587)
    return recording


class Commands(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name, data=b"", mode=0o644):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, mode)
        return path

    def program(self, *words, status, prefix=()):
        done = subprocess.run([*prefix, PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=60, check=False)
        self.assertEqual(done.returncode, status, (words, done.stderr.decode()))
        return done.stdout.decode(), done.stderr.decode()

    def refused(self, *words, says, status=2, prefix=()):
        """One line on standard error that has each of these texts, and nothing on standard output."""
        out, err = self.program(*words, status=status, prefix=prefix)
        self.assertEqual(out, "", words)
        self.assertRegex(err, r"\Asmtpsnoop: [^\n]+\n\Z")
        for text in says:
            self.assertIn(text, err, words)


class Filters(Commands):
    def found(self, *words, empty=False):
        """The first letter of the sender of each message: r(eports), s(hop)."""
        path = self.path("two.rec", two_mailers().data)
        out, err = self.program("replay", path, "-o", "json", *words, status=0)
        events = [json.loads(line) for line in out.splitlines()]
        found = "".join(sorted(event["smtp"]["mail_from"][0] for event in events
                               if event["event"]["action"] == "smtp-message"))
        self.assertEqual(err, "" if found else f"smtpsnoop: {path}: nothing in it matches the filters\n", words)
        return found

    def test_any_of_several(self):
        for words, expected in (
                ((), "rs"), (("--port", "25"), "r"), (("--port", "25,587"), "rs"), (("--port", "465,587"), "s"),
                (("--port", "25", "--port", "587"), "rs"), (("--port", "26,27"), ""),
                (("--user", "reports,root"), "r"), (("--user", "root", "--user", "33"), "s"),
                (("--pid", "1,43"), "s"), (("--pid", "42", "--pid", "43"), "rs"),
                (("--unit", "cron.service,apache2.service"), "s"), (("--unit", "apache2"), "s"),
                (("--unit", "apache"), ""), (("--unit", "report", "--unit", "apache2.service"), "rs"),
                (("--container", "ab,cd"), ""), (("--port", "25", "--user", "www-data"), "")):
            self.assertEqual(self.found(*words), expected, words)

    def test_where(self):
        for words, expected in (
                (("mail.recipients=*@evil.example",), "s"),  # one recipient of two is enough
                (("mail.recipients=*@corp.example",), "rs"), (("mail.recipients=*@other.example",), ""),
                (("process.executable=/tmp/**",), "s"), (("process.executable=/tmp/*",), ""),
                (("process.working_directory=/",), "rs"),
                (("process.script=/**",), ""),
                (("process.executable=/usr/bin/msmtp",), "r"), (("process.user=www-data",), "s"),
                (("process.user=1000",), "r"), (("process.unit=apache*",), "s"), (("mail.sender=shop@*",), "s"),
                (("mail.subject=order *",), "s"), (("mail.header_from=shop@corp.example",), "s"),
                (("mail.contains=VOUCHER",), "s"), (("mail.matches=v[o]ucher\\s",), "s"), (("mail.matches=no",), ""),
                (("relay=10.0.0.0/8",), "rs"), (("relay=10.0.0.25:587",), "s"), (("tls=required",), ""),
                (("mail.sender=shop@*", "process.executable=/tmp/**"), "s"),
                (("mail.sender=shop@*", "process.executable=/usr/**"), ""),
                (("mail.recipients=a@*", "mail.recipients=drop@*"), "s")):
            options = [word for where in words for word in ("--where", where)]
            self.assertEqual(self.found(*options), expected, words)
        self.assertEqual(self.found("--where", "mail.recipients=*@corp.example", "--port", "587"), "s")

    def test_every_key_of_an_exclusion_that_says_something_about_one_message(self):
        """The keys come from the table of criteria: what an exclusion of a file accepts, --where accepts."""
        _, err = self.program("--where", "x=y", status=2)
        keys = re.search(r"expected one of (.*)\n", err)[1].split(", ")
        self.assertGreater(len(keys), 15)
        values = {"process.sha256": "0" * 64, "process.scheduled_by": "cron", "origin.scheduled_by": "cron",
                  "process.tty": "none", "tls": "none", "relay": "mail.example"}
        for key in keys:
            value = values.get(key, "/x")
            group, _, name = key.rpartition(".")
            inner = f"{{ {name}: '{value}' }}" if group else f"'{value}'"
            criteria = {} if key == "process.user" else {"process": "{ user: root }"}
            criteria[group or name] = inner if group not in ("process", "origin") or name == "user" else \
                f"{{ user: root, {name}: '{value}' }}"
            lines = "".join(f"    {one}: {text}\n" for one, text in criteria.items())
            path = self.path("one.yaml", f"exclusions:\n  - name: one\n{lines}".encode())
            self.program("check", path, status=0)
            self.found("--where", f"{key}={value}")

    def test_alerts(self):
        config = self.path("x.yaml", b"exclusions:\n  - { name: x, process: { user: reports, container: '*' } }\n")
        path = self.path("two.rec", two_mailers().data)
        for words, expected in (((), 1), (("--alerts",), 1), (("--all",), 2)):
            out, _ = self.program("replay", path, "-c", config, "-o", "json", *words, status=0)
            events = [json.loads(line) for line in out.splitlines()]
            messages = [event for event in events if event["event"]["action"] == "smtp-message"]
            self.assertEqual(len(messages), expected, words)
            sessions = [event for event in events if event["event"]["action"] == "smtp-session"]
            self.assertEqual(bool(sessions), words != ("--alerts",), words)
        self.refused("replay", path, "--alerts", "--all", says=("--alerts", "cannot be combined with --all"))

    def test_duration(self):
        """Of the recording's clock. The second mail comes ten minutes after the first one."""
        for text, expected in (("30s", "r"), ("5m", "r"), ("300", "r"), ("1h", "rs"), ("700", "rs"), ("11m", "rs")):
            self.assertEqual(self.found("--duration", text), expected, text)
        for text in ("", "0", "0m", "5x", "5 m", "-1", "m", "1h30m", "99999999999d", "1.5h"):
            self.refused("watch", "--duration", text, says=("--duration", "expected one such as 30s, 5m or 1h"))


class Mistakes(Commands):
    def test_values(self):
        for words, says in (
                (("--port", "0"), ("--port", "'0' is out of range", "1 to 65535")),
                (("--port", "25,65536"), ("--port", "'65536'")), (("--port", "25,smtp"), ("'smtp'", "not a number")),
                (("--port", "25,,587"), ("--port", "empty")), (("--port", "25,"), ("--port", "empty")),
                (("--port", ",".join(map(str, range(1, 35)))), ("--port", "more than 32 values")),
                (("--pid", "0"), ("--pid", "'0'")), (("--pid", "-5"), ("--pid", "'-5'")),
                (("--user", ""), ("--user", "empty")), (("--unit", "a,,b"), ("--unit", "empty")),
                (("--container", ","), ("--container", "empty")),
                (("--where", "x"), ("--where", "expected KEY=PATTERN")),
                (("--where", "=x"), ("''", "unknown key", "mail.recipients")),
                (("--where", "schedule=x"), ("'schedule'", "unknown key")),
                (("--where", "limits.messages=1/1h"), ("unknown key",)),
                (("--where", "mail.subject="), ("mail.subject", "empty")),
                (("--where", "process.executable=tmp/*"), ("process.executable", "must begin with '/'")),
                (("--where", "process.scheduled_by=never"), ("never", "expected one of systemd-timer, cron")),
                (("--where", "mail.matches=("), ("not a regular expression",)),
                (("--where", "mail.sender=[a"), ("mail.sender", "not a pattern")),
                (("--where", "relay=10.0.0.0/99"), ("relay", "not a relay")),
                (("--where", "process.sha256=00"), ("64 hexadecimal digits",)),
                (sum((("--where", "tls=none") for _ in range(17)), ()), ("--where", "more than 16 times"))):
            self.refused("replay", "x.rec", *words, says=says)

    def test_an_option_that_would_be_ignored(self):
        for words, says in (
                (("check", "x.yaml", "--port", "25"), ("--port", "check does not accept it", "watch")),
                (("suggest", "--where", "tls=none"), ("--where", "suggest")),
                (("replay", "x.rec", "--no-wire"), ("--no-wire", "replay")),
                (("replay", "x.rec", "--no-tls"), ("--no-tls", "replay")),
                (("replay", "x.rec", "--hook", "kprobe"), ("--hook", "replay")),
                (("watch", "--attack"), ("--attack", "only doctor")),
                (("explain", "-c", "x", "--alerts"), ("--alerts", "explain"))):
            self.refused(*words, says=says)

    def test_check_takes_a_file(self):
        path = self.path("good.yaml", b"heartbeat: 1m\n")
        expected = self.program("check", "-c", path, status=0)
        self.assertEqual(self.program("check", path, status=0), expected)
        self.assertIn("valid", expected[0])
        self.refused("check", self.path("bad.yaml", b"heartbeat: x\n"), says=("bad.yaml:1:12", "such as 30s"))
        self.refused("check", "-c", path, path, says=("unexpected argument",))
        self.refused("check", path, path, says=("unexpected argument",))
        self.refused("check", says=("check", "needs a configuration; use smtpsnoop check FILE"))

    def test_a_folder_instead_of_a_file(self):
        folder = os.path.join(self.folder, "etc")
        os.mkdir(folder, 0o755)
        for words, status in ((("check", folder), 2), (("check", "-c", folder), 2), (("explain", "-c", folder), 2),
                              (("replay", "x.rec", "-c", folder), 2), (("replay", folder), 1)):
            self.refused(*words, says=(f"{folder}: is a directory; name",), status=status)
        for text in (f"rules: {folder}", f"privacy: {{ key_file: {folder} }}"):
            path = self.path("in.yaml", text.encode() + b"\n")
            self.refused("check", path, says=("in.yaml:1:", "is a directory; name"))
        fifo = os.path.join(self.folder, "fifo")
        os.mkfifo(fifo, 0o600)
        self.refused("check", fifo, says=("not a regular file; name one",))

    def test_no_such_name(self):
        for words in (("bogus",), ("--bogus",), ("-c",), ("replay",), ("record",), ("version", "x"), ("explain",)):
            self.refused(*words, says=("smtpsnoop",))


@unittest.skipIf(os.geteuid() != 0, "needs root")
class Privileges(Commands):
    """What can be said before anything is loaded."""

    @staticmethod
    def words(command):
        return (command, "/nonexistent/x.rec") if command == "record" else (command,)

    def test_without_root(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            copy = shutil.copy(PROGRAM, os.path.join(folder, "smtpsnoop"))
            for command in HELD:
                done = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", copy, *self.words(command)],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                      timeout=60, check=False)
                self.assertEqual((done.returncode, done.stdout), (1, b""), command)
                self.assertEqual(done.stderr.decode(), f"smtpsnoop: {command}: needs root, because it loads BPF "
                                                       "programs; run it with sudo\n")

    def test_without_capabilities(self):
        for dropped, missing in (("-bpf,-sys_admin", "CAP_BPF missing"), ("-all", "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN"),
                                 ("-perfmon,-sys_admin", "CAP_PERFMON missing"),
                                 ("-net_admin,-sys_admin", "CAP_NET_ADMIN missing")):
            for command in HELD:
                self.refused(*self.words(command), says=(command, missing, "in a container?"), status=1,
                             prefix=("setpriv", f"--bounding-set={dropped}"))

    def test_root_of_a_user_namespace(self):
        prefix = ("unshare", "--user", "--map-root-user")
        if subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
            self.skipTest("this host allows no user namespaces")
        for command in HELD:
            self.refused(*self.words(command), says=(command, "root of a user namespace"), status=1, prefix=prefix)

    def test_a_filter_that_cannot_match(self):
        for words, says in ((("--user", "no-such-user"), ("--user", "no user 'no-such-user'")),
                            (("--user", "root,no-such-user"), ("no user 'no-such-user'",)),
                            (("--where", "process.user=no-such-user"), ("--where process.user", "no-such-user")),
                            (("--pid", "1,2147483647"), ("--pid", "2147483647"))):
            for command in ("watch", "run", "record"):
                self.refused(*self.words(command), *words, says=says)

    def test_a_filter_that_may_match_later(self):
        """It is told; then the recording cannot be made, and nothing is loaded."""
        for words, says in ((("--unit", "no-such.service"), "--unit: this host has no unit 'no-such.service'"),
                            (("--unit", "no-such"), "--unit: this host has no unit 'no-such'"),
                            (("--unit", "no-such@x.service"), "no unit 'no-such@x.service'"),
                            (("--where", "process.unit=no-such.timer"), "--where process.unit: this host has no unit"),
                            (("--container", "0123456789abcdef"), "--container: no process of this host")):
            _, err = self.program(*self.words("record"), *words, status=1)
            self.assertIn(says, err.splitlines()[0])
            self.assertEqual(len(err.splitlines()), 2, err)


if __name__ == "__main__":
    unittest.main()
