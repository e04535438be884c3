/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is hidden in events, or shown only as a keyed hash: the local parts of addresses, and
 * subjects.
 */
#ifndef SMTPSNOOP_PRIVACY_H
#define SMTPSNOOP_PRIVACY_H

#include <stdbool.h>

struct event;

enum privacy_addresses {
	PRIVACY_FULL,	/* as they are */
	PRIVACY_DOMAIN, /* "@corp.example"; "@" of one without a domain */
	/* "hmac-sha256:" and 32 hexadecimal digits; the same address is the same everywhere */
	PRIVACY_HASH,
};

#define PRIVACY_KEY_MIN 16U /* bytes */
#define PRIVACY_KEY_MAX 4096U
#define PRIVACY_WHY_MAX 320U /* bytes of a reason, its NUL included */

/* Zeroed: everything is shown. */
struct privacy {
	enum privacy_addresses addresses;
	bool subject_hidden;
	unsigned char key[32]; /* for PRIVACY_HASH: the SHA-256 of the key file's bytes */
};

/*
 * Reads the key: a regular file of PRIVACY_KEY_MIN to PRIVACY_KEY_MAX bytes, owned by root or the
 * caller, with no permission for group and others. 0, or a negative errno with `why` one clause
 * without the path in front: what is wrong, and what to do; the key is untouched then. -EINVAL: no
 * regular file, or too short; -EFBIG: too long; -EPERM: owner or permissions; -EIO: no SHA-256;
 * else what open() or read() said.
 */
int privacy_read_key(struct privacy *privacy, const char *path, char why[PRIVACY_WHY_MAX]);

/*
 * Hides the addresses and the subject of an event. Call it once, after the event was decided. What
 * it shares with others (senders, images) is replaced by copies. False if there was no memory: then
 * the event must not be written.
 */
bool privacy_apply(const struct privacy *privacy, struct event *event);

#endif
