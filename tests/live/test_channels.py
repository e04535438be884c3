# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Data in the commands of sessions that bring no mail: each channel, over a real socket, is an alert with its bytes, a
reason and the process; an exclusion can cover it. tests/replay/test_channels.py has more of them.
"""

import unittest

from harness import LiveCase, Server, Watch, action, get

PIECE, PIECES = 200, 40

CLIENT = """
import os, sys
import client
port = int(sys.argv[1])

def pieces():
    return [b"%%08d" %% number + b"x" * %d for number in range(%d)]

def each(before, after=b""):
    return [before + piece + after for piece in pieces()]

channels = {
    "vrfy-at-once": (False, [b"\\r\\n".join(each(b"VRFY "))]),
    "vrfy": (False, each(b"VRFY ")),
    "noop": (False, each(b"NOOP ")),
    "unknown": (False, each(b"XDATA ")),
    "help": (True, each(b"HELP ")),
    "helo": (True, each(b"HELO ")),
    "auth": (True, each(b"AUTH PLAIN ")),
    "rcpt": (True, each(b"RCPT TO:<", b"@x>")),
    "mail-rset": (True, [line for one in each(b"MAIL FROM:<", b"@x>") for line in (one, b"RSET")]),
    "behind-data": (True, [b"DATA"] + pieces()),
    "behind-quit": (True, [b"QUIT"]),
}
for name, (greet, lines) in channels.items():
    sock = client.connect(port)
    print(name, sock.getsockname()[1], flush=True)
    session = client.Session(sock=sock, greet=greet)
    if not greet:
        session.reply()
    for line in lines:
        session.send(line + b"\\r\\n")
        for _ in line.split(b"\\r\\n"):
            session.reply()
    if name == "behind-quit":  # the server does not read it any more
        session.send(b"".join(pieces()))
    sock.close()
""" % (PIECE - 8, PIECES)


class Channels(LiveCase):
    def channels(self, watch, server):
        """Runs the client: {name of the channel: its session event}, and the client's pid."""
        program = self.program("channels.py", CLIENT, str(server.port))
        output = self.finish(program)
        ports = {int(port): name for name, port in (line.split() for line in output.decode().splitlines())}
        found = watch.wait(lambda event: action(event) == "smtp-session" and get(event, "source.port") in ports,
                           len(ports), what="sessions")
        return {ports[get(event, "source.port")]: event for event in found}, program.pid

    def test_each(self):
        watch, server = Watch(self), Server(self)
        events, pid = self.channels(watch, server)
        watch.stop()
        self.assertEqual(len(events), 11)
        for name, event in events.items():
            with self.subTest(name):
                self.assertEqual((get(event, "event.kind"), get(event, "smtpsnoop.verdict")), ("alert", "alert"))
                self.assertIn("commands_carry_data", get(event, "smtpsnoop.reasons"))
                self.assertGreaterEqual(get(event, "smtp.command_bytes"), PIECE * PIECES - 1024)
                self.assertLess(get(event, "smtp.command_bytes"), PIECE * PIECES * 1.2)
                self.assertEqual(get(event, "process.pid"), pid)
                self.assertTrue(get(event, "smtpsnoop.capture.complete"))
        for name, verb in (("vrfy-at-once", "VRFY "), ("vrfy", "VRFY "), ("noop", "NOOP "), ("unknown", "XDATA ")):
            with self.subTest(name):
                lines = PIECES * (len(verb) + PIECE + 2)
                self.assertEqual(get(events[name], "source.bytes"), lines)
                self.assertEqual(get(events[name], "destination.bytes"), get(events[name], "smtp.reply_bytes"))

    def test_excluded(self):
        server = Server(self)
        config = self.write("one.yaml", "exclusions: [ { name: probe, process: { user: root }, "
                                        f"relay: '127.0.0.1:{server.port}' }} ]\n", 0o600)
        watch = Watch(self, "--all", "-c", config)
        events, _ = self.channels(watch, server)
        watch.stop()
        self.assertEqual({get(event, "smtpsnoop.exclusion") for event in events.values()}, {"probe"})
        self.assertEqual({get(event, "event.kind") for event in events.values()}, {"event"})


if __name__ == "__main__":
    unittest.main()
