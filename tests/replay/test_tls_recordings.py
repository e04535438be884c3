# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Recordings of real TLS clients, one mail with STARTTLS and one with SMTPS each, replay to the events that the client and
the server of that time call for: envelope, process, connection, outcome, version, cipher and library. `asyncio` has ten
connections at once in one process. The secrets of AUTH are in no recording and no output.

record_tls.py makes the recordings, as root.
"""

import base64
import glob
import json
import os
import subprocess
import unittest

from test_replay import PROGRAM

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "recordings")
NAMES = sorted(os.path.basename(path)[:-5] for path in glob.glob(os.path.join(FOLDER, "*.json")))
FORMATS = ("json", "cef", "sentinel", "table", "wide")


def get(event, path):
    for name in path.split("."):
        event = event.get(name) if isinstance(event, dict) else None
    return event


def forms(secret):
    """The secret itself, and its base64 at each of the three offsets, without what depends on its neighbours."""
    text = secret.encode()
    return [text] + [base64.b64encode(b"\0" * shift + text)[4 if shift else 0:-4] for shift in range(3)]


class Recordings(unittest.TestCase):
    maxDiff = None

    def replay(self, name, form):
        done = subprocess.run([PROGRAM, "replay", os.path.join(FOLDER, name + ".rec"), "--all", "-o", form],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=True)
        return done.stdout, done.stderr

    def check(self, name):
        with open(os.path.join(FOLDER, name + ".json"), encoding="ascii") as file:
            expected = json.load(file)
        events = [json.loads(line) for line in self.replay(name, "json")[0].splitlines()]
        wanted = {one["smtp.rcpt_to"][0]: one for one in expected["messages"]}
        mails = [event for event in events if get(event, "event.action") == "smtp-message"]
        found = {get(event, "smtp.rcpt_to")[0]: {path: get(event, path) for path in wanted[get(event, "smtp.rcpt_to")[0]]}
                 for event in mails}
        self.assertEqual(found, wanted)
        self.assertEqual(len(mails), len(wanted))
        for event in mails:
            self.assertEqual(get(event, "smtp.auth.outcome"), "success")  # so its secret was sent
        self.assertEqual([event for event in events if get(event, "event.action") == "smtp-encrypted"], [])
        sessions = [get(event, "source.port") for event in events if get(event, "event.action") == "smtp-session"]
        self.assertEqual(sorted(sessions), sorted({one["source.port"] for one in wanted.values()}))
        self.check_secrets(name, expected["secrets"])

    def check_secrets(self, name, secrets):
        with open(os.path.join(FOLDER, name + ".rec"), "rb") as file:
            outputs = [file.read()]
        for form in FORMATS:
            outputs += self.replay(name, form)
        self.assertTrue(secrets)
        for secret in secrets:
            for form in forms(secret):
                self.assertFalse(any(form in output for output in outputs), name)

    def test_what_is_there(self):
        self.assertLessEqual({"curl", "swaks", "msmtp", "smtplib", "s_client", "gnutls-cli", "postfix", "exim", "asyncio"}, set(NAMES))
        with open(os.path.join(FOLDER, "asyncio.json"), encoding="ascii") as file:
            messages = json.load(file)["messages"]
        self.assertEqual((len({one["source.port"] for one in messages}), len({one["process.pid"] for one in messages})), (10, 1))


def add(name):
    setattr(Recordings, "test_" + name.replace("-", "_"), lambda self: self.check(name))


for one in NAMES:
    add(one)


if __name__ == "__main__":
    unittest.main()
