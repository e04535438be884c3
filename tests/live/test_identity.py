# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Over 600 lines: every way to hide who sends is one small test, and they share their helpers.
"""The right process is named, whatever the sender does to hide: it is killed at once, is renamed, changes its uid,
deletes or swaps its executable, is a script, calls exec between two mails, becomes a daemon, passes its socket to a
child, uses threads or other namespaces. What is not known for certain is not claimed.
"""

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import time
import unittest

from harness import LiveCase, PYTHON, PYTHON_EXECUTABLE, Server, Watch, get, short, unique, unshare_works

NOBODY = pwd.getpwnam("nobody").pw_uid
DAEMON = pwd.getpwnam("daemon").pw_uid

ONE_MAIL = """
import sys
import client
port, sender, recipient = int(sys.argv[1]), sys.argv[2], sys.argv[3]
session = client.Session(port)
session.mail(sender, recipient)
session.quit()
"""

# The same, but it waits for a line on standard input: the test does something before that.
ONE_MAIL_LATER = ONE_MAIL.replace("session = ", 'print("ready", flush=True)\nsys.stdin.readline()\nsession = ')

# As nobody: mounts a file system over /usr in its own mount namespace, with an executable of a trusted name;
# passes the descriptor of that file out of the namespace, where it is executed.
FOREIGN_EXECUTABLE = """
import ctypes, os, shutil, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
os.setgid(65534)
os.setuid(65534)
libc.prctl(4, 1, 0, 0, 0)
here, there = socket.socketpair()
if os.fork() == 0:
    here.close()
    if libc.unshare(0x10020000):
        os._exit(9)
    for name, text in (("setgroups", "deny"), ("uid_map", "0 65534 1"), ("gid_map", "0 65534 1")):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)
    if libc.mount(b"none", b"/mnt", b"tmpfs", 0, None):
        os._exit(9)
    os.mkdir("/mnt/bin")
    shutil.copy("/usr/bin/python3.11", "/mnt/bin/msmtp")
    if libc.mount(b"/mnt", b"/usr", None, 4096, None):
        os._exit(9)
    socket.send_fds(there, [b"x"], [os.open("/usr/bin/msmtp", os.O_RDONLY)])
    there.recv(1)
    os._exit(0)
there.close()
data, descriptors, _, _ = socket.recv_fds(here, 1, 1)
if not descriptors:
    sys.exit(77)
mail = "import smtplib, sys; s = smtplib.SMTP('127.0.0.1', int(sys.argv[1])); " \
       "s.sendmail(sys.argv[2], [sys.argv[3]], 'x'); s.quit()"
os.execve(descriptors[0], ["msmtp", "-c", mail, *sys.argv[1:]], {"PYTHONHOME": "/usr"})
"""

KILLED = """
import os, signal, sys
import client
port, sender, recipient = int(sys.argv[1]), sys.argv[2], sys.argv[3]
data = client.whole_session([(sender, [recipient])])
sock = client.connect(port)
sock.send(data)
%s
"""

CHANGED_NAME = """
import ctypes, sys
import client
ctypes.CDLL(None).prctl(15, b"\\x1b[31m\\n\\"\\xff\\t!", 0, 0, 0)
""" + ONE_MAIL

DROPPED = """
import os, sys
import client
how, port, sender, recipient = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
session = client.Session(port)
if how == "seteuid":
    os.setegid(%(gid)d)
    os.seteuid(%(uid)d)
elif how == "setuid":
    os.setgroups([])
    os.setgid(%(gid)d)
    os.setuid(%(uid)d)
session.mail(sender, recipient)
session.quit()
"""

EXEC_BETWEEN = """
import os, socket, sys
import client
port, token, second = int(sys.argv[1]), sys.argv[2], sys.argv[3]
if second == "first":
    session = client.Session(port)
    session.mail("one-" + token, "one-" + token)
    session.sock.set_inheritable(True)
    os.execv(%(other)r, [%(other)r, sys.argv[0], str(port), token, str(session.sock.fileno())])
session = client.Session(sock=socket.socket(fileno=int(second)), greet=False)
session.mail("two-" + token, "two-" + token)
session.quit()
"""

DAEMONIZED = """
import os, sys
import client
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
import signal, time
signal.alarm(client.LIMIT_S)
while os.getppid() != 1 and not os.environ.get("SUBREAPER"):
    time.sleep(0.01)
port, sender, recipient = int(sys.argv[1]), sys.argv[2], sys.argv[3]
session = client.Session(port)
session.mail(sender, recipient)
print(os.getpid(), flush=True)
session.quit()
"""

FORKED = """
import os, sys
import client
port, sender, recipient = int(sys.argv[1]), sys.argv[2], sys.argv[3]
session = client.Session(port)
child = os.fork()
if child == 0:
    session.mail(sender, recipient)
    session.quit()
    os._exit(0)
print(child, flush=True)
os.waitpid(child, 0)
"""

PASSED = """
import os, socket, sys
import client
port, sender, recipient = int(sys.argv[1]), sys.argv[2], sys.argv[3]
left, right = socket.socketpair()
child = os.fork()
if child == 0:
    _, fds, _, _ = socket.recv_fds(right, 10, 1)
    session = client.Session(sock=socket.socket(fileno=fds[0]))
    session.mail(sender, recipient)
    session.quit()
    os._exit(0)
sock = client.connect(port)
socket.send_fds(left, [b"x"], [sock.fileno()])
sock.close()
print(child, flush=True)
os.waitpid(child, 0)
"""

TWO_SENDERS = """
import os, sys
import client
port, sender, recipient = int(sys.argv[1]), sys.argv[2], sys.argv[3]
session = client.Session(port)
session.command("MAIL FROM:<%s>" % sender)
child = os.fork()
if child == 0:
    session.command("RCPT TO:<%s>" % recipient)
    os._exit(0)
os.waitpid(child, 0)
session.data()
session.quit()
print(child, flush=True)
"""

MOVING = """
import os, sys
import client
session = client.Session(int(sys.argv[1]))
for number, place in enumerate(sys.argv[3:]):
    os.chdir(place)
    session.mail(f"s-{number}-{sys.argv[2]}", f"{number}-{sys.argv[2]}")
session.quit()
"""

THREADS = """
import sys, threading
import client
port, token = int(sys.argv[1]), sys.argv[2]
def one(number):
    session = client.Session(port)
    session.mail(f"s{number}-{token}", f"r{number}-{token}")
    session.quit()
threads = [threading.Thread(target=one, args=(number,)) for number in range(10)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Identity(LiveCase):
    """Each test has its own server; all share one watch."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(cls)
        cls.watch = Watch(cls)

    @classmethod
    def tearDownClass(cls):
        cls.watch.stop()

    def mail(self, program=ONE_MAIL, *before, status=0, **keywords):
        """Runs a client program for one mail; returns its pid, its standard output and the event."""
        sender, recipient = unique("s"), unique("r")
        pid, output = self.run_program("client_program.py", program, *before, self.server.port, sender, recipient,
                                       status=status, **keywords)
        event = self.watch.message(recipient)
        self.assertEqual(get(event, "smtp.mail_from"), sender)
        return pid, output, event

    def python_copy(self, *names):
        """A copy of Python as executable, which a test may delete."""
        path = self.path(*names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy(PYTHON_EXECUTABLE, path)
        return path

    def waiting_client(self, executable, recipient, name="client_program.py", env=None):
        """Starts a client with this executable; it waits for go()."""
        self.write(name, ONE_MAIL_LATER)
        process = self.spawn([executable, self.path(name), str(self.server.port), "later@example.org", recipient],
                             cwd=self.work, stdin=subprocess.PIPE,
                             env={**os.environ, "PYTHONHOME": "/usr", **(env or {})})
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    @staticmethod
    def go(process):
        output, errors = process.communicate(b"\n", timeout=30)
        if process.returncode != 0:
            raise AssertionError(f"{process.returncode}: {errors[-800:]!r}")

    # ---- An ordinary process ----------------------------------------------------------------------

    def test_everything_about_an_ordinary_process(self):
        pid, _, event = self.mail()
        script = self.path("client_program.py")
        self.assert_mail(event, pid, port=self.server.port, executable=PYTHON_EXECUTABLE, uid=0)
        args = get(event, "process.args")
        self.assertEqual(args[:2], [PYTHON, script])
        self.assertEqual(args[2], str(self.server.port))
        self.assertEqual(len(args), 5)
        self.assertEqual(get(event, "process.command_line"), " ".join(args))
        self.assertIn(get(event, "process.name"), ("python3", os.path.basename(PYTHON_EXECUTABLE)))
        self.assertEqual(get(event, "process.working_directory"), self.work)
        self.assertEqual(get(event, "process.hash.sha256"), sha256(PYTHON_EXECUTABLE))
        self.assertEqual(get(event, "process.parent.pid"), os.getpid())
        self.assertEqual(get(event, "process.parent.executable"), PYTHON_EXECUTABLE)
        self.assertEqual(get(event, "user.name"), "root")
        self.assertEqual(get(event, "smtpsnoop.process.exe_source"), "exec")
        self.assertFalse(get(event, "smtpsnoop.process.exe_deleted", False))
        self.assertFalse(get(event, "smtpsnoop.process.exe_memfd", False))
        self.assertTrue(get(event, "process.entity_id"))
        self.assertTrue(get(event, "process.start"))

    def test_ancestry(self):
        sender, recipient = unique("s"), unique("r")
        self.write("client_program.py", ONE_MAIL)
        shell = self.spawn(["/bin/bash", "-c", '/bin/bash -c "$1; true"; true', "outer",
                            f"{PYTHON} {self.path('client_program.py')} {self.server.port} {sender} {recipient}"],
                           cwd=self.work)
        self.finish(shell)
        event = self.watch.message(recipient)
        ancestry = get(event, "smtpsnoop.process.ancestry")
        self.assertIsInstance(ancestry, list)
        text = str(ancestry)
        self.assertGreaterEqual(len(ancestry), 3, text)
        self.assertLessEqual(len(ancestry), 8, text)
        self.assertEqual(get(event, "process.parent.executable"), os.path.realpath("/bin/bash"))
        self.assertNotEqual(get(event, "process.parent.pid"), shell.pid)
        self.assertIn("bash", str(ancestry[0]))
        self.assertIn("bash", str(ancestry[1]))
        self.assertIn("python3", str(ancestry[2]))

    def behind(self, script, text, start):
        """Runs a script that hands a mail to msmtp; returns the event of its mail."""
        sender, recipient = unique("s"), unique("r")
        msmtp = f"msmtp --host=127.0.0.1 --port={self.server.port} --auth=off --tls=off -f {sender}"
        self.write("sendmail", f"#!/bin/sh\n{msmtp} \"$@\"\ntrue\n", 0o755)
        path = self.write(script, text.replace("WRAPPER", self.path("sendmail")).replace("MSMTP", msmtp))
        self.finish(self.spawn([*start, path, recipient], cwd=self.work))
        return path, self.watch.message(recipient)

    def test_script_behind_a_mail_program(self):
        """The event of msmtp names the script above it, through whatever is in between."""
        for script, text, start, wrapped in (
                ("report.py", "import subprocess, sys\nsubprocess.run(['WRAPPER', sys.argv[1]], input=b'Subject: x\\n\\nx\\n')\n",
                 [PYTHON, "-u"], True),
                ("send.pl", "open(my $mail, '|-', 'env', split(/ /, 'MSMTP'), $ARGV[0]); print $mail \"Subject: x\\n\\nx\\n\";\n",
                 ["env", "perl", "-w"], False),
                ("job.rb", "IO.popen(\"cat | MSMTP #{ARGV[0]}\", 'w') { |mail| mail.write(\"Subject: x\\n\\nx\\n\") }\n",
                 ["ruby", "-W0"], False)):
            with self.subTest(script=script):
                path, event = self.behind(script, text, start)
                self.assertTrue(get(event, "process.executable").endswith("/msmtp"))
                self.assertIsNone(get(event, "smtpsnoop.process.script"))
                ancestry = get(event, "smtpsnoop.process.ancestry")
                scripts = [ancestor["script"] for ancestor in ancestry if "script" in ancestor]
                self.assertEqual(scripts[:1 + wrapped], [self.path("sendmail")][:wrapped] + [path])
                there = next(ancestor for ancestor in ancestry if ancestor.get("script") == path)
                self.assertEqual(there["args"][-2], path)
                self.assertNotIn("args_truncated", there)

    def test_working_directory_at_the_send(self):
        """It is where the process stood then, even if it has exited at once, and of each mail on a connection."""
        places = [self.path(name) for name in ("one", "two", "one")]
        for place in places:
            os.makedirs(place, exist_ok=True)
        _, _, event = self.mail("import os\nos.chdir('two')\n" + KILLED % "os._exit(0)")
        self.assertEqual(get(event, "smtpsnoop.process.working_directory_at_send"), places[1])
        self.assertEqual(get(event, "process.working_directory"), self.work)
        token = unique("t")
        self.run_program("moving.py", MOVING, self.server.port, token, *places)
        for number, place in enumerate(places):
            event = self.watch.message(f"{number}-{token}")
            self.assertEqual(get(event, "smtpsnoop.process.working_directory_at_send"), place)
            self.assertIsNone(get(event, "smtpsnoop.senders"))

    def test_start_time_and_order_of_times(self):
        before = time.time()
        _, _, event = self.mail()
        after = time.time()
        for path in ("@timestamp", "event.start", "event.end", "process.start"):
            text = get(event, path)
            self.assertRegex(text, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$", path)
            stamp = self.seconds(text)
            self.assertTrue(before - 0.1 <= stamp <= after + 1.1, f"{path} is {text}, {stamp - before} s on")
        self.assertLessEqual(get(event, "process.start"), get(event, "event.start"))
        self.assertLessEqual(get(event, "event.start"), get(event, "event.end"))

    @staticmethod
    def seconds(text):
        import datetime
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()

    # ---- Short lives and changed names ------------------------------------------------------------

    def killed(self, end, status):
        for _ in range(5):
            pid, _, event = self.mail(KILLED % end, status=status, user="nobody", group="nogroup", extra_groups=[])
            self.assert_mail(event, pid, port=self.server.port, outcome=None, executable=PYTHON_EXECUTABLE, uid=NOBODY)
            self.assertNotEqual(get(event, "event.outcome"), "failure")
            self.assertEqual(get(event, "process.args")[:2], [PYTHON, self.path("client_program.py")])
            self.assertEqual(get(event, "user.name"), "nobody")
            self.assertEqual(get(event, "process.parent.pid"), os.getpid())
            self.assertEqual(get(event, "process.parent.executable"), PYTHON_EXECUTABLE)
            self.assertEqual(get(event, "process.hash.sha256"), sha256(PYTHON_EXECUTABLE))
            self.assertEqual(get(event, "process.working_directory"), self.work)

    def test_one_send_and_sigkill(self):
        self.killed("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL)

    def test_one_send_and_exit(self):
        self.killed("os._exit(0)", 0)

    def test_comm_with_control_characters(self):
        pid, _, event = self.mail(CHANGED_NAME)
        self.assert_mail(event, pid, executable=PYTHON_EXECUTABLE)
        # bytes that are not UTF-8 may be written in any valid way
        self.assertIn("[31m", get(event, "process.name") + get(event, "smtpsnoop.process.comm", ""))

    # ---- Who it runs as ---------------------------------------------------------------------------

    def dropped(self, how):
        # the server must get both halves; the envelope is sent with the new uid
        pid, _, event = self.mail(DROPPED % {"uid": NOBODY, "gid": pwd.getpwnam("nobody").pw_gid}, how)
        self.assert_mail(event, pid, executable=PYTHON_EXECUTABLE, uid=NOBODY)
        self.assertEqual(get(event, "user.name"), "nobody")

    def test_seteuid_between_connect_and_send(self):
        self.dropped("seteuid")

    def test_setuid_between_connect_and_send(self):
        self.dropped("setuid")

    def test_uid_without_a_name(self):
        uid = 54321
        while True:
            try:
                pwd.getpwuid(uid)
                uid += 1
            except KeyError:
                break
        pid, _, event = self.mail(user=uid, group=uid, extra_groups=[])
        self.assert_mail(event, pid, uid=uid)
        self.assertIsNone(get(event, "user.name"))

    def test_loginuid(self):
        program = """
try:
    with open("/proc/self/loginuid", "w") as file:
        file.write("%d")
except OSError as error:
    print(error)
    raise SystemExit(7)
""" % DAEMON + ONE_MAIL
        sender, recipient = unique("s"), unique("r")
        process = self.program("client_program.py", program, self.server.port, sender, recipient)
        output = self.finish(process, None)
        if process.returncode == 7:
            self.skipTest(f"loginuid cannot be set here: {output.decode().strip()}")
        event = self.watch.message(recipient)
        self.assert_mail(event, process.pid, uid=0)
        self.assertEqual(get(event, "user.audit.id"), str(DAEMON))
        self.assertEqual(get(event, "user.audit.name"), "daemon")

    def test_no_loginuid(self):
        with open("/proc/self/loginuid", encoding="ascii") as file:
            if file.read().strip() != "4294967295":
                self.skipTest("these tests run in a login session of their own, which a child cannot leave")
        _, _, event = self.mail()
        self.assertIsNone(get(event, "user.audit.id"))
        self.assertIsNone(get(event, "user.audit.name"))

    # ---- The executable ---------------------------------------------------------------------------

    def test_executable_deleted_after_start(self):
        path = self.python_copy("tool")
        true_hash = sha256(path)
        recipient = unique("r")
        process = self.waiting_client(path, recipient)
        os.unlink(path)
        self.go(process)
        event = self.watch.message(recipient)
        self.assert_mail(event, process.pid)
        self.assertEqual(get(event, "process.executable"), path)
        self.assertTrue(get(event, "smtpsnoop.process.exe_deleted"))
        self.assertIn(get(event, "process.hash.sha256"), (None, true_hash))

    def test_executable_of_another_mount_namespace(self):
        # who makes a mount namespace chooses the paths in it: they must not look like paths of the host
        sender, recipient = unique("s"), unique("r")
        process = self.spawn([PYTHON, self.write("foreign.py", FOREIGN_EXECUTABLE), str(self.server.port), sender,
                              recipient], cwd="/")
        if process.wait(timeout=30) == 77:
            self.skipTest("user namespaces cannot be made here")
        event = self.watch.message(recipient)
        self.assertEqual(get(event, "process.pid"), process.pid)
        self.assertFalse(get(event, "process.executable").startswith("/"), get(event, "process.executable"))
        self.assertTrue(get(event, "process.executable").endswith("/bin/msmtp"), get(event, "process.executable"))

    def test_executable_replaced_by_another_file(self):
        path = self.python_copy("tool")
        true_hash = sha256(path)
        recipient = unique("r")
        process = self.waiting_client(path, recipient)
        other = self.write("other", "another file altogether")
        other_hash = sha256(other)
        os.rename(other, path)
        self.go(process)
        event = self.watch.message(recipient)
        self.assert_mail(event, process.pid)
        self.assertEqual(get(event, "process.executable"), path)
        self.assertNotEqual(get(event, "process.hash.sha256"), other_hash)
        self.assertIn(get(event, "process.hash.sha256"), (None, true_hash))

    def test_executable_replaced_right_after_its_mail(self):
        # The file is swapped before the program can hash it: no hash, or the right one.
        path = self.python_copy("tool")
        true_hash = sha256(path)
        self.write("client_program.py", KILLED % "os.rename(sys.argv[0] + '.other', os.environ['TOOL'])")
        self.write("client_program.py.other", "another file altogether")
        recipient = unique("r")
        process = self.spawn([path, self.path("client_program.py"), str(self.server.port), "s@example.org", recipient],
                             cwd=self.work, env={**os.environ, "PYTHONHOME": "/usr", "TOOL": path})
        self.finish(process)
        event = self.watch.message(recipient)
        self.assertEqual(get(event, "process.executable"), path)
        self.assertIn(get(event, "process.hash.sha256"), (None, true_hash))

    def test_executable_rewritten_in_place(self):
        # The same path and inode with other content, written after the first process has ended.
        path = self.python_copy("tool")
        first_hash = sha256(path)
        for expected_change in (False, True):
            if expected_change:
                with open(path, "ab") as file:
                    file.write(b"more")
            recipient = unique("r")
            self.go(self.waiting_client(path, recipient))
            event = self.watch.message(recipient)
            self.assertEqual(get(event, "process.hash.sha256"), sha256(path))
            self.assertEqual(sha256(path) != first_hash, expected_change)

    def test_executable_renamed_after_start(self):
        path = self.python_copy("tool")
        recipient = unique("r")
        process = self.waiting_client(path, recipient)
        os.rename(path, path + "-moved")
        self.go(process)
        event = self.watch.message(recipient)
        self.assertEqual(get(event, "process.executable"), path)  # as it was at exec

    def test_executable_in_memory(self):
        recipient = unique("r")
        program = self.write("client_program.py", ONE_MAIL)
        launcher = f"""
import os
fd = os.memfd_create("tool", 0)
with open({PYTHON_EXECUTABLE!r}, "rb") as file:
    os.write(fd, file.read())
os.environ["PYTHONHOME"] = "/usr"
os.execv(f"/proc/self/fd/{{fd}}", ["tool", {program!r}, "{self.server.port}", "s@example.org", "{recipient}"])
"""
        pid, _ = self.run_program("launcher.py", launcher)
        event = self.watch.message(recipient)
        self.assert_mail(event, pid)
        self.assertTrue(get(event, "smtpsnoop.process.exe_memfd"))
        self.assertIn("tool", get(event, "process.executable", ""))

    def test_exec_between_two_mails(self):
        other = self.python_copy("other", "python3")
        token = unique("t")
        pid, _ = self.run_program("client_program.py", EXEC_BETWEEN % {"other": other}, self.server.port, token,
                                  "first", env={**os.environ, "PYTHONHOME": "/usr"})
        one, two = self.watch.message("one-" + token), self.watch.message("two-" + token)
        self.assert_mail(one, pid, executable=PYTHON_EXECUTABLE)
        self.assert_mail(two, pid, executable=other)
        self.assertEqual(get(one, "smtp.session_id"), get(two, "smtp.session_id"))
        self.assertEqual(get(one, "process.args")[0], PYTHON)
        self.assertEqual(get(two, "process.args")[0], other)

    def test_argv_rewritten(self):
        # The arguments are those of the exec, although the process overwrites its argument area.
        program = """
import ctypes
with open("/proc/self/stat", "rb") as file:
    words = file.read().rsplit(b")", 1)[1].split()
start, end = int(words[45]), int(words[46])
ctypes.memset(start, 120, end - start - 1)
import sys
""" + ONE_MAIL
        pid, _, event = self.mail(program)
        self.assertEqual(get(event, "process.args")[:2], [PYTHON, self.path("client_program.py")])
        self.assertEqual(get(event, "process.pid"), pid)

    # ---- Scripts ----------------------------------------------------------------------------------

    def script(self, argv, cwd, expected, **keywords):
        recipient = unique("r")
        process = self.spawn([*argv, str(self.server.port), "s@example.org", recipient], cwd=cwd, **keywords)
        self.finish(process)
        event = self.watch.message(recipient)
        self.assert_mail(event, process.pid, executable=PYTHON_EXECUTABLE)
        script = get(event, "smtpsnoop.process.script")
        self.assertIsNotNone(script, short(event))
        full = os.path.normpath(os.path.join(get(event, "process.working_directory"), script))
        self.assertEqual(full, expected)
        return event

    def test_shebang_script_absolute(self):
        path = self.write("report", f"#!{PYTHON}\n" + ONE_MAIL)
        self.script([path], "/", path)

    def test_shebang_script_relative(self):
        path = self.write("report", f"#!{PYTHON}\n" + ONE_MAIL)
        self.script(["./report"], self.work, path)
        os.mkdir(self.path("below"))
        self.script(["../report"], self.path("below"), path)

    def test_shebang_script_with_argument(self):
        path = self.write("report", f"#!{PYTHON} -B\n" + ONE_MAIL)
        self.script([path], "/", path)

    def test_shebang_through_env(self):
        path = self.write("report", "#!/usr/bin/env python3\n" + ONE_MAIL)
        self.script([path], "/", path, env={**os.environ, "PATH": os.path.dirname(PYTHON) + ":/usr/bin:/bin"})

    def test_interpreter_with_script(self):
        path = self.write("report.py", ONE_MAIL)
        self.script([PYTHON, path], "/", path)
        self.script([PYTHON, "report.py"], self.work, path)

    def test_interpreter_with_options_and_script(self):
        path = self.write("report.py", ONE_MAIL)
        self.script([PYTHON, "-B", "-W", "ignore", path], "/", path)

    def test_interpreter_without_script(self):
        # -c: there is no script, and none is reported
        recipient = unique("r")
        process = self.spawn([PYTHON, "-c", ONE_MAIL, str(self.server.port), "s@example.org", recipient],
                             cwd=self.work)
        self.finish(process)
        event = self.watch.message(recipient)
        self.assertIsNone(get(event, "smtpsnoop.process.script"))

    # ---- Sockets that change hands ----------------------------------------------------------------

    def test_double_forked_daemon(self):
        pid, output, event = self.mail(DAEMONIZED, env={**os.environ, "SUBREAPER": "1"})
        daemon = int(output)
        self.assertNotEqual(daemon, pid)
        self.assert_mail(event, daemon, executable=PYTHON_EXECUTABLE)
        self.assertEqual(get(event, "process.args")[:2], [PYTHON, self.path("client_program.py")])

    def test_child_sends_on_an_inherited_socket(self):
        pid, output, event = self.mail(FORKED)
        self.assert_mail(event, int(output), executable=PYTHON_EXECUTABLE)
        self.assertEqual(get(event, "process.parent.pid"), pid)

    def test_socket_passed_over_a_unix_socket(self):
        pid, output, event = self.mail(PASSED)
        self.assert_mail(event, int(output), executable=PYTHON_EXECUTABLE)
        self.assertEqual(get(event, "process.parent.pid"), pid)

    def test_two_processes_send_one_transaction(self):
        pid, output, event = self.mail(TWO_SENDERS)
        child = int(output)
        senders = {get(one, "process.pid", get(one, "pid")) for one in get(event, "smtpsnoop.senders", [])}
        self.assertEqual(senders, {pid, child}, short(event))
        self.assertIn(get(event, "process.pid"), (pid, child))

    def test_ten_threads(self):
        token = unique("t")
        pid, _ = self.run_program("client_program.py", THREADS, self.server.port, token)
        for number in range(10):
            self.assert_mail(self.watch.message(f"r{number}-{token}"), pid, f"s{number}-{token}",
                             [f"r{number}-{token}"], self.server.port, executable=PYTHON_EXECUTABLE)

    def test_the_server_is_not_the_sender(self):
        _, _, event = self.mail()
        self.assertNotEqual(get(event, "process.pid"), self.server.process.pid)
        self.assertEqual(get(event, "network.direction"), "egress")
        sent = self.watch.messages(lambda event: get(event, "process.pid") == self.server.process.pid)
        self.assertEqual(sent, [])


class Namespaces(LiveCase):
    """Other network, user and pid namespaces: the mail is seen, and no wrong name is given."""

    def test_network_namespace(self):
        if not unshare_works("-n"):
            self.skipTest("unshare -n does not work here")
        watch = Watch(self)
        recipient = unique("r")
        self.write("client_program.py", ONE_MAIL)
        shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "server.py"), self.work)
        # both ends are in a namespace that this shell makes and that ends with it
        shell = self.write("both.sh", f"""
set -e
ip link set lo up
mkfifo {self.work}/hold
{PYTHON} {self.work}/server.py --port 2525 <> {self.work}/hold >{self.work}/server.log &
server=$!
for try in $(seq 100); do grep -q listening {self.work}/server.log && break; sleep 0.1; done
{PYTHON} {self.work}/client_program.py 2525 s@example.org {recipient} &
client=$!
status=0; wait $client || status=$?
kill $server
echo $client
exit $status
""")
        process = self.spawn(["unshare", "-n", "/bin/sh", shell], cwd=self.work)
        pid = int(self.finish(process))
        event = watch.message(recipient)
        watch.stop()
        self.assert_mail(event, pid, "s@example.org", [recipient], 2525, executable=PYTHON_EXECUTABLE, uid=0)

    def test_user_namespace(self):
        if not unshare_works("-Ur"):
            self.skipTest("user namespaces cannot be made here")
        watch, server, recipient = Watch(self), Server(self), unique("r")
        self.write("client_program.py", ONE_MAIL)
        process = self.spawn(["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "unshare", "-Ur",
                              PYTHON, self.path("client_program.py"), str(server.port), "s@example.org", recipient],
                             cwd=self.work)
        self.finish(process)
        event = watch.message(recipient)
        watch.stop()
        # Inside, the process is root. That is not reported, nor a name for a uid of its namespace.
        self.assert_mail(event, process.pid, executable=PYTHON_EXECUTABLE)
        self.assertIsNone(get(event, "user.name"), short(event))
        self.assertNotEqual(get(event, "user.id"), "0", "the uid inside the namespace was reported as the host's root")

    def test_pid_namespace(self):
        if not unshare_works("-p", "-f"):
            self.skipTest("pid namespaces cannot be made here")
        watch, server, recipient = Watch(self), Server(self), unique("r")
        self.write("client_program.py", ONE_MAIL)
        process = self.spawn(["unshare", "-p", "-f", "--mount-proc", PYTHON, self.path("client_program.py"),
                              str(server.port), "s@example.org", recipient], cwd=self.work)
        self.finish(process)
        event = watch.message(recipient)
        watch.stop()
        self.assert_mail(event, executable=PYTHON_EXECUTABLE)
        # the host's pid, not the 1 of the namespace
        self.assertNotEqual(get(event, "process.pid"), 1)
        self.assertEqual(get(event, "process.parent.pid"), process.pid)

    def test_mount_namespace_and_chroot(self):
        # The host has another file at the same path; its hash must not be given.
        if not unshare_works("-m"):
            self.skipTest("mount namespaces cannot be made here")
        watch, server, recipient = Watch(self), Server(self), unique("r")
        self.write("client_program.py", ONE_MAIL)
        os.mkdir(self.path("mnt"))
        tool = self.path("mnt", "tool")
        self.write("mnt/tool", "not the one that runs")
        inside = self.write("inside.sh", f"""
set -e
mount -t tmpfs none {self.path('mnt')}
cp {PYTHON_EXECUTABLE} {tool}
exec {tool} {self.path('client_program.py')} {server.port} s@example.org {recipient}
""")
        process = self.spawn(["unshare", "-m", "/bin/sh", inside], cwd=self.work,
                             env={**os.environ, "PYTHONHOME": "/usr"})
        self.finish(process)
        event = watch.message(recipient)
        watch.stop()
        self.assert_mail(event, process.pid)
        self.assertTrue(get(event, "process.executable").endswith("/tool"))
        self.assertNotEqual(get(event, "process.hash.sha256"), sha256(tool))
        self.assertIn(get(event, "process.hash.sha256"), (None, sha256(PYTHON_EXECUTABLE)))


class OlderThanTheWatch(LiveCase):
    """Processes and connections that are older than the watch."""

    def test_process_older_than_the_watch(self):
        server, recipient = Server(self), unique("r")
        process = self.program("client_program.py", ONE_MAIL_LATER, server.port, "s@example.org", recipient,
                               stdin=subprocess.PIPE, user="daemon", group="daemon", extra_groups=[])
        self.assertEqual(process.stdout.readline(), b"ready\n")
        watch = Watch(self)
        process.communicate(b"\n", timeout=30)
        event = watch.message(recipient)
        watch.stop()
        self.assert_mail(event, process.pid, "s@example.org", [recipient], server.port, "success", PYTHON_EXECUTABLE,
                         uid=DAEMON)
        self.assertEqual(get(event, "smtpsnoop.process.exe_source"), "snapshot")
        self.assertEqual(get(event, "process.args")[:2], [PYTHON, self.path("client_program.py")])
        self.assertEqual(get(event, "process.parent.pid"), os.getpid())

    def test_script_older_than_the_watch(self):
        # The exec was not seen. What is reported of the script must be right nevertheless.
        server, recipient = Server(self), unique("r")
        path = self.write("report", f"#!{PYTHON}\n" + ONE_MAIL_LATER)
        process = self.spawn([path, str(server.port), "s@example.org", recipient], cwd=self.work,
                             stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        watch = Watch(self)
        process.communicate(b"\n", timeout=30)
        event = watch.message(recipient)
        watch.stop()
        self.assert_mail(event, process.pid, executable=PYTHON_EXECUTABLE)
        self.assertEqual(get(event, "process.args")[:2], [PYTHON, path])
        self.assertIn(get(event, "smtpsnoop.process.script"), (None, path))

    def test_older_process_whose_child_sends(self):
        server, recipient = Server(self), unique("r")
        program = FORKED.replace("session = ", 'print("ready", flush=True)\nsys.stdin.readline()\nsession = ')
        process = self.program("client_program.py", program, server.port, "s@example.org", recipient,
                               stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        watch = Watch(self)
        output, _ = process.communicate(b"\n", timeout=30)
        event = watch.message(recipient)
        watch.stop()
        self.assert_mail(event, int(output), executable=PYTHON_EXECUTABLE)
        self.assertEqual(get(event, "process.args")[:2], [PYTHON, self.path("client_program.py")])

    def test_older_process_with_deleted_executable(self):
        server, recipient = Server(self), unique("r")
        path = self.path("tool")
        shutil.copy(PYTHON_EXECUTABLE, path)
        self.write("client_program.py", ONE_MAIL_LATER)
        process = self.spawn([path, self.path("client_program.py"), str(server.port), "s@example.org", recipient],
                             cwd=self.work, stdin=subprocess.PIPE, env={**os.environ, "PYTHONHOME": "/usr"})
        self.assertEqual(process.stdout.readline(), b"ready\n")
        os.unlink(path)
        watch = Watch(self)
        process.communicate(b"\n", timeout=30)
        event = watch.message(recipient)
        watch.stop()
        self.assertEqual(get(event, "process.executable"), path)
        self.assertTrue(get(event, "smtpsnoop.process.exe_deleted"))

    def test_connection_older_than_the_watch(self):
        # The greeting came before the start, the envelope after it: the mail is seen, and marked as incomplete.
        server, recipient = Server(self), unique("r")
        program = ONE_MAIL.replace("session.mail(", 'print("ready", flush=True)\nsys.stdin.readline()\nsession.mail(')
        process = self.program("client_program.py", program, server.port, "s@example.org", recipient,
                               stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        watch = Watch(self)
        process.communicate(b"\n", timeout=30)
        event = watch.message(recipient)
        watch.stop()
        self.assert_mail(event, process.pid, "s@example.org", [recipient], server.port, None, PYTHON_EXECUTABLE,
                         complete=None)
        self.assertTrue(get(event, "smtpsnoop.capture.mid_stream"))

    def test_busy_connection_older_than_the_watch(self):
        # Neither the greeting nor a verb at the beginning of a send is seen; the replies show that it is SMTP.
        server, recipient = Server(self), unique("r")
        process = self.program("client_program.py", BUSY_OLDER, server.port, "s@example.org", recipient,
                               stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        watch = Watch(self)
        process.communicate(b"\n", timeout=30)
        event = watch.message(recipient)
        watch.stop()
        self.assert_mail(event, process.pid, "s@example.org", [recipient], server.port, None, complete=None)


BUSY_OLDER = r"""
import socket, sys
import client
port, sender, recipient = int(sys.argv[1]), sys.argv[2], sys.argv[3]
sock = socket.create_connection(("127.0.0.1", port))
replies = sock.makefile("rb")

def say(text):
    sock.sendall(text.encode())
    while replies.readline()[3:4] == b"-":
        pass

replies.readline()
say("EHLO me\r\n")
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    say("NOOP\r\n")
sock.sendall(f"RSET\r\nMAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
for number in range(4):
    replies.readline()
say("Subject: x\r\n\r\nhello\r\n.\r\n")
say("QUIT\r\n")
"""


if __name__ == "__main__":
    unittest.main()
