/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a cgroup path says about its members: systemd unit, user unit, container. Pure. */
#ifndef SMTPSNOOP_CGROUP_H
#define SMTPSNOOP_CGROUP_H

#include "base/span.h"

#define UNIT_NAME_LEN	   256U /* systemd's UNIT_NAME_MAX and a NUL */
#define CONTAINER_ID_LEN   65U	/* 64 hex digits and a NUL */
#define CONTAINER_NAME_LEN 129U /* LXD's "PROJECT_NAME" of 63 and 63 bytes, and a NUL */

struct cgroup_names {
	/* of the system manager; "" if there is none or it is not known */
	char unit[UNIT_NAME_LEN];
	char user_unit[UNIT_NAME_LEN]; /* of a user's manager */
	/* Of a container, one of these: its id; of LXC, libvirt and systemd-nspawn its name */
	char container[CONTAINER_ID_LEN];
	char container_name[CONTAINER_NAME_LEN];
	const char *runtime; /* "docker", ...; static; "": not known, or no container */
};

/*
 * Parses a path such as "/system.slice/cron.service". A name is set only if the system manager
 * created the cgroup. Below a delegated cgroup (user@UID.service, a container's scope, a service
 * that creates cgroups) the owner can choose any name. The path must be complete: in a truncated
 * one the part next to the root is missing, so nothing in it can be trusted.
 */
void cgroup_parse(struct span path, struct cgroup_names *names);

#endif
