# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the tests install leaves no service behind: packages.sh with stand-ins for the tools of a host, and the packages
that it has installed on this one."""

import glob
import os
import re
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPT = os.path.join(ROOT, "tests/packages.sh")
RECORD = "/var/lib/smtpsnoop-tests/packages"
OF_THE_SYSTEM = re.compile(r"systemd.*|libpam-systemd|udev|dbus.*")

# dpkg-query lists what is installed; apt-get adds to it, and fails for the package "broken"; the others say what was asked.
TOOLS = {
    "dpkg-query": 'sed "s/^/installed /" "$HOST/installed"',
    "dpkg": 'cat "$HOST/files-$2" 2>/dev/null || true',
    "apt-get": '[ "$1" = update ] && exit; shift 4; for one; do echo "$one" >>"$HOST/installed"; '
               '[ "$one" != broken ] || status=1; done; exit ${status:-0}',
    "systemctl": 'echo "systemctl $*" >>"$HOST/said"',
    "update-rc.d": 'echo "update-rc.d $*" >>"$HOST/said"',
    "id": "echo ${FAKE_UID:-0}",
}
FILES = {
    "postfix": "/lib/systemd/system/postfix.service\n/lib/systemd/system/postfix@.service\n/etc/init.d/postfix\n",
    "nagios": "/etc/init.d/nagios4\n",
    "logrotate": "/usr/lib/systemd/system/logrotate.timer\n/usr/lib/systemd/system/logrotate.service\n",
    "systemd": "/lib/systemd/system/systemd-timesyncd.service\n",
}


class Script(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.mkdir(self.path("bin"))
        for name, text in TOOLS.items():
            self.write(f"bin/{name}", f"#!/bin/sh\n{text}\n", 0o755)
        for name, text in FILES.items():
            self.write(f"files-{name}", text)
        self.write("installed", "cron\n")

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def read(self, name):
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def install(self, *packages, **env):
        script = re.sub(r"policy=\S+", f"policy={self.path('policy')}", "\n".join(self.read(SCRIPT)))
        return subprocess.run(["/bin/sh", "-c", script, "packages.sh", *packages], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
                              env={**os.environ, "PATH": f"{self.path('bin')}:{os.environ['PATH']}",
                                   "HOST": self.folder, "SMTPSNOOP_PACKAGES": self.path("record"), **env})

    def disabled(self):
        """What systemctl and update-rc.d were told to disable."""
        return {line.replace("--quiet ", "") for line in self.read("said") if "disable" in line}

    def test_services_are_disabled(self):
        self.assertEqual(self.install("cron", "postfix", "nagios", "logrotate").returncode, 0)
        self.assertEqual(self.disabled(), {"systemctl disable postfix.service", "update-rc.d postfix disable",
                                           "update-rc.d nagios4 disable", "systemctl disable logrotate.timer",
                                           "systemctl disable logrotate.service"})
        self.assertEqual(self.read("record"), ["logrotate", "nagios", "postfix"])
        self.assertFalse(os.path.exists(self.path("policy")))

    def test_also_if_the_installation_fails(self):
        done = self.install("postfix", "broken")
        self.assertEqual(done.returncode, 1)
        self.assertIn("could not install postfix broken", done.stdout)
        self.assertIn("systemctl disable postfix.service", self.disabled())
        self.assertFalse(os.path.exists(self.path("policy")))

    def test_what_was_there_is_left_alone(self):
        self.write("installed", "postfix\nsystemd\n")
        self.write("policy", "#!/bin/sh\nexit 0\n", 0o755)
        self.assertEqual(self.install("postfix").returncode, 0)
        self.assertEqual(self.install("postfix", "nagios").returncode, 0)
        self.assertEqual(self.disabled(), {"update-rc.d nagios4 disable"})
        self.assertEqual(self.read("policy"), ["#!/bin/sh", "exit 0"])

    def test_services_of_the_system_stay(self):
        self.assertEqual(self.install("systemd").returncode, 0)
        self.assertEqual(self.disabled(), set())

    def test_without_root(self):
        done = self.install("postfix", FAKE_UID="1000")
        self.assertEqual((done.returncode, self.read("said")), (1, []))
        self.assertIn("sudo apt-get install --no-install-recommends postfix", done.stdout)


def services(package, root="/"):
    """The names of a package's units, without templates, and of its scripts in /etc/init.d."""
    listed = subprocess.run(["dpkg", f"--root={root}", "-L", package], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True, check=False).stdout.splitlines()
    units = {os.path.basename(path) for path in listed
             if re.search(r"/systemd/system/[^/@]+\.(service|socket|timer|path)$", path)}
    return units, {os.path.basename(path) for path in listed if path.startswith("/etc/init.d/")}


def enabled(package, root="/"):
    """The links that would start a service of the package."""
    units, scripts = services(package, root)
    links = glob.glob(os.path.join(root, "etc/systemd/system/*.wants/*"))
    links = [path for path in links if os.path.basename(path) in units]
    return sorted(links + [path for name in scripts
                           for path in glob.glob(os.path.join(root, f"etc/rc[2-5S].d/S[0-9][0-9]{name}"))])


def recorded(root="/"):
    try:
        with open(os.path.join(root, RECORD.lstrip("/")), encoding="utf-8") as file:
            return sorted({line for line in file.read().split() if not OF_THE_SYSTEM.fullmatch(line)})
    except FileNotFoundError:
        return []


class ThisHost(unittest.TestCase):
    def setUp(self):
        self.packages = recorded()
        if not self.packages:
            self.skipTest("the tests have installed no package on this host")

    def test_nothing_that_the_tests_installed_is_enabled(self):
        self.assertEqual([link for package in self.packages for link in enabled(package)], [])

    def test_nothing_that_the_tests_installed_runs(self):
        """As systemd sees it; what a test starts itself is in no such unit."""
        if not os.path.isdir("/run/systemd/system"):
            self.skipTest("systemd does not run here")
        for package in self.packages:
            for unit in services(package)[0]:
                state = subprocess.run(["systemctl", "is-active", unit], stdout=subprocess.PIPE, text=True,
                                       check=False).stdout.strip()
                self.assertNotIn(state, ("active", "activating"), f"{package}: {unit}")


if __name__ == "__main__":
    unittest.main()
