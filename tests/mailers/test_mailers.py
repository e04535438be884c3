# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The exclusions of deploy/exclusions with the real programs of Debian's packages, through each MTA (rig.py)."""

import os
import struct
import unittest
import zlib

from rig import ATTACKER, MailerCase, end_process, get, library_names, short, wait_for


class Mailers:
    """One test a mailer. The honest mail passes; the same message by another program or another user is an alert."""

    packages = ("cron at anacron sudo mdadm logwatch fail2ban apticron debsecan rkhunter monit php-cli arpwatch "
                "pflogsumm")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The jobs that the packages bring would mail between those of the tests.
        cls.root.run("sh", "-c", "rm -rf /etc/cron.d/* /etc/crontab /var/spool/cron/crontabs/*; mkdir -p /run/lock")

    def impostors(self, name, event, user, program, mta_program=None):
        """Sends what `event` says again: as the same user by another program, then as another user. `program`: the
        criteria of which one must fail."""
        sender, recipients, data = self.received(event)
        text = self.drop_received(data)
        own = self.mta.own_user
        self.sendmail(user, sender, recipients, text)
        if own or mta_program:
            self.assert_alert(self.variant(name), *(program if own else mta_program))
        else:
            self.new_mail()
        self.sendmail(ATTACKER, sender, recipients, text)
        self.assert_alert(self.variant(name), "process.user" if own else "origin")

    def sendmail(self, user, sender, recipients, text):
        """Nothing above it but a shell and init: no ancestor of the mailer is above the test."""
        path = self.write("mail.txt", text, 0o644)
        self.inside("setsid", "-f", "sh", "-c", 'sleep 0.3; exec "$@" < "$0"', path, "/usr/sbin/sendmail", "-i", "-f",
                    sender, *recipients, user=user)

    def variant(self, name):
        return name if self.mta.own_user else f"{name}-mta"

    def check(self, name, user, program, mta_program=None, timeout_s=60):
        event = self.assert_passes(self.variant(name), timeout_s)
        self.impostors(name, event, user, program, mta_program)

    def by_cron(self, command, user="root"):
        """Runs a job of the cron daemon; it is started for this job, and runs until the test ends."""
        self.root.write("/etc/cron.d/job", f"@reboot {user} {command}\n")
        self.root.run("rm", "-f", "/run/crond.reboot")
        self.start("/usr/sbin/cron", "-f")

    def test_cron(self):
        self.watch_for("cron")
        self.by_cron("echo something to say")
        self.check("cron", "root", ["process.ancestor"])

    def test_at(self):
        self.watch_for("at")
        self.start("/usr/sbin/atd", "-f")
        at = self.start("at", "now", stdin=-1)
        at.communicate(b"echo done\n", timeout=30)
        self.check("at", "root", ["process.ancestor"])

    def test_anacron(self):
        self.watch_for("anacron")
        self.root.write("/etc/anacrontab.test", "SHELL=/bin/sh\n1 0 test echo something to say\n")
        self.root.run("rm", "-f", "/var/spool/anacron/test")
        self.inside("/usr/sbin/anacron", "-d", "-f", "-n", "-t", "/etc/anacrontab.test")
        self.check("anacron", "root", ["process.ancestor"])

    def test_sudo(self):
        self.watch_for("sudo")
        self.inside("sh", "-c", "yes wrong | sudo -S true", user="news", status=1)  # PAM takes its time
        self.check("sudo", "root", ["process.ancestor"])

    def test_mdadm(self):
        self.watch_for("mdadm")
        self.inside("/usr/sbin/mdadm", "--monitor", "--test", "--oneshot", "--mail=root", "/dev/md0", status=None)
        self.check("mdadm", "root", ["process.ancestor"])

    def test_logwatch(self):
        self.watch_for("logwatch")
        self.by_cron("/usr/sbin/logwatch --output mail --mailto root --range all --service dpkg --detail high")
        self.check("logwatch", "root", ["process.ancestor", "process.scheduled_by"])

    def test_fail2ban(self):
        self.watch_for("fail2ban")
        for name, text in (("fail2ban.conf", "[Definition]\nloglevel = ERROR\nlogtarget = /dev/null\n"
                            "socket = /run/f2b.sock\npidfile = /run/f2b.pid\ndbfile = None\nsyslogsocket = auto\n"),
                           ("jail.conf", "[web]\nenabled = true\nbackend = polling\nfilter = web\n"
                            "logpath = /dev/null\nbantime = 600\nfindtime = 600\nmaxretry = 3\n"
                            f"action = sendmail[name=web, dest=root, sender=fail2ban@{self.domain}]\n"),
                           ("filter.d/web.conf", "[Definition]\nfailregex = ^no <HOST>$\n")):
            path = self.path(name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self.write(name, text, 0o644)
        self.root.run("cp", "-rT", "/etc/fail2ban/action.d", self.path("action.d"))
        server = self.start("/usr/bin/fail2ban-server", "-c", self.work, "-f", "-x", "start")
        self.check("fail2ban", "root", ["process.ancestor"])
        end_process(server)
        self.assert_passes(self.variant("fail2ban"))  # the jail has stopped

    def test_apticron(self):
        self.watch_for("apticron")
        self.by_cron("/usr/sbin/apticron >/dev/null 2>&1")
        self.check("apticron", "root", ["process.ancestor", "process.scheduled_by"], timeout_s=120)

    VULNERABILITIES = "VERSION 1\nCVE-2026-0001,N,a vulnerability\n\nbash,0,BHRF,,\n\n\n"

    def test_debsecan(self):
        self.watch_for("debsecan")
        self.write("bookworm", "", 0o644)
        with open(self.path("bookworm"), "wb") as file:
            file.write(zlib.compress(self.VULNERABILITIES.encode()))
        self.by_cron(f"/usr/bin/debsecan --source file://{self.work} --suite bookworm --mailto root --format report "
                     ">/dev/null 2>&1")
        self.check("debsecan", "root", ["process.ancestor", "process.scheduled_by"], timeout_s=120)

    def test_rkhunter(self):
        self.watch_for("rkhunter")
        self.root.write("/etc/rkhunter.conf.local", "MAIL-ON-WARNING=root\n")
        self.root.run("mkdir", "-p", "/etc/.hidden-folder")
        self.by_cron("/usr/bin/rkhunter --check --cronjob --enable filesystem >/dev/null 2>&1")
        self.check("rkhunter", "root", ["process.ancestor", "process.scheduled_by"], timeout_s=200)

    def test_php_mail(self):
        self.watch_for("php-mail")
        script = self.write("contact.php", f"<?php mail('office@{self.domain}', 'Contact', 'Hello');\n", 0o644)
        self.inside("/usr/bin/php", script, user="www-data")
        self.check("php-mail", "www-data", ["process.ancestor"])

    def test_arpwatch(self):
        self.watch_for("arpwatch")
        frame = (bytes.fromhex("ffffffffffff" "020000000001" "0806" "0001" "0800" "06" "04" "0001") +
                 bytes.fromhex("020000000001") + bytes([192, 0, 2, 7]) + bytes(6) + bytes([192, 0, 2, 8])).ljust(60, b"\0")
        packet = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1) + struct.pack("<IIII", 1, 0, len(frame),
                                                                                        len(frame)) + frame
        with open(self.path("arp.pcap"), "wb") as file:
            file.write(packet)
        os.chmod(self.path("arp.pcap"), 0o644)
        self.root.run("sh", "-c", ": > /var/lib/arpwatch/test.dat; chown arpwatch /var/lib/arpwatch/test.dat")
        self.inside("/usr/sbin/arpwatch", "-u", "arpwatch", "-f", "/var/lib/arpwatch/test.dat", "-r", self.path("arp.pcap"),
                    "-m", "root", status=None)
        self.check("arpwatch", "arpwatch", ["process.ancestor"])

    def test_monit(self):
        self.watch_for("monit")
        if not self.mta.own_user:
            self.skipTest("monit speaks SMTP itself")


class ByMsmtp(Mailers, MailerCase):
    mta_name = "msmtp"


class ByDma(Mailers, MailerCase):
    mta_name = "dma"


class ByPostfix(Mailers, MailerCase):
    mta_name = "postfix"


class ByExim(Mailers, MailerCase):
    mta_name = "exim"


class ByNullmailer(Mailers, MailerCase):
    mta_name = "nullmailer"


if __name__ == "__main__":
    unittest.main()
