/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The daemon's state file: until when a run watched, and whether it ended in order. The next run
 * reads it, and so knows how long nobody watched.
 */
#ifndef SMTPSNOOP_STATE_FILE_H
#define SMTPSNOOP_STATE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/types.h>

#include "base/boot.h"
#include "record.h"

#define STATE_FOLDER   "/var/lib/smtpsnoop"
#define STATE_FILE     "run.state"
#define STATE_FILE_MAX 256U /* bytes; a longer file is not ours */
#define STATE_WHY_MAX  200U

/* A moment at which a run watched. */
struct run_mark {
	uint8_t boot[BOOT_ID_LEN]; /* zeros: not known */
	uint64_t boottime_ns;	   /* CLOCK_BOOTTIME */
	int64_t realtime_ns;	   /* CLOCK_REALTIME */
	bool stopped;		   /* the run ended then, in order */
};

/*
 * Opens the folder, and makes it (mode 0700) if it is missing. It must belong to this user, and
 * nobody else may write in it: whoever can, could pretend that a run ended in order. Locks it
 * against other daemons until the lock is closed. 0 with both descriptors, which the caller closes;
 * or a negative errno with one clause in `why`; -EBUSY: another daemon has it.
 */
int state_folder_open(const char *path, int *folder, int *lock, char why[STATE_WHY_MAX]);

/*
 * Reads the file. 0; -ENOENT: there is none; or another negative errno with one clause in `why`: it
 * cannot be read, is not a file of this user alone, or does not hold what state_write() writes.
 */
int state_read(int folder, struct run_mark *mark, char why[STATE_WHY_MAX]);

/*
 * Replaces the file (mode 0600) as a whole. `sync`: it is on the disk when this returns. Without
 * it, a loss of power may bring back an older state. 0, or a negative errno.
 */
int state_write(int folder, const struct run_mark *mark, bool sync);

/* What a run that begins at `now` knows of the one that left `mark`. */
void state_compare(const struct run_mark *mark, const struct run_mark *now,
		   struct run_record *record);

#endif
