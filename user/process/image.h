/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The image of a process, made of an exec record. */
#ifndef SMTPSNOOP_IMAGE_H
#define SMTPSNOOP_IMAGE_H

#include "process/identity.h"
#include "base/text.h"

/*
 * A new reference, NULL if there is no memory. The record was checked by record_valid().
 *   executable  absolute; ".../tail" if the part nearest the root is not known
 *(EXEC_PATH_TRUNCATED); without a leading slash if it hangs in no file system (EXEC_MEMFD:
 *"memfd:name") script	 as it was named, to the kernel or to the interpreter; made absolute by the
 *working directory and without "." components (".." stays: what is before it may be a symbolic
 *		 link); ".../tail" if the directory is not known; "..." if a script was run but its
 *name is not known; "" if none was run directory	 "" if it is not known
 *   args	 ends with a NUL that is counted, if there are any
 */
struct image *image_of_exec(const struct exec_record *record);

/* The memory that an image takes, roughly. */
size_t image_bytes(const struct image *image);

/* Adds the arguments, a blank between each. */
void image_command_line(const struct image *image, struct text *out);

#endif
