/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Opens files whose content decides something, and refuses those that other users could change. */
#ifndef SMTPSNOOP_TRUSTED_H
#define SMTPSNOOP_TRUSTED_H

#include <stdbool.h>

#define TRUSTED_WHY_MAX 400U

/*
 * Opens a file or a folder for reading. `path` may be relative. Never waits for the other end of a
 * FIFO. Returns the descriptor, which is the caller's, or a negative errno with one clause in `why`
 * that says where, why, and what to do.
 *
 * -EPERM: a user other than root and the one who runs this (the effective uid) could change the
 * content or put another file in its place. The rules are those of sudoers(5), and they hold for
 * the file, for each folder on the way from "/", and for each symbolic link:
 *   - the owner is root or the running user;
 *   - nobody else can write, except a group with the id 0. A folder with the sticky bit may be
 *     writable: what others put there is not theirs to replace, and an entry of theirs is refused
 *     by its owner.
 */
int trusted_open(const char *path, char why[TRUSTED_WHY_MAX]);

/* The same; `trusted` false: without these rules. */
int trusted_open_if(bool trusted, const char *path, char why[TRUSTED_WHY_MAX]);

#endif
