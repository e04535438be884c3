# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A new configuration is read beside the capture: mail is reported as promptly as before while a large one is read, a
SIGHUP meanwhile is done afterwards, and the daemon ends at once.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import threading
import time

from daemon import Bench, Daemon
from harness import SLOW, Server, action, get, strict_json, unique, wait_for

CLIENT = """
import sys, time
import client
port, marker = int(sys.argv[1]), sys.argv[2]
session = client.Session(port)
number = 0
while True:
    number += 1
    session.mail("s@example.org", f"{number}-{marker}")
    print(number, time.monotonic(), flush=True)
    time.sleep(0.03)
"""

# Each mail has its own event.
SMALL, LATER = "alerts: { join: false }\nheartbeat: 1h\n", "alerts: { join: false }\nheartbeat: 2h\n"
FILES, EXCLUSIONS, EXPRESSIONS = 4, 800, 130  # close to the bounds of smtpsnoop.yaml(5)
PROMPT_S = 1.0  # what smtpsnoop promises: from the end of a mail to its event
READING_S = 1.5  # reading must take longer than that: otherwise this would test nothing


def large(part):
    """One of the files of a legal configuration that takes long."""
    expressions = ", ".join(rf"'corp{number}\.example/[\w-]+'" for number in range(EXPRESSIONS))
    return "exclusions:\n" + "".join(
        f"- {{ name: e{part}-{number}, process: {{ user: nobody, executable: /opt/app{number}/report }}, "
        f"mail: {{ matches: [{expressions}] }} }}\n" for number in range(EXCLUSIONS))


class Reload(Bench):
    limit_s = 120

    def read_events(self, stream):
        for line in stream:
            self.events.append((time.monotonic(), strict_json(line)))

    def read_sent(self, stream):
        for line in stream:
            number, stamp = line.split()
            self.sent[int(number)] = float(stamp)

    def wait_ready(self, count):
        wait_for(lambda: len(self.daemon.manager.times("READY=1")) >= count, 60 * SLOW, f"READY=1, {count} times")
        return self.daemon.manager.times("READY=1")[count - 1]

    def reading(self, number):
        """When reading number `number` began."""
        return [stamp for stamp, text in self.daemon.manager.received if text.startswith("RELOADING=1")][number - 1]

    def latencies(self, marker):
        """Of each mail, by its number: when it had ended, and how long its event took."""
        found = {}
        for stamp, event in list(self.events):
            recipient = (get(event, "smtp.rcpt_to") or [""])[0]
            if action(event) == "smtp-message" and recipient.endswith(marker):
                number = int(recipient.split("-")[0])
                found[number] = (self.sent[number], stamp - self.sent[number])
        return found

    def hashes(self):
        return [get(event, "smtpsnoop.config.sha256") for _, event in list(self.events) if action(event) == "status"]

    def write_large(self):
        folder = os.path.join(os.path.dirname(self.daemon.path), "conf.d")
        os.mkdir(folder)
        for part in range(FILES):
            with open(os.path.join(folder, f"{part}.yaml"), "w", encoding="utf-8") as file:
                file.write(large(part))

    @staticmethod
    def large_hash(main):
        """The hash by which events name the configuration."""
        return hashlib.sha256((main + "".join(large(part) for part in range(FILES))).encode()).hexdigest()

    def test_reload_beside_the_capture(self):
        self.events, self.sent = [], {}
        server, marker = Server(self), unique("r")
        self.daemon = Daemon(self, self.folder, SMALL, stdout=subprocess.PIPE)
        threading.Thread(target=self.read_events, args=(self.daemon.process.stdout,), daemon=True).start()
        client = self.program("reload_client.py", CLIENT, server.port, marker)
        threading.Thread(target=self.read_sent, args=(client.stdout,), daemon=True).start()
        wait_for(lambda: len(self.latencies(marker)) > 20, 20 * SLOW, "mails before the reload")

        # One reading that takes long.
        self.write_large()
        self.daemon.process.send_signal(signal.SIGHUP)
        ready = self.wait_ready(2)
        began = self.reading(1)
        self.assertGreater(ready - began, READING_S, "the configuration is read too fast for this test")
        time.sleep(PROMPT_S)
        sent, found = dict(self.sent), self.latencies(marker)
        during = [took for ended, took in found.values() if began < ended < ready]
        lost = [number for number, ended in sent.items() if number not in found and ended < ready]
        self.assertEqual(lost, [])
        self.assertGreater(len(during), 10)
        self.assertLess(max(during), PROMPT_S * SLOW, f"{len(during)} mails while reading took {ready - began:.1f} s")
        self.assertEqual(self.hashes()[-1], self.large_hash(SMALL))

        # A SIGHUP while it is read: the file of then is read afterwards. Several count as one.
        self.daemon.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        self.daemon.configure(LATER)
        for _ in range(5):
            self.daemon.process.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        self.wait_ready(4)
        time.sleep(0.3)
        self.assertEqual(len(self.daemon.manager.times("READY=1")), 4)
        self.assertGreaterEqual(self.reading(3), self.daemon.manager.times("READY=1")[2] - 0.5)
        self.assertEqual(self.hashes()[-1], self.large_hash(LATER))

        # The end does not wait for it.
        client.kill()
        self.daemon.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        self.assertLess(self.daemon.stop(), 1.0 * SLOW)
        wait_for(lambda: action(self.events[-1][1]) == "stopped", 5, "the stopped event")
        self.assertEqual(len(self.daemon.manager.times("READY=1")), 4)
        self.assertEqual([line for line in self.daemon.said() if "stays in force" in line], [])
