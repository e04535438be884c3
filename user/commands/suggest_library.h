/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SMTPSNOOP_SUGGEST_LIBRARY_H
#define SMTPSNOOP_SUGGEST_LIBRARY_H

/*
 * Writes the exclusions of a folder that fit this host, as one configuration, to standard output.
 * `folder` NULL: the library that belongs to this program. Returns the program's exit status.
 */
int suggest_library(const char *folder);

#endif
