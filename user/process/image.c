/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "process/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process/script.h"

/* Stands for the unknown part of a path. A glob that begins with '/' does not match it. */
#define UNKNOWN "..."

/* The kernel side truncates these strings; only their lengths show it (bpf/process.bpf.h). */
#define FILENAME_CUT 1024U
#define INTERP_CUT   256U
#define CWD_CUT	     3072U

/* ---- Paths ----------------------------------------------------------------------------------- */

/* Components in the kernel's order, leaf first, each with its NUL. Returns their number. */
static size_t component_count(const char *data, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += !data[i];
	return count;
}

/*
 * "msmtp\0bin\0usr\0" becomes root + "/usr/bin/msmtp". Empty components are skipped: they stand for
 * the root directory itself. NULL if there is no memory.
 */
static char *path_join(const char *leaf_first, size_t len, const char *root)
{
	size_t at = strlen(root), end = len;
	char *path = malloc(at + len + 2);

	if (!path)
		return NULL;
	memcpy(path, root, at);
	while (end) {
		size_t start = end - 1; /* on the component's NUL */

		while (start && leaf_first[start - 1])
			start--;
		if (end - 1 > start) {
			path[at++] = '/';
			memcpy(path + at, leaf_first + start, end - 1 - start);
			at += end - 1 - start;
		}
		end = start;
	}
	if (!at)
		path[at++] = '/';
	path[at] = '\0';
	return path;
}

/* Removes empty and "." components. */
static void path_tidy(char *path)
{
	const char *from = path;
	char *to = path;

	while (*from) {
		size_t len = strcspn(from, "/");

		if (len && !(len == 1 && from[0] == '.')) {
			if (from != path)
				*to++ = '/';
			memmove(to, from, len);
			to += len;
		}
		from += len;
		from += *from == '/';
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

/* ---- The parts of an exec record ------------------------------------------------------------- */

/*
 * A file outside of any file system (memfd) has a name that its creator chose, with any bytes in
 * it. It must not look like a path.
 */
static char *executable_of(const struct exec_record *record)
{
	char *path;

	if (!record->exe_len)
		return strdup(record->flags & EXEC_PATH_TRUNCATED ? UNKNOWN : "");
	path = path_join(record->data, record->exe_len,
			 record->flags & EXEC_PATH_TRUNCATED ? UNKNOWN : "");
	if (path && record->flags & EXEC_MEMFD)
		memmove(path, path + strspn(path, "/"), strlen(path + strspn(path, "/")) + 1);
	return path;
}

/*
 * The kernel side reports the root directory as no component at all, and does not say when it
 * stopped before the root. The reader of /proc reports the root as an empty component, and nothing
 * if the directory is not known.
 */
static char *directory_of(const struct exec_record *record, const char *data)
{
	const bool snapshot = record->flags & EXEC_SNAPSHOT;
	const bool cut = !snapshot && (record->cwd_len > CWD_CUT ||
				       component_count(data, record->cwd_len) >= PATH_DEPTH_MAX);

	if (snapshot && !record->cwd_len)
		return strdup("");
	return path_join(data, record->cwd_len, cut ? UNKNOWN : "");
}

/*
 * For a script the kernel runs an interpreter: then the file that was asked for and the file that
 * ran differ. Otherwise both are the same string, although perhaps truncated at different lengths.
 */
static bool is_script(const struct exec_record *record, const char *filename, const char *interp)
{
	const size_t len = record->interp_len;

	if (record->filename_len < 2 || len < 2)
		return false;
	if (len > record->filename_len || memcmp(filename, interp, len - 1) != 0)
		return true;
	return len != record->filename_len && len != INTERP_CUT;
}

/*
 * The script's name: from the kernel, if it ran an interpreter for a script; otherwise from the
 * interpreter's arguments. Empty: there is none. UNKNOWN: the name was truncated.
 */
static struct span script_name(const struct exec_record *record, struct span executable,
			       struct span args)
{
	const char *filename = record->data + record->exe_len,
		   *interp = filename + record->filename_len;
	struct span name;

	if (is_script(record, filename, interp))
		return span_of(record->filename_len < FILENAME_CUT ? filename : UNKNOWN);
	name = script_of_args(executable, args);
	if (name.len && name.data + name.len == args.data + args.len &&
	    record->flags & EXEC_ARGS_TRUNCATED)
		return span_of(UNKNOWN);
	return name;
}

static char *script_of(struct span name, const char *directory)
{
	char *script = NULL;
	int len;

	if (!name.len || span_equal(name, span_of(UNKNOWN)))
		return strndup(name.data, name.len);
	if (name.data[0] == '/')
		len = asprintf(&script, "%.*s", (int)name.len, name.data);
	else
		len = asprintf(&script, "%s/%.*s", directory[0] ? directory : UNKNOWN,
			       (int)name.len, name.data);
	if (len < 0)
		return NULL;
	path_tidy(script);
	return script;
}

/*
 * Copies the arguments. The last NUL is missing if they were truncated or overwritten, so one is
 * added.
 */
static bool set_args(struct image *image, const char *args, size_t len)
{
	image->args = calloc(1, len + 2);
	if (!image->args)
		return false;
	memcpy(image->args, args, len);
	image->args_len = len + (len && args[len - 1]);
	return true;
}

struct image *image_of_exec(const struct exec_record *record)
{
	const char *cwd =
		record->data + record->exe_len + record->filename_len + record->interp_len;
	const char *args = cwd + record->cwd_len;
	struct image *image = calloc(1, sizeof(*image));

	if (!image)
		return NULL;
	image->refs = 1;
	image->exec_ns = record->exec_ns;
	image->inode = record->inode;
	image->ctime_ns = record->ctime_ns;
	image->size = record->size;
	image->dev = record->dev;
	image->flags = record->flags;
	image->executable = executable_of(record);
	image->directory = directory_of(record, cwd);
	if (image->directory && image->executable)
		image->script = script_of(script_name(record, span_of(image->executable),
						      (struct span){args, record->args_len}),
					  image->directory);
	if (!image->executable || !image->directory || !image->script ||
	    !set_args(image, args, record->args_len)) {
		image_unref(image);
		return NULL;
	}
	return image;
}

struct span image_executable(const struct image *image, bool root)
{
	if (!image || image->flags & EXEC_PATH_TRUNCATED || (image->flags & EXEC_SNAPSHOT && !root))
		return (struct span){NULL, 0};
	if (image->flags & (EXEC_MEMFD | EXEC_DELETED)) /* the file has no path */
		return span_of("");
	return span_of(image->executable);
}

bool image_is_verified(const struct image *image, bool root)
{
	return image_executable(image, root).data;
}

size_t image_bytes(const struct image *image)
{
	const size_t overhead = 10 * sizeof(void *); /* malloc's own bookkeeping and rounding */

	return sizeof(*image) + strlen(image->executable) + strlen(image->script) +
	       strlen(image->directory) + image->args_len + overhead;
}

void image_command_line(const struct image *image, struct text *out)
{
	for (size_t at = 0; at < image->args_len;) {
		struct span arg = {image->args + at,
				   strnlen(image->args + at, image->args_len - at)};

		if (at)
			text_add_string(out, " ");
		text_add(out, arg);
		at += arg.len + 1;
	}
}
