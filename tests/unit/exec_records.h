/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Exec records for the tests of images and of the process table. */
#ifndef SMTPSNOOP_TESTS_EXEC_RECORDS_H
#define SMTPSNOOP_TESTS_EXEC_RECORDS_H

#include <string.h>

#include "unit.h"

#include "capture/records.h"

/* What an exec record says; an empty span: the record has no such part. */
struct exec {
	uint32_t pid;
	uint64_t start_ns, exec_ns;
	uint64_t read_ns; /* of a snapshot */
	uint32_t flags;
	uint32_t parent_pid;
	uint64_t parent_start_ns;
	struct span exe, filename, interp, cwd, args;
};

/*
 * A path or an argument vector with its last NUL. The components of the executable and the
 * directory are separated by NULs, the last one first.
 */
#define PATH(literal) ((struct span){(literal), sizeof(literal)})

/* The caller frees the record. Its memory ends with it, so that ASan sees a read behind it. */
static inline struct exec_record *exec_record(const struct exec *exec)
{
	const struct span parts[] = {exec->exe, exec->filename, exec->interp, exec->cwd,
				     exec->args};
	struct exec_record *record = calloc(1, sizeof(*record) + EXEC_DATA_MAX);
	size_t at = 0;

	assert_non_null(record);
	for (size_t i = 0; i < 5; i++) {
		if (parts[i].len)
			memcpy(record->data + at, parts[i].data, parts[i].len);
		at += parts[i].len;
	}
	record->h = (struct record){RECORD_EXEC, (uint32_t)(sizeof(*record) + at),
				    exec->read_ns ? exec->read_ns : exec->exec_ns};
	record->pid = exec->pid;
	record->start_ns = exec->start_ns;
	record->exec_ns = exec->exec_ns;
	record->flags = exec->flags;
	record->parent_pid = exec->parent_pid;
	record->parent_start_ns = exec->parent_start_ns;
	record->exe_len = (uint16_t)exec->exe.len;
	record->filename_len = (uint16_t)exec->filename.len;
	record->interp_len = (uint16_t)exec->interp.len;
	record->cwd_len = (uint16_t)exec->cwd.len;
	record->args_len = (uint16_t)exec->args.len;
	record = realloc(record, record->h.len);
	assert_non_null(record);
	assert_true(record_valid(&record->h, record->h.len));
	return record;
}

#define A PATH("a\0bin")

#endif
