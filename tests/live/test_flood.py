# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A flood hurts only who makes it: while user A streams MAIL, RCPT and RSET as fast as a server takes them, or holds
thousands of transactions open, each mail of user B is reported within 2 s, with its process and its outcome."""

import os
import pwd
import resource
import socket
import threading
import time

from harness import LONG, LiveCase, SLOW, Server, Watch, action, get, sized, wait_for

FLOOD_S = sized(3, 10)
PAUSE_S = 0.3
LIMIT_S = 2 * SLOW
OPEN = sized(17000, 47500)
ATTACKER = pwd.getpwnam("nobody").pw_uid
BLOCK = b"MAIL FROM:<a@h.test>\r\nRCPT TO:<b@h.test>\r\nRSET\r\n" * 1000

# The flood's server: it accepts everything. argv: connections.
SINK = """
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
print(listener.getsockname()[1], flush=True)
def serve(connection):
    connection.sendall(b"220 sink\\r\\n")
    try:
        while data := connection.recv(1 << 20):
            connection.sendall(b"250 ok\\r\\n" * data.count(b"\\n"))
    except OSError:
        pass
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

FLOOD = """
import socket, sys, threading, time
port, seconds = int(sys.argv[1]), float(sys.argv[2])
sock = socket.create_connection(("127.0.0.1", port))
threading.Thread(target=lambda: [0 for _ in iter(lambda: sock.recv(1 << 20), b"")], daemon=True).start()
sock.sendall(b"EHLO flood\\r\\n")
time.sleep(0.2)
block, end = %r, time.monotonic() + seconds
while time.monotonic() < end:
    sock.sendall(block)
""" % BLOCK

# A server that answers everything at the accept, and a client that opens transactions. argv: connections, seconds.
OPENER = """
import os, pwd, signal, socket, sys, time
count, seconds = int(sys.argv[1]), float(sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
server = os.fork()
if server == 0:
    kept = []
    while True:
        connection, _ = listener.accept()
        connection.sendall(b"220 open\\r\\n" + b"250 ok\\r\\n" * 3)
        kept.append(connection)
client = os.fork()
if client == 0:
    os.setuid(pwd.getpwnam("nobody").pw_uid)
    kept = []
    for number in range(count):
        sock = socket.create_connection(listener.getsockname())
        sock.sendall(b"EHLO x\\r\\nMAIL FROM:<a%d@h.test>\\r\\nRCPT TO:<b@h.test>\\r\\n" % number)
        kept.append(sock)
    time.sleep(seconds)
    os._exit(0)
os.waitpid(client, 0)
os.kill(server, signal.SIGKILL)
"""


class Flood(LiveCase):
    limit_s = 240

    def mails(self, server, until):
        """Sends a mail each PAUSE_S until the function says true; returns when each recipient's mail was accepted."""
        sent = {}
        while not until():
            recipient = f"honest-{len(sent)}@example.net"
            with socket.create_connection((server.host, server.port), timeout=20) as sock:
                lines = sock.makefile("rb")
                lines.readline()
                for line in (b"HELO b", b"MAIL FROM:<b@example.org>", b"RCPT TO:<%s>" % recipient.encode(), b"DATA",
                             b"Subject: x\r\n\r\nhello\r\n."):
                    sock.sendall(line + b"\r\n")
                    lines.readline()
                sent[recipient] = time.monotonic()
            time.sleep(PAUSE_S)
        return sent

    def check(self, watch, sent):
        self.assertGreater(len(sent), 5)
        for recipient, when in sent.items():
            event = watch.message(recipient)
            self.assertLess(event["_arrived"] - when, LIMIT_S, recipient)
            self.assert_mail(event, os.getpid(), "b@example.org", [recipient])

    def flood(self, connections):
        sink = self.spawn(["/usr/bin/python3", self.write("sink.py", SINK)], stdout=-1)
        port, server = int(sink.stdout.readline()), Server(self)
        watch = Watch(self, "--user", "root", "--all")
        flood = self.write("flood.py", FLOOD)
        floods = [self.spawn(["/usr/bin/python3", flood, str(port), str(FLOOD_S)], user=ATTACKER)
                  for _ in range(connections)]
        sent = self.mails(server, lambda: all(one.poll() is not None for one in floods))
        self.check(watch, sent)
        losses = watch.wait(lambda event: action(event) == "capture-loss" and get(event, "smtpsnoop.dropped"))
        for event in losses:
            self.assertEqual([get(one, "user.id") for one in get(event, "smtpsnoop.dropped")], [str(ATTACKER)])
        watch.stop(losses=True)

    def test_one_connection(self):
        if not LONG:
            self.skipTest("takes 6 s: make test-all runs it")
        self.flood(1)

    def test_four_connections(self):
        self.flood(4)

    def test_open_transactions(self):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        per_process = min(limit - 100, OPEN)
        server = Server(self)
        watch = Watch(self, "--user", "root", "--all")
        opener = self.write("opener.py", OPENER)
        openers = [self.spawn(["sh", "-c", "ulimit -n $(ulimit -H -n); exec /usr/bin/python3 \"$@\"", "sh", opener,
                               str(per_process), str(FLOOD_S)]) for _ in range(-(-OPEN // per_process))]
        sent = self.mails(server, lambda: all(one.poll() is not None for one in openers))
        self.check(watch, sent)
        watch.stop(losses=True)
