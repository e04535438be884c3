# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Reads events, a JSON object a line, on standard input and holds each against docs/event.schema.json. Exit
status: 0 all are valid, 1 some are not (the first ten complaints are printed), 2 there was nothing to read."""

import json
import os
import sys

import jsonschema

SCHEMA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs/event.schema.json")


def main():
    with open(SCHEMA, encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    lines = complaints = 0
    for lines, line in enumerate(sys.stdin.buffer, 1):
        for error in validator.iter_errors(json.loads(line)):
            complaints += 1
            if complaints <= 10:
                where = ".".join(map(str, error.absolute_path))
                print(f"line {lines}: {where}: {error.message[:300]}")
    return 2 if not lines else 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
