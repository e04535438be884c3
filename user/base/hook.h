/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The families of hooks: their names, and what each cannot see. */
#ifndef SMTPSNOOP_HOOK_H
#define SMTPSNOOP_HOOK_H

#include <stdbool.h>

enum hook {
	HOOK_AUTO, /* the first of these that works */
	HOOK_FENTRY,
	HOOK_KPROBE,
	HOOK_TRACEPOINT,
	/* No send hook: the wire hook alone; the process that connected counts as the sender */
	HOOK_NONE,
	HOOK_COUNT,
};

/* "auto", "fentry", ...; a static string. */
const char *hook_name(enum hook hook);

/* The hook with this name; false if there is none. */
bool hook_parse(const char *name, enum hook *hook);

#define HOOK_BLIND_MAX 12U /* with the NULL at the end */

/*
 * What these hooks cannot see, one line each: static strings in `blind`, which is returned,
 * NULL-terminated. `pages`: capture_pages(); `tls`: capture_tls().
 */
const char *const *hook_blind(const char *blind[HOOK_BLIND_MAX], enum hook hook, bool wire,
			      bool pages, bool tls);

#endif
