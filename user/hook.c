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

const char *const *hook_blind(enum hook hook, bool wire)
{
	static const char *const with_wire[] = {
		"plaintext inside TLS",
		"TCP stacks in user space (raw and packet sockets)",
		NULL,
	};
	static const char *const wire_alone[] = {
		"plaintext inside TLS",
		"TCP stacks in user space (raw and packet sockets)",
		"a sender other than the process that connected (no send hook)",
		NULL,
	};
	static const char *const send_alone[] = {
		"plaintext inside TLS",
		"TCP stacks in user space (raw and packet sockets)",
		"replies: whether a mail was taken (no wire hook)",
		"the contents of sendfile and splice (no wire hook)",
		"TCP Fast Open and Multipath TCP (no wire hook)",
		"bytes rewritten by another thread during the send (no wire hook)",
		NULL,
	};

	if (!wire)
		return send_alone;
	return hook == HOOK_NONE ? wire_alone : with_wire;
}
