/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A recording: a line that identifies it, then records (include/record.h) as they were delivered,
 * without gaps. Its version is RECORD_VERSION, which every change of a record's format raises.
 */
#ifndef SMTPSNOOP_RECORDING_H
#define SMTPSNOOP_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

#include "record.h"

#define RECORDING_MAGIC	     "smtpsnoop recording 1\n"
#define RECORDING_RECORD_MAX 65536U /* a longer record is malformed */
#define RECORDING_WHY_MAX    160

struct recording;

/*
 * Creates the file (mode 0600); an existing file is not overwritten. On success *recording is the
 * caller's, to be passed to recording_close(). On failure a negative errno, with the reason in
 * `why` (RECORDING_WHY_MAX bytes).
 */
int recording_create(struct recording **recording, const char *path, char *why);

/* The file may have at most so many bytes, at least RECORDING_SIZE_MIN. Call it before any write.
 */
#define RECORDING_SIZE_MIN 1024U
void recording_bound(struct recording *recording, uint64_t bytes);

/* True if a record did not fit: the recording has ended there. */
bool recording_is_full(const struct recording *recording);

/*
 * Appends a record. 0 or a negative errno; after a failure every further write fails with it.
 * -EFBIG: it does not fit the bound, and was not written.
 */
int recording_write(struct recording *recording, const struct record *record);

/* How many sessions under TLS it has the plaintext of, so far. */
uint64_t recording_decrypted(const struct recording *recording);

/*
 * Writes what is buffered and closes the file. 0, or the negative errno of the first write that
 * failed. NULL is allowed.
 */
int recording_close(struct recording *recording);

typedef int (*recording_fn)(void *context, const struct record *record);

/*
 * Reads a recording and passes each record to on_record, which ends the reading by returning a
 * value other than 0. Returns 0, or a negative errno with the reason in `why`: -EINVAL if the file
 * is not a recording or has another version, -EBADMSG if it is damaged or ends within a record (the
 * records before it were passed on). Records die with the call.
 */
int recording_read(const char *path, recording_fn on_record, void *context, char *why);

#endif
