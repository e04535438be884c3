# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An AUTH that is refused, a client that sends its password all the same, and a server that repeats it: the password is
in no output and in no recording, in either direction, at either end; and the mail that follows is reported and replayed.
"""

import base64
import socket
import threading
import time
import uuid

from harness import LiveCase, Recorder, Watch, get, replay, unique

# What the client does, and how the server answers.
WAYS = ("refused", "pipelined", "retried", "given-up", "split", "trickled", "decoded", "in-parts", "later")


def coded(text):
    return base64.b64encode(text.encode())


class EchoServer:
    """Refuses every AUTH, and repeats what it does not know. The name in EHLO says which way."""

    def __init__(self, case):
        self.listener = socket.create_server(("127.0.0.1", 0))
        case.addCleanup(self.listener.close)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        state = {"way": "", "challenges": 0, "unknown": b"", "data": False}
        with sock, sock.makefile("rb") as lines:
            sock.sendall(b"220 echo ESMTP\r\n")
            for line in lines:
                answer = self.answer(line.rstrip(b"\r\n"), state)
                if answer:
                    sock.sendall(answer + b"\r\n")

    def answer(self, line, state):
        verb = line.split(b" ")[0].upper()
        if state["data"]:
            state["data"] = line != b"."
            return None if state["data"] else b"250 queued; " + (state["unknown"] if state["way"] == "later" else b"ok")
        if verb == b"EHLO":
            state["way"] = line.split()[1].decode()
        if verb == b"DATA":
            state["data"] = True
            return b"354 go"
        if verb == b"AUTH":
            state["challenges"] = {"retried": 2, "given-up": 1}.get(state["way"], 0)
            return b"334 VXNlcm5hbWU6" if state["challenges"] else b"502 5.5.1 unsupported"
        if verb in (b"EHLO", b"MAIL", b"RCPT", b"QUIT"):
            return b"250 mail-after-it"
        if state["challenges"]:
            state["challenges"] -= 1
            return b"501 given up" if line == b"*" else b"334 UGFzc3dvcmQ6" if state["challenges"] else b"535 " + line
        state["unknown"] = line
        return self.repeat(line, state["way"])

    @staticmethod
    def repeat(line, way):
        if way == "decoded":
            return b"500 5.5.1 unrecognized: " + base64.b64decode(line)
        if way == "in-parts":
            half = len(line) // 2
            return b"500-5.5.1 unrecognized: " + line[:half] + b"\r\n500 " + line[half:]
        return b"500 5.5.1 unrecognized: " + line


class Client:
    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.sock.makefile("rb")
        self.replies(1)

    def replies(self, count):
        while count:
            line = self.lines.readline()
            assert line, "the server has closed the connection"
            count -= line[3:4] != b"-"

    def say(self, *lines, pieces=0):
        """Sends lines in one go, or in pieces of so many bytes, and reads a reply for each line."""
        data = b"".join(line + b"\r\n" for line in lines)
        for at in range(0, len(data), pieces or len(data)):
            self.sock.sendall(data[at:at + (pieces or len(data))])
            time.sleep(0.003 if pieces else 0)
        self.replies(len(lines))

    def mail(self, recipient):
        self.say(b"MAIL FROM:<s@example.org>")
        self.say(b"RCPT TO:<" + recipient.encode() + b">")
        self.say(b"DATA")
        self.say(b"Subject: a test\r\n\r\nhello\r\n.")
        self.say(b"QUIT")
        self.lines.close()
        self.sock.close()


def talk(port, way, user, password, recipient):
    client = Client(port)
    client.say(b"EHLO " + way.encode())
    if way == "pipelined":
        client.say(b"AUTH LOGIN", user, password)
    else:
        client.say(b"AUTH LOGIN")
    if way == "retried":
        client.say(user)
        client.say(password)
    if way == "given-up":
        client.say(b"*")
    if way != "pipelined":
        pieces = {"split": 9, "trickled": 1}.get(way, 0)
        client.say(user, pieces=pieces)
        client.say(password, pieces=pieces)
    client.mail(recipient)


class RefusedAuth(LiveCase):
    def windows(self, text, size):
        return [text[at:at + size] for at in range(len(text) - size + 1)]

    def test_secret_is_nowhere(self):
        user, password = f"user{uuid.uuid4().hex[:8]}", f"{uuid.uuid4().hex[:12]}-{uuid.uuid4().hex[:12]}"
        server, path = EchoServer(self), self.path("r.rec")
        recorder, watch = Recorder(self, path, "--all"), Watch(self, "--all")
        names = {way: unique(way) for way in WAYS}
        for way, name in names.items():
            talk(server.port, way, coded(user), coded(password), name)
        live = {name: watch.message(name) for name in names.values()}
        recorder.stop()
        watch.stop()
        with open(path, "rb") as file:
            recorded = file.read()
        outputs = {"watch": b"".join(watch.lines), "record": b"".join(recorder.lines)}
        for form in ("json", "table", "wide", "cef", "sentinel"):
            outputs[form] = self.run_snoop("replay", path, "--all", "-o", form, status=0).stdout
        needles = self.windows(password.encode(), 8) + self.windows(coded(password).rstrip(b"="), 8)
        for what, text in {**outputs, "recording": recorded}.items():
            self.assertEqual([needle for needle in needles if needle in text], [], what)
        self.assert_not_trickled(recorded, coded(password)[:16])
        # What is no secret is there: the mail behind it, the server's other words.
        self.assertGreaterEqual(recorded.count(b"mail-after-it"), len(WAYS))
        again = {get(event, "smtp.rcpt_to")[0]: event for event in replay(path) if get(event, "smtp.rcpt_to")}
        for way, name in names.items():
            for event in (live[name], again[name]):
                self.assert_mail(event, None, "s@example.org", [name], server.port)
                self.assertEqual(get(event, "smtp.auth.mechanism"), "LOGIN")
                self.assertIn("queued; " + ("***" if way == "later" else "ok"), get(event, "smtp.last_reply.text"))

    def assert_not_trickled(self, data, needle):
        """The needle is not there in records of one byte each: at no stride are there six of its bytes in a row."""
        start = data.find(needle[:1])
        while start >= 0:
            second = data.find(needle[1:2], start + 40, start + 400)
            while second >= 0:
                stride = second - start
                if data[start:start + 6 * stride:stride] == needle[:6]:
                    self.fail(f"the secret is at {start}, one byte every {stride} bytes")
                second = data.find(needle[1:2], second + 1, start + 400)
            start = data.find(needle[:1], start + 1)
