/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a path is read from the root. Slices are the system manager's as long as
 * nothing else stood before them; the first component that is no slice is what a slice holds: a unit
 * of the system's manager, or the parent cgroup of a container engine. Whatever lies below a unit was
 * made by somebody to whom it was delegated, and is believed only where the form says whose it is: a
 * user's manager (user@UID.service), or an engine's own cgroup with a container's id.
 */
#include "cgroup.h"

#include <ctype.h>
#include <stdio.h>

#define CONTAINER_HEX_LEN 64U

static bool ends_with(struct span text, const char *suffix)
{
	size_t len = strlen(suffix);

	return text.len > len && memcmp(text.data + text.len - len, suffix, len) == 0;
}

static bool starts_with(struct span text, const char *prefix)
{
	size_t len = strlen(prefix);

	return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

/* Takes the next component off the path; false at its end. */
static bool next_component(struct span *path, struct span *component)
{
	const char *slash;

	while (path->len && path->data[0] == '/') {
		path->data++;
		path->len--;
	}
	if (!path->len)
		return false;
	slash = memchr(path->data, '/', path->len);
	component->data = path->data;
	component->len = slash ? (size_t)(slash - path->data) : path->len;
	path->data += component->len;
	path->len -= component->len;
	return true;
}

/* systemd.unit(5): letters, digits and :-_.\ and the @ of an instance. */
static bool is_unit_name(struct span name)
{
	if (!name.len || name.len >= UNIT_NAME_LEN)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.data[i];

		if (!isalnum(c) && !(c && strchr(":-_.\\@", c)))
			return false;
	}
	return true;
}

static bool is_unit(struct span name)
{
	static const char *const suffixes[] = {".service", ".scope", ".socket", ".mount", ".swap"};

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (ends_with(name, suffixes[i]))
			return is_unit_name(name);
	}
	return false;
}

static void copy(char *out, size_t size, struct span text)
{
	if (text.len >= size)
		return;
	memcpy(out, text.data, text.len);
	out[text.len] = '\0';
}

/* The 64 hex digits at the end of a name such as "docker-ID.scope" or "ID". */
static bool container_id(struct span name, struct span *id)
{
	if (ends_with(name, ".scope"))
		name.len -= strlen(".scope");
	if (name.len < CONTAINER_HEX_LEN)
		return false;
	id->data = name.data + name.len - CONTAINER_HEX_LEN;
	id->len = CONTAINER_HEX_LEN;
	for (size_t i = 0; i < id->len; i++) {
		if (!isxdigit((unsigned char)id->data[i]))
			return false;
	}
	return name.len == id->len || id->data[-1] == '-' || id->data[-1] == ':';
}

/* A container that goes by a name: LXC and systemd-nspawn. */
static bool container_name(struct span name, struct span *id)
{
	static const char *const prefixes[] = {"lxc.payload.", "lxc.payload/", "machine-"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (!starts_with(name, prefixes[i]))
			continue;
		id->data = name.data + strlen(prefixes[i]);
		id->len = name.len - strlen(prefixes[i]);
		if (ends_with(*id, ".scope"))
			id->len -= strlen(".scope");
		return id->len > 0 && is_unit_name(*id);
	}
	return false;
}

/* Below user@UID.service: the units of that user's manager. */
static void parse_user_manager(struct span path, struct cgroup_names *names)
{
	struct span component;

	while (next_component(&path, &component)) {
		if (ends_with(component, ".slice"))
			continue;
		if (is_unit(component))
			copy(names->user_unit, sizeof(names->user_unit), component);
		return;
	}
}

void cgroup_parse(struct span path, struct cgroup_names *names)
{
	struct span component, id, rest;
	bool top = true; /* only slices so far */

	memset(names, 0, sizeof(*names));
	while (next_component(&path, &component)) {
		if (container_id(component, &id) || container_name(component, &id))
			copy(names->container, sizeof(names->container), id);
		rest = path;
		if (top && ends_with(component, ".slice"))
			continue;
		if (top && starts_with(component, "user@") && ends_with(component, ".service")) {
			parse_user_manager(path, names);
			return;
		}
		if (top && is_unit(component) && !next_component(&rest, &id))
			copy(names->unit, sizeof(names->unit), component);
		top = false;
		if (names->container[0])
			return; /* what is below is the container's own */
	}
}
