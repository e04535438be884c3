# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the tests of mail under TLS share: two servers (TLS 1.2 and 1.3, each with STARTTLS and SMTPS on random ports), one
run of `record` for the class, and what must hold for every mail.

At the end of the class: each mail was reported once, nothing was reported twice or as encrypted, and the secrets are in
no event, in no other output and not in the recording. Each secret was received by a server, so it was really sent.
"""

import base64
import collections
import json
import os
import pwd
import subprocess
import uuid

from daemon import Bench
from harness import PROGRAM, Recorder, Server, action, get, short

MODES = ("starttls", "smtps")
VERSIONS = ("1.2", "1.3")
COMBINATIONS = [(mode, version) for version in VERSIONS for mode in MODES]
FORMATS = ("json", "cef", "sentinel", "table", "wide")
USER = "nobody"

# One mail, and what its event must show. None: not known.
Sent = collections.namedtuple("Sent", "recipient sender pid executable uid layer mode version port outcome")


def certificate(folder):
    """A file with a certificate of its own and its key."""
    path, key = os.path.join(folder, "certificate.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    key, "-out", path, "-days", "2", "-subj", "/CN=mail.test"], check=True, stderr=subprocess.DEVNULL)
    with open(path, "ab") as whole, open(key, "rb") as part:
        whole.write(part.read())
    return path


class Secret:
    """A user and a secret, in a file, and the forms in which the secret must not be found."""

    def __init__(self, folder, owner):
        self.user, self.text = f"user-{uuid.uuid4().hex[:8]}", "secret-" + uuid.uuid4().hex
        self.path = os.path.join(folder, self.user)
        with open(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write(f"{self.user} {self.text}\n")
        os.chown(self.path, owner.pw_uid, owner.pw_gid)

    def forms(self):
        """The secret itself, and its base64 at each of the three offsets, without what depends on its neighbours."""
        text = self.text.encode()
        return [text] + [base64.b64encode(b"\0" * shift + text)[4 if shift else 0:-4] for shift in range(3)]

    def was_received(self, servers):
        return any(self.text.encode() in base64.b64decode(answer) for server in servers for report in server.reports
                   if report["event"] == "auth" for answer in report["answers"])


class Job:
    """The mails that a client sends to one port, in one mode and version."""

    def __init__(self, case, name, mode, version, count, sender=None, secret=None):
        server = case.servers[version]
        self.name, self.mode, self.version = name, mode, version
        self.port = server.port if mode == "starttls" else server.smtps
        self.secret = secret or case.new_secret()
        self.auth = self.secret.path  # as the client sees it
        self.sender = sender or f"{name}@example.org"
        run = uuid.uuid4().hex[:6]
        self.recipients = [f"{name}-{number}-{run}@{self.domain(mode, version)}" for number in range(count)]

    @staticmethod
    def domain(mode, version):
        return f"{mode}-{version.replace('.', '')}.test"

    def text(self, recipient):
        return f"From: {self.sender}\r\nTo: {recipient}\r\nSubject: to {recipient}\r\n\r\nhello\r\n"

    def sent(self, layer, executable, pid=None, recipients=None, uid=None, outcome="success"):
        """What the events of these mails must show: by default, of all of them."""
        uid = str(pwd.getpwnam(USER).pw_uid if uid is None else uid)
        return [Sent(one, self.sender, pid, os.path.realpath(executable), uid, layer, self.mode, self.version, self.port,
                     outcome) for one in (self.recipients if recipients is None else recipients)]


class TlsBench(Bench):
    """The folder of the class, its servers, and its run of `record`, which writes events as `watch` does."""

    limit_s = 300
    has_text = False  # of sessions without a mail
    options = ("--all",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.certificate = certificate(cls.folder)
        cls.servers = {version: Server(cls, "--auth", "--certificate", cls.certificate, "--tls-version", version)
                       for version in VERSIONS}
        cls.ports = {port for server in cls.servers.values() for port in (server.port, server.smtps)}
        cls.secrets, cls.all_sent = [], []
        cls.before_watch()
        cls.recording = os.path.join(cls.folder, "recording")
        cls.watch = Recorder(cls, cls.recording, *cls.options)

    @classmethod
    def before_watch(cls):
        """For what must be there before the watch."""

    @classmethod
    def new_secret(cls):
        cls.secrets.append(Secret(cls.folder, pwd.getpwnam(USER)))
        return cls.secrets[-1]

    @classmethod
    def tearDownClass(cls):
        cls.watch.stop(warnings=1)
        warned = "were encrypted on the wire" in cls.watch.stderr.decode()
        if warned != bool(cls.all_sent or cls.has_text):
            raise AssertionError(f"{len(cls.all_sent)} mails were encrypted on the wire, but it says {cls.watch.stderr!r}")
        cls.check_counts(cls.watch.events)
        cls.check_secrets()

    # ---- One mail -------------------------------------------------------------------------------

    def delivered(self, sent):
        """The servers' own words: each mail arrived once, with this envelope, subject and version. Returns the reports."""
        reports = []
        for one in sent:
            report = self.servers[one.version].mail(one.recipient)
            reports.append(report)
            self.assertEqual({name: report[name] for name in ("sender", "recipients", "subject", "tls")},
                             {"sender": one.sender, "recipients": [one.recipient], "subject": f"to {one.recipient}",
                              "tls": one.version}, one)
        return reports

    @staticmethod
    def expected(one, report, event):
        """What the event of a mail must show, by what was sent and by what the server says."""
        expected = {
            "smtp.mail_from": one.sender,
            "smtp.rcpt_to": [one.recipient],
            "email.subject": f"to {one.recipient}",
            "process.executable": one.executable,
            "user.id": one.uid,
            "source.port": report["peer"],
            "destination.ip": "127.0.0.1",
            "destination.port": one.port,
            "event.outcome": one.outcome,
            "smtp.starttls": one.mode == "starttls",
            "tls.established": True,
            "tls.version": one.version,
            "smtpsnoop.capture.layer": one.layer,
            "smtpsnoop.capture.witness": "agree",
            "smtpsnoop.capture.complete": True,
        }
        if get(event, "smtpsnoop.capture.mid_stream"):  # counted where the kernel shows a record's place before it leaves
            del expected["smtpsnoop.capture.witness"]
        if one.pid is not None:
            expected["process.pid"] = one.pid
        if report["server_name"]:
            expected["tls.client.server_name"] = report["server_name"]
        return expected

    def faults(self, one, report, event, unknown):
        expected = self.expected(one, report, event)
        expected.update(dict.fromkeys(unknown))
        return [f"{path} is {get(event, path)!r}, not {value!r}" for path, value in expected.items()
                if get(event, path) != value]

    def check(self, sent, unknown=()):
        """Waits until all these mails have been reported, and compares them with what was sent and received. `unknown`:
        fields that must not be in the event."""
        type(self).all_sent += sent
        reports = self.delivered(sent)
        wanted = {one.recipient for one in sent}
        mine = lambda event: (get(event, "destination.port") in self.ports and
                              wanted.intersection(get(event, "smtp.rcpt_to", [])))
        try:
            self.watch.wait_messages(mine, len(sent))
        except AssertionError:
            pass  # the missing ones are named below
        events = {recipient: event for event in self.watch.messages(mine) for recipient in get(event, "smtp.rcpt_to")}
        faults = [f"{one.recipient}: not reported" for one in sent if one.recipient not in events]
        for one, report in zip(sent, reports):
            if event := events.get(one.recipient):
                faults += [f"{one.recipient}: {fault}\n    {short(event)}" for fault in self.faults(one, report, event, unknown)]
        if faults:
            raise AssertionError(f"{len(faults)} faults of {len(sent)} mails, the first:\n" + "\n".join(faults[:4]))

    # ---- All of them ----------------------------------------------------------------------------

    @classmethod
    def check_counts(cls, events):
        mine = [event for event in events if get(event, "destination.port") in cls.ports]
        found = collections.Counter(recipient for event in mine if action(event) == "smtp-message" and
                                    get(event, "smtpsnoop.final", True) for recipient in get(event, "smtp.rcpt_to", []))
        expected = collections.Counter(one.recipient for one in cls.all_sent)
        if found != expected:
            more = list((found - expected).elements())[:5]
            raise AssertionError(f"lost: {list((expected - found).elements())[:5]}, too many: {more}\n" + "\n".join(
                short(event) for event in mine if set(more) & set(get(event, "smtp.rcpt_to", []))))
        dark = [event for event in mine if action(event) == "smtp-encrypted"]
        if dark:
            raise AssertionError(f"{len(dark)} smtp-encrypted events, the first: {short(dark[0])}")

    @classmethod
    def check_secrets(cls):
        unsent = [secret.user for secret in cls.secrets if not secret.was_received(cls.servers.values())]
        if unsent:
            raise AssertionError(f"no server has received the secrets of {unsent}")
        outputs = {"the events": b"".join(cls.watch.lines), "standard error": cls.watch.stderr}
        with open(cls.recording, "rb") as file:
            outputs["the recording"] = file.read()
        for name in FORMATS:
            done = subprocess.run([PROGRAM, "replay", cls.recording, "--all", "-o", name], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=True)
            outputs["replay as " + name], outputs["standard error of replay"] = done.stdout, done.stderr
        for name, data in outputs.items():
            for secret in cls.secrets:
                if any(form in data for form in secret.forms()):
                    raise AssertionError(f"the secret of {secret.user} is in {name}")
        cls.check_counts(json.loads(line) for line in outputs["replay as json"].splitlines())
