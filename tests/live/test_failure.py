# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Bad input and failures end well: one line on standard error that says what and why, status 1 (failed) or 2 (wrong
command line), no death by a signal, and nothing is left in the kernel, not even after kill -9.
"""

import collections
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

from harness import (LONG, LiveCase, PROGRAM, Recorder, STOP_S, Server, Watch, action, get, sized, unique,
                     unshare_works)

CLIENT = """
import sys
import client
port, recipients = int(sys.argv[1]), sys.argv[2:]
for recipient in recipients:
    session = client.Session(port)
    session.mail("s@example.org", recipient)
    session.quit()
"""

NOBODY = ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups")


class Snoop(LiveCase):
    def send(self, server, *recipients):
        self.run_program("client_program.py", CLIENT, server.port, *recipients)

    def recording(self, recipients=3):
        """Makes a recording of a few mails; returns its path and the recipients."""
        server, path = Server(self), self.path("good.rec")
        recorder = Recorder(self, path)
        names = [unique("r") for _ in range(recipients)]
        self.send(server, *names)
        recorder.stop()
        return path, names


class CommandLine(Snoop):
    """Wrong command lines: status 2 and one line that names the mistake."""

    def refused(self, *arguments, words=()):
        done = self.run_snoop(*arguments, status=2)
        self.assert_one_line(done.stderr, *words)
        self.assertEqual(done.stdout, b"")

    def test_unknown_command(self):
        self.refused("wacht", words=["wacht"])

    def test_unknown_option(self):
        self.refused("watch", "--nonsense", words=["nonsense"])
        self.refused("--nonsense", words=["nonsense"])
        self.refused("watch", "-Z")

    def test_unknown_output(self):
        self.refused("watch", "-o", "yaml", words=["yaml"])

    def test_unknown_hook(self):
        self.refused("watch", "--hook", "lsm", words=["lsm"])

    def test_missing_argument(self):
        self.refused("watch", "--port")
        self.refused("watch", "-o")

    def test_bad_numbers(self):
        for option in ("--port", "--pid", "--count", "--duration"):
            for value in ("x", "-1", "", "1x", "99999999999999999999"):
                with self.subTest(option=option, value=value):
                    self.refused("watch", option, value)

    def test_bad_port(self):
        self.refused("watch", "--port", "65536", words=["65536"])

    def test_unknown_user(self):
        self.refused("watch", "--duration", "1", "--user", "no-such-user-here", words=["no-such-user-here"])

    def test_too_many_arguments(self):
        self.refused("watch", "extra", words=["extra"])
        self.refused("version", "extra")

    def test_record_and_replay_without_file(self):
        self.refused("record")
        self.refused("replay")

    def test_control_characters_in_what_is_quoted_back(self):
        done = self.run_snoop("wa\x1b[31m\ntch", status=2)
        self.assert_one_line(done.stderr)
        self.assertNotIn(b"\x1b", done.stderr)

    def test_help_and_version(self):
        for arguments in (("--help",), ("version",), ("--version",), ("watch", "--help")):
            with self.subTest(arguments=arguments):
                done = self.run_snoop(*arguments, status=0)
                self.assertTrue(done.stdout)
                self.assertEqual(done.stderr, b"")
        self.assertIn(b"0.", self.run_snoop("version").stdout)
        text = self.run_snoop("--help").stdout.decode()
        for word in ("watch", "record", "replay", "doctor", "version", "--port", "--hook", "--no-wire", "--no-tls"):
            self.assertIn(word, text)

    def test_help_needs_no_root(self):
        program = shutil.copy(PROGRAM, self.path("smtpsnoop"))
        for arguments in (["--help"], ["version"]):
            done = subprocess.run([*NOBODY, program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=20)
            self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_help_to_full_device(self):
        with open("/dev/full", "wb") as full:
            self.assert_one_line(self.run_snoop("--help", status=1, stdout=full).stderr)


class NoPrivilege(Snoop):
    """What this kernel or user does not allow: status 1 and one line."""

    def test_not_root(self):
        program = shutil.copy(PROGRAM, self.path("smtpsnoop"))
        os.mkdir(self.path("free"))
        os.chmod(self.path("free"), 0o777)
        for command in (["watch"], ["watch", "-o", "json"], [], ["record", self.path("free", "r.rec")], ["doctor"]):
            with self.subTest(command=command):
                done = subprocess.run([*NOBODY, program, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      timeout=30)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assert_one_line(done.stderr, "root")
                if command[:1] != ["doctor"]:
                    self.assertEqual(done.stdout, b"")

    def test_root_without_capabilities(self):
        done = self.run_snoop("watch", status=1, prefix=("setpriv", "--bounding-set", "-all", "--inh-caps", "-all"))
        self.assert_one_line(done.stderr)

    def test_no_btf(self):
        if not unshare_works("-m"):
            self.skipTest("mount namespaces cannot be made here")
        # libbpf also looks for the BTF of a kernel image under /boot and /lib/modules; these tests hide it
        script = self.write("inside.sh", "mount -t tmpfs none /sys/kernel/btf || exit 9\n"
                            "for dir in /boot /lib/modules /usr/lib/debug; do\n"
                            "  [ ! -d $dir ] || mount -t tmpfs none $dir || exit 9\ndone\n"
                            'exec "$@"\n')
        for command in (["watch"], ["watch", "-o", "json"]):
            done = self.run_snoop(*command, status=1, prefix=("unshare", "-m", "/bin/sh", script))
            self.assert_one_line(done.stderr, "btf")
            self.assertEqual(done.stdout, b"")

    def test_hook_that_is_not_allowed(self):
        for hook in ("fentry", "kprobe"):
            with self.subTest(hook=hook):
                done = self.run_snoop("watch", "-o", "json", "--hook", hook, "--duration", "1")
                if done.returncode == 0:
                    started = json.loads(done.stdout.splitlines()[0])
                    self.assertEqual(get(started, "smtpsnoop.capture.hook"), hook)
                    continue  # this kernel allows it
                self.assertEqual(done.returncode, 1)
                self.assert_one_line(done.stderr, hook)
                self.assertEqual(done.stdout, b"")

    def test_hook_tracepoint(self):
        watch, server, recipient = Watch(self, "--hook", "tracepoint"), Server(self), unique("r")
        self.send(server, recipient)
        self.assertEqual(get(watch.message(recipient), "smtpsnoop.capture.hook"), "tracepoint")
        watch.stop()

    def test_no_cgroup_v2(self):
        # Without cgroup v2 only the send hook works, and the program says so.
        if not unshare_works("-m"):
            self.skipTest("mount namespaces cannot be made here")
        script = self.write("inside.sh", "umount -l /sys/fs/cgroup/unified 2>/dev/null || "
                            'umount -l /sys/fs/cgroup || exit 9\nexec "$@"\n')
        server, recipient = Server(self), unique("r")
        watch = Watch(self, prefix=("unshare", "-m", "/bin/sh", script))
        started = watch.events[0]
        self.send(server, recipient)
        event = watch.message(recipient)
        watch.stop(warnings=1)
        self.assertIn("wire", json.dumps(started).lower())
        self.assertIn(get(event, "smtpsnoop.capture.witness"), ("send-only", "agree"))


class Recordings(Snoop):
    """Replay of files that are not good recordings."""

    def refused(self, path, *words, prefix=(), program=PROGRAM):
        done = subprocess.run([*prefix, program, "replay", path, "-o", "json"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=30)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assert_one_line(done.stderr, *words)
        self.assertFalse(any(action(json.loads(line)) == "smtp-message" for line in done.stdout.splitlines()))

    def write_bytes(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def test_missing(self):
        self.refused(self.path("nothing.rec"), "nothing.rec", "no such file")

    def test_directory(self):
        self.refused(self.work)

    def test_not_readable(self):
        program = shutil.copy(PROGRAM, self.path("smtpsnoop"))
        path = self.write_bytes("closed.rec", b"x")
        os.chmod(path, 0o600)
        self.refused(path, "permission denied", prefix=NOBODY, program=program)

    def test_empty(self):
        self.refused(self.write_bytes("empty.rec", b""))
        self.refused("/dev/null")

    def test_garbage(self):
        for number, data in enumerate((b"\0" * 4096, b"\xff" * 4096, os.urandom(65536), b"{}\n", b"x")):
            with self.subTest(number=number):
                self.refused(self.write_bytes(f"garbage{number}.rec", data))

    def test_other_version_and_bent_header(self):
        path, _ = self.recording(1)
        with open(path, "rb") as file:
            good = file.read()
        # any other value in the first bytes, the version among them, is rejected by one line or does not
        # matter; the program does not crash, and has no error status without a message
        refused = 0
        for at in range(16):
            bent = bytearray(good)
            bent[at] ^= 0x41
            done = self.run_snoop("replay", self.write_bytes("bent.rec", bytes(bent)), "-o", "json")
            self.assertIn(done.returncode, (0, 1), f"byte {at}: {done.stderr!r}")
            if done.returncode == 1:
                refused += 1
                self.assert_one_line(done.stderr)
        self.assertGreaterEqual(refused, 4, "magic and version are not looked at")

    def test_truncated_anywhere(self):
        path, names = self.recording(3)
        with open(path, "rb") as file:
            good = file.read()
        whole = self.run_snoop("replay", path, "-o", "json", status=0)
        total = self.recipients(whole.stdout)
        self.assertTrue(set(names) <= set(total))
        seen = 0
        for part in (0.05, 0.3, 0.6, 0.9, 0.99):
            size = int(len(good) * part)
            done = self.run_snoop("replay", self.write_bytes("cut.rec", good[:size]), "-o", "json")
            for line in done.stdout.splitlines():
                json.loads(line)
            found = self.recipients(done.stdout)
            if done.returncode == 1:
                self.assert_one_line(done.stderr)
                seen += 1
            else:
                self.assertEqual((done.returncode, done.stderr), (0, b""))  # cut between two records
            self.assertTrue(set(found) <= set(total))
            self.assertEqual(len(found), len(set(found)))
        self.assertGreaterEqual(seen, 3, "replay did not notice that a file was cut")

    def test_bytes_flipped(self):
        if not LONG:
            self.skipTest("takes 6 s: make test-all runs it")
        # No crash and no hang, whatever the bytes are.
        path, _ = self.recording(2)
        with open(path, "rb") as file:
            good = file.read()
        step = max(1, len(good) // sized(60, 150))
        for at in range(0, len(good), step):
            bent = bytearray(good)
            bent[at] ^= 0xFF
            done = self.run_snoop("replay", self.write_bytes("bent.rec", bytes(bent)), "-o", "json", timeout_s=20)
            self.assertIn(done.returncode, (0, 1), f"byte {at}: {done.returncode} {done.stderr[-600:]!r}")
            for line in done.stdout.splitlines():
                json.loads(line)

    @staticmethod
    def recipients(output):
        events = [json.loads(line) for line in output.splitlines()]
        return [one for event in events if action(event) == "smtp-message" for one in get(event, "smtp.rcpt_to")]

    def test_record_onto_existing_file(self):
        path = self.write_bytes("there.rec", b"precious")
        done = self.run_snoop("record", path, status=1)
        self.assert_one_line(done.stderr, "there.rec", "exists")
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"precious")

    def test_record_through_a_symbolic_link(self):
        target = self.path("target")
        os.symlink(target, self.path("link.rec"))
        done = self.run_snoop("record", self.path("link.rec"), status=1)
        self.assert_one_line(done.stderr)
        self.assertFalse(os.path.exists(target))

    def test_record_into_missing_directory(self):
        done = self.run_snoop("record", self.path("no", "such", "r.rec"), status=1)
        self.assert_one_line(done.stderr)

    def test_record_onto_a_full_disk(self):
        if not unshare_works("-m"):
            self.skipTest("mount namespaces cannot be made here")
        server = Server(self)
        os.mkdir(self.path("small"))
        inside = self.write("inside.sh", f"mount -t tmpfs -o size=16k none {self.path('small')} || exit 9\n"
                            'exec "$@"\n')
        recorder = self.spawn(["unshare", "-m", "/bin/sh", inside, PROGRAM, "record", self.path("small", "r.rec")])
        end = time.monotonic() + 30
        while recorder.poll() is None and time.monotonic() < end:
            self.send(server, *[unique("r") for _ in range(20)])
        self.finish_failed(recorder)

    def finish_failed(self, process, *words):
        try:
            _, errors = process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            raise AssertionError("it went on as if nothing were wrong") from None
        self.assertEqual(process.returncode, 1, errors)
        self.assert_one_line(errors, *words)


class Output(Snoop):
    """Standard output that cannot be written to."""

    def test_full_device(self):
        server = Server(self)
        for output in ("json", "table", "wide"):
            with self.subTest(output=output), open("/dev/full", "wb") as full:
                process = self.spawn([PROGRAM, "watch", "-o", output], stdout=full)
                end = time.monotonic() + 20
                while process.poll() is None and time.monotonic() < end:
                    self.send(server, unique("r"))
                    time.sleep(0.2)
                _, errors = process.communicate(timeout=STOP_S)
                self.assertEqual(process.returncode, 1, errors)
                self.assert_one_line(errors)

    def test_reader_closes_the_pipe(self):
        server = Server(self)
        for output in ("json", "table", "wide"):
            with self.subTest(output=output):
                process = self.spawn([PROGRAM, "watch", "-o", output])
                self.assertTrue(process.stdout.readline())
                process.stdout.close()
                process.stdout = None
                end = time.monotonic() + 20
                while process.poll() is None and time.monotonic() < end:
                    self.send(server, unique("r"))
                    time.sleep(0.2)
                _, errors = process.communicate(timeout=STOP_S)
                self.assertEqual(process.returncode, 1, errors)
                self.assert_one_line(errors)

    def test_replay_into_a_full_device(self):
        path, _ = self.recording(1)
        for output in ("json", "table", "wide"):
            with self.subTest(output=output), open("/dev/full", "wb") as full:
                done = self.run_snoop("replay", path, "-o", output, status=1, stdout=full)
                self.assert_one_line(done.stderr)

    def test_no_standard_output(self):
        done = subprocess.run(["/bin/sh", "-c", 'exec "$0" watch -o json --duration 5 >&-', PROGRAM],
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=30)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assert_one_line(done.stderr)

    def test_slow_reader_loses_nothing(self):
        # The pipe is full for a while; the capture continues.
        if not LONG:
            self.skipTest("takes 11 s: make test-all runs it")
        server = Server(self)
        process = self.spawn([PROGRAM, "watch", "-o", "json"])
        self.assertIn(b"started", process.stdout.readline())
        names = [unique("r") for _ in range(150)]
        self.send(server, *names)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        output = self.finish(process)
        found = collections.Counter(Recordings.recipients(output))
        self.assertEqual({name: found[name] for name in names}, {name: 1 for name in names})


class Ends(Snoop):
    """SIGINT, SIGTERM, --count and --duration: everything captured is written, then the closing event."""

    def ends(self, number):
        server, watch = Server(self), Watch(self)
        names = [unique("r") for _ in range(20)]
        self.send(server, *names)
        watch.stop(number)  # at once: the last events may not be written yet
        found = [one for event in watch.messages() for one in get(event, "smtp.rcpt_to")]
        self.assertEqual(sorted(set(names) - set(found)), [])

    def test_sigint(self):
        self.ends(signal.SIGINT)

    def test_sigterm(self):
        self.ends(signal.SIGTERM)

    def test_open_transaction_at_the_end(self):
        # A transaction that is open when the program ends is reported, but not as a success.
        server, recipient = Server(self), unique("r")
        watch = Watch(self)
        process = self.program("client_program.py", """
import sys, time
import client
session = client.Session(int(sys.argv[1]))
session.envelope("s@example.org", [sys.argv[2]])
print("ready", flush=True)
time.sleep(30)
""", server.port, recipient)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        time.sleep(0.5)
        watch.stop()
        events = watch.select(lambda event: recipient in get(event, "smtp.rcpt_to", []))
        self.assertEqual(len(events), 1, "an open transaction was dropped at the end")
        self.assertEqual(get(events[0], "event.outcome"), "unknown")

    def test_count(self):
        server = Server(self)
        watch = Watch(self, "--count", "3", "--port", str(server.port))
        self.send(server, *[unique("r") for _ in range(5)])
        watch.finished()
        self.assertEqual(len(watch.messages()), 3)

    def test_duration(self):
        began = time.monotonic()
        watch = Watch(self, "--duration", "2")
        watch.finished()
        self.assertTrue(1.5 < time.monotonic() - began < 12)

    def test_second_signal_during_the_end(self):
        watch = Watch(self)
        watch.process.send_signal(signal.SIGTERM)
        watch.stop()

    def test_two_watches_at_once(self):
        server, recipient = Server(self), unique("r")
        one, two = Watch(self), Watch(self)
        self.send(server, recipient)
        for watch in (one, two):
            self.assert_mail(watch.message(recipient), None, "s@example.org", [recipient], server.port)
        one.stop()
        again = unique("r")
        self.send(server, again)
        self.assert_mail(two.message(again), None, "s@example.org", [again], server.port)
        two.stop()


class KernelState(Snoop):
    """BPF programs, maps, links and cgroup attachments are the same before and after a run."""

    limit_s = 180

    @staticmethod
    def bpftool(*arguments):
        tool = shutil.which("bpftool") or "/usr/sbin/bpftool"
        return subprocess.run([tool, "-j", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=30).stdout

    def state(self):
        """What the kernel has, by kind, type, name and tag, without the short-lived programs of bpftool."""
        state = collections.Counter()
        for kind in ("prog", "map", "link"):
            for one in json.loads(self.bpftool(kind, "list") or b"[]"):
                if any(owner.get("comm") == "bpftool" for owner in one.get("pids", [])):
                    continue
                state[kind, one.get("type"), one.get("name"), one.get("tag")] += 1
        for entry in json.loads(self.bpftool("cgroup", "tree") or b"[]"):
            for program in entry.get("programs", []):
                state["cgroup", entry["cgroup"], program.get("attach_type"), program.get("name")] += 1
        return state

    def same_again(self, before):
        # the kernel removes links later
        end = time.monotonic() + 15
        while True:
            now = self.state()
            if now == before:
                return
            if time.monotonic() > end:
                self.fail(f"left behind: {list((now - before).items())[:8]}; gone: {list((before - now).items())[:8]}")
            time.sleep(0.3)

    def quiet_state(self):
        """The state once it no longer changes: the kernel may still be removing what earlier runs had."""
        state = self.state()
        for _ in range(30):
            time.sleep(0.5)
            now = self.state()
            if now == state:
                return state
            state = now
        self.skipTest("the BPF programs of others come and go on this machine")

    def run_once(self, end, *options, command=("watch",)):
        before = self.quiet_state()
        server, recipient = Server(self), unique("r")
        watch = Watch(self, *options, command=command)
        during = self.state()
        self.assertTrue(during - before, "nothing is attached while it runs: bpftool looks at the wrong place")
        self.send(server, recipient)
        watch.message(recipient)
        end(watch)
        self.same_again(before)

    def test_after_sigint(self):
        self.run_once(lambda watch: watch.stop())

    def test_after_sigterm(self):
        self.run_once(lambda watch: watch.stop(signal.SIGTERM))

    def test_after_kill(self):
        def kill(watch):
            watch.process.kill()
            watch.process.wait(STOP_S)
        self.run_once(kill)

    def test_after_kill_without_wire(self):
        def kill(watch):
            watch.process.kill()
            watch.process.wait(STOP_S)
        self.run_once(kill, "--no-wire")

    def test_after_failures(self):
        before = self.quiet_state()
        self.run_snoop("watch", "--hook", "fentry", "--duration", "1")
        self.run_snoop("watch", "--hook", "kprobe", "--duration", "1")
        with open("/dev/full", "wb") as full:
            self.run_snoop("watch", "--duration", "1", stdout=full)
        self.same_again(before)

    def test_after_doctor(self):
        before = self.quiet_state()
        self.run_snoop("doctor", status=0)
        self.same_again(before)

    def test_killed_while_starting(self):
        before = self.quiet_state()
        for delay in (0.01, 0.05, 0.1, 0.2, 0.4, 0.8):
            process = self.spawn([PROGRAM, "watch", "-o", "json"])
            time.sleep(delay)
            process.kill()
            process.wait(STOP_S)
        self.same_again(before)


if __name__ == "__main__":
    unittest.main()
