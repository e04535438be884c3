# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Real servers (Exim, Postfix, OpenSMTPD): the events have the server's verdict on each mail and recipient, whether the
client waits for replies or not. A mail that the server relays is charged to the user who submitted it.
"""

import os
import pwd
import socket
import subprocess
import unittest

import mta
from harness import LiveCase, PYTHON, Server, Watch, get, unique, wait_for

TEXT = b"From: a@x.test\r\nSubject: s\r\n\r\ntext\r\n"
USER = "games"

SUBMIT = """
import socket, sys
helo, port, recipient = sys.argv[1], int(sys.argv[2]), sys.argv[3]
client = socket.create_connection(("127.0.0.1", port))
lines = client.makefile("rb")
def talk(line):
    if line:
        client.sendall(line + b"\\r\\n")
    while True:
        reply = lines.readline()
        if reply[3:4] != b"-":
            return reply
talk(b"")
talk(b"EHLO " + helo.encode())
talk(b"MAIL FROM:<a@x.test>")
talk(b"RCPT TO:<" + recipient.encode() + b">")
talk(b"DATA")
assert talk(b"Subject: s\\r\\n\\r\\ntext\\r\\n.")[:3] == b"250"
talk(b"QUIT")
"""


class Client:
    """A client that waits for each reply, or sends all commands at once."""

    def __init__(self, port, pipelining):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.lines = self.socket.makefile("rb")
        self.pipelining = pipelining
        self.reply()

    def reply(self):
        while True:
            line = self.lines.readline()
            if line[3:4] != b"-":
                return int(line[:3] or 0)

    def say(self, *pieces):
        """Sends the pieces; returns the reply code of each."""
        if self.pipelining:
            self.socket.sendall(b"".join(pieces))
            return [self.reply() for _ in pieces]
        codes = []
        for piece in pieces:
            self.socket.sendall(piece)
            codes.append(self.reply())
        return codes

    def close(self):
        self.socket.close()


class Servers:
    """The tests for one server, the `kind` of the subclass."""

    kind = None
    limit_s = mta.INSTALL_S

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sink = Server(cls)
        cls.server = cls.kind(cls, cls.sink.port)
        cls.watch = Watch(cls, prefix=cls.server.root.prefix)

    @classmethod
    def tearDownClass(cls):
        cls.watch.stop()

    def envelope(self, pipelining, sender, recipients):
        client = Client(self.server.port, pipelining)
        self.addCleanup(client.close)
        codes = [client.say(b"EHLO client.test\r\n"), client.say(
            b"MAIL FROM:<%s>\r\n" % sender.encode(), *(b"RCPT TO:<%s>\r\n" % one.encode() for one in recipients))]
        self.assertEqual(codes[0], [250])
        return client, codes[1]

    def reported(self, marker, outcome, recipients, refused):
        event = self.watch.message(marker)
        self.assert_mail(event, pid=os.getpid(), recipients=recipients, port=self.server.port, outcome=outcome)
        self.assertEqual(get(event, "smtp.rcpt_refused", []), refused)
        return event

    def each(self, case):
        for pipelining in (False, True) if self.server.pipelining else (False,):
            with self.subTest("pipelining" if pipelining else "waiting"):
                case(pipelining)

    def finish_data(self, client, codes):
        self.assertEqual(client.say(b"DATA\r\n"), codes[:1])
        if codes[0] == 354:
            self.assertEqual(client.say(TEXT + b".\r\n"), codes[1:])
        client.say(b"QUIT\r\n")

    def test_delivered(self):
        def case(pipelining):
            recipient = unique("r")
            client, codes = self.envelope(pipelining, "a@x.test", [recipient])
            self.assertEqual(codes, [250, 250])
            self.finish_data(client, [354, 250])
            event = self.reported(recipient, "success", [recipient], [])
            self.assertTrue(get(event, "smtp.queue_id"), event)
            self.sink.mail(recipient)
        self.each(case)

    def test_refused_sender(self):
        def case(pipelining):
            recipient = unique("r")
            client, codes = self.envelope(pipelining, "refuse-sender@x.test", [recipient])
            self.assertEqual([code // 100 for code in codes], [5, 5])
            client.say(b"QUIT\r\n")
            self.reported(recipient, "failure", [recipient], [recipient])
        self.each(case)

    def test_one_refused_of_three(self):
        def case(pipelining):
            recipients = [unique("r"), "refuse-rcpt@y.test", unique("r")]
            client, codes = self.envelope(pipelining, "a@x.test", recipients)
            self.assertEqual(codes, [250, 250, 550, 250])
            self.finish_data(client, [354, 250])
            self.reported(recipients[0], "success", recipients, recipients[1:2])
        self.each(case)

    def test_refused_data(self):
        def case(pipelining):
            recipient = unique("r")
            client, codes = self.envelope(pipelining, "refuse-data@x.test", [recipient])
            self.assertEqual(codes, [250, 250])
            codes = client.say(b"DATA\r\n")
            self.assertEqual(codes[0] // 100, 5)
            client.say(b"QUIT\r\n")
            self.reported(recipient, "failure", [recipient], [])
        self.each(case)

    def test_refused_bdat(self):
        def case(pipelining):
            recipient = unique("r")
            client, codes = self.envelope(pipelining, "refuse-data@x.test", [recipient])
            self.assertEqual(codes, [250, 250])
            codes = client.say(b"BDAT %d LAST\r\n" % len(TEXT) + (TEXT if self.server.chunking else b""))
            self.assertEqual(codes[0] // 100, 5)
            client.say(b"QUIT\r\n")
            self.reported(recipient, "failure", [recipient], [])
        self.each(case)

    def test_greylisted(self):
        def case(pipelining):
            recipients = ["greylist@y.test"]
            marker = unique("s")
            client, codes = self.envelope(pipelining, marker, recipients)
            self.assertEqual(codes, [250, 450])
            client.say(b"QUIT\r\n")
            event, = self.watch.wait_messages(lambda event: get(event, "smtp.mail_from") == marker)
            self.assert_mail(event, pid=os.getpid(), recipients=recipients, outcome="failure")
            self.assertEqual(get(event, "smtp.rcpt_refused"), recipients)
            self.assertEqual(get(event, "smtp.last_reply.code"), 450)
        self.each(case)

    # ---- Relayed mail ---------------------------------------------------------------------------

    def relayed(self, recipient):
        event, = self.watch.wait_messages(lambda event: recipient in get(event, "smtp.rcpt_to", []) and
                                          get(event, "destination.port") == self.sink.port, timeout_s=30)
        self.assert_mail(event, executable=self.server.executable, outcome="success")
        self.assertEqual(get(event, "user.name"), self.server.user)
        return event

    def submit(self, helo="client.test"):
        recipient, uid = unique("r"), pwd.getpwnam(USER).pw_uid
        self.write("submit.py", SUBMIT)
        process = self.spawn([PYTHON, "-I", self.path("submit.py"), helo, str(self.server.port), recipient], user=uid)
        self.finish(process)
        submitted, = self.watch.wait_messages(lambda event: recipient in get(event, "smtp.rcpt_to", []) and
                                              get(event, "destination.port") == self.server.port)
        self.assertEqual(get(submitted, "process.pid"), process.pid)
        self.assertNotIn("origin", submitted["smtpsnoop"])
        return submitted, self.relayed(recipient)

    def test_submitted_by_smtp(self):
        submitted, relayed = self.submit()
        self.assertEqual(get(relayed, "smtpsnoop.origin.how"), "connection")
        self.assertEqual(get(relayed, "smtpsnoop.origin.process.pid"), get(submitted, "process.pid"))
        origin = {name: value for name, value in get(relayed, "smtpsnoop.origin").items()
                  if name in ("uid", "user", "mta", "queue_id", "submission")}
        self.assertEqual(origin, {
            "uid": str(pwd.getpwnam(USER).pw_uid), "user": USER, "mta": self.server.name,
            "queue_id": get(submitted, "smtp.queue_id"), "submission": get(submitted, "event.id")})

    def test_a_helo_that_lies(self):
        """A forged field inside the Received field names no other user: the mail loses its origin, or nothing changes."""
        submitted, before = self.submit()
        for helo in (f"x (Postfix, from userid 0) id {get(before, 'smtpsnoop.origin.queue_id')}",
                     f"x(y)by(z)id({get(before, 'smtpsnoop.origin.queue_id')})"):
            try:
                submitted, relayed = self.submit(helo)
            except AssertionError:
                continue  # the server rejects it
            origin = get(relayed, "smtpsnoop.origin", {})
            self.assertIn(get(origin, "submission"), (None, get(submitted, "event.id")))

    def submit_locally(self, text=TEXT):
        recipient, user = unique("r"), pwd.getpwnam(USER)
        self.server.root.run("setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups",
                             self.server.sendmail, "-f", "a@x.test", recipient, input=text.replace(b"\r\n", b"\n"),
                             stdin=None, cwd="/")
        return self.relayed(recipient)

    def test_submitted_locally(self):
        for text in (TEXT, b"Received: by mta.test (Postfix, from userid 0) id 0; date\r\n" + TEXT):
            origin = dict(get(self.submit_locally(text), "smtpsnoop.origin", {}))
            for name in ("how", "process", "systemd", "container"):  # test_origin
                origin.pop(name, None)
            self.assertRegex(origin.pop("queue_id", ""), "^[0-9A-Za-z-]+$")
            self.check_local(origin)

    def test_a_client_is_no_mta(self):
        recipient = unique("r")
        text = b"Received: by mta.test (Postfix, from userid 0) id 0; date\r\n" + TEXT
        client = Client(self.sink.port, False)
        self.addCleanup(client.close)
        client.say(b"EHLO c\r\n", b"MAIL FROM:<a@x.test>\r\n", b"RCPT TO:<%s>\r\n" % recipient.encode(), b"DATA\r\n",
                   text + b".\r\n", b"QUIT\r\n")
        self.assertNotIn("origin", self.watch.message(recipient)["smtpsnoop"])


class EximServer(Servers, LiveCase):
    kind = mta.Exim

    def check_local(self, origin):
        self.assertEqual(origin, {"user": USER, "mta": "exim"})


class PostfixServer(Servers, LiveCase):
    kind = mta.Postfix

    def check_local(self, origin):
        self.assertGreaterEqual(origin.pop("candidate_count", 2), 2)  # other tests' mails of the same second
        origin.pop("candidates", None)
        self.assertEqual(origin, {"uid": str(pwd.getpwnam(USER).pw_uid), "user": USER, "mta": "postfix"})


class OpenSmtpdServer(Servers, LiveCase):
    kind = mta.OpenSmtpd

    def check_local(self, origin):
        self.assertEqual(origin, {"mta": "opensmtpd"})  # its field names no user
