# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""TLS in memory, and a thread of its own for each direction of the socket: no send comes from the thread that calls the
library. Arguments: see tls_clients.py; HOW is "one" connection for all mails, or one for "each".
"""

import base64
import queue
import socket
import ssl
import sys
import threading

mode, port, auth, how, sender, *recipients = sys.argv[1:]
with open(auth, encoding="ascii") as file:
    user, secret = file.read().split()
context = ssl._create_unverified_context()


class Session:
    def __init__(self):
        self.sock = socket.create_connection(("127.0.0.1", int(port)))
        self.tls, self.buffer = None, b""
        if mode == "starttls":
            self.reply()
            self.command("EHLO client.test")
            self.command("STARTTLS")
        self.encrypt()
        if mode == "smtps":
            self.reply()
        self.command("EHLO client.test")
        self.command("AUTH PLAIN " + base64.b64encode(f"\0{user}\0{secret}".encode()).decode())

    # ---- The threads ------------------------------------------------------------------------------

    def encrypt(self):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="mail.test")
        self.lock, self.to_send, self.arrived = threading.Lock(), queue.Queue(), threading.Semaphore(0)
        self.threads = [threading.Thread(target=one, daemon=True) for one in (self.write_socket, self.read_socket)]
        for thread in self.threads:
            thread.start()
        self.call(self.tls.do_handshake)

    def write_socket(self):
        while True:
            data = self.to_send.get()
            if data is None:
                return
            self.sock.sendall(data)

    def read_socket(self):
        try:
            while data := self.sock.recv(65536):
                with self.lock:
                    self.incoming.write(data)
                self.arrived.release()
        except OSError:
            pass
        self.incoming.write_eof()
        self.arrived.release()

    def call(self, function, *arguments):
        """Calls the library until it needs no more bytes of the server."""
        while True:
            with self.lock:
                try:
                    result, waits = function(*arguments), False
                except ssl.SSLWantReadError:
                    result, waits = None, True
                if data := self.outgoing.read():
                    self.to_send.put(data)
            if not waits:
                return result
            self.arrived.acquire()

    # ---- The session ------------------------------------------------------------------------------

    def reply(self):
        while True:
            while b"\n" not in self.buffer:
                piece = self.call(self.tls.read, 4096) if self.tls else self.sock.recv(4096)
                if not piece:
                    raise SystemExit("the server left")
                self.buffer += piece
            line, self.buffer = self.buffer.split(b"\n", 1)
            if line[:1] not in (b"2", b"3"):
                raise SystemExit(f"the server said {line!r}")
            if line[3:4] != b"-":
                return

    def command(self, line):
        data = line.encode() + b"\r\n"
        if self.tls:
            self.call(self.tls.write, data)
        else:
            self.sock.sendall(data)
        self.reply()

    def mail(self, recipient):
        self.command(f"MAIL FROM:<{sender}>")
        self.command(f"RCPT TO:<{recipient}>")
        self.command("DATA")
        self.command(f"From: {sender}\r\nTo: {recipient}\r\nSubject: to {recipient}\r\n\r\nhello\r\n.")

    def close(self):
        self.command("QUIT")
        self.to_send.put(None)
        self.threads[0].join()
        self.sock.close()


for some in [recipients] if how == "one" else [[recipient] for recipient in recipients]:
    session = Session()
    for recipient in some:
        session.mail(recipient)
    session.close()
