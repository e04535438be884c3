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
 * crio-ID.scope, libpod-ID.scope); through cgroupfs, the trees in `trees` below; the systemd form
 * misread by cgroupfs ("system.slice:docker:ID"); LXC (/lxc.payload.NAME, before 4.0 and on Proxmox
 * /lxc/NAME); systemd-nspawn (/machine.slice/machine-NAME.scope and systemd-nspawn@NAME.service,
 * with the container in "payload" below); libvirt (/machine/NAME.libvirt-lxc). Of nested containers
 * it is the outermost one: its root user chooses the names inside.
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

/* ---- Ids of containers ----------------------------------------------------------------------- */

/* What the name of a directory says about a container. */
struct found {
	struct span id;
	const char *runtime; /* static; "": not known */
};

#define UUID_LEN     36U
#define GARDEN_LEN   28U /* the last group has 4 digits, not 12 */
#define ECS_TASK_LEN 32U
#define ECS_MIN	     (ECS_TASK_LEN + 2U)
#define BUILDKIT_LEN 25U

static bool is_hex(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (!is_digit(text.data[i]) && !(text.data[i] >= 'a' && text.data[i] <= 'f'))
			return false;
	}
	return text.len > 0;
}

static bool is_container_id(struct span id)
{
	return id.len == CONTAINER_HEX_LEN && is_hex(id);
}

static bool docker_id(struct span name, struct found *found)
{
	*found = (struct found){name, "docker"};
	return is_container_id(name);
}

/* The directory of a containerd namespace. */
static bool containerd_id(struct span name, struct found *found)
{
	*found = (struct found){name, "containerd"};
	return is_container_id(name);
}

/* identity.NewID() of BuildKit: 25 digits to base 36. */
static bool is_buildkit_id(struct span id)
{
	for (size_t i = 0; i < id.len; i++) {
		if (!is_digit(id.data[i]) && !(id.data[i] >= 'a' && id.data[i] <= 'z'))
			return false;
	}
	return id.len == BUILDKIT_LEN;
}

static bool buildkit_id(struct span name, struct found *found)
{
	*found = (struct found){name, "buildkit"};
	return is_buildkit_id(name);
}

/* A UUID; a handle of Garden has a shorter last group. */
static bool is_uuid(struct span id)
{
	if (id.len != UUID_LEN && id.len != GARDEN_LEN)
		return false;
	for (size_t i = 0; i < id.len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? id.data[i] != '-' : !is_hex((struct span){id.data + i, 1}))
			return false;
	}
	return true;
}

static bool garden_id(struct span name, struct found *found)
{
	*found = (struct found){name, "garden"};
	return is_uuid(name);
}

static bool mesos_id(struct span name, struct found *found)
{
	*found = (struct found){name, "mesos"};
	return is_uuid(name) && name.len == UUID_LEN;
}

/* Docker's id; on Fargate the task's id, a '-' and a number. */
static bool ecs_id(struct span name, struct found *found)
{
	if (docker_id(name, found))
		return true;
	found->runtime = "";
	if (name.len < ECS_MIN || name.data[ECS_TASK_LEN] != '-' ||
	    !is_hex((struct span){name.data, ECS_TASK_LEN}))
		return false;
	for (size_t i = ECS_TASK_LEN + 1; i < name.len; i++) {
		if (!is_digit(name.data[i]))
			return false;
	}
	return true;
}

/* An engine's word in the names that runc and crun make, and what the engine is called. */
struct engine {
	const char *word, *runtime;
};

static const struct engine engines[] = {
	{"docker", "docker"}, {"cri-containerd", "containerd"}, {"crio", "cri-o"},
	{"libpod", "podman"}, {"nerdctl", "containerd"},
};

#define ENGINES (sizeof(engines) / sizeof(engines[0]))

/* "docker-ID" and the like. What docker builds has an id of BuildKit. */
static bool engine_id(struct span name, struct found *found)
{
	for (size_t i = 0; i < ENGINES; i++) {
		*found = (struct found){name, engines[i].runtime};
		if (cut_prefix(&found->id, engines[i].word) && cut_prefix(&found->id, "-"))
			return is_container_id(found->id) || (i == 0 && is_buildkit_id(found->id));
	}
	return false;
}

/* Below kubepods, CRI-O writes its word in front of the id; nobody else does. */
static bool pod_id(struct span name, struct found *found)
{
	*found = (struct found){name, ""};
	return is_container_id(name) || engine_id(name, found);
}

/* "SLICE.slice:ENGINE:ID": an argument for systemd, used as the name of a directory. */
static bool misread_id(struct span name, struct found *found)
{
	struct span slice;

	if (name.len <= CONTAINER_HEX_LEN + 1 || name.data[name.len - CONTAINER_HEX_LEN - 1] != ':')
		return false;
	found->id = (struct span){name.data + name.len - CONTAINER_HEX_LEN, CONTAINER_HEX_LEN};
	name.len -= CONTAINER_HEX_LEN + 1;
	for (size_t i = 0; i < ENGINES; i++) {
		found->runtime = engines[i].runtime;
		slice = name;
		if (cut_suffix(&slice, engines[i].word) && cut_suffix(&slice, ":"))
			return cut_suffix(&slice, ".slice") && is_container_id(found->id);
	}
	return false;
}

/* ---- Containers ------------------------------------------------------------------------------ */

/*
 * Trees that engines create at the root, or below their own service. `between`: this many
 * directories of any name may lie above the container's (a pod, a task, a cluster).
 */
struct tree {
	const char *root, *below; /* `below`: NULL if there is none */
	size_t between;
	bool (*id)(struct span name, struct found *found);
};

static const struct tree trees[] = {
	{"docker", NULL, 0, docker_id},
	{"docker", "buildx", 0, docker_id},
	{"docker", "buildkit", 0, buildkit_id},
	{"buildkit", NULL, 0, buildkit_id},
	{"default", NULL, 0, containerd_id},
	{"k8s.io", NULL, 0, containerd_id},
	{"libpod_parent", NULL, 1, engine_id},
	{"kubepods", NULL, 2, pod_id}, /* kubepods/QOS/podUID/ID */
	{"kubelet", "kubepods", 2, pod_id},
	{"ecs", NULL, 2, ecs_id},	/* ecs/TASK/ID, ecs/CLUSTER/TASK/ID */
	{"garden", NULL, 1, garden_id}, /* garden/good/ID, garden/bad/ID */
	{"mesos", NULL, 0, mesos_id},
	{"actions_job", NULL, 0, docker_id}, /* of a job of GitHub's runner */
};

static void set_container(struct cgroup_names *names, const struct found *found)
{
	copy(names->container, sizeof(names->container), found->id);
	names->runtime = found->runtime;
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The name of a machine in its unit's name, where "\\x2d" stands for "-". */
static void copy_machine(char *out, size_t size, struct span name)
{
	char text[CONTAINER_NAME_LEN];
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
	if (starts_with(machine, "qemu\\x2d"))
		return;
	copy_machine(names->container_name, sizeof(names->container_name), machine);
	if (payload && names->container_name[0])
		names->runtime = "systemd-nspawn"; /* others register machines, too */
}

/* A unit that holds a container. */
static void parse_container_unit(const struct path *path, size_t index, struct cgroup_names *names)
{
	struct span stem = path->component[index];
	struct found found;

	if (cut_suffix(&stem, ".scope") && engine_id(stem, &found))
		set_container(names, &found);
	else
		parse_machine(path, index, names);
}

/* The container in one of the trees, which begins at `index`. */
static bool parse_tree(const struct path *path, size_t index, const struct tree *tree,
		       struct cgroup_names *names)
{
	struct found found;

	if (!span_equal(component(path, index++), span_of(tree->root)))
		return false;
	if (tree->below && !span_equal(component(path, index++), span_of(tree->below)))
		return false;
	for (size_t i = index; i < path->count && i <= index + tree->between; i++) {
		if (tree->id(path->component[i], &found)) {
			set_container(names, &found);
			return true;
		}
	}
	return false;
}

/* A tree that an engine created at the root or below its own service. False if it is not one. */
static bool parse_engine_tree(const struct path *path, size_t index, struct cgroup_names *names)
{
	struct found found;

	if (misread_id(component(path, index), &found)) {
		set_container(names, &found);
		return true;
	}
	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
		if (parse_tree(path, index, &trees[i], names))
			return true;
	}
	return false;
}

static void set_name(struct cgroup_names *names, struct span name, const char *runtime)
{
	if (!has_unit_chars(name) || memchr(name.data, '\\', name.len))
		return;
	copy(names->container_name, sizeof(names->container_name), name);
	names->runtime = names->container_name[0] ? runtime : "";
}

/* A container of LXC or of libvirt without systemd, only at the root. */
static void parse_lxc(const struct path *path, struct cgroup_names *names)
{
	struct span head = component(path, 0), name = component(path, 1);

	if (span_equal(head, span_of("lxc")) || span_equal(head, span_of("lxc.payload")))
		set_name(names, name, "lxc");
	else if (cut_prefix(&head, "lxc.payload."))
		set_name(names, head, "lxc");
	else if (span_equal(head, span_of("machine")) && cut_suffix(&name, ".libvirt-lxc"))
		set_name(names, name, "libvirt-lxc");
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
	static const char *const services[] = {"containerd.service",
					       "docker.service",
					       "crio.service",
					       "k3s.service",
					       "k3s-agent.service",
					       "rke2-server.service",
					       "rke2-agent.service",
					       "k0scontroller.service",
					       "k0sworker.service",
					       "kubelet.service",
					       "garden.service",
					       "buildkit.service",
					       "mesos-slave.service",
					       "mesos-agent.service",
					       "snap.docker.dockerd.service",
					       "snap.microk8s.daemon-containerd.service",
					       "snap.microk8s.daemon-kubelite.service",
					       NULL};
	struct path path = {.count = 0};
	struct span unit;
	size_t index;

	memset(names, 0, sizeof(*names));
	names->runtime = "";
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
	else if (is_one_of(unit, services))
		parse_engine_tree(&path, index + 1, names);
	else
		parse_container_unit(&path, index, names);
}
