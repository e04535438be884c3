/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "records.h"

#include <stdint.h>

_Static_assert(sizeof(struct exec_record) == offsetof(struct exec_record, data), "no hole before the data");
_Static_assert(sizeof(struct sender_record) == offsetof(struct sender_record, cgroup),
	       "no hole before the data");
_Static_assert(sizeof(struct send_record) == offsetof(struct send_record, data), "no hole before the data");
_Static_assert(sizeof(struct segment_record) == offsetof(struct segment_record, data),
	       "no hole before the data");
_Static_assert(sizeof(struct host_record) == offsetof(struct host_record, name), "no hole before the data");
_Static_assert(sizeof(struct name_record) == offsetof(struct name_record, name), "no hole before the data");
_Static_assert(sizeof(struct cgroup_record) == offsetof(struct cgroup_record, path),
	       "no hole before the data");

/* The fixed part is there, and behind it just as many bytes as the record itself counts up. */
static bool fits(const struct record *record, size_t fixed, uint64_t data)
{
	return record->len >= fixed && record->len - fixed == data;
}

static bool exec_valid(const struct record *record)
{
	const struct exec_record *exec = (const void *)record;

	if (record->len < sizeof(*exec))
		return false;
	return fits(record, sizeof(*exec),
		    (uint64_t)exec->exe_len + exec->filename_len + exec->interp_len + exec->cwd_len +
			    exec->args_len);
}

static bool sender_valid(const struct record *record)
{
	const struct sender_record *sender = (const void *)record;

	return record->len >= sizeof(*sender) && sender->ancestor_count <= ANCESTORS_MAX &&
	       fits(record, sizeof(*sender), sender->cgroup_len);
}

static bool send_valid(const struct record *record)
{
	const struct send_record *send = (const void *)record;

	return record->len >= sizeof(*send) && send->data_len <= send->len && send->flow.cookie &&
	       fits(record, sizeof(*send), send->data_len);
}

static bool segment_valid(const struct record *record)
{
	const struct segment_record *segment = (const void *)record;

	return record->len >= sizeof(*segment) && segment->data_len <= segment->len && segment->flow.cookie &&
	       fits(record, sizeof(*segment), segment->data_len);
}

static bool host_valid(const struct record *record)
{
	const struct host_record *host = (const void *)record;

	return record->len >= sizeof(*host) && host->version == RECORD_VERSION &&
	       fits(record, sizeof(*host), host->name_len);
}

static bool name_valid(const struct record *record)
{
	const struct name_record *name = (const void *)record;

	return record->len >= sizeof(*name) && fits(record, sizeof(*name), name->name_len);
}

static bool cgroup_valid(const struct record *record)
{
	const struct cgroup_record *cgroup = (const void *)record;

	return record->len >= sizeof(*cgroup) && fits(record, sizeof(*cgroup), cgroup->path_len);
}

bool record_valid(const struct record *record, size_t size)
{
	if (size < sizeof(*record) || record->len > size || record->len < sizeof(*record))
		return false;
	switch (record->type) {
	case RECORD_EXEC: return exec_valid(record);
	case RECORD_FORK: return fits(record, sizeof(struct fork_record), 0);
	case RECORD_EXIT: return fits(record, sizeof(struct exit_record), 0);
	case RECORD_SENDER: return sender_valid(record);
	case RECORD_SEND: return send_valid(record);
	case RECORD_SEGMENT: return segment_valid(record);
	case RECORD_CLOSE: return fits(record, sizeof(struct close_record), 0);
	case RECORD_HOST: return host_valid(record);
	case RECORD_CLOCK: return fits(record, sizeof(struct clock_record), 0);
	case RECORD_LOSS: return fits(record, sizeof(struct loss_record), 0);
	case RECORD_NAME: return name_valid(record);
	case RECORD_HASH: return fits(record, sizeof(struct hash_record), 0);
	case RECORD_CGROUP: return cgroup_valid(record);
	default: return false;
	}
}
