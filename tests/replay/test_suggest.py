# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`suggest` drafts exclusions for the mailers that come again, whatever attackers mail beside them: the drafts are valid,
exclude the mailer's later mails and none of an attacker's, and say what they trust."""

import json
import os
import random
import re
import subprocess
import tempfile
import unittest

from test_replay import PROGRAM, SECOND, Recording

DAY = 86400
MORNING = 9 * 3600 + 46 * 60 + 40  # of the recording's clock: 08:00 in UTC
MEMFD, DELETED = 1, 2


class Mail:
    """One mail: by whom, from and to whom, and when."""

    def __init__(self, day, executable="/usr/bin/msmtp", uid=2001, sender="reports@corp.example",
                 recipients=("a@corp.example",), subject="Daily sales report", second=0, **more):
        self.time = day * DAY + MORNING + second
        self.executable, self.uid, self.sender = executable, uid, sender
        self.recipients, self.subject, self.more = recipients, subject, more


USERS = {0: "root", 33: "www-data", 105: "Debian-exim", 2001: "reports", 2002: "billing", 2003: "mallory"}


def session(mail):
    steps = [("S", b"220 mx ESMTP\r\n"), ("C", b"EHLO client\r\n"), ("S", b"250 mx\r\n"),
             ("C", b"MAIL FROM:<%s>\r\n" % mail.sender.encode()), ("S", b"250 ok\r\n")]
    for recipient in mail.recipients:
        steps += [("C", b"RCPT TO:<%s>\r\n" % recipient.encode()), ("S", b"250 ok\r\n")]
    if mail.more.get("asked"):  # whether the server takes the envelope
        return steps + [("C", b"RSET\r\n"), ("S", b"250 ok\r\n"), ("C", b"QUIT\r\n"), ("S", b"221 bye\r\n")]
    text = mail.more.get("received", b"") + b"Subject: %s\r\n\r\nhello\r\n%s.\r\n" % (mail.subject.encode(), mail.more.get("body", b""))
    return steps + [("C", b"DATA\r\n"), ("S", b"354 go on\r\n"),
                    *(("C", text[at:at + 1400]) for at in range(0, len(text), 1400)), ("S", b"250 ok\r\n"),
                    ("C", b"QUIT\r\n"), ("S", b"221 bye\r\n")]


def recorded(mails):
    recording = Recording()
    for number, mail in enumerate(sorted(mails, key=lambda mail: mail.time), 1):
        recording.now = max(recording.now, mail.time * SECOND)
        start, pid, cookie = recording.now, 1000 + number, 77 + number
        recording.exec(pid, start, mail.executable, mail.more.get("args", (mail.executable,)),
                       flags=mail.more.get("flags", 0))
        recording.sender(cookie, pid, start, mail.uid, cgroup=mail.more.get("cgroup", "/system.slice/report.service"))
        flow = {"remote": mail.more.get("relay", "10.0.0.25"), "port": mail.more.get("port", 25)}
        recording.name(mail.uid, USERS[mail.uid])
        recording.session(cookie, pid, start, session(mail), uid=mail.uid, **flow)
        recording.close(cookie, **flow)
    return recording


def run(*command, data=None):
    done = subprocess.run([PROGRAM, *command], input=data, stdin=None if data is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
    assert done.returncode == 0, (command, done.stderr.decode()[:2000])
    return done.stdout


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, 0o644)
        return path

    def events(self, mails, *options):
        return run("replay", self.write("recording", recorded(mails).data), "-o", "json", "--all", *options)

    def suggest(self, mails):
        """The draft, which check must find valid. Drafts are in self.drafts: name, warnings and text of each."""
        return self.suggest_from(self.events(mails))

    def suggest_from(self, events):
        self.draft = run("suggest", data=events).decode()
        self.path = self.write("draft.yaml", self.draft.encode())
        checked = run("check", "-c", self.path).decode()
        self.checked = [line for line in checked.splitlines() if ": warning: " in line and "has no user" not in line]
        self.drafts = []
        for part in re.split(r"\n\n", self.draft.partition("exclusions:\n")[2]):
            if part.strip():
                self.drafts.append((re.search(r'name: "(.*)"', part)[1], re.findall("# WARNING: (.*)", part), part))
        self.assertEqual(len(self.checked), sum(len(warnings) for _, warnings, _ in self.drafts), checked)
        return self.draft

    def verdicts(self, mails):
        """The verdicts on other mails, decided by the draft; in order of time."""
        lines = self.events(mails, "-c", self.path).splitlines()
        return [event["smtpsnoop"]["verdict"] for event in map(json.loads, lines)
                if event["event"]["action"] == "smtp-message"]

    def not_drafted(self, words):
        """How many messages were not drafted for this reason."""
        counts = [int(count) for count, why in re.findall(r"# not drafted: (\d+) messages?: (.*)", self.draft)
                  if words in why]
        return sum(counts)


def honest(days, **more):
    return [Mail(day, subject=f"Daily sales report {day} of 2023", second=day % 7 * 20,
                 recipients=("a@corp.example",) if day % 2 else ("a@corp.example", "b@corp.example"), **more)
            for day in days]


class Honest(Case):
    def test_later_mails_are_excluded(self):
        self.suggest(honest(range(1, 6)))
        (name, warnings, text), = self.drafts
        self.assertEqual((name, warnings), ("msmtp-1", []))
        for words in ('executable: "/usr/bin/msmtp"', 'user: "reports"', 'relay: ["10.0.0.25:25"]',
                      'sender: "reports@corp.example"', 'recipients: ["a@corp.example", "b@corp.example"]',
                      'subject: "Daily sales report *"', 'schedule: { at: "0 8 * * *", for: 17m, early: 5m,',
                      "# 5 messages on 5 days, from 2023-11-16 to 2023-11-20"):
            self.assertIn(words, text)
        self.assertNotIn("not drafted", self.draft)
        self.assertEqual(self.verdicts(honest(range(6, 40))), ["excluded"] * 34)

    def test_what_is_not_its_mail_stays_an_alert(self):
        self.suggest(honest(range(1, 6)))
        for change in ({"executable": "/usr/bin/curl"}, {"uid": 33}, {"sender": "ceo@corp.example"},
                       {"recipients": ("box@evil.example",)}, {"recipients": ("a@corp.example", "x@evil.example")},
                       {"subject": "Weekly report 1"}, {"second": 3600}, {"second": -600}, {"relay": "10.6.6.6"},
                       {"port": 587}):
            with self.subTest(change):
                mail = Mail(9, **{"subject": "Daily sales report 9 of 2023", **change})
                self.assertEqual(self.verdicts([mail]), ["alert"])

    def handed_in(self, days, unit="report.service", **process):
        """Events of mails that Exim relays for reports, handed in by this process."""
        received = b"Received: from reports by mx with local (Exim 4.96)\r\n\tid 1rABCD-000123-2X; now\r\n"
        lines = self.events(honest(days, executable="/usr/sbin/exim4", uid=105, received=received)).splitlines()
        events = [event for event in map(json.loads, lines) if event["event"]["action"] == "smtp-message"]
        for event in events:
            self.assertEqual(event["smtpsnoop"]["origin"]["user"], "reports")
            if process:
                event["smtpsnoop"]["origin"].update(process=process, how="pid", systemd={"unit": unit})
        return b"".join(json.dumps(event).encode() + b"\n" for event in events)

    def test_relayed_mail_asks_who_handed_it_in(self):
        known = {"executable": "/usr/bin/python3.11", "script": "/opt/reports/daily.py", "args": [],
                 "exe_verified": True, "real_user": True, "own_namespaces": True, "scheduled_by": "none"}
        program, script, user, unit = (f'\n      {line}\n' for line in (
            'executable: "/usr/bin/python3.11"', 'script: "/opt/reports/daily.py"', 'user: "reports"',
            'unit: "report.service"'))
        for change, there, absent in (({}, (program, script, user, unit), ()),
                                      ({"unit": "session-5.scope"}, (program, script, user), (unit, "session")),
                                      ({"script": "-m daily"}, (program, user, "# script that handed it in: -m daily"), (script,)),
                                      ({"exe_verified": False}, (user, unit), (program, script)),
                                      ({"own_namespaces": False}, (user,), (program, script, unit)),
                                      ({"real_user": False}, (user,), (program, script, unit)),
                                      (None, (user,), (program, script, unit))):
            with self.subTest(change):
                self.suggest_from(self.handed_in(range(1, 6), **({} if change is None else {**known, **change})))
                (name, warnings, text), = self.drafts
                self.assertEqual((name, warnings), ("exim4-1", []))
                process, origin = text.split("    origin:", 1)
                self.assertNotIn(program, process)
                for words in there:
                    self.assertIn(words, text if words.startswith("#") else origin)
                for words in absent:
                    self.assertNotIn(words, origin)
        for change in ({"executable": "/tmp/x"}, {"executable": "/memfd:x"}):
            with self.subTest(change):
                self.suggest_from(self.handed_in(range(1, 6), **{**known, **change}))
                self.assertEqual(self.drafts, [])
                self.assertEqual(self.not_drafted("WARNING: "), 5)

    def test_many_recipients_become_a_pattern(self):
        self.suggest([Mail(day, recipients=(f"u{day}{i}@corp.example",)) for day in range(1, 6) for i in range(3)])
        self.assertIn('recipients: ["*@corp.example"]', self.draft)
        self.assertEqual(self.verdicts([Mail(9, recipients=("new@corp.example",))]), ["excluded"])

    def test_what_came_once_is_left_out(self):
        mails = honest(range(1, 6))
        mails += [Mail(3, recipients=("box@evil.example",), subject="Daily sales report 3 of 2023", second=300),
                  Mail(3, relay="10.6.6.6", subject="Daily sales report 3 of 2023", second=400)]
        self.suggest(mails)
        self.assertEqual(len(self.drafts), 1)
        self.assertNotIn("evil", self.draft)
        self.assertNotIn("10.6.6.6", self.draft)
        self.assertIn("# 1 other domain did not come again", self.draft)

    def test_patterns_in_values(self):
        odd = {"executable": "/opt/a[1]*/m\\ail?", "sender": "a*b?@corp.example", "subject": 'Say "x\\y" [*]'}
        self.suggest([Mail(day, **odd) for day in range(1, 5)])
        self.assertEqual(len(self.drafts), 1)
        self.assertEqual(self.verdicts([Mail(9, **odd)]), ["excluded"])
        for key, value in (("executable", "/opt/a1x/m\\ailx"), ("sender", "axbx@corp.example"),
                           ("subject", 'Say "x\\y" x')):
            self.assertEqual(self.verdicts([Mail(9, **{**odd, key: value})]), ["alert"], key)

    def test_text_of_other_languages(self):
        self.suggest([Mail(day, sender="täglich@corp.example") for day in range(1, 5)])
        self.assertEqual(self.verdicts([Mail(9, sender="täglich@corp.example")]), ["excluded"])

    def test_units_of_one_login(self):
        """Such a unit has another name at the next login."""
        for folder in ("user.slice/user-2001.slice/session-{}.scope", "system.slice/run-r{}.service"):
            self.suggest([Mail(day, cgroup="/" + folder.format(day)) for day in range(1, 6)])
            self.assertEqual(len(self.drafts), 1)
            self.assertNotIn("unit:", self.draft)
            self.assertEqual(self.verdicts([Mail(9, cgroup="/" + folder.format(9))]), ["excluded"])

    def test_a_bigger_mail(self):
        self.suggest([Mail(day, body=b"sales and costs\r\n" * 1000) for day in range(1, 6)])
        self.assertEqual(self.verdicts([Mail(9, body=b"sales and costs\r\n" * 1800)]), ["excluded"])
        self.assertEqual(self.verdicts([Mail(9, body=b"sales and costs\r\n" * 4000)]), ["alert"])

    def test_address_verification(self):
        """It is no alert, so it needs no exclusion."""
        self.suggest(honest(range(1, 6)) + [Mail(day, sender="v@corp.example", asked=True) for day in range(1, 6)])
        self.assertEqual(len(self.drafts), 1)
        self.assertIn("suggest from 5 messages.", self.draft)

    def test_few_days(self):
        for days in ((1,), (1, 2), (1, 1, 1, 1, 2, 2, 2)):
            self.suggest([Mail(day, second=i) for i, day in enumerate(days)])
            self.assertEqual(self.drafts, [])
            self.assertEqual(self.not_drafted("fewer than 3 days"), len(days))
            self.assertIn("(/usr/bin/msmtp of reports", self.draft)
            self.assertTrue(self.draft.endswith("exclusions: []\n"))

    def test_days_are_counted_once(self):
        """The same file twice, and files in any order, count the same days."""
        first, second = self.events(honest((1, 2))), self.events(honest(range(1, 6)))
        paths = [self.write("1.json", first), self.write("2.json", first)]
        self.assertIn(b"exclusions: []", run("suggest", *paths, paths[0]))
        self.assertIn(b"messages on 5 days, from 2023-11-16 to 2023-11-20",
                      run("suggest", self.write("3.json", second), paths[0]))

    def test_a_pipe_is_read_as_a_file(self):
        events = self.events(honest(range(1, 6)))
        self.assertEqual(run("suggest", data=events), run("suggest", self.write("events.json", events)))


def random_mail(rng, day, **more):
    word = f"{rng.getrandbits(64):x}"
    return Mail(day, sender=f"{word}@{word}.example", recipients=(f"{word}@victim{word}.example",), subject=word,
                second=rng.randrange(20000), **more)


class Attacker(Case):
    """Whatever an attacker does beside it, the honest mailer's draft comes first and is the same."""

    def beside_the_honest(self, attack, drafts=1):
        self.suggest(honest(range(1, 6)) + attack)
        self.assertEqual(len(self.drafts), drafts, self.draft[:5000])
        self.assertIn('user: "reports"', self.drafts[0][2])
        self.assertEqual(self.drafts[0][1], [])
        self.assertEqual(self.verdicts(honest(range(6, 9))), ["excluded"] * 3)
        return self.drafts[1:]

    def test_random_senders_of_a_hidden_program(self):
        rng = random.Random(1)
        attack = [random_mail(rng, day, executable="/tmp/.hidden", uid=33) for day in range(1, 6) for _ in range(60)]
        self.beside_the_honest(attack)
        self.assertEqual(self.not_drafted("WARNING: any user can put a program there (/tmp/.hidden of www-data"), 300)
        self.assertEqual(set(self.verdicts(attack[:50])), {"alert"})

    def test_random_senders_of_another_hidden_program(self):
        rng = random.Random(2)
        attack = [random_mail(rng, day, executable="/var/www/.cache/php", uid=33)
                  for day in range(1, 6) for _ in range(100)]
        self.beside_the_honest(attack)
        self.assertEqual(self.not_drafted("fewer than 3 days"), 500)

    def test_random_senders_of_the_honest_program_and_user(self):
        rng = random.Random(3)
        attack = [random_mail(rng, day) for day in range(1, 6) for _ in range(100)]
        self.beside_the_honest(attack)
        self.assertIn("# The same program and user sent 500 other messages, which are not drafted.", self.draft)
        self.assertEqual(set(self.verdicts(attack[:50])), {"alert"})

    def test_many_programs(self):
        rng = random.Random(4)
        self.beside_the_honest([random_mail(rng, day, executable=f"/var/www/html/{day}-{i}", uid=33)
                                for day in range(1, 6) for i in range(100)])
        self.assertEqual(self.not_drafted("fewer than 3 days"), 500)

    def test_the_same_program_every_day(self):
        """Mail of several days is drafted, but last, and with what speaks against it."""
        attack = [Mail(day, executable="/var/www/.cache/php", uid=33, sender="news@evil.example", second=40,
                       recipients=("drop@gmail.com",), subject="x") for day in range(1, 9)]
        (_, warnings, _), = self.beside_the_honest(attack, drafts=2)
        self.assertEqual([word for word in ("is hidden", "many programs share this account", "anyone can get an address")
                          if not any(word in line for line in warnings)], [])

    def test_root_with_an_interpreter_every_day(self):
        attack = [Mail(day, executable="/usr/bin/python3.11", uid=0, sender="r@evil.example", second=40,
                       recipients=("d@evil.example",), args=("python3", "/root/x.py")) for day in range(1, 9)]
        (_, warnings, text), = self.beside_the_honest(attack, drafts=2)
        self.assertEqual(warnings, [])  # another script does not pass
        self.assertIn('script: "/root/x.py"', text)
        later = {**attack[0].more, "executable": "/usr/bin/python3.11", "uid": 0, "sender": "r@evil.example",
                 "recipients": ("d@evil.example",)}
        self.assertEqual(self.verdicts([Mail(20, **later), Mail(21, **{**later, "args": ("python3", "/root/y.py")})]),
                         ["excluded", "alert"])

    def test_many_senders_every_day(self):
        attack = [Mail(day, executable="/opt/a", uid=2003, sender=f"s{i}@evil.example", recipients=("d@evil.example",),
                       second=i) for day in range(1, 6) for i in range(100)]
        self.beside_the_honest(attack, drafts=1 + 5)
        self.assertEqual(self.not_drafted("more senders of one program and user"), 500 - 25)

    def test_many_programs_every_day(self):
        attack = [Mail(day, executable=f"/opt/a{i}", uid=2003, sender="s@evil.example", recipients=("d@evil.example",),
                       second=i) for day in range(1, 6) for i in range(100)]
        mails = honest(range(1, 7))
        self.suggest(mails + attack)
        self.assertEqual(len(self.drafts), 50)
        self.assertIn('user: "reports"', self.drafts[0][2])
        self.assertEqual(self.not_drafted("more drafts than are written")
                         + self.not_drafted("more senders of one program and user"), 500 - 49 * 5)

    def test_random_recipients_of_one_sender(self):
        rng = random.Random(5)
        attack = [Mail(day, executable="/opt/a", uid=2003, sender="s@evil.example",
                       recipients=(f"x@{rng.getrandbits(64):x}.example",)) for day in range(1, 6) for _ in range(100)]
        self.beside_the_honest(attack)
        self.assertEqual(self.not_drafted("recipients' domains did not come again"), 500)

    def test_many_recipients_at_a_public_provider(self):
        attack = [Mail(day, executable="/opt/a", uid=2003, sender="s@evil.example", recipients=(f"x{day}{i}@gmail.com",))
                  for day in range(1, 6) for i in range(9)]
        self.beside_the_honest(attack)
        self.assertNotIn("gmail", self.draft.partition("exclusions:")[2])

    def test_programs_without_a_file(self):
        attack = [Mail(day, executable="/memfd:x", uid=2003, flags=MEMFD) for day in range(1, 6)]
        attack += [Mail(day, executable="/opt/gone", uid=2003, flags=DELETED) for day in range(1, 6)]
        self.beside_the_honest(attack)
        self.assertEqual(self.not_drafted("WARNING: the program was deleted or is only in memory"), 10)

    def test_values_that_break_a_line(self):
        for sender, executable in (("a\u2028b@evil.example", "/opt/a"), ("a\u202eb@evil.example", "/opt/a"),
                                   ("a@evil.example", "/opt/a\n  - name: x"), ("a@evil.example", "/opt/a\x1b[2J")):
            attack = [Mail(day, executable=executable, uid=2003, sender=sender) for day in range(1, 6)]
            self.beside_the_honest(attack)
            self.assertEqual(self.not_drafted("characters that cannot be shown"), 5)
            self.assertNotIn("\x1b", self.draft)

    def test_hostile_events(self):
        """A file of events may contain anything that is JSON."""
        event = next(line for line in self.events(honest((1,))).splitlines() if b"smtp-message" in line)
        lines = []
        for path, value in (("process.executable", 5), ("process.executable", ""), ("event.end", "9999-99-99"),
                            ("event.end", "99999999-01-01T00:00:00Z"), ("smtp.rcpt_to", [1, None, {}]),
                            ("smtp.rcpt_to", ["a@b"] * 5000), ("smtp.mail_from", "x" * 100000),
                            ("destination.port", -1), ("user", []), ("smtpsnoop", 1), ("smtp.bytes", -1),
                            ("smtp.bytes", 2**62)):
            changed = json.loads(event)
            *folders, name = path.split(".")
            target = changed
            for folder in folders:
                target = target[folder]
            target[name] = value
            lines += [json.dumps(changed).encode()] * 3
        run("suggest", data=b"\n".join(lines))


if __name__ == "__main__":
    unittest.main()
