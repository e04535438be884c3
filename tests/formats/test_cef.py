# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""CEF as another program reads it. The unit test writes hostile events as CEF and as JSON; the parser of liblognorm,
which rsyslog uses, reads the CEF; the result is compared with the JSON of the same event.

Where liblognorm differs from the specification:
- 2.0.6 skips the first character after the header, whatever it is, so that the key "rt" becomes "t"; later versions
  skip blanks. The test adds a blank there; a user of Debian 12's rsyslog has to rename the key.
Differences that do not occur here:
- it does not know the escape of a '|' in an extension (none is needed), and only later versions know "\\/";
- of a key that is there twice, it uses the last one (the unit test ensures that no record has a key twice);
- it refuses an extension whose last value is empty (empty values are left out);
- it removes blanks only before a key, so that a value keeps those at its end; other parsers drop them (they are escaped).
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WRITER = os.path.join(os.environ.get("BUILD", os.path.join(ROOT, "build")), "tests/unit/test_event_cef")
LINE_MAX = 7500
HEADER = {"DeviceVendor": "smtpsnoop", "DeviceProduct": "smtpsnoop"}

KEYS = {  # the keys that may occur, from the extension dictionary, with their limits in characters
    "rt": 0, "cnt": 0, "start": 0, "end": 0, "externalId": 40, "cat": 1023, "act": 63, "outcome": 63, "reason": 1023, "app": 31,
    "proto": 31, "dvchost": 100, "src": 0, "spt": 0, "dst": 0, "dpt": 0, "c6a2": 0, "c6a2Label": 1023, "c6a3": 0,
    "c6a3Label": 1023, "suser": 1023, "suid": 1023, "sproc": 1023, "spid": 0, "filePath": 1023, "fileHash": 255, "in": 0, "out": 0,
    "msg": 1023, "flexString1": 1023, "flexString1Label": 128, "flexString2": 1023, "flexString2Label": 128,
    "requestContext": 2048, "requestClientApplication": 1023, "sourceServiceName": 1023, "dhost": 1023, "duser": 1023, "deviceDirection": 0,
    **{f"cs{n}": 4000 for n in range(1, 7)}, **{f"cs{n}Label": 1023 for n in range(1, 7)},
    **{f"cn{n}": 0 for n in range(1, 4)}, **{f"cn{n}Label": 1023 for n in range(1, 4)}}
FREE = {"suser", "sproc", "filePath", "msg", "dvchost", "cs1", "cs2", "cs3", "cs4", "cs6", "flexString1", "flexString2",
        "requestContext", "requestClientApplication", "sourceServiceName", "dhost", "duser"}  # what others chose


def plain(text):
    """The bytes without escapes: in a row of backslashes before an x, two stand for one, and an odd one begins an escape."""
    def byte(match):
        half = b"\\" * (len(match[1]) // 2)
        if len(match[1]) % 2:
            return half + bytes([int(match[2], 16)])
        return half + b"x" + match[2]
    return re.sub(rb"(\\+)x([0-9a-f]{2}|)", byte, text.encode())


def get(event, path):
    for name in path.split("."):
        event = event.get(name) if isinstance(event, dict) else None
    return event


def milliseconds(time):
    done = subprocess.run(["date", "-u", "-d", time, "+%s%3N"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


class Cef(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            cef, lines, rules = (os.path.join(folder, name) for name in ("cef", "json", "rules"))
            env = dict(os.environ, SMTPSNOOP_CEF_OUT=cef, SMTPSNOOP_EVENTS_OUT=lines)
            subprocess.run([WRITER], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            with open(rules, "w", encoding="ascii") as file:
                file.write("version=2\nrule=:%record:cef%\n")
            with open(cef, "rb") as file:
                cls.lines = file.read().split(b"\n")[:-1]
            spaced = b"".join(re.sub(rb"^CEF:0(\|([^|\\]|\\.)*){6}\|", rb"\g<0> ", line) + b"\n" for line in cls.lines)
            with open(lines, encoding="utf-8") as file:
                cls.events = [json.loads(line) for line in file.read().split("\n")[:-1]]
            done = subprocess.run(["lognormalizer", "-r", rules, "-e", "json"], input=spaced, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, check=True)
            cls.parsed = [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]

    def pairs(self):
        for parsed, event in zip(self.parsed, self.events):
            yield parsed["record"], parsed["record"]["Extensions"], event

    def test_every_line_is_parsed(self):
        self.assertGreater(len(self.lines), 40)
        self.assertEqual(len(self.lines), len(self.events))
        self.assertEqual(len(self.lines), len(self.parsed))
        for line, parsed in zip(self.lines, self.parsed):
            self.assertNotIn("unparsed-data", parsed)
            self.assertLess(len(line), LINE_MAX)
            self.assertNotRegex(line.decode(), "[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

    def test_keys(self):
        """All keys are the dictionary's, and values are within its lengths: nobody can make up a key."""
        for record, extension, _ in self.pairs():
            self.assertEqual({name: record[name] for name in HEADER}, HEADER)
            for key, value in extension.items():
                self.assertIn(key, KEYS)
                self.assertTrue(value)
                if KEYS[key]:
                    self.assertLessEqual(len(value), KEYS[key], key)
                elif not key.startswith(("c6a", "src", "dst")):
                    self.assertRegex(value, r"\A-?[0-9]+\Z", key)
                if key not in FREE:
                    self.assertNotRegex(value, r"\\x", key)
                if key.endswith("Label"):
                    self.assertIn(key[:-len("Label")], extension)

    def test_the_manual_has_them(self):
        with open(os.path.join(ROOT, "docs/smtpsnoop.8"), encoding="utf-8") as file:
            manual = set(re.findall(r"\w+", file.read()))
        for _, extension, _ in self.pairs():
            for key in extension:
                self.assertTrue(key.endswith("Label") or key in manual, key)

    def same(self, extension, event, key, path):
        """A value of CEF is that of JSON, or its beginning and "..."."""
        wanted, there = get(event, path), extension.get(key)
        if wanted is None or wanted == "":
            self.assertIn(there, (None, "<>"), key)
            return 0
        self.assertIsNotNone(there, key)
        if there.endswith("...") and not str(wanted).endswith("..."):
            self.assertTrue(plain(wanted).startswith(plain(there[:-3])), key)
        elif isinstance(wanted, int):
            self.assertEqual(int(there), min(wanted, 2**63 - 1), key)
        else:
            self.assertEqual(plain(there), plain(wanted), key)
        return 1

    def test_values(self):
        pairs = {"externalId": "event.id", "cat": "event.kind", "dvchost": "host.name", "act": "smtpsnoop.verdict",
                 "outcome": "event.outcome", "suser": "user.name", "suid": "user.id", "spid": "process.pid",
                 "fileHash": "process.hash.sha256", "dpt": "destination.port", "spt": "source.port", "cs5": "smtp.session_id",
                 "cs3": "smtp.helo", "cs1": "smtp.mail_from"}
        compared = dict.fromkeys(pairs, 0)
        for record, extension, event in self.pairs():
            self.assertEqual(record["SignatureID"], event["event"]["action"])
            if "1970" < event["@timestamp"] < "2100":
                self.assertEqual(extension["rt"], milliseconds(event["@timestamp"]))
            for key, path in pairs.items():
                if key == "cs1" and event["event"]["action"] != "smtp-message":
                    continue
                compared[key] += self.same(extension, event, key, path)
        for key, count in compared.items():
            self.assertGreater(count, 2, key)

    def test_addresses(self):
        kinds = set()
        for _, extension, event in self.pairs():
            for side, four, six in (("source", "src", "c6a2"), ("destination", "dst", "c6a3")):
                address = get(event, f"{side}.ip")
                if address is None:
                    continue
                kinds.add(":" in address)
                self.assertEqual(extension.get(six if ":" in address else four), address)
                self.assertNotIn(four if ":" in address else six, extension)
        self.assertEqual(kinds, {True, False})

    def test_recipients(self):
        """The first recipients are shown, and the count is that of all."""
        seen = 0
        for _, extension, event in self.pairs():
            recipients = get(event, "smtp.rcpt_to")
            if recipients is None:
                continue
            self.assertEqual(int(extension["cn1"]), len(recipients) + (get(event, "smtp.rcpt_dropped") or 0))
            shown = extension["cs2"].split(",")
            rest = int(shown.pop()[1:]) if re.fullmatch(r"\+[0-9]+", shown[-1]) else 0
            self.assertEqual(len(shown) + rest, int(extension["cn1"]))
            seen += bool(rest)
        self.assertGreater(seen, 3)


if __name__ == "__main__":
    sys.exit(unittest.main())
