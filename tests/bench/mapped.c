/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When libraries are probed: loads each, and compares its code in memory with its file. A probe is
 * a breakpoint in the code, however it was attached. Prints a word and the time (seconds,
 * CLOCK_MONOTONIC):
 *
 *   mapped TIME    before the first is loaded
 *   attached TIME  when all have a probe
 *   detached TIME  when none has one any more
 *
 * mapped LIBRARY...
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LIBRARIES_MAX 64
#define PAUSE_NS      100000

/* The code of a library: in memory, and as its file has it. */
struct code {
	const char *memory;
	char *file;
	size_t len;
};

static void fail(const char *what)
{
	fprintf(stderr, "mapped: %s\n", what);
	exit(1);
}

static void say(const char *word)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%s %.6f\n", word, (double)now.tv_sec + (double)now.tv_nsec / 1e9);
	fflush(stdout);
}

static void code_read(struct code *code, const char *path, off_t offset)
{
	int fd = open(path, O_RDONLY);

	code->file = malloc(code->len);
	if (fd < 0 || !code->file || pread(fd, code->file, code->len, offset) != (ssize_t)code->len)
		fail(path);
	close(fd);
}

/* The program header with the code of the library that `wanted` loaded. */
struct search {
	const struct link_map *wanted;
	struct code *code;
};

static int code_find(struct dl_phdr_info *library, size_t size, void *data)
{
	struct search *search = data;

	(void)size;
	if (library->dlpi_addr != search->wanted->l_addr)
		return 0;
	for (int i = 0; i < library->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &library->dlpi_phdr[i];

		if (header->p_type != PT_LOAD || !(header->p_flags & PF_X))
			continue;
		search->code->memory = (const char *)(library->dlpi_addr + header->p_vaddr);
		search->code->len = header->p_filesz;
		code_read(search->code, search->wanted->l_name, (off_t)header->p_offset);
		return 1;
	}
	return 0;
}

static void code_load(struct code *code, const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	struct search search = {.code = code};
	struct link_map *loaded;

	if (!handle || dlinfo(handle, RTLD_DI_LINKMAP, &loaded))
		fail(dlerror());
	search.wanted = loaded;
	if (!dl_iterate_phdr(code_find, &search))
		fail("no code in a library");
}

static void wait_until(const struct code *codes, int count, bool probed)
{
	struct timespec pause = {.tv_nsec = PAUSE_NS};

	for (int i = 0; i < count;) {
		if ((memcmp(codes[i].memory, codes[i].file, codes[i].len) != 0) == probed)
			i++;
		else
			nanosleep(&pause, NULL);
	}
}

int main(int argc, char **argv)
{
	static struct code codes[LIBRARIES_MAX];
	int count = argc - 1;

	if (count < 1 || count > LIBRARIES_MAX)
		fail("usage: mapped LIBRARY...");
	say("mapped");
	for (int i = 0; i < count; i++)
		code_load(&codes[i], argv[i + 1]);
	wait_until(codes, count, true);
	say("attached");
	wait_until(codes, count, false);
	say("detached");
	return 0;
}
