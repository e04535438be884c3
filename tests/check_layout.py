# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks the layout of the code: the order of includes, circles of calls, and the length of files.

    check_layout.py BUILD

1. Each folder of user/ includes only from itself and from the folders before it in ORDER.
2. No two source files of user/ use each other's functions, directly or in a circle. The object files in BUILD tell who
   uses what, so build first.
3. A file over 600 lines says why near its top ("Over 600 lines: ...").

Prints one line for each fault. Exit status: 0 no fault, 1 some, 2 BUILD has no object files.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ORDER = ("base", "process", "mail", "smtp", "flow", "event", "policy", "config", "format", "output", "probe", "capture", "watch",
         "attack", "commands", "daemon", "main.c")
LINES_MAX = 600
TOP = 30  # lines at the beginning of a file in which a long one must say why
CODE = (".c", ".h", ".py", ".js", ".sh")


def sources():
    """Every file of code that is under version control or about to be."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                            stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [path for path in listed if path.endswith(CODE) and os.path.exists(os.path.join(ROOT, path))]


def lines_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read().splitlines()


def rank(path):
    """The place in ORDER of a path below user/; None: the folder is not in the list."""
    first = path.split("/")[0]
    return ORDER.index(first) if first in ORDER else None


def includes_of(path):
    """Line number and path below user/ of each file of user/ that a file includes."""
    for number, line in enumerate(lines_of(path), 1):
        found = re.match(r'#include "([\w/]+\.h)"', line)
        if found and os.path.exists(os.path.join(ROOT, "user", found[1])):
            yield number, found[1]


def wrong_way(paths):
    """Includes that point at a later folder, and folders that have no place."""
    for path in paths:
        here = rank(path.removeprefix("user/"))
        if here is None:
            yield f"{path}: its folder is not in ORDER of tests/check_layout.py"
            continue
        for number, included in includes_of(path):
            there = rank(included)
            if there is None or there > here:
                yield (f"{path}:{number}: includes {included}, but {ORDER[here]} comes before {included.split('/')[0]}: "
                       "move what is needed to an earlier folder")


def symbols_of(path):
    """The global symbols that an object file defines, and those that it uses."""
    listed = subprocess.run(["nm", "-P", "-g", path], check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return {row[0] for row in rows if row[1] not in "Uw"}, {row[0] for row in rows if row[1] in "Uw"}


def uses(build):
    """For each source file of user/, without its ending: the other ones whose symbols it uses."""
    folder = os.path.join(build, "user")
    objects = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if name.endswith(".o")]
    symbols = {os.path.relpath(path, folder)[:-2]: symbols_of(path) for path in sorted(objects)}
    # An object file of a source that is gone stays in BUILD.
    symbols = {name: pair for name, pair in symbols.items() if os.path.exists(os.path.join(ROOT, "user", name + ".c"))}
    home = {symbol: name for name, (defined, _) in symbols.items() for symbol in defined}
    return {name: {home[symbol] for symbol in used if home.get(symbol, name) != name}
            for name, (_, used) in symbols.items()}


def circles(graph):
    """Each circle of files that use each other, once."""
    done = set()

    def visit(name, trail):
        if name in trail:
            yield trail[trail.index(name):] + [name]
        elif name not in done:
            for following in sorted(graph[name]):
                yield from visit(following, trail + [name])
            done.add(name)

    for name in sorted(graph):
        for circle in visit(name, []):
            yield "files of user/ use each other in a circle: " + " -> ".join(circle)


def too_long(paths):
    for path in paths:
        lines = lines_of(path)
        if len(lines) > LINES_MAX and not any("Over 600 lines:" in line for line in lines[:TOP]):
            yield f"{path}: {len(lines)} lines: split it by subject, or say at its top why not ('Over 600 lines: ...')"


def main():
    graph = uses(sys.argv[1])
    if not graph:
        print(f"{sys.argv[1]}: no object files below user/: run make first")
        return 2
    paths = sources()
    user = [path for path in paths if path.startswith("user/")]
    faults = [*wrong_way(user), *circles(graph), *too_long(paths)]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
