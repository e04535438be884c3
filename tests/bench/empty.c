/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Attaches the empty programs and waits for a signal. Usage: empty CGROUP2_ROOT */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/types.h>

#include "empty.skel.h"

int main(int argc, char **argv)
{
	struct empty_bpf *skeleton = empty_bpf__open_and_load();
	int cgroup = argc > 1 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;
	struct bpf_program *program;

	if (!skeleton || cgroup < 0) {
		perror("empty");
		return 1;
	}
	bpf_object__for_each_program(program, skeleton->obj)
	{
		bool wire = strstr(bpf_program__name(program), "gress") != NULL;

		if (!(wire ? bpf_program__attach_cgroup(program, cgroup)
			   : bpf_program__attach(program))) {
			perror(bpf_program__name(program));
			return 1;
		}
	}
	puts("attached");
	fflush(stdout);
	pause();
	return 0;
}
