# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the kernel side concludes from the first bytes of a segment, wherever the segment starts: a server's words in
segments of any size, behind a proxy's answer; a real receive window of a few bytes; mail in one burst. And that traffic
which is not mail is not copied for it.

doctor --attack (test_attack) has the ways with ordinary segments.
"""

import os
import shutil
import socket
import threading
import time
import unittest

from harness import LiveCase, Recorder, Watch, get, shared_watch, sized, unique, unshare_works

SIZES = range(1, 25)
WINDOW = sized(12, 2)  # bytes; two take 23 s
IDLE = 40
CONNECT = b"CONNECT mail.example:25 HTTP/1.1\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy.example\r\n\r\n"


class Script(threading.Thread):
    """A server on loopback for one connection after the other: it sends `answer` after the first bytes that arrive (or
    at once, if `first` is false), then a reply to each line, all of it in segments of `size` bytes."""

    def __init__(self, case, size, answer, first=True, pause_s=0.0):
        super().__init__(daemon=True)
        self.size, self.answer, self.first, self.pause_s = size, answer, first, pause_s
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        case.addCleanup(self.listener.close)
        self.start()

    def say(self, connection, data):
        for at in range(0, len(data), self.size):
            connection.sendall(data[at:at + self.size])

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.serve(connection)
                except ConnectionError:
                    pass  # the client has seen what it wanted

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.first:
            connection.recv(4096)
        time.sleep(self.pause_s)
        self.say(connection, self.answer + b"220 verdict.example ESMTP\r\n")
        body = False
        for line in connection.makefile("rb"):
            word = line[:4].upper()
            if body:
                body = line != b".\r\n"
                if not body:
                    self.say(connection, b"250 2.0.0 taken\r\n")
            elif word == b"DATA":
                body = True
                self.say(connection, b"354 go on\r\n")
            elif word == b"QUIT":
                self.say(connection, b"221 bye\r\n")
                return
            else:
                self.say(connection, b"500 what\r\n" if word == b"XJUN" else b"250 ok\r\n")


class Client:
    """Sends so that no send begins with a verb, after many sends that are no mail."""

    def __init__(self, port, request=b""):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.sock.makefile("rb")
        if request:
            self.sock.sendall(request)

    def greeting(self):
        while not (line := self.lines.readline()).endswith(b"220 verdict.example ESMTP\r\n"):
            assert line, "the server sent no greeting"

    def replies(self, count):
        for _ in range(count):
            assert self.lines.readline(), "the connection ended early"

    def idle(self, wait=True):
        for _ in range(IDLE):
            self.sock.sendall(b"NOOP\r\n")
        for byte in b"XJUNK" + 60 * b"x" + b"\r\n":
            self.sock.sendall(bytes([byte]))
        if wait:
            self.replies(IDLE + 1)

    def mail(self, recipient, wait=True):
        for line in (b"EHLO verdict", b"MAIL FROM:<s@example.org>", b"RCPT TO:<%s>" % recipient.encode(), b"DATA"):
            self.sock.sendall(b"XJUNK\r\n" + line + b"\r\n")
            if wait:
                self.replies(2)
        self.sock.sendall(b"Subject: x\r\n\r\nhello\r\n.\r\n")
        self.replies(1 if wait else IDLE + 1 + 9)
        self.sock.close()


class Verdict(LiveCase):
    def send(self, server, request=b"", wait=True):
        client, recipient = Client(server.port, request), unique()
        client.greeting()
        client.idle(wait)
        client.mail(recipient, wait)
        return recipient

    def test_segments_of_any_size(self):
        """The greeting behind a proxy's answer, and then each reply, in segments of 1 to 24 bytes."""
        watch = shared_watch()
        sent = {}
        for size in SIZES:
            sent[size] = self.send(Script(self, size, ESTABLISHED), CONNECT)
        for size, recipient in sent.items():
            with self.subTest(size=size):
                self.assert_mail(watch.message(recipient), os.getpid(), "s@example.org", [recipient])
        watch.stop()

    def test_segments_of_any_size_without_a_proxy(self):
        watch = shared_watch()
        sent = {size: self.send(Script(self, size, b"\r\n", first=False)) for size in SIZES}
        for size, recipient in sent.items():
            with self.subTest(size=size):
                self.assert_mail(watch.message(recipient), os.getpid(), "s@example.org", [recipient])
        watch.stop()

    def test_proxies(self):
        """The answer and the greeting are one segment; the request comes in one piece or byte by byte."""
        socks4 = b"\x04\x01\x00\x19\x7f\x00\x00\x01user\x00", b"\x00\x5a\x00\x19\x7f\x00\x00\x01"
        socks5 = b"\x05\x01\x00\x03\x0cmail.example\x00\x19", b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x19"
        watch = shared_watch()
        sent = [self.send(Script(self, 4096, answer), request)
                for request, answer in (socks4, socks5, (b"\r\n" + CONNECT, ESTABLISHED))]
        for recipient in sent:
            self.assert_mail(watch.message(recipient), os.getpid(), "s@example.org", [recipient])
        watch.stop()

    def test_burst(self):
        """Everything at once, after the greeting was read, behind junk that the server has not answered yet."""
        watch = shared_watch()
        recipient = self.send(Script(self, 4096, b"\r\n", first=False), wait=False)
        self.assert_mail(watch.message(recipient), os.getpid(), "s@example.org", [recipient])
        watch.stop()

    def test_small_receive_window(self):
        """A namespace whose route limits the receive window: the kernel itself cuts the segments."""
        if not (unshare_works("-n") and shutil.which("ip")):
            raise unittest.SkipTest("needs network namespaces and ip(8)")
        recipient = unique()
        code = (f"import sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})\n"
                "import test_verdict as t\n"
                "class Case:\n    def addCleanup(self, *_): pass\n"
                "server = t.Script(Case(), 4096, b'', first=False)\n"
                "client = t.Client(server.port)\n"
                "client.greeting(); "
                f"client.mail({recipient!r})\n")
        script = self.write("window.py", code)
        watch = shared_watch()
        process = self.spawn(["unshare", "-n", "sh", "-c",
                              f"ip link set lo up && ip route change local 127.0.0.1 dev lo table local window {WINDOW} && "
                              f"exec /usr/bin/python3 {script}"])
        self.finish(process)
        self.assert_mail(watch.message(recipient), process.pid, "s@example.org", [recipient])
        watch.stop()

    def test_numbers_are_not_copied(self):
        """Downloads of numbers, whose lines look like replies: the recording stays small."""
        lines = b"".join(b"%d %d\n" % (200 + n % 400, n) for n in range(2000000))
        path = self.path("numbers.rec")
        recorder = Recorder(self, path)
        for request in (b"GET /numbers HTTP/1.0\r\n\r\n", b"numbers\n"):
            listener = socket.create_server(("127.0.0.1", 0))
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
            client.sendall(request)
            server.recv(4096)
            sender = threading.Thread(target=lambda: (server.sendall(lines), server.close()))
            sender.start()
            while client.recv(1 << 20):
                pass
            sender.join()
            client.close()
            listener.close()
        recorder.stop()
        self.assertLess(os.path.getsize(path), 2 * len(lines) // 10)

    def test_server_side_is_not_copied(self):
        """A server on this host: what it receives and answers is the client's flow only."""
        watch = Watch(self)
        recipient = self.send(Script(self, 4096, b"", first=False))
        event = watch.message(recipient)
        stopped = watch.stop()
        self.assertEqual(get(stopped, "smtpsnoop.stats.messages"), 1)
        self.assertEqual(get(event, "smtpsnoop.capture.complete"), True)


if __name__ == "__main__":
    unittest.main()
