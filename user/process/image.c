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

/* Of an argument that was cut, less than this is left out. */
#define ARGS_PARTIAL_MIN (EXEC_ARGS_MAX / 2)

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

char *path_of_components(const char *leaf_first, size_t len, bool cut)
{
	return path_join(leaf_first, len, cut ? UNKNOWN : "");
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
	return path_of_components(data, record->cwd_len, cut);
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

/* Goes from a directory to what a path names from there. */
static void descend(struct text *directory, struct span path)
{
	if (!path.len)
		return;
	if (path.data[0] == '/')
		text_clear(directory);
	else
		text_add_string(directory, "/");
	text_add(directory, path);
}

/* NULL if there is no memory. */
static char *script_path(const struct script *script, const char *directory)
{
	struct text path = {0};

	text_add_string(&path, directory);
	descend(&path, script->folder);
	descend(&path, script->name);
	if (path.failed) {
		text_free(&path);
		return NULL;
	}
	path_tidy(path.data);
	return path.data;
}

/* What the arguments say. NULL if there is no memory. */
static char *script_name(const struct script *script, const struct image *image)
{
	char *name = NULL;

	switch (script->kind) {
	case SCRIPT_NONE: break;
	case SCRIPT_BEHIND: return strdup(image->flags & EXEC_ARGS_TRUNCATED ? UNKNOWN : "");
	case SCRIPT_FILE:
		return script_path(script, image->directory[0] ? image->directory : UNKNOWN);
	case SCRIPT_SEARCHED: return script_path(script, UNKNOWN);
	case SCRIPT_URL: return strndup(script->name.data, script->name.len);
	case SCRIPT_MODULE:
		return asprintf(&name, "-m %.*s", (int)script->name.len, script->name.data) < 0
			       ? NULL
			       : name;
	}
	return strdup("");
}

/*
 * The script: by the kernel, if it ran an interpreter for a script; otherwise by the arguments.
 * `args`: the complete ones. NULL if there is no memory.
 */
static char *script_of(const struct exec_record *record, const struct image *image,
		       struct span args)
{
	const char *filename = record->data + record->exe_len,
		   *interp = filename + record->filename_len;
	/* Without a NUL if it is not known. */
	const struct span name = {filename, strnlen(filename, record->filename_len)};
	struct script script = {.kind = SCRIPT_FILE, .name = name, .folder = {"", 0}};

	if (!is_script(record, filename, interp))
		script = script_of_args(span_of(image->executable), args);
	else if (record->filename_len >= FILENAME_CUT)
		return strdup(UNKNOWN);
	return script_name(&script, image);
}

/* ---- The arguments --------------------------------------------------------------------------- */

/* The arguments without the one that was cut, if one was. */
static struct span complete_args(const struct exec_record *record, const char *args)
{
	const struct span all = {args, record->args_len};
	const char *nul = all.len ? memrchr(args, '\0', all.len) : NULL;

	if (!(record->flags & EXEC_ARGS_TRUNCATED))
		return all;
	return (struct span){args, nul ? (size_t)(nul + 1 - args) : 0};
}

/* The beginning of an argument that was cut: behind a blank, or else behind a character. */
static struct span beginning(struct span arg)
{
	size_t len = arg.len;

	while (len && !strchr(" \t\n", arg.data[len - 1]))
		len--;
	if (len)
		return (struct span){arg.data, len};
	for (len = arg.len; len && ((unsigned char)arg.data[len - 1] & 0xc0) == 0x80;)
		len--;
	if (len && (unsigned char)arg.data[len - 1] >= 0xc0)
		len--;
	return (struct span){arg.data, len};
}

/*
 * Copies the arguments, each with its NUL. Of one that was cut, the beginning is kept if it is
 * long: most of what could be kept.
 */
static bool set_args(struct image *image, struct span args, struct span cut)
{
	struct text copy = {0};

	text_add(&copy, args);
	if (args.len && args.data[args.len - 1])
		text_add(&copy, (struct span){"", 1});
	image->args_partial = cut.len >= ARGS_PARTIAL_MIN;
	if (image->args_partial) {
		text_add(&copy, beginning(cut));
		text_add(&copy, (struct span){UNKNOWN, sizeof(UNKNOWN)});
	}
	text_add(&copy, span_of("")); /* there is a string, even without arguments */
	image->args = copy.data;
	image->args_len = copy.len;
	return !copy.failed;
}

/* How many there were; 0: not known. */
static uint32_t count_args(const struct exec_record *record, const struct image *image)
{
	if (record->flags & EXEC_ARGS_COUNTED)
		return record->args_count;
	return record->flags & EXEC_ARGS_TRUNCATED
		       ? 0
		       : (uint32_t)component_count(image->args, image->args_len);
}

struct image *image_of_exec(const struct exec_record *record)
{
	const char *cwd =
		record->data + record->exe_len + record->filename_len + record->interp_len;
	const struct span args = complete_args(record, cwd + record->cwd_len);
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
	if (image->executable && image->directory &&
	    set_args(image, args, (struct span){args.data + args.len, record->args_len - args.len}))
		image->script = script_of(record, image, args);
	if (!image->script) {
		image_unref(image);
		return NULL;
	}
	image->args_count = count_args(record, image);
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

size_t sender_bytes(const struct sender *sender)
{
	size_t bytes = sizeof(*sender) + (sender->image ? image_bytes(sender->image) : 0) +
		       (sender->cgroup ? strlen(sender->cgroup) : 0) +
		       (sender->directory ? strlen(sender->directory) : 0);

	for (uint32_t i = 0; i < sender->ancestor_count; i++) {
		if (sender->ancestors[i].image)
			bytes += image_bytes(sender->ancestors[i].image);
	}
	return bytes;
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
	if (image->flags & EXEC_ARGS_TRUNCATED && !image->args_partial)
		text_add_string(out, " " UNKNOWN);
}
