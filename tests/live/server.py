# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A scripted SMTP server for the live tests, in its own process (Python's standard library only).

It reports what arrived: one JSON line per mail and one per closed connection on standard output. It accepts what
lenient servers accept (any case, LF alone, pipelining). The addresses choose its answers, so that one server serves
many tests:

  a recipient that contains "refuse-rcpt"    550 at RCPT
  a sender that contains "refuse-sender"     550 at MAIL
  a sender that contains "refuse-data"       354 at DATA, 554 at its end
  a sender that contains "refuse-verb"       554 at DATA
  a sender that contains "hang-up"           closes the connection instead of answering the data
  a recipient that contains "drop-now"       closes the connection instead of answering RCPT

With --certificate it offers STARTTLS, and has a second port with TLS from the first byte. Its reports then have the
version of TLS and the server name that the client asked for. With --auth it reports what each client
answered, so that a test knows that it looks for a secret which was really sent.

It ends when its standard input ends, so it cannot outlive the test that started it.
"""

import argparse
import json
import os
import socket
import ssl
import sys
import threading

TCP_FASTOPEN = 23
IPPROTO_MPTCP = 262

output_lock = threading.Lock()


def say(**fields):
    with output_lock:
        os.write(1, json.dumps(fields).encode() + b"\n")


class HungUp(Exception):
    pass


class Connection:
    """One client, until it closes. The report has bytes as latin-1 text, so that none is lost."""

    def __init__(self, sock, peer, options, context=None):
        self.sock, self.peer, self.options, self.context = sock, peer, options, context
        self.buffer = b""
        self.mails = 0
        self.begin()

    def begin(self):
        self.sender, self.recipients, self.refused = None, [], []

    def line(self):
        while b"\n" not in self.buffer:
            piece = self.sock.recv(1 << 16)
            if not piece:
                raise HungUp
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("latin-1")

    def reply(self, text):
        if not self.options.mute:
            self.sock.sendall(text.encode() + b"\r\n")

    def body(self):
        """The subject, the size of the data on the wire up to the line with the dot, and with --keep the data."""
        size, subject, header, kept = 0, None, True, []
        while True:
            line = self.line()
            if line == ".":
                return subject, size, {"data": "\n".join(kept)} if self.options.keep else {}
            if self.options.keep:
                kept.append(line.removeprefix("."))
            header = header and line != ""
            if header and line.lower().startswith("subject:"):
                subject = line[8:].strip()
            size += len(line)

    # ---- TLS ------------------------------------------------------------------------------------

    def encrypt(self):
        self.sock = self.context.wrap_socket(self.sock, server_side=True)
        self.buffer = b""  # what came in clear behind STARTTLS does not count (RFC 3207, section 6)

    def tls(self):
        """The version (1.2, 1.3), the cipher as OpenSSL calls it, and the server name; or nothing in clear."""
        if not isinstance(self.sock, ssl.SSLSocket):
            return {}
        return {"tls": self.sock.version().removeprefix("TLSv"), "cipher": self.sock.cipher()[0],
                "server_name": getattr(self.sock, "asked_for", None)}

    def bye(self):
        """Ends TLS in order: some clients fail if it just stops."""
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.unwrap()

    @staticmethod
    def address(rest):
        """The text after the colon: inside the brackets if there are any, else up to a blank."""
        rest = rest.strip()
        if rest.startswith("<") and ">" in rest:
            return rest[1:rest.rindex(">")]
        return rest.split(" ")[0]

    def serve(self):
        self.reply("220 live.test ESMTP scripted")
        while True:
            line = self.line()
            verb = line.strip().upper()
            if verb.startswith("EHLO"):
                extensions = ["live.test", "PIPELINING", "8BITMIME", "SMTPUTF8"]
                if self.options.auth:
                    extensions.append("AUTH PLAIN LOGIN")
                if self.context and not self.tls():
                    extensions.append("STARTTLS")
                for text in extensions[:-1]:
                    self.reply("250-" + text)
                self.reply("250 " + extensions[-1])
            elif verb == "STARTTLS" and self.context and not self.tls():
                self.reply("220 2.0.0 go on")
                self.encrypt()
                self.begin()
            elif verb.startswith("HELO") or verb.startswith("LHLO"):
                self.reply("250 live.test")
            elif verb.startswith("MAIL FROM:"):
                self.begin()
                sender = self.address(line.strip()[10:])
                if "refuse-sender" in sender:
                    self.reply("550 5.1.8 sender refused")
                else:
                    self.sender = sender
                    self.reply("250 2.1.0 sender ok")
            elif verb.startswith("RCPT TO:"):
                recipient = self.address(line.strip()[8:])
                if "drop-now" in recipient:
                    raise HungUp
                if self.sender is None:
                    self.reply("503 5.5.1 MAIL first")
                elif "refuse-rcpt" in recipient:
                    self.refused.append(recipient)
                    self.reply("550 5.1.1 no such user")
                else:
                    self.recipients.append(recipient)
                    self.reply("250 2.1.5 recipient ok")
            elif verb == "DATA":
                self.data()
            elif verb == "RSET":
                self.begin()
                self.reply("250 2.0.0 reset")
            elif verb == "NOOP":
                self.reply("250 2.0.0 ok")
            elif verb.startswith("AUTH"):
                self.auth(line.strip())
            elif verb == "QUIT":
                self.reply("221 2.0.0 bye")
                self.bye()
                return
            else:
                self.reply("500 5.5.2 what")

    def data(self):
        if self.sender is None or not self.recipients:
            self.reply("554 5.5.1 no valid recipients")
            return
        if "refuse-verb" in self.sender:
            self.reply("554 5.3.0 no data today")
            return
        self.reply("354 go on")
        subject, size, kept = self.body()
        self.mails += 1
        say(event="mail", peer=self.peer, sender=self.sender, recipients=self.recipients, refused=self.refused,
            subject=subject, size=size, **kept, **self.tls())
        if "hang-up" in self.sender:
            raise HungUp
        if "refuse-data" in self.sender:
            self.reply("554 5.7.1 message refused")
        else:
            self.reply("250 2.0.0 queued")
        self.begin()

    def auth(self, line):
        words = line.split()
        mechanism = words[1].upper() if len(words) > 1 else ""
        answers = words[2:]
        wanted = {"PLAIN": 1, "LOGIN": 2}.get(mechanism)
        if wanted is None:
            self.reply("504 5.5.4 mechanism unknown")
            return
        prompts = [""] if wanted == 1 else ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"]
        while len(answers) < wanted:
            self.reply("334 " + prompts[len(answers)])
            answers.append(self.line())
        say(event="auth", peer=self.peer, mechanism=mechanism, answers=answers[:wanted])
        self.reply("235 2.7.0 welcome")

    def run(self, implicit=False):
        try:
            if implicit:
                self.encrypt()
            self.serve()
        except (HungUp, OSError):
            pass
        finally:
            self.sock.close()
            say(event="end", peer=self.peer, mails=self.mails, sender=self.sender, recipients=self.recipients,
                refused=self.refused)


def listener(options, port):
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP if options.mptcp else 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if options.small_window:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.bind((options.host, port))
    if options.fastopen:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 16)
    sock.listen(512)
    return sock


def tls_context(options):
    def asked(sock, name, _):
        sock.asked_for = name

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate)  # with the key in the same file
    context.sni_callback = asked
    if options.tls_version:
        version = ssl.TLSVersion["TLSv" + options.tls_version.replace(".", "_")]
        context.minimum_version = context.maximum_version = version
    return context


def accept(sock, options, context, implicit):
    while True:
        client, peer = sock.accept()
        client.settimeout(60 * int(os.environ.get("SMTPSNOOP_SLOW", "1")))
        connection = Connection(client, peer[1], options, context)
        threading.Thread(target=connection.run, args=(implicit,), daemon=True).start()


def end_with_input():
    while os.read(0, 4096):
        pass
    os._exit(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--mptcp", action="store_true")
    parser.add_argument("--fastopen", action="store_true")
    parser.add_argument("--auth", action="store_true")
    parser.add_argument("--mute", action="store_true", help="answer nothing at all")
    parser.add_argument("--small-window", action="store_true")
    parser.add_argument("--keep", action="store_true", help="report what the mails contain")
    parser.add_argument("--certificate", metavar="FILE", help="offer TLS, with the certificate and the key in FILE")
    parser.add_argument("--tls-version", choices=("1.2", "1.3"), help="speak this version only")
    options = parser.parse_args()
    sock, context = listener(options, options.port), None
    ports = {"port": sock.getsockname()[1]}
    if options.certificate:
        context = tls_context(options)
        implicit = listener(options, 0)
        ports["smtps"] = implicit.getsockname()[1]
        threading.Thread(target=accept, args=(implicit, options, context, True), daemon=True).start()
    threading.Thread(target=end_with_input, daemon=True).start()
    say(event="listening", **ports)
    accept(sock, options, context, False)


if __name__ == "__main__":
    sys.exit(main())
