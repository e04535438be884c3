# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Who handed a mail to the local MTA that relays it: smtpsnoop.origin.process."""

import os
import pwd
import subprocess
import unittest

import mta
from harness import LiveCase, LONG, PYTHON, PYTHON_EXECUTABLE, Server, Watch, action, get, sized, unique, wait_for

USER = "games"

SCRIPT = """
import subprocess, sys
sendmail, *recipients = sys.argv[1:]
for recipient in recipients:
    subprocess.run([sendmail, "-i", "-f", "a@x.test", recipient], input=b"Subject: s\\n\\ntext\\n", check=True, cwd="/")
"""


class Origins:
    """Real servers in their own file systems; one watch."""

    kind = None
    limit_s = mta.INSTALL_S

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sink = Server(cls)
        cls.server = cls.kind(cls, cls.sink.port)
        cls.watch = Watch(cls, prefix=cls.server.root.prefix)

    @classmethod
    def tearDownClass(cls):
        cls.watch.stop()

    def relayed(self, recipient):
        return self.watch.wait_messages(lambda event: recipient in get(event, "smtp.rcpt_to", []) and
                                        get(event, "destination.port") == self.sink.port, timeout_s=30)[0]

    def as_user(self, *command, user=USER):
        account = pwd.getpwnam(user)
        return [*self.server.root.prefix, "setpriv", "--reuid", str(account.pw_uid), "--regid", str(account.pw_gid),
                "--clear-groups", *command]

    def test_a_script(self):
        recipient = unique("r")
        script = self.write("job.py", SCRIPT)
        process = self.spawn(self.as_user(PYTHON, "-I", self.path("job.py"), self.server.sendmail, recipient))
        self.finish(process)
        origin = get(self.relayed(recipient), "smtpsnoop.origin")
        self.assertEqual(origin["how"], self.how, origin)
        self.assertEqual(get(origin, "process.pid"), process.pid)
        self.assertEqual(get(origin, "process.script"), self.path("job.py"))


class EximOrigin(Origins, LiveCase):
    kind, how = mta.Exim, "pid"
