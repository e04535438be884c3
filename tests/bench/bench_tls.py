# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the probes in TLS libraries cost, how fast they are there and gone, and whether each mail is joined to its socket.

    bench_tls.py [--build DIR] [--program FILE] [--nginx FILE] [--turns N] [--only WORD,...]

Three sides take turns: bare, the watch with --no-tls, and the watch. What is counted is processor time, of the writing
thread or of nginx's worker, so that other programs of the host disturb little. The value of a turn is the fastest of its
rounds; the result is the median of the turns. A ratio is that of the watch to bare, turn by turn.

The targets suppose a machine on which an empty probe costs about 0.5 us at an entry and 0.9 us at entry and return. Where
the hypervisor intercepts breakpoints it is ten times that: compare with the first two rows.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from bench import program_stats

HERE = os.path.dirname(os.path.abspath(__file__))
SIDES = ("bare", "--no-tls", "watch")
ROUNDS = 5
LIBRARIES = 10  # copies that are mapped when the watch ends
COPIES = 15  # that appear while it runs
MAILS, AT_ONCE, PROCESSES = 150, 20, 2
LIMIT_S = 60  # for whatever is waited for

# name: LIBRARY, TO, SIZE, writes in a round (tlscost.c)
WRITES = {
    "openssl nowhere": ("openssl", "nowhere", 64, 60000),
    "openssl 64 B": ("openssl", "wire", 64, 25000),
    "openssl 16 KiB": ("openssl", "wire", 16384, 8000),
    "openssl mail": ("openssl", "mail", 64, 25000),
    "gnutls nowhere": ("gnutls", "nowhere", 64, 30000),
    "gnutls 64 B": ("gnutls", "wire", 64, 15000),
    "gnutls 16 KiB": ("gnutls", "wire", 16384, 6000),
}
# name: how connections are used, requests in a round (https.c)
REQUESTS = {"https new": ("new", 150), "https keep": ("keep", 3000)}

# title, the name of what was measured, unit, target, stretch. "x" is a ratio; "ns" what the watch adds.
FIGURES = (
    ("an empty probe at an entry", "empty entry", "ns", None, None),
    ("an empty probe at entry and return", "empty both", "ns", None, None),
    ("one probed write, OpenSSL", "openssl nowhere", "ns", 900, 550),
    ("one probed write, GnuTLS", "gnutls nowhere", "ns", 900, 550),
    ("TLS write of 64 B, OpenSSL", "openssl 64 B", "x", 1.6, 1.35),
    ("TLS write of 16 KiB, OpenSSL", "openssl 16 KiB", "x", 1.16, 1.03),
    ("TLS write of 64 B, GnuTLS", "gnutls 64 B", "x", 1.6, 1.35),
    ("TLS write of 16 KiB, GnuTLS", "gnutls 16 KiB", "x", 1.16, 1.03),
    ("TLS write of 64 B of a mail", "openssl mail", "x", None, None),
    ("HTTPS, a connection per request", "https new", "x", 1.05, 1.02),
    ("HTTPS, keep-alive, 1 KB page", "https keep", "x", 1.35, 1.10),
    (f"shutdown, {LIBRARIES} libraries attached", "shutdown", "s", 2, 0.5),
    ("new library: mapped to attached", "attach", "ms", 30, 10),
    ("mails joined to the wrong socket", "wrong", "", 0, 0),
)


class Bench:
    """What all measurements share: the programs, and a folder of their own with a certificate."""

    def __init__(self, options, folder):
        self.tools = os.path.join(os.path.abspath(options.build), "tests/bench")
        self.program = os.path.abspath(options.program or os.path.join(options.build, "smtpsnoop"))
        self.nginx = options.nginx
        self.folder = folder
        self.files = (self.path("certificate.pem"), self.path("key.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "2", "-subj", "/CN=localhost", "-keyout", self.files[1], "-out", self.files[0]], check=True,
                       stderr=subprocess.DEVNULL)
        linked = subprocess.run(["ldd", f"{self.tools}/tlscost"], check=True, stdout=subprocess.PIPE, text=True).stdout
        self.libraries = re.findall(r"=> (/\S+/lib(?:ssl|gnutls)\.so\S*)", linked)
        self.openssl, = [path for path in self.libraries if "libssl" in path]

    def path(self, name):
        return os.path.join(self.folder, name)

    def tool(self, name, *words):
        return [f"{self.tools}/{name}", *map(str, words)]

    def writes(self, library, to, size, count):
        done = subprocess.run(self.tool("tlscost", library, to, size, ROUNDS, count, *self.files), check=True,
                              stdout=subprocess.PIPE, text=True, timeout=LIMIT_S)
        return min(map(float, done.stdout.split()))

    def copies(self, count, name):
        """Copies of OpenSSL's library that are new to the host."""
        made = [self.path(f"{name}-{number}.so") for number in range(count)]
        for path in made:
            shutil.copyfile(self.openssl, path)
        return made


# ---- Processes --------------------------------------------------------------------------------------


@contextlib.contextmanager
def running(command, **how):
    process = subprocess.Popen(command, text=True, **{"stdout": subprocess.PIPE, **how})
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def said(process, word):
    """The time in the next line of mapped.c, which must be `word`. It ends the bench if none comes."""
    timer = threading.Timer(LIMIT_S, process.kill)
    timer.start()
    line = process.stdout.readline().split()
    timer.cancel()
    if line[:1] != [word]:
        sys.exit(f"bench: {process.args[0]}: waited {LIMIT_S} s for {word!r}")
    return float(line[1])


@contextlib.contextmanager
def watching(bench, *options):
    """The watch, with its probes in the host's libraries. Its events go to a file; its path is `events`."""
    path = bench.path("events.json")
    with open(path, "w", encoding="utf-8") as file, \
            running([bench.program, "watch", "-o", "json", "--all", *options], stdout=file,
                    stderr=subprocess.DEVNULL) as watch:
        end = time.monotonic() + LIMIT_S
        while os.path.getsize(path) == 0:
            if watch.poll() is not None or time.monotonic() > end:
                sys.exit(f"bench: {bench.program} did not start")
            time.sleep(0.02)
        if "--no-tls" not in options:
            with running(bench.tool("mapped", *bench.libraries)) as mapped:
                said(mapped, "mapped")
                said(mapped, "attached")
        time.sleep(0.2)
        watch.events = path
        yield watch


def side(bench, name):
    return contextlib.nullcontext() if name == "bare" else watching(bench, *(["--no-tls"] if name == "--no-tls" else []))


# ---- Writes and requests ----------------------------------------------------------------------------

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off; keepalive_requests 10000000; keepalive_timeout 600s; ssl_session_tickets off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{
        listen 127.0.0.1:{port} ssl; root {folder}; ssl_protocols TLSv1.3;
        ssl_certificate {certificate}; ssl_certificate_key {key};
    }}
}}
"""


class Nginx:
    def __init__(self, bench, process):
        self.bench, self.port = bench, 8443
        end = time.monotonic() + LIMIT_S
        while not self.worker(process.pid):
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"bench: {bench.nginx} did not start")
            time.sleep(0.05)
        time.sleep(0.2)

    def worker(self, master):
        with open(f"/proc/{master}/task/{master}/children", encoding="ascii") as file:
            pids = file.read().split()
        self.stat = f"/proc/{pids[0]}/schedstat" if pids else None
        return self.stat

    def spent_ns(self):
        with open(self.stat, encoding="ascii") as file:
            return int(file.read().split()[0])

    def request(self, kind, count):
        """The worker's nanoseconds per request, in the best round."""
        rounds = []
        for _ in range(ROUNDS):
            before = self.spent_ns()
            subprocess.run(self.bench.tool("https", self.port, kind, count), check=True, timeout=LIMIT_S)
            time.sleep(0.02)  # until the worker sleeps, and its time is accounted
            rounds.append((self.spent_ns() - before) / count)
        return min(rounds)


@contextlib.contextmanager
def nginx(bench):
    if not bench.nginx:
        yield None
        return
    os.chmod(bench.folder, 0o755)  # the worker runs as nobody
    with open(bench.path("page"), "w", encoding="ascii") as file:
        file.write("x" * 1024)
    with open(bench.path("nginx.conf"), "w", encoding="ascii") as file:
        file.write(NGINX.format(folder=bench.folder, port=8443, certificate=bench.files[0], key=bench.files[1]))
    with running([bench.nginx, "-e", "stderr", "-p", bench.folder, "-c", bench.path("nginx.conf")]) as process:
        yield Nginx(bench, process)


def measure_turn(bench, web, only):
    values = {name: bench.writes(*words) for name, words in WRITES.items() if is_wanted(bench, name, only)}
    if web:
        values.update({name: web.request(*words) for name, words in REQUESTS.items() if is_wanted(bench, name, only)})
    return values


def is_wanted(bench, name, only):
    if name.startswith("gnutls") and len(bench.libraries) < 2:
        return False
    return not only or any(word in name for word in only)


def measure_sides(bench, web, turns, only):
    """name: one (bare, --no-tls, watch) for each turn"""
    columns = {}
    for turn in range(turns):
        values = []
        for name in SIDES:
            with side(bench, name):
                values.append(measure_turn(bench, web, only))
        for name in values[0]:
            columns.setdefault(name, []).append(tuple(value[name] for value in values))
        print(f"turn {turn + 1} of {turns} measured", file=sys.stderr, flush=True)
    return columns


def measure_empty(bench):
    """What this machine and its kernel make of a probe that does nothing: nanoseconds at an entry, and with the return."""
    runs = [subprocess.run(bench.tool("emptyprobe"), check=True, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S).stdout
            for _ in range(3)]
    entry, both = (statistics.median(column) for column in zip(*(map(float, run.split()) for run in runs)))
    return {"empty entry": entry, "empty both": both}


# ---- Attaching, detaching, joining ------------------------------------------------------------------


def measure_attach(bench):
    """Milliseconds from the loading of a library that is new to the host until its code has a probe."""
    times = []
    with watching(bench):
        for path in bench.copies(COPIES, "new"):
            with running(bench.tool("mapped", path)) as mapped:
                times.append(-said(mapped, "mapped") * 1e3 + said(mapped, "attached") * 1e3)
            os.unlink(path)
    return times


def measure_shutdown(bench, turns):
    """Seconds from the signal until the watch has ended and the last probe is gone, of each turn."""
    times, copies = [], bench.copies(LIBRARIES, "old")
    for _ in range(turns):
        with watching(bench) as watch, running(bench.tool("mapped", *copies)) as mapped:
            said(mapped, "mapped")
            said(mapped, "attached")
            began = time.monotonic()
            watch.terminate()
            watch.wait(LIMIT_S)
            ended = time.monotonic()
            times.append(max(ended, said(mapped, "detached")) - began)
    return times


def envelope(event):
    return event.get("smtp", {}).get("mail_from", "")


def is_right(event, ports):
    sender = envelope(event)
    return event.get("process", {}).get("pid") == int(sender.split("-")[0]) and \
        event.get("source", {}).get("port") == ports[sender]


def measure_joins(bench):
    """How many mails were wrong, not seen, and seen twice; of how many."""
    script = os.path.join(HERE, "tls_mails.py")
    with watching(bench) as watch, running([sys.executable, script, "serve", *bench.files],
                                           stdin=subprocess.PIPE) as server:
        port = server.stdout.readline().strip()
        clients = [subprocess.Popen([sys.executable, script, "send", port, str(MAILS), str(AT_ONCE)])
                   for _ in range(PROCESSES)]
        if any(client.wait(LIMIT_S) for client in clients):
            sys.exit("bench: a client that mails over TLS failed")
        time.sleep(2)  # an event is written within 1 s
        watch.terminate()
        watch.wait(LIMIT_S)
        ports = dict((words[0], int(words[1])) for words in map(str.split, server.communicate("")[0].splitlines()))
        with open(watch.events, encoding="utf-8") as file:
            events = [event for event in map(json.loads, file) if event["event"]["action"] == "smtp-message" and
                      event.get("smtpsnoop", {}).get("final", True) and envelope(event) in ports]
    seen = {envelope(event) for event in events}
    return {"wrong": sum(not is_right(event, ports) for event in events), "missed": len(ports) - len(seen),
            "twice": len(events) - len(seen), "mails": len(ports)}


# ---- The table --------------------------------------------------------------------------------------


def verdict(value, target, stretch):
    if target is None:
        return ""
    return "stretch" if value <= stretch else "target" if value <= target else "MISSED"


def shown(value, unit):
    return "" if value is None else f"{value:.0f}" if unit in ("ns", "") else f"{value:.2f}" if unit in "xs" else f"{value:.1f}"


def row(title, unit, value, limits, sides=("", "", "")):
    target, stretch = limits
    print(f"{title:<36} {sides[0]:>9} {sides[1]:>9} {sides[2]:>9}  {shown(value, unit):>7} {unit:<2} "
          f"{shown(target, unit):>7} {shown(stretch, unit):>7}  {verdict(value, target, stretch)}", flush=True)


def result_of(unit, turns):
    if unit == "x":
        return statistics.median(watch / bare for bare, _, watch in turns)
    return statistics.median(watch - bare for bare, _, watch in turns)


def print_table(columns, single):
    print(f"{'':<36} {'bare':>9} {'--no-tls':>9} {'watch':>9}  {'result':>10} {'target':>7} {'stretch':>7}")
    for title, name, unit, *limits in FIGURES:
        if name in columns:
            sides = [f"{statistics.median(column):.0f} ns" for column in zip(*columns[name])]
            row(title, unit, result_of(unit, columns[name]), limits, sides)
        elif name in single:
            row(title, unit, single[name], limits)


def print_profile(bench, web):
    def load():
        bench.writes("openssl", "wire", 64, 25000)
        bench.writes("openssl", "mail", 64, 25000)
        if web:
            web.request("keep", 3000)

    command = [bench.program, "watch", "-o", "json"]
    print("nanoseconds a run of each program, the kernel's clock reads included; writes of 64 B and HTTPS:")
    for name, mean in sorted(program_stats(load, command).items()):
        print(f"  {name:<20} {mean:6.1f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--program", help="instead of the build's smtpsnoop")
    parser.add_argument("--nginx", help="without one, HTTPS is not measured")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--only", default="", help="parts of names: nowhere, 64, 16, mail, new, keep, attach, shutdown, wrong, profile")
    options = parser.parse_args()
    only = [word for word in options.only.split(",") if word]
    if os.geteuid() != 0:
        sys.exit("bench: needs root")
    with tempfile.TemporaryDirectory(prefix="bench-tls-", dir=options.build) as folder:
        bench = Bench(options, os.path.abspath(folder))
        return measure_all(bench, options.turns, only)


def measure_all(bench, turns, only):
    columns, single, joins = {}, {}, None
    with nginx(bench) as web:
        if any(is_wanted(bench, name, only) for name in (*WRITES, *REQUESTS)):
            columns = measure_sides(bench, web, turns, only)
            single.update(measure_empty(bench))
        if is_wanted(bench, "profile", only):
            print_profile(bench, web)
    if is_wanted(bench, "attach", only):
        times = measure_attach(bench)
        single["attach"] = statistics.median(times)
        print(f"attaching: {min(times):.1f} to {max(times):.1f} ms, {len(times)} libraries")
    if is_wanted(bench, "shutdown", only):
        single["shutdown"] = statistics.median(measure_shutdown(bench, min(turns, 3)))
    if is_wanted(bench, "wrong", only):
        joins = measure_joins(bench)
        single["wrong"] = joins["wrong"]
        print("mails: {mails}, not seen: {missed}, twice: {twice}, wrong: {wrong}".format(**joins))
    if not bench.nginx:
        print("HTTPS: not measured, there is no nginx")
    if len(bench.libraries) < 2:
        print("GnuTLS: not measured, libgnutls28-dev is not installed")
    print_table(columns, single)
    return 1 if joins and (joins["wrong"] or joins["missed"] or joins["twice"]) else 0


if __name__ == "__main__":
    sys.exit(main())
