/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "capture/tables.h"

#include <stdbool.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* Whether user space writes to a table, or has it mapped. */
static bool stays_open(const char *name)
{
	static const char *const open[] = {"ring", "user_dropped", "tls_layouts"};

	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
		if (strcmp(name, open[i]) == 0)
			return true;
	}
	return false;
}

void tables_freeze(const struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		if (!bpf_map__is_internal(map) && bpf_map__fd(map) >= 0 &&
		    !stays_open(bpf_map__name(map)))
			bpf_map_freeze(bpf_map__fd(map));
	}
}

static uint64_t entries(int fd, uint64_t limit)
{
	uint64_t key, count = 0; /* every key has this size */
	bool first = true;

	while (count < limit && bpf_map_get_next_key(fd, first ? NULL : &key, &key) == 0) {
		first = false;
		count++;
	}
	return count;
}

size_t tables_list(const struct bpf_object *object, struct capture_map maps[CAPTURE_MAPS_MAX])
{
	struct bpf_map *map;
	size_t count = 0;

	bpf_object__for_each_map(map, object)
	{
		enum bpf_map_type type = bpf_map__type(map);

		if ((type != BPF_MAP_TYPE_HASH && type != BPF_MAP_TYPE_LRU_HASH) ||
		    bpf_map__fd(map) < 0 || bpf_map__key_size(map) != sizeof(uint64_t) ||
		    count == CAPTURE_MAPS_MAX)
			continue;
		maps[count] = (struct capture_map){.name = bpf_map__name(map),
						   .limit = bpf_map__max_entries(map)};
		maps[count].entries = entries(bpf_map__fd(map), maps[count].limit);
		count++;
	}
	return count;
}
