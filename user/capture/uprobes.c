/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation. Two ways lead to a probe in a file. A link of the kind uprobe_multi (Linux
 * 6.6) takes one program and any number of offsets. Before that, each probe is a perf event of its
 * own type, to which the program is attached. Which way works is found by trying.
 *
 * The kernel wants a path. It gets /proc/self/fd/N: that leads to the open file whatever its path
 * is, also if it was deleted or belongs to another mount namespace.
 *
 * The bytes under a probe are read first, so that their page is in memory: the kernel patches it in
 * the memory of processes, also while one is in exec(), and should not have to wait for the disk.
 */
#include "capture/uprobes.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UPROBE_DEVICE "/sys/bus/event_source/devices/uprobe/"

/* Names that older headers lack. */
#define TRACE_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI */
#define MULTI_RETURN	   1U /* BPF_F_UPROBE_MULTI_RETURN */

/* The part of union bpf_attr that BPF_LINK_CREATE reads for uprobe_multi. */
struct multi_link {
	__u32 program;
	__u32 target;
	__u32 attach_type;
	__u32 flags;
	__aligned_u64 path;
	__aligned_u64 offsets;
	__aligned_u64 ref_ctr_offsets;
	__aligned_u64 cookies;
	__u32 count;
	__u32 multi_flags;
	__u32 pid; /* 0: all processes */
	__u32 pad;
};

/* ---- The two ways ---------------------------------------------------------------------------- */

/* A descriptor of the link, or a negative errno. */
static int multi_link(int program, const char *path, const uint64_t *offsets, uint32_t count,
		      bool returns)
{
	struct multi_link link = {.program = (__u32)program,
				  .attach_type = TRACE_UPROBE_MULTI,
				  .path = (uintptr_t)path,
				  .offsets = (uintptr_t)offsets,
				  .count = count,
				  .multi_flags = returns ? MULTI_RETURN : 0};
	int fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof(link));

	return fd < 0 ? -errno : fd;
}

/* The number in a file below UPROBE_DEVICE ("8", "config:0"); a negative errno. */
static int device_number(const char *name)
{
	char path[96], text[32] = "";
	const char *digits = "0123456789";
	FILE *file;

	snprintf(path, sizeof(path), UPROBE_DEVICE "%s", name);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	return text[strcspn(text, digits)] ? atoi(text + strcspn(text, digits)) : -EBADMSG;
}

/* The perf event of one probe; a negative errno. */
static int perf_event(const char *path, uint64_t offset, bool returns)
{
	struct perf_event_attr attributes = {.size = sizeof(attributes),
					     .config1 = (uintptr_t)path,
					     .config2 = offset};
	int type = device_number("type");
	int bit = device_number("format/retprobe");
	long fd;

	if (type < 0 || bit < 0 || bit > 63)
		return type < 0 ? type : -EBADMSG;
	attributes.type = (__u32)type;
	attributes.config = returns ? 1ULL << bit : 0;
	/* one processor must be named, but the program runs on all */
	fd = syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

/* A descriptor that holds the probe, or a negative errno. */
static int perf_probe(int program, const char *path, uint64_t offset, bool returns)
{
	int fd = perf_event(path, offset, returns), error = 0;

	if (fd < 0)
		return fd;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) || ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))
		error = -errno;
	if (error)
		close(fd);
	return error ? error : fd;
}

/* ---- Which way works ------------------------------------------------------------------------- */

/* A program that does nothing; a negative errno. */
static int nothing_load(void)
{
	static const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_KPROBE,
			       .expected_attach_type = TRACE_UPROBE_MULTI,
			       .insns = (uintptr_t)nothing,
			       .insn_cnt = sizeof(nothing) / sizeof(nothing[0]),
			       .license = (uintptr_t) "GPL"};
	int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));

	return fd < 0 ? -errno : fd;
}

/*
 * Attaching to a directory: a kernel that has these links gets as far as to find that it is no
 * file. A real probe would cost 50 ms to remove.
 */
static bool multi_works(void)
{
	const uint64_t offset = 1;
	int program = nothing_load(), link;

	if (program < 0)
		return false;
	link = multi_link(program, "/", &offset, 1, false);
	close(program);
	if (link >= 0)
		close(link);
	return link == -EBADF;
}

enum uprobes_kind uprobes_kind(void)
{
	if (multi_works())
		return UPROBES_MULTI;
	return device_number("type") >= 0 ? UPROBES_PERF : UPROBES_NONE;
}

const char *uprobes_kind_name(enum uprobes_kind kind)
{
	return kind == UPROBES_MULTI  ? "uprobe_multi links"
	       : kind == UPROBES_PERF ? "perf events"
				      : "none";
}

uint32_t uprobes_attach_type(enum uprobes_kind kind)
{
	return kind == UPROBES_MULTI ? TRACE_UPROBE_MULTI : 0;
}

/* ---- Attaching a plan ------------------------------------------------------------------------ */

/* One attempt: what is attached so far, and where. */
struct attempt {
	struct uprobes *uprobes;
	const struct plan *plan;
	const struct uprobes_programs *programs;
	char path[32];
	enum uprobes_kind kind;
};

/* Keeps a descriptor. An error passes through. */
static int keep(struct attempt *attempt, int fd)
{
	if (fd < 0)
		return fd;
	attempt->uprobes->fds[attempt->uprobes->count++] = fd;
	return 0;
}

/* Attaches one program to these places. */
static int attach_program(struct attempt *attempt, int program, const uint64_t *offsets,
			  uint32_t count, bool returns)
{
	int error = 0;

	if (program < 0)
		return program;
	if (attempt->kind == UPROBES_MULTI)
		return keep(attempt, multi_link(program, attempt->path, offsets, count, returns));
	for (uint32_t i = 0; i < count && !error; i++)
		error = keep(attempt, perf_probe(program, attempt->path, offsets[i], returns));
	return error;
}

/* Attaches the return program wherever one belongs. Two sites may share a place. */
static int attach_returns(struct attempt *attempt)
{
	uint64_t offsets[PLAN_SITES_MAX];
	uint32_t count = 0;

	for (uint32_t i = 0; i < attempt->plan->site_count; i++) {
		const struct site *site = &attempt->plan->sites[i];
		uint32_t known = 0;

		while (known < count && offsets[known] != site->offset)
			known++;
		if (site->returns && known == count)
			offsets[count++] = site->offset;
	}
	if (!count)
		return 0;
	return attach_program(attempt,
			      attempt->programs->return_program(attempt->programs->context),
			      offsets, count, true);
}

/* Attaches the program of one kind of call to all of its sites. */
static int attach_entries(struct attempt *attempt, enum tls_probe probe)
{
	uint64_t offsets[PLAN_SITES_MAX];
	uint32_t count = 0;

	for (uint32_t i = 0; i < attempt->plan->site_count; i++) {
		if (attempt->plan->sites[i].probe == probe)
			offsets[count++] = attempt->plan->sites[i].offset;
	}
	if (!count)
		return 0;
	return attach_program(attempt,
			      attempt->programs->program(attempt->programs->context, probe),
			      offsets, count, false);
}

static int plan_check(const struct plan *plan)
{
	if (!plan->site_count || plan->site_count > PLAN_SITES_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < plan->site_count; i++) {
		if (plan->sites[i].probe >= TLS_PROBE_MAX)
			return -EINVAL;
	}
	return 0;
}

static int read_places(int fd, const struct plan *plan)
{
	char byte;

	for (uint32_t i = 0; i < plan->site_count; i++) {
		ssize_t n = pread(fd, &byte, 1, (off_t)plan->sites[i].offset);

		if (n != 1)
			return n < 0 ? -errno : -ENODATA;
	}
	return 0;
}

int uprobes_attach(struct uprobes *uprobes, enum uprobes_kind kind, int fd, const struct plan *plan,
		   const struct uprobes_programs *programs, struct closer *closer)
{
	struct attempt attempt = {.uprobes = uprobes,
				  .plan = plan,
				  .programs = programs,
				  .kind = kind};
	int error = plan_check(plan);

	*uprobes = (struct uprobes){};
	if (kind == UPROBES_NONE)
		return -EOPNOTSUPP;
	snprintf(attempt.path, sizeof(attempt.path), "/proc/self/fd/%d", fd);
	error = error ? error : read_places(fd, plan);
	error = error ? error : attach_returns(&attempt);
	for (int probe = 0; probe < TLS_PROBE_MAX && !error; probe++)
		error = attach_entries(&attempt, (enum tls_probe)probe);
	if (error)
		uprobes_detach(uprobes, closer);
	return error;
}

/* Entries go first, because the closer takes the last ones first. */
void uprobes_detach(struct uprobes *uprobes, struct closer *closer)
{
	closer_add(closer, uprobes->fds, uprobes->count);
	uprobes->count = 0;
}
