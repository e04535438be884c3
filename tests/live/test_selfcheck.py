# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Somebody with root's rights takes hooks away, replaces a program, moves the place in the ring: the watch notices within
seconds, says so, and mends it. A hook that looks attached and sees nothing is found by the mail that the watch sends
itself; nobody can hide a mail behind that one.
"""

import contextlib
import ctypes
import glob
import mmap
import os
import re
import resource
import struct
import subprocess
import time
import unittest

from daemon import Bench, Daemon, Metrics, events
from harness import (HOOK, SLOW, LiveCase, Recorder, Server, Watch, action, free_port, get, replay, short, unique,
                     unshare_works, wait_for)

NOTICED_S = 10 * SLOW  # the links are compared once a second
CANARY_S = 70 * SLOW  # a canary that is not seen is reported within a minute

CLIENT = """
import sys
import client
session = client.Session(int(sys.argv[1]))
session.mail(sys.argv[2], sys.argv[3], sys.argv[4].encode() if len(sys.argv) > 4 else None)
session.quit()
"""

# ---- bpf(2) -----------------------------------------------------------------------------------------

MAP_UPDATE, PROG_LOAD, MAP_BY_ID, LINK_UPDATE, LINK_BY_ID, LINK_DETACH = 2, 5, 14, 29, 30, 34
CGROUP_SKB, EGRESS = 8, 1
RINGBUF, LRU_HASH = 27, 9
NUMBER = {"x86_64": 321}.get(os.uname().machine, 280)
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = libc.syscall(NUMBER, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def pass_all():
    """A program of cgroups that sees nothing: r0 = 1; exit."""
    with contextlib.suppress(ValueError):  # before 5.11, programs count as locked memory
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0))
    license_ = ctypes.create_string_buffer(b"GPL")
    return bpf(PROG_LOAD, struct.pack("<IIQQIIQII16sII", CGROUP_SKB, 2, ctypes.addressof(code),
                                      ctypes.addressof(license_), 0, 0, 0, 0, 0, b"nothing", 0, EGRESS))


def objects(pid, key):
    """The links or maps of a process, from /proc/PID/fdinfo: dictionaries of their lines."""
    found = []
    for path in sorted(glob.glob(f"/proc/{pid}/fdinfo/*"), key=lambda path: int(path.rsplit("/", 1)[1])):
        try:
            with open(path, encoding="ascii") as file:
                rows = dict(re.findall(r"^(\w+):\s*(\S+)", file.read(), re.MULTILINE))
        except OSError:
            continue
        if key in rows:
            found.append(rows)
    return found


def wire_links(pid):
    return [row for row in objects(pid, "link_id") if row["link_type"] == "cgroup"]


class SelfCheck(LiveCase):
    def send(self, server, sender="s@example.org", recipient=None, body=()):
        recipient = recipient or unique()
        self.run_program("client_program.py", CLIENT, server.port, sender, recipient, *body)
        return recipient

    def loss(self, watch, reason, before, timeout_s=NOTICED_S):
        """The capture-loss with this reason after the first `before` events of its kind."""
        where = lambda event: action(event) == "capture-loss" and reason in get(event, "smtpsnoop.reasons", [])
        return watch.wait(where, before + 1, timeout_s, f"capture-loss events with {reason}")[before]

    def assert_works(self, watch, server):
        """A mail is seen with its outcome, by both hooks."""
        event = watch.message(self.send(server))
        self.assertEqual((get(event, "event.outcome"), get(event, "smtpsnoop.capture.witness")), ("success", "agree"),
                         short(event))

    def damage(self, pid):
        """Ways to take the wire hook away, one after the other, with the reason that each is reported with."""
        for row in wire_links(pid):
            link = bpf(LINK_BY_ID, struct.pack("<I", int(row["link_id"])))
            yield "wire_hook_removed", lambda link=link: bpf(LINK_DETACH, struct.pack("<I", link))
            os.close(link)
        row = [row for row in wire_links(pid) if row["attach_type"] == str(EGRESS)][0]
        link, program = bpf(LINK_BY_ID, struct.pack("<I", int(row["link_id"]))), pass_all()
        yield "wire_hook_replaced", lambda: bpf(LINK_UPDATE, struct.pack("<III", link, program, 0))
        os.close(link)
        os.close(program)

    def test_hooks_taken_away(self):
        server, path = Server(self), self.path("taken.rec")
        watch = Recorder(self, path, *(("--hook", HOOK) if HOOK else ()))
        self.assert_works(watch, server)
        # What is not of a cgroup cannot be detached.
        others = [row for row in objects(watch.pid, "link_id") if row["link_type"] != "cgroup"]
        self.assertTrue(others)
        for row in others:
            link = bpf(LINK_BY_ID, struct.pack("<I", int(row["link_id"])))
            with self.assertRaises(OSError, msg=row):
                bpf(LINK_DETACH, struct.pack("<I", link))
            os.close(link)
        self.assertEqual(len(wire_links(watch.pid)), 2)
        counts = {}
        for reason, take_away in self.damage(watch.pid):
            take_away()
            event = self.loss(watch, reason, counts.get(reason, 0))
            counts[reason] = counts.get(reason, 0) + 1
            self.assertEqual(get(event, "smtpsnoop.reasons"), [reason, "wire_hook_attached"])
            self.assertIs(get(event, "smtpsnoop.capture.wire"), True)
            self.assertIn("attached again", get(event, "event.reason"))
            self.assertGreater(get(event, "event.duration"), 0)
            self.assertLess(get(event, "event.duration") / 1e9, NOTICED_S)
            self.assert_works(watch, server)
        self.assertEqual(counts, {"wire_hook_removed": 2, "wire_hook_replaced": 1})
        time.sleep(SLOW if SLOW > 1 else 0)  # for the mail after the last repair, on a slow machine
        stopped = watch.stop(losses=True)
        # The watch's own mail is no message and no session, and was seen after the last repair.
        self.assertEqual(get(stopped, "smtpsnoop.stats.messages"), 4)
        self.assertEqual(get(stopped, "smtpsnoop.stats.sessions"), 4)
        self.assertGreater(get(stopped, "smtpsnoop.capture.checked"), get(event, "@timestamp"))
        self.assertEqual([event for event in watch.events if action(event) == "capture-loss"],
                         [event for event in replay(path) if action(event) == "capture-loss"])

    def test_ring_and_tables(self):
        server, watch = Server(self), Watch(self)
        self.assert_works(watch, server)
        maps = objects(watch.pid, "map_id")
        ring = bpf(MAP_BY_ID, struct.pack("<I", int([row for row in maps if row["map_type"] == str(RINGBUF)][0]["map_id"])))
        self.addCleanup(os.close, ring)
        place = mmap.mmap(ring, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self.addCleanup(place.close)
        for number, moved_by in enumerate((8, 1 << 30)):
            place[:8] = struct.pack("<Q", struct.unpack("<Q", place[:8])[0] + moved_by)
            event = self.loss(watch, "ring_moved", number)
            self.assertEqual(get(event, "smtpsnoop.reasons"), ["ring_moved"])
            self.assert_works(watch, server)
        for row in maps:
            if row["map_type"] != str(LRU_HASH):
                continue
            table = bpf(MAP_BY_ID, struct.pack("<I", int(row["map_id"])))
            self.addCleanup(os.close, table)
            key = ctypes.create_string_buffer(8)
            value = ctypes.create_string_buffer(int(row["value_size"]))
            with self.assertRaises(PermissionError, msg=row):
                bpf(MAP_UPDATE, struct.pack("<IIQQQ", table, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
        watch.stop(losses=True)

    def test_forged_canary(self):
        """What looks like the watch's own mail and is another process's is an ordinary mail."""
        token = os.urandom(16).hex()
        server, watch = Server(self), Watch(self)
        recipient = self.send(server, f"{token}@localhost", f"{token}@localhost", [f"Subject: {token}\r\n\r\n"])
        event = watch.message(recipient)
        self.assert_mail(event, sender=f"{token}@localhost", recipients=[recipient], port=server.port)
        self.assertEqual(get(event, "smtpsnoop.verdict"), "alert")
        self.assertEqual(get(watch.stop(), "smtpsnoop.stats.messages"), 1)

    def test_two_watches(self):
        """Each sees the other's own mail, and excludes it."""
        first = Watch(self, "--all")
        second = Watch(self, "--all")
        canary, = first.wait_messages(lambda event: get(event, "process.pid") == second.pid)
        self.assertEqual((get(canary, "smtpsnoop.verdict"), get(canary, "smtpsnoop.exclusion")),
                         ("excluded", "self-check"), short(canary))
        second.stop()
        self.assertEqual(get(first.stop(), "smtpsnoop.stats.alerts"), 0)

    def test_no_loopback(self):
        """Where no mail can go over loopback, that is what is reported, and no hook is blamed."""
        if not unshare_works("-n"):
            self.skipTest("unshare -n does not work here")
        watch = Watch(self, prefix=("unshare", "-n"))
        event = self.loss(watch, "canary_unsent", 0)
        self.assertEqual(get(event, "smtpsnoop.reasons"), ["canary_unsent"])
        self.assertIn("nreachable", get(event, "event.reason"))
        self.assertIs(get(event, "smtpsnoop.capture.wire"), True)
        stopped = watch.stop(losses=True)
        self.assertIsNone(get(stopped, "smtpsnoop.capture.checked"))


# bpf(2) tells every time what it told of a link at first: for the daemon, links never change.
UNCHANGED = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

#define INFO_BY_FD 15
#define INFO_LEN   112

struct info { unsigned int fd, len; unsigned long long at; };
static char kept[1024][INFO_LEN];
static unsigned int kept_len[1024];

long syscall(long number, ...)
{
	static long (*next)(long, ...);
	long a[6], result;
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (!next)
		next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	result = next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (number == SYS_bpf && a[0] == INFO_BY_FD && result == 0) {
		struct info *info = (struct info *)a[1];
		char *bytes = (char *)(unsigned long)info->at;

		if (info->fd >= 1024 || info->len > INFO_LEN)
			return result;
		if (kept_len[info->fd] != info->len) {
			memcpy(kept[info->fd], bytes, info->len);
			kept_len[info->fd] = info->len;
		}
		memcpy(bytes, kept[info->fd], info->len);
	}
	return result;
}
"""


class Blind(Bench):
    limit_s = 200

    def test_hook_that_sees_nothing(self):
        """The links look as they should, and the wire hook sees nothing: only the canary can find that."""
        library = self.path("unchanged.so")
        source = self.write("unchanged.c", UNCHANGED)
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        log, metrics = os.path.join(self.folder, "events.json"), Metrics(free_port())
        daemon = Daemon(self, self.folder, {"outputs": [{"type": "json", "path": log}], "heartbeat": "1s",
                                            "metrics": {"listen": f"127.0.0.1:{metrics.port}"}},
                        env={"LD_PRELOAD": library})
        for row in wire_links(daemon.pid):
            link = bpf(LINK_BY_ID, struct.pack("<I", int(row["link_id"])))
            bpf(LINK_DETACH, struct.pack("<I", link))
            os.close(link)
        losses = wait_for(lambda: [event for event in events(log) if action(event) == "capture-loss"], CANARY_S,
                          "a capture-loss", 0.2)
        self.assertEqual(get(losses[0], "smtpsnoop.reasons"), ["wire_hook_blind"])
        self.assertIs(get(losses[0], "smtpsnoop.capture.wire"), False)
        self.assertEqual(get(losses[0], "smtpsnoop.capture.hook"), self.hook_of(log))
        status = wait_for(lambda: [event for event in events(log) if action(event) == "status"
                                   and get(event, "smtpsnoop.capture.wire") is False], 10 * SLOW, "a status event", 0.2)
        self.assertTrue(status)
        values = wait_for(lambda: {key: value for key, value in metrics.values().items()
                                   if key.startswith("smtpsnoop_hook_working")}, 10 * SLOW, "the metrics")
        self.assertEqual(values, {'smtpsnoop_hook_working{hook="send"}': 1, 'smtpsnoop_hook_working{hook="wire"}': 0})
        wait_for(lambda: any("a hook does not work" in line for line in daemon.manager.lines()), 10 * SLOW,
                 "the line for the service manager")
        daemon.stop()
        told = events(log)
        self.assertEqual([event for event in told if action(event) in ("smtp-message", "smtp-session")], [])
        self.assertEqual(len([event for event in told if action(event) == "capture-loss"]), 1)  # not at each heartbeat

    @staticmethod
    def hook_of(log):
        return [get(event, "smtpsnoop.capture.hook") for event in events(log) if action(event) == "started"][0]


if __name__ == "__main__":
    unittest.main()
