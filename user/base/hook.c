/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/hook.h"

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
#define TLS_PAGES                                                                                  \
	("what sendfile and splice hand to TLS in the kernel (this kernel does not tell where "    \
	 "its pages are)")
#define TLS_ALL	   "plaintext inside TLS"
#define STACKS	   "TCP stacks in user space (packet sockets; of raw sockets, the process)"
#define STACKS_ALL "TCP stacks in user space (raw and packet sockets)"
#define CHANGED	   "pages that change after they were handed over (vmsplice, sendfile, MSG_ZEROCOPY)"
#define REPLIES	   "replies: whether a mail was taken (no wire hook)"
#define PAGES	   "the contents of sendfile, splice and registered buffers of io_uring (no wire hook)"
#define MULTIPATH  "Multipath TCP (no wire hook)"
#define REWRITTEN  "bytes rewritten by another thread during the send (no wire hook)"
#define LATE	   "sessions behind many pieces of junk, or behind what looks like TLS (no wire hook)"
#define BLOCKED	   "sends that end while dozens of others block (kprobes, no wire hook)"

const char *const *hook_blind(enum hook hook, bool wire, bool pages)
{
	static const char *const functions_with_wire[] = {TLS_LIBRARIES, STACKS, CHANGED, NULL};
	static const char *const functions_with_wire_no_pages[] = {TLS_LIBRARIES, TLS_PAGES, STACKS,
								   CHANGED, NULL};
	static const char *const tracepoints_with_wire[] = {TLS_ALL, STACKS, CHANGED, NULL};
	static const char *const wire_alone[] = {
		TLS_ALL, STACKS, CHANGED,
		"a sender other than the process that connected (no send hook)", NULL};
	static const char *const fentry_alone[] = {TLS_LIBRARIES, STACKS_ALL, CHANGED, REPLIES,
						   REWRITTEN,	  LATE,	      NULL};
	static const char *const fentry_alone_no_pages[] = {TLS_LIBRARIES, TLS_PAGES, STACKS_ALL,
							    CHANGED,	   REPLIES,   REWRITTEN,
							    LATE,	   PAGES,     NULL};
	static const char *const kprobe_alone[] = {TLS_LIBRARIES, STACKS_ALL, CHANGED, REPLIES,
						   REWRITTEN,	  LATE,	      BLOCKED, NULL};
	static const char *const kprobe_alone_no_pages[] = {TLS_LIBRARIES, TLS_PAGES, STACKS_ALL,
							    CHANGED,	   REPLIES,   REWRITTEN,
							    LATE,	   BLOCKED,   PAGES,
							    NULL};
	static const char *const tracepoints_alone[] = {TLS_ALL,   STACKS_ALL, CHANGED,	  REPLIES,
							REWRITTEN, LATE,       MULTIPATH, NULL};
	static const char *const tracepoints_alone_no_pages[] = {TLS_ALL,   STACKS_ALL, CHANGED,
								 REPLIES,   REWRITTEN,	LATE,
								 MULTIPATH, PAGES,	NULL};

	if (hook == HOOK_NONE)
		return wire_alone;
	if (hook == HOOK_TRACEPOINT && wire)
		return tracepoints_with_wire;
	if (hook == HOOK_TRACEPOINT)
		return pages ? tracepoints_alone : tracepoints_alone_no_pages;
	if (wire)
		return pages ? functions_with_wire : functions_with_wire_no_pages;
	if (hook == HOOK_KPROBE)
		return pages ? kprobe_alone : kprobe_alone_no_pages;
	return pages ? fentry_alone : fentry_alone_no_pages;
}
