# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""deploy/rsyslog and deploy/syslog-ng send every alert over TLS to the right collector and to no other. The files are used
as they are, except for addresses, ports and the path of the CA's certificate.
"""

import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

import mta
from daemon import Bench, Daemon, clean_up
from harness import ROOT, SLOW, Sink, end_process, free_port, is_listening, sized, wait_for

SOURCE = shutil.which("smtp-source") or "/usr/sbin/smtp-source"
MAILS = sized(100, 300)


def openssl(*arguments, folder):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def authority(folder):
    """Makes a CA and a certificate for `collector.example` on this host."""
    os.makedirs(f"{folder}/certs")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=CA of the test", "-keyout", "ca.key",
            "-out", "certs/ca.pem", folder=folder)
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=collector.example", "-keyout", "key.pem", "-out", "request.pem",
            folder=folder)
    with open(f"{folder}/names", "w", encoding="ascii") as file:
        file.write("subjectAltName=DNS:collector.example,IP:127.0.0.1\n")
    openssl("x509", "-req", "-days", "2", "-in", "request.pem", "-CA", "certs/ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-extfile", "names", "-out", "cert.pem", folder=folder)
    openssl("rehash", "certs", folder=folder)


class Collector:
    """A receiver of syslog over TLS (RFC 5425). Keeps the messages, and counts the peers that gave up."""

    def __init__(self, case, folder):
        self.messages, self.refused = [], 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self.listener.getsockname()[1]
        clean_up(case, self.listener.close)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        before = len(self.messages)
        try:
            with self.context.wrap_socket(peer, server_side=True) as channel:
                stream = channel.makefile("rb")
                while True:
                    length = b""
                    while not length.endswith(b" "):
                        byte = stream.read(1)
                        if not byte:  # with TLS 1.3 the peer checks the certificate after our handshake is done
                            self.refused += len(self.messages) == before
                            return
                        length += byte
                    self.messages.append(stream.read(int(length)))
        except (ssl.SSLError, OSError):
            self.refused += 1


class Tls(Bench):
    limit_s = 300

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in ("good", "other"):
            os.makedirs(f"{cls.folder}/{name}")
            authority(f"{cls.folder}/{name}")

    def deployed(self, path, *changes):
        """A file of deploy/ with these changes; each text to change must be in it."""
        with open(os.path.join(ROOT, "deploy", path), encoding="ascii") as file:
            text = file.read()
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        return text

    def alerts(self, output):
        """Starts a daemon with this output and sends mails."""
        sink = Sink(self)
        daemon = Daemon(self, self.work, {"outputs": [output]})
        subprocess.run([SOURCE, "-s", "5", "-m", str(MAILS), "-N", "-f", "out@example.org", "-t", "out@example.net",
                        f"inet:127.0.0.1:{sink.port}"], check=True, timeout=60, stdin=subprocess.DEVNULL)
        return daemon

    def rsyslog(self, collector):
        folder = tempfile.mkdtemp(dir=self.work)
        ours = self.deployed("rsyslog/30-smtpsnoop.conf", ('target="collector.example"', 'target="127.0.0.1"'),
                             ('port="6514"', f'port="{collector.port}"'),
                             ("/etc/ssl/certs/ca-certificates.crt", f"{self.folder}/good/certs/ca.pem"))
        with open(f"{folder}/conf", "w", encoding="ascii") as file:
            file.write(f'global(workDirectory="{folder}")\n'
                       f'module(load="imuxsock" SysSock.Use="off")\ninput(type="imuxsock" Socket="{folder}/log")\n{ours}')
        process = subprocess.Popen(["rsyslogd", "-n", "-f", f"{folder}/conf", "-i", f"{folder}/pid"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(end_process, process)
        wait_for(lambda: os.path.exists(f"{folder}/log"), 20 * SLOW, "rsyslog's socket")
        return {"type": "syslog", "format": "cef", "facility": "local4", "address": f"{folder}/log"}

    def syslog_ng(self, collector):
        root = mta.shared_root("syslog-ng-core")
        folder, port = tempfile.mkdtemp(dir=self.work), free_port()
        ours = self.deployed("syslog-ng/smtpsnoop.conf", ("port(5514)", f"port({port})"), ('"collector.example"', '"127.0.0.1"'),
                             ("port(6514)", f"port({collector.port})"), ("/etc/ssl/certs", f"{self.folder}/good/certs"))
        with open(f"{folder}/conf", "w", encoding="ascii") as file:
            file.write(f"@version: 3.38\noptions {{ time-reopen(1); }};\n{ours}")
        process = subprocess.Popen([*root.prefix, "syslog-ng", "-F", "-f", f"{folder}/conf", "--no-caps",
                                    *(f"--{name}={folder}/{name}" for name in ("persist-file", "pidfile", "control"))],
                                   cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(end_process, process)
        wait_for(lambda: is_listening(port), 20 * SLOW, "syslog-ng to listen")
        return {"type": "syslog", "format": "cef", "facility": "local4", "address": f"tcp://127.0.0.1:{port}"}

    def check_all_arrive(self, relay):
        collector = Collector(self, f"{self.folder}/good")
        self.alerts(relay(collector))

        def sessions():
            return {found[1] for found in (re.search(rb"CEF:.*externalId=(\S+)", one) for one in list(collector.messages))
                    if found and b"|smtp-message|" in found[0]}
        wait_for(lambda: len(sessions()) >= MAILS, 60 * SLOW, lambda: f"{MAILS} alerts: {len(sessions())} came, of "
                 f"{len(collector.messages)} messages; {collector.messages[:1]}")

    def check_none_arrives(self, relay):
        collector = Collector(self, f"{self.folder}/other")
        self.alerts(relay(collector))
        wait_for(lambda: collector.refused, 30 * SLOW, "a connection that is given up")
        self.assertEqual(collector.messages, [])

    def test_rsyslog(self):
        self.check_all_arrive(self.rsyslog)

    def test_rsyslog_and_somebody_else(self):
        self.check_none_arrives(self.rsyslog)

    def test_syslog_ng(self):
        self.check_all_arrive(self.syslog_ng)

    def test_syslog_ng_and_somebody_else(self):
        self.check_none_arrives(self.syslog_ng)


if __name__ == "__main__":
    unittest.main()
