/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which script an interpreter runs, by its arguments. Pure. */
#ifndef SMTPSNOOP_SCRIPT_H
#define SMTPSNOOP_SCRIPT_H

#include "base/span.h"

enum script_kind {
	SCRIPT_NONE,	 /* it runs no file, or it cannot be told which one */
	SCRIPT_FILE,	 /* `name` is a path */
	SCRIPT_SEARCHED, /* `name` is looked up in PATH */
	SCRIPT_URL,	 /* `name` is a URL */
	SCRIPT_MODULE,	 /* `name` is a module, as of python -m */
	SCRIPT_BEHIND,	 /* the arguments end before the script */
};

/* The spans point into the arguments. */
struct script {
	enum script_kind kind;
	struct span name;
	struct span folder; /* what `name` is relative to; itself relative to the directory */
};

/*
 * `args` are NUL-separated, the program's own name first. `executable` is the path of the file that
 * was executed: it chooses the grammar. The program's own name, which its caller makes up, counts
 * only where the program itself goes by it (BusyBox).
 */
struct script script_of_args(struct span executable, struct span args);

#endif
