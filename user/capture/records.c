/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: one predicate for each type. A record is its fixed part plus exactly the
 * data whose lengths it names. So the lengths are summed, in 64 bits, and compared with `len`; if
 * they agree, every part of the data may be read.
 */
#include "capture/records.h"

#include <stdint.h>
#include <string.h>

#include "base/hook.h"
#include "tls.h"

_Static_assert(sizeof(struct exec_record) == offsetof(struct exec_record, data),
	       "no hole before the data");
_Static_assert(sizeof(struct sender_record) == offsetof(struct sender_record, cgroup),
	       "no hole before the data");
_Static_assert(sizeof(struct tls_record) == offsetof(struct tls_record, data),
	       "no hole before the data");
_Static_assert(sizeof(struct directory_record) == offsetof(struct directory_record, path),
	       "no hole before the data");
_Static_assert(sizeof(struct send_record) == offsetof(struct send_record, data),
	       "no hole before the data");
_Static_assert(sizeof(struct segment_record) == offsetof(struct segment_record, data),
	       "no hole before the data");
_Static_assert(sizeof(struct host_record) == offsetof(struct host_record, name),
	       "no hole before the data");
_Static_assert(sizeof(struct name_record) == offsetof(struct name_record, name),
	       "no hole before the data");
_Static_assert(sizeof(struct relay_record) == offsetof(struct relay_record, data),
	       "no hole before the data");
_Static_assert(sizeof(struct cgroup_record) == offsetof(struct cgroup_record, path),
	       "no hole before the data");

/* Whether the record has its fixed part and exactly `data` bytes after it. */
static bool fits(const struct record *record, size_t fixed, uint64_t data)
{
	return record->len >= fixed && record->len - fixed == data;
}

/* One string with its NUL, or nothing. */
static bool is_string(const char *data, size_t len)
{
	return !len || memchr(data, '\0', len) == data + len - 1;
}

/* Strings, each with its NUL, or nothing. */
static bool are_strings(const char *data, size_t len)
{
	return !len || !data[len - 1];
}

/* Text with a length of its own, without a NUL. */
static bool is_text(const char *data, size_t len, size_t max)
{
	return len <= max && (!len || !memchr(data, '\0', len));
}

static bool task_valid(const struct task_id *task)
{
	return memchr(task->comm, '\0', sizeof(task->comm));
}

static bool exec_valid(const struct record *record)
{
	const struct exec_record *exec = (const void *)record;
	const char *filename, *interp, *cwd;

	if (record->len < sizeof(*exec) || record->len - sizeof(*exec) > EXEC_DATA_MAX ||
	    exec->args_len > EXEC_ARGS_MAX ||
	    !fits(record, sizeof(*exec),
		  (uint64_t)exec->exe_len + exec->filename_len + exec->interp_len + exec->cwd_len +
			  exec->args_len))
		return false;
	filename = exec->data + exec->exe_len;
	interp = filename + exec->filename_len;
	cwd = interp + exec->interp_len;
	return are_strings(exec->data, exec->exe_len) && is_string(filename, exec->filename_len) &&
	       is_string(interp, exec->interp_len) && are_strings(cwd, exec->cwd_len);
}

static bool sender_valid(const struct record *record)
{
	const struct sender_record *sender = (const void *)record;

	return record->len >= sizeof(*sender) &&
	       fits(record, sizeof(*sender), sender->cgroup_len) &&
	       !sender->flow == (record->type == RECORD_SUBMISSION) &&
	       sender->cgroup_len <= CGROUP_DATA_MAX && sender->ancestor_count <= ANCESTORS_MAX &&
	       task_valid(&sender->task) && are_strings(sender->cgroup, sender->cgroup_len);
}

static bool directory_valid(const struct record *record)
{
	const struct directory_record *directory = (const void *)record;

	return record->len >= sizeof(*directory) &&
	       fits(record, sizeof(*directory), directory->path_len) && directory->flow &&
	       directory->path_len <= DIRECTORY_DATA_MAX &&
	       are_strings(directory->path, directory->path_len);
}

static bool send_valid(const struct record *record)
{
	const struct send_record *send = (const void *)record;

	return record->len >= sizeof(*send) && fits(record, sizeof(*send), send->data_len) &&
	       send->flow.cookie && send->data_len <= send->len &&
	       send->data_len <= SEND_PIECE_MAX && task_valid(&send->task);
}

static bool segment_valid(const struct record *record)
{
	const struct segment_record *segment = (const void *)record;

	return record->len >= sizeof(*segment) &&
	       fits(record, sizeof(*segment), segment->data_len) && segment->flow.cookie &&
	       segment->data_len <= segment->len && segment->data_len <= SEGMENT_DATA_MAX;
}

static bool close_valid(const struct record *record)
{
	return (fits(record, sizeof(struct close_record), 0) ||
		fits(record, CLOSE_RECORD_OLD, 0)) &&
	       ((const struct close_record *)record)->flow.cookie;
}

static bool tls_valid(const struct record *record)
{
	const struct tls_record *tls = (const void *)record;

	return record->len >= sizeof(*tls) && tls->flow.cookie &&
	       tls->client_len <= TLS_CLIENT_MAX && tls->server_len <= TLS_SERVER_MAX &&
	       tls->layer < TLS_LAYER_MAX &&
	       fits(record, sizeof(*tls), (uint64_t)tls->client_len + tls->server_len);
}

static bool count_valid(const struct record *record)
{
	const struct count_record *count = (const void *)record;

	return fits(record, sizeof(*count), 0) && count->flow.cookie && count->step >= COUNT_ON &&
	       count->step <= COUNT_ODD && count->plain <= count->offered;
}

static bool urgent_valid(const struct record *record)
{
	return fits(record, sizeof(struct urgent_record), 0) &&
	       ((const struct urgent_record *)record)->flow.cookie;
}

static bool host_valid(const struct record *record)
{
	const struct host_record *host = (const void *)record;

	return record->len >= sizeof(*host) && fits(record, sizeof(*host), host->name_len) &&
	       host->version == RECORD_VERSION && host->hook < HOOK_COUNT &&
	       host->wire <= (HOST_WIRE | HOST_PAGES | HOST_TLS) &&
	       is_text(host->name, host->name_len, RECORD_NAME_MAX);
}

static bool name_valid(const struct record *record)
{
	const struct name_record *name = (const void *)record;

	return record->len >= sizeof(*name) && fits(record, sizeof(*name), name->name_len) &&
	       (name->kind == NAME_USER || name->kind == NAME_GROUP) &&
	       is_text(name->name, name->name_len, RECORD_NAME_MAX);
}

static bool hash_valid(const struct record *record)
{
	return fits(record, sizeof(struct hash_record), 0) &&
	       ((const struct hash_record *)record)->valid <= 1;
}

static bool cgroup_valid(const struct record *record)
{
	const struct cgroup_record *cgroup = (const void *)record;

	return record->len >= sizeof(*cgroup) && fits(record, sizeof(*cgroup), cgroup->path_len) &&
	       is_text(cgroup->path, cgroup->path_len, RECORD_PATH_MAX) &&
	       (!cgroup->path_len || cgroup->path[0] == '/');
}

static bool accounts_valid(const struct record *record)
{
	const struct accounts_record *accounts = (const void *)record;

	return record->len >= sizeof(*accounts) &&
	       fits(record, sizeof(*accounts), accounts->text_len) &&
	       is_text(accounts->text, accounts->text_len, 2 * RECORD_NAME_MAX + 5);
}

static bool relay_valid(const struct record *record)
{
	const struct relay_record *relay = (const void *)record;

	return record->len >= sizeof(*relay) &&
	       fits(record, sizeof(*relay), 16ULL * relay->count + relay->name_len) &&
	       relay->name_len &&
	       is_text((const char *)relay->data + 16ULL * relay->count, relay->name_len,
		       RECORD_NAME_MAX);
}

static bool activation_valid(const struct record *record)
{
	return fits(record, sizeof(struct activation_record), 0) &&
	       ((const struct activation_record *)record)->by <= ACTIVATION_TIMER;
}

static bool dropped_valid(const struct record *record)
{
	const struct dropped_record *dropped = (const void *)record;

	return record->len >= sizeof(*dropped) && dropped->count <= DROPPED_USERS_MAX &&
	       fits(record, sizeof(*dropped), dropped->count * sizeof(dropped->users[0]));
}

static bool run_valid(const struct record *record)
{
	const struct run_record *run = (const void *)record;

	return fits(record, sizeof(*run), 0) && run->end < RUN_END_COUNT &&
	       run->flags <= (RUN_REBOOTED | RUN_CLOCK_BACK);
}

static bool connection_valid(const struct record *record)
{
	const struct connection_record *connection = (const void *)record;

	return fits(record, sizeof(*connection), 0) && connection->flow.cookie &&
	       task_valid(&connection->task);
}

static bool health_valid(const struct record *record)
{
	const struct health_record *health = (const void *)record;

	return fits(record, sizeof(*health), 0) && !(health->flags & ~(uint32_t)HEALTH_FLAGS) &&
	       health->good_ns <= record->time_ns;
}

bool record_valid(const struct record *record, size_t size)
{
	if (size < sizeof(*record) || record->len > size || record->len < sizeof(*record))
		return false;
	switch (record->type) {
	case RECORD_EXEC: return exec_valid(record);
	case RECORD_FORK: return fits(record, sizeof(struct fork_record), 0);
	case RECORD_EXIT: return fits(record, sizeof(struct exit_record), 0);
	case RECORD_SENDER:
	case RECORD_SUBMISSION: return sender_valid(record);
	case RECORD_DIRECTORY: return directory_valid(record);
	case RECORD_SEND: return send_valid(record);
	case RECORD_SEGMENT: return segment_valid(record);
	case RECORD_CLOSE: return close_valid(record);
	case RECORD_TLS: return tls_valid(record);
	case RECORD_COUNT: return count_valid(record);
	case RECORD_URGENT: return urgent_valid(record);
	case RECORD_HOST: return host_valid(record);
	case RECORD_CLOCK: return fits(record, sizeof(struct clock_record), 0);
	case RECORD_DROPPED: return dropped_valid(record);
	case RECORD_LOSS: return fits(record, sizeof(struct loss_record), 0);
	case RECORD_NAME: return name_valid(record);
	case RECORD_HASH: return hash_valid(record);
	case RECORD_CGROUP: return cgroup_valid(record);
	case RECORD_ACCOUNTS: return accounts_valid(record);
	case RECORD_RELAY: return relay_valid(record);
	case RECORD_ACTIVATION: return activation_valid(record);
	case RECORD_RUN: return run_valid(record);
	case RECORD_CONNECTION: return connection_valid(record);
	case RECORD_HEALTH: return health_valid(record);
	default: return false;
	}
}
