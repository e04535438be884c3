/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds and attaches libraries as a watch does, with two programs that only count, and plans that
 * the test has made: "libraries SIZE:WRITE:READ...": a file of that size is a library, with
 * its functions at these offsets. Without plans: real libraries. Commands on standard input, an
 * answer of one line to each:
 *
 *   hits       entries and returns until now
 *   list       "PATH ATTACHED MAPPED DARK|-;" for each library
 *   counts     attached dark examined refused detached not_examined
 *   until N    waits until N libraries are attached; the time (CLOCK_MONOTONIC, ns)
 *   settle     waits until all processes were looked at
 *
 * At the end of the input everything is detached, and the time that took is written in ms.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture/libraries.h"
#include "capture/uprobes.h"

#define PLANS_MAX 8
#define UNTIL_NS  20000000000ULL

static struct {
	unsigned long size, write, read;
} plans[PLANS_MAX];
static size_t plan_count;
static int map, entry, leave;

static int bpf(int command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

/* Adds 1 to the number at `key` of the map. */
static int counting_program(int key, uint32_t type)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = key},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = 1,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
		{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 2},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = 1},
		{.code = BPF_STX | BPF_DW | 0xc0, .dst_reg = 0, .src_reg = 1, .imm = BPF_ADD},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	static char log[4096];
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_KPROBE,
			       .expected_attach_type = type,
			       .insns = (uintptr_t)code,
			       .insn_cnt = sizeof(code) / sizeof(code[0]),
			       .license = (uintptr_t) "GPL",
			       .log_buf = (uintptr_t)log,
			       .log_size = sizeof(log),
			       .log_level = 1};
	int fd = bpf(BPF_PROG_LOAD, &load);

	if (fd < 0)
		fprintf(stderr, "load: %s\n%s", strerror(errno), log);
	return fd;
}

static unsigned long long count_at(int key)
{
	uint64_t value = 0;
	union bpf_attr lookup = {.map_fd = (uint32_t)map,
				 .key = (uintptr_t)&key,
				 .value = (uintptr_t)&value};

	bpf(BPF_MAP_LOOKUP_ELEM, &lookup);
	return value;
}

static int program(void *context, enum tls_probe probe)
{
	(void)context;
	(void)probe;
	return entry;
}

static int return_program(void *context)
{
	(void)context;
	return leave;
}

static int layout(void *context, enum tls_layer layer, const struct tls_layout *layouts,
		  uint32_t count)
{
	(void)context;
	(void)layer;
	(void)layouts;
	(void)count;
	return 0;
}

static int plan_of(int fd, struct plan *plan)
{
	struct stat st;

	if (!plan_count)
		return plan_make(fd, plan);
	*plan = (struct plan){};
	if (fstat(fd, &st))
		return -errno;
	for (size_t i = 0; i < plan_count; i++) {
		if ((unsigned long)st.st_size != plans[i].size)
			continue;
		plan->layer = TLS_OPENSSL;
		plan->site_count = 2;
		plan->sites[0] = (struct site){.probe = TLS_PROBE_OPENSSL_WRITE_EX,
					       .offset = plans[i].write,
					       .returns = true};
		plan->sites[1] = (struct site){.probe = TLS_PROBE_OPENSSL_READ_EX,
					       .offset = plans[i].read,
					       .returns = true};
	}
	return 0;
}

static void list(struct libraries *libraries)
{
	static struct library_state states[LIBRARIES_MAX];
	size_t count = libraries_list(libraries, states, LIBRARIES_MAX);

	for (size_t i = 0; i < count; i++)
		printf("%s %d %d %s;", states[i].path, states[i].attached, states[i].mapped,
		       states[i].error ? strerror(-states[i].error) : "-");
	putchar('\n');
}

static void until(struct libraries *libraries, uint64_t attached)
{
	struct libraries_counts counts;
	uint64_t end_ns = clock_ns(CLOCK_MONOTONIC) + UNTIL_NS;

	do {
		usleep(200);
	} while ((!libraries_counts(libraries, &counts) || counts.attached != attached) &&
		 clock_ns(CLOCK_MONOTONIC) < end_ns);
	printf("%llu %llu\n", (unsigned long long)clock_ns(CLOCK_MONOTONIC),
	       (unsigned long long)counts.attached);
}

static void obey(struct libraries *libraries, const char *command)
{
	struct libraries_counts counts;

	if (strcmp(command, "hits\n") == 0) {
		printf("%llu %llu\n", count_at(0), count_at(1));
	} else if (strcmp(command, "list\n") == 0) {
		list(libraries);
	} else if (strcmp(command, "counts\n") == 0) {
		libraries_counts(libraries, &counts);
		printf("%llu %llu %llu %llu %llu %llu\n", (unsigned long long)counts.attached,
		       (unsigned long long)counts.dark, (unsigned long long)counts.examined,
		       (unsigned long long)counts.refused, (unsigned long long)counts.detached,
		       (unsigned long long)counts.not_examined);
	} else if (strncmp(command, "until ", 6) == 0) {
		until(libraries, strtoull(command + 6, NULL, 10));
	} else {
		printf("%d\n", libraries_settle(libraries, 5000000000ULL));
	}
}

int main(int argc, char **argv)
{
	const struct libraries_programs programs = {.program = program,
						    .return_program = return_program,
						    .layout = layout,
						    .plan = plan_of};
	union bpf_attr create = {.map_type = BPF_MAP_TYPE_ARRAY,
				 .key_size = 4,
				 .value_size = 8,
				 .max_entries = 2};
	uint32_t type = uprobes_attach_type(uprobes_kind());
	struct libraries *libraries;
	char command[64];
	uint64_t began_ns = clock_ns(CLOCK_MONOTONIC);

	for (int i = 1; i < argc && plan_count < PLANS_MAX; i++) {
		if (sscanf(argv[i], "%lu:%lu:%lu", &plans[plan_count].size,
			   &plans[plan_count].write, &plans[plan_count].read) == 3)
			plan_count++;
	}
	map = bpf(BPF_MAP_CREATE, &create);
	entry = counting_program(0, type);
	leave = counting_program(1, type);
	libraries = map < 0 || entry < 0 || leave < 0 ? NULL : libraries_new(&programs);
	if (!libraries)
		return 1;
	printf("started %.1f\n", (double)(clock_ns(CLOCK_MONOTONIC) - began_ns) / 1e6);
	fflush(stdout);
	while (fgets(command, sizeof(command), stdin)) {
		obey(libraries, command);
		fflush(stdout);
	}
	began_ns = clock_ns(CLOCK_MONOTONIC);
	libraries_free(libraries);
	printf("%.1f\n", (double)(clock_ns(CLOCK_MONOTONIC) - began_ns) / 1e6);
	return 0;
}
