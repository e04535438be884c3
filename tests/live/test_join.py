# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A flood of mail does not become a flood of output: the daemon joins alike events (smtpsnoop.yaml(5), JOINED EVENTS).

One user streams MAIL, RCPT, RSET without waiting for replies, with the same domains or with others each time, on one
connection and on four. Another user sends single mails. The output stays small, every message is counted, and the other
user's mails are reported one by one.
"""

import os
import time
import unittest

from daemon import Bench, Daemon, events
from harness import EVENT_S, LONG, SLOW, Server, Sink, action, get, sized, unique, validate, wait_for

FLOOD_S = sized(3, 10)
OUTPUT_MAX = 1000000  # bytes

# Streams transactions on several connections for some seconds. Prints how many on all of them.
FLOOD = """
import sys, threading, time
import client
port, connections, seconds, varied, rate = (int(word) for word in sys.argv[1:6])
BATCH = 100
def batch(number):
    lines = []
    for i in range(BATCH):
        name = f"{number}-{i}." if varied else ""
        lines.append(f"MAIL FROM:<a@{name}flood.example>\\r\\nRCPT TO:<b@{name}victim.example>\\r\\nRSET\\r\\n")
    return "".join(lines).encode()
batches = [batch(number) for number in range(200 if varied else 1)]
def drain(sock):
    while sock.recv(1 << 16):
        pass
def run(counts, index):
    session = client.Session(port)
    threading.Thread(target=drain, args=(session.sock,), daemon=True).start()
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        session.sock.sendall(batches[counts[index] // BATCH % len(batches)])
        counts[index] += BATCH
        time.sleep(max(0, began + counts[index] / rate - time.monotonic()))
    time.sleep(1)
    session.sock.close()
counts = [0] * connections
threads = [threading.Thread(target=run, args=(counts, i)) for i in range(connections)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(counts))
"""

# One mail to each recipient, all in one session.
MAIL = """
import sys
import client
session = client.Session(int(sys.argv[1]))
for recipient in sys.argv[2:]:
    session.mail("b@corp.example", [recipient], client.message())
"""


def joined(event):
    """How many events this one stands for."""
    return get(event, "smtpsnoop.joined.count", 1)


def is_mail(event):
    return action(event) == "smtp-message" and get(event, "smtpsnoop.final")


class Joining(Bench):
    """Each test has a daemon of its own, with one file."""

    def config(self, **alerts):
        return {"alerts": alerts, "heartbeat": "1h",
                "outputs": [{"type": "json", "path": self.path("events.json"), "name": "file"}]}

    def start(self, **alerts):
        self.file = self.path("events.json")
        self.daemon = Daemon(self, self.work, self.config(**alerts))

    def stop(self):
        """Ends the daemon. Returns its events, which stand for what the counters say."""
        self.daemon.stop()
        whole = events(self.file)
        validate(whole)
        stats = get(whole[-1], "smtpsnoop.stats")
        self.assertEqual(sum(joined(event) for event in whole if is_mail(event)), stats["messages"])
        self.assertEqual(sum(joined(event) for event in whole if action(event) == "smtp-session"), stats["sessions"])
        self.assertEqual(sum(get(event, "smtpsnoop.joined.count", 0) for event in whole), stats.get("joined", 0))
        self.assertEqual(len({get(event, "event.id") for event in whole}), len(whole))
        return whole


class Flood(Joining):
    def flood(self, port, connections, varied, rate):
        return self.program("flood.py", FLOOD, port, connections, FLOOD_S, int(varied), rate, user="nobody",
                            group="nogroup")

    def check_flood(self, connections, varied):
        """Floods at a rate at which the kernel side loses nothing, so that every message can be counted."""
        self.start()
        sink, other_sink = Sink(self), Sink(self)  # a busy server would delay the other user
        flooder = self.flood(sink.port, connections, varied, 10000 // connections)
        others = []
        while flooder.poll() is None:
            others.append(f"b@host-{len(others)}.example")
            self.run_program("mail.py", MAIL, other_sink.port, others[-1], user="daemon", group="daemon")
            time.sleep(0.3)
        sent = int(self.finish(flooder))
        self.assertGreater(sent, 1000)
        self.assertGreater(len(others), 5)
        wait_for(lambda: any(get(event, "smtp.rcpt_to") == others[-1:] for event in events(self.file)), EVENT_S,
                 "the last mail of the other user")
        self.assertLess(os.path.getsize(self.file), OUTPUT_MAX)
        whole = self.stop()
        self.assertLess(os.path.getsize(self.file), OUTPUT_MAX)
        lost = [event for event in whole if action(event) == "capture-loss"]
        mails = [event for event in whole if is_mail(event)]
        if not lost:
            self.assertEqual(sum(joined(event) for event in mails), sent + len(others))
            single = [get(event, "smtp.rcpt_to")[0] for event in mails
                      if get(event, "user.name") == "daemon" and not get(event, "smtpsnoop.joined")]
            self.assertEqual(sorted(single), sorted(others))
        return bool(lost), [event for event in mails if get(event, "user.name") == "nobody"]

    def test_alike(self):
        lost, mails = self.check_flood(1, False)
        # The first envelopes that are given up are questions and no alerts, the others are a channel. If many replies
        # are owed, what became of some is unknown.
        mails = [event for event in mails if get(event, "smtpsnoop.verdict") == "alert" and
                 get(event, "smtpsnoop.result") == "asked"]
        self.assertEqual([joined(event) for event in mails[:5]], [1] * 5)
        if lost:  # on a busy machine: mails with missing bytes are of other kinds
            return
        self.assertEqual(len(mails), 6)
        self.assertIsNone(get(mails[5], "smtpsnoop.joined.differ"))
        self.assertEqual(get(mails[5], "smtpsnoop.joined.recipients"), joined(mails[5]))
        self.assertEqual(len(get(mails[5], "smtpsnoop.joined.event_ids")), 8)
        self.assertLess(get(mails[5], "smtpsnoop.joined.first"), get(mails[5], "smtpsnoop.joined.last"))

    def test_varied(self):
        _, mails = self.check_flood(4, True)
        self.assertGreater(len(mails), 50)
        self.assertEqual(get(max(mails, key=joined), "smtpsnoop.joined.differ")[:2], ["mail.sender", "mail.recipients"])


class Times(Joining):
    def send(self, count):
        self.run_program("mail.py", MAIL, self.server.port, *(unique() for _ in range(count)), user="daemon",
                         group="daemon")

    def mails(self):
        return [joined(event) for event in events(self.file) if is_mail(event)]

    def test_the_interval_ends_without_another_mail(self):
        if not LONG:
            self.skipTest("takes 8 s: make test-all runs it")
        self.server = Server(self)
        self.start(join="3s", after=2)
        self.send(5)
        wait_for(lambda: self.mails() == [1, 1, 3], 5 * SLOW, lambda: f"the joined event: {self.mails()}")
        self.send(1)  # the flood continues: this one is joined, too
        wait_for(lambda: self.mails() == [1, 1, 3, 1], 5 * SLOW, lambda: f"the next one: {self.mails()}")
        self.assertEqual(get([one for one in events(self.file) if is_mail(one)][3], "smtpsnoop.joined.count"), 1)
        self.stop()

    def test_a_reload_changes_it(self):
        self.server = Server(self)
        self.start(join="1h", after=2)
        self.send(4)
        wait_for(lambda: self.mails() == [1, 1], 3 * SLOW, "two mails")
        self.daemon.configure(self.config(join=False))
        self.daemon.hup()
        wait_for(lambda: self.mails() == [1, 1, 2], 3 * SLOW, lambda: f"what was joined: {self.mails()}")
        self.send(3)
        wait_for(lambda: self.mails() == [1, 1, 2, 1, 1, 1], 3 * SLOW, lambda: f"every mail: {self.mails()}")
        self.stop()


if __name__ == "__main__":
    unittest.main()
