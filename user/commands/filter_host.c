/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether a filter can match anything on this host: a mistyped name would silently match nothing.
 *
 * A user without an account, or a process that does not run, is an error. A unit or a container may
 * be started later, so its absence is only reported.
 */
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/report.h"
#include "commands/options_filter.h"
#include "process/cgroup.h"

#define NAME_SHOWN 64

static int shown(struct span name)
{
	return name.len < NAME_SHOWN ? (int)name.len : NAME_SHOWN;
}

/* ---- Users and processes --------------------------------------------------------------------- */

/* A number, or a name that this host knows. */
static bool user_exists(struct span user)
{
	char name[257];

	if (user.len >= sizeof(name))
		return false;
	memcpy(name, user.data, user.len);
	name[user.len] = '\0';
	return (name[0] >= '0' && name[0] <= '9') || getpwnam(name);
}

static int check_user(const char *option, struct span user)
{
	if (user_exists(user))
		return 0;
	report(option, "this host has no user '%.*s'; name one that exists, or a number",
	       shown(user), user.data);
	return -EINVAL;
}

static int check_pid(uint32_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%u", pid);
	if (access("/proc/self", F_OK) != 0 || access(path, F_OK) == 0)
		return 0;
	report("--pid", "no process has the id %u now; name one that runs", pid);
	return -EINVAL;
}

/* ---- Units ----------------------------------------------------------------------------------- */

/* Where systemd finds units, and where it keeps those that have no file elsewhere. */
static const char *const unit_folders[] = {
	"/etc/systemd/system",		 "/run/systemd/system",
	"/run/systemd/transient",	 "/run/systemd/generator",
	"/run/systemd/generator.early",	 "/run/systemd/generator.late",
	"/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
	"/lib/systemd/system",		 "/sys/fs/cgroup",
	"/sys/fs/cgroup/system.slice",
};

static bool is_in_a_folder(const char *name)
{
	char path[600];

	for (size_t i = 0; i < sizeof(unit_folders) / sizeof(unit_folders[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", unit_folders[i], name);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

/* Whether a unit of that name, or the template that it is an instance of, is on this host. */
static bool unit_exists(struct span unit)
{
	char name[UNIT_NAME_LEN + sizeof(".service")];
	const char *suffix;
	char *at;

	if (unit.len >= UNIT_NAME_LEN || memchr(unit.data, '/', unit.len))
		return false;
	snprintf(name, sizeof(name), "%.*s%s", (int)unit.len, unit.data,
		 memchr(unit.data, '.', unit.len) ? "" : ".service");
	if (is_in_a_folder(name))
		return true;
	at = strchr(name, '@');
	suffix = strrchr(name, '.');
	if (!at || suffix < at)
		return false;
	memmove(at + 1, suffix, strlen(suffix) + 1);
	return is_in_a_folder(name);
}

static void check_unit(const char *option, struct span unit)
{
	if (!unit_exists(unit))
		report(option,
		       "this host has no unit '%.*s'; nothing is shown until one of that name "
		       "starts (systemctl list-units shows what there is)",
		       shown(unit), unit.data);
}

/* ---- Containers ------------------------------------------------------------------------------ */

static bool is_in_container(const char *pid, struct span container)
{
	char path[300], line[4096];
	struct cgroup_names names;
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%.20s/cgroup", pid);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		const char *colon = strchr(line, ':'),
			   *last = colon ? strchr(colon + 1, ':') : NULL;

		if (!last)
			continue;
		cgroup_parse((struct span){last + 1, strcspn(last + 1, "\n")}, &names);
		found = (names.container[0] &&
			 strncmp(names.container, container.data, container.len) == 0) ||
			span_equal(span_of(names.container_name), container);
	}
	if (file)
		fclose(file);
	return found;
}

static bool container_exists(struct span container)
{
	DIR *folder = opendir("/proc");
	struct dirent *entry;
	bool found = !folder;

	while (!found && (entry = readdir(folder))) {
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			found = is_in_container(entry->d_name, container);
	}
	if (folder)
		closedir(folder);
	return found;
}

static void check_container(struct span container)
{
	if (!container_exists(container))
		report("--container",
		       "no process of this host is in a container '%.*s'; nothing is shown until "
		       "such a container starts",
		       shown(container), container.data);
}

/* ---- All ------------------------------------------------------------------------------------- */

static int check_users(const char *option, const struct strings *users)
{
	for (size_t i = 0; i < users->count; i++) {
		if (check_user(option, span_of(users->items[i])))
			return -EINVAL;
	}
	return 0;
}

static void check_units(const char *option, const struct patterns *units)
{
	for (size_t i = 0; i < units->count; i++) {
		if (wildcard_is_literal(units->items[i].wildcard))
			check_unit(option, span_of(units->items[i].text));
	}
}

/* The criteria of --where that name a user or one unit. */
static int check_where(const struct exclusion *where)
{
	if (check_users("--where process.user", &where->process.user) ||
	    check_users("--where origin.user", &where->origin.user))
		return -EINVAL;
	check_units("--where process.unit", &where->process.unit);
	check_units("--where origin.unit", &where->origin.unit);
	return 0;
}

int filter_check_host(const struct filter *filter)
{
	for (uint32_t i = 0; i < filter->user.count; i++) {
		if (check_user("--user", filter->user.items[i]))
			return -EINVAL;
	}
	for (uint32_t i = 0; i < filter->pid.count; i++) {
		if (check_pid(filter->pid.items[i]))
			return -EINVAL;
	}
	for (uint32_t i = 0; i < filter->where_count; i++) {
		if (check_where(&filter->where[i]))
			return -EINVAL;
	}
	for (uint32_t i = 0; i < filter->unit.count; i++)
		check_unit("--unit", filter->unit.items[i]);
	for (uint32_t i = 0; i < filter->container.count; i++)
		check_container(filter->container.items[i]);
	return 0;
}
