/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a cgroup path says of its members: systemd unit, user unit, container. Pure. */
#ifndef SMTPSNOOP_CGROUP_H
#define SMTPSNOOP_CGROUP_H

#include "base/span.h"

#define UNIT_NAME_LEN	 256U /* systemd's UNIT_NAME_MAX and a NUL */
#define CONTAINER_ID_LEN 65U  /* 64 hex digits and a NUL */

struct cgroup_names {
	/* of the system's manager; "" if there is none or it cannot be told */
	char unit[UNIT_NAME_LEN];
	char user_unit[UNIT_NAME_LEN];	  /* of a user's manager */
	char container[CONTAINER_ID_LEN]; /* 64 hex digits; of LXC and systemd-nspawn the name */
};

/*
 * Reads a path such as "/system.slice/cron.service". A name is given only where the system's
 * manager made the cgroup: below a delegated one (user@UID.service, a container's scope, a service
 * that makes cgroups of its own) whoever it was delegated to names cgroups as they like. The path
 * is whole: of one that was cut, nothing can be told, for what is missing is next to the root.
 */
void cgroup_parse(struct span path, struct cgroup_names *names);

#endif
