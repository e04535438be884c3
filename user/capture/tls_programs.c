/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "capture/tls_programs.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static const char *const names[TLS_PROBE_MAX] = {
	[TLS_PROBE_OPENSSL_WRITE] = TLS_PROGRAMS "openssl_write",
	[TLS_PROBE_OPENSSL_WRITE_EX] = TLS_PROGRAMS "openssl_write_ex",
	[TLS_PROBE_OPENSSL_READ] = TLS_PROGRAMS "openssl_read",
	[TLS_PROBE_OPENSSL_READ_EX] = TLS_PROGRAMS "openssl_read_ex",
	[TLS_PROBE_GNUTLS_WRITE] = TLS_PROGRAMS "gnutls_write",
	[TLS_PROBE_GNUTLS_READ] = TLS_PROGRAMS "gnutls_read",
	[TLS_PROBE_GNUTLS_READ_TYPED] = TLS_PROGRAMS "gnutls_read_typed",
	[TLS_PROBE_GNUTLS_UNCORK] = TLS_PROGRAMS "gnutls_uncork",
	[TLS_PROBE_NSS_WRITE] = TLS_PROGRAMS "nss_write",
	[TLS_PROBE_NSS_READ] = TLS_PROGRAMS "nss_read",
	[TLS_PROBE_GO_WRITE] = TLS_PROGRAMS "go_write",
	[TLS_PROBE_GO_READ] = TLS_PROGRAMS "go_read",
	[TLS_PROBE_GO_READ_END] = TLS_PROGRAMS "go_read_end",
};

/* libbpf does not know the kind of link, and before 0.6 not the section "uprobe" alone. */
void tls_programs_prepare(struct bpf_object *object, enum uprobes_kind kind)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object)
	{
		if (strncmp(bpf_program__name(program), TLS_PROGRAMS, strlen(TLS_PROGRAMS)) != 0)
			continue;
		bpf_program__set_type(program, BPF_PROG_TYPE_KPROBE);
		bpf_program__set_expected_attach_type(program,
						      (enum bpf_attach_type)uprobes_attach_type(
							      kind));
	}
}

static int program_fd(const struct bpf_object *object, const char *name)
{
	const struct bpf_program *program = bpf_object__find_program_by_name(object, name);
	int fd = program ? bpf_program__fd(program) : -ENOENT;

	return fd < 0 ? -ENOENT : fd;
}

int tls_program(const struct bpf_object *object, enum tls_probe probe)
{
	return program_fd(object, names[probe]);
}

int tls_return_program(const struct bpf_object *object)
{
	return program_fd(object, TLS_PROGRAMS "return");
}

/* A value of the map tls_layouts; the key is enum tls_layer. */
struct layouts {
	__u32 count;
	__u32 pad;
	struct tls_layout items[TLS_LAYOUTS_MAX];
};

int tls_layout_write(const struct bpf_object *object, enum tls_layer layer,
		     const struct tls_layout *layouts, uint32_t count)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, "tls_layouts");
	struct layouts value = {.count = count};
	const __u32 key = layer;

	if (count > TLS_LAYOUTS_MAX)
		return -EINVAL;
	if (!map || bpf_map__fd(map) < 0)
		return -ENOENT;
	memcpy(value.items, layouts, count * sizeof(*layouts));
	if (bpf_map__value_size(map) != sizeof(value))
		return -EPROTO;
	return bpf_map_update_elem(bpf_map__fd(map), &key, &value, BPF_ANY) ? -errno : 0;
}
