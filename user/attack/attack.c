/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of attacks, and how one is run: in a child that leads its own process group, so that
 * everything it leaves behind can be ended, and with a time limit, so that none delays the others.
 */
#include "attack/attack.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attack/scenarios.h"
#include "attack/ways.h"

#define STEP_MS 5

/* ---- Sessions by one way of sending ---------------------------------------------------------- */

#define BODY_LONG 300000U

/*
 * run() for a way: as a dialogue, in one piece after the greeting, or in one piece with a long
 * message.
 */
#define BY_DIALOGUE(name)                                                                          \
	static enum attack_status dialogue_##name(const struct attack_target *target)              \
	{                                                                                          \
		return attack_dialogue(target, attack_connect(target->server.port), way_##name);   \
	}
#define AT_ONCE(name, size)                                                                        \
	static enum attack_status once_##name(const struct attack_target *target)                  \
	{                                                                                          \
		return attack_at_once(target, attack_connect(target->server.port), way_##name,     \
				      size);                                                       \
	}

static int way_send(int fd, const char *data, size_t len)
{
	return attack_send(fd, data, len);
}

BY_DIALOGUE(send)
AT_ONCE(send, 0)
BY_DIALOGUE(write)
BY_DIALOGUE(sendto)
BY_DIALOGUE(sendmsg)
AT_ONCE(sendmmsg, 0)
AT_ONCE(writev_tiny, 0)
BY_DIALOGUE(writev_empty)
AT_ONCE(bytes, 0)
AT_ONCE(split, 0)
AT_ONCE(partial, BODY_LONG)
AT_ONCE(more, 0)
AT_ONCE(cork, 0)
BY_DIALOGUE(zerocopy)
BY_DIALOGUE(sendfile)
BY_DIALOGUE(splice_pipe)
BY_DIALOGUE(splice_file)
BY_DIALOGUE(vmsplice)
BY_DIALOGUE(tee)
BY_DIALOGUE(uring_send)
BY_DIALOGUE(uring_sendmsg)
BY_DIALOGUE(uring_fixed)
BY_DIALOGUE(uring_polled)
BY_DIALOGUE(uring_zerocopy)
BY_DIALOGUE(uring_splice)
BY_DIALOGUE(uring_zerocopy_fixed)
BY_DIALOGUE(device)
AT_ONCE(cold, 0)
AT_ONCE(hole, 0)
AT_ONCE(huge, 0)

const struct attack attacks[] = {
	{"send", "send(), a dialogue", dialogue_send},
	{"send-at-once", "send(), the whole session in one call", once_send},
	{"write", "write()", dialogue_write},
	{"sendto", "sendto() without an address", dialogue_sendto},
	{"sendmsg", "sendmsg() of several pieces, an empty one too", dialogue_sendmsg},
	{"sendmmsg", "sendmmsg() of many small messages", once_sendmmsg},
	{"writev-tiny", "writev() of up to 1,000 tiny and empty pieces", once_writev_tiny},
	{"writev-empty", "writev() of 899 empty pieces before the text", dialogue_writev_empty},
	{"bytes", "one byte per send", once_bytes},
	{"split", "three bytes per send: no verb in one piece", once_split},
	{"partial", "non-blocking sends that are accepted in part", once_partial},
	{"more", "MSG_MORE", once_more},
	{"cork", "TCP_CORK", once_cork},
	{"zerocopy", "MSG_ZEROCOPY", dialogue_zerocopy},
	{"sendfile", "sendfile()", dialogue_sendfile},
	{"splice-pipe", "splice() from a pipe", dialogue_splice_pipe},
	{"splice-file", "splice() from a file", dialogue_splice_file},
	{"vmsplice", "vmsplice() and splice()", dialogue_vmsplice},
	{"tee", "tee() and splice()", dialogue_tee},
	{"uring-send", "io_uring: send", dialogue_uring_send},
	{"uring-sendmsg", "io_uring: sendmsg", dialogue_uring_sendmsg},
	{"uring-fixed", "io_uring: write from a registered buffer", dialogue_uring_fixed},
	{"uring-polled", "io_uring: send by a polling kernel thread", dialogue_uring_polled},
	{"uring-zerocopy", "io_uring: zero-copy send", dialogue_uring_zerocopy},
	{"uring-zerocopy-fixed", "io_uring: zero-copy send of a registered buffer",
	 dialogue_uring_zerocopy_fixed},
	{"uring-splice", "io_uring: splice", dialogue_uring_splice},
	{"fastopen", "TCP Fast Open: data in the SYN", run_fastopen},
	{"fastopen-connect", "TCP_FASTOPEN_CONNECT", run_fastopen_connect},
	{"mptcp", "Multipath TCP", run_mptcp},
	{"smc", "SMC that falls back to TCP", run_smc},
	{"ktls", "TLS in the kernel (kTLS): the plaintext", run_ktls},
	{"ktls-sendfile", "TLS in the kernel: the plaintext of sendfile()", run_ktls_sendfile},
	{"ipv6", "IPv6", run_inet6},
	{"scoped", "IPv6, a link-local address", run_scoped},
	{"ipv4-mapped", "IPv4 over an IPv6 socket", run_mapped},
	{"encapsulated", "in packets that the route encapsulates (SRv6)", run_encapsulated},
	{"netns", "in a network namespace of its own", run_netns},
	{"container", "in user, pid, mount and network namespaces", run_container},
	{"inherited", "inherited: a child sends, then ends at once", run_inherited},
	{"exec", "inherited over exec: another program sends", run_exec},
	{"setuid", "the user changes between connect and send", run_setuid},
	{"passed", "passed on; the process that connected has ended", run_passed},
	{"fetched", "fetched from the connecting process (pidfd_getfd)", run_fetched},
	{"turns", "two processes take turns on one connection", run_turns},
	{"thread", "a thread with another name sends", run_thread},
	{"older", "on a connection older than the watch", run_older},
	{"accepted", "a client on a connection that was accepted", run_accepted},
	{"junk", "junk in front of the verb in every send", run_junk},
	{"pieces", "junk byte by byte, then no send begins with a verb", run_pieces},
	{"fake-tls", "a line like TLS, then no send begins with a verb", run_fake_tls},
	{"proxy-answer", "greeting behind a proxy's answer, then NOOP and junk", run_proxy_answer},
	{"greeting-pieces", "replies in segments of two bytes, NOOP and junk", run_greeting_pieces},
	{"greeting-blank", "greeting behind a blank line, then NOOP and junk", run_greeting_blank},
	{"echo", "the server echoes the client's EHLO", run_echo},
	{"early", "NOOP, junk and the mail before the greeting", run_early},
	{"repair", "the connection is moved to another socket (repair)", run_repair},
	{"urgent", "a byte of urgent data in each verb", run_urgent},
	{"cold", "from file pages that nobody has touched yet", once_cold},
	{"hole", "from behind a hole in a file, across a page boundary", once_hole},
	{"huge", "from a huge page", once_huge},
	{"device", "from memory that a driver maps (io_uring's)", dialogue_device},
	{"rewritten", "another thread keeps rewriting the bytes", run_rewritten},
	{"unmapped", "another thread unmaps them during the call", run_unmapped},
	{"userfault", "from a page that user space supplies (userfaultfd)", run_userfault},
	{"changed-later", "a page changes after it was sent (vmsplice)", run_changed_later},
	{"blocked", "while dozens of other sends block", run_blocked},
	{"raw-socket", "TCP in user space over a raw socket", run_raw_socket},
	{"packet-socket", "TCP in user space over a packet socket", run_packet_socket},
	{"tls-starttls", "TLS by libssl, after STARTTLS", run_tls_starttls},
	{"tls-smtps", "TLS by libssl from the first byte, on any port", run_tls_smtps},
	{"tls-memory-bio", "TLS into memory, which the program itself sends", run_tls_memory_bio},
	{"tls-reused-object", "TLS: one object for a second connection", run_tls_reused_object},
	{"tls-server-object", "TLS: the mail's client is TLS's server", run_tls_server_object},
	{"tls-forged-object", "TLS: an object with another process's random",
	 run_tls_forged_object},
	{"tls-library-copy", "TLS by a copy of libssl under another name", run_tls_library_copy},
	{"tls-many-libraries", "TLS by the last of several copies", run_tls_many_libraries},
	{"tls-forged-symbols", "TLS by a libssl whose symbols lie", run_tls_forged_symbols},
	{ATTACK_CHANNEL, "no mail: data in the arguments of VRFY, no HELO", run_channel},
};

const size_t attack_count = sizeof(attacks) / sizeof(attacks[0]);

/* ---- Running one ----------------------------------------------------------------------------- */

enum attack_status attack_run(const struct attack *attack, const struct attack_target *target)
{
	int state = 0, left_ms = (int)(ATTACK_LIMIT_S * 1000U);
	pid_t child = fork();

	if (child == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		target->shared->sender_pid = getpid();
		_exit((int)attack->run(target));
	}
	if (child < 0)
		return attack_failed(target, "cannot fork");
	setpgid(child, child);
	while (waitpid(child, &state, WNOHANG) == 0 && left_ms > 0) {
		poll(NULL, 0, STEP_MS);
		left_ms -= STEP_MS;
	}
	errno = 0;
	kill(-child, SIGKILL); /* the processes it left behind, or the child itself */
	errno = 0;
	if (left_ms <= 0) {
		waitpid(child, &state, 0);
		return attack_failed(target, "it took longer than 10 s");
	}
	if (!WIFEXITED(state))
		return attack_failed(target, "it crashed");
	return (enum attack_status)WEXITSTATUS(state);
}
