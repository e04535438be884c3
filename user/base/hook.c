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
#define TLS_PROBED                                                                                 \
	"plaintext of programs whose TLS library cannot be probed (Java, rustls, static programs " \
	"without symbols)"
#define TLS_PROBED_KERNEL                                                                          \
	("plaintext of programs whose TLS library cannot be probed (Java, rustls, static "         \
	 "programs without symbols), and of TLS in the kernel")
#define TLS_LIBRARIES                                                                              \
	"plaintext inside TLS, but for TLS in the kernel (TLS libraries are not probed)"
#define TLS_ALL "plaintext inside TLS (TLS libraries are not probed)"
#define TLS_PAGES                                                                                  \
	("what sendfile and splice hand to TLS in the kernel (this kernel does not tell where "    \
	 "its pages are)")
#define STACKS	   "TCP stacks in user space (packet sockets; of raw sockets, the process)"
#define STACKS_ALL "TCP stacks in user space (raw and packet sockets)"
#define CHANGED	   "pages that change after they were handed over (vmsplice, sendfile, MSG_ZEROCOPY)"
#define OPENER	   "a sender other than the process that connected (no send hook)"
#define REPLIES	   "replies: whether a mail was taken (no wire hook)"
#define PAGES	   "the contents of sendfile, splice and registered buffers of io_uring (no wire hook)"
#define MULTIPATH  "Multipath TCP (no wire hook)"
#define REWRITTEN  "bytes rewritten by another thread during the send (no wire hook)"
#define LATE	   "sessions behind many pieces of junk, or behind what looks like TLS (no wire hook)"
#define BLOCKED	   "sends that end while dozens of others block (kprobes, no wire hook)"

const char *const *hook_blind(const char *blind[HOOK_BLIND_MAX], enum hook hook, bool wire,
			      bool pages, bool tls)
{
	bool functions = hook == HOOK_FENTRY || hook == HOOK_KPROBE;
	const struct {
		bool so;
		const char *what;
	} all[] = {
		{tls && functions, TLS_PROBED},
		{tls && !functions, TLS_PROBED_KERNEL},
		{!tls && functions, TLS_LIBRARIES},
		{!tls && !functions, TLS_ALL},
		{functions && !pages, TLS_PAGES},
		{wire, STACKS},
		{!wire, STACKS_ALL},
		{true, CHANGED},
		{hook == HOOK_NONE, OPENER},
		{!wire, REPLIES},
		{!wire, REWRITTEN},
		{!wire && functions, LATE},
		{!wire && hook == HOOK_KPROBE, BLOCKED},
		{!wire && hook == HOOK_TRACEPOINT, MULTIPATH},
		{!wire && !pages, PAGES},
	};
	size_t count = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].so && count < HOOK_BLIND_MAX - 1)
			blind[count++] = all[i].what;
	}
	blind[count] = NULL;
	return blind;
}
