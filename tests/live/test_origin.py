# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Who handed a mail to the local MTA that relays it: smtpsnoop.origin.process. Ten scripts of one user mail at the same
time; then others try to pass as one of them. A process that is not the right one is never named.
"""

import collections
import pwd
import socket
import time

import mta
from harness import action, LiveCase, PYTHON, Server, Watch, get, sized, unique

USER, OTHER = "games", "news"
SCRIPTS = 10
MAILS = sized(3, 100)  # of each script
EVENTS_S = sized(60, 600)

SCRIPT = """
import subprocess, sys
sendmail, *recipients = sys.argv[1:]
for recipient in recipients:
    subprocess.run([sendmail, "-i", "-f", "a@x.test", recipient], input=b"Subject: s\\n\\ntext\\n", check=True, cwd="/")
"""


class Origins:
    """The tests for one server, the `kind` of the subclass, in its own file system; one watch."""

    kind = None
    limit_s = mta.INSTALL_S + 2 * EVENTS_S
    exact_share = 0.0  # of ten scripts at the same time, at least

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sink = Server(cls)
        cls.server = cls.kind(cls, cls.sink.port)
        cls.watch = Watch(cls, prefix=cls.server.root.prefix)

    @classmethod
    def tearDownClass(cls):
        cls.watch.stop()
        if cls.how == "pid":  # what was relayed is not told a second time
            twice = [event for event in cls.watch.events if action(event) == "smtp-submission" and
                     "/job-" in get(event, "smtpsnoop.process.script", "")]
            if twice:
                raise AssertionError(f"{len(twice)} relayed mails are told as submissions, too")

    # ---- Submitting -----------------------------------------------------------------------------

    def as_user(self, *command, user=USER):
        account = pwd.getpwnam(user)
        return [*self.server.root.prefix, "setpriv", "--reuid", str(account.pw_uid), "--regid", str(account.pw_gid),
                "--clear-groups", *command]

    def begin(self, script, *recipients, user=USER):
        """Starts the script with that name."""
        self.write(script, SCRIPT)
        return self.spawn(self.as_user(PYTHON, "-I", self.path(script), self.server.sendmail, *recipients, user=user))

    def relayed(self, recipient, timeout_s=30):
        return self.watch.wait_messages(lambda event: recipient in get(event, "smtp.rcpt_to", []) and
                                        get(event, "destination.port") == self.sink.port, timeout_s=timeout_s)[0]

    def origin(self, recipient):
        return get(self.relayed(recipient), "smtpsnoop.origin", {})

    # ---- The right one --------------------------------------------------------------------------

    def test_a_script(self):
        time.sleep(1.1)  # the last mail of another test is in the same second no more
        recipient = unique("r")
        process = self.begin("job.py", recipient)
        self.finish(process)
        origin = self.origin(recipient)
        self.assertEqual(origin.get("how"), self.how, origin)
        self.assertEqual(get(origin, "process.pid"), process.pid)
        self.assertEqual(get(origin, "process.script"), self.path("job.py"))
        self.assertTrue(get(origin, "process.real_user"), origin)
        self.assertTrue(get(origin, "process.ancestry"), origin)

    def test_ten_scripts(self):
        wanted = {f"job-{i}.py": [unique("r") for _ in range(MAILS)] for i in range(SCRIPTS)}
        processes = {name: self.begin(name, *recipients) for name, recipients in wanted.items()}
        for process in processes.values():
            self.finish(process, timeout_s=EVENTS_S)
        script_of = {recipient: self.path(name) for name, recipients in wanted.items() for recipient in recipients}
        events = self.watch.wait_messages(
            lambda event: get(event, "destination.port") == self.sink.port and
            script_of.keys() & set(get(event, "smtp.rcpt_to", [])), count=len(script_of), timeout_s=EVENTS_S)
        shares = collections.Counter(self.judge(event, script_of) for event in events)
        print(f"  {self.server.name}: {dict(shares)} of {len(events)}", flush=True)
        self.assertEqual(shares["wrong"], 0)
        self.assertGreaterEqual(shares["exact"], self.exact_share * len(events))

    @staticmethod
    def judge(event, script_of):
        recipient, = get(event, "smtp.rcpt_to")
        origin = get(event, "smtpsnoop.origin", {})
        if "process" in origin:
            return "exact" if get(origin, "process.script") == script_of[recipient] else "wrong"
        candidates = {one.get("script") for one in origin.get("candidates", [])}
        if not candidates:
            return "none"
        listed_all = origin["candidate_count"] <= len(origin["candidates"])
        return "candidates" if script_of[recipient] in candidates or not listed_all else "wrong"

    # ---- The wrong one --------------------------------------------------------------------------

    def assert_not_victim(self, origin, victim):
        self.assertNotEqual(get(origin, "process.pid"), victim.pid, origin)
        self.assertNotEqual(origin.get("user"), USER, origin)

    def test_forged_field(self):
        """Another user writes the victim's Received field into his own mail."""
        recipient = unique("r")
        victim = self.begin("job.py", recipient)
        self.finish(victim)
        field = get(self.relayed(recipient), "smtpsnoop.origin")
        text = (f"Received: from {USER} by mta.test with local (Exim 4.96)\n\tid {field.get('queue_id', '0')}; now\n"
                f"Received: by mta.test (Postfix, from userid {pwd.getpwnam(USER).pw_uid}) id 0; now\n"
                f"Received: (nullmailer pid {victim.pid} invoked by uid {pwd.getpwnam(USER).pw_uid});\n\tnow\n"
                "Subject: s\n\ntext\n").encode()
        forged = unique("r")
        self.write("forge.py", "import subprocess, sys\nsubprocess.run(sys.argv[1:3] + ['-f', 'a@x.test', sys.argv[3]], "
                               f"input={text!r}, cwd='/')\n")
        self.finish(self.spawn(self.as_user(PYTHON, "-I", self.path("forge.py"), self.server.sendmail, "-i", forged,
                                            user=OTHER)))
        self.assert_not_victim(self.origin(forged), victim)

    def test_storm(self):
        """Another user starts many submission programs; the victim's process is found as before."""
        time.sleep(1.1)
        self.write("storm.py", "import subprocess, sys\nfor _ in range(int(sys.argv[2])):\n"
                               "    one = subprocess.Popen([sys.argv[1], '-bp'], stdin=subprocess.DEVNULL, stdout=subproc"
                               "ess.DEVNULL, stderr=subprocess.DEVNULL)\n    one.wait()\n")
        storm = self.spawn(self.as_user(PYTHON, "-I", self.path("storm.py"), self.server.sendmail,
                                        str(sized(30, 5000)), user=OTHER))
        recipient = unique("r")
        victim = self.begin("job.py", recipient)
        self.finish(victim)
        origin = self.origin(recipient)
        self.finish(storm, timeout_s=EVENTS_S)
        if self.how == "pid" or "process" in origin:
            self.assertEqual(get(origin, "process.pid"), victim.pid, origin)

    def test_a_copy(self):
        """A copy of a submission program in another folder is none."""
        time.sleep(1.1)
        name = self.program_name
        self.root_run("cp", "/bin/sleep", f"/tmp/{name}")
        copy = self.spawn(self.as_user(f"/tmp/{name}", "60"))
        recipient = unique("r")
        victim = self.begin("job.py", recipient)
        self.finish(victim)
        origin = self.origin(recipient)
        copy.terminate()
        copy.wait()
        self.assertEqual(get(origin, "process.pid"), victim.pid, origin)

    def root_run(self, *command):
        self.server.root.run(*command)


class EximOrigin(Origins, LiveCase):
    kind, how, exact_share, program_name = mta.Exim, "pid", 0.99, "exim4"

    def test_options_of_trusted_users(self):
        """-oMr and -oMt say how and from whom a mail came; Exim takes them from trusted users only."""
        recipient = unique("r")
        self.write("lie.py", "import subprocess, sys\nsubprocess.run([sys.argv[1], '-i', '-oMr', 'smtp', '-oMt', "
                             f"'{USER}', '-oMa', '127.0.0.1', '-f', 'a@x.test', sys.argv[2]], input=b'Subject: s\\n\\n"
                             "text\\n', cwd='/')\n")
        process = self.spawn(self.as_user(PYTHON, "-I", self.path("lie.py"), self.server.sendmail, recipient,
                                          user=OTHER))
        self.finish(process)
        origin = self.origin(recipient)
        self.assertNotEqual(origin.get("user"), USER, origin)
        self.assertIn(get(origin, "process.pid"), (None, process.pid), origin)


    def test_not_relayed(self):
        """A mail that stays in the queue: who handed it in is told."""
        self.write("queue.py", "import subprocess, sys\nsubprocess.run([sys.argv[1], '-odq', '-i', sys.argv[2]], input="
                               "b'Subject: s\\n\\ntext\\n', check=True, cwd='/')\n")
        process = self.spawn(self.as_user(PYTHON, "-I", self.path("queue.py"), self.server.sendmail, unique("r")))
        self.finish(process)
        event, = self.watch.wait(lambda event: action(event) == "smtp-submission" and
                                 get(event, "process.pid") == process.pid, 1, 30, "the smtp-submission event")
        self.assertEqual(get(event, "smtpsnoop.origin"), {"mta": "exim"})
        self.assertEqual(get(event, "smtpsnoop.process.script"), self.path("queue.py"))
        self.assertEqual((get(event, "smtpsnoop.verdict"), get(event, "event.kind"), get(event, "user.name")),
                         ("observed", "event", USER))


class NullmailerOrigin(Origins, LiveCase):
    kind, how, exact_share, program_name = mta.Nullmailer, "pid", 0.99, "nullmailer-queue"


class PostfixOrigin(Origins, LiveCase):
    kind, how, program_name = mta.Postfix, "time", "postdrop"

    def test_xclient(self):
        """A client that is not authorized to claim another one's identity stays who it is."""
        recipient = unique("r")
        client = socket.create_connection(("127.0.0.1", self.server.port))
        self.addCleanup(client.close)
        lines = client.makefile("rb")
        lines.readline()
        for line in (b"EHLO c", b"XCLIENT LOGIN=games NAME=localhost ADDR=127.0.0.1", b"MAIL FROM:<a@x.test>",
                     b"RCPT TO:<%s>" % recipient.encode(), b"DATA", b"Subject: s\r\n\r\ntext\r\n.", b"QUIT"):
            client.sendall(line + b"\r\n")
            while lines.readline()[3:4] == b"-":
                pass
        origin = self.origin(recipient)
        self.assertEqual((origin.get("how"), origin.get("user")), ("connection", "root"), origin)


class OpenSmtpdOrigin(Origins, LiveCase):
    kind, how, program_name = mta.OpenSmtpd, "time", "smtpctl"
