/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation. Root can take a program away from a running watch: a link of a cgroup can be
 * detached by its id, and its program replaced by another one. The watch notices neither, because
 * its own descriptors stay open. So the identity of each link is noted when it is attached: its id,
 * its program, and its cgroup. A link that was detached has no cgroup. A link whose program was
 * replaced names another program. A descriptor that was closed behind our back, or that names
 * another link now, counts as removed. A program cannot change and its id is not used again while
 * we hold it, so its id is enough.
 *
 * What is attached to a parent cgroup cannot be shut off by a program in a child, because links
 * always allow several programs (BPF_F_ALLOW_MULTI), and the kernel runs all of them whatever they
 * return. So there is nothing to check in other cgroups.
 *
 * The kernel lets nobody detach or update links of tracing programs, raw tracepoints and kprobes.
 * They are checked all the same. What silences them without touching a link (kprobes that are
 * switched off as a whole, for example) is found by the canary (canary.c).
 *
 * A link that is not as it should be is replaced by a new one, before the old one is closed:
 * closing it also removes whatever program stands in our place.
 */
#include "capture/links.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "record.h"

/* Finds the mount point of the whole cgroup v2 hierarchy. False if there is none. */
static bool cgroup_root(char *path, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *entry;
	bool found = false;

	if (!mounts)
		return false;
	while (!found && (entry = getmntent(mounts))) {
		if (strcmp(entry->mnt_type, "cgroup2") == 0)
			found = snprintf(path, size, "%s", entry->mnt_dir) < (int)size;
	}
	endmntent(mounts);
	return found;
}

/* NULL: errno says why. */
static struct bpf_link *attach_to_root(struct bpf_program *program)
{
	struct bpf_link *link;
	char path[4096];
	int cgroup, error;

	if (!cgroup_root(path, sizeof(path))) {
		errno = ENOENT;
		return NULL;
	}
	cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		return NULL;
	link = bpf_program__attach_cgroup(program, cgroup);
	error = errno;
	close(cgroup);
	errno = error;
	return link;
}

/* 0, or a negative errno. */
static int link_identify(const struct bpf_link *link, struct link_identity *identity)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	*identity = (struct link_identity){};
	if (bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &len))
		return -errno;
	identity->id = info.id;
	identity->program = info.prog_id;
	if (info.type == BPF_LINK_TYPE_CGROUP)
		identity->cgroup = info.cgroup.cgroup_id;
	return 0;
}

/* 0, or a negative errno; then nothing has changed. */
static int attach(struct attached *item)
{
	struct bpf_link *link =
		item->wire ? attach_to_root(item->program) : bpf_program__attach(item->program);
	/* before 1.0, libbpf returns the error in the pointer */
	int error = link ? (int)libbpf_get_error(link) : -errno;

	if (error)
		return error;
	if (item->link)
		bpf_link__destroy(item->link);
	item->link = link;
	link_identify(link, &item->identity);
	return 0;
}

/* Some programs are run once, and others wait for a library to be attached to. */
static bool is_hook(const char *name)
{
	return strncmp(name, "once_", 5) != 0 && strncmp(name, "tls_", 4) != 0;
}

int links_attach(struct links *links, struct bpf_object *object, bool *wire_failed)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object)
	{
		struct attached *item = &links->items[links->count];
		int error;

		if (!bpf_program__autoload(program) || !is_hook(bpf_program__name(program)))
			continue;
		if (links->count == LINKS_MAX)
			return -E2BIG;
		item->program = program;
		item->wire = strncmp(bpf_program__name(program), "wire_", 5) == 0;
		error = attach(item);
		if (error) {
			*wire_failed = item->wire;
			return error;
		}
		links->count++;
	}
	return 0;
}

/* What is wrong with a link: HEALTH_SEND_REMOVED, HEALTH_SEND_REPLACED or 0. */
static uint32_t link_fault(const struct attached *item)
{
	struct link_identity now;
	int error;

	if (!item->identity.id)
		return 0;
	error = link_identify(item->link, &now);
	if (error == -EBADF ||
	    error == -EINVAL) /* the descriptor is closed, or of something else */
		return HEALTH_SEND_REMOVED;
	if (error) /* the kernel does not tell now */
		return 0;
	if (now.id != item->identity.id || now.cgroup != item->identity.cgroup)
		return HEALTH_SEND_REMOVED;
	return now.program != item->identity.program ? HEALTH_SEND_REPLACED : 0;
}

uint32_t links_check(struct links *links)
{
	uint32_t found = 0;

	for (size_t i = 0; i < links->count; i++) {
		struct attached *item = &links->items[i];
		uint32_t fault = item->link ? link_fault(item) : 0;

		if (item->link && !fault)
			continue;
		if (attach(item)) {
			fault |= HEALTH_SEND_DETACHED;
			if (item->link)
				bpf_link__destroy(item->link);
			item->link = NULL;
		}
		found |= item->wire ? fault * HEALTH_WIRE : fault;
	}
	return found;
}

void links_close(struct links *links)
{
	for (size_t i = 0; i < links->count; i++)
		bpf_link__destroy(links->items[i].link);
	links->count = 0;
}
