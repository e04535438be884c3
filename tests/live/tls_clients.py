# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The clients of the tests of mail under TLS. Each sends the mails of a Job (tls_case.py) and returns what the events must
show. Those of the folder tls/ take the arguments

    MODE PORT AUTH HOW SENDER RECIPIENT...

MODE is starttls or smtps, AUTH a file with the user and the secret, HOW what they do with connections ("one" for all mails,
one for "each", "parallel", "wait": each program names what it knows). Each recipient gets a mail of its own.
"""

import base64
import functools
import json
import os
import pwd
import shutil
import subprocess
import urllib.request

import fetched
import mta
from harness import PYTHON, PYTHON_EXECUTABLE, end_process, free_port, is_listening, wait_for
from tls_case import COMBINATIONS, USER, Job

TIMEOUT_S = 120


def start(argv, as_root=False, **keywords):
    """As root: the program itself changes to the user."""
    entry = pwd.getpwnam(USER)
    if not as_root:
        keywords.update(user=entry.pw_uid, group=entry.pw_gid, extra_groups=[])
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **keywords.pop("env", {})}
    return subprocess.Popen(argv, stdout=keywords.pop("stdout", subprocess.DEVNULL), stderr=subprocess.PIPE, cwd="/",
                            env=environment, **keywords)


def run(argv, text=None, **keywords):
    """Runs a client to its end; returns its pid."""
    process = start(argv, stdin=subprocess.PIPE if text else subprocess.DEVNULL, **keywords)
    try:
        _, errors = process.communicate(text.encode() if text else None, timeout=TIMEOUT_S)
    finally:
        end_process(process)
    if process.returncode != 0:
        raise AssertionError(f"{argv} ended with {process.returncode}: {errors[-700:].decode(errors='replace')}")
    return process.pid


def file_of(job, name, text):
    """A file beside the secret's, which the client alone can read."""
    path = f"{job.secret.path}-{job.mode}-{job.version}.{name}"
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(text)
    entry = pwd.getpwnam(USER)
    os.chown(path, entry.pw_uid, entry.pw_gid)
    return path


# ---- One process for each mail --------------------------------------------------------------------


def curl(job):
    config, sent = file_of(job, "curl", f'user = "{job.secret.user}:{job.secret.text}"\n'), []
    scheme = "smtps" if job.mode == "smtps" else "smtp"
    for recipient in job.recipients:
        pid = run(["curl", "-sS", "-k", "--ssl-reqd", "--max-time", "60", "-K", config, "--url",
                   f"{scheme}://127.0.0.1:{job.port}/client.test", "--mail-from", job.sender, "--mail-rcpt", recipient,
                   "-T", "-"], job.text(recipient))
        sent += job.sent("openssl", shutil.which("curl"), pid, [recipient])
    return sent


def swaks(job):
    config, sent = file_of(job, "swaks", f"auth-user {job.secret.user}\nauth-password {job.secret.text}\n"), []
    for recipient in job.recipients:
        pid = run(["swaks", "--config", config, "--server", "127.0.0.1", "--port", str(job.port), "--timeout", "60",
                   "--tls" if job.mode == "starttls" else "--tls-on-connect", "--auth", "PLAIN", "-f", job.sender,
                   "-t", recipient, "--header", f"Subject: to {recipient}", "--hide-all"])
        sent += job.sent("openssl", shutil.which("perl"), pid, [recipient])
    return sent


def msmtp(job):
    password, sent = file_of(job, "msmtp", job.secret.text), []
    for recipient in job.recipients:
        pid = run(["msmtp", "--host=127.0.0.1", f"--port={job.port}", "--timeout=60", "--tls=on", "--tls-certcheck=off",
                   f"--tls-starttls={'on' if job.mode == 'starttls' else 'off'}", "--auth=plain",
                   f"--user={job.secret.user}", f"--passwordeval=cat {password}", "-f", job.sender, recipient],
                  job.text(recipient))
        sent += job.sent("gnutls", shutil.which("msmtp"), pid, [recipient])
    return sent


def s_nail(job):
    scheme = "smtps" if job.mode == "smtps" else "smtp"
    rc = file_of(job, "nail", f"""set v15-compat sendwait smtp-use-starttls tls-verify=ignore smtp-auth=plain
set mta={scheme}://{job.secret.user}:{job.secret.text}@127.0.0.1:{job.port} from={job.sender} hostname=client.test
""")
    sent = []
    for recipient in job.recipients:
        run(["s-nail", "-:u", "-#", "-s", f"to {recipient}", recipient], "hello\n", env={"MAILRC": rc, "HOME": "/tmp"})
        sent += job.sent("openssl", shutil.which("s-nail"), None, [recipient])  # its child sends
    return sent


# ---- A dialogue through the client's standard input -----------------------------------------------


class Dialogue:
    """Types a session into a client that passes on lines, and waits for each reply."""

    def __init__(self, argv, ready=None):
        self.process = start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        while ready and ready not in self.process.stdout.readline():
            pass

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\r\n")
        self.process.stdin.flush()

    def reply(self, code):
        """Reads up to the last line of a reply with this code. What the client says of its own is passed over."""
        for line in self.process.stdout:
            if line[:4] == b"%d " % code:
                return
            if line[:1] in b"45" and line[3:4] == b" ":
                break
        raise AssertionError(f"{self.process.args}: no reply {code}: {line!r}")

    def session(self, job):
        try:
            if job.mode == "smtps":
                self.reply(220)
            self.say("EHLO dialogue.test")
            self.reply(250)
            plain = base64.b64encode(f"\0{job.secret.user}\0{job.secret.text}".encode()).decode()
            self.say("AUTH PLAIN " + plain)
            self.reply(235)
            for recipient in job.recipients:
                for line in (f"MAIL FROM:<{job.sender}>", f"RCPT TO:<{recipient}>"):
                    self.say(line)
                    self.reply(250)
                self.say("DATA")
                self.reply(354)
                self.say(job.text(recipient) + ".")
                self.reply(250)
            self.say("QUIT")
            self.reply(221)
            self.process.stdin.close()
            self.process.wait(TIMEOUT_S)
        finally:
            end_process(self.process)
        return self.process.pid


def s_client(job):
    starttls = ["-starttls", "smtp"] if job.mode == "starttls" else []
    argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{job.port}", "-quiet", *starttls]
    return job.sent("openssl", shutil.which("openssl"), Dialogue(argv).session(job))


def gnutls_cli(job):
    starttls = ["--starttls-proto=smtp"] if job.mode == "starttls" else []
    argv = ["gnutls-cli", "--insecure", "-p", str(job.port), *starttls, "127.0.0.1"]
    return job.sent("gnutls", shutil.which("gnutls-cli"), Dialogue(argv, b"Simple Client Mode").session(job))


class Waiting:
    """A client that sends a mail only when it is told to: HOW is "wait" or "hold"."""

    def __init__(self, case, job, argv, how, **keywords):
        self.job = job
        self.process = start([*argv, *arguments(job, how)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **keywords)
        (case.addClassCleanup if isinstance(case, type) else case.addCleanup)(end_process, self.process)
        self.wait_until_ready()

    def wait_until_ready(self):
        if self.process.stdout.readline() != b"ready\n":
            raise AssertionError(f"{self.process.args}: {self.process.stderr.read()[-1000:]}")

    def go_on(self, last):
        """Sends one mail, and waits until it was sent."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        if not last:
            self.wait_until_ready()
        elif self.process.wait(TIMEOUT_S) != 0:
            raise AssertionError(f"{self.process.args}: {self.process.stderr.read()[-1000:]}")


# ---- Programs of the folder tls/ ------------------------------------------------------------------


def arguments(job, how):
    return [job.mode, str(job.port), job.auth, how, job.sender, *job.recipients]


def python(job, program, how="each"):
    pid = run([PYTHON, "-I", "-S", os.path.join(fetched.TLS, program), *arguments(job, how)])
    return job.sent("openssl", PYTHON_EXECUTABLE, pid)


def smtplib(job, how="each"):
    return python(job, "smtplib_client.py", how)


def asyncio(job, how="each"):
    return python(job, "asyncio_client.py", how)


def threads(job, how="each"):
    return python(job, "threads_client.py", how)


def nodemailer(job, how="each"):
    node = shutil.which("node")
    pid = run([node, os.path.join(fetched.TLS, "nodemailer_client.js"), *arguments(job, how)],
              env={"NODE_PATH": fetched.node_modules()})
    return job.sent("openssl", node, pid)


def built(job, program, layer, how="each"):
    return job.sent(layer, program, run([program, *arguments(job, how)]))


def build_curl_gnutls(folder):
    return fetched.compile_c("curl_client.c", os.path.join(folder, "curl_client"), fetched.library("libcurl-gnutls.so.4"))


def build_openssl(folder, name, *options):
    return fetched.compile_c("openssl_client.c", os.path.join(folder, name), *options, "-lssl", "-lcrypto")


def build_static(folder, *options):
    return build_openssl(folder, "static" + "".join(options), *options, "-static")


def java(job):
    """Compiles and runs the program in one step; returns the pid."""
    return run([shutil.which("java"), os.path.join(fetched.TLS, "TlsClient.java"), *arguments(job, "each")])


@functools.lru_cache(maxsize=None)
def build_go(folder):
    target, go = os.path.join(folder, "go_client"), shutil.which("go")
    if not go:
        raise AssertionError("go is missing: sudo make deps-long installs it")
    fetched.run(go, "build", "-o", target, os.path.join(fetched.TLS, "go_client.go"),
                env={**os.environ, "GOCACHE": os.path.join(fetched.FOLDER, "go-cache"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"})
    return target


# ---- Servers that relay ---------------------------------------------------------------------------


def next_hops(case):
    """The domain, mode and port of each combination."""
    return [(Job.domain(mode, version), mode, case.servers[version].port if mode == "starttls" else
             case.servers[version].smtps) for mode, version in COMBINATIONS]


def submit(port, jobs):
    """Hands the mails in, in clear, on one connection."""
    import smtplib as library

    with library.SMTP("127.0.0.1", port) as client:
        for job in jobs:
            for recipient in job.recipients:
                client.sendmail(job.sender, [recipient], job.text(recipient))


def postfix(case, jobs):
    hops = next_hops(case)
    table = ", ".join(f"{{ {domain} = {mode}:[127.0.0.1]:{port} }}" for domain, mode, port in hops)
    secret = jobs[0].secret
    logins = ", ".join(f"{{ [127.0.0.1]:{port} = {secret.user}:{secret.text} }}" for _, _, port in hops)
    server = mta.Postfix(type(case), 1, main=f"""
transport_maps = inline:{{ {table} }}
smtp_tls_security_level = encrypt
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = inline:{{ {logins} }}
smtp_sasl_security_options = noanonymous
smtp_sasl_mechanism_filter = plain
""", services="""
tlsmgr unix - - n 1000? 1 tlsmgr
starttls unix - - n - - smtp
smtps unix - - n - - smtp -o smtp_tls_wrappermode=yes
""")
    uid = int(server.root.run("id", "-u", server.user))
    submit(server.port, jobs)
    return [one for job in jobs for one in job.sent("openssl", server.executable, uid=uid)]


def exim(case, jobs):
    hops = {mode: [hop for hop in next_hops(case) if hop[1] == mode] for mode in ("starttls", "smtps")}
    routers = "".join(f"""
{mode}:
  driver = manualroute
  route_list = {' ; '.join(f'{domain} 127.0.0.1::{port} byname' for domain, _, port in some)}
  self = send
  transport = {mode}
""" for mode, some in hops.items())
    transports = "".join(f"""
{mode}:
  driver = smtp
  protocol = {'smtps' if mode == 'smtps' else 'smtp'}
  hosts_require_tls = *
  hosts_require_auth = *
  tls_verify_certificates =
  allow_localhost
""" for mode in hops)
    secret = jobs[0].secret
    server = mta.Exim(type(case), 1, main="smtp_accept_queue_per_connection = 0\n", routers=routers, transports=transports + f"""
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{secret.user}^{secret.text}
""")
    uid = int(server.root.run("id", "-u", server.user))
    submit(server.port, jobs)
    return [one for job in jobs for one in job.sent("gnutls", server.executable, uid=uid)]


ALERTMANAGER = """
route:
  receiver: {first}
  group_by: [recipient]
  group_wait: 0s
  routes: [{routes}]
receivers:
{receivers}
"""
RECEIVER = """
- name: '{name}'
  email_configs:
  - to: '{{{{ .GroupLabels.recipient }}}}'
    from: {sender}
    hello: client.test
    smarthost: 127.0.0.1:{port}
    auth_username: {user}
    auth_password: {secret}
    require_tls: true
    send_resolved: false
    tls_config: {{ insecure_skip_verify: true }}
    headers: {{ Subject: 'to {{{{ .GroupLabels.recipient }}}}' }}
"""


def alertmanager(case, jobs):
    """Debian's prometheus-alertmanager, a Go program without a symbol table. It knows STARTTLS alone."""
    folder, port = fetched.unpacked("prometheus-alertmanager"), free_port()
    program = os.path.join(folder, "usr/bin/prometheus-alertmanager")
    root = mta.Root(type(case), "")  # the program looks for its templates below /usr/share
    root.run("cp", "-r", os.path.join(folder, "usr/share"), "/usr")
    name = lambda job: Job.domain(job.mode, job.version)
    data = jobs[0].secret.path + ".data"
    os.mkdir(data)
    shutil.chown(data, USER)
    config = file_of(jobs[0], "yml", ALERTMANAGER.format(
        first=name(jobs[0]),
        routes=", ".join(f"{{ receiver: {name(job)}, matchers: ['port = \"{job.port}\"'] }}" for job in jobs),
        receivers="".join(RECEIVER.format(name=name(job), sender=job.sender, port=job.port, user=job.secret.user,
                                          secret=job.secret.text) for job in jobs)))
    process = subprocess.Popen(
        [*root.prefix, "setpriv", "--reuid", USER, "--clear-groups", program, f"--config.file={config}",
         f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", f"--storage.path={data}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    case.addClassCleanup(end_process, process)
    wait_for(lambda: is_listening(port) or process.poll() is not None, 30, "alertmanager to listen")
    if process.poll() is not None:
        raise AssertionError(f"alertmanager has ended: {process.stderr.read()[-1000:]}")
    alerts = [{"labels": {"alertname": "live", "recipient": recipient, "port": str(job.port)}}
              for job in jobs for recipient in job.recipients]
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v2/alerts", json.dumps(alerts).encode(),
                                     {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).close()
    return [one for job in jobs for one in job.sent("go", program, process.pid)]
