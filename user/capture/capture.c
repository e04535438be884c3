/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation.
 *
 * What hooks a kernel allows is found by trying, never by its version: distributions backport, and
 * lockdown, capabilities and configuration decide as much as age. The families are tried in the
 * order of their cost: first with a program that does nothing (family.c); then the object is
 * opened, the programs of other families are set aside, and the rest is loaded and attached. The
 * first family that works is kept. The wire hook takes part in each attempt, because the programs
 * are compiled for its presence (a constant); if it alone fails, the round is repeated without it.
 * If no family works, the wire hook alone is enough, with the process that connected as the sender.
 *
 * File descriptors hold everything (links, maps, programs) and nothing is pinned: however the
 * process ends, the kernel is left as it was before. What root can still do to it from outside is
 * in links.c, ring_place.h and tables.c.
 */
#include "capture/capture.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "capture/complaint.h"
#include "capture/family.h"
#include "capture/links.h"
#include "capture/privilege.h"
#include "capture/ring_place.h"
#include "capture/tables.h"
#include "capture/tls_programs.h"

#include "smtpsnoop.skel.h"

#define BTF_PATH	  "/sys/kernel/btf/vmlinux"
#define RING_SIZE_DEFAULT (8U << 20)
#define DRAIN_NS	  100000000ULL
#define DRAIN_LOOK	  32U	/* records between two looks at the clock; */
#define DRAIN_LOOK_LEN	  2048U /* a record this long gets its own: it may hold dozens of mails */

struct capture {
	struct smtpsnoop_bpf *skeleton;
	struct ring_buffer *ring;
	struct ring_place place;
	struct links links;
	enum hook hook;
	bool wire;
	bool pages; /* data sent as pages can be read at the send */
	char wire_why[CAPTURE_WHY_MAX];
	bool tls; /* the programs for TLS libraries are loaded */
	char tls_why[CAPTURE_WHY_MAX];
	capture_record_fn on_record; /* valid during a drain */
	void *context;
	size_t drained;
	uint64_t drain_until_ns;
	bool more; /* the last drain was cut short */
};

/* ---- Attaching ------------------------------------------------------------------------------- */

/*
 * Whether this kernel has a function of that name. The kernel's type information lists functions
 * that are not exported as well.
 */
static bool kernel_has(const struct btf *kernel, const char *function)
{
	return btf__find_by_name_kind(kernel, function, BTF_KIND_FUNC) >= 0;
}

/*
 * Whether the program hooks a function that this kernel lacks. Only functions that some kernels
 * lack are checked; on those kernels, other hooked functions see the same data.
 */
static bool target_missing(const struct bpf_program *program, const struct btf *kernel)
{
	static const char *const optional[] = {"do_tcp_sendpages", "inet_sendpage", "mptcp_sendmsg",
					       "inet6_sendmsg"};
	const char *target = strchr(bpf_program__section_name(program), '/');

	for (size_t i = 0; target && i < sizeof(optional) / sizeof(optional[0]); i++) {
		if (strcmp(target + 1, optional[i]) == 0)
			return !kernel_has(kernel, optional[i]);
	}
	return false;
}

/* A program's name begins with its family; a program without a family serves all. */
static bool program_wanted(const char *name, enum hook hook, bool wire, bool tls)
{
	static const struct {
		const char *prefix;
		enum hook hook;
	} families[] = {
		{"fentry_", HOOK_FENTRY},	  {"fexit_", HOOK_FENTRY},
		{"kprobe_", HOOK_KPROBE},	  {"kretprobe_", HOOK_KPROBE},
		{"tracepoint_", HOOK_TRACEPOINT},
	};

	if (strncmp(name, "wire_", 5) == 0)
		return wire;
	if (strncmp(name, TLS_PROGRAMS, strlen(TLS_PROGRAMS)) == 0)
		return tls;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		if (strncmp(name, families[i].prefix, strlen(families[i].prefix)) == 0)
			return families[i].hook == hook;
	}
	return true;
}

/*
 * Finds the addresses of the two variables that hold where memory and its page structs are mapped
 * (x86-64 with KALLSYMS_ALL). False if this kernel does not give them. The list is long and each
 * family asks, so it is read once.
 */
static bool find_page_symbols(uint64_t *page_offset, uint64_t *vmemmap)
{
	static const char *const names[] = {" page_offset_base\n", " vmemmap_base\n"};
	static uint64_t found[2];
	static bool looked;
	FILE *file = looked ? NULL : fopen("/proc/kallsyms", "re");
	char line[512];

	while (file && !(found[0] && found[1]) && fgets(line, sizeof(line), file)) {
		for (size_t i = 0; i < 2; i++) {
			if (strstr(line, names[i]))
				found[i] = strtoull(line, NULL, 16);
		}
	}
	if (file)
		fclose(file);
	looked = true;
	*page_offset = found[0];
	*vmemmap = found[1];
	return found[0] && found[1];
}

/* If the kernel does not run the program, roots are not known; namespaces must do then. */
static void note_own_root(const struct capture *capture)
{
	struct bpf_test_run_opts options = {.sz = sizeof(options)};
	int fd = bpf_program__fd(capture->skeleton->progs.once_own_root);

	bpf_prog_test_run_opts(fd, &options);
}

static int capture_load(struct capture *capture, const struct capture_options *options,
			struct btf *kernel)
{
	uint32_t ring_size = options->ring_size ? options->ring_size : RING_SIZE_DEFAULT;
	struct bpf_program *program;
	uint64_t page_offset, vmemmap;
	bool tls = capture->tls;
	int error;

	capture->skeleton = smtpsnoop_bpf__open();
	if (!capture->skeleton)
		return errno ? -errno : -ENOMEM;
	bpf_object__for_each_program(program, capture->skeleton->obj)
	{
		const char *name = bpf_program__name(program);

		bpf_program__set_autoload(program,
					  program_wanted(name, capture->hook, capture->wire, tls) &&
						  !target_missing(program, kernel));
	}
	if (tls)
		tls_programs_prepare(capture->skeleton->obj, uprobes_kind());
	capture->skeleton->rodata->wire_hook = capture->wire;
	capture->skeleton->rodata->tls_probes = tls;
	capture->skeleton->rodata->socket_cookies = kernel_has(kernel, "bpf_get_socket_ptr_cookie");
	capture->skeleton->rodata->socket_storage =
		capture->hook != HOOK_KPROBE && capture->skeleton->rodata->socket_cookies &&
		kernel_has(kernel, "bpf_sk_storage_get_tracing");
	capture->pages = capture->hook != HOOK_NONE && find_page_symbols(&page_offset, &vmemmap);
	capture->skeleton->rodata->page_offset_at = capture->pages ? page_offset : 0;
	capture->skeleton->rodata->vmemmap_at = capture->pages ? vmemmap : 0;
	capture->skeleton->rodata->ring_size = ring_size;
	error = bpf_map__set_max_entries(capture->skeleton->maps.ring, ring_size);
	error = error ? error : smtpsnoop_bpf__load(capture->skeleton);
	if (!error)
		note_own_root(capture);
	return error;
}

/* Attaches what was loaded. On failure *wire_failed says whether the wire hook failed. */
static int capture_attach(struct capture *capture, bool *wire_failed)
{
	int error = links_attach(&capture->links, capture->skeleton->obj, wire_failed);

	if (error == -ENOENT && *wire_failed)
		complaint_suggest("no cgroup v2 hierarchy is mounted");
	return error;
}

static int on_sample(void *context, void *sample, size_t size)
{
	struct capture *capture = context;
	const struct record *record = sample;

	if (size >= sizeof(*record) && record->len <= size)
		capture->on_record(capture->context, record);
	capture->drained++;
	capture->more = (capture->drained % DRAIN_LOOK == 0 || size >= DRAIN_LOOK_LEN) &&
			clock_ns(CLOCK_MONOTONIC) >= capture->drain_until_ns;
	return capture->more ? -EAGAIN : 0; /* the record counts as read all the same */
}

void capture_close(struct capture *capture)
{
	if (!capture)
		return;
	links_close(&capture->links);
	ring_place_close(&capture->place);
	ring_buffer__free(capture->ring);
	smtpsnoop_bpf__destroy(capture->skeleton);
	free(capture);
}

/*
 * Loads with the programs for TLS libraries, if they are wanted and possible. If the kernel refuses
 * them, the rest is loaded alone.
 */
static int capture_load_with(struct capture *capture, const struct capture_options *options,
			     struct btf *kernel)
{
	int error;

	if (options->tls && capture->wire) {
		capture->tls = uprobes_kind() != UPROBES_NONE;
		if (!capture->tls)
			snprintf(capture->tls_why, sizeof(capture->tls_why),
				 "this kernel, or what the process may do, allows no uprobes");
	}
	error = capture_load(capture, options, kernel);
	if (!error || !capture->tls)
		return error;
	complaint_explain(capture->tls_why, error, "load the probes");
	smtpsnoop_bpf__destroy(capture->skeleton);
	capture->skeleton = NULL;
	capture->tls = false;
	complaint_clear();
	error = capture_load(capture, options, kernel);
	if (error)
		capture->tls_why[0] = '\0'; /* they were not what it refused */
	return error;
}

/* One attempt to load and attach. 0, or a negative errno with the reason in `why`. */
static int capture_try(struct capture **out, const struct capture_options *options,
		       struct btf *kernel, enum hook hook, bool wire, bool *wire_failed, char *why)
{
	struct capture *capture = calloc(1, sizeof(*capture));
	const char *step;
	int error;

	complaint_clear();
	*wire_failed = false;
	if (!capture)
		return -ENOMEM;
	capture->hook = hook;
	capture->wire = wire;
	error = family_try(hook, kernel, &step);
	if (error) {
		complaint_explain(why, error, step);
		goto failed;
	}
	error = capture_load_with(capture, options, kernel);
	if (error) {
		complaint_explain(why, error, "load");
		goto failed;
	}
	tables_freeze(capture->skeleton->obj);
	error = capture_attach(capture, wire_failed);
	if (error) {
		complaint_explain(why, error,
				  *wire_failed ? "attach to the cgroup v2 root" : "attach");
		goto failed;
	}
	capture->ring = ring_buffer__new(bpf_map__fd(capture->skeleton->maps.ring), on_sample,
					 capture, NULL);
	if (!capture->ring) {
		error = -errno;
		complaint_explain(why, error, "ring buffer");
		goto failed;
	}
	ring_place_open(&capture->place, bpf_map__fd(capture->skeleton->maps.ring),
			capture->skeleton->rodata->ring_size);
	*out = capture;
	return 0;
failed:
	capture_close(capture);
	return error;
}

/* ---- Choosing -------------------------------------------------------------------------------- */

struct trials {
	struct capture_trial *list;
	size_t max;
	size_t count;
};

static void trial_note(struct trials *trials, enum hook hook, bool wire, int error, const char *why)
{
	struct capture_trial *trial;

	if (trials->count == trials->max)
		return;
	trial = &trials->list[trials->count++];
	trial->hook = hook;
	trial->wire = wire;
	trial->error = error;
	snprintf(trial->why, sizeof(trial->why), "%s", error ? why : "");
}

/* Tries each family that the options allow, with or without the wire hook. */
static int capture_round(struct capture **capture, const struct capture_options *options,
			 struct btf *kernel, bool wire, bool *wire_failed, char *why,
			 struct trials *trials)
{
	int error = -ENOTSUP;

	*wire_failed = false;
	for (int hook = HOOK_FENTRY; hook <= HOOK_NONE; hook++) {
		if (options->hook != HOOK_AUTO && options->hook != (enum hook)hook)
			continue;
		if (hook == HOOK_NONE && !wire)
			continue;
		error = capture_try(capture, options, kernel, hook, wire, wire_failed, why);
		trial_note(trials, hook, wire, error, why);
		if (!error || *wire_failed)
			return error;
	}
	return error;
}

/* Checks what makes every choice of hooks fail. */
static int capture_precheck(char *why)
{
	_Static_assert(PRIVILEGE_WHY_MAX <= CAPTURE_WHY_MAX, "room for the reason");
	if (privilege_check(why))
		return -EPERM;
	privilege_raise_limit();
	if (access(BTF_PATH, R_OK) != 0) {
		snprintf(why, CAPTURE_WHY_MAX,
			 "this kernel has no type information (%s); use one built with "
			 "CONFIG_DEBUG_INFO_BTF",
			 BTF_PATH);
		return -ENOENT;
	}
	return 0;
}

/* libbpf has no version of its own before 0.6, and another name for this before 0.5. */
static struct btf *load_kernel_types(void)
{
#if __has_include(<bpf/libbpf_version.h>)
	return btf__load_vmlinux_btf();
#else
	return libbpf_find_kernel_btf();
#endif
}

int capture_open(struct capture **capture, const struct capture_options *options, char *why,
		 struct capture_trial *trial_list, size_t trials_max, size_t *trial_count)
{
	struct trials trials = {.list = trial_list, .max = trial_list ? trials_max : 0};
	char wire_why[CAPTURE_WHY_MAX] = "";
	bool wire_failed = false;
	int error = capture_precheck(why);
	struct btf *kernel = NULL;

	complaint_listen();
	if (!error) {
		kernel = load_kernel_types();
		/* before 1.0, libbpf returns the error in the pointer */
		error = kernel ? (int)libbpf_get_error(kernel) : -errno;
		if (error) {
			kernel = NULL;
			complaint_explain(why, error, "read " BTF_PATH);
		}
	}
	if (!error)
		error = capture_round(capture, options, kernel, options->wire, &wire_failed, why,
				      &trials);
	if (error && options->wire && wire_failed) {
		snprintf(wire_why, sizeof(wire_why), "%s", why);
		error = capture_round(capture, options, kernel, false, &wire_failed, why, &trials);
	}
	btf__free(kernel);
	if (!error)
		snprintf((*capture)->wire_why, sizeof((*capture)->wire_why), "%s", wire_why);
	if (trial_count)
		*trial_count = trials.count;
	return error;
}

/* ---- Running --------------------------------------------------------------------------------- */

enum hook capture_hook(const struct capture *capture)
{
	return capture->hook;
}

bool capture_wire(const struct capture *capture)
{
	return capture->wire;
}

bool capture_pages(const struct capture *capture)
{
	return capture->pages;
}

bool capture_tls(const struct capture *capture)
{
	return capture->tls;
}

const char *capture_wire_why(const struct capture *capture)
{
	return capture->wire_why;
}

const char *capture_tls_why(const struct capture *capture)
{
	return capture->tls_why;
}

int capture_fd(const struct capture *capture)
{
	return ring_buffer__epoll_fd(capture->ring);
}

size_t capture_drain(struct capture *capture, capture_record_fn on_record, void *context)
{
	__atomic_store_n(&capture->skeleton->bss->reader_asleep, 0, __ATOMIC_RELEASE);
	capture->on_record = on_record;
	capture->context = context;
	capture->drained = 0;
	capture->more = false;
	capture->drain_until_ns = clock_ns(CLOCK_MONOTONIC) + DRAIN_NS;
	ring_place_restore(&capture->place);
	ring_buffer__consume(capture->ring);
	ring_place_note(&capture->place);
	return capture->drained;
}

bool capture_has_more(const struct capture *capture)
{
	return capture->more;
}

void capture_sleep(struct capture *capture)
{
	__atomic_store_n(&capture->skeleton->bss->reader_asleep, 1, __ATOMIC_SEQ_CST);
}

/* A member of struct bpf_prog_info that headers before Linux 5.12 lack: it is behind run_cnt. */
union prog_info {
	struct bpf_prog_info info;
	struct {
		char before[offsetof(struct bpf_prog_info, run_cnt) + sizeof(__u64)];
		__u64 recursion_misses;
	} newer;
};

/*
 * How often the kernel skipped a program because the same program was already running on that CPU.
 */
static uint64_t capture_missed(const struct capture *capture)
{
	struct bpf_program *program;
	uint64_t missed = 0;

	bpf_object__for_each_program(program, capture->skeleton->obj)
	{
		union prog_info info = {};
		__u32 len = sizeof(info);

		if (bpf_program__fd(program) >= 0 &&
		    !bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &len))
			missed += info.newer.recursion_misses;
	}
	return missed;
}

int capture_counters(struct capture *capture, uint64_t counters[COUNTER_MAX])
{
	int cpus = libbpf_num_possible_cpus(), fd = bpf_map__fd(capture->skeleton->maps.counters);
	uint64_t *values;

	if (cpus < 0)
		return cpus;
	values = calloc((size_t)cpus, sizeof(*values));
	if (!values)
		return -ENOMEM;
	for (uint32_t counter = 0; counter < COUNTER_MAX; counter++) {
		counters[counter] = 0;
		if (bpf_map_lookup_elem(fd, &counter, values))
			continue;
		for (int cpu = 0; cpu < cpus; cpu++)
			counters[counter] += values[cpu];
	}
	counters[COUNTER_MISSED] += capture_missed(capture);
	free(values);
	return 0;
}

static int by_bytes(const void *left, const void *right)
{
	const struct dropped_user *a = left, *b = right;

	return (a->bytes < b->bytes) - (a->bytes > b->bytes);
}

size_t capture_dropped(struct capture *capture, struct dropped_user users[DROPPED_USERS_MAX])
{
	int fd = bpf_map__fd(capture->skeleton->maps.user_dropped);
	uint64_t keys[DROPPED_USERS_MAX], bytes;
	size_t key_count = 0, count = 0;

	while (key_count < DROPPED_USERS_MAX &&
	       bpf_map_get_next_key(fd, key_count ? &keys[key_count - 1] : NULL,
				    &keys[key_count]) == 0)
		key_count++;
	for (size_t i = 0; i < key_count; i++) {
		/* before 5.14 a hash cannot do both at once, and a few bytes may be missed */
		if (bpf_map_lookup_and_delete_elem(fd, &keys[i], &bytes) &&
		    (bpf_map_lookup_elem(fd, &keys[i], &bytes) ||
		     bpf_map_delete_elem(fd, &keys[i])))
			continue;
		users[count++] = (struct dropped_user){.uid = (uint32_t)(keys[i] >> 32),
						       .ns_pid = (uint32_t)keys[i],
						       .bytes = bytes};
	}
	qsort(users, count, sizeof(users[0]), by_bytes);
	return count;
}

uint32_t capture_check(struct capture *capture)
{
	uint32_t found = links_check(&capture->links);

	if (capture->place.moved)
		found |= HEALTH_RING_MOVED;
	capture->place.moved = false;
	return found;
}

size_t capture_maps(const struct capture *capture, struct capture_map maps[CAPTURE_MAPS_MAX])
{
	return tables_list(capture->skeleton->obj, maps);
}

int capture_tls_program(const struct capture *capture, enum tls_probe probe)
{
	return tls_program(capture->skeleton->obj, probe);
}

int capture_tls_return_program(const struct capture *capture)
{
	return tls_return_program(capture->skeleton->obj);
}

int capture_tls_layout(const struct capture *capture, enum tls_layer layer,
		       const struct tls_layout *layouts, uint32_t count)
{
	return tls_layout_write(capture->skeleton->obj, layer, layouts, count);
}
