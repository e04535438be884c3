/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The image of a process, created from an exec record. */
#ifndef SMTPSNOOP_IMAGE_H
#define SMTPSNOOP_IMAGE_H

#include <stdbool.h>

#include "base/span.h"
#include "base/text.h"
#include "process/identity.h"

/*
 * Creates an image with one reference; NULL if there is no memory. The record was checked by
 * record_valid(). The strings of an image:
 *
 * executable: absolute. ".../tail" if the part next to the root is not known (EXEC_PATH_TRUNCATED).
 * Without a leading slash if the file is in no file system (EXEC_MEMFD: "memfd:name").
 *
 * script: the name that the kernel or the interpreter was given, made absolute with the working
 * directory, without "." components. ".." stays, because the component before it may be a symbolic
 * link. ".../tail" if the directory is not known; "..." if a script was run but its name is not
 * known; "" if none was run. "-m NAME" of a module; a URL is as it was given.
 *
 * directory: "" if it is not known.
 *
 * args: each ends with a NUL that args_len counts. If they were cut (EXEC_ARGS_TRUNCATED), only
 * complete ones are there; but of an argument of which much is known the beginning is there, with
 * "..." behind it (args_partial).
 */
struct image *image_of_exec(const struct exec_record *record);

/*
 * A path from the components of a record, leaf first, each with its NUL: "/srv/reports", or
 * ".../reports" if the part next to the root is missing (`cut`). The caller frees it. NULL if there
 * is no memory.
 */
char *path_of_components(const char *leaf_first, size_t len, bool cut);

/*
 * The executable as of exec; unknown (data NULL) if the image is NULL or its path was truncated,
 * empty if the file has no path. `root`: the process runs as root. For a process older than the
 * watch the path comes from the exe link, which anyone but root may have changed; so it is unknown
 * unless `root` is true.
 */
struct span image_executable(const struct image *image, bool root);

/* Whether image_executable() is known. */
bool image_is_verified(const struct image *image, bool root);

/* The bytes of memory that an image uses, approximately. */
size_t image_bytes(const struct image *image);

/* The bytes that a sender uses, with each image that it refers to, approximately. */
size_t sender_bytes(const struct sender *sender);

/* Appends the arguments, separated by blanks; "..." at the end if there were more. */
void image_command_line(const struct image *image, struct text *out);

#endif
