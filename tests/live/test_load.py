# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Nothing is lost under load: smtp-source sends 5,000 mails (20,000 in a long run) of 1 KiB at full speed. Each is
reported with the right process, and there is no capture-loss; also beside a bulk transfer.

One line per run, with the CPU time and memory that the program used, is appended to build/bench/live-load.txt.
SMTPSNOOP_LOAD sets another number of mails.
"""

import os
import shutil
import time
import unittest

from harness import LiveCase, ROOT, Sink, Watch, get, short, sized

MAILS = int(os.environ.get("SMTPSNOOP_LOAD", sized(1500, 20000)))
REPORT = os.path.join(ROOT, "build", "bench", "live-load.txt")

# Both ends of a connection that carries no mail, until standard input is closed.
BULK = """
import os, socket, sys, threading
import client
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    peer = listener.accept()[0]
    while peer.recv(1 << 20):
        pass
threading.Thread(target=serve, daemon=True).start()
sock = socket.create_connection(listener.getsockname())
client.signal.alarm(600)
print("ready", flush=True)
data, sent = os.urandom(65536), 0
stop = False
def wait():
    global stop
    sys.stdin.read()
    stop = True
threading.Thread(target=wait, daemon=True).start()
import time
while not stop:
    sock.sendall(data)
    sent += len(data)
    if sent % (1 << 24) == 0:
        time.sleep(0.005)
print(sent)
"""


class Load(LiveCase):
    limit_s = 400

    def usage(self, pid):
        """CPU seconds and peak resident MiB of a running process."""
        with open(f"/proc/{pid}/stat", "rb") as file:
            words = file.read().rsplit(b")", 1)[1].split()
        ticks = os.sysconf("SC_CLK_TCK")
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        return (int(words[11]) + int(words[12])) / ticks, peak / 1024

    def load(self, name, mails):
        sink = Sink(self)
        spool = self.path("events.json")
        watch = Watch(self, spool=spool)
        program = shutil.which("smtp-source") or "/usr/sbin/smtp-source"
        cpu_before, _ = self.usage(watch.pid)
        began = time.monotonic()
        source = self.spawn([program, "-s", "10", "-m", str(mails), "-l", "1024", "-N", "-f", "load@example.org",
                             "-t", "load@example.net", f"inet:127.0.0.1:{sink.port}"])
        self.finish(source, timeout_s=300)
        took = time.monotonic() - began
        mine = lambda event: get(event, "destination.port") == sink.port
        self.quiet(spool)
        cpu, peak = self.usage(watch.pid)
        stopped = watch.stop(losses=True)
        events = watch.messages(mine)
        self.note(f"{name}: {len(events)} of {mails} mails in {took:.1f} s ({mails / took:.0f}/s), smtpsnoop's CPU "
                  f"{(cpu - cpu_before) * 1000 / mails:.4f} s per 1000 messages, peak {peak:.1f} MiB")
        losses = watch.select(lambda event: get(event, "event.action") == "capture-loss")
        stats = get(stopped, "smtpsnoop.stats")
        self.assertEqual((len(events), len(losses)), (mails, 0), f"messages and capture-loss events; stats: {stats}")
        recipients = {get(event, "smtp.rcpt_to")[0] for event in events}
        self.assertEqual(len(recipients), mails, "some mail was reported for another")
        wrong = [event for event in events
                 if get(event, "process.pid") != source.pid
                 or get(event, "process.executable") != os.path.realpath(program)
                 or get(event, "event.outcome") != "success"
                 or get(event, "smtp.mail_from") != "load@example.org"
                 or get(event, "smtpsnoop.capture.complete") is not True]
        self.assertEqual(len(wrong), 0, f"{len(wrong)} of {mails} wrong, the first: {short(wrong[0]) if wrong else ''}")

    @staticmethod
    def quiet(spool):
        """Waits until nothing was written for 1.5 s: an event may be held for 0.5 s."""
        size, since = -1, time.monotonic()
        while time.monotonic() - since < 1.5:
            now = os.path.getsize(spool)
            if now != size:
                size, since = now, time.monotonic()
            time.sleep(0.1)

    @staticmethod
    def note(line):
        os.makedirs(os.path.dirname(REPORT), exist_ok=True)
        with open(REPORT, "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}\n")

    def test_mails_alone(self):
        self.load("smtp-source -s 10 -l 1024, alone", MAILS)

    def test_mails_beside_a_bulk_transfer(self):
        bulk = self.program("bulk.py", BULK, stdin=-1)
        self.assertEqual(bulk.stdout.readline(), b"ready\n")
        try:
            self.load("smtp-source -s 10 -l 1024, beside a bulk transfer", max(100, MAILS // 4))
        finally:
            output, _ = bulk.communicate(timeout=30)
        self.assertGreater(int(output), 1 << 20)


if __name__ == "__main__":
    unittest.main()
