/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel answers a missing right with EPERM, whatever is missing. So what is needed is compared
 * with what there is before anything is loaded.
 */
#include "capture/privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#if __has_include(<bpf/libbpf_version.h>)
#include <bpf/libbpf_version.h>
#endif

/* Since Linux 5.8; the headers may be older. */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

#define CONTAINER                                                                                  \
	"missing; in a container? run it on the host, or start the container with what is "        \
	"missing (docker run --cap-add)"

static bool has(const struct privilege *privilege, unsigned int capability)
{
	return privilege->effective & 1ULL << capability;
}

static void missing(const struct privilege *privilege, char why[PRIVILEGE_WHY_MAX])
{
	static const struct {
		unsigned int capability;
		const char *name;
	} needed[] = {{CAP_BPF, "CAP_BPF"},
		      {CAP_PERFMON, "CAP_PERFMON"},
		      {CAP_NET_ADMIN, "CAP_NET_ADMIN"}};
	char names[60] = "";

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		size_t len = strlen(names);

		if (!has(privilege, needed[i].capability))
			snprintf(names + len, sizeof(names) - len, "%s%s", len ? ", " : "",
				 needed[i].name);
	}
	if (names[0])
		snprintf(why, PRIVILEGE_WHY_MAX, "%s " CONTAINER, names);
}

int privilege_of(const struct privilege *privilege, char why[PRIVILEGE_WHY_MAX])
{
	why[0] = '\0';
	if (privilege->euid != 0)
		snprintf(why, PRIVILEGE_WHY_MAX,
			 "needs root, because it loads BPF programs; run it with sudo");
	else if (!privilege->host_users)
		snprintf(why, PRIVILEGE_WHY_MAX,
			 "root of a user namespace may not load BPF programs; in a rootless "
			 "container? run it as root of the host");
	else if (has(privilege, CAP_SYS_ADMIN))
		return 0;
	else if (privilege->last < CAP_BPF)
		snprintf(why, PRIVILEGE_WHY_MAX, "CAP_SYS_ADMIN " CONTAINER);
	else
		missing(privilege, why);
	return why[0] ? -EPERM : 0;
}

/* The number in a file; `otherwise` if it cannot be read. */
static unsigned int number_in(const char *path, unsigned int otherwise)
{
	FILE *file = fopen(path, "re");
	unsigned int number = otherwise;

	if (file && fscanf(file, "%u", &number) != 1)
		number = otherwise;
	if (file)
		fclose(file);
	return number;
}

/* The first user namespace maps every uid to itself. */
static bool in_host_users(void)
{
	FILE *file = fopen("/proc/self/uid_map", "re");
	unsigned int inside = 0, outside = 0, count = UINT32_MAX;

	if (file && fscanf(file, "%u %u %u", &inside, &outside, &count) != 3)
		count = UINT32_MAX;
	if (file)
		fclose(file);
	return inside == 0 && outside == 0 && count == UINT32_MAX;
}

static uint64_t effective(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long set = UINT64_MAX;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "CapEff: %llx", &set) == 1)
			break;
	}
	if (file)
		fclose(file);
	return set;
}

int privilege_check(char why[PRIVILEGE_WHY_MAX])
{
	const struct privilege privilege = {
		.euid = geteuid(),
		.effective = effective(),
		.last = number_in("/proc/sys/kernel/cap_last_cap", CAP_BPF),
		.host_users = in_host_users(),
	};

	return privilege_of(&privilege, why);
}

void privilege_raise_limit(void)
{
#if !defined(LIBBPF_MAJOR_VERSION) || LIBBPF_MAJOR_VERSION < 1
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	/* If it fails, so does a load, and that is reported. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
#endif
}
