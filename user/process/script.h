/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which script an interpreter runs, by its arguments. Pure. */
#ifndef SMTPSNOOP_SCRIPT_H
#define SMTPSNOOP_SCRIPT_H

#include "base/span.h"

/*
 * `args` are NUL-separated, the program's own name first. Returns the argument that names the
 * script. Returns an empty span if the executable is not a known interpreter, or if it does not run
 * a file (-c, -m, standard input). The span points into `args`.
 */
struct span script_of_args(struct span executable, struct span args);

#endif
