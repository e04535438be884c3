# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Real mail servers for the live tests: Exim, Postfix, OpenSMTPD and nullmailer. Each is installed and runs in its own file system
(an overlay of the host's, in a mount namespace), because their packages exclude each other. All of them refuse the
same addresses, and relay what they accept to a port of the loopback interface.

  sender     refuse-sender@x.test   refused at MAIL
  sender     refuse-data@x.test     refused at DATA, or at the first BDAT
  recipient  refuse-rcpt@y.test     refused at RCPT, 550
  recipient  greylist@y.test        refused at RCPT, 450
"""

import atexit
import concurrent.futures
import functools
import os
import subprocess
import tempfile

from harness import ROOT, SLOW, end_process, free_port, is_listening, wait_for

INSTALL_S = 300

SETUP = r"""
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
for path in /proc /sys /dev /tmp "$2"; do
	mkdir -p "$1/root$path"
	mount --rbind "$path" "$1/root$path"
done
mount -t tmpfs tmpfs "$1/root/run"
printf '#!/bin/sh\nexit 101\n' > "$1/root/usr/sbin/policy-rc.d"
chmod 755 "$1/root/usr/sbin/policy-rc.d"
cd "$1/root"
pivot_root . mnt
umount -l /mnt
if [ -n "$3" ]; then
	export DEBIAN_FRONTEND=noninteractive
	install="apt-get install -y --no-install-recommends $3"
	{ $install || { apt-get update && $install; }; } >&2 </dev/null
fi
echo ready
exec cat  # until the other end of standard input is closed
"""


class Root:
    """A file system with a package installed in it. A command that starts with `prefix` runs there."""

    def __init__(self, case, package):
        base = tempfile.mkdtemp(prefix="smtpsnoop-root-")
        case.addClassCleanup(os.rmdir, base)
        log = tempfile.TemporaryFile()
        case.addClassCleanup(log.close)
        self.process = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", SETUP, "sh", base,
                                         ROOT, package], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        case.addClassCleanup(end_process, self.process)
        if self.process.stdout.readline() != b"ready\n":
            log.seek(0)
            raise AssertionError(f"{package} cannot be installed: {log.read()[-2000:].decode(errors='replace')}")
        self.prefix = ("nsenter", "-t", str(self.process.pid), "-m")

    def run(self, *command, timeout_s=60, **keywords):
        done = subprocess.run([*self.prefix, *command], stdin=keywords.pop("stdin", subprocess.DEVNULL),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s * SLOW, **keywords)
        if done.returncode != 0:
            raise AssertionError(f"{command}: status {done.returncode}: {done.stdout[-2000:].decode(errors='replace')}")
        return done.stdout

    def write(self, path, text):
        self.run("sh", "-c", 'cat > "$1"; chmod 644 "$1"', "sh", path, input=text.encode(), stdin=None)

    def start(self, case, port, *command):
        process = subprocess.Popen([*self.prefix, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        case.addClassCleanup(end_process, process)
        wait_for(lambda: is_listening(port), 30, f"{command[0]} to listen")
        return process


class AtExit:
    """Stands for a test class that lasts as long as the whole run."""

    addClassCleanup = staticmethod(atexit.register)


# Installing takes longer than most tests: each package is installed once per run, in the background.
INSTALLER = concurrent.futures.ThreadPoolExecutor(1)


@functools.lru_cache(maxsize=None)
def install(package):
    """Begins to install; the result is the Root."""
    return INSTALLER.submit(Root, AtExit, package)


def install_early():
    for package in ("syslog-ng-core", Exim.package, OpenSmtpd.package):
        install(package)


def shared_root(package):
    """A Root for every test of this run that needs the package."""
    return install(package).result(INSTALL_S)


class Exim:
    package, name, user = "exim4-daemon-light", "exim", "Debian-exim"
    executable, sendmail = "/usr/sbin/exim4", "/usr/sbin/sendmail"
    chunking = pipelining = True

    CONFIGURATION = """
primary_hostname = mta.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
{main}tls_advertise_hosts =
acl_smtp_mail = acl_mail
acl_smtp_rcpt = acl_rcpt
acl_smtp_predata = acl_data
acl_smtp_data = acl_data
begin acl
acl_mail:
  deny senders = refuse-sender@x.test
  accept
acl_rcpt:
  deny local_parts = refuse-rcpt
  defer local_parts = greylist
        message = 450 4.7.1 greylisted
  accept
acl_data:
  deny senders = refuse-data@x.test
  accept
begin routers
{routers}
begin transports
{transports}
"""
    ROUTERS = """
all:
  driver = manualroute
  route_list = * 127.0.0.1 byname
  self = send
  transport = out
"""
    TRANSPORTS = """
out:
  driver = smtp
  port = {relay}
  allow_localhost
"""

    def __init__(self, case, relay, main="", routers=ROUTERS, transports=TRANSPORTS):
        self.root = shared_root(self.package)
        self.port = free_port()
        self.root.write("/etc/exim4/exim4.conf", self.CONFIGURATION.format(
            port=self.port, main=main, routers=routers, transports=transports.format(relay=relay)))
        self.root.start(case, self.port, "exim4", "-bdf", "-q1m")


class Postfix:
    package, name, user = "", "postfix", "postfix"
    executable, sendmail = "/usr/lib/postfix/sbin/smtp", "/usr/sbin/sendmail"
    chunking = pipelining = True

    MAIN = """
compatibility_level = 3.6
myhostname = mta.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
queue_directory = /var/spool/postfix
data_directory = /var/lib/postfix
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
relayhost = [127.0.0.1]:{relay}
smtpd_delay_reject = no
smtpd_peername_lookup = no
smtpd_sender_restrictions = check_sender_access inline:{{ {{ refuse-sender@x.test = 550 5.1.8 no }} }}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ refuse-rcpt@y.test = 550 5.1.1 no }},
  {{ greylist@y.test = 450 4.2.0 greylisted }} }}
smtpd_data_restrictions = check_sender_access inline:{{ {{ refuse-data@x.test = 554 5.7.1 no }} }}
"""
    MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""

    def __init__(self, case, relay, main="", services=""):
        self.root = Root(case, self.package)
        self.port = free_port()
        self.root.write("/etc/postfix/main.cf", self.MAIN.format(relay=relay) + main)
        self.root.write("/etc/postfix/master.cf", self.MASTER.format(port=self.port) + services)
        self.root.run("postfix", "check")
        self.root.start(case, self.port, "/usr/lib/postfix/sbin/master", "-d", "-c", "/etc/postfix")


class OpenSmtpd:
    package, name, user = "opensmtpd", "opensmtpd", "opensmtpd"
    executable, sendmail = "/usr/sbin/smtpd", "/usr/sbin/sendmail"
    chunking = pipelining = False  # it does not know BDAT, and hangs up on clients that do not wait

    CONFIGURATION = """
table bad-senders {{ "refuse-sender@x.test" }}
table data-senders {{ "refuse-data@x.test" }}
table bad-recipients {{ "refuse-rcpt@y.test" }}
table greylisted {{ "greylist@y.test" }}
filter "sender" phase mail-from match mail-from <bad-senders> reject "550 no"
filter "recipient" phase rcpt-to match rcpt-to <bad-recipients> reject "550 no"
filter "greylist" phase rcpt-to match rcpt-to <greylisted> reject "450 greylisted"
filter "data" phase data match mail-from <data-senders> reject "554 no"
listen on lo inet4 port {port} hostname mta.test filter {{ "sender", "recipient", "greylist", "data" }}
action "out" relay host smtp://127.0.0.1:{relay}
match from any for any action "out"
"""

    def __init__(self, case, relay):
        self.root = shared_root(self.package)
        self.port = free_port()
        self.root.write("/etc/smtpd.conf", self.CONFIGURATION.format(port=self.port, relay=relay))
        self.root.start(case, self.port, "smtpd", "-d", "-f", "/etc/smtpd.conf")


class Nullmailer:
    """Relays only: nobody submits to it by SMTP."""

    package, name, user = "nullmailer", "nullmailer", "mail"
    executable, sendmail = "/usr/lib/nullmailer/smtp", "/usr/sbin/sendmail"

    def __init__(self, case, relay):
        self.root = shared_root(self.package)
        self.root.write("/etc/nullmailer/remotes", f"127.0.0.1 smtp --port={relay}\n")
        self.root.write("/etc/nullmailer/me", "mta.test\n")
        process = subprocess.Popen([*self.root.prefix, "setpriv", "--reuid", "mail", "--regid", "mail", "--clear-groups",
                                    "nullmailer-send"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        case.addClassCleanup(end_process, process)
