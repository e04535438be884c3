# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Backup: Bacula's director, storage and file daemon with a SQLite catalog. Real jobs, whose notices bsmtp sends."""

import unittest

from harness import Sink, free_port, get, short
from mta import Root
from scenario import ATTACKER, SystemCase

DIRECTOR = """
Director {{ Name = dir; DIRport = {director}; DirAddress = 127.0.0.1; QueryFile = /etc/bacula/scripts/query.sql
  WorkingDirectory = /var/lib/bacula; PidDirectory = /run/bacula; Password = secret; Messages = Daemon }}
Catalog {{ Name = Catalog; dbname = scenario; dbuser = ""; dbpassword = "" }}
Client {{ Name = host; Address = 127.0.0.1; FDPort = {file}; Catalog = Catalog; Password = secret }}
Storage {{ Name = disk; Address = 127.0.0.1; SDPort = {storage}; Password = secret; Device = disk; Media Type = File }}
Pool {{ Name = pool; Pool Type = Backup; Label Format = "Vol-" }}
FileSet {{ Name = files; Include {{ File = /etc/bacula }} }}
Messages {{ Name = Daemon; console = all }}
JobDefs {{ Name = defaults; Type = Backup; Level = Full; Client = host; FileSet = files; Storage = disk; Pool = pool }}
"""
JOB = """
Messages {{ Name = {job}
  mailcommand = "/usr/sbin/bsmtp -h 127.0.0.1:{port} -f bacula@backup.example -s \\"Bacula: %t %e of %c %l\\" %r"
  mail = {recipients} = all, !skipped }}
Job {{ Name = {job}; JobDefs = defaults; Messages = {job}; {more} }}
"""
STORAGE = """
Storage {{ Name = sd; SDPort = {storage}; SDAddress = 127.0.0.1; WorkingDirectory = /var/lib/bacula
  Pid Directory = /run/bacula }}
Director {{ Name = dir; Password = secret }}
Device {{ Name = disk; Media Type = File; Archive Device = /var/lib/bacula; LabelMedia = yes; Random Access = yes
  AutomaticMount = yes; RemovableMedia = no; AlwaysOpen = no }}
Messages {{ Name = Standard; director = dir = all }}
"""
FILE = """
Director {{ Name = dir; Password = secret }}
FileDaemon {{ Name = host; FDport = {file}; FDAddress = 127.0.0.1; WorkingDirectory = /var/lib/bacula
  Pid Directory = /run/bacula }}
Messages {{ Name = Standard; director = dir = all }}
"""
CONSOLE = "Director {{ Name = dir; DIRport = {director}; address = 127.0.0.1; Password = secret }}\n"
CATALOG = """set -e
install -d -o bacula -g bacula /run/bacula /var/lib/bacula
sed s/XXX_DBNAME_XXX/scenario/ /usr/share/bacula-director/make_sqlite3_tables > /run/tables
sh /run/tables
chown bacula:bacula /var/lib/bacula/scenario.db
"""


class Backup(SystemCase):
    name = "backup-completion"

    def setUp(self):
        super().setUp()
        self.good, self.other = Sink(self), Sink(self)
        self.begin(Root(type(self), ""), self.name, self.good.port)
        ports = {name: free_port() for name in ("director", "storage", "file")}
        jobs = "".join(JOB.format(job=f"nightly-{name}", recipients=recipients, port=port, more=more)
                       for name, recipients, port, more in self.jobs())
        for name, text in (("bacula-dir", DIRECTOR), ("bacula-sd", STORAGE), ("bacula-fd", FILE), ("bconsole", CONSOLE)):
            self.root.write(f"/etc/bacula/{name}.conf", text.format(**ports) + (jobs if text == DIRECTOR else ""))
        self.root.run("sh", "-c", CATALOG)
        self.start("/usr/sbin/bacula-fd", "-f", "-c", "/etc/bacula/bacula-fd.conf", port=ports["file"])
        for daemon, name in (("bacula-sd", "storage"), ("bacula-dir", "director")):
            self.start(f"/usr/sbin/{daemon}", "-f", "-c", f"/etc/bacula/{daemon}.conf", user="bacula", port=ports[name])

    def jobs(self):
        """Name, recipients of the notice, relay, and further settings of each job."""
        for name in ("one", "two", "three"):
            yield name, f"{name}@corp.example", self.good.port, ""
        yield "relay", "relay@corp.example", self.other.port, ""
        yield "box", "box@evil.example", self.good.port, ""
        yield "failed", "failed@corp.example", self.good.port, "RunBeforeJob = /bin/false"

    def back_up(self, name):
        self.finish(self.spawn([*self.root.prefix, "sh", "-c", f"printf 'run job=nightly-{name} yes\\nwait\\nquit\\n' | "
                                "bconsole -c /etc/bacula/bconsole.conf"]))

    def failed(self, recipient):
        return get(self.assert_alert(self.now, recipient, self.name, timeout_s=20), "smtpsnoop.nearest.failed")

    def test_bacula(self):
        self.back_up("one")
        event = self.assert_excluded(self.now, "one@corp.example", self.name, 20)
        self.assertEqual(get(event, "process.parent.executable"), "/usr/sbin/bacula-dir", short(event))
        self.assert_schedule("one@corp.example", self.name)
        for job, recipient, failed in (("relay", "relay@corp.example", ["relay"]),
                                       ("box", "box@evil.example", ["mail.recipients"]),
                                       ("failed", "failed@corp.example", ["mail.subject"])):
            with self.subTest(job):
                self.back_up(job)
                self.assertEqual(self.failed(recipient), failed)
        self.by_hand()
        self.back_up("two")
        self.assert_excluded(self.now, "two@corp.example", self.name, 20)
        self.back_up("three")
        self.assert_limit("three@corp.example", self.name)
        self.end()

    def by_hand(self):
        """The same mail without a job: by bsmtp, by another user, and by another program."""
        text = self.write("notice.txt", "  Job:      nightly-home\n  Termination:   Backup OK\n", 0o644)
        bsmtp = f"/usr/sbin/bsmtp -h 127.0.0.1:{self.good.port} -f bacula@backup.example -s 'Bacula: Backup OK of host'"
        self.shell("bacula", f"{bsmtp} hand@corp.example < {text}")
        self.assertEqual(self.failed("hand@corp.example"), ["process.ancestor"])
        self.shell(ATTACKER, f"{bsmtp} user@corp.example < {text}")
        self.assertEqual(sorted(self.failed("user@corp.example")), ["process.ancestor", "process.user"])
        mail = self.write("mail.txt", "Subject: Bacula: Backup OK of host\r\n\r\n  Job:   nightly-home\r\n", 0o644)
        self.shell("bacula", f"curl -sS smtp://127.0.0.1:{self.good.port} --mail-from bacula@backup.example "
                   f"--mail-rcpt exe@corp.example -T {mail}")
        self.assertEqual(sorted(self.failed("exe@corp.example")), ["process.ancestor", "process.executable"])


if __name__ == "__main__":
    unittest.main()
