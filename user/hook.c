/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "hook.h"

#include <stddef.h>
#include <string.h>

static const char *const hook_names[HOOK_COUNT] = {
	[HOOK_AUTO] = "auto",	  [HOOK_FENTRY] = "fentry",
	[HOOK_KPROBE] = "kprobe", [HOOK_TRACEPOINT] = "tracepoint",
	[HOOK_NONE] = "none",
};

const char *hook_name(enum hook hook)
{
	return hook_names[hook];
}

bool hook_parse(const char *name, enum hook *hook)
{
	for (int i = 0; i < HOOK_NONE; i++) {
		if (strcmp(name, hook_names[i]) == 0) {
			*hook = (enum hook)i;
			return true;
		}
	}
	return false;
}

/* docs/coverage.md has the same in full, class by class. */
#define TLS_LIBRARIES "plaintext inside TLS, but for TLS in the kernel"
#define TLS_ALL	      "plaintext inside TLS"
#define STACKS	      "TCP stacks in user space (packet sockets; of raw sockets, the process)"
#define STACKS_ALL    "TCP stacks in user space (raw and packet sockets)"
#define REPLIES	      "replies: whether a mail was taken (no wire hook)"
#define PAGES	      "the contents of sendfile, splice and registered buffers of io_uring (no wire hook)"
#define MULTIPATH     "Multipath TCP (no wire hook)"
#define REWRITTEN     "bytes rewritten by another thread during the send (no wire hook)"

const char *const *hook_blind(enum hook hook, bool wire)
{
	static const char *const functions_with_wire[] = {TLS_LIBRARIES, STACKS, NULL};
	static const char *const tracepoints_with_wire[] = {TLS_ALL, STACKS, NULL};
	static const char *const wire_alone[] = {
		TLS_ALL, STACKS, "a sender other than the process that connected (no send hook)", NULL};
	static const char *const functions_alone[] = {TLS_LIBRARIES, STACKS_ALL, REPLIES, PAGES,
						      MULTIPATH,     REWRITTEN,	 NULL};
	static const char *const tracepoints_alone[] = {TLS_ALL,   STACKS_ALL, REPLIES, PAGES,
							MULTIPATH, REWRITTEN,  NULL};

	if (hook == HOOK_NONE)
		return wire_alone;
	if (hook == HOOK_TRACEPOINT)
		return wire ? tracepoints_with_wire : tracepoints_alone;
	return wire ? functions_with_wire : functions_alone;
}
