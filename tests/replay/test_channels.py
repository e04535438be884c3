# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Data in the commands of a session that brings no mail: the events of each channel, what exclusions make of them, and
other protocols whose servers greet with 220."""

import subprocess
import sys
import tempfile
import unittest

import test_replay
from test_replay import PROGRAM, SECOND, STEPS, Recording

CHUNK, CHUNKS = 200, 100
REASON = "commands_carry_data"


def data(number):
    return (b"%08d" % number).ljust(CHUNK, b"x")


def each(command, answer):
    """A command for each piece of the data, in place of its '%', and the answer."""
    return [step for number in range(CHUNKS)
            for step in (("C", command.replace(b"%", data(number)) + b"\r\n"), ("S", answer + b"\r\n"))]


HELLO = [("S", b"220 mx ESMTP\r\n"), ("C", b"EHLO client\r\n"), ("S", b"250 mx\r\n")]
OPEN = [("S", b"220 mx ESMTP\r\n")]
TEXT = [("C", data(number) + b"\r\n") for number in range(CHUNKS)]
UNBROKEN = [("C", data(number)) for number in range(CHUNKS)]

CHANNELS = {
    "VRFY": HELLO + each(b"VRFY %", b"252 maybe"),
    "VRFY without HELO": OPEN + each(b"VRFY %", b"252 maybe"),
    "EXPN": HELLO + each(b"EXPN %", b"502 no"),
    "NOOP": HELLO + each(b"NOOP %", b"250 ok"),
    "NOOP without HELO": OPEN + each(b"NOOP %", b"250 ok"),
    "HELP": HELLO + each(b"HELP %", b"214 no help"),
    "unknown verbs": HELLO + each(b"XDATA %", b"500 what"),
    "unknown verbs without HELO": OPEN + each(b"XDATA %", b"500 what"),
    "HELO names": OPEN + each(b"HELO %", b"250 mx"),
    "AUTH lines": HELLO + each(b"AUTH PLAIN %", b"535 no"),
    "answers to AUTH": HELLO + [("C", b"AUTH LOGIN\r\n"), ("S", b"334 VXNlcm5hbWU6\r\n")] + each(b"%", b"334 "),
    "refused RCPTs": HELLO + each(b"RCPT TO:<%@x>", b"503 MAIL first"),
    "refused RCPTs without HELO": OPEN + each(b"RCPT TO:<%@x>", b"503 HELO first"),
    "refused MAILs": HELLO + each(b"MAIL FROM:<%@x>", b"550 no"),
    "parameters of MAIL": HELLO + each(b"MAIL FROM:<a@x> XDATA=%", b"555 no"),
    "MAIL and RSET": HELLO + each(b"MAIL FROM:<%@x>\r\nRSET", b"250 ok\r\n250 ok"),
    "MAIL again": HELLO + each(b"MAIL FROM:<%@x>", b"250 ok") + [("C", b"QUIT\r\n"), ("S", b"221 bye\r\n")],
    "lines behind a refused DATA": HELLO + [("C", b"DATA\r\n"), ("S", b"503 MAIL first\r\n")] + TEXT,
    "octets of a refused BDAT": HELLO + each(b"BDAT 202\r\n%", b"503 MAIL first"),
    "BDAT 0": HELLO + each(b"BDAT 0 %", b"501 no"),
    "text behind QUIT": HELLO + [("C", b"QUIT\r\n"), ("S", b"221 bye\r\n")] + TEXT,
    "a line without an end": HELLO + [("C", b"VRFY ")] + UNBROKEN,
    "what looks like TLS": HELLO + [("C", b"STARTTLS\r\n"), ("S", b"220 go\r\n"), ("C", b"\x16")] + UNBROKEN,
}

# As recorded from vsftpd 3.0.3.
VSFTPD = [("S", b"220 (vsFTPd 3.0.3)\r\n"),
          ("C", b"USER anonymous\r\n"), ("S", b"331 Please specify the password.\r\n"),
          ("C", b"PASS me@example\r\n"), ("S", b"230 Login successful.\r\n"),
          ("C", b"SYST\r\n"), ("S", b"215 UNIX Type: L8\r\n"),
          ("C", b"FEAT\r\n"), ("S", b"211-Features:\r\n EPRT\r\n EPSV\r\n MDTM\r\n PASV\r\n REST STREAM\r\n SIZE\r\n TVFS\r\n"
                                    b"211 End\r\n"),
          ("C", b"PWD\r\n"), ("S", b'257 "/" is the current directory\r\n'),
          ("C", b"TYPE I\r\n"), ("S", b"200 Switching to Binary mode.\r\n"),
          ("C", b"NOOP\r\n"), ("S", b"200 NOOP ok.\r\n"),
          ("C", b"HELP\r\n"), ("S", b"214-The following commands are recognized.\r\n ABOR ACCT ALLO APPE CDUP CWD  DELE EPRT "
                                    b"EPSV FEAT HELP LIST MDTM MKD\r\n XPWD XRMD\r\n214 Help OK.\r\n")]
FTP = {
    "a login": VSFTPD + [("C", b"QUIT\r\n"), ("S", b"221 Goodbye.\r\n")],
    "many long names": VSFTPD + each(b"MKD %", b"550 Create directory operation failed."),
    "a refused login": [("S", b"220 (vsFTPd 3.0.3)\r\n"), ("C", b"USER root\r\n"),
                        ("S", b"530 This FTP server is anonymous only.\r\n"), ("C", b"QUIT\r\n"), ("S", b"221 Goodbye.\r\n")],
    "no login": [("S", b"220 (vsFTPd 3.0.3)\r\n"), ("C", b"HELP\r\n"), ("S", b"530 Please login with USER and PASS.\r\n"),
                 ("C", b"XYZ\r\n"), ("S", b"530 Please login with USER and PASS.\r\n")],
}


def recorded(steps, pause=0, port=25):
    recording = Recording()
    recording.exec(42, 1, "/usr/bin/one")
    recording.sender(5, 42, 1)
    recording.session(5, 42, 1, steps, port=port)
    if pause:
        recording.now += SECOND
        recording.name(1, "tick")
        recording.now += pause
        recording.name(2, "tick")
    recording.close(5, port=port)
    return recording


class Channels(unittest.TestCase):
    replay = test_replay.Replay.replay

    def events(self, recording, *options):
        return [event for event in self.replay(recording, *options) if event["event"]["action"].startswith("smtp-")]

    def test_each_channel(self):
        for name, steps in CHANNELS.items():
            with self.subTest(name):
                event, = self.events(recorded(steps))
                self.assertEqual((event["event"]["action"], event["event"]["kind"]), ("smtp-session", "alert"))
                self.assertEqual(event["smtpsnoop"]["verdict"], "alert")
                self.assertIn(REASON, event["smtpsnoop"]["reasons"])
                self.assertGreaterEqual(event["smtp"]["command_bytes"], CHUNK * CHUNKS - 1024)
                self.assertLess(event["smtp"]["command_bytes"], CHUNK * CHUNKS * 1.2)
                self.assertEqual(event["process"]["pid"], 42)
                self.assertEqual(event["event"]["risk_score"], 47)
                self.assertTrue(event["smtpsnoop"]["final"])

    def test_beside_a_mail(self):
        """The mail and the channel are two alerts. Without the channel the session is no alert."""
        mail, session = self.events(recorded(list(STEPS[:-2]) + each(b"NOOP %", b"250 ok")))
        self.assertEqual(mail["smtpsnoop"]["verdict"], "alert")
        self.assertNotIn("reasons", mail["smtpsnoop"])
        self.assertEqual((session["smtpsnoop"]["verdict"], session["smtpsnoop"]["reasons"]), ("alert", [REASON]))
        self.assertEqual(session["smtpsnoop"]["stats"]["messages"], 1)
        self.assertEqual([event["event"]["action"] for event in self.events(recorded(list(STEPS)), "--all")],
                         ["smtp-message", "smtp-session"])

    def test_below_the_threshold(self):
        """It is observed, with its bytes and without a reason; the counters have it."""
        recording = recorded(HELLO + each(b"VRFY %", b"252 maybe")[:40])
        self.assertEqual(self.events(recording), [])
        *_, session, stopped = self.replay(recording, "--all")
        self.assertEqual((session["smtpsnoop"]["verdict"], session["event"]["kind"]), ("observed", "event"))
        self.assertEqual(session["smtp"]["command_bytes"], 20 * (CHUNK + 1))
        self.assertEqual(session["smtp"]["reply_bytes"], 14 + 8 + 20 * 11)
        self.assertNotIn("reasons", session["smtpsnoop"])
        stats = stopped["smtpsnoop"]["stats"]
        self.assertEqual((stats["alerts"], stats["carrying"], stats["command_bytes"]), (0, 0, 20 * (CHUNK + 1)))
        stats = self.replay(recorded(CHANNELS["VRFY"]))[-1]["smtpsnoop"]["stats"]
        self.assertEqual((stats["alerts"], stats["carrying"], stats["messages"]), (1, 1, 0))

    def test_a_channel_that_stays_open(self):
        early, late = self.events(recorded(CHANNELS["VRFY without HELO"], pause=61 * SECOND))
        self.assertEqual(early["event"]["id"], late["event"]["id"])
        self.assertEqual((early["smtpsnoop"]["final"], late["smtpsnoop"]["final"]), (False, True))
        for event in early, late:
            self.assertEqual((event["smtpsnoop"]["verdict"], event["smtpsnoop"]["reasons"]), ("alert", [REASON]))
            self.assertEqual(event["smtp"]["command_bytes"], CHUNKS * (CHUNK + 1))

    def decided(self, exclusion, steps=tuple(CHANNELS["VRFY"])):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("exclusions: [ { name: one, accept_forgeable: true, " + exclusion + " } ]\n")
            file.flush()
            event, = self.events(recorded(list(steps)), "--all", "-c", file.name)
        own = event["smtpsnoop"]
        return own["verdict"], own.get("exclusion") or own["nearest"]["failed"]

    def test_exclusions(self):
        process = "process: { executable: /usr/bin/one }"
        for exclusion, result in (
                (process, ("excluded", "one")),
                (process + ", relay: '10.0.0.25:25'", ("excluded", "one")),
                (process + ", limits: { messages: 1/1h, recipients: 0/1h, bytes: 1MiB/1h }", ("excluded", "one")),
                (process + ", encrypted: allow", ("excluded", "one")),
                ("process: { executable: /usr/bin/two }", ("alert", ["process.executable"])),
                (process + ", relay: 10.0.0.26", ("alert", ["relay"])),
                (process + ", mail: { recipients: '*' }", ("alert", ["mail.recipients"])),
                (process + ", mail: { sender: <> }", ("alert", ["mail.sender"])),
                (process + ", mail: { contains: x }", ("alert", ["mail.contains"])),
                (process + ", origin: { user: root }", ("alert", ["origin.user"])),
                (process + ", limits: { bytes: 10KiB/1h }", ("alert", ["limits.bytes"])),
                (process + ", schedule: { at: '0 8 1 1 *', for: 15m }", ("alert", ["schedule"]))):
            with self.subTest(exclusion):
                self.assertEqual(self.decided(exclusion), result)

    def test_not_excluded_when_bytes_are_missing(self):
        recording = Recording()
        recording.exec(42, 1, "/usr/bin/one")
        recording.sender(5, 42, 1)
        seq = recording.session(5, 42, 1, CHANNELS["VRFY"])
        recording.session(5, 42, 1, [("C", b"QUIT\r\n")], seq=seq + 100)
        recording.close(5)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("exclusions: [ { name: one, accept_forgeable: true, process: { executable: /usr/bin/one } } ]\n")
            file.flush()
            event, = self.events(recording, "-c", file.name)
        self.assertEqual(event["smtpsnoop"]["verdict"], "alert")
        self.assertIn("capture", event["smtpsnoop"]["nearest"]["failed"])

    def test_other_protocols(self):
        for name, steps in FTP.items():
            for port in (21, 25):
                with self.subTest(name, port=port):
                    self.assertEqual(self.events(recorded(steps, port=port), "--all"), [])

    def text(self, steps, *options):
        with tempfile.NamedTemporaryFile(suffix=".rec") as file:
            file.write(recorded(steps).data)
            file.flush()
            return subprocess.run([PROGRAM, "replay", file.name, *options], stdout=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL, timeout=60, check=True).stdout.decode()

    def test_formats(self):
        steps = CHANNELS["VRFY"]
        table = self.text(steps)
        self.assertRegex(table, r"channel +42 one .* 20K  ALERT: DATA in commands, without a mail\n")
        self.assertIn("; 1 session with data in commands; 1 alert\n", table)
        self.assertIn(" command_bytes=20100 reply_bytes=1122 ", self.text(steps, "-o", "wide"))
        cef = self.text(steps, "-o", "cef")
        self.assertIn("|smtp-session|Data in SMTP commands that no exclusion covers|5|", cef)
        self.assertIn(" sent data in SMTP commands to 10.0.0.25:25 (20100 bytes in commands)", cef)
        self.assertIn(f" reason={REASON}", cef)
        self.assertIn(" out=20100 in=1122 ", cef)
        self.assertIn('"CommandBytes":20100,"ReplyBytes":1122,', self.text(steps, "-o", "sentinel"))


if __name__ == "__main__":
    sys.exit(unittest.main())
