# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The exclusions of deploy/exclusions with the real programs of Debian's packages, through each MTA (rig.py)."""

import os
import unittest
import zlib

from rig import ATTACKER, MailerCase, end_process, free_port, get, is_listening, wait_for


class Mailers:
    """One test a mailer. The honest mail passes; the same message by another program or another user is an alert."""

    packages = ("cron at anacron sudo mdadm logwatch fail2ban debsecan monit php-cli prometheus-alertmanager nagios4-core "
                "bacula-common curl")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The jobs that the packages bring would mail between those of the tests.
        cls.root.run("sh", "-c", "rm -rf /etc/cron.d/* /etc/crontab /var/spool/cron/crontabs/*; mkdir -p /run/lock")

    OF_USER_ALONE = ("at",)  # what these files say of the origin; another program of the user passes
    PROGRAM = ("executable", "script", "scheduled_by", "ancestor")

    def impostors(self, name, event, user, any_user):
        """Sends what `event` says again: as the same user by another program, then as another user."""
        sender, recipients, data = self.received(event)
        text = self.drop_received(data)
        of = "process" if self.mta.own_user else "origin"
        if of == "origin" and name in self.OF_USER_ALONE:
            self.sendmail(ATTACKER, sender, recipients, text)
            self.assert_alert(self.variant(name), "origin.user")
            return
        for who, criteria in ((user, self.PROGRAM), (ATTACKER, self.PROGRAM if any_user else ("user",))):
            self.sendmail(who, sender, recipients, text)
            self.assert_alert(self.variant(name), *(f"{of}.{criterion}" for criterion in criteria))

    def impostors_of_client(self, name, event, user):
        """The same for a mailer that speaks SMTP itself: the impostors use curl."""
        sender, recipients, data = self.received(event)
        path = self.write("mail.txt", data, 0o644)
        for who, criterion in ((user, "process.executable"), (ATTACKER, "process.user")):
            self.inside("curl", "-sS", f"smtp://127.0.0.1:{self.relay.port}", "--mail-from", sender, "--mail-rcpt",
                        recipients[0], "-T", path, user=who)
            self.assert_alert(name, criterion)

    def check_client(self, name, user):
        event = self.assert_passes(name)
        self.impostors_of_client(name, event, user)

    def sendmail(self, user, sender, recipients, text):
        """Nothing above it but a shell and init: no ancestor of the mailer is above the test."""
        path = self.write("mail.txt", text, 0o644)
        self.inside("setsid", "-f", "sh", "-c", 'sleep 0.3; exec "$@" < "$0"', path, "/usr/sbin/sendmail", "-i", "-f",
                    sender, *recipients, user=user)

    def variant(self, name):
        return name if self.mta.own_user else f"{name}-mta"

    def check(self, name, user, any_user=False, timeout_s=60):
        event = self.assert_passes(self.variant(name), timeout_s)
        self.impostors(name, event, user, any_user)

    def by_cron(self, command, user="root"):
        """Runs a job of the cron daemon; it is started for this job, and runs until the test ends."""
        self.root.write("/etc/cron.d/job", f"@reboot {user} {command}\n")
        self.root.run("rm", "-f", "/run/crond.reboot")
        self.start("/usr/sbin/cron", "-f")

    def test_cron(self):
        self.watch_for("cron")
        self.by_cron("echo something to say")
        self.check("cron", "root")

    def test_at(self):
        self.watch_for("at")
        self.start("/usr/sbin/atd", "-f")
        at = self.start("at", "now", stdin=-1)
        at.communicate(b"echo done\n", timeout=30)
        self.check("at", "root")

    def test_anacron(self):
        self.watch_for("anacron")
        self.root.write("/etc/anacrontab.test", "SHELL=/bin/sh\n1 0 test echo something to say\n")
        self.root.run("rm", "-f", "/var/spool/anacron/test")
        self.inside("/usr/sbin/anacron", "-d", "-f", "-n", "-t", "/etc/anacrontab.test")
        self.check("anacron", "root")

    def test_mdadm(self):
        self.watch_for("mdadm")
        self.inside("/usr/sbin/mdadm", "--monitor", "--test", "--oneshot", "--mail=root", "/dev/md0", status=None)
        self.check("mdadm", "root")

    def test_logwatch(self):
        self.watch_for("logwatch")
        self.by_cron("/usr/sbin/logwatch --output mail --mailto root --range all --service dpkg --detail high")
        self.check("logwatch", "root")

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
        self.check("fail2ban", "root")
        end_process(server)
        self.assert_passes(self.variant("fail2ban"))  # the jail has stopped

    VULNERABILITIES = "VERSION 1\nCVE-2026-0001,N,a vulnerability\n\nbash,0,BHRF,,\n\n\n"

    def test_debsecan(self):
        self.watch_for("debsecan")
        self.write("bookworm", "", 0o644)
        with open(self.path("bookworm"), "wb") as file:
            file.write(zlib.compress(self.VULNERABILITIES.encode()))
        self.by_cron(f"/usr/bin/debsecan --source file://{self.work} --suite bookworm --mailto root --format report "
                     ">/dev/null 2>&1")
        self.check("debsecan", "root", timeout_s=120)

    def test_php_mail(self):
        self.watch_for("php-mail")
        script = self.write("contact.php", f"<?php mail('office@{self.domain}', 'Contact', 'Hello');\n", 0o644)
        self.inside("/usr/bin/php", script, user="www-data")
        self.check("php-mail", "www-data")

    def test_nagios4(self):
        self.watch_for("nagios4")
        from test_scenarios import Scenarios
        objects = Scenarios.OBJECTS.replace("/bin/sh {notify} $NOTIFICATIONNUMBER$",
                                            "/usr/bin/printf \"%b\" \"it is down\\n\" | /usr/bin/mail -s \"** "
                                            "PROBLEM Service Alert: web/http is CRITICAL **\" root")
        check = self.write("check.sh", "echo Service Unreachable\nexit 2\n")
        self.write("objects.cfg", objects.format(check=check), 0o644)
        self.write("nagios.cfg", Scenarios.NAGIOS.format(work=self.work), 0o644)
        os.mkdir(self.path("results"))
        self.root.run("chown", "nagios:nagios", self.work, self.path("results"))
        daemon = self.start("/usr/sbin/nagios4", self.path("nagios.cfg"))
        event = self.assert_passes(self.variant("nagios4"), 60)
        end_process(daemon)
        self.seen.update(get(other, "event.id") for other in self.watch.messages())
        self.impostors("nagios4", event, "nagios", False)


class Clients(MailerCase):
    """Mailers that speak SMTP themselves."""

    packages = Mailers.packages
    check_client, impostors_of_client = Mailers.check_client, Mailers.impostors_of_client

    def test_monit(self):
        self.watch_for("monit")
        config = self.write("monitrc", f"""set daemon 2
set idfile {self.path("id")}
set statefile {self.path("state")}
set pidfile {self.path("pid")}
set mailserver 127.0.0.1 port {self.relay.port}
set mail-format {{ from: monit@{self.domain} }}
set alert {self.root_user} only on {{ nonexist }}
check file gone with path {self.path("gone")}
""", 0o600)
        daemon = self.start("/usr/bin/monit", "-I", "-c", config)
        event = self.assert_passes("monit")
        end_process(daemon)
        self.impostors_of_client("monit", event, "root")

    def test_bacula(self):
        self.watch_for("bacula")
        body = self.write("notice.txt", "Termination: Backup OK\n", 0o644)
        self.inside("sh", "-c", f"exec /usr/sbin/bsmtp -h 127.0.0.1:{self.relay.port} -f bacula@{self.domain} -s "
                    f"'Bacula: Backup OK of vm-fd Incremental' {self.root_user} < {body}", user="bacula")
        self.check_client("bacula", "bacula")

    def test_prometheus_alertmanager(self):
        self.watch_for("prometheus-alertmanager")
        config = self.write("alertmanager.yml", f"""global: {{ smtp_smarthost: "127.0.0.1:{self.relay.port}",
  smtp_from: "alertmanager@{self.domain}", smtp_require_tls: false }}
route: {{ receiver: ops, group_wait: 0s }}
receivers: [{{ name: ops, email_configs: [{{ to: "{self.root_user}" }}] }}]
""", 0o644)
        port = free_port()
        self.inside("install", "-d", "-o", "prometheus", self.path("data"))
        self.start("/usr/bin/prometheus-alertmanager", f"--config.file={config}", f"--storage.path={self.path('data')}",
                   f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", user="prometheus")
        wait_for(lambda: is_listening(port), 30, "alertmanager to listen")
        self.inside("curl", "-sS", f"http://127.0.0.1:{port}/api/v2/alerts", "-H", "Content-Type: application/json", "-d",
                    '[{"labels": {"alertname": "Down", "instance": "web"}}]')
        self.check_client("prometheus-alertmanager", "prometheus")


class ByMsmtp(Mailers, MailerCase):
    mta_name = "msmtp"

    def test_sudo(self):
        self.watch_for("sudo")
        self.inside("sh", "-c", "yes wrong | sudo -S true", user="news", status=1)  # PAM takes its time
        self.check("sudo", "news", any_user=True)


class ByPostfix(Mailers, MailerCase):
    mta_name = "postfix"


class ByExim(Mailers, MailerCase):
    mta_name = "exim"


class ByNullmailer(Mailers, MailerCase):
    mta_name = "nullmailer"


if __name__ == "__main__":
    unittest.main()
