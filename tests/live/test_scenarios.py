# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The examples of deploy/examples with real mailers: msmtp from a job of the cron daemon, a portal in Python, Nagios 4,
Bacula's bsmtp, a script with swaks. The honest mail passes. The same mail from another executable or user, to another
relay, at another hour, to one more recipient, or beyond the limit is an alert, and `smtpsnoop.nearest` names the
exclusion and the criterion.

Only users, ports, hours and a script of the examples are replaced: each mailer runs as a system user that every Debian
has. scenario_*.py run the same examples with whole systems.
"""

import os
import pwd
import subprocess
import unittest

from harness import Sink, Watch, end_process, get, short, sized, wait_for
from scenario import ATTACKER, ScenarioCase, examples

CHANGES = {"user: reports": "user: news", "user: portal": "user: www-data", "user: hr-notify": "user: irc",
           # bsmtp and swaks alone, without the director and cron
           "      ancestor: /usr/sbin/bacula-dir\n": "", "      scheduled_by: cron\n      tty: none\n": "      tty: none\n"}
TOKEN = "https://login.corp.example/reset/MQ/d0pq1x-0123456789abcdef0123456789abcdef/"
SUBJECT = "Password reset on login.corp.example"


def as_user(name, argv):
    user = pwd.getpwnam(name)
    return ["setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups", *argv]


class Scenarios(ScenarioCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sinks = {name: Sink(cls) for name in ("password-reset", "monitoring", "backup-completion", "account-expiry")}
        cls.other_relay = Sink(cls)

    def setUp(self):
        super().setUp()
        ports = {name: sink.port for name, sink in self.sinks.items()}
        changes = {**CHANGES, "/opt/portal/manage.py": self.path("portal.py")}
        os.mkdir(self.path("now"))
        os.mkdir(self.path("later"))
        self.watch = Watch(self, "--all", "-c", examples(self.path("now"), ports, 0, changes))
        self.later = Watch(self, "--all", "-c", examples(self.path("later"), ports, 12, changes))

    def mail(self, user, argv):
        self.finish(self.spawn(as_user(user, argv), cwd="/"))

    def impostors(self, name, user, send, curl, user_fails=("process.user",)):
        """Mails that must be alerts, each for its reason. `send(port, recipients)` returns the command of the honest
        mailer, `curl(port, recipients)` that of another executable."""
        good, other = self.sinks[name].port, self.other_relay.port
        self.mail(user, curl(good, ["exe@corp.example"]))
        self.mail(ATTACKER, send(good, ["user@corp.example"]))
        self.mail(user, send(other, ["relay@corp.example"]))
        self.mail(user, send(good, ["more@corp.example", "box@evil.example"]))
        self.assert_alert(self.watch, "exe@corp.example", name, "process.executable")
        self.assert_alert(self.watch, "user@corp.example", name, *user_fails)
        self.assert_alert(self.watch, "relay@corp.example", name, "relay")
        self.assert_alert(self.watch, "box@evil.example", name, "mail.recipients")

    def honest_and_past_the_limit(self, name, user, send):
        good = self.sinks[name].port
        for recipient in ("one@corp.example", "two@corp.example", "three@corp.example"):
            self.mail(user, send(good, [recipient]))
            self.watch.message(recipient)
        self.assert_excluded(self.watch, "one@corp.example", name)
        self.assert_excluded(self.watch, "two@corp.example", name)
        event = self.assert_alert(self.watch, "three@corp.example", name, "limits.messages")
        self.assertEqual(get(event, "smtpsnoop.nearest.failed")[0], "limits.messages")
        self.assertIn("exclusion_limit", get(event, "smtpsnoop.reasons"))
        event = self.assert_alert(self.later, "one@corp.example", name, "schedule")
        self.assertEqual(get(event, "smtpsnoop.nearest.failed"), ["schedule"])

    def curl(self, sender, text):
        path = self.write("mail.txt", text.replace("\n", "\r\n"), 0o644)

        def send(port, recipients):
            return ["curl", "-sS", f"smtp://127.0.0.1:{port}", "--mail-from", sender,
                    *(word for one in recipients for word in ("--mail-rcpt", one)), "-T", path]
        return send

    def test_password_reset(self):
        script = self.write("portal.py", f"""
import smtplib, sys
from email.message import EmailMessage
mail = EmailMessage()
mail["From"], mail["To"], mail["Subject"] = "no-reply@idp.example", sys.argv[2], "{SUBJECT}"
mail.set_content("Bonjour, h\\u00e9l\\u00e8ne: " + sys.argv[3] + "\\n", cte="base64")
smtp = smtplib.SMTP("127.0.0.1", int(sys.argv[1]))
smtp.send_message(mail, "no-reply@idp.example", sys.argv[2].split(","))
smtp.quit()
""")

        def send(port, recipients, link=TOKEN):
            return ["/usr/bin/python3", "-I", script, str(port), ",".join(recipients), link]

        self.honest_and_past_the_limit("password-reset", "www-data", send)
        self.mail("www-data", send(self.sinks["password-reset"].port, ["link@corp.example"], "https://evil.example/"))
        self.assert_alert(self.watch, "link@corp.example", "password-reset", "mail.matches")
        text = f"From: no-reply@idp.example\nSubject: {SUBJECT}\n\n{TOKEN}\n"
        self.impostors("password-reset", "www-data", send, self.curl("no-reply@idp.example", text))

    def test_backup_completion(self):
        body = self.write("notice.txt", "Job: nightly-home\nTermination: Backup OK\n", 0o644)

        def send(port, recipients):
            return ["sh", "-c", f"exec /usr/sbin/bsmtp -h 127.0.0.1:{port} -f bacula@backup.example "
                    f"-s 'Bacula: Backup OK of nightly-home' {' '.join(recipients)} < {body}"]

        self.honest_and_past_the_limit("backup-completion", "bacula", send)
        text = "From: bacula@backup.example\nSubject: Bacula: Backup OK of nightly-home\n\nJob: nightly-home\n"
        self.impostors("backup-completion", "bacula", send, self.curl("bacula@backup.example", text))

    def test_account_expiry(self):
        script = self.write("remind.sh", """#!/bin/sh
exec swaks --silent 3 --server 127.0.0.1 --port "$1" --from hr@corp.example --to "$2" \\
--header 'Subject: Your account expires on 2027-01-31' --body 'Please renew your account.' >/dev/null 2>&1
""")

        def send(port, recipients):
            return ["sh", script, str(port), ",".join(recipients)]

        self.honest_and_past_the_limit("account-expiry", "irc", send)
        text = "From: hr@corp.example\nSubject: Your account expires on 2027-01-31\n\nPlease renew your account\n"
        self.impostors("account-expiry", "irc", send, self.curl("hr@corp.example", text))

    NAGIOS = """
log_file={work}/nagios.log
cfg_file={work}/objects.cfg
object_cache_file={work}/objects.cache
precached_object_file={work}/objects.precache
status_file={work}/status.dat
command_file={work}/nagios.cmd
lock_file={work}/nagios.pid
temp_file={work}/nagios.tmp
temp_path={work}
check_result_path={work}/results
state_retention_file={work}/retention.dat
query_socket={work}/nagios.qh
nagios_user=nagios
nagios_group=nagios
interval_length=1
use_syslog=0
enable_notifications=1
execute_service_checks=1
use_retained_program_state=0
"""
    OBJECTS = """
define timeperiod {{
 timeperiod_name always
 alias always
 sunday 00:00-24:00
 monday 00:00-24:00
 tuesday 00:00-24:00
 wednesday 00:00-24:00
 thursday 00:00-24:00
 friday 00:00-24:00
 saturday 00:00-24:00
}}
define command {{
 command_name fail
 command_line /bin/sh {check}
}}
define command {{
 command_name notify
 command_line /bin/sh {notify} $NOTIFICATIONNUMBER$
}}
define contact {{
 contact_name ops
 service_notification_period always
 host_notification_period always
 service_notification_options c
 host_notification_options d
 service_notification_commands notify
 host_notification_commands notify
}}
define host {{
 host_name web
 address 127.0.0.1
 max_check_attempts 1
 contacts ops
 notification_period always
 check_period always
}}
define service {{
 host_name web
 service_description http
 check_command fail
 max_check_attempts 1
 check_interval 2
 retry_interval 1
 check_period always
 notification_interval 3
 notification_period always
 notification_options c
 contacts ops
}}
"""

    def test_monitoring(self):
        text = "From: nagios@monitor.example\nTo: ops@corp.example\nSubject: ** PROBLEM ** http\n\nService Unreachable\n"
        path = self.write("notice.txt", text, 0o644)

        def send(port, recipients):
            return ["sh", "-c", f"/usr/bin/msmtp --file=/dev/null --host=127.0.0.1 --port={port} "
                    f"--from=nagios@monitor.example {' '.join(recipients)} < {path}"]

        good = self.sinks["monitoring"].port
        notify = self.write("notify.sh", send(good, ["$1@corp.example"])[2] + "\n")
        check = self.write("check.sh", "echo Service Unreachable\nexit 2\n")
        self.write("objects.cfg", self.OBJECTS.format(notify=notify, check=check), 0o644)
        self.write("nagios.cfg", self.NAGIOS.format(work=self.work), 0o644)
        os.mkdir(self.path("results"))
        user = pwd.getpwnam("nagios")
        for name in (".", "results"):
            os.chown(self.path(name), user.pw_uid, user.pw_gid)
        daemon = self.spawn(["/usr/sbin/nagios4", self.path("nagios.cfg")])
        self.watch.message("3@corp.example", 60)
        end_process(daemon)
        self.assert_excluded(self.watch, "1@corp.example", "monitoring")
        self.assert_excluded(self.watch, "2@corp.example", "monitoring")
        event = self.assert_alert(self.watch, "3@corp.example", "monitoring", "limits.messages")
        self.assertEqual(get(event, "smtpsnoop.nearest.failed")[0], "limits.messages")
        event = self.assert_alert(self.later, "1@corp.example", "monitoring", "schedule")
        self.assertEqual(get(event, "smtpsnoop.nearest.failed"), ["schedule"])
        self.mail("nagios", send(good, ["hand@corp.example"]))
        self.assert_alert(self.watch, "hand@corp.example", "monitoring", "process.ancestor")
        self.impostors("monitoring", "nagios", send, self.curl("nagios@monitor.example", text))


class Cron(ScenarioCase):
    """The system's cron daemon with only the tables of the test, in a mount namespace that the watch shares."""

    HOLD = """
for path in /var/spool/cron /etc/cron.d /run; do mount -t tmpfs tmpfs "$path"; done
mount --bind /dev/null /etc/crontab
mkdir -m 1730 /var/spool/cron/crontabs
chgrp crontab /var/spool/cron/crontabs
mkdir -m 1770 /var/spool/cron/atjobs /var/spool/cron/atspool
touch /var/spool/cron/atjobs/.SEQ
chown -R daemon:daemon /var/spool/cron/atjobs /var/spool/cron/atspool
echo ready
exec sleep 1000
"""

    def setUp(self):
        super().setUp()
        self.holder = self.spawn(["unshare", "-m", "--propagation", "private", "sh", "-ec", self.HOLD])
        self.assertEqual(self.holder.stdout.readline(), b"ready\n")
        self.inside = ("nsenter", "-t", str(self.holder.pid), "-m")
        self.good, self.other = Sink(self), Sink(self)
        for name, shift in (("now", 0), ("later", 12)):
            os.mkdir(self.path(name))
            config = examples(self.path(name), {"scheduled-report": self.good.port}, shift, CHANGES)
            setattr(self, name, Watch(self, "--all", "-c", config, prefix=self.inside))

    def table(self, user, lines):
        when = sized("@reboot", "* * * * *")  # at the start of cron; or by the clock, up to a minute later
        path = self.write(f"table-{user}", "".join(f"{when} {line}\n" for line in lines), 0o600)
        self.finish(self.spawn([*self.inside, "install", "-m", "600", "-o", user, "-g", "crontab", path,
                                f"/var/spool/cron/crontabs/{user}"]))

    def test_scheduled_report(self):
        text = "From: reports@corp.example\nSubject: Daily sales report of today\n\nSales\n"
        path = self.write("report.txt", text, 0o644)

        def send(port, *recipients):
            return f"/usr/bin/msmtp --file=/dev/null --host=127.0.0.1 --port={port} --from=reports@corp.example " \
                   f"{' '.join(recipients)} < {path}"

        good, other = self.good.port, self.other.port
        curl = f"curl -sS smtp://127.0.0.1:{good} --mail-from reports@corp.example --mail-rcpt exe@corp.example -T {path}"
        self.table("news", [send(good, "one@corp.example"), "sleep 1; " + send(good, "two@corp.example"),
                            "sleep 2; " + send(good, "three@corp.example"), curl, send(other, "relay@corp.example"),
                            send(good, "more@corp.example", "box@evil.example")])
        self.table(ATTACKER, [send(good, "user@corp.example")])
        self.spawn([*self.inside, "/usr/sbin/cron", "-f"])
        name = "scheduled-report"
        self.now.message("one@corp.example", 90)
        self.assert_excluded(self.now, "one@corp.example", name)
        self.assert_excluded(self.now, "two@corp.example", name)
        event = self.assert_alert(self.now, "three@corp.example", name, "limits.messages")
        self.assertEqual(get(event, "smtpsnoop.process.scheduled_by"), "cron")
        self.assert_alert(self.now, "exe@corp.example", name, "process.executable")
        self.assert_alert(self.now, "relay@corp.example", name, "relay")
        self.assert_alert(self.now, "box@evil.example", name, "mail.recipients")
        event = self.assert_alert(self.now, "user@corp.example", name, "process.user")
        self.assertEqual(get(event, "smtpsnoop.process.scheduled_by"), "cron")
        event = self.assert_alert(self.later, "one@corp.example", name, "schedule")
        self.assertEqual(get(event, "smtpsnoop.nearest.failed"), ["schedule"])
        # The same command by hand instead of by cron.
        self.finish(self.spawn([*self.inside, *as_user("news", ["sh", "-c", send(good, "hand@corp.example")])]))
        self.assert_alert(self.now, "hand@corp.example", name, "process.scheduled_by")

    def test_job_of_at(self):
        path = self.write("report.txt", "Subject: once\n\nx\n", 0o644)
        job = f"/usr/bin/msmtp --file=/dev/null --host=127.0.0.1 --port={self.good.port} --from=a@corp.example " \
              f"at@corp.example < {path}\n"
        self.spawn([*self.inside, "/usr/sbin/atd", "-f"])
        wait_for(lambda: subprocess.run([*self.inside, "test", "-s", "/run/atd.pid"], check=False).returncode == 0, 10,
                 "atd")
        at = self.spawn([*self.inside, *as_user("news", ["at", "now"])], stdin=subprocess.PIPE, cwd="/")
        at.stdin.write(job.encode())
        at.stdin.close()
        at.stdin = None
        self.finish(at, status=None)
        event = self.now.message("at@corp.example", 70)
        self.assertEqual((get(event, "smtpsnoop.process.scheduled_by"), get(event, "user.name"),
                          get(event, "user.audit.name")), ("at", "news", "news"), short(event))


if __name__ == "__main__":
    unittest.main()
