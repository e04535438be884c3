/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The mappings of a process, as a line of /proc/PID/maps tells them. Pure code. */
#ifndef SMTPSNOOP_MAPPING_H
#define SMTPSNOOP_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A mapping of a file. */
struct mapping {
	uint64_t start, end;
	uint64_t inode;
	uint32_t major, minor; /* of the file system; stat(2) may report another device (btrfs) */
	bool executable;
	const char *path; /* borrowed; whoever runs the process can forge it: for display alone */
};

/*
 * Reads a line, without its newline, NUL-terminated. False: it is malformed, or nothing that can
 * be opened is mapped there (no inode).
 */
bool mapping_parse(const char *line, struct mapping *mapping);

/*
 * Splits a piece of /proc/PID/maps into lines and gives each executable mapping of a file.
 * `text` is overwritten. Returns how many bytes were used: an incomplete line at the end is not.
 */
size_t mapping_each(char *text, size_t len, void (*give)(void *context, const struct mapping *),
		    void *context);

#endif
