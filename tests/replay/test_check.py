# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `check` says of a configuration besides its mistakes."""

import os
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("SMTPSNOOP", os.path.join(ROOT, "build/smtpsnoop"))


def check(text, status=0):
    """Returns the lines of standard output, or of standard error if the status is not 0."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "smtpsnoop.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o644)
        done = subprocess.run([PROGRAM, "check", "-c", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == status, (done.returncode, done.stderr.decode())
    return [line.replace(path, "FILE") for line in (done.stderr if status else done.stdout).decode().splitlines()]


def exclusion(name, more):
    return f"  - {{ name: {name}, process: {{ user: root }}, relay: 10.0.0.1, {more} }}\n"


class Schedules(unittest.TestCase):
    def notes(self, *exclusions):
        return [line for line in check("exclusions:\n" + "".join(exclusions)) if ": note: " in line]

    def test_schedules_without_early_are_named_in_one_line(self):
        note, = self.notes(exclusion("first", "schedule: { at: daily, for: 1h }"),
                           exclusion("sooner", "schedule: { at: daily, for: 1h, early: 5m }"),
                           exclusion("never", "limits: { messages: 1/1h }"),
                           exclusion("third", "schedule: { at: '0 8 * * *', for: 15m }"))
        self.assertTrue(note.startswith("FILE: note: these schedules match from their time on, not before it"), note)
        self.assertTrue(note.endswith(": first, third"), note)

    def test_early_answers_it(self):
        self.assertEqual(self.notes(exclusion("a", "schedule: { at: daily, for: 1h, early: 0s }"),
                                    exclusion("b", "schedule: { at: daily, for: 1h, early: 2h }")), [])
        self.assertEqual(self.notes(exclusion("a", "expires: 2099-01-01")), [])

    def test_mistakes(self):
        for early, place, words in (("early: 5", 97, "expected a duration such as 30s"), ("early: -5m", 97, "expected"),
                                    ("before: 5m", 90, "before: unknown key; expected one of at, for, early")):
            line, = check("exclusions:\n" + exclusion("a", f"schedule: {{ at: daily, for: 1h, {early} }}"), status=2)
            self.assertIn(f"FILE:2:{place}: {words}", line)

    def test_many_are_counted(self):
        note, = self.notes(*(exclusion(f"x{i}", "schedule: { at: daily, for: 1h }") for i in range(13)))
        self.assertTrue(note.endswith(", x9 and 3 more"), note)


class TlsRequired(unittest.TestCase):
    def test_needs_probes_or_encrypted(self):
        for capture, more, warned in (("tls: true", "", 0), ("tls: false", "", 1), ("tls: false", ", encrypted: allow", 0)):
            lines = check(f"capture: {{ {capture} }}\nexclusions:\n" + exclusion("a", "tls: required" + more))
            self.assertEqual(sum("tls: required needs encrypted: allow" in line for line in lines), warned, lines)


PYTHON = "executable: /usr/bin/python3.11"
WRITABLE = "any user can put a program into {}; install the mailer in a folder of root"
ROOT_SCRIPT = "every script that root runs with it passes"
SHARED = "many programs share this account"
EXIM = "executable: /usr/sbin/exim4, user: Debian-exim"
PUBLIC = "anyone can get an address at {}"

# Criteria of process and of mail, and what is said of them; None: nothing.
DOUBTS = (
    ("executable: /tmp/mailer, user: a", "", WRITABLE.format("/tmp")),
    ("executable: /var/tmp/a/b/mailer, user: a", "", WRITABLE.format("/var/tmp")),
    ("executable: /dev/shm/x, user: a", "", WRITABLE.format("/dev/shm")),
    ("executable: '/var/tmp/*', user: a", "", WRITABLE.format("/var/tmp")),
    ("executable: '/**/msmtp', user: a", "", WRITABLE.format("/tmp")),
    ("executable: [/usr/bin/msmtp, '/**'], user: a", "", WRITABLE.format("/tmp")),
    ("executable: /usr/tmp-tools/mailer, user: a", "", None),
    ("executable: /opt/tmp/mailer, user: a", "", None),
    ("executable: '/usr/*/msmtp', user: a", "", None),
    ("executable: /var/www/.cache/mailer, user: a", "", ".cache is hidden; find out who put it there"),
    ("executable: /usr/lib/.x, user: a", "", ".x is hidden"),
    ("executable: '/srv/.../mailer', user: a", "", "... is hidden"),
    ("executable: /opt/app.d/mailer.v1, user: a", "", None),
    ("executable: '/memfd:x', user: a", "", "deleted or is only in memory has no path"),
    ("executable: '/usr/bin/curl (deleted)', user: a", "", "deleted or is only in memory has no path"),
    (PYTHON + ", user: root", "", ROOT_SCRIPT),
    ("executable: '/usr/bin/perl*', user: ['0']", "", ROOT_SCRIPT),
    ("executable: '/usr/bin/*', user: [a, root]", "", ROOT_SCRIPT),
    ("executable: /bin/dash, user: root", "", ROOT_SCRIPT),
    ("executable: /usr/sbin/php-fpm8.2, user: root", "", ROOT_SCRIPT),
    ("executable: /bin/tcsh, user: root", "", ROOT_SCRIPT),
    ("executable: /usr/bin/pypy3, user: root", "", ROOT_SCRIPT),
    (PYTHON + ", user: portal", "", None),
    ("executable: /usr/bin/curl, user: root", "", None),
    ("executable: /usr/bin/shutdown, user: root", "", None),
    (PYTHON + ", user: root, script: /opt/x.py", "", None),
    (PYTHON + ", user: a, script: /tmp/x.py", "", "process.script /tmp/x.py: any user can put a script into /tmp"),
    (PYTHON + ", user: a, script: '/srv/.x/*.py'", "", "process.script /srv/.x/*.py: .x is hidden"),
    (PYTHON + ", user: a, script: -m mail.daily", "", None),
    ("user: a, script: /opt/x.py", "", "any program can be named like an interpreter"),
    ("executable: /usr/bin/msmtp, user: www-data", "", "process.user www-data: " + SHARED),
    ("user: [a, nobody]", "", "process.user nobody: " + SHARED),
    ("user: '33'", "", SHARED),
    ("user: '330'", "", None),
    ("user: a", "mail: { recipients: box@gmail.com }", PUBLIC.format("gmail.com")),
    ("user: a", "mail: { recipients: [x@corp.example, '*@GMX.de'] }", PUBLIC.format("gmx.de")),
    ("user: a", "mail: { recipients: '**' }", PUBLIC.format("gmail.com")),
    ("user: a", "mail: { recipients: '*@*.ru' }", PUBLIC.format("mail.ru")),
    ("user: a", "mail: { recipients: ['*@corp.example', gmail.com@corp.example, x@notgmail.com] }", None),
    ("user: postfix", "origin: { user: www-data }", "origin.user www-data: " + SHARED),
    (EXIM, "origin: { user: a, executable: /tmp/x }", "origin.executable /tmp/x: any user can put a program into /tmp"),
    (EXIM, "origin: { user: a, executable: /usr/bin/python3.11, script: /tmp/x.py }",
     "origin.script /tmp/x.py: any user can put a script into /tmp"),
    (EXIM, "origin: { user: a, script: /opt/x.py }", "origin.script: any program can be named like an interpreter"),
    (EXIM, "origin: { user: root, executable: /bin/dash }",
     "origin.user root with the interpreter /bin/dash: " + ROOT_SCRIPT),
    (EXIM, "origin: { user: root, executable: /bin/dash, script: /opt/x.sh }", None),
    (EXIM, "origin: { user: a, executable: /usr/bin/mail, unit: x.service, scheduled_by: systemd-timer }", None),
    (EXIM, "origin: { unit: cron.service }", "cron.service runs jobs of every user; add origin.user"),
    (EXIM, "origin: { user: a, unit: cron.service }", None),
    (EXIM, "origin: { user: a, unit: x.timer, scheduled_by: systemd-timer }", "origin.unit names no service"),
    (EXIM, "origin: { executable: /usr/bin/mail }\n    accept_forgeable: true",
     "origin trusts only what a sender can forge: anyone who can run a program on this host passes; "
     "add origin.user or origin.unit"),
    (EXIM, "", "the executable is an MTA, which sends mail of others; add origin"),
    ("executable: /usr/bin/curl, user: a", "origin: { unit: x.service }", "the executable is not an MTA"),
)


class Doubts(unittest.TestCase):
    """What trusts more than it seems is said, with the value that shows it; nothing is said of its neighbours."""

    def warnings(self, process, more=""):
        text = f"exclusions:\n  - name: one\n    process: {{ {process} }}\n    relay: 10.0.0.1\n"
        return [line.removeprefix("FILE:2: warning: one: ") for line in check(text + f"    {more}\n" * bool(more))
                if ": warning: " in line and "this host has no user" not in line]

    def test_doubts(self):
        for process, more, words in DOUBTS:
            with self.subTest(process, more=more):
                lines = self.warnings(process, more)
                self.assertEqual(len(lines), 1 if words else 0, lines)
                self.assertIn(words or "", "".join(lines))

    def test_each_kind_once(self):
        lines = self.warnings("executable: [/tmp/.a, /tmp/.b, /dev/shm/.c], user: [nobody, www-data]",
                              "mail: { recipients: [a@gmail.com, b@gmail.com] }")
        self.assertEqual(len(lines), 4, lines)

    @unittest.skipIf(os.geteuid(), "needs root: a folder outside of /tmp")
    def test_folders_of_this_host(self):
        with tempfile.TemporaryDirectory(dir="/opt") as folder:
            for mode, count in ((0o1777, 1), (0o757, 1), (0o775, 0), (0o755, 0)):
                os.chmod(folder, mode)
                self.assertEqual(len(self.warnings(f"executable: {folder}/bin/mailer, user: a")), count, oct(mode))
            os.chmod(folder, 0o755)


if __name__ == "__main__":
    unittest.main()
