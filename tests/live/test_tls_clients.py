# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Mail under TLS in plaintext: real clients send to a real server over STARTTLS and SMTPS, with TLS 1.2 and 1.3. Every
mail is reported once, with its envelope, its subject, its process and its own socket.

SMTPSNOOP_MAILS sets another number of mails per client.
"""

import concurrent.futures
import os
import unittest

import tls_clients
from harness import LONG, sized
from tls_case import COMBINATIONS, Job, TlsBench

MAILS = int(os.environ.get("SMTPSNOOP_MAILS", sized(8, 200)))
WORKERS = 2


class Clients(TlsBench):
    """Each client sends its mails in the four combinations of mode and version."""

    def jobs(self, name, combinations=COMBINATIONS):
        secret = self.new_secret()
        return [Job(type(self), name, mode, version, -(-MAILS // len(combinations)), secret=secret)
                for mode, version in combinations]

    def each(self, name, client, *arguments):
        """Runs a client once for each combination."""
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            running = [pool.submit(client, job, *arguments) for job in self.jobs(name)]
            self.check([one for job in running for one in job.result()])

    def test_curl(self):
        self.each("curl", tls_clients.curl)

    def test_libcurl_gnutls(self):
        self.each("libcurl-gnutls", tls_clients.built, tls_clients.build_curl_gnutls(self.folder), "gnutls")

    def test_swaks(self):
        self.each("swaks", tls_clients.swaks)

    def test_msmtp(self):
        self.each("msmtp", tls_clients.msmtp)

    def test_s_nail(self):
        self.each("s-nail", tls_clients.s_nail)

    def test_smtplib(self):
        self.each("smtplib", tls_clients.smtplib)

    def test_asyncio(self):
        self.each("asyncio", tls_clients.asyncio, "one")

    def test_two_threads(self):
        self.each("threads", tls_clients.threads, "one")

    def test_s_client(self):
        self.each("s-client", tls_clients.s_client)

    def test_gnutls_cli(self):
        self.each("gnutls-cli", tls_clients.gnutls_cli)

    def test_nodemailer(self):
        self.each("nodemailer", tls_clients.nodemailer, "one")

    def test_static_openssl(self):
        self.each("static", tls_clients.built, tls_clients.build_static(self.folder), "openssl")

    def test_postfix(self):
        self.check(tls_clients.postfix(self, self.jobs("postfix")))

    def test_exim(self):
        self.check(tls_clients.exim(self, self.jobs("exim")))

    def test_alertmanager(self):
        starttls = [(mode, version) for mode, version in COMBINATIONS if mode == "starttls"]
        self.check(tls_clients.alertmanager(self, self.jobs("alertmanager", starttls)))

    def test_go(self):
        if not LONG:
            self.skipTest("the Go compiler is large: it needs SMTPSNOOP_LONG=1")
        self.each("go", tls_clients.built, tls_clients.build_go(self.folder), "go")


if __name__ == "__main__":
    unittest.main()
