/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The file behind a mapping: what it is, opened without trusting a path; and who mapped it. */
#ifndef SMTPSNOOP_LIBRARY_FILE_H
#define SMTPSNOOP_LIBRARY_FILE_H

#include "capture/mapping.h"
#include "capture/verdicts.h"

/*
 * What a process has mapped at this place. 0, or a negative errno: -ENOENT, nothing is mapped at
 * exactly this place (any more), or the process is gone; -ENODEV: it is no regular file.
 */
int library_file_mapped(uint32_t pid, uint64_t start, uint64_t end, struct file_identity *identity);

/* What a path leads to. 0 or a negative errno. */
int library_file_at(const char *path, struct file_identity *identity);

/* The device of a mapping's file system, as stat(2) gives it (most file systems). */
uint64_t library_file_device(const struct mapping *mapping);

/*
 * Opens the file of a mapping for reading, and tells what it is. /proc/PID/map_files leads to the
 * file itself, also if it was deleted or is in another mount namespace. If the mapping has changed
 * or the process is gone, the path is only a hint: device and inode must be those of the mapping.
 * Returns a descriptor, or a negative errno; -EXDEV: the file is on a file system that a process
 * serves (FUSE), which could make a read take forever.
 */
int library_file_open(uint32_t pid, const struct mapping *mapping, struct file_identity *identity);

/* The same for a path that root has chosen. */
int library_file_open_path(const char *path, struct file_identity *identity);

/* What an open file is now. 0 or a negative errno. */
int library_file_identify(int fd, struct file_identity *identity);

/*
 * Who pays for a process's files: its real user, or whoever made its user namespace, the outermost
 * one if there are several, because anyone can make these with many users. VERDICT_OTHER_USER: the
 * process is gone.
 */
uint32_t library_file_user(uint32_t pid);

#endif
