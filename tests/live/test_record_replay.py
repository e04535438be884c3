# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A recording has what happened: replay gives the events that a watch gave at the same time; only root can read the file;
it contains no AUTH secret; a cut file gives what comes before the cut; filters, --count and --duration work live and
in replay.

Each start of the program costs more than all of these mails together, so that all tests but the last two share one set of runs.
"""

import base64
import datetime
import json
import os
import pwd
import shutil
import stat
import subprocess
import unittest

from harness import (LiveCase, PROGRAM, PYTHON_EXECUTABLE, Recorder, Server, Sink, Watch, action, get, replay,
                     strict_json, unique)

CLIENT = """
import sys
import client
port, recipients = int(sys.argv[1]), sys.argv[2:]
session = client.Session(port)
for recipient in recipients:
    session.mail("s@example.org", recipient)
session.quit()
"""

SECRET = "open-sesame-41d7c09f"
USER = "mailbox-owner"

AUTHENTICATE = r"""
import base64, socket, sys, time
import client
how, port, recipient, user, secret = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5]

def put(sock, data):
    if "bytes" not in how:
        sock.sendall(data)
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(len(data)):
        sock.send(data[at:at + 1])

def coded(text):
    return base64.b64encode(text.encode())

plain = coded("\0" + user + "\0" + secret)
session = client.Session(port, put=put, greet="piped" not in how)
if "piped" in how:
    data = b"EHLO c\r\nAUTH PLAIN " + plain + b"\r\nMAIL FROM:<s@example.org>\r\nRCPT TO:<" + recipient.encode()
    session.send(data + b">\r\nDATA\r\n" + client.message() + b".\r\nQUIT\r\n")
    client.drain(session.sock)
    sys.exit()
if "plain-initial" in how:
    assert session.command(b"AUTH PLAIN " + plain) == 235
elif "plain" in how:
    assert session.command("AUTH PLAIN") == 334
    assert session.command(plain) == 235
elif "login-initial" in how:
    assert session.command(b"auth login " + coded(user)) == 334
    assert session.command(coded(secret)) == 235
elif "login" in how:
    assert session.command("AUTH LOGIN") == 334
    assert session.command(coded(user)) == 334
    assert session.command(coded(secret)) == 235
assert session.mail("s@example.org", recipient) == 250
session.quit()
"""

SECRET_WAYS = ("plain-initial", "plain", "login", "login-initial", "plain-initial-bytes", "plain-bytes", "login-bytes",
               "plain-initial-piped")

# What two programs that watch the same mail, or a watch and a replay, cannot have alike, each with its reason.
UNLIKE = {
    "event.id": "an id is one event's, and these are two events",
    "event.duration": "the difference of two times below",
    "smtp.session_id": "numbered or drawn by each program for itself",
    "smtp.auth.user": "it was exchanged together with the secret, and a recording has none of that",
}

# What they have nearly alike: the kernel's clock as each program's hook read it, turned into time of day by
# an offset that each program measures for itself.
NEARLY = ("@timestamp", "event.start", "event.end", "process.start")
NEARLY_S = 0.02


def flat(event, path=""):
    """Every leaf of an event by its dotted name."""
    if not isinstance(event, dict):
        return {path: event}
    leaves = {}
    for name, value in event.items():
        leaves.update(flat(value, f"{path}.{name}" if path else name))
    return leaves


def alike(event):
    event = {name: value for name, value in event.items() if name != "_arrived"}
    return {path: value for path, value in flat(event).items() if path not in UNLIKE and path not in NEARLY}


def seconds(event, path):
    return datetime.datetime.fromisoformat(get(event, path).replace("Z", "+00:00")).timestamp()


def event_name(event):
    return get(event, "smtp.rcpt_to")[0]


def messages(events):
    return [event for event in events if action(event) == "smtp-message"]


class RecordReplay(LiveCase):
    """One recording of everything and a watch beside it; for some of the mails, filtered ones beside both. They all have
    ended when the first test looks at them. No test changes a file of theirs."""

    limit_s = 180

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.case = case = cls("send")  # its folder and its processes last as long as the class
        cls.addClassCleanup(case.doCleanups)
        case.setUp()
        cls.server, cls.other, cls.row_server = Server(cls), Server(cls), Server(cls)
        cls.waiting = case.waiting_client()
        cls.start(case)
        names = case.send_in_every_way()
        cls.auth_port, cls.auth_names = case.send_secrets()
        case.send_filtered()
        cls.row = [unique("r") for _ in range(10)]
        cls.row_pids = [case.send(cls.row_server, name, user="nobody", group="nogroup", extra_groups=[])
                        for name in cls.row]
        cls.names = {*names, *cls.auth_names.values(), *cls.filtered, cls.waiting_name, *cls.row}
        case.end()

    @classmethod
    def start(cls, case):
        cls.paths = {key: case.path(f"{key}.rec") for key in ("all", "user", "port", "none")}
        before = os.umask(0)
        try:
            cls.recorder = Recorder(cls, cls.paths["all"])
        finally:
            os.umask(before)
        cls.mode_at_start = stat.S_IMODE(os.stat(cls.paths["all"]).st_mode)
        cls.watch = Watch(cls)

    def end(self):
        for name in self.names:
            self.watch.message(name)
        self.recorder.stop()
        self.watch.stop()
        for name in ("client_program.py", "secret.py"):
            os.unlink(self.path(name))

    def send(self, server, *recipients, program=CLIENT, **keywords):
        return self.run_program("client_program.py", program, server.port, *recipients, **keywords)[0]

    def waiting_client(self):
        """A client that was there before the watches, and sends when it reads a line."""
        type(self).waiting_name = unique("r")
        program = CLIENT.replace("session = ", 'print("ready", flush=True)\nsys.stdin.readline()\nsession = ')
        process = self.program("waiting.py", program, self.server.port, self.waiting_name, stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def send_in_every_way(self):
        servers = [self.server, Server(type(self), host="::1"), Sink(type(self))]
        names = []
        for number in range(6):
            recipients = [unique("r"), unique("refuse-rcpt")]
            names += recipients
            server = servers[number % 3]
            self.send(server, *recipients,
                      program=CLIENT.replace("client.Session(port)", "client.Session(port, host=%r)" % server.host),
                      user=("root", "nobody", "daemon")[number % 3], group="nogroup", extra_groups=[])
        return names

    def send_secrets(self):
        """One mail for each way to hand over a secret; returns the server's port and the recipients."""
        server = Server(type(self), "--auth")
        # the secret must not come in by way of the arguments: they are recorded as they are
        self.write("secret.py", f"SECRET = {SECRET!r}\n")
        program = AUTHENTICATE.replace("sys.argv[5]", "__import__('secret').SECRET")
        names = {how: unique("r") for how in SECRET_WAYS}
        for how, name in names.items():
            self.run_program("client_program.py", program, how, server.port, name, USER)
        return server.port, names

    def send_filtered(self):
        """What the runs with a filter see; they end here."""
        cls = type(self)
        cls.filters = {"user": ("--user", "nobody"), "port": ("--port", str(self.other.port)),
                       "none": ("--user", "nobody", "--port", "1")}
        cls.recorders = {key: Recorder(cls, self.paths[key], *options) for key, options in self.filters.items()}
        cls.by_uid = Watch(cls, "--user", str(pwd.getpwnam("nobody").pw_uid), "--port", str(self.server.port))
        cls.by_pid = Watch(cls, "--pid", str(self.waiting.pid))
        cls.filtered = self.send_as_two_users()
        self.waiting.communicate(b"\n", timeout=30)
        self.by_pid.message(self.waiting_name)
        for run in (*self.recorders.values(), self.by_uid, self.by_pid):
            run.stop()

    def send_as_two_users(self):
        """The server's port, the user and the pid of each mail, by its recipient."""
        names = {}
        for server in (self.server, self.other):
            for user in ("nobody", "daemon"):
                name = unique(f"{user}-r")
                # not by way of the arguments: those of every process are recorded
                program = CLIENT.replace("sys.argv[2:]", "[__import__('os').environ['TO']]")
                names[name] = (server.port, user, self.send(server, program=program, env={**os.environ, "TO": name},
                                                            user=user, group="nogroup", extra_groups=[]))
        return names

    def replay(self, *options, key="all"):
        return messages(replay(self.paths[key], *options))

    def test_replay_is_what_was_live(self):
        live, again = ({event_name(event): event for event in events}
                       for events in (self.watch.messages(), self.replay()))
        self.assertTrue(self.names <= set(live))
        for name in self.names:
            self.assertIn(name, again)
            self.assertEqual(alike(again[name]), alike(live[name]))
            for field in NEARLY:  # the recording's clock, not today's
                self.assertAlmostEqual(seconds(again[name], field), seconds(live[name], field), None, field, NEARLY_S)

    def test_replay_is_the_same_each_time(self):
        runs = [self.run_snoop("replay", self.paths["all"], "-o", "json", status=0).stdout for _ in range(2)]
        first, second = (messages(map(strict_json, run.splitlines())) for run in runs)
        self.assertGreater(len(first), 1)
        self.assertEqual(first, second)

    def test_replay_needs_no_root_and_no_originals(self):
        # Another host: the executable, the script and the user's processes are gone, only the file is there.
        self.assertFalse(os.path.exists(self.case.path("client_program.py")))
        path, program = shutil.copy(self.paths["all"], self.path("r.rec")), shutil.copy(PROGRAM, self.path("smtpsnoop"))
        os.chmod(path, 0o600)
        os.chmod(program, 0o755)
        with open(path, "rb") as file:
            done = subprocess.run(["setpriv", "--reuid", "daemon", "--regid", "daemon", "--clear-groups",
                                   "unshare", "-Ur",
                                   program, "replay", "/dev/stdin", "-o", "json"], stdin=file, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=60)
        if done.returncode != 0:  # a pipe or /dev/stdin may be refused; a readable copy must not be
            os.chmod(path, 0o644)
            done = subprocess.run(["setpriv", "--reuid", "daemon", "--regid", "daemon", "--clear-groups", program,
                                   "replay", path, "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        recipient = self.row[0]
        event = next(event for event in map(strict_json, done.stdout.splitlines())
                     if recipient in get(event, "smtp.rcpt_to", []))
        self.assert_mail(event, self.row_pids[0], "s@example.org", [recipient], self.row_server.port, "success",
                         PYTHON_EXECUTABLE)
        self.assertEqual(alike(event), alike(self.watch.message(recipient)))
        self.assertEqual(get(event, "user.name"), "nobody")

    def test_file_mode(self):
        self.assertEqual(self.mode_at_start, 0o600)
        for path in self.paths.values():
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)

    def test_secrets(self):
        with open(self.paths["all"], "rb") as file:
            data = file.read()
        texts = [data, b"".join(self.watch.lines), json.dumps(replay(self.paths["all"])).encode()]
        needles = [SECRET.encode(), base64.b64encode(SECRET.encode()).rstrip(b"=")[:-1],
                   base64.b64encode(f"\0{USER}\0{SECRET}".encode()).rstrip(b"=")[-20:-1]]
        for needle in needles:
            for text in texts:
                self.assertNotIn(needle, text)
        # and byte by byte: no long run of one-byte records spells it (each byte in a record of its own)
        self.assert_not_spelled(data, base64.b64encode(SECRET.encode())[:20])
        for how, name in self.auth_names.items():
            with self.subTest(how):
                live = self.watch.message(name)
                self.assertEqual(get(live, "smtp.auth.mechanism", "").upper(), "LOGIN" if "login" in how else "PLAIN")
                self.assert_mail(live, None, "s@example.org", [name], self.auth_port)

    def assert_not_spelled(self, data, needle):
        """No fixed stride at which the needle's bytes stand, as they would in one-byte records of one size."""
        start = data.find(needle[:1])
        while start >= 0:
            second = data.find(needle[1:2], start + 1, start + 4096)
            while second >= 0:
                stride = second - start
                if data[start:start + stride * len(needle):stride] == needle:
                    self.fail(f"the secret is at {start}, one byte every {stride} bytes")
                second = data.find(needle[1:2], second + 1, start + 4096)
            start = data.find(needle[:1], start + 1)

    def test_truncated_recording(self):
        path = shutil.copy(self.paths["all"], self.path("r.rec"))
        whole = [event_name(event) for event in self.replay()]
        self.assertEqual(whole[-len(self.row):], self.row)
        size = os.path.getsize(path)
        os.truncate(path, size - 3)
        done = self.run_snoop("replay", path, "-o", "json", status=1)
        self.assert_one_line(done.stderr)
        rest = [event_name(event) for event in messages(map(strict_json, done.stdout.splitlines()))]
        # all that came before is there; the last mail's end may be what was cut
        self.assertTrue(set(whole[:-1]) <= set(rest), "what came before the cut is missing")
        self.assertEqual(rest, whole[:len(rest)])
        os.truncate(path, size * 6 // 10)
        done = self.run_snoop("replay", path, "-o", "json")
        rest = [event_name(event) for event in messages(map(strict_json, done.stdout.splitlines()))]
        self.assertTrue(0 < len(rest) < len(whole))

    def test_filters(self):
        """--pid, --user and --port, live and in replay, alike."""
        expected = self.sent_by(self.server, "nobody")
        self.assertEqual(self.found(self.by_uid.messages()), expected)
        for user in ("nobody", str(pwd.getpwnam("nobody").pw_uid)):
            found = self.replay("--port", str(self.server.port), "--user", user)
            self.assertEqual(self.found(found) & set(self.filtered), expected)
        self.assertEqual([(get(event, "process.pid"), event_name(event)) for event in self.by_pid.messages()],
                         [(self.waiting.pid, self.waiting_name)])
        for name, (_, _, pid) in self.filtered.items():
            self.assertEqual([event_name(event) for event in self.replay("--pid", str(pid))], [name])

    def sent_by(self, server=None, user=None):
        """The recipients to whom a user sent by a server; None: any."""
        return {name for name, (port, by, _) in self.filtered.items()
                if (not server or port == server.port) and (not user or by == user)}

    def found(self, events):
        """The recipients of events, without those of other people's mail on this host."""
        return {event_name(event) for event in events} & self.names

    def test_filtered_recording(self):
        """The filters apply to the bytes that are recorded; what is recorded replays as it was live."""
        expected = {"user": self.sent_by(user="nobody"), "port": self.sent_by(self.other), "none": set()}
        live = {event_name(event): event for event in self.watch.messages()}
        for key, names in expected.items():
            with open(self.paths[key], "rb") as file:
                data = file.read()
            self.assertEqual({name for name in self.filtered if name.encode() in data}, names, key)
            again = self.replay(key=key)
            for events in (self.recorders[key].messages(), again):
                self.assertEqual(self.found(events), names, key)
            for event in again:
                if event_name(event) in names:
                    self.assertEqual(alike(event), alike(live[event_name(event)]))
        for key in ("user", "port"):
            self.assertEqual(self.found(self.replay(*self.filters[key])) & set(self.filtered), expected[key])

    def test_count(self):
        self.assertEqual(len(self.replay("--count", "2")), 2)
        self.assertEqual(len(self.replay("--port", str(self.row_server.port))), len(self.row))

    def test_table_from_a_recording(self):
        for output in ("table", "wide"):
            port = str(self.row_server.port)
            done = self.run_snoop("replay", self.paths["all"], "-o", output, "--port", port, status=0)
            self.assertNotIn(b"\x1b", done.stdout)
            self.assertIn(port.encode(), done.stdout)
        for name in self.row:
            self.assertIn(name.encode(), done.stdout)


class Ends(LiveCase):
    """Recordings that end by themselves."""

    def test_max_size(self):
        """The recording ends at its size, says so, and is whole."""
        server, path, size = Server(self), self.path("r.rec"), 300 << 10
        recorder = Recorder(self, path, "--max-size", "300KiB")
        program = CLIENT.replace('recipient)', 'recipient, b"x" * 60000 + b"\\r\\n")')
        names = [unique("r") for _ in range(12)]
        self.run_program("client_program.py", program, server.port, *names)
        stopped = recorder.finished(warnings=1)
        self.assert_one_line(recorder.stderr, path, "--max-size", "ends here")
        self.assertEqual(get(stopped, "event.reason"), "size reached")
        self.assertLessEqual(os.path.getsize(path), size)
        self.assertGreater(os.path.getsize(path), size - 40000)
        again = [event_name(event) for event in messages(replay(path))]
        self.assertTrue(again, "nothing was recorded")
        self.assertEqual(again, names[:len(again)])
        self.assertLess(len(again), len(names))
        done = self.run_snoop("watch", "--max-size", "1MiB", status=2)
        self.assert_one_line(done.stderr, "--max-size", "only record")
        for wrong in ("0", "1000", "x", "1TiB", "99999999999GiB", "-1"):
            done = self.run_snoop("record", "--max-size", wrong, self.path("none.rec"), status=2)
            self.assert_one_line(done.stderr, "--max-size", "such as 100MiB")

    def test_record_for_a_duration(self):
        path = self.path("r.rec")
        done = self.run_snoop("record", path, "--duration", "1", status=0)
        self.assertEqual(done.stderr, b"")
        self.assertEqual(messages(replay(path)), [])


if __name__ == "__main__":
    unittest.main()
