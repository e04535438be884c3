# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`check` accepts every file of deploy/exclusions, without a warning that is not meant, and docs/mailers.md lists the
file. `suggest --library` drafts an installed mailer with the host's MTA, and says what it leaves out.

    check_library.py PROGRAM
"""

import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBRARY = os.path.join(ROOT, "deploy", "exclusions")
# A host lacks most of the users; the notes of these two files say what the others warn of.
MEANT = {"": r"this host has no user", "sudo": r"trusts only what a sender can forge", "php-mail": r"many programs share"}


def run(*argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                          text=True, check=False)


def check(program, folder, name, text):
    path = os.path.join(folder, name + ".yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)
    done = run(program, "check", "-c", path)
    meant = "|".join((MEANT[""], MEANT.get(name, MEANT[""])))
    odd = [line for line in done.stdout.splitlines() if "warning:" in line and not re.search(meant, line)]
    assert done.returncode == 0 and not odd, f"{name}: {done.stdout}"
    for key in ("# packages: ", "# programs: /", "recipients:", "relay: \"192.0.2.25:25\"", "limits:"):
        assert key in text, f"{name}: no {key}"


def main(program):
    with open(os.path.join(ROOT, "docs", "mailers.md"), encoding="utf-8") as file:
        listed = re.findall(r"`([\w-]+)\.yaml` \|", file.read())
    names = sorted(name.removesuffix(".yaml") for name in os.listdir(LIBRARY))
    assert sorted(listed) == names, f"docs/mailers.md lists {sorted(set(listed) ^ set(names))}, or not"
    assert len(names) >= 20
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            with open(os.path.join(LIBRARY, name + ".yaml"), encoding="utf-8") as file:
                check(program, folder, name, file.read())
        own = os.path.join(folder, "own")
        os.mkdir(own)
        for name, here in (("here", "/bin/sh"), ("gone", "/nonexistent/program")):
            with open(os.path.join(LIBRARY, "monit.yaml"), encoding="utf-8") as file:
                text = file.read().replace("# packages: monit", "# packages: no-such-package")
            with open(os.path.join(own, name + ".yaml"), "w", encoding="utf-8") as file:
                file.write(text.replace("# programs: /usr/bin/monit", f"# programs: {here}").replace("name: monit",
                                                                                                     f"name: {name}"))
        done = run(program, "suggest", "--library", own)
        assert done.returncode == 0 and "  - name: here\n" in done.stdout, done.stdout
        assert "#   gone: not installed" in done.stdout and "name: gone" not in done.stdout, done.stdout
        path = os.path.join(folder, "draft.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(done.stdout)
        os.chmod(path, 0o644)
        assert run(program, "check", "-c", path).returncode == 0, done.stdout
        done = run(program, "suggest", "--library", os.path.join(folder, "none"))
        assert done.returncode == 1 and done.stdout.count("\n") == 1, done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
