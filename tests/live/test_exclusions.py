# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Exclusions, besides letting mail pass: a wrong configuration never starts the watch and never replaces a good one; a new
one takes effect at SIGHUP, and used-up limits stay used up; excluded messages are shown only with --all, and counted;
the names of relays are resolved here; YARA rules are named in the event; check, explain and suggest work.
"""

import hashlib
import json
import os
import re
import signal
import time

from harness import LiveCase, Server, Watch, action, get, replay, short, unique, wait_for

MAIL = "From: a@corp.example\r\nSubject: Daily report\r\n\r\nSystem Down\r\n"

CONFIG = """
exclusions:
  - name: curl
    process: {{ user: root, executable: /usr/bin/curl }}
    relay: "{relay}"
    mail: {{ sender: s@corp.example, recipients: "*@corp.example", contains: system down }}
    limits: {{ messages: {messages}/1h }}
"""

CARD = """
rule network_smtp_raw {
    meta:
        author = "x0r"
        description = "Communications smtp"
        version = "0.1"
    strings:
        $s1 = "MAIL FROM:" nocase
        $s2 = "RCPT TO:" nocase
    condition:
        all of them
}
rule daily { strings: $a = "Daily report" condition: $a }
"""


class Exclusions(LiveCase):
    def setUp(self):
        super().setUp()
        self.server = Server(self)

    def configure(self, relay=None, messages=100, more=""):
        return self.write("smtpsnoop.yaml",
                          CONFIG.format(relay=relay or f"127.0.0.1:{self.server.port}", messages=messages) + more)

    def mail(self, recipient=None, host="127.0.0.1"):
        recipient = recipient or unique().replace("example.net", "corp.example")
        path = self.write("mail.txt", MAIL, 0o644)
        self.finish(self.spawn(["curl", "-sS", f"smtp://{host}:{self.server.port}", "--mail-from", "s@corp.example",
                                "--mail-rcpt", recipient, "-T", path]))
        return recipient

    def verdict(self, watch):
        event = watch.message(self.mail())
        return get(event, "smtpsnoop.verdict"), event

    def own(self, events):
        """The verdicts on the mails of this test, in order. Other mail of this host is left out."""
        return [get(event, "smtpsnoop.verdict") for event in events
                if action(event) == "smtp-message" and get(event, "destination.port") == self.server.port]

    @staticmethod
    def own_explained(shown):
        """What explain prints about the mails of this test: a headline each, and indented lines."""
        return "".join(part for part in re.split(r"^(?=\S)", shown.decode(), flags=re.M)
                       if " from s@corp.example " in part.partition("\n")[0])

    def test_bad_configuration_does_not_start(self):
        path = self.write("smtpsnoop.yaml", "exclusions:\n- name: a\n  process: { user: root, exe: /x }\n")
        for command in ("watch", "check", "explain"):
            done = self.run_snoop(command, "-c", path, status=2)
            self.assertEqual(done.stdout, b"")
            self.assert_one_line(done.stderr, f"{path}:3:26: exe: unknown key")
        done = self.run_snoop("watch", "-c", path + ".not", status=2)
        self.assert_one_line(done.stderr, "No such file")
        for command, use in (("check", "smtpsnoop check FILE"), ("explain", "-c FILE")):
            self.assert_one_line(self.run_snoop(command, status=2).stderr, use)

    def test_configuration_that_others_can_change(self):
        """Refused by every command that runs as root, and by check: in one line, with what to do."""
        path, recording = self.configure(), self.path("recording")
        os.mkdir(self.path("etc"))
        os.rename(path, self.path("etc/smtpsnoop.yaml"))
        path, folder = self.path("etc/smtpsnoop.yaml"), self.path("etc")
        with open(recording, "wb") as file:
            file.write(b"smtpsnoop recording 1\n")
        os.chmod(recording, 0o644)
        commands = (("run", "-c", path), ("check", "-c", path), ("watch", "-c", path), ("replay", recording, "-c", path),
                    ("explain", recording, "-c", path))
        for name, wrong, good, words in ((path, 0o666, 0o644, ("any user can write it", f"chmod o-w {path}")),
                                         (folder, 0o777, 0o755, ("and replace", f"chmod o-w {folder}"))):
            os.chmod(name, wrong)
            for command in commands:
                done = self.run_snoop(*command, status=2)
                self.assertEqual(done.stdout, b"")
                self.assert_one_line(done.stderr, f"smtpsnoop: {path}: {name} has mode", *words)
            nobody = ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups")
            self.assertEqual(self.run_snoop("replay", recording, "-c", path, status=0, prefix=nobody).stderr, b"")
            self.run_snoop("check", "-c", path, status=2, prefix=nobody)
            os.chmod(name, good)
            for command in commands[1:2] + commands[3:]:
                self.run_snoop(*command, status=0)
        os.chown(path, 12345, 0)
        for command in commands:
            self.assert_one_line(self.run_snoop(*command, status=2).stderr, "uid 12345", "chown")

    def test_reload(self):
        path = self.configure(messages=2)
        watch = Watch(self, "--all", "-c", path)
        with open(path, "rb") as file:
            self.assertEqual(get(watch.events[0], "smtpsnoop.config.sha256"), hashlib.sha256(file.read()).hexdigest())
        self.assertEqual(self.verdict(watch)[0], "excluded")
        self.write("smtpsnoop.yaml", "exclusions: [ { name: curl, process: { user: root }, relay: nowhere/ } ]\n")
        os.kill(watch.pid, signal.SIGHUP)
        end = time.monotonic() + 5
        while b"old configuration stays in force" not in watch.stderr and time.monotonic() < end:
            time.sleep(0.05)
        self.assertIn(f"smtpsnoop: {path}:1:".encode(), watch.stderr)
        self.assertEqual(watch.stderr.count(b"\n"), 1)
        self.assertEqual(self.verdict(watch)[0], "excluded")
        # Another configuration: two of the three messages that its limit allows were used before. Until it is read,
        # the old one is in force, and its limit is used up.
        self.configure(messages=3)
        os.kill(watch.pid, signal.SIGHUP)
        wait_for(lambda: self.verdict(watch)[0] == "excluded", 5, "the new limit")
        verdict, event = self.verdict(watch)
        self.assertEqual((verdict, get(event, "smtpsnoop.nearest.failed")), ("alert", ["limits.messages"]), short(event))
        self.assertEqual(get(event, "smtpsnoop.reasons"), ["exclusion_limit"])
        stopped = watch.stop(warnings=1)
        self.assertEqual(get(stopped, "smtpsnoop.stats.excluded"), 3)
        self.assertEqual(get(stopped, "smtpsnoop.exclusions"),
                         [{"name": "curl", "messages": 3, "recipients": 3, "bytes": 3 * len(MAIL)}])

    def test_excluded_is_shown_with_all_alone(self):
        watch = Watch(self, "-c", self.configure())
        self.mail()
        other = self.mail("box@evil.example")
        self.assertEqual(get(watch.message(other), "smtpsnoop.nearest.failed"), ["mail.recipients"])
        watch.stop()
        self.assertEqual(self.own(watch.messages()), ["alert"])

    def test_relay_by_name(self):
        watch = Watch(self, "--all", "-c", self.configure(relay=f"localhost:{self.server.port}"))
        time.sleep(1)
        verdict, event = self.verdict(watch)
        self.assertEqual(verdict, "excluded", short(event))
        watch.stop()
        watch = Watch(self, "--all", "-c", self.configure(relay=f"no-such-name.invalid:{self.server.port}"))
        verdict, event = self.verdict(watch)
        self.assertEqual((verdict, get(event, "smtpsnoop.nearest.unknown")), ("alert", ["relay"]), short(event))
        watch.stop()

    def test_expired(self):
        path = self.write("smtpsnoop.yaml", f"exclusions: [ {{ name: old, process: {{ user: root }}, relay: 127.0.0.1, "
                                            "expires: 2020-01-01 } ]\n")
        watch = Watch(self, "--all", "-c", path)
        verdict, event = self.verdict(watch)
        self.assertEqual((verdict, get(event, "smtpsnoop.nearest"), get(event, "smtpsnoop.reasons")),
                         ("alert", {"name": "old", "failed": ["expires"]}, ["exclusion_expired"]), short(event))
        watch.stop()

    def test_rules(self):
        card = self.write("card.yar", CARD, 0o644)
        watch = Watch(self, "--all", "-c", self.configure(more=f"rules: {card}\n"))
        event = self.verdict(watch)[1]
        self.assertEqual(get(event, "rule"), {"name": "network_smtp_raw", "author": ["x0r"],
                                              "description": "Communications smtp", "version": "0.1"})
        self.assertEqual(get(event, "smtpsnoop.rules"), ["network_smtp_raw", "daily"])
        watch.stop()
        self.write("card.yar", "rule broken {\n  condition: nothing\n}\n", 0o644)
        done = self.run_snoop("check", "-c", self.path("smtpsnoop.yaml"), status=2)
        self.assert_one_line(done.stderr, "card.yar: line 2")

    def test_explain_and_suggest(self):
        path, recording = self.configure(), self.path("recording")
        watch = Watch(self, "--all", "-c", path, command=("record", recording))
        verdict, event = self.verdict(watch)
        self.assertEqual(verdict, "excluded")
        self.mail("box@evil.example")
        watch.stop()
        lines = b"".join(line for line in watch.lines)
        from_events = self.own_explained(self.run_snoop("explain", "-c", path, status=0, input=lines, stdin=None).stdout)
        from_recording = self.own_explained(self.run_snoop("explain", "-c", path, recording, status=0).stdout)
        self.assertIn("    unknown  mail.contains: expected ", from_events)
        self.assertIn("  curl: does not exclude it, 9 of 10 met\n", from_events)
        self.assertIn("  curl: excludes it, 10 of 10 met\n", from_recording)
        self.assertIn("    met      mail.contains\n", from_recording)
        self.assertIn("    failed   mail.recipients: expected *@corp.example; it is box@evil.example\n", from_recording)
        # The events say what the recording says, except for the body.
        for criterion in ("capture", "process.user", "process.real_user", "process.container", "process.executable",
                          "relay", "mail.sender", "limits.messages"):
            self.assertEqual(from_events.count(f"met      {criterion}\n"), 2, criterion)
            self.assertEqual(from_recording.count(f"met      {criterion}\n"), 2, criterion)
        # Replay gives the same verdicts.
        self.assertEqual(self.own(replay(recording, "--all", "-c", path)), ["excluded", "alert"])
        # A draft excludes exactly the mail that it was made from, seen on three days.
        line = json.dumps({key: value for key, value in event.items() if key[0] != "_"}) + "\n"
        day, earlier = get(event, "event.end")[:10], [time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400 * back))
                                                      for back in (1, 2)]
        self.write("events.json", line + "".join(line.replace(day, other) for other in earlier))
        draft = self.run_snoop("suggest", self.path("events.json"), status=0).stdout.decode()
        self.write("draft.yaml", draft)
        self.assertIn(b": valid: 1 file, 1 exclusion, 0 outputs, 0 warnings",
                      self.run_snoop("check", "-c", self.path("draft.yaml"), status=0).stdout)
        self.assertEqual(self.own(replay(recording, "--all", "-c", self.path("draft.yaml"))), ["excluded", "alert"])

    def test_check_warns(self):
        path = self.write("smtpsnoop.yaml", """
exclusions:
  - { name: forgeable, mail: { sender: a@b }, accept_forgeable: true }
  - { name: old, process: { user: root }, relay: 10.0.0.1, expires: 2020-01-01 }
  - { name: wide, process: { user: root }, relay: 10.0.0.0/8 }
  - { name: narrow, process: { user: root, executable: /usr/bin/curl }, relay: "10.0.0.1:25" }
  - { name: never, process: { user: root }, relay: 11.0.0.1, limits: { messages: 0/1h } }
  - { name: mta, process: { user: root, executable: /usr/lib/postfix/sbin/smtp }, relay: 11.0.0.2 }
  - { name: nobody, process: { user: no-such-user }, relay: 11.0.0.3 }
  - { name: jobs, process: { unit: cron.service }, relay: 11.0.0.4 }
  - { name: script, process: { user: root, script: LINK }, relay: 11.0.0.5 }
""".replace("LINK", self.path("link")))
        real = self.write("script.py", "")
        os.symlink(real, self.path("link"))
        shown = self.run_snoop("check", "-c", path, status=0).stdout.decode()
        self.assertIn(f"{path}:11: script: process.script: {self.path('link')} is a symbolic link; its real path matches "
                      f"as well: {os.path.realpath(real)}\n", shown)
        for line, words in ((3, "forgeable: trusts only what a sender can forge"), (4, "old: has expired"),
                            (11, "script: process.script: any program can be named like an interpreter"),
                            (11, f"script: process.script {self.path('link')}: any user can put a script into /tmp"),
                            (6, "narrow: is never reached: wide ("),
                            (7, "never: can never be met: a limit is 0"),
                            (8, "mta: lets no mail pass: the executable is an MTA"),
                            (9, "nobody: process.user: this host has no user 'no-such-user'"),
                            (10, "jobs: cron.service runs jobs of every user")):
            self.assertIn(f"{path}:{line}: warning: {words}", shown)
        self.assertTrue(shown.endswith("9 exclusions, 0 outputs, 9 warnings\n"), shown)
        path = self.write("smtpsnoop.yaml", "exclusions:\n- { name: a, mail: { sender: a@b } }\n")
        self.assert_one_line(self.run_snoop("check", "-c", path, status=2).stderr, f"{path}:2:3: a: needs process.user")
