# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A small SMTP client that the client programs of the live tests import (Python's standard library only).

It is copied beside each program into a directory that every user can read. `put`, a function of (socket, bytes), is
how bytes are sent. A program that imports this module ends after a minute.
"""

import signal
import socket
import time

LIMIT_S = 60
signal.alarm(LIMIT_S)


def put_sendall(sock, data):
    sock.sendall(data)


def connect(port, host="127.0.0.1", proto=0, tries=50):
    for attempt in range(tries):
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, proto)
        try:
            sock.connect((host, port))
            return sock
        except ConnectionRefusedError:
            sock.close()
            if attempt == tries - 1:
                raise
            time.sleep(0.05)


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode()


def message(subject="a test", lines=("hello",)):
    head = ["From: a@example.org", "Subject: " + subject, ""]
    return "\r\n".join(head + list(lines)).encode() + b"\r\n"


def envelope(sender, recipients):
    lines = [b"MAIL FROM:<" + as_bytes(sender) + b">"]
    lines += [b"RCPT TO:<" + as_bytes(one) + b">" for one in recipients]
    return b"".join(line + b"\r\n" for line in lines)


def whole_session(mails, body=None, helo="client.test"):
    """Everything that a client says for these (sender, recipients) pairs, as bytes."""
    data = b"EHLO " + as_bytes(helo) + b"\r\n"
    for sender, recipients in mails:
        data += envelope(sender, recipients) + b"DATA\r\n" + (body or message()) + b".\r\n"
    return data + b"QUIT\r\n"


class Session:
    """A dialogue, command by command, after the greeting of the server."""

    def __init__(self, port=None, host="127.0.0.1", put=put_sendall, sock=None, helo="client.test", greet=True):
        self.sock = sock or connect(port, host)
        self.put = put
        self.buffer = b""
        if greet:
            self.reply()
            self.command(b"EHLO " + as_bytes(helo))

    def reply(self):
        """Reads one reply, with all its lines; returns its code."""
        while True:
            while b"\n" not in self.buffer:
                piece = self.sock.recv(4096)
                if not piece:
                    raise EOFError("the server left")
                self.buffer += piece
            line, self.buffer = self.buffer.split(b"\n", 1)
            if line[3:4] != b"-":
                return int(line[:3])

    def send(self, data):
        self.put(self.sock, data)

    def command(self, line):
        self.send(as_bytes(line) + b"\r\n")
        return self.reply()

    def envelope(self, sender, recipients):
        self.command(b"MAIL FROM:<" + as_bytes(sender) + b">")
        for one in recipients:
            self.command(b"RCPT TO:<" + as_bytes(one) + b">")

    def data(self, body=None):
        code = self.command("DATA")
        if code != 354:
            return code
        self.send((body or message()) + b".\r\n")
        return self.reply()

    def mail(self, sender, recipients, body=None):
        if isinstance(recipients, str):
            recipients = [recipients]
        self.envelope(sender, recipients)
        return self.data(body)

    def quit(self):
        self.command("QUIT")
        self.sock.close()


def drain(sock):
    """Reads until the peer closes, so that nothing is lost by closing first."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionError:
        pass
    sock.close()
