# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The Makefile: its help is complete, it installs what the documents name, it knows the commit, and it builds nothing
twice. BUILD: an existing build; it is not changed."""

import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
ENV = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "BUILD", "COMMIT", "DESTDIR")}
PAGES = ("docs/smtpsnoop.8", "docs/smtpsnoop.yaml.5")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


class Make(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def make(self, *words, cwd=ROOT, prefix=()):
        done = subprocess.run([*prefix, "make", "--no-print-directory", *words], cwd=cwd, env=ENV, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_help_has_every_target_in_one_column(self):
        text = read("Makefile").replace("\\\n", " ")
        targets = {name for line in re.findall(r"^\.PHONY:(.*)$", text, re.M) for name in line.split()} - {"FORCE"}
        self.assertGreater(len(targets), 25)
        lines = self.make("help").splitlines()
        shown = [re.match(r"  make ([a-z0-9-]+)( +)(\S.*)$", line) for line in lines]
        shown = [found for found in shown if found]
        self.assertEqual([found[1] for found in shown], sorted(targets))
        self.assertEqual(len({found.start(3) for found in shown}), 1, "the descriptions are not aligned")
        self.assertNotIn("$(", "\n".join(lines))

    def test_every_target_that_the_documents_name(self):
        targets = {match[1] for match in re.finditer(r"^  make ([a-z0-9-]+)", self.make("help"), re.M)}
        for page in ("README.md", "CONTRIBUTING.md", "docs/ARCHITECTURE.md"):
            for name in re.findall(r"(?:`|sudo )make ([a-z][a-z0-9-]*)", read(page)):
                self.assertIn(name, targets, page)

    def installed(self):
        self.make("install", f"BUILD={BUILD}", f"DESTDIR={self.folder}", "PREFIX=/usr")
        return {os.path.relpath(os.path.join(path, name), self.folder)
                for path, _, names in os.walk(self.folder) for name in names}

    def test_what_the_manuals_name_is_installed(self):
        """A path in docs/ or deploy/ that a manual page names stands below share/smtpsnoop."""
        named = {path.rstrip(".") for page in PAGES
                 for path in re.findall(r"\b((?:docs|deploy)/[\w./-]*\w)", read(page).replace("\\-", "-"))}
        self.assertGreaterEqual(named, {"docs/coverage.md", "docs/sentinel.md", "docs/event.schema.json",
                                        "deploy/examples", "deploy/logrotate", "deploy/systemd"})
        installed = self.installed()
        for path in named:
            self.assertTrue(any(f"{one}/".startswith(f"usr/share/smtpsnoop/{path}/") for one in installed), path)
        for page in PAGES:
            for name, section in re.findall(r"^\.Xr (smtpsnoop\S*) (\d)", read(page), re.M):
                self.assertIn(f"usr/share/man/man{section}/{name}.{section}", installed)
        self.assertIn("usr/sbin/smtpsnoop", installed)
        with open(os.path.join(self.folder, "usr/lib/systemd/system/smtpsnoop.service"), encoding="utf-8") as file:
            self.assertIn("ExecStart=/usr/sbin/smtpsnoop run", file.read())
        self.make("uninstall", f"DESTDIR={self.folder}", "PREFIX=/usr")
        self.assertEqual([names for _, _, names in os.walk(self.folder) if names], [])

    def test_a_second_build_builds_nothing(self):
        self.assertEqual(self.make("all", f"BUILD={BUILD}"), "")

    def test_the_readme_names_every_package(self):
        text = read("Makefile").replace("\\\n", " ")
        table = {word for line in read("README.md").splitlines() if line.startswith("| `make") for word in
                 line.split("|")[2].split()}
        for name in ("BUILD", "QUICK", "TEST", "SCENARIOS", "LONG", "VM", "CHECK", "COMPILERS"):
            packages = re.search(rf"^PACKAGES_{name}\s*:= (.*)$", text, re.M)[1].replace("$(CLANG_PACKAGE)", "clang").split()
            self.assertEqual([one for one in packages if one not in table], [], name)

    # ---- Root in the tree of another user ----

    @unittest.skipIf(os.geteuid() != 0, "needs root")
    def test_root_builds_as_the_owner_of_the_tree(self):
        owner, other = 65534, ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        tree = self.tree()
        for folder in ("include", "user", "tests/bench"):
            shutil.copytree(os.path.join(ROOT, folder), os.path.join(tree, folder))
        os.makedirs(os.path.join(tree, "build-old/sub"))  # as root left it, before it built as the owner
        os.makedirs(os.path.join(tree, "build/user"))
        subprocess.run(["chown", "-R", f"{owner}:{owner}", os.path.join(tree, "user"), os.path.join(tree, "Makefile"),
                        tree], check=True)
        subprocess.run(["chown", "-R", "0:0", os.path.join(tree, "build"), os.path.join(tree, "build-old")], check=True)
        self.make("build/user/base/amount.o", "build/tests/bench/sendcost", cwd=tree)
        made = [path for top in ("build", "build-old") for path, _, _ in os.walk(os.path.join(tree, top))]
        made += [os.path.join(path, name) for top in made for path, _, names in os.walk(top) for name in names]
        self.assertIn(os.path.join(tree, "build/user/base/amount.o"), made)
        self.assertEqual({os.lstat(path).st_uid for path in made}, {owner})
        os.utime(os.path.join(tree, "user/base/amount.c"))
        self.assertIn("amount.c", self.make("build/user/base/amount.o", cwd=tree, prefix=other))
        self.make("clean", cwd=tree, prefix=other)
        self.assertFalse(os.path.exists(os.path.join(tree, "build")))

    # ---- The commit ----

    def tree(self):
        """What git archive makes of the Makefile, in a folder of its own."""
        for name in ("Makefile", ".commit", ".gitattributes"):
            shutil.copy(os.path.join(ROOT, name), self.folder)
        return self.folder

    def commit(self, tree, *words):
        self.make("build/commit.h", *words, cwd=tree)
        with open(os.path.join(tree, "build/commit.h"), encoding="utf-8") as file:
            return re.fullmatch(r'#define COMMIT "([^"]*)"\n', file.read())[1]

    def test_the_commit_of_a_release(self):
        tree = self.tree()
        self.assertEqual(self.commit(tree), "unknown")  # neither git nor a release
        with open(os.path.join(tree, ".commit"), "w", encoding="utf-8") as file:
            file.write("0123456789abcdef0123456789abcdef01234567\n")
        self.assertEqual(self.commit(tree), "0123456789ab")
        self.assertEqual(self.commit(tree, "COMMIT=1.0-2"), "1.0-2")

    def test_the_commit_of_a_clone(self):
        tree = self.tree()
        git = ["git", "-C", tree, "-c", "user.name=x", "-c", "user.email=x@corp.example"]
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
            subprocess.run([*git, *words], check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, stdout=subprocess.PIPE, text=True).stdout[:12]
        self.assertEqual(self.commit(tree), head)
        before = os.stat(os.path.join(tree, "build/commit.h")).st_mtime_ns
        self.assertEqual(self.commit(tree), head)
        self.assertEqual(os.stat(os.path.join(tree, "build/commit.h")).st_mtime_ns, before, "it forces a rebuild")
        with open(os.path.join(tree, "Makefile"), "a", encoding="utf-8") as file:
            file.write("# changed\n")
        self.assertEqual(self.commit(tree), f"{head}-dirty")
        archive = subprocess.run([*git, "archive", "HEAD", ".commit"], check=True, stdout=subprocess.PIPE).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            self.assertEqual(tar.extractfile(".commit").read()[:12], head.encode())

    def test_version_shows_it(self):
        with open(os.path.join(BUILD, "commit.h"), encoding="utf-8") as file:
            commit = file.read().split('"')[1]
        shown = subprocess.run([os.path.join(BUILD, "smtpsnoop"), "version"], check=True, stdout=subprocess.PIPE,
                               text=True).stdout
        self.assertEqual(re.match(r"smtpsnoop \d+\.\d+\.\d+\ncommit: +(\S+)\nbuilt in: +(.*)\nnot built in: +(.*)\n\Z",
                                  shown)[1], commit)
        for name in ("libsystemd", "libyara", "libmicrohttpd"):
            self.assertEqual(shown.count(name), 1, shown)


if __name__ == "__main__":
    unittest.main()
