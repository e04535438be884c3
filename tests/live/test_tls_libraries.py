# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Mail under TLS: many connections of one process, sessions that are older than the watch, and copies of the library that
appear, disappear and are replaced while it runs. Every mail is reported with its own socket.
"""

import os
import shutil
import subprocess
import time
import unittest

import fetched
import tls_clients
from harness import LONG, PYTHON, PYTHON_EXECUTABLE, SLOW, get, short, sized
from tls_case import COMBINATIONS, USER, Job, TlsBench

ATTACH_S = 0.5 * SLOW  # 30 ms are promised from mapping a new library to the probes in it
LIBRARIES = ("libssl.so.3", "libcrypto.so.3")


class Sockets(TlsBench):
    """One process, many connections."""

    def job(self, name, number, count, **keywords):
        return Job(type(self), name, *COMBINATIONS[number], count, **keywords)

    def test_twenty_in_turn(self):
        program = tls_clients.build_openssl(self.folder, "openssl_client")
        self.check(tls_clients.smtplib(self.job("smtplib", 2, 20)))
        self.check(tls_clients.built(self.job("openssl", 3, 20), program, "openssl"))

    def test_ten_at_once_with_asyncio(self):
        for number in range(sized(1, 4)):
            self.check(tls_clients.asyncio(self.job("asyncio", 3 - number, 10), "parallel"))

    def test_ten_at_once_with_node(self):
        for number in range(sized(1, 4)):
            self.check(tls_clients.nodemailer(self.job("node", 2 - number, 10), "parallel"))

    def test_ten_at_once_with_go(self):
        if not LONG:
            self.skipTest("the Go compiler is large: it needs SMTPSNOOP_LONG=1")
        for number in range(4):
            self.check(tls_clients.built(self.job("go", number, 10), tls_clients.build_go(self.folder), "go", "parallel"))

    def test_refused(self):
        for number in (0, 3):
            job = self.job("refused", number, 2, sender="refuse-data@example.org")
            self.check([one._replace(outcome="failure") for one in tls_clients.smtplib(job, "one")])


class Earlier(TlsBench):
    """Sessions that were encrypted before the watch began. What was said before is not known, and not made up."""

    unknown = ("smtp.starttls", "tls.version", "tls.client.server_name")

    @classmethod
    def before_watch(cls):
        program = tls_clients.build_openssl(cls.folder, "openssl_client")
        smtplib = [PYTHON, "-I", "-S", os.path.join(fetched.TLS, "smtplib_client.py")]
        cls.clients = [(tls_clients.Waiting(cls, Job(cls, f"earlier-{number}", *COMBINATIONS[number], 2), argv, "wait"),
                        argv[0]) for number, argv in enumerate(([program], smtplib, smtplib, [program]))]

    def test_mails_of_older_sessions(self):
        sent = []
        for client, executable in self.clients:
            client.go_on(False)
            client.go_on(True)
            sent += client.job.sent("openssl", executable, client.process.pid)
        self.check(sent, self.unknown)
        for event in self.watch.messages():
            self.assertIs(get(event, "smtpsnoop.capture.mid_stream"), True, short(event))


class Copies(TlsBench):
    """Copies of OpenSSL that are not in ld.so.cache."""

    number = 0  # of the next client

    @classmethod
    def before_watch(cls):
        cls.program = tls_clients.build_openssl(cls.folder, "openssl_client")

    def copy_libraries(self, folder):
        """New files: each has an inode of its own."""
        os.makedirs(folder, exist_ok=True)
        for name in LIBRARIES:
            part = os.path.join(folder, name + ".new")
            shutil.copy(os.path.realpath(fetched.library(name)), part)
            os.rename(part, os.path.join(folder, name))

    def client(self, name, count, *prefix, program=None, auth=None, **keywords):
        """A client that has mapped its library, long enough ago for the probes, and has not connected yet."""
        job = Job(type(self), name, *COMBINATIONS[self.number % len(COMBINATIONS)], count)
        type(self).number += 1
        if auth:
            shutil.copy2(job.secret.path, auth)
            shutil.chown(auth, USER)
            job.auth = "/" + os.path.basename(auth)
        client = tls_clients.Waiting(self, job, [*prefix, program or self.program], "hold", **keywords)
        time.sleep(ATTACH_S)
        return client

    def sent(self, client, executable=None):
        return client.job.sent("openssl", executable or self.program, client.process.pid)

    def chroot(self):
        """A root with the client and its libraries."""
        root = os.path.join(self.folder, "root")
        listed = subprocess.run(["ldd", self.program], stdout=subprocess.PIPE, text=True, check=True).stdout
        paths = [word for line in listed.splitlines() for word in line.split() if word.startswith("/")]
        for path in paths:
            os.makedirs(root + os.path.dirname(path), exist_ok=True)
            shutil.copy(path, root + path)
        shutil.copy(self.program, root + "/client")
        libraries, = {os.path.dirname(path) for path in paths if path.endswith("/libssl.so.3")}
        return root, root + libraries

    def test_a_chroot_that_appears_later(self):
        """Its library is deleted while it is in use, and replaced."""
        root, libraries = self.chroot()
        inside = ["chroot", f"--userspec={USER}:nogroup", root]
        client = self.client("chroot", 2, *inside, program="/client", auth=root + "/auth", as_root=True)
        client.go_on(False)
        os.unlink(os.path.join(libraries, "libssl.so.3"))
        client.go_on(True)
        self.copy_libraries(libraries)
        second = self.client("replaced", 1, *inside, program="/client", auth=root + "/auth2", as_root=True)
        second.go_on(True)
        self.check(self.sent(client, root + "/client") + self.sent(second, root + "/client"))

    def test_a_library_that_is_deleted_at_once(self):
        """It has no name when the watch looks for it."""
        folder = os.path.join(self.folder, "deleted")
        self.copy_libraries(folder)
        job = Job(type(self), "deleted", *COMBINATIONS[0], 1)
        client = tls_clients.Waiting(self, job, [self.program], "hold", env={"LD_LIBRARY_PATH": folder})
        shutil.rmtree(folder)
        time.sleep(ATTACH_S)
        client.go_on(True)
        self.check(self.sent(client))

    def test_a_library_in_a_mount_namespace(self):
        folder = os.path.join(self.folder, "namespace")
        self.copy_libraries(folder)
        script = "".join(f"mount --bind {folder}/{name} {os.path.realpath(fetched.library(name))} && " for name in LIBRARIES)
        client = self.client("namespace", 2, "unshare", "-m", "--propagation", "private", "sh", "-c",
                             script + f'exec setpriv --reuid {USER} --regid nogroup --clear-groups "$@"', "sh", as_root=True)
        with open(f"/proc/{client.process.pid}/maps", encoding="utf-8") as file:
            self.assertIn(str(os.stat(os.path.join(folder, "libssl.so.3")).st_ino), file.read())
        client.go_on(False)
        client.go_on(True)
        self.check(self.sent(client))


if __name__ == "__main__":
    unittest.main()
