# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Mail under TLS as every kernel must see it (tests/vm): STARTTLS and SMTPS, TLS 1.2 and 1.3, with OpenSSL and GnuTLS, and
a session that is older than the watch. Each mail has its envelope, process and outcome.
"""

import os
import unittest

import fetched
import tls_clients
from harness import PYTHON, PYTHON_EXECUTABLE, get, short
from tls_case import COMBINATIONS, Job, TlsBench

UNKNOWN = ("smtp.starttls", "tls.version", "tls.client.server_name")  # of the older session


class Kernels(TlsBench):
    """One mail for each combination."""

    @classmethod
    def before_watch(cls):
        argv = [PYTHON, "-I", "-S", os.path.join(fetched.TLS, "smtplib_client.py")]
        cls.older = tls_clients.Waiting(cls, Job(cls, "older", "smtps", "1.3", 1), argv, "wait")

    def job(self, name, mode, version):
        return Job(type(self), name, mode, version, 1)

    def test_openssl(self):
        self.check([one for mode, version in COMBINATIONS for one in tls_clients.smtplib(self.job("smtplib", mode, version))])

    def test_gnutls(self):
        self.check([one for mode, version in COMBINATIONS for one in tls_clients.msmtp(self.job("msmtp", mode, version))])

    def test_a_session_older_than_the_watch(self):
        self.older.go_on(True)
        self.check(self.older.job.sent("openssl", PYTHON_EXECUTABLE, self.older.process.pid), UNKNOWN)
        event, = self.watch.messages(lambda event: get(event, "smtp.mail_from") == self.older.job.sender)
        self.assertIs(get(event, "smtpsnoop.capture.mid_stream"), True, short(event))

    def test_a_refused_mail(self):
        job = Job(type(self), "refused", "smtps", "1.3", 1, sender="refuse-data@example.org")
        self.check([one._replace(outcome="failure") for one in tls_clients.smtplib(job, "one")])


if __name__ == "__main__":
    unittest.main()
