# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Sessions under TLS whose client and server are one process: both ends have the same random, and only the client's mail is
reported. Without probes (--no-tls) the session is reported as encrypted, as soon as TLS begins. Bytes of a message that
only look like TLS hide nothing.
"""

import os
import smtplib
import socket
import ssl
import subprocess
import threading

from harness import SLOW, LiveCase, Server, Watch, action, get, unique

MAIL_PORT = 2525  # one of the ports on which TLS from the first byte counts as mail
KINDS = ("smtp-message", "smtp-encrypted")


class TlsServer:
    """A minimal SMTP server, with TLS from the start or after STARTTLS."""

    def __init__(self, context, port, implicit):
        self.context, self.implicit = context, implicit
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # ends accept(), which holds the port
        self.listener.close()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.serve(connection)

    def serve(self, connection):
        if self.implicit:
            connection = self.context.wrap_socket(connection, server_side=True)
        connection.sendall(b"220 hello\r\n")
        lines, message = connection.makefile("rb"), False
        while line := lines.readline():
            verb = line[:4].upper()
            if message and line != b".\r\n":
                continue
            if verb == b"STAR":
                connection.sendall(b"220 go on\r\n")
                connection = self.context.wrap_socket(connection, server_side=True)
                lines = connection.makefile("rb")
                continue
            message = not message and verb == b"DATA"
            answer = {b"DATA": b"354 go on", b"EHLO": b"250-hello\r\n250 STARTTLS", b"QUIT": b"221 bye"}.get(verb, b"250 ok")
            connection.sendall(answer + b"\r\n")
            if verb == b"QUIT":
                return


class Tls(LiveCase):
    """The clients run in the process of the test: the events have its pid."""

    options = ("--all",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.watch = Watch(cls, *cls.options)

    @classmethod
    def tearDownClass(cls):
        cls.watch.stop()
        ports = [get(event, "source.port") for event in cls.watch.select(lambda event: action(event) in KINDS)]
        if len(ports) != len(set(ports)):
            raise AssertionError(f"a connection was reported twice: {ports}")

    def context(self):
        certificate, key = self.path("certificate.pem"), self.path("key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                        "-days", "2", "-subj", "/CN=localhost"], check=True, stderr=subprocess.DEVNULL)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def reported(self, port):
        """The one event of the connection to this port. The end of the class looks for a second one."""
        event, = self.watch.wait(lambda event: action(event) in KINDS and port in (get(event, "destination.port"),
                                                                                  get(event, "source.port")))
        self.assertEqual(get(event, "destination.port"), port)
        self.assertEqual(get(event, "process.pid"), os.getpid())
        self.assertEqual(get(event, "smtpsnoop.verdict"), "alert")
        self.assertEqual(get(event, "tls.established"), True)
        self.seen(event)
        return event

    def seen(self, event):
        self.assertEqual(action(event), "smtp-message")
        self.assert_mail(event, sender="s@example.org", recipients=["r@example.net"])
        self.assertEqual(get(event, "smtpsnoop.capture.layer"), "openssl")

    def test_starttls(self):
        server = TlsServer(self.context(), 0, False)
        self.addCleanup(server.close)
        with smtplib.SMTP("127.0.0.1", server.port) as client:
            client.starttls(context=ssl._create_unverified_context())
            self.during(server.port)
            client.sendmail("s@example.org", ["r@example.net"], "x")
        self.assertEqual(get(self.reported(server.port), "smtp.starttls"), True)

    def test_tls_from_the_first_byte_on_a_mail_port(self):
        server = TlsServer(self.context(), MAIL_PORT, True)
        self.addCleanup(server.close)
        with smtplib.SMTP_SSL("127.0.0.1", server.port, context=ssl._create_unverified_context()) as client:
            self.during(server.port)
            client.sendmail("s@example.org", ["r@example.net"], "x")
        self.reported(server.port)

    def during(self, port):
        """Before the mail is sent."""

    def test_a_message_that_looks_like_tls(self):
        server, recipient = Server(self), unique("r")
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.recv(1000)
            for line in (b"EHLO x\r\n", b"MAIL FROM:<s@example.org>\r\n", b"RCPT TO:<%s>\r\n" % recipient.encode(),
                         b"DATA\r\n"):
                client.sendall(line)
                client.recv(1000)
            client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n")
            client.sendall(b"more\r\n.\r\n")
            client.recv(1000)
            client.sendall(b"QUIT\r\n")
            while client.recv(1000):
                pass
        event = self.watch.message(recipient)
        self.assertEqual(get(event, "event.outcome"), "success")
        self.assertEqual(get(event, "smtp.bytes"), 25)
        self.assertEqual(get(event, "smtpsnoop.capture.complete"), True)


class WithoutProbes(Tls):
    options = ("--all", "--no-tls")

    def during(self, port):
        self.watch.wait(lambda event: action(event) == "smtp-encrypted" and get(event, "destination.port") == port, 1, 2 * SLOW)

    def seen(self, event):
        self.assertEqual(action(event), "smtp-encrypted")
        self.assertEqual(get(event, "threat.technique.id"), ["T1048.002", "T1071.003"])

    test_a_message_that_looks_like_tls = None  # it is in clear
