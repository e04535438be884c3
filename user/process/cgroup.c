/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a path is trusted from the root down, as long as only root can have created
 * the cgroups. systemd's slices come first, each nested in the slice that its name begins with. A
 * directory that looks like a slice but is not nested in this way was created by somebody else.
 * After the slices comes a unit of the system manager, or the tree of a container engine that does
 * not use systemd. Everything below a unit is delegated: its owner can choose the names there. Such
 * names are trusted in two places: below the services of container engines, which run as root, and
 * below a user's manager, as that user's units.
 *
 * Forms of the engines: runc and crun through systemd (docker-ID.scope, cri-containerd-ID.scope,
 * crio-ID.scope, libpod-ID.scope), through cgroupfs (/docker/ID, /kubepods/.../ID,
 * /libpod_parent/libpod-ID), the systemd form misread by cgroupfs ("system.slice:docker:ID"); LXC
 * (/lxc.payload.NAME, before 4.0 and on Proxmox /lxc/NAME); systemd-nspawn (/machine.slice/machine-
 * NAME.scope and systemd-nspawn@NAME.service, with the container in "payload" below).
 */
#include "process/cgroup.h"

#define CONTAINER_HEX_LEN 64U
#define COMPONENTS_MAX	  64U /* a deeper path is ignored */

struct path {
	struct span component[COMPONENTS_MAX];
	size_t count;
};

/* ---- Words ----------------------------------------------------------------------------------- */

static bool starts_with(struct span text, const char *prefix)
{
	const size_t len = strlen(prefix);

	return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

/* Removes the prefix if something follows it. */
static bool cut_prefix(struct span *text, const char *prefix)
{
	const size_t len = strlen(prefix);

	if (text->len <= len || !starts_with(*text, prefix))
		return false;
	text->data += len;
	text->len -= len;
	return true;
}

/* Removes the suffix if something precedes it. */
static bool cut_suffix(struct span *text, const char *suffix)
{
	const size_t len = strlen(suffix);

	if (text->len <= len || memcmp(text->data + text->len - len, suffix, len) != 0)
		return false;
	text->len -= len;
	return true;
}

static bool is_one_of(struct span text, const char *const *words)
{
	for (; *words; words++) {
		if (span_equal(text, span_of(*words)))
			return true;
	}
	return false;
}

static void copy(char *out, size_t size, struct span text)
{
	if (!text.len || text.len >= size)
		return;
	memcpy(out, text.data, text.len);
	out[text.len] = '\0';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* systemd.unit(5): letters, digits and :-_.\ and the @ of an instance. Not the locale's letters. */
static bool is_unit_char(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr(":-_.\\@", c));
}

static bool has_unit_chars(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (!is_unit_char(name.data[i]))
			return false;
	}
	return name.len > 0;
}

/* ---- The path -------------------------------------------------------------------------------- */

/* Splits a path from the root; false if it is none. */
static bool split(struct span text, struct path *path)
{
	path->count = 0;
	while (text.len) {
		struct span *component = &path->component[path->count];
		const char *slash;

		if (text.data[0] != '/' || path->count == COMPONENTS_MAX)
			return false;
		text.data++;
		text.len--;
		slash = memchr(text.data, '/', text.len);
		*component =
			(struct span){text.data, slash ? (size_t)(slash - text.data) : text.len};
		text.data += component->len;
		text.len -= component->len;
		if (!component->len && !path->count && !text.len)
			return true; /* "/" */
		if (!component->len || span_equal(*component, span_of(".")) ||
		    span_equal(*component, span_of("..")))
			return false;
		path->count++;
	}
	return true;
}

static struct span component(const struct path *path, size_t index)
{
	return index < path->count ? path->component[index] : (struct span){"", 0};
}

/*
 * systemd puts a '_' before a name that the kernel could take for one of its own files
 * ("_io.service"), or that begins with '_' itself.
 */
static struct span unescape(struct span name)
{
	cut_prefix(&name, "_");
	return name;
}

/* "user-1000.slice" lies in "user.slice", "user.slice" at the top (systemd.slice(5)). */
static bool is_slice_in(struct span name, struct span parent)
{
	if (!has_unit_chars(name) || name.len >= UNIT_NAME_LEN || !cut_suffix(&name, ".slice"))
		return false;
	if (parent.len) {
		if (!cut_suffix(&parent, ".slice") || name.len <= parent.len + 1 ||
		    memcmp(name.data, parent.data, parent.len) != 0 || name.data[parent.len] != '-')
			return false;
		name.data += parent.len + 1;
		name.len -= parent.len + 1;
	}
	return !memchr(name.data, '-', name.len);
}

/* The index of the first component from `index` on that is not a slice in its place. */
static size_t skip_slices(const struct path *path, size_t index)
{
	struct span parent = {"", 0};

	while (index < path->count && is_slice_in(unescape(path->component[index]), parent)) {
		parent = unescape(path->component[index]);
		index++;
	}
	return index;
}

/* Units that have cgroups of their own, except slices. */
static bool is_unit(struct span name)
{
	static const char *const suffixes[] = {".service", ".scope", ".socket",
					       ".mount",   ".swap",  NULL};
	struct span stem = name;

	if (!has_unit_chars(name) || name.len >= UNIT_NAME_LEN || name.data[0] == '@')
		return false;
	for (size_t i = 0; suffixes[i]; i++) {
		if (cut_suffix(&stem, suffixes[i]))
			return true;
	}
	return false;
}

/* ---- Containers ------------------------------------------------------------------------------ */

static bool is_container_id(struct span id)
{
	for (size_t i = 0; i < id.len; i++) {
		if (!is_digit(id.data[i]) && !(id.data[i] >= 'a' && id.data[i] <= 'f'))
			return false;
	}
	return id.len == CONTAINER_HEX_LEN;
}

/* "docker-ID" and the like. */
static bool engine_id(struct span name, struct span *id)
{
	static const char *const engines[] = {"docker-", "cri-containerd-", "crio-",
					      "libpod-", "nerdctl-",	    NULL};

	for (size_t i = 0; engines[i]; i++) {
		*id = name;
		if (cut_prefix(id, engines[i]))
			return is_container_id(*id);
	}
	return false;
}

/* "SLICE.slice:ENGINE:ID": an argument for systemd, used as the name of a directory. */
static bool misread_id(struct span name, struct span *id)
{
	static const char *const engines[] = {":docker", ":cri-containerd", ":crio",
					      ":libpod", ":nerdctl",	    NULL};
	struct span slice;

	if (name.len <= CONTAINER_HEX_LEN + 1 || name.data[name.len - CONTAINER_HEX_LEN - 1] != ':')
		return false;
	*id = (struct span){name.data + name.len - CONTAINER_HEX_LEN, CONTAINER_HEX_LEN};
	name.len -= CONTAINER_HEX_LEN + 1;
	for (size_t i = 0; engines[i]; i++) {
		slice = name;
		if (cut_suffix(&slice, engines[i]))
			return cut_suffix(&slice, ".slice") && is_container_id(*id);
	}
	return false;
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The name of an nspawn container in its unit's name, where "\\x2d" stands for "-". */
static void copy_machine(char *out, size_t size, struct span name)
{
	char text[CONTAINER_ID_LEN];
	size_t at = 0;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];

		if (c == '\\' && i + 3 < name.len && name.data[i + 1] == 'x' &&
		    hex_value(name.data[i + 2]) >= 0 && hex_value(name.data[i + 3]) >= 0) {
			c = (char)(hex_value(name.data[i + 2]) << 4 | hex_value(name.data[i + 3]));
			i += 3;
		}
		if (!is_unit_char(c) || c == '\\' || at == sizeof(text))
			return;
		text[at++] = c;
	}
	copy(out, size, (struct span){text, at});
}

/*
 * The container name in systemd-nspawn's unit. The supervisor runs outside of its container; in a
 * service, so does everything that is not in "payload". Virtual machines of libvirt register in the
 * same form, but are not containers.
 */
static void parse_machine(const struct path *path, size_t index, struct cgroup_names *names)
{
	struct span machine = path->component[index], below = component(path, index + 1);
	const bool payload = span_equal(below, span_of("payload"));

	if (index != 1 || !span_equal(path->component[0], span_of("machine.slice")))
		return;
	if (cut_suffix(&machine, ".scope")) {
		if (!cut_prefix(&machine, "machine-") || span_equal(below, span_of("supervisor")))
			return;
	} else if (!payload || !cut_suffix(&machine, ".service") ||
		   !cut_prefix(&machine, "systemd-nspawn@")) {
		return;
	}
	if (!starts_with(machine, "qemu\\x2d"))
		copy_machine(names->container, sizeof(names->container), machine);
}

/* A unit that holds a container. */
static void parse_container_unit(const struct path *path, size_t index, struct cgroup_names *names)
{
	struct span stem = path->component[index], id;

	if (cut_suffix(&stem, ".scope") && engine_id(stem, &id))
		copy(names->container, sizeof(names->container), id);
	else
		parse_machine(path, index, names);
}

/* A tree that an engine created at the root or below its own service. False if it is not one. */
static bool parse_engine_tree(const struct path *path, size_t index, struct cgroup_names *names)
{
	struct span head = component(path, index), id = head;

	if (misread_id(head, &id)) {
		copy(names->container, sizeof(names->container), id);
		return true;
	}
	if (span_equal(head, span_of("docker")) && is_container_id(component(path, index + 1))) {
		copy(names->container, sizeof(names->container), component(path, index + 1));
		return true;
	}
	if (span_equal(head, span_of("libpod_parent")) &&
	    engine_id(component(path, index + 1), &id)) {
		copy(names->container, sizeof(names->container), id);
		return true;
	}
	if (!span_equal(head, span_of("kubepods")))
		return false;
	for (size_t i = index + 1; i < path->count && i <= index + 3;
	     i++) { /* kubepods/QOS/podUID/ID */
		if (is_container_id(path->component[i])) {
			copy(names->container, sizeof(names->container), path->component[i]);
			return true;
		}
	}
	return false;
}

/* A container of LXC, only at the root. */
static void parse_lxc(const struct path *path, struct cgroup_names *names)
{
	struct span name = component(path, 0);

	if (span_equal(name, span_of("lxc")))
		name = component(path, 1);
	else if (!cut_prefix(&name, "lxc.payload."))
		return;
	if (has_unit_chars(name) && !memchr(name.data, '\\', name.len))
		copy(names->container, sizeof(names->container), name);
}

/* ---- Units ----------------------------------------------------------------------------------- */

static bool is_user_manager(struct span name)
{
	return cut_prefix(&name, "user@") && cut_suffix(&name, ".service");
}

/* Below user@UID.service: that user's units, as that user names them. */
static void parse_user_manager(const struct path *path, size_t index, struct cgroup_names *names)
{
	struct span name = unescape(component(path, skip_slices(path, index)));

	if (is_unit(name))
		copy(names->user_unit, sizeof(names->user_unit), name);
}

void cgroup_parse(struct span text, struct cgroup_names *names)
{
	static const char *const engines[] = {
		"containerd.service", "docker.service",	    "crio.service",
		"k3s.service",	      "k3s-agent.service",  "rke2-server.service",
		"kubelet.service",    "rke2-agent.service", NULL};
	struct path path = {.count = 0};
	struct span unit;
	size_t index;

	memset(names, 0, sizeof(*names));
	if (!split(text, &path))
		return;
	index = skip_slices(&path, 0);
	unit = unescape(component(&path, index));
	if (!is_unit(unit)) {
		if (index == 0 && !parse_engine_tree(&path, 0, names))
			parse_lxc(&path, names);
		return;
	}
	if (index + 1 == path.count)
		copy(names->unit, sizeof(names->unit), unit);
	if (is_user_manager(unit))
		parse_user_manager(&path, index + 1, names);
	else if (is_one_of(unit, engines))
		parse_engine_tree(&path, index + 1, names);
	else
		parse_container_unit(&path, index, names);
}
