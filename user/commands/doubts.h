/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What makes an exclusion trust more than its author may think. */
#ifndef SMTPSNOOP_DOUBTS_H
#define SMTPSNOOP_DOUBTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "policy/exclusion.h"

/* One line, without a line feed. It may contain bytes of the configuration. */
typedef void (*doubt_fn)(void *context, const char *doubt);

/*
 * Reports programs in folders that any user can write, in hidden folders, deleted or only in
 * memory; interpreters that run as root; accounts that many programs share; recipients at public
 * mail providers. Each kind once, with the first value that shows it.
 */
void exclusion_doubts(const struct exclusion *exclusion, doubt_fn on_doubt, void *context);

/*
 * The length of the part of an absolute path that names a folder which any user can write: a known
 * one such as /tmp, or one of this host. 0: there is none.
 */
size_t path_writable_by_any(const char *path);

/* Whether the path is that of a file that was deleted or is in memory, as the kernel writes it. */
bool path_is_no_file(const char *path);

/* Whether anyone can get an address at this domain. */
bool domain_is_public(struct span domain);

#endif
