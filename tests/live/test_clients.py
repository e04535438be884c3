# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The main job: six real clients send 5 mails each (500 in a long run), all at once, over several ports and servers,
IPv4 and IPv6, as three users. Every mail is reported exactly once, with its own process and envelope.

SMTPSNOOP_MAILS sets another number of mails per client.
"""

import collections
import concurrent.futures
import os
import pwd
import shutil
import subprocess
import unittest

from harness import LiveCase, PYTHON, PYTHON_EXECUTABLE, Server, Sink, Watch, get, short, sized, wait_for

MAILS = int(os.environ.get("SMTPSNOOP_MAILS", sized(5, 500)))
FIRST = 3 * 100000  # numbers of mails from here on are not counted
WORKERS = 2  # per client
USERS = ("root", "nobody", "daemon")
BODY = b"From: a@example.org\nTo: b@example.net\nSubject: live test\n\nhello\n"

SMTPLIB = """
import smtplib, sys
host, port, sender, recipient = sys.argv[1:]
with smtplib.SMTP(host, int(port), timeout=60) as server:
    server.sendmail(sender, [recipient], "Subject: live test\\n\\nhello\\n")
"""

# What the test knows about one mail.
Sent = collections.namedtuple("Sent", "client pid executable user sender recipient host port script parent_pid")


def url_host(host):
    return f"[{host}]" if ":" in host else host


class SixClients(LiveCase):
    limit_s = 900

    def setUp(self):
        super().setUp()
        self.servers = [Sink(self), Sink(self), Sink(self, "::1"), Server(self), Server(self, host="::1")]
        self.letter = self.write("letter", BODY.decode(), 0o644)
        self.smtplib = self.write("smtplib_client.py", SMTPLIB)

    # Each of these returns a client's command line for one mail, and what the event must show of it.

    def curl(self, server, sender, recipient):
        return ["curl", "-sS", "--max-time", "60", "--url", f"smtp://{url_host(server.host)}:{server.port}/client.test",
                "--mail-from", sender, "--mail-rcpt", recipient, "-T", self.letter], {}

    def swaks(self, server, sender, recipient):
        return ["swaks", "--server", server.host, "--port", str(server.port), "--timeout", "60", "-f", sender,
                "-t", recipient, "--hide-all"], {"executable": shutil.which("perl"), "script": shutil.which("swaks")}

    def msmtp(self, server, sender, recipient):
        return ["msmtp", f"--host={server.host}", f"--port={server.port}", "--timeout=60", "-f", sender,
                recipient], {"stdin": self.letter}

    def s_nail(self, server, sender, recipient):
        return ["s-nail", "-:/", "-#", "-S", "v15-compat", "-S", f"mta=smtp://{server.host}:{server.port}",
                "-S", "smtp-auth=none", "-S", "sendwait", "-S", f"from={sender}", "-S", f"HOME={self.work}",
                "-s", "live test", recipient], {"stdin": self.letter, "child": True}

    def python(self, server, sender, recipient):
        return [PYTHON, "-I", "-S", self.smtplib, server.host, str(server.port), sender, recipient], \
            {"executable": PYTHON_EXECUTABLE}

    def send_one(self, client, number):
        """Runs one client to its end; returns what it sent."""
        servers = [one for one in self.servers if ":" not in one.host or client not in ("swaks", "s_nail")]
        server = servers[number % len(servers)]
        user = USERS[number % len(USERS)]
        sender = f"{client}-{number}@example.org"
        recipient = f"{client}-{number}@example.net"
        argv, know = getattr(self, client)(server, sender, recipient)
        entry = pwd.getpwnam(user)
        with open(know.get("stdin", os.devnull), "rb") as stdin:
            process = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                       user=entry.pw_uid, group=entry.pw_gid, extra_groups=[], cwd=self.work,
                                       env={**os.environ, "HOME": self.work, "LC_ALL": "C.UTF-8"})
            try:
                errors = process.communicate(timeout=120)[1]
            finally:
                process.kill()
                process.wait()
        if process.returncode != 0:
            raise AssertionError(f"{argv} ended with {process.returncode}: {errors[-500:]!r}")
        executable = os.path.realpath(know.get("executable") or shutil.which(argv[0]))
        # s-nail forks a child that sends: the process started here is then the event's parent.
        child = know.get("child", False)
        return [Sent(client, None if child else process.pid, executable, user, sender, recipient, server.host,
                     server.port, know.get("script"), process.pid if child else os.getpid())]

    def send_many(self, client):
        """Runs one client for every mail; returns what was sent."""
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            jobs = [pool.submit(self.send_one, client, number) for number in range(MAILS)]
            return [sent for job in jobs for sent in job.result()]

    def smtp_source(self):
        """smtp-source sends all mails from one process, and numbers the recipients (-N)."""
        program = shutil.which("smtp-source") or "/usr/sbin/smtp-source"
        server = self.servers[1]
        process = subprocess.Popen([program, "-s", "3", "-m", str(MAILS), "-N", "-f", "source@example.org", "-t",
                                    "source@example.net", f"inet:{server.host}:{server.port}"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   user="nobody", group="nogroup", extra_groups=[], cwd=self.work)
        try:
            errors = process.communicate(timeout=300)[1]
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            raise AssertionError(f"smtp-source ended with {process.returncode}: {errors[-500:]!r}")
        return [Sent("smtp_source", process.pid, os.path.realpath(program), "nobody", "source@example.org",
                     f"{number}source@example.net", server.host, server.port, None, os.getpid())
                for number in range(1, MAILS + 1)]

    def check(self, event, sent):
        """How one event differs from what was sent, as a list of texts."""
        expected = {
            "process.executable": sent.executable,
            "user.id": str(pwd.getpwnam(sent.user).pw_uid),
            "user.name": sent.user,
            "smtp.mail_from": sent.sender,
            "smtp.rcpt_to": [sent.recipient],
            "destination.ip": sent.host,
            "destination.port": sent.port,
            "network.type": "ipv6" if ":" in sent.host else "ipv4",
            "event.outcome": "success",
            "smtpsnoop.capture.complete": True,
            "process.parent.pid": sent.parent_pid,
            "rule.name": "network_smtp_raw",
        }
        if sent.pid is not None:
            expected["process.pid"] = sent.pid
        if sent.script is not None:
            expected["smtpsnoop.process.script"] = sent.script
        return [f"{path} is {get(event, path)!r}, not {value!r}" for path, value in expected.items()
                if get(event, path) != value]

    def first_mails(self, watch, user):
        """Mails as one user until the events have his name. An event waits half a second for the lookup, which is
        not enough on a busy host; later mails get the name from a cache."""
        sent = []

        def named():
            sent.extend(self.send_one("curl", FIRST + user + len(USERS) * len(sent)))
            return get(watch.message(sent[-1].recipient), "user.name")
        wait_for(named, 60, f"the name of {USERS[user]}")
        return sent

    def test_six_clients_at_once(self):
        clients = ("curl", "swaks", "msmtp", "s_nail", "python")
        ports = {server.port for server in self.servers}
        watch = Watch(self)
        first = {one.recipient for user in range(len(USERS)) for one in self.first_mails(watch, user)}
        with concurrent.futures.ThreadPoolExecutor(len(clients) + 1) as pool:
            jobs = [pool.submit(self.send_many, client) for client in clients] + [pool.submit(self.smtp_source)]
            sent = [one for job in jobs for one in job.result()]
        self.assertEqual(len(sent), 6 * MAILS)
        mine = lambda event: get(event, "destination.port") in ports
        try:
            watch.wait_messages(mine, len(sent) + len(first), 15)
        except AssertionError:
            pass  # the missing ones are named below
        watch.stop()
        found = collections.defaultdict(list)
        for event in watch.messages(mine):
            for recipient in get(event, "smtp.rcpt_to", []):
                found[recipient].append(event)
        faults = collections.defaultdict(list)
        for one in sent:
            events = found.pop(one.recipient, [])
            if len(events) != 1:
                faults[one.client].append(f"{one.recipient} reported {len(events)} times")
                continue
            faults[one.client] += [f"{one.recipient}: {fault}\n    {short(events[0])}"
                                   for fault in self.check(events[0], one)]
        for recipient in set(found) - first:
            faults["nobody"].append(f"{recipient} was never sent")
        text = "\n".join(f"{client}: {len(lines)} faults, first:\n  " + "\n  ".join(lines[:3])
                         for client, lines in faults.items() if lines)
        self.assertFalse(text, "\n" + text)
        pids = {get(event, "process.pid") for event in watch.messages(mine)}
        self.assertGreaterEqual(len(pids), 5 * MAILS + 1, "pids are shared between clients")


if __name__ == "__main__":
    unittest.main()
