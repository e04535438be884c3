# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""TLS whose plaintext cannot be had: the session is reported as encrypted, with its process, destination and server name,
and the secret of AUTH is not needed for that. TLS that is not mail is not reported.
"""

import os
import shutil
import subprocess
import unittest

import tls_clients
from harness import EVENT_S, LONG, PYTHON, SLOW, action, end_process, free_port, get, is_listening, sized, wait_for
from tls_case import COMBINATIONS, Job, TlsBench

PAGES = sized(10, 200)  # each on a connection of its own

# Greets over TLS, so that its session is joined. A child then goes on with the same session: what it encrypts is sent on
# the socket, but no probe takes its text for this socket's.
OWN_RECORDS = """
import os, socket, ssl, sys
port, recipient, mails = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "mail"
context = ssl._create_unverified_context()
sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))

def reply():
    text = b""
    while not text.endswith(b"\\n") or text.splitlines()[-1][3:4] != b" ":
        text += sock.recv(4096)

def say(*lines):
    for line in lines:
        sock.sendall(line.encode() + b"\\r\\n")
        reply()

reply()
say("EHLO client.test")
if not os.fork():
    if mails:
        say("MAIL FROM:<own@example.org>", f"RCPT TO:<{recipient}>", "DATA", "Subject: own\\r\\n\\r\\nhello\\r\\n.")
    os._exit(0)
os.wait()
print(sock.getsockname()[1])
"""


class Dark(TlsBench):
    """Nothing but what the wire shows: no mail, and one smtp-encrypted for each session."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.jobs = []

    @classmethod
    def check_counts(cls, events):
        """No mail, and each session once."""
        mine = [event for event in events if get(event, "destination.port") in cls.ports]
        found = [(action(event), get(event, "source.port")) for event in mine
                 if action(event) in ("smtp-message", "smtp-encrypted")]
        sessions = sum(len(job.recipients) for job in cls.jobs)
        if len(found) != sessions or len(set(found)) != sessions or any(kind != "smtp-encrypted" for kind, _ in found):
            raise AssertionError(f"{sessions} sessions, but {found}")

    def encrypted(self, job, pid, executable):
        """A client with a connection for each mail has sent them."""
        self.jobs.append(job)
        for recipient in job.recipients:
            report = self.servers[job.version].mail(recipient)
            event, = self.watch.wait(lambda event: action(event) == "smtp-encrypted" and
                                     get(event, "source.port") == report["peer"], 1, EVENT_S, "smtp-encrypted events")
            expected = {"process.pid": pid, "process.executable": os.path.realpath(executable), "destination.ip": "127.0.0.1",
                        "destination.port": job.port, "tls.established": True, "tls.version": job.version,
                        "tls.client.server_name": "mail.test", "smtp.starttls": True, "smtpsnoop.verdict": "alert"}
            self.assertEqual({path: get(event, path) for path in expected}, expected, event)
            self.assertIn("plaintext_unseen", get(event, "smtpsnoop.reasons", []), event)
            for path in ("source.bytes", "destination.bytes"):
                self.assertGreater(get(event, path, 0), 300, f"{path}: {event}")

    def starttls(self, name):
        return [Job(type(self), name, mode, version, 2) for mode, version in COMBINATIONS if mode == "starttls"]

    def test_a_static_program_without_symbols(self):
        program = tls_clients.build_static(self.folder, "-s")
        for job in self.starttls("stripped"):
            self.encrypted(job, tls_clients.built(job, program, None)[0].pid, program)

    def test_java(self):
        if not LONG:
            self.skipTest("Java is large: it needs SMTPSNOOP_LONG=1")
        java = shutil.which("java")
        for job in self.starttls("java"):
            self.encrypted(job, tls_clients.java(job), java)

    def own_records(self, version, how):
        """The event of a session in which OWN_RECORDS sent a mail, or nothing."""
        server, recipient = self.servers[version], f"own-{how}@{version.replace('.', '')}.test"
        done = subprocess.run([PYTHON, "-I", "-S", "-c", OWN_RECORDS, str(server.smtps), recipient, how], check=True, timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if how == "mail":
            server.mail(recipient)
        port = int(done.stdout)
        event, = self.watch.wait(lambda event: action(event) == "smtp-session" and get(event, "source.port") == port, 1,
                                 EVENT_S, "smtp-session events")
        return get(event, "smtpsnoop.capture.witness"), get(event, "smtpsnoop.verdict"), get(event, "smtpsnoop.reasons", [])

    def test_records_that_the_library_was_not_given(self):
        type(self).has_text = True
        for version in ("1.2", "1.3"):
            with self.subTest(version):
                self.assertEqual(self.own_records(version, "mail"), ("differ", "alert", ["witnesses_differ"]))
                self.assertEqual(self.own_records(version, "nothing"), ("agree", "observed", []))

    def test_https_is_no_mail(self):
        port = free_port()
        self.ports.add(port)
        server = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", self.certificate, "-www",
                                   "-quiet"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(end_process, server)
        wait_for(lambda: is_listening(port), 10 * SLOW, "the web server to listen")
        tls_clients.run(["curl", "-sSk", "-o", "/dev/null", f"https://127.0.0.1:{port}/[1-{PAGES}]"])


if __name__ == "__main__":
    unittest.main()
