/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The key file of hashed addresses. */
#ifndef SMTPSNOOP_PRIVACY_KEY_H
#define SMTPSNOOP_PRIVACY_KEY_H

#include "policy/privacy_address.h"

#define PRIVACY_KEY_MIN 16U /* bytes */
#define PRIVACY_KEY_MAX 4096U
#define PRIVACY_WHY_MAX 400U /* bytes of a reason, its NUL included */

/*
 * Reads the key: a regular file of PRIVACY_KEY_MIN to PRIVACY_KEY_MAX bytes, owned by root or the
 * caller, with no permission for group and others. `trusted`: and one that nobody else can replace
 * (base/trusted.h). Returns 0 or a negative errno. After an error
 * the key is untouched, and `why` is one clause, without the path, that says what is wrong and what
 * to do. -EINVAL: not a regular file, or too short; -EFBIG: too long; -EPERM: owner or permissions;
 * -EIO: no SHA-256; otherwise an error of open() or read().
 */
int privacy_read_key(struct privacy *privacy, const char *path, bool trusted,
		     char why[PRIVACY_WHY_MAX]);

#endif
