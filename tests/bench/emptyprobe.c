/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a probe costs that does nothing, on the cheapest instruction: the part of a probed call that
 * the kernel and the machine decide. A breakpoint is an exception, and what one costs differs by a
 * factor of ten between machines: some hypervisors intercept it. Prints the nanoseconds per call
 * that a probe at the entry adds, and one at entry and return.
 */
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/perf_event.h>

#define CALLS	 20000
#define ROUNDS	 15
#define UPROBES	 "/sys/bus/event_source/devices/uprobe/type"
#define RETURNED 1U /* of perf_event_attr.config: probe the return */

#ifdef __x86_64__
#define BODY "push %rbp\npop %rbp\nret"
#else
#define BODY "nop\nret"
#endif

/* The function that is probed: its first instruction is one that the kernel emulates. */
void probed(void);
__asm__(".text\n.globl probed\n.type probed, %function\nprobed:\n" BODY "\n.size probed, .-probed");

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int program_load(void)
{
	const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_KPROBE,
			       .insns = (uint64_t)(uintptr_t)nothing,
			       .insn_cnt = sizeof(nothing) / sizeof(nothing[0]),
			       .license = (uint64_t)(uintptr_t) "GPL"};
	int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));

	if (program < 0)
		fail("emptyprobe: cannot load a program");
	return program;
}

/* Where the function is in the file of this program. */
static int offset_find(struct dl_phdr_info *object, size_t size, void *data)
{
	uint64_t place = (uint64_t)(uintptr_t)probed - object->dlpi_addr;

	(void)size;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &object->dlpi_phdr[i];

		if (header->p_type == PT_LOAD && place - header->p_vaddr < header->p_filesz)
			*(uint64_t *)data = place - header->p_vaddr + header->p_offset;
	}
	return 1; /* this program comes first */
}

static void attach(int program, unsigned int config)
{
	struct perf_event_attr event = {.size = sizeof(event),
					.config = config,
					.config1 = (uint64_t)(uintptr_t) "/proc/self/exe"};
	union bpf_attr link = {
		.link_create = {.prog_fd = (uint32_t)program, .attach_type = BPF_PERF_EVENT}};
	uint64_t offset = 0;
	FILE *type = fopen(UPROBES, "re");
	int fd;

	if (!type || fscanf(type, "%u", &event.type) != 1)
		fail(UPROBES);
	fclose(type);
	dl_iterate_phdr(offset_find, &offset);
	event.config2 = offset;
	fd = (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
	if (fd < 0)
		fail("emptyprobe: cannot make a probe");
	link.link_create.target_fd = (uint32_t)fd;
	if (syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof(link)) < 0)
		fail("emptyprobe: cannot attach a program");
}

static double charged_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The fastest round. */
static double call_ns(void)
{
	double best = 1e12;

	for (int round = 0; round < ROUNDS; round++) {
		double start = charged_ns(), spent;

		for (int i = 0; i < CALLS; i++)
			probed();
		spent = (charged_ns() - start) / CALLS;
		best = spent < best ? spent : best;
	}
	return best;
}

int main(void)
{
	int program = program_load();
	double bare = call_ns(), entry;

	attach(program, 0);
	entry = call_ns();
	attach(program, RETURNED);
	printf("%.1f %.1f\n", entry - bare, call_ns() - bare);
	return 0;
}
