# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Connections leave nothing behind: 20,000 of them (100,000 in a long run) are opened and closed while the watch runs, a
quarter with the beginning of an SMTP session. Then the kernel's maps have as few entries as before, and the watch has
no more memory. SMTPSNOOP_CONNECTIONS sets another number.
"""

import json
import os
import shutil
import subprocess
import unittest

from harness import LONG, SLOW, LiveCase, Watch, action, sized, wait_for

CONNECTIONS = int(os.environ.get("SMTPSNOOP_CONNECTIONS", sized(20000, 100000) if SLOW == 1 else 2000))
# An emulated kernel is interrupted in more places than a real one, and skips a BPF program that would interrupt itself.
# In one of about 40 runs an entry was left; the cause is not known. Such an entry is printed.
LEFT_MAX = 0 if SLOW == 1 else 1
GROWTH_MAX = 3 << 20  # bytes that the allocator may keep
MAPS = ("flow_hash", "sends", "calls", "mptcp_copied")
BPFTOOL = shutil.which("bpftool") or "/usr/sbin/bpftool"

CHURN = r"""
import os, socket, struct, sys, threading
import client
client.signal.alarm(600)
count = int(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
address = listener.getsockname()
print(address[1], flush=True)

def accept():
    while True:
        peer = listener.accept()[0]
        peer.close()

threading.Thread(target=accept, daemon=True).start()
reset = struct.pack("ii", 1, 0)
for number in range(count):
    sock = socket.socket()
    if number % 8:  # most are closed by a reset: ports in TIME_WAIT would run out
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    sock.connect(address)
    try:
        if number % 4 == 0:
            sock.send(b"EHLO churn\r\nMAIL FROM:<churn@example.org>\r\n")
        elif number % 4 == 1:
            sock.send(b"GET / HTTP/1.1\r\n\r\n")
    except OSError:
        pass
    sock.close()
os._exit(0)
"""


class Churn(LiveCase):
    limit_s = 400

    def left(self, watch, ports):
        """{map: its entries} of the maps that the watch has open. Of the flows only those with one of these ports or with
        no port yet: a host has other connections too."""
        numbers = set()
        for name in os.listdir(f"/proc/{watch.pid}/fdinfo"):
            try:
                with open(f"/proc/{watch.pid}/fdinfo/{name}", encoding="ascii") as file:
                    numbers.update(int(line.split()[1]) for line in file if line.startswith("map_id:"))
            except FileNotFoundError:
                pass
        left = {}
        for number in numbers:
            shown = json.loads(subprocess.run([BPFTOOL, "-j", "map", "show", "id", str(number)], check=True,
                                              stdout=subprocess.PIPE).stdout)
            if shown.get("name") in MAPS:
                dump = subprocess.run([BPFTOOL, "-j", "map", "dump", "id", str(number)], check=True,
                                      stdout=subprocess.PIPE).stdout
                left[shown["name"]] = [entry["formatted"] for entry in json.loads(dump)]
        left["flow_hash"] = [flow for flow in left["flow_hash"]
                             if {flow["value"]["id"]["local_port"], flow["value"]["id"]["remote_port"]} & {0, *ports}]
        return left

    @staticmethod
    def resident(watch):
        with open(f"/proc/{watch.pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss_Anon:"))

    def churn(self, count):
        """Opens and closes connections; returns the port of the listener."""
        program = self.program("churn.py", CHURN, count)
        port = int(program.stdout.readline())
        self.finish(program, timeout_s=380)
        return port

    def check(self, *options):
        watch = Watch(self, "--all", *options, spool=self.path("events.json"))
        ports = {self.churn(CONNECTIONS // 20)}  # after these, everything that stays is allocated
        before = self.resident(watch)
        ports.add(self.churn(CONNECTIONS))

        def empty():
            return sum(len(entries) for entries in self.left(watch, ports).values()) <= LEFT_MAX

        wait_for(empty, 90, lambda: f"the maps to be empty: {self.left(watch, ports)}"[:4000], 1.0)
        left = self.left(watch, ports)
        if any(left.values()):
            print(f"    left behind: {left}", flush=True)
        self.assertEqual(set(left) - {"calls"}, set(MAPS) - {"calls"})
        grown = self.resident(watch) - before
        self.assertLess(grown, GROWTH_MAX, f"{grown} bytes more than before {CONNECTIONS} connections")
        watch.stop()
        sessions = watch.select(lambda event: action(event) == "smtp-session")
        self.assertGreater(len(sessions), CONNECTIONS // 5, "the sessions were not seen")

    def test_connections_leave_nothing(self):
        self.check()

    def test_connections_leave_nothing_without_wire(self):
        if not LONG:
            self.skipTest("takes 6 s: make test-all runs it")
        self.check("--no-wire")


if __name__ == "__main__":
    unittest.main()
