# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the tests of deploy/examples share: test_scenarios.py (each mailer alone, cheap enough for `make test`) and
scenario_*.py (whole systems, for `make scenarios` and `make test-all`).

A real system runs in a file system of its own (mta.Root), together with the watches. There it has the users that the
example names, so only relay and hours of the example are replaced.
"""

import os
import re
import subprocess
import time

from harness import LiveCase, ROOT, SLOW, Watch, get, is_listening, short, wait_for

ATTACKER = "games"


def due(hour_shift):
    now = time.gmtime(time.time() + 3600 * hour_shift)
    return f'schedule: {{ at: "{now.tm_min} {now.tm_hour} * * *", for: 20m, timezone: UTC }}'


def example(name, port, hour_shift, changes):
    """The text of an example, due `hour_shift` hours from now, with `port` as the relay; `changes` are replaced."""
    with open(f"{ROOT}/deploy/examples/{name}.yaml", encoding="utf-8") as file:
        text = file.read()
    text, relayed = re.subn(r'relay: "10\.0\.0\.\d+:\d+"', f'relay: "127.0.0.1:{port}"', text)
    text, scheduled = re.subn(r"schedule: \{.*\}", due(hour_shift), text)
    assert relayed == scheduled == text.count("- name:") > 0
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def examples(folder, ports, hour_shift, changes=()):
    """Writes examples, each with the port of its relay, to a conf.d; returns the path of the main file."""
    os.makedirs(f"{folder}/conf.d")
    for name, port in ports.items():
        with open(f"{folder}/conf.d/{name}.yaml", "w", encoding="utf-8") as file:
            file.write(example(name, port, hour_shift, dict(changes)))
    with open(f"{folder}/smtpsnoop.yaml", "w", encoding="utf-8") as file:
        file.write("decision: { deadline: 10s }\n")
    return f"{folder}/smtpsnoop.yaml"


class ScenarioCase(LiveCase):
    def assert_excluded(self, watch, recipient, name, timeout_s=8):
        event = watch.message(recipient, timeout_s * SLOW)
        self.assertEqual((get(event, "smtpsnoop.verdict"), get(event, "smtpsnoop.exclusion"), get(event, "event.kind")),
                         ("excluded", name, "event"), short(event))
        return event

    def assert_alert(self, watch, recipient, name, *failed, timeout_s=8):
        event = watch.message(recipient, timeout_s * SLOW)
        self.assertEqual((get(event, "smtpsnoop.verdict"), get(event, "event.kind"), get(event, "smtpsnoop.nearest.name")),
                         ("alert", "alert", name), short(event))
        for criterion in failed:
            self.assertIn(criterion, get(event, "smtpsnoop.nearest.failed"), short(event))
        return event


class SystemCase(ScenarioCase):
    """A real system in `self.root`, and two watches in it: `now` is in the example's hours, `later` is not."""

    limit_s = 280
    accounts = ()  # system users that the example names and no package creates

    def begin(self, root, name, port):
        self.root = root
        for account in self.accounts:
            root.run("useradd", "-r", "-M", "-s", "/usr/sbin/nologin", account)
        for when, shift in (("now", 0), ("later", 12)):
            config = examples(self.path(when), {name: port}, shift)
            setattr(self, when, Watch(self, "--all", "-c", config, "--where", "mail.recipients=*@*.example",
                                      prefix=root.prefix))

    def end(self):
        self.now.stop()
        self.later.stop()

    def start(self, *command, user=None, port=None, **keywords):
        """Starts a program in the root; waits until it listens on `port`."""
        process = self.spawn([*self.root.prefix, *(self.by(user) if user else ()), *command],
                             stdout=subprocess.DEVNULL, stderr=open(self.path("errors"), "ab"), cwd="/", **keywords)
        if port:
            wait_for(lambda: is_listening(port) or process.poll() is not None, 60 * SLOW, f"{command[0]} to listen")
            self.assertIsNone(process.poll(), self.errors())
        return process

    def errors(self):
        with open(self.path("errors"), encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    @staticmethod
    def by(user):
        return ("setpriv", "--reuid", user, "--regid", user, "--init-groups", "--reset-env")

    def shell(self, user, command):
        """Runs a command line in the root as a user; returns what it printed."""
        return self.finish(self.spawn([*self.root.prefix, *self.by(user), "sh", "-c", command], cwd="/")).decode()

    def assert_schedule(self, recipient, name):
        """At another hour, the honest mail is an alert for its hour alone."""
        event = self.assert_alert(self.later, recipient, name)
        self.assertEqual(get(event, "smtpsnoop.nearest.failed"), ["schedule"], short(event))

    def assert_limit(self, recipient, name):
        event = self.assert_alert(self.now, recipient, name)
        failed = get(event, "smtpsnoop.nearest.failed")
        self.assertEqual([failed[0], *(name for name in failed if not name.startswith("limits."))], ["limits.messages"],
                         short(event))
        self.assertIn("exclusion_limit", get(event, "smtpsnoop.reasons"))
