# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Labelled conversations from public captures, played over real sockets: every mail that a server accepted is
reported, and a connection that is not SMTP gives no message. The captures are not part of the project: SMTPSNOOP_CORPUS
names their folder (else ../shared/corpus). Without it these tests are skipped."""

import base64
import json
import os
import socket
import unittest

from harness import LiveCase, ROOT, Watch, action, get, sized

CORPUS = os.environ.get("SMTPSNOOP_CORPUS", os.path.join(ROOT, "..", "shared", "corpus"))
PIECE = 16384


def load(name):
    """The conversation as a list of (side, bytes), in the order of the wire."""
    runs = []
    with open(os.path.join(CORPUS, name), encoding="ascii") as file:
        for line in file:
            side, data = line.split()
            runs.append((side, base64.b64decode(data)))
    return runs


def carry(source, to, data):
    for at in range(0, len(data), PIECE):
        piece = data[at:at + PIECE]
        source.sendall(piece)
        left = len(piece)
        while left:
            left -= len(to.recv(left))


def play(runs, joined):
    """Plays a conversation; returns the ports of client and server. `joined`: sends what one side says in a row at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener, \
            socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            ports = client.getsockname()[1], listener.getsockname()[1]
            sides = {"C": (client, server), "S": (server, client)}
            while runs:
                side, data = runs[0]
                runs = runs[1:]
                while joined and runs and runs[0][0] == side:
                    data += runs[0][1]
                    runs = runs[1:]
                carry(*sides[side], data)
            client.shutdown(socket.SHUT_WR)
            server.recv(1)
    return ports


def text(address):
    """An address as the truth has it: there all addresses that are not UTF-8 look the same."""
    return address if "\\x" not in address and "\ufffd" not in address else "(not UTF-8)"


class Corpus(LiveCase):
    limit_s = 300

    def expected(self, truth):
        mails = []
        for one in truth["transactions"] if truth["is_smtp"] else ():
            code = one.get("code") or (250 if truth["lf_only"] and one.get("end") == "data" else 0)
            if 200 <= code < 300 and one["rcpt_to"]:
                mails.append((text(one["mail_from"]), [text(to) for to in one["rcpt_to"]]))
        return mails

    def seen(self, events, truth):
        mails = []
        for event in events:
            if not get(event, "smtp.rcpt_to") and get(event, "smtp.mail_from") is None:
                continue  # data without MAIL and RCPT; the truth does not count it
            if get(event, "event.outcome") == "success" or (truth["lf_only"] and truth["is_smtp"]):
                refused = list(get(event, "smtp.rcpt_refused", []))
                recipients = []
                for to in get(event, "smtp.rcpt_to"):
                    if to in refused:
                        refused.remove(to)
                    else:
                        recipients.append(text(to))
                mails.append((text(get(event, "smtp.mail_from")), recipients))
        return mails

    def check(self, joined, step=1):
        try:
            with open(os.path.join(CORPUS, "truth.jsonl"), encoding="utf-8") as file:
                truths = [json.loads(line) for line in file][::step]
        except OSError as error:
            raise unittest.SkipTest(f"no corpus: {error}; SMTPSNOOP_CORPUS names its folder") from error
        watch = Watch(self)
        ports = [(truth, play(load(truth["conv"]), joined)) for truth in truths]
        watch.stop()
        wrong = []
        for truth, pair in ports:
            events = [event for event in watch.messages() if (get(event, "source.port"), get(event, "destination.port")) == pair]
            seen, expected = self.seen(events, truth), self.expected(truth)
            if len(seen) == len(expected):  # a recipient whose reply was lost counts as not refused
                for event, one, (_, recipients) in zip(events, seen, expected):
                    if not get(event, "smtpsnoop.capture.complete"):
                        one[1][:] = [to for to in one[1] if to in recipients]
            if seen != expected or (events and not truth["is_smtp"]):
                wrong.append(f"{truth['conv']}: expected {expected}, saw {seen}")
        self.assertEqual(wrong, [], f"{len(wrong)} of {len(truths)} are wrong")
        self.assertGreater(len([truth for truth in truths if truth["is_smtp"]]), 0)
        self.assertEqual([event for event in watch.events if action(event) == "capture-loss" or
                          "commands_carry_data" in get(event, "smtpsnoop.reasons", [])], [])

    def test_as_captured(self):
        self.check(False, sized(3, 1))

    def test_joined(self):
        self.check(True)
