# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the tests of deploy/exclusions share: a file system with the mailers of Debian, an MTA in it, and a watch.

The mailers' packages are installed in a file system of their own (an overlay, tests/live/mta.py), where nothing is
started and from which nothing stays. /usr/sbin/sendmail is there, one after the other, that of each MTA. All of them
pass on to a relay of the test, which keeps what it receives.

An impostor sends the very message that the relay has received from the mailer, with its envelope: so only who sends
differs. One has the mailer's user and another program; the other one is another user.

SMTPSNOOP_MAILERS=PID takes the mount namespace of a process instead of a new file system. Its packages have to be
installed. That saves minutes while a test is written.
"""

import glob
import os
import pwd
import re
import subprocess
import sys
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "live"))

from harness import LiveCase, ROOT, Server, Watch, end_process, free_port, get, is_listening, short, wait_for
from mta import Exim, Postfix, Root

LIBRARY = os.path.join(ROOT, "deploy", "exclusions")
ATTACKER = "games"
PACKAGES = "postfix msmtp bsd-mailx"
EXAMPLE_RELAY, EXAMPLE_DOMAIN = "192.0.2.25:25", "corp.example"
# What the relayed exclusions of the library name: Postfix. Another MTA takes its place.
POSTFIX = "      executable: /usr/lib/postfix/sbin/smtp\n      user: postfix\n"
MSMTP = "executable: /usr/bin/msmtp\n"


class Here(Root):
    """The mount namespace of a process that somebody else has started."""

    def __init__(self, pid):
        self.prefix = ("nsenter", "-t", pid, "-m")


class Mta:
    """One MTA in the root. `set_up` configures it, `start` starts its daemon, if it has one."""

    own_user = False  # it speaks SMTP as the user who runs it: there is no origin
    executable = user = None

    def __init__(self, root, domain, relay):
        self.root, self.domain, self.relay = root, domain, relay

    def set_up(self):
        pass

    def start(self, case):
        pass

    def link(self, target):
        """Makes it the host's sendmail."""
        self.root.run("sh", "-c", "ln -sfn $0 /usr/sbin/sendmail; test -e /usr/lib/sendmail || "
                      "ln -s ../sbin/sendmail /usr/lib/sendmail", target)

    def unpack(self, *packages):
        """The files of packages that would push out those that are installed."""
        self.root.run("sh", "-c", "mkdir -p /opt/mta; cd /opt/mta; for package; do ls ${package}_* || "
                      "apt-get download -q $package || { apt-get -q update && apt-get download -q $package; }; "
                      "dpkg -x ${package}_*.deb .; done 2>&1", "sh", *packages)

    def adapt(self, text):
        """An exclusion of the library for this MTA."""
        if self.own_user:
            return text
        return text.replace(POSTFIX, f"      executable: {self.executable}\n      user: {self.user}\n")


class Msmtp(Mta):
    name, own_user = "msmtp", True

    def set_up(self):
        self.link("../bin/msmtp")
        self.root.write("/etc/msmtp-aliases", f"root: root@{self.domain}\ndefault: root@{self.domain}\n")
        self.root.write("/etc/msmtprc", f"account default\nhost 127.0.0.1\nport {self.relay}\nauto_from on\n"
                        f"maildomain {self.domain}\naliases /etc/msmtp-aliases\n")


class RigPostfix(Mta):
    name, executable, user = "postfix", Postfix.executable, Postfix.user

    def set_up(self):
        self.unpack("postfix")
        self.root.run("cp", "-a", "--remove-destination", "/opt/mta/usr/sbin/sendmail", "/usr/sbin/sendmail")
        self.port = free_port()
        self.root.write("/etc/postfix/main.cf", Postfix.MAIN.format(relay=self.relay) +
                        f"myorigin = {self.domain}\ninet_protocols = ipv4\nmax_use = 1\n")
        self.root.write("/etc/postfix/master.cf", Postfix.MASTER.format(port=self.port))
        self.root.run("postfix", "check")

    def start(self, case):
        self.root.start(case, self.port, "/usr/lib/postfix/sbin/master", "-d", "-c", "/etc/postfix")


class RigExim(Mta):
    name, executable, user = "exim", Exim.executable, Exim.user

    def set_up(self):
        self.unpack("exim4-base", "exim4-daemon-light")
        self.root.run("sh", "-c", "cp -a /opt/mta/usr/sbin/exim* /usr/sbin/; "
                      "id Debian-exim || useradd -r -d /var/spool/exim4 Debian-exim; mkdir -p /etc/exim4 "
                      "/var/spool/exim4 /var/log/exim4; chown Debian-exim: /var/spool/exim4 /var/log/exim4")
        self.link("exim4")
        self.port = free_port()
        self.root.write("/etc/exim4/exim4.conf", Exim.CONFIGURATION.format(
            port=self.port, main=f"qualify_domain = {self.domain}\nlog_file_path = /var/log/exim4/%slog\n",
            routers=Exim.ROUTERS, transports=Exim.TRANSPORTS.format(relay=self.relay)))

    def start(self, case):
        self.root.start(case, self.port, "exim4", "-bdf", "-q1m")


class Nullmailer(Mta):
    name, executable, user = "nullmailer", "/usr/lib/nullmailer/smtp", "mail"

    def set_up(self):
        self.unpack("nullmailer")
        self.root.run("sh", "-c", """cd /opt/mta
cp -a usr/sbin/nullmailer-* /usr/sbin/; cp -a usr/lib/nullmailer /usr/lib/; cp -a usr/bin/nullmailer-* /usr/bin/
cp -a --remove-destination usr/sbin/sendmail /usr/sbin/; cp -a var/spool/nullmailer /var/spool/; mkdir -p /etc/nullmailer
test -p /var/spool/nullmailer/trigger || mkfifo -m 622 /var/spool/nullmailer/trigger
chown mail /var/spool/nullmailer/trigger""")
        for name in ("me", "defaultdomain", "defaulthost"):
            self.root.write(f"/etc/nullmailer/{name}", self.domain + "\n")
        self.root.write("/etc/nullmailer/remotes", f"127.0.0.1 smtp --port={self.relay}\n")

    def start(self, case):
        sender = subprocess.Popen([*self.root.prefix, "setpriv", "--reuid=mail", "--regid=mail", "--clear-groups",
                                   "nullmailer-send"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        case.addClassCleanup(end_process, sender)


MTAS = {mta.name: mta for mta in (Msmtp, RigPostfix, RigExim, Nullmailer)}


def make_root(case, packages):
    pid = os.environ.get("SMTPSNOOP_MAILERS")
    return Here(pid) if pid else Root(case, f"{PACKAGES} {packages}")


def library(name):
    with open(os.path.join(LIBRARY, name + ".yaml"), encoding="utf-8") as file:
        return file.read()


def library_names():
    return sorted(os.path.basename(path).removesuffix(".yaml") for path in glob.glob(f"{LIBRARY}/*.yaml"))


class MailerCase(LiveCase):
    """Mailers of one root, one MTA, and one watch, which all tests of the class share."""

    limit_s = 300
    mta_name = "msmtp"
    packages = ""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.domain = f"r{uuid.uuid4().hex[:8]}.example"
        cls.root_user = f"root@{cls.domain}"
        cls.relay = Server(cls, "--keep")
        cls.root = make_root(cls, cls.packages)
        cls.root.write("/etc/mailname", cls.domain + "\n")
        cls.mta = MTAS[cls.mta_name](cls.root, cls.domain, cls.relay.port)
        cls.mta.set_up()
        cls.mta.start(cls)
    @classmethod
    def exclusions(cls, name):
        """What of a file of the library fits this host: the items for its kind of sendmail, with its relay."""
        text = cls.mta.adapt(library(name)).replace(EXAMPLE_RELAY, f"127.0.0.1:{cls.relay.port}")
        items = re.split(r"(?m)^(?=  - name: )", text.replace(EXAMPLE_DOMAIN, cls.domain))[1:]
        return "".join(item for item in items if cls.mta.own_user != item.split()[2].endswith("-mta"))

    def watch_for(self, name):
        """Starts a watch with the exclusions of one mailer. Several would compete for the nearest one."""
        config = self.write("library.yaml", "decision: { deadline: 10s }\nexclusions:\n" + self.exclusions(name), 0o644)
        self.seen = set()
        self.watch = Watch(self, "--all", "-c", config, "--where", f"mail.recipients=*@{self.domain}",
                           prefix=self.root.prefix)

    def inside(self, *argv, user=None, status=0, **keywords):
        """Runs a command in the root, to its end; returns its output."""
        return self.finish(self.start(*argv, user=user, **keywords), status, 120)

    def start(self, *argv, user=None, **keywords):
        entry = pwd.getpwnam("root") if not user else None
        switch = () if entry else ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env")
        return self.spawn([*self.root.prefix, *switch, *argv], cwd="/", **keywords)

    def new_mail(self, timeout_s=60):
        """Waits for the next message of this class that no test has had yet: the event."""
        event = self.watch.wait_messages(lambda event: get(event, "event.id") not in self.seen, 1, timeout_s)[0]
        self.seen.add(get(event, "event.id"))
        return event

    def assert_passes(self, name, timeout_s=60):
        event = self.new_mail(timeout_s)
        self.assertEqual((get(event, "smtpsnoop.verdict"), get(event, "smtpsnoop.exclusion")), ("excluded", name),
                         f"{get(event, 'smtpsnoop.nearest')} {short(event)}")
        return event

    def assert_alert(self, name, *criteria):
        event = self.new_mail()
        failed = get(event, "smtpsnoop.nearest.failed", []) + get(event, "smtpsnoop.nearest.unknown", [])
        self.assertEqual((get(event, "smtpsnoop.verdict"), get(event, "smtpsnoop.nearest.name")), ("alert", name),
                         short(event))
        self.assertTrue(set(failed) & set(criteria), f"{failed}, expected one of {criteria}: {short(event)}")
        return event

    def received(self, event):
        """What the relay has received of a message: sender, recipients, data."""
        message_id = get(event, "email.message_id", "")
        report = self.relay.wait(lambda report: report["event"] == "mail" and message_id in report["data"] and
                                 report["recipients"] == get(event, "smtp.rcpt_to"))[-1]
        return report["sender"], report["recipients"], report["data"]

    def drop_received(self, data):
        """As the mailer wrote it: without what the MTA has put in front."""
        return re.sub(r"\A(?:Received:.*\n(?:[ \t].*\n)*)+", "", data)
