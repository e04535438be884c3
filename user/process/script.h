/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which script an interpreter was told to run, by its arguments. Pure. */
#ifndef SMTPSNOOP_SCRIPT_H
#define SMTPSNOOP_SCRIPT_H

#include "base/span.h"

/*
 * `args` are NUL-separated, the program's own name first. Returns the argument that names the
 * script; empty if the executable is no interpreter that is known, or runs something else than a
 * file (-c, -m, standard input). The span is that of `args`.
 */
struct span script_of_args(struct span executable, struct span args);

#endif
