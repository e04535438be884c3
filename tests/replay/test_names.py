# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Whose name an id has: this host's, that of the sender's own root directory, or none. What an exclusion and a filter
take for a user of this host."""

import json
import struct
import subprocess
import sys
import tempfile
import unittest

import test_replay
from test_replay import SECOND, STEPS

ACCOUNTS = 80
ROOT_OWN, ROOT_OTHER = 1 << 8, 1 << 9
OWN_MNT, OTHER_MNT, OTHER_USER_NS = 2, 22, 77
START = 90 * SECOND
LOGIN = 1000


class Names(unittest.TestCase):
    replay = test_replay.Replay.replay
    messages = test_replay.Replay.messages

    def mailed(self, flags, mnt=OWN_MNT, accounts=None, ns_user=None, login=None):
        """A mail of uid 33, which is `www-data` on this host; `backup` is 34."""
        recording = test_replay.Recording()
        recording.exec(42, START, "/usr/bin/one")
        for uid, name in ((33, "www-data"), (34, "backup"), (LOGIN, "joe")):
            recording.name(uid, name)
        at = len(recording.data)
        recording.sender(5, 42, START, 33)
        struct.pack_into("<I", recording.data, self.offset(at, "ns_mnt"), mnt)
        struct.pack_into("<I", recording.data, self.offset(at, "flags"), flags)
        if ns_user:
            struct.pack_into("<I", recording.data, at + 16 + 8 + 36, ns_user)
        if login is not None:
            struct.pack_into("<I", recording.data, at + 16 + 8 + 32, login)
        if accounts is not None:
            text = accounts.encode()
            recording.record(ACCOUNTS, struct.pack("<QIIII", START, 42, 33, 33, len(text)) + text)
        segments = len(recording.data)
        recording.session(5, 42, START, STEPS, uid=33)
        if ns_user or login is not None:
            self.patch_sends(recording, segments, ns_user, login)
        recording.close(5)
        return recording

    @staticmethod
    def offset(at, field):
        """Of a field of the sender record that begins at `at`: behind its head, cookie, task and executable."""
        return at + 16 + 8 + 56 + 20 + 4 * {"ns_mnt": 2, "flags": 6}[field]

    @staticmethod
    def patch_sends(recording, at, ns_user, login):
        while at < len(recording.data):
            kind, length = struct.unpack_from("<II", recording.data, at)
            if kind == test_replay.SEND:
                task = at + 16 + 56
                if ns_user:
                    struct.pack_into("<I", recording.data, task + 36, ns_user)
                if login is not None:
                    struct.pack_into("<I", recording.data, task + 32, login)
            at += length

    def user(self, *args, **kwargs):
        event, = self.messages(self.mailed(*args, **kwargs))
        user = event["user"]
        self.assertEqual(user["id"], "33")
        return user.get("name"), event["smtpsnoop"]["process"].get("root_names")

    def test_whose_name(self):
        own = "own:backup:web"
        for expected, arguments in (
                (("www-data", None), (ROOT_OWN,)),
                (("www-data", None), (ROOT_OWN, OTHER_MNT)),  # PrivateTmp: another mount namespace, the same root
                (("www-data", None), (0,)),                   # an older recording
                ((None, None), (0, OTHER_MNT)),
                ((None, None), (ROOT_OTHER,)),                # the process had ended before its root was read
                ((None, None), (ROOT_OTHER, OWN_MNT, "")),
                (("backup", True), (ROOT_OTHER, OWN_MNT, own)),
                (("backup", True), (ROOT_OTHER, OTHER_MNT, own)),
                ((None, None), (ROOT_OTHER, OWN_MNT, "own::")),
                (("www-data", None), (ROOT_OTHER, OWN_MNT, "host")),  # Postfix's chroot has no etc/passwd
                ((None, None), (ROOT_OTHER, OTHER_MNT, "host")),      # a container without one
                ((None, None), (ROOT_OTHER, OWN_MNT, own, OTHER_USER_NS)),
                ((None, None), (ROOT_OTHER, OTHER_MNT, "host", OTHER_USER_NS)),
                ((None, None), (ROOT_OWN, OWN_MNT, own, OTHER_USER_NS))):
            self.assertEqual(self.user(*arguments), expected, arguments)

    def test_groups(self):
        event, = self.messages(self.mailed(ROOT_OTHER, OWN_MNT, "own:backup:web"))
        self.assertEqual(event["user"], {"id": "33", "name": "backup", "group": {"id": "33", "name": "web"}})

    def test_who_logged_in(self):
        """A chroot and a user namespace keep the login of this host; a container may have set its own."""
        for expected, arguments in (("joe", (ROOT_OTHER, OWN_MNT, "")), ("joe", (ROOT_OTHER, OTHER_MNT, "", OTHER_USER_NS)),
                                    (None, (ROOT_OTHER, OTHER_MNT, "own:joe:joe"))):
            event, = self.messages(self.mailed(*arguments, login=LOGIN))
            self.assertEqual(event["user"]["audit"].get("name"), expected, arguments)
            self.assertEqual(event["user"]["audit"]["id"], str(LOGIN))

    def decided(self, recording, user):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(f"exclusions: [ {{ name: one, process: {{ user: {user}, executable: /usr/bin/one }} }} ]\n")
            file.flush()
            event, = self.messages(recording, "--all", "-c", file.name)
            done = subprocess.run([test_replay.PROGRAM, "explain", "-c", file.name], input=json.dumps(event).encode(),
                                  stdout=subprocess.PIPE, timeout=60, check=True)
        explained = next(line.split()[0] for line in done.stdout.decode().splitlines() if "process.user" in line)
        return event["smtpsnoop"]["verdict"], explained == "met"

    def test_an_exclusion_takes_no_other_name(self):
        chroot = self.mailed(ROOT_OTHER, OWN_MNT, "own:backup:backup")
        self.assertEqual(self.decided(chroot, "backup"), ("alert", False))
        self.assertEqual(self.decided(chroot, "www-data"), ("alert", False))
        self.assertEqual(self.decided(chroot, "33"), ("excluded", True))
        self.assertEqual(self.decided(self.mailed(ROOT_OTHER, OWN_MNT, "host"), "www-data"), ("excluded", True))
        self.assertEqual(self.decided(self.mailed(ROOT_OWN), "www-data"), ("excluded", True))
        self.assertEqual(self.decided(self.mailed(ROOT_OWN), "backup"), ("alert", False))

    def test_a_filter_takes_no_other_name(self):
        chroot = self.mailed(ROOT_OTHER, OWN_MNT, "own:backup:backup")
        for user, count in (("backup", 0), ("www-data", 0), ("33", 1)):
            self.assertEqual(len(self.messages(chroot, "--user", user, warnings=1 - count)), count, user)

    def test_the_table_and_cef_show_the_number(self):
        chroot = self.mailed(ROOT_OTHER, OWN_MNT, "own:backup:backup")
        with tempfile.NamedTemporaryFile(suffix=".rec") as file:
            file.write(chroot.data)
            file.flush()
            for output in ("table", "wide", "cef"):
                done = subprocess.run([test_replay.PROGRAM, "replay", file.name, "-o", output], stdout=subprocess.PIPE,
                                      timeout=60, check=True)
                self.assertNotIn(b"backup", done.stdout, output)
                self.assertIn(b"33", done.stdout, output)


if __name__ == "__main__":
    sys.exit(unittest.main())
