# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tests with systemd as PID 1, in a virtual machine with the host's systemd and Debian 12's kernel.

    test_systemd.py BUILD

- A service is started by its timer, then by hand with systemctl. `scheduled_by: systemd-timer` must exclude the first
  mail only. It must also exclude the mail of a timer's job that ends before the program can look at it.
- The daemon, by the unit of deploy/systemd: it becomes ready once it watches, reloads, is restarted when its loop
  hangs, and stops in order.
- `doctor --attack`: this kernel has TLS and SMC, so every technique can be tried.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import machine
from machine import run

BOOT_S = 900
PROGRAMS = ("/usr/lib/systemd/systemd", "/usr/lib/systemd/systemd-shutdown", "/usr/bin/systemctl", "/usr/sbin/smtp-sink",
            "/usr/sbin/ip")
UNIT = os.path.join(os.path.dirname(__file__), "../../deploy/systemd/smtpsnoop.service")
LIBRARIES = ("/lib/x86_64-linux-gnu/libnss_files.so.2",)
TOOLS = ("sh", "mount", "ifconfig", "echo", "cat", "sleep", "grep", "nc", "printf", "cut", "mkdir", "ls", "dmesg", "insmod",
         "head", "true", "kill", "sed")

FILES = {
    "etc/passwd": "root:x:0:0::/:/bin/sh\nreports:x:2001:2001::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    "etc/group": "root:x:0:\nreports:x:2001:\nnogroup:x:65534:\npostdrop:x:2003:\npostfix:x:2004:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/os-release": "ID=test\n",
    "etc/smtpsnoop.yaml": """
exclusions:
  - name: timer-report
    process: { user: reports, unit: [report.service, quick.service], scheduled_by: systemd-timer }
    relay: 127.0.0.1:2525
    mail: { sender: reports@corp.example }
""",
    "etc/smtpsnoop/smtpsnoop.yaml": "outputs: [ { type: json, path: /var/log/smtpsnoop/events.json } ]\n",
    "etc/systemd/system/smtpsnoop.service.d/test.conf": "[Unit]\nDefaultDependencies=no\n[Service]\nWatchdogSec=10\n"
                                                        "TimeoutAbortSec=3\nStandardError=append:/tmp/errors\n",
    "etc/systemd/system.conf": "[Manager]\nDefaultTimeoutStopSec=3s\nDefaultStandardOutput=null\nLogTarget=console\n"
                               "ShowStatus=no\nStatusUnitFormat=name\n",
    "etc/systemd/system/default.target": "[Unit]\nDefaultDependencies=no\nWants=test.service\n",
    "etc/systemd/system/shutdown.target": "[Unit]\nDefaultDependencies=no\n",
    "etc/systemd/system/poweroff.target": "[Unit]\nDefaultDependencies=no\n",
    "etc/systemd/system/test.service": "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nStandardOutput=tty\n"
                                       "StandardError=tty\nTTYPath=/dev/console\nTimeoutStartSec=900\n"
                                       "ExecStart=/bin/sh /test.sh\n",
    "etc/systemd/system/report.service": "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nUser=reports\n"
                                         "ExecStart=/bin/sh /send.sh\n",
    "etc/systemd/system/report.timer": "[Unit]\nDefaultDependencies=no\n[Timer]\nOnActiveSec=2s\nAccuracySec=10ms\n",
    "etc/systemd/system/quick.service": "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nUser=reports\n"
                                        "ExecStart=/bin/sh /quick.sh\n",
    "etc/systemd/system/quick.timer": "[Unit]\nDefaultDependencies=no\n[Timer]\nOnActiveSec=1s\nAccuracySec=10ms\n",
    "quick.sh": r"""
printf 'HELO vm\r\nMAIL FROM:<reports@corp.example>\r\nRCPT TO:<quick@corp.example>\r\nDATA\r\nSubject: quick\r\n\r\ntext\r\n.\r\nQUIT\r\n' |
nc 127.0.0.1 2525
""",
    "send.sh": r"""
{ sleep 0.5; for line in 'HELO vm' 'MAIL FROM:<reports@corp.example>' 'RCPT TO:<a@corp.example>' DATA; do
printf '%s\r\n' "$line"; sleep 0.5; done; printf 'Subject: report\r\n\r\ntext\r\n.\r\nQUIT\r\n'; sleep 1; } | nc 127.0.0.1 2525
""",
    "test.sh": r"""
export PATH=/bin:/usr/bin:/usr/sbin
ifconfig lo 127.0.0.1 up
mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
for module in /modules/*.ko; do insmod $module 2>/dev/null; done
echo ATTACKS
smtpsnoop doctor --attack
echo "pid 1: $(cat /proc/1/comm)"
smtp-sink -u nobody 127.0.0.1:2525 10 >/dev/null 2>&1 </dev/null &
smtpsnoop watch -c /etc/smtpsnoop.yaml --all -o json >/tmp/events 2>/tmp/errors &
watch=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do grep -q started /tmp/events && break; sleep 1; done
systemctl start report.timer
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do grep -q smtp-message /tmp/events && break; sleep 1; done
sleep 3
systemctl start report.service
systemctl start quick.timer
sleep 6
kill -INT $watch
wait $watch
cat /tmp/errors
echo BEGIN
grep smtp-message /tmp/events
echo END
echo DAEMON
systemctl start smtpsnoop.service
echo "started: $? $(systemctl is-active smtpsnoop.service)"
sh /quick.sh
sleep 3
systemctl show -p StatusText smtpsnoop.service
echo "exclusions: []" >> /etc/smtpsnoop/smtpsnoop.yaml
systemctl reload smtpsnoop.service
echo "reloaded: $? $(systemctl is-active smtpsnoop.service)"
sleep 3
kill -STOP $(systemctl show -p MainPID --value smtpsnoop.service)
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
systemctl show -p NRestarts smtpsnoop.service | grep -q =0 || break; sleep 2; done
systemctl show -p NRestarts smtpsnoop.service
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
[ "$(grep -c '"started"' /var/log/smtpsnoop/events.json)" = 2 ] && break; sleep 2; done
systemctl stop smtpsnoop.service
echo "stopped: $? $(systemctl show -p Result smtpsnoop.service)"
cat /tmp/errors
echo BEGIN
cat /var/log/smtpsnoop/events.json
echo END
systemctl --force --force poweroff
""",
}


def initramfs(folder, program):
    tree, image = f"{folder}/systemd", f"{folder}/systemd.gz"
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("bin", "sbin", "proc", "sys", "dev", "tmp", "run", "var/log", "etc/systemd/system"):
        os.makedirs(f"{tree}/{name}")
    os.chmod(f"{tree}/tmp", 0o1777)
    machine.busybox(tree, TOOLS)
    for path in PROGRAMS:
        machine.with_libraries(tree, path)
    for path in LIBRARIES:
        machine.copy(tree, path)
    machine.with_libraries(tree, program, "/usr/bin/smtpsnoop")
    machine.copy(tree, program, "/usr/local/sbin/smtpsnoop")
    machine.copy(tree, UNIT, "/etc/systemd/system/smtpsnoop.service")
    machine.modules(machine.kernel("6.1")[0], tree)
    for path, text in FILES.items():
        os.makedirs(os.path.dirname(f"{tree}/{path}"), exist_ok=True)
        with open(f"{tree}/{path}", "w", encoding="ascii") as file:
            file.write(text)
    os.symlink("/usr/lib/systemd/systemd", f"{tree}/init")
    run("/bin/sh", "-c", f"cd '{tree}' && find . | cpio --quiet -o -H newc | gzip -1 >'{image}'")
    return image


def events_of(shown):
    lines = shown.split("BEGIN\n", 1)[-1].split("END\n", 1)[0].splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def look_at_daemon(count, shown):
    actions = [event["event"]["action"] for event in events_of(shown)]
    result(count, "daemon: started, and ready", "started: 0 active\n" in shown, shown[-2500:])
    result(count, "daemon: its status line", re.search(r"^StatusText=1 messages, 1 alerts, 0 events lost; 0 of 1 outputs fail", shown,
                                                   re.M), shown[-2500:])
    result(count, "daemon: reloaded", "reloaded: 0 active\n" in shown, shown[-2500:])
    result(count, "daemon: started again once its loop hung", "NRestarts=1\n" in shown, shown[-2500:])
    result(count, "daemon: stopped in order", "stopped: 0 Result=success\n" in shown, shown[-2500:])
    result(count, "daemon: its events", [one for one in actions if one != "capture-loss"]
         == ["started", "smtp-message", "smtp-session", "status", "started", "stopped"], actions)


def result(count, name, good, detail):
    print(f"ok systemd: {name}" if good else f"FAIL systemd: {name}\n    {detail}")
    count[not good] += 1


def main():
    build = os.path.abspath(sys.argv[1])
    folder = f"{build}/vm"
    os.makedirs(folder, exist_ok=True)
    command = ["qemu-system-x86_64", "-accel", "tcg", "-m", "1536", "-smp", "2", "-nographic", "-no-reboot", "-kernel",
               machine.kernel("6.1")[1], "-initrd", initramfs(folder, f"{build}/smtpsnoop"), "-append",
               "console=ttyS0 quiet panic=1"]
    try:
        shown = subprocess.run(command, check=False, timeout=BOOT_S, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT).stdout
    except subprocess.TimeoutExpired as error:
        shown = error.stdout or b""
    shown = shown.decode(errors="replace").replace("\r", "")
    shown, _, daemon = shown.partition("DAEMON\n")
    events = events_of(shown)
    count = [0, 0]
    result(count, "PID 1", "pid 1: systemd" in shown, shown[-1500:].replace("\n", "\n    "))
    attacks = shown.split("ATTACKS\n", 1)[-1].split("pid 1:", 1)[0]
    for name in ("ktls", "ktls-sendfile", "smc", "mptcp"):
        result(count, f"doctor --attack: {name} is caught", re.search(rf"^{name} .* caught", attacks, re.M), attacks[-2500:])
    result(count, "doctor --attack: all as expected", re.search(r"^(\d+) of \1 as docs/coverage.md lists them", attacks, re.M),
         attacks[-4500:])
    result(count, "three messages", len(events) == 3, shown[-2500:].replace("\n", "\n    "))
    if len(events) == 3:
        own = [event["smtpsnoop"] for event in events]
        result(count, "by its timer: excluded",
             own[0]["process"].get("scheduled_by") == "systemd-timer" and own[0].get("exclusion") == "timer-report", own[0])
        result(count, "by hand: an alert, and why",
             own[1]["process"].get("scheduled_by") == "none" and own[1]["verdict"] == "alert"
             and own[1]["nearest"]["failed"] == ["process.scheduled_by"], own[1])
        result(count, "by its timer, and gone at once: excluded",
             own[2]["process"].get("scheduled_by") == "systemd-timer" and own[2].get("exclusion") == "timer-report", own[2])
    look_at_daemon(count, daemon)
    print(f"{count[0]} passed, {count[1]} failed, 0 skipped")
    return 1 if count[1] else 0


if __name__ == "__main__":
    sys.exit(main())
