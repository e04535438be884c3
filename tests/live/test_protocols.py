# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is SMTP and what is not, over real sockets. Reported: sessions behind proxies (tinyproxy, microsocks, and a SOCKS 4
proxy that is part of the test) and sessions that began before the watch. Not reported: session text in an HTTP POST,
an IMAP APPEND, an NNTP post, a Redis value, a log line or a server's answer.
"""

import os
import socket
import struct
import subprocess
import threading

from harness import LiveCase, Server, Watch, end_process, free_port, get, is_listening, shared_watch, unique, wait_for

CURL_EXECUTABLE = "/usr/bin/curl"


def transcript(recipient):
    return (f"EHLO c\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<{recipient}>\r\nDATA\r\nSubject: s\r\n\r\n"
            "text\r\n.\r\nQUIT\r\n").encode()


class Scripted:
    """Accepts one connection and plays a list: sends bytes, or waits for a number of them."""

    def __init__(self, script, play=None):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.script = script
        threading.Thread(target=play or self.play, daemon=True).start()

    def play(self):
        connection, _ = self.listener.accept()
        self.listener.close()
        with connection:
            perform(connection, self.script)
            while connection.recv(65536):
                pass


def perform(connection, script):
    for step in script:
        if isinstance(step, bytes):
            connection.sendall(step)
            continue
        while step > 0:
            step -= len(connection.recv(step))


class Socks4(Scripted):
    """A proxy for one client."""

    def __init__(self, target):
        self.target = target
        super().__init__([], self.carry)

    def carry(self):
        connection, _ = self.listener.accept()
        self.listener.close()
        with connection, socket.create_connection(("127.0.0.1", self.target)) as server:
            request = connection.recv(1000)
            assert request.startswith(b"\4\1" + struct.pack(">H", self.target))
            connection.sendall(b"\0\x5a" + bytes(6))
            threading.Thread(target=self.pump, args=(server, connection), daemon=True).start()
            self.pump(connection, server)

    @staticmethod
    def pump(source, to):
        try:
            while data := source.recv(65536):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Protocols(LiveCase):
    def start(self, argv, port):
        process = self.spawn(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: is_listening(port), 10, f"{argv[0]} to listen")
        return process

    def curl(self, server, recipient, *options):
        process = self.spawn([CURL_EXECUTABLE, "-sS", *options, f"smtp://127.0.0.1:{server.port}/me.example",
                              "--mail-from", "a@example.org", "--mail-rcpt", recipient, "-T", "-"],
                             stdin=subprocess.PIPE)
        output, errors = process.communicate(b"Subject: by proxy\r\n\r\nhello\r\n", timeout=30)
        self.assertEqual(process.returncode, 0, (output, errors))
        return process.pid

    def through(self, port, protocol, *options, target=None, server=None):
        """One mail by curl through a proxy: reported for curl, with the target that the proxy was asked for."""
        server, recipient, watch = server or Server(self), unique("r"), shared_watch()
        pid = self.curl(server, recipient, *options)
        found = watch.wait_messages(lambda event: recipient in get(event, "smtp.rcpt_to", []) and
                                    get(event, "destination.port") == port)[0]
        self.assert_mail(found, pid=pid, executable=CURL_EXECUTABLE, sender="a@example.org", recipients=[recipient])
        self.assertEqual(get(found, "smtpsnoop.proxy"),
                         {"protocol": protocol, "target": target or f"127.0.0.1:{server.port}", "hops": 1})
        self.assertEqual(get(found, "email.subject"), "by proxy")
        watch.wait_messages(lambda event: recipient in get(event, "smtp.rcpt_to", []) and
                            get(event, "destination.port") == server.port)  # of the proxy itself
        watch.stop()
        self.assertEqual(len(watch.messages()), 2)

    def test_http_connect(self):
        port = free_port()
        configuration = self.write("tinyproxy.conf", f"Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 10\n"
                                   "BasicAuth user secret\n")
        self.start(["tinyproxy", "-d", "-c", configuration], port)
        self.through(port, "http", "--proxytunnel", "-x", f"http://127.0.0.1:{port}", "--proxy-user", "user:secret")

    def test_socks5(self):
        port = free_port()
        self.start(["microsocks", "-i", "127.0.0.1", "-p", str(port)], port)
        self.through(port, "socks5", "--socks5", f"127.0.0.1:{port}")

    def test_socks5_with_a_password(self):
        port = free_port()
        self.start(["microsocks", "-i", "127.0.0.1", "-p", str(port), "-u", "user", "-P", "secret"], port)
        self.through(port, "socks5", "--socks5-hostname", f"127.0.0.1:{port}", "--proxy-user", "user:secret")

    def test_socks4(self):
        server = Server(self)
        proxy = Socks4(server.port)
        self.through(proxy.port, "socks4", "--socks4", f"127.0.0.1:{proxy.port}", server=server)

    def test_passwords_for_proxies_are_not_recorded(self):
        port, server, recipient = free_port(), Server(self), unique("r")
        self.start(["microsocks", "-i", "127.0.0.1", "-p", str(port), "-u", "user", "-P", "hidden-secret"], port)
        path = self.path("recording")
        recorder = Watch(self, command=("record", path))
        self.curl(server, recipient, "--socks5", f"127.0.0.1:{port}", "--proxy-user", "user:hidden-secret")
        recorder.wait_messages(lambda event: recipient in get(event, "smtp.rcpt_to", []), 2)
        recorder.stop()
        with open(path, "rb") as file:
            recorded = file.read()
        self.assertIn(b"user\x0d*************", recorded)
        self.assertNotIn(b"hidden-secret", recorded.replace(b"user:hidden-secret", b""))  # of curl's arguments


class OnlySmtp(LiveCase):
    def test_quoted(self):
        watch = Watch(self, "--all")
        server, quoted, marker = Server(self), unique("quoted"), unique("marker")
        text = transcript(quoted)
        length = b"%d" % len(text)
        cases = {
            "http": ([], [b"POST /mail HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n", text],
                     b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            "http at once": ([], [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n" + text],
                             b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            "imap": ([b"* OK ready\r\n"], [b"a1 LOGIN u p\r\n", b"a2 APPEND Sent {" + length + b"}\r\n", text + b"\r\n"],
                     b"a1 OK done\r\n+ go on\r\na2 OK done\r\n"),
            "nntp": ([b"200 news ready\r\n"], [b"POST\r\n", text], b"340 send it\r\n240 posted\r\n"),
            "redis": ([], [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$" + length + b"\r\n" + text + b"\r\n"], b"+OK\r\n"),
            "syslog": ([], [b"<13>1 2024-01-01T00:00:00Z h app - - - " + text], b""),
        }
        for name, (first, said, answer) in cases.items():
            with self.subTest(name):
                total = sum(map(len, said))
                peer = Scripted([*first, total, answer])
                with socket.create_connection(("127.0.0.1", peer.port)) as client:
                    perform(client, [sum(map(len, first)), *said, len(answer)])
        # A server that answers with session text: that is not the side of a client.
        peer = Scripted([16, b"HTTP/1.0 200 OK\r\n\r\n" + text])
        with socket.create_connection(("127.0.0.1", peer.port)) as client:
            perform(client, [b"GET / HTTP/1.0\r\n\r\n"])
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
        # After junk that a mail server does not understand, it is a session.
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n" + transcript(marker))
            while client.recv(65536):
                pass
        self.assert_mail(watch.message(marker), pid=os.getpid(), recipients=[marker])
        watch.stop()
        self.assertEqual([get(event, "smtp.rcpt_to") for event in watch.messages()], [[marker]])


class MidStream(LiveCase):
    """The sessions are there before the watch is."""

    def session(self, server, first):
        client = socket.create_connection(("127.0.0.1", server.port))
        self.addCleanup(client.close)
        lines = client.makefile("rb")
        lines.readline()
        for line in (b"HELO c\r\n", *first):
            self.talk(client, lines, line)
        return client, lines

    @staticmethod
    def talk(client, lines, line, replies=1):
        client.sendall(line)
        for _ in range(replies):
            lines.readline()

    def picked_up(self, first, then, recipient, before=0):
        """Yields when the session is there; the watch must have been started when it goes on, and yields again when all
        has been said; the watch must have been stopped when it goes on."""
        server = Server(self)
        session = self.session(server, first)
        yield
        for line, replies in then:
            self.talk(*session, line, replies)
        event = self.watch.message(recipient)
        self.assert_mail(event, pid=os.getpid(), sender="a@example.org", recipients=[recipient], port=server.port)
        self.assertEqual(get(event, "smtpsnoop.capture.mid_stream"), True)
        yield
        events = self.watch.messages(lambda event: get(event, "destination.port") == server.port)
        self.assertEqual(len(events), before + 1)
        for event in events[:before]:
            self.assertIn("under_way_at_start", get(event, "smtpsnoop.reasons"))

    def mail(self, recipient):
        return [(b"MAIL FROM:<a@example.org>\r\n", 1), (f"RCPT TO:<{recipient}>\r\n".encode(), 1), (b"DATA\r\n", 1),
                (b"Subject: s\r\n\r\ntext\r\n.\r\n", 1)]

    def test_before_within_and_after_a_mail(self):
        one, two, three = unique("before"), unique("within"), unique("after")
        sessions = {
            "before": self.picked_up([], self.mail(one), one),
            "within": self.picked_up([b"MAIL FROM:<z@example.org>\r\n", b"RCPT TO:<z@example.net>\r\n", b"DATA\r\n"],
                                     [(b"a line\r\n" * 10, 0), (b"the last\r\n.\r\n", 1), *self.mail(two)], two, before=1),
            "after": self.picked_up([line for line, _ in self.mail("z@example.net")], self.mail(three), three),
        }
        for session in sessions.values():
            next(session)
        self.watch = Watch(self)
        for step in (lambda: None, self.watch.stop):
            step()
            for name, session in sessions.items():
                with self.subTest(name):
                    next(session, None)


class Deep(LiveCase):
    """Everything a client says in one call, without waiting for anything."""

    def send_at_once(self, text, mails):
        server, watch = Server(self), shared_watch()
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            sender = threading.Thread(target=client.sendall, args=(text,))
            sender.start()
            while client.recv(65536):
                pass
            sender.join()
        for recipients, size in mails:
            event = watch.message(recipients[0])
            self.assert_mail(event, pid=os.getpid(), sender="a@example.org", recipients=recipients, port=server.port)
            self.assertEqual(get(event, "smtp.bytes"), size)
        watch.stop()
        self.assertEqual(len(watch.messages()), len(mails))

    def mail(self, recipients, body):
        envelope = b"".join(b"RCPT TO:<%s>\r\n" % one.encode() for one in recipients)
        return b"MAIL FROM:<a@example.org>\r\n" + envelope + b"DATA\r\n" + body + b".\r\n"

    def test_behind_a_megabyte(self):
        body = b"Subject: s\r\n\r\n" + b"MAIL FROM:<z@example.org>\r\nRCPT TO:<z@example.net>\r\nDATA\r\n..\r\n" * 18000
        self.assertGreater(len(body), 1 << 20)
        first, second = [unique("first")], [unique("second")]
        self.send_at_once(b"EHLO c\r\n" + self.mail(first, body) + self.mail(second, b"Subject: t\r\n\r\nx\r\n") +
                          b"QUIT\r\n", [(first, len(body)), (second, 17)])

    def test_600_recipients(self):
        recipients = [unique(f"r{number}") for number in range(600)]
        self.send_at_once(b"EHLO c\r\n" + self.mail(recipients, b"x\r\n") + b"QUIT\r\n", [(recipients, 3)])
