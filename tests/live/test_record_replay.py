# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A recording has what happened: replay gives the events that a watch gave at the same time; only root can read the file;
it contains no AUTH secret; a cut file gives what comes before the cut; filters, --count and --duration work live and
in replay.
"""

import base64
import datetime
import json
import os
import pwd
import stat
import subprocess
import unittest

from harness import (LONG, LiveCase, PROGRAM, PYTHON_EXECUTABLE, Recorder, Server, Sink, Watch, action, get, replay,
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

# What two programs that watch the same mail cannot have alike, each with its reason.
UNLIKE = {
    "event.id": "an id is one event's, and these are two events",
    "event.duration": "the difference of two times below",
    "smtp.session_id": "numbered or drawn by each program for itself",
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


def messages(events):
    return [event for event in events if action(event) == "smtp-message"]


class RecordReplay(LiveCase):
    limit_s = 180

    def send(self, server, *recipients, **keywords):
        return self.run_program("client_program.py", CLIENT, server.port, *recipients, **keywords)[0]

    def test_replay_is_what_was_live(self):
        servers = [Server(self), Server(self, host="::1"), Sink(self)]
        path = self.path("r.rec")
        recorder, watch = Recorder(self, path), Watch(self)
        names = []
        for number in range(6):
            recipients = [unique("r"), unique("refuse-rcpt")]
            names += recipients
            server = servers[number % 3]
            program = CLIENT.replace("client.Session(port)", "client.Session(port, host=%r)" % server.host)
            user = ("root", "nobody", "daemon")[number % 3]
            self.run_program("client_program.py", program, server.port, *recipients, user=user, group="nogroup",
                             extra_groups=[])
        for name in names:
            watch.message(name)
        recorder.stop()
        watch.stop()
        live = {get(event, "smtp.rcpt_to")[0]: event for event in watch.messages()}
        again = {get(event, "smtp.rcpt_to")[0]: event for event in messages(replay(path))}
        self.assertTrue(set(names) <= set(live))
        for name in names:
            self.assertIn(name, again)
            self.assertEqual(alike(again[name]), alike(live[name]))
            for field in NEARLY:  # the recording's clock, not today's
                self.assertAlmostEqual(seconds(again[name], field), seconds(live[name], field), None, field,
                                       NEARLY_S)

    def test_replay_is_the_same_each_time(self):
        server, path = Server(self), self.path("r.rec")
        recorder = Recorder(self, path)
        self.send(server, unique("r"), unique("r"))
        recorder.stop()
        runs = [subprocess.run([PROGRAM, "replay", path, "-o", "json"], stdout=subprocess.PIPE, timeout=60).stdout
                for _ in range(2)]
        first, second = ([event for event in map(strict_json, run.splitlines()) if action(event) == "smtp-message"]
                         for run in runs)
        self.assertEqual(first, second)

    def test_replay_needs_no_root_and_no_originals(self):
        # Another host: the executable, the script and the user's processes are gone, only the file is there.
        server, path, recipient = Server(self), self.path("r.rec"), unique("r")
        recorder, watch = Recorder(self, path), Watch(self)
        pid = self.send(server, recipient, user="nobody", group="nogroup", extra_groups=[])
        live = watch.message(recipient)
        recorder.stop()
        watch.stop()
        os.unlink(self.path("client_program.py"))
        program = self.path("smtpsnoop")
        with open(PROGRAM, "rb") as source, open(program, "wb") as copy:
            copy.write(source.read())
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
        event = next(event for event in map(strict_json, done.stdout.splitlines())
                     if recipient in get(event, "smtp.rcpt_to", []))
        self.assert_mail(event, pid, "s@example.org", [recipient], server.port, "success", PYTHON_EXECUTABLE)
        self.assertEqual(alike(event), alike(live))
        self.assertEqual(get(event, "user.name"), "nobody")

    def test_file_mode(self):
        path = self.path("r.rec")
        before = os.umask(0)
        try:
            recorder = Recorder(self, path)
        finally:
            os.umask(before)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        recorder.stop()
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)

    def secrets(self, how, user_known=True):
        server, path, recipient = Server(self, "--auth"), self.path("r.rec"), unique("r")
        recorder, watch = Recorder(self, path), Watch(self)
        # the secret must not come in by way of the arguments: they are recorded as they are
        self.write("secret.py", f"SECRET = {SECRET!r}\n")
        program = AUTHENTICATE.replace("sys.argv[5]", "__import__('secret').SECRET")
        self.run_program("client_program.py", program, how, server.port, recipient, USER)
        live = watch.message(recipient)
        recorder.stop()
        watch.stop()
        with open(path, "rb") as file:
            data = file.read()
        texts = [data, b"".join(watch.lines), json.dumps(replay(path)).encode()]
        needles = [SECRET.encode(), base64.b64encode(SECRET.encode()).rstrip(b"=")[:-1],
                   base64.b64encode(f"\0{USER}\0{SECRET}".encode()).rstrip(b"=")[-20:-1]]
        for needle in needles:
            for text in texts:
                self.assertNotIn(needle, text)
        # and byte by byte: no long run of one-byte records spells it (each byte in a record of its own)
        self.assert_not_spelled(data, base64.b64encode(SECRET.encode())[:20])
        self.assertEqual(get(live, "smtp.auth.mechanism", "").upper(), "LOGIN" if "login" in how else "PLAIN")
        self.assert_mail(live, None, "s@example.org", [recipient], server.port)

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

    def test_secret_plain_initial(self):
        self.secrets("plain-initial")

    def test_secret_plain(self):
        self.secrets("plain")

    def test_secret_login(self):
        self.secrets("login")

    def test_secret_login_initial(self):
        if not LONG:
            self.skipTest("takes 3 s: make test-all runs it")
        self.secrets("login-initial")

    def test_secret_plain_byte_by_byte(self):
        self.secrets("plain-initial-bytes")

    def test_secret_plain_answer_byte_by_byte(self):
        if not LONG:
            self.skipTest("takes 4 s: make test-all runs it")
        self.secrets("plain-bytes")

    def test_secret_login_byte_by_byte(self):
        if not LONG:
            self.skipTest("takes 5 s: make test-all runs it")
        self.secrets("login-bytes")

    def test_secret_pipelined_before_the_greeting(self):
        self.secrets("plain-initial-piped")

    def test_truncated_recording(self):
        server, path = Server(self), self.path("r.rec")
        recorder = Recorder(self, path)
        names = [unique("r") for _ in range(10)]
        for name in names:
            self.send(server, name)
        recorder.stop()
        whole = [get(event, "smtp.rcpt_to")[0] for event in messages(replay(path))]
        size = os.path.getsize(path)
        os.truncate(path, size - 3)
        done = self.run_snoop("replay", path, "-o", "json", status=1)
        self.assert_one_line(done.stderr)
        rest = [get(event, "smtp.rcpt_to")[0] for event in messages(map(strict_json, done.stdout.splitlines()))]
        # all that came before is there; the last mail's end may be what was cut
        self.assertTrue(set(names[:9]) <= set(rest), "what came before the cut is missing")
        self.assertEqual(rest, whole[:len(rest)])
        os.truncate(path, size * 6 // 10)
        done = self.run_snoop("replay", path, "-o", "json")
        rest = [get(event, "smtp.rcpt_to")[0] for event in messages(map(strict_json, done.stdout.splitlines()))]
        self.assertTrue(0 < len(rest) < len(whole))

    def test_filters(self):
        """--pid, --user and --port, live and in replay, alike."""
        one, two, path = Server(self), Server(self), self.path("r.rec")
        recorder = Recorder(self, path)
        by_port, by_user = Watch(self, "--port", str(one.port)), Watch(self, "--user", "nobody")
        by_uid = Watch(self, "--user", str(pwd.getpwnam("nobody").pw_uid))
        names = {}
        for server in (one, two):
            for user in ("nobody", "daemon"):
                name = unique("r")
                names[name] = (server.port, user, self.send(server, name, user=user, group="nogroup", extra_groups=[]))
        pid = next(iter(names.values()))[2]
        recorder.stop()
        expected = {
            "port": {name for name, know in names.items() if know[0] == one.port},
            "user": {name for name, know in names.items() if know[1] == "nobody"},
            "pid": {name for name, know in names.items() if know[2] == pid},
        }
        for watch, key in ((by_port, "port"), (by_user, "user"), (by_uid, "user")):
            watch.wait_messages(lambda event: True, len(expected[key]))
            watch.stop()
            found = {get(event, "smtp.rcpt_to")[0] for event in watch.messages()}
            self.assertEqual(found & set(names), expected[key], f"live --{key}")
            self.assertEqual(found - set(names), set())
        for key, value in (("port", one.port), ("user", "nobody"), ("pid", pid)):
            found = {get(event, "smtp.rcpt_to")[0] for event in messages(replay(path, f"--{key}", str(value)))}
            self.assertEqual(found & set(names), expected[key], f"replay --{key}")
        found = messages(replay(path, "--port", str(one.port), "--user", "nobody"))
        self.assertEqual(len(found), 1)

    def test_filtered_recording(self):
        """The filters apply to the bytes that are recorded; what is recorded replays as it was live."""
        one, two = Server(self), Server(self)
        paths = {key: self.path(f"{key}.rec") for key in ("user", "port", "none")}
        recorders = [Recorder(self, paths["user"], "--user", "nobody"),
                     Recorder(self, paths["port"], "--port", str(two.port)),
                     Recorder(self, paths["none"], "--user", "nobody", "--port", "1")]
        watch = Watch(self)
        names = {}
        for server, user in ((one, "nobody"), (one, "daemon"), (two, "nobody"), (two, "daemon")):
            name = unique(f"{user}-r")
            names[name] = (server.port, user)
            # not by way of the arguments: those of every process are recorded
            self.run_program("client_program.py", CLIENT.replace("sys.argv[2:]", "[__import__('os').environ['TO']]"),
                             server.port, env={**os.environ, "TO": name}, user=user, group="nogroup", extra_groups=[])
        live = {name: watch.message(name) for name in names}
        for recorder in recorders:
            recorder.stop()
        watch.stop()
        expected = {"user": {name for name, (_, user) in names.items() if user == "nobody"},
                    "port": {name for name, (port, _) in names.items() if port == two.port}, "none": set()}
        for key, path in paths.items():
            with open(path, "rb") as file:
                data = file.read()
            self.assertEqual({name for name in names if name.encode() in data}, expected[key], key)
            again = {get(event, "smtp.rcpt_to")[0]: event for event in messages(replay(path))}
            self.assertEqual(set(again), expected[key], key)
            for name, event in again.items():
                self.assertEqual(alike(event), alike(live[name]))

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
        again = [get(event, "smtp.rcpt_to")[0] for event in messages(replay(path))]
        self.assertTrue(again, "nothing was recorded")
        self.assertEqual(again, names[:len(again)])
        self.assertLess(len(again), len(names))
        done = self.run_snoop("watch", "--max-size", "1MiB", status=2)
        self.assert_one_line(done.stderr, "--max-size", "only record")
        for wrong in ("0", "1000", "x", "1TiB", "99999999999GiB", "-1"):
            done = self.run_snoop("record", "--max-size", wrong, self.path("none.rec"), status=2)
            self.assert_one_line(done.stderr, "--max-size", "such as 100MiB")

    def test_pid_filter_live(self):
        server, recipient = Server(self), unique("r")
        program = CLIENT.replace("session = ", 'print("ready", flush=True)\nsys.stdin.readline()\nsession = ')
        process = self.program("client_program.py", program, server.port, recipient, stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        watch = Watch(self, "--pid", str(process.pid))
        self.send(server, unique("other"))
        process.communicate(b"\n", timeout=30)
        watch.message(recipient)
        watch.stop()
        self.assertEqual([get(event, "process.pid") for event in watch.messages()], [process.pid])

    def test_count_and_duration(self):
        server, path = Server(self), self.path("r.rec")
        recorder = Recorder(self, path)
        self.send(server, *[unique("r") for _ in range(6)])
        recorder.stop()
        self.assertEqual(len(messages(replay(path, "--count", "2"))), 2)
        self.assertEqual(len(messages(replay(path, "--port", str(server.port)))), 6)

    def test_record_for_a_duration(self):
        path = self.path("r.rec")
        done = self.run_snoop("record", path, "--duration", "1", status=0)
        self.assertEqual(done.stderr, b"")
        self.assertEqual(messages(replay(path)), [])

    def test_table_from_a_recording(self):
        server, path = Server(self), self.path("r.rec")
        recorder = Recorder(self, path)
        name = unique("r")
        self.send(server, name)
        recorder.stop()
        for output in ("table", "wide"):
            done = self.run_snoop("replay", path, "-o", output, "--port", str(server.port), status=0)
            self.assertNotIn(b"\x1b", done.stdout)
            self.assertIn(str(server.port).encode(), done.stdout)
        self.assertIn(name.encode(), done.stdout)


if __name__ == "__main__":
    unittest.main()
