# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What became of a mail, and what is decided from it: deferred and refused mail stays excluded, and an envelope that was
only asked about is no alert, unless it carries data or something about it is unusual."""

import tempfile
import unittest

import test_replay
from test_replay import Recording

HELLO = (("S", b"220 hello\r\n"), ("C", b"EHLO x\r\n"), ("S", b"250 ok\r\n"))
MAIL = (("C", b"MAIL FROM:<a@corp.example>\r\n"), ("S", b"250 ok\r\n"))
RCPT = (("C", b"RCPT TO:<b@corp.example>\r\n"), ("S", b"250 ok\r\n"))
RSET = (("C", b"RSET\r\n"), ("S", b"250 ok\r\n"))
QUIT = (("C", b"QUIT\r\n"), ("S", b"221 bye\r\n"))


def refused(command, reply):
    return (("C", command), ("S", reply))


ENVELOPE = b"MAIL FROM:<a@corp.example>\r\nRCPT TO:<b@corp.example>\r\nDATA\r\n"
REFUSALS = {  # name: (steps, result, the code that decided)
    "DATA 451": (MAIL + RCPT + refused(b"DATA\r\n", b"451 later\r\n") + RSET, "deferred", 451),
    "DATA 554": (MAIL + RCPT + refused(b"DATA\r\n", b"554 no\r\n"), "refused", 554),
    "DATA 421": (MAIL + RCPT + refused(b"DATA\r\n", b"421 closing\r\n"), "deferred", 421),
    "RCPT 450 and DATA 503": (refused(ENVELOPE, b"250 ok\r\n450 greylisted\r\n503 no\r\n") + RSET, "deferred", 450),
    "RCPT 550 and DATA 554": (refused(ENVELOPE, b"250 ok\r\n550 nobody\r\n554 no\r\n") + RSET, "refused", 550),
    "MAIL 451 and all else 503": (refused(ENVELOPE, b"451 later\r\n503 no\r\n503 no\r\n"), "deferred", 451),
    "RCPT 421, no more replies": (refused(ENVELOPE, b"250 ok\r\n421 closing\r\n"), "deferred", 421),
    "RCPT 452": (MAIL + refused(b"RCPT TO:<b@corp.example>\r\n", b"452 full\r\n") + RSET, "deferred", 452),
    "BDAT 452": (MAIL + RCPT + refused(b"BDAT 14\r\nSubject: x\r\n\r\n", b"452 full\r\n") + RSET, "deferred", 452),
}


class Results(unittest.TestCase):
    messages, replay = test_replay.Replay.messages, test_replay.Replay.replay

    def recorded(self, steps, tail=()):
        recording = Recording()
        recording.exec(42, 1, "/usr/bin/one")
        recording.sender(5, 42, 1)
        recording.session(5, 42, 1, HELLO + steps + tail)
        recording.close(5)
        return recording

    def told(self, steps, exclusion="", **how):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            if exclusion:
                file.write("exclusions: [ { name: one, accept_forgeable: true, process: { executable: /usr/bin/one }, "
                           + exclusion + " } ]\n")
                file.flush()
            return self.messages(self.recorded(steps, **how), "--all", *(["-c", file.name] if exclusion else []))

    def test_refused_mail_stays_excluded(self):
        for criteria in ("mail: { sender: a@corp.example }",
                         "mail: { sender: a@corp.example, header_from: a@corp.example, subject: 'Report *' }",
                         "mail: { contains: [ word ] }", "mail: { matches: [ 'w.rd' ] }"):
            for name, (steps, result, code) in REFUSALS.items():
                if name.startswith("BDAT") and "sender" not in criteria or "subject" in criteria and "BDAT" in name:
                    continue  # octets of it were sent, so its content counts
                with self.subTest(criteria=criteria, name=name):
                    event, = self.told(steps, criteria, tail=() if "421" in name else QUIT)
                    self.assertEqual(event["smtpsnoop"]["verdict"], "excluded", event["smtpsnoop"])
                    self.assertEqual(event["smtpsnoop"]["result"], result)
                    self.assertEqual(event["smtp"]["last_reply"]["code"], code)
                    self.assertEqual(event["event"]["outcome"], "failure")
                    self.assertNotIn("data_not_ended", event["smtpsnoop"].get("reasons", []))

    def test_refused_content_counts(self):
        """The data was sent, and refused behind its end."""
        steps = MAIL + RCPT + refused(b"DATA\r\n", b"354 go\r\n") + refused(b"Subject: x\r\n\r\ny\r\n.\r\n", b"451 later\r\n")
        for criteria, verdict in (("mail: { subject: x }", "excluded"), ("mail: { subject: z }", "alert")):
            event, = self.told(steps, criteria, tail=QUIT)
            self.assertEqual((event["smtpsnoop"]["verdict"], event["smtpsnoop"]["result"]), (verdict, "deferred"))

    def test_the_envelope_of_refused_mail_counts(self):
        event, = self.told(REFUSALS["DATA 451"][0], "mail: { recipients: '*@other.example', subject: x }", tail=QUIT)
        self.assertEqual(event["smtpsnoop"]["verdict"], "alert")

    def test_data_that_the_server_did_not_refuse(self):
        """It ended without its end, or what followed the DATA may have been taken."""
        for steps in (MAIL + RCPT + refused(b"DATA\r\n", b"354 go\r\n") + (("C", b"text\r\n"),),
                      MAIL + RCPT + (("C", b"DATA\r\n"),),
                      MAIL + RCPT + refused(b"DATA\r\n", b"250 yes\r\n") + RSET):
            with self.subTest(steps=steps):
                event, = self.told(steps, "mail: { sender: a@corp.example }")
                self.assertEqual(event["smtpsnoop"]["verdict"], "alert")
                self.assertEqual(event["smtpsnoop"]["result"], "unknown")

    def test_asked(self):
        for steps in (MAIL + RCPT + RSET + QUIT, MAIL + RCPT + QUIT, MAIL + RCPT,
                      MAIL + RCPT + refused(b"RCPT TO:<c@corp.example>\r\n", b"550 nobody\r\n") + RSET + QUIT):
            with self.subTest(steps=steps):
                event, = self.told(steps)
                self.assertEqual((event["smtpsnoop"]["result"], event["smtpsnoop"]["verdict"]), ("asked", "observed"))
                self.assertEqual((event["event"]["kind"], event["event"]["outcome"]), ("event", "unknown"))
        event, = self.told(MAIL + RCPT + QUIT, "mail: { sender: a@corp.example }")
        self.assertEqual(event["smtpsnoop"]["verdict"], "excluded")

    def test_asked_and_unusual(self):
        """More replies than commands, an address that servers may read as another one, a sender who is not known."""
        odd = (("C", b"RCPT TO:<b@corp.example> (x)\r\n"), ("S", b"250 ok\r\n"))
        for steps in (MAIL + RCPT + RSET + (("S", b"250 ok\r\n"),), MAIL + odd + RSET):
            event, = self.told(steps)
            self.assertEqual(event["smtpsnoop"]["verdict"], "alert", event["smtpsnoop"])
        recording = Recording()
        recording.exec(42, 1, "/usr/bin/one")
        there, back = 1000, 5000
        for side, data in HELLO + MAIL + RCPT + RSET:  # it is not known who sent it
            recording.segment(5, there if side == "C" else back, data, side == "C")
            there, back = there + len(data) * (side == "C"), back + len(data) * (side == "S")
        recording.close(5)
        event, = self.messages(recording, "--all")
        self.assertEqual((event["smtpsnoop"]["result"], event["smtpsnoop"]["verdict"]), ("asked", "alert"))

    def test_a_channel_of_questions(self):
        """Data in envelopes that are given up: alerts, from 4,096 bytes in a session on."""
        ask = [(("C", b"MAIL FROM:<>\r\n"), ("S", b"250 ok\r\n"),
                ("C", b"RCPT TO:<%s@corp.example>\r\n" % (b"%03d" % n + b"x" * 400)), ("S", b"250 ok\r\n")) + RSET
               for n in range(20)]
        events = self.told(sum(ask, ()) + QUIT)
        verdicts = [event["smtpsnoop"]["verdict"] for event in events]
        self.assertEqual(verdicts, ["observed"] * 9 + ["alert"] * 11)
        self.assertIn("commands_carry_data", events[-1]["smtpsnoop"]["reasons"])
        session = self.replay(self.recorded(sum(ask, ()) + QUIT), "--all")[-2]
        self.assertEqual((session["event"]["action"], session["smtpsnoop"]["verdict"]), ("smtp-session", "alert"))

    def test_a_watch_that_ends(self):
        recording = Recording()
        recording.exec(42, 1, "/usr/bin/one")
        recording.sender(5, 42, 1)
        recording.session(5, 42, 1, HELLO + MAIL + RCPT)
        event, = self.messages(recording, "--all")
        self.assertEqual((event["smtpsnoop"]["result"], event["smtpsnoop"]["verdict"]), ("unknown", "alert"))

    def test_twenty_thousand_recipients(self):
        """Those beyond 2,000 are not kept: the message is not complete, so no exclusion covers it. The outcome is right."""
        for final, result in ((b"250 queued\r\n", "sent"), (b"451 later\r\n", "deferred")):
            steps = [("C", b"MAIL FROM:<a@corp.example>\r\n")]
            steps += [("C", b"".join(b"RCPT TO:<%d@corp.example>\r\n" % n for n in range(at, at + 100)))
                      for at in range(0, 20000, 100)]
            steps += [("C", b"DATA\r\n"), *[("S", b"250 ok\r\n" * 400)] * 50, ("S", b"250 ok\r\n354 go\r\n"),
                      ("C", b"Subject: x\r\n\r\ny\r\n.\r\n"), ("S", final)]
            event, = self.told(tuple(steps), "mail: { recipients: '*@corp.example' }", tail=QUIT)
            self.assertEqual(event["smtpsnoop"]["result"], result)
            self.assertEqual(event["smtp"]["last_reply"]["code"], int(final[:3]))
            self.assertEqual((len(event["smtp"]["rcpt_to"]), event["smtp"]["rcpt_dropped"]), (2000, 18000))
            self.assertEqual(event["smtpsnoop"]["verdict"], "alert")


if __name__ == "__main__":
    unittest.main()
