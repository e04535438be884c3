/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loading the whole object takes the verifier half a second, also if the kernel then refuses to
 * attach it. So each family is tried with a program that does nothing. A refusal costs 5 to 13 ms.
 */
#include "capture/family.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#define FUNCTION    "tcp_sendmsg_locked" /* every family hooks it */
#define KPROBE_TYPE "/sys/bus/event_source/devices/kprobe/type"

/* return 0 */
static const struct bpf_insn nothing[] = {
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
	{.code = BPF_JMP | BPF_EXIT},
};

#define NOTHING_LEN (sizeof(nothing) / sizeof(nothing[0]))

static int fentry_try(const struct btf *kernel, const char **step)
{
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_TRACING,
			       .expected_attach_type = BPF_TRACE_FENTRY,
			       .insns = (uint64_t)(uintptr_t)nothing,
			       .insn_cnt = NOTHING_LEN,
			       .license = (uint64_t)(uintptr_t) "GPL"};
	int type = btf__find_by_name_kind(kernel, FUNCTION, BTF_KIND_FUNC), program, link;

	*step = "find " FUNCTION "()";
	if (type < 0)
		return -ENOENT;
	load.attach_btf_id = (__u32)type;
	*step = "load an fentry program";
	/* libbpf's function for this differs between 0.3 and 0.6 */
	program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	if (program < 0)
		return -errno;
	*step = "attach an fentry program";
	link = bpf_raw_tracepoint_open(NULL, program);
	if (link < 0)
		link = -errno;
	else
		close(link);
	close(program);
	return link < 0 ? link : 0;
}

/*
 * The kprobe alone, without a program. Before 4.17, and where perf has no kprobes, tracefs makes
 * them: whether it does is left to the real attempt.
 */
static int kprobe_try(const char **step)
{
	struct perf_event_attr attributes = {.size = sizeof(attributes),
					     .config1 = (uint64_t)(uintptr_t)FUNCTION};
	FILE *file = fopen(KPROBE_TYPE, "re");
	long event;

	*step = "attach a kprobe";
	if (!file)
		return access("/sys/kernel/tracing/kprobe_events", F_OK) &&
				       access("/sys/kernel/debug/tracing/kprobe_events", F_OK)
			       ? -ENOENT
			       : 0;
	if (fscanf(file, "%u", &attributes.type) != 1)
		attributes.type = 0;
	fclose(file);
	if (!attributes.type)
		return 0;
	event = syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (event < 0)
		return -errno;
	close((int)event);
	return 0;
}

int family_try(enum hook hook, const struct btf *kernel, const char **step)
{
	*step = "";
	if (hook == HOOK_FENTRY)
		return fentry_try(kernel, step);
	if (hook == HOOK_KPROBE)
		return kprobe_try(step);
	return 0;
}
