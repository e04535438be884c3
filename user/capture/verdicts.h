/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of each file that was mapped, so that each is examined once; and what each user may
 * still cost. Pure code: the caller gives the time, of one clock that only advances.
 */
#ifndef SMTPSNOOP_VERDICTS_H
#define SMTPSNOOP_VERDICTS_H

#include <stdbool.h>
#include <stdint.h>

/* As stat(2) tells them. A file that was written has another ctime or size. */
struct file_identity {
	uint64_t device;
	uint64_t inode;
	uint64_t ctime_ns; /* wall clock */
	uint64_t mtime_ns;
	uint64_t size; /* bytes */
	uint32_t owner;
	bool overlay; /* seen through an overlay: the same file may have other numbers elsewhere */
};

#define VERDICTS_MAX	   8192U /* files */
#define VERDICT_USERS_MAX  256U	 /* further users share one account */
#define VERDICT_OTHER_USER UINT32_MAX

/*
 * Examinations may take this much time of a user's account at once, and then this share of the time
 * that passes.
 */
#define EXAMINE_BURST_NS 1000000000ULL
#define EXAMINE_SHARE	 20U /* a twentieth */
#define EXAMINE_MIN_NS                                                                             \
	100000ULL /* each costs at least this: at most 500 a second in the long run */

enum verdict {
	VERDICT_NOTHING, /* no TLS library */
	VERDICT_LIBRARY, /* one, which `library` describes */
	VERDICT_REFUSED, /* one, but the user has too many */
};

struct library;

struct file_verdict {
	struct file_identity identity;
	uint64_t checked_ns;	 /* when the file was last seen to be unchanged */
	uint64_t examined_ns;	 /* the same clock */
	struct library *library; /* of VERDICT_LIBRARY; borrowed */
	enum verdict verdict;
	uint32_t user;	  /* who made it known */
	bool settled;	  /* its ctime was old enough to tell a later write */
	uint32_t next;	  /* private */
	uint64_t used_ns; /* private */
	bool in_use;	  /* private */
};

struct verdicts;

struct verdicts *verdicts_new(void); /* NULL: no memory */
void verdicts_free(struct verdicts *verdicts);

/*
 * The verdict on the file with this device and inode, or NULL. It may be about earlier content:
 * compare with file_same(). Valid until the next verdicts_put() or verdicts_remove().
 */
struct file_verdict *verdicts_find(struct verdicts *verdicts, uint64_t device, uint64_t inode,
				   uint64_t now_ns);

/* Whether this is the same file with the same content, as far as stat(2) can tell. */
bool file_same(const struct file_identity *a, const struct file_identity *b);

/*
 * Whether it is the same file, seen through different mounts of an overlay (or through none):
 * numbers that no copy shares.
 */
bool file_same_below(const struct file_identity *a, const struct file_identity *b);

/*
 * Adds a verdict, or replaces the one on the same file. If the table is full, the verdict that was
 * not used for longest is dropped, of the user who has most. Verdicts with a library stay.
 * `real_ns`: the wall clock. NULL: all stay, nothing was added.
 */
struct file_verdict *verdicts_put(struct verdicts *verdicts, const struct file_identity *identity,
				  enum verdict verdict, uint32_t user, uint64_t now_ns,
				  uint64_t real_ns);

void verdicts_remove(struct verdicts *verdicts, struct file_verdict *verdict);

uint32_t verdicts_count(const struct verdicts *verdicts);

/* Whether the user may have another file examined now. */
bool verdicts_may_examine(struct verdicts *verdicts, uint32_t user, uint64_t now_ns);

/* The examination took that long. */
void verdicts_charge(struct verdicts *verdicts, uint32_t user, uint64_t took_ns);

/* Of a user's libraries: how many there are, and a change by +1 or -1. */
uint32_t verdicts_libraries(struct verdicts *verdicts, uint32_t user);
void verdicts_count_library(struct verdicts *verdicts, uint32_t user, int change);

#endif
