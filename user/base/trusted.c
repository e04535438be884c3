/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the path is walked from "/" by hand, one component at a time, each opened
 * relative to the folder before it and never through a symbolic link. So what is examined is what
 * is used, whoever renames things meanwhile. A link's target replaces the link in what is left of
 * the path.
 */
#include "base/trusted.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LINKS_MAX 40U  /* as the kernel's */
#define SHOWN_MAX 130U /* bytes of a path in a message */
#define OPEN_FILE (O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

struct walk {
	char left[2 * PATH_MAX]; /* of the path */
	char at[PATH_MAX];	 /* the folder that `folder` is, without a slash at its end */
	int folder;
	unsigned int links;
	char *why;
};

static int fail(struct walk *walk, int error)
{
	snprintf(walk->why, TRUSTED_WHY_MAX, "%s", strerror(error));
	return -error;
}

/* The path of an entry of the folder; of the folder itself, if `name` is empty. Its end, if long.
 */
static const char *place(const struct walk *walk, const char *name, char shown[SHOWN_MAX + 1])
{
	char path[PATH_MAX + NAME_MAX + 2];
	size_t len;

	snprintf(path, sizeof(path), "%s%s%s", walk->at, name[0] || !walk->at[0] ? "/" : "", name);
	len = strlen(path);
	if (len <= SHOWN_MAX)
		memcpy(shown, path, len + 1);
	else
		snprintf(shown, SHOWN_MAX + 1, "...%s", path + len - (SHOWN_MAX - 3));
	return shown;
}

/* An access control list: its users may write although the mode names the group of root. */
static bool has_list(int fd)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return getxattr(path, "system.posix_acl_access", NULL, 0) > 0;
}

/* 0, or -EPERM if others could change it. */
static int examine(struct walk *walk, int fd, const struct stat *info, const char *name)
{
	bool folder = S_ISDIR(info->st_mode), sticky = folder && info->st_mode & S_ISVTX;
	const char *effect = folder ? " and replace what is in it" : "";
	unsigned int mode = info->st_mode & 07777;
	/* The bits of a link mean nothing; what others put into a sticky folder is theirs. */
	unsigned int writable = S_ISLNK(info->st_mode) || sticky ? 0 : mode & (S_IWGRP | S_IWOTH);
	char path[SHOWN_MAX + 1];

	place(walk, name, path);
	if (info->st_uid != 0 && info->st_uid != geteuid())
		snprintf(walk->why, TRUSTED_WHY_MAX,
			 "%s belongs to uid %u, who can change it; run: chown -h root %s", path,
			 info->st_uid, path);
	else if (writable & S_IWOTH)
		snprintf(walk->why, TRUSTED_WHY_MAX,
			 "%s has mode %04o: any user can write it%s; run: chmod o-w %s", path, mode,
			 effect, path);
	else if (writable && info->st_gid != 0)
		snprintf(walk->why, TRUSTED_WHY_MAX,
			 "%s has mode %04o: gid %u can write it%s; run: chmod g-w %s", path, mode,
			 info->st_gid, effect, path);
	else if (writable && has_list(fd))
		snprintf(walk->why, TRUSTED_WHY_MAX,
			 "%s has an access control list: others can write it%s; run: setfacl -b %s",
			 path, effect, path);
	else
		return 0;
	return -EPERM;
}

/* Takes the next component off what is left. False: there is none. */
static bool next_component(struct walk *walk, char name[NAME_MAX + 1])
{
	size_t skipped = strspn(walk->left, "/"), len = strcspn(walk->left + skipped, "/");

	if (!len || len > NAME_MAX)
		return false;
	memcpy(name, walk->left + skipped, len);
	name[len] = '\0';
	memmove(walk->left, walk->left + skipped + len, strlen(walk->left + skipped + len) + 1);
	return true;
}

/* Goes into a folder, whose descriptor it takes. */
static int enter(struct walk *walk, int fd, const char *name)
{
	char *slash = strrchr(walk->at, '/');
	size_t len = strlen(walk->at);

	if (walk->folder >= 0)
		close(walk->folder);
	walk->folder = fd;
	if (strcmp(name, "..") == 0 && slash)
		*slash = '\0';
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || !name[0])
		return 0;
	return snprintf(walk->at + len, sizeof(walk->at) - len, "/%s", name) <
			       (int)(sizeof(walk->at) - len)
		       ? 0
		       : fail(walk, ENAMETOOLONG);
}

static int enter_root(struct walk *walk)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat info;

	if (fd < 0)
		return fail(walk, errno);
	walk->at[0] = '\0';
	enter(walk, fd, "");
	return fstat(fd, &info) ? fail(walk, errno) : examine(walk, fd, &info, "");
}

/* Puts the target of a symbolic link in front of what is left. */
static int follow(struct walk *walk, int fd)
{
	char target[2 * PATH_MAX];
	ssize_t len = readlinkat(fd, "", target, PATH_MAX);
	size_t left = strlen(walk->left);

	if (len < 0)
		return fail(walk, errno);
	if (len == 0 || ++walk->links > LINKS_MAX)
		return fail(walk, ELOOP);
	if ((size_t)len + left >= sizeof(walk->left))
		return fail(walk, ENAMETOOLONG);
	memcpy(target + len, walk->left, left + 1);
	memcpy(walk->left, target, (size_t)len + left + 1);
	return walk->left[0] == '/' ? enter_root(walk) : 0;
}

/* Opens the entry where the path ends. */
static int open_last(struct walk *walk, const char *name)
{
	int fd = openat(walk->folder, name, OPEN_FILE), error;
	struct stat info;

	if (fd < 0)
		return fail(walk, errno);
	error = fstat(fd, &info) ? fail(walk, errno) : examine(walk, fd, &info, name);
	if (!error)
		return fd;
	close(fd);
	return error;
}

/* One component. 0: go on. Otherwise the descriptor of what was to be opened, or a negative errno.
 */
static int step(struct walk *walk, const char *name)
{
	int fd = openat(walk->folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), result;
	struct stat info;

	if (fd < 0)
		return fail(walk, errno);
	if (fstat(fd, &info)) {
		result = fail(walk, errno);
	} else if (S_ISLNK(info.st_mode)) {
		result = examine(walk, fd, &info, name);
		if (!result)
			result = follow(walk, fd);
	} else if (!S_ISDIR(info.st_mode)) {
		result = walk->left[strspn(walk->left, "/")] ? fail(walk, ENOTDIR)
							     : open_last(walk, name);
	} else {
		result = examine(walk, fd, &info, name);
		if (!result)
			return enter(walk, fd, name);
	}
	close(fd);
	return result;
}

static int begin(struct walk *walk, const char *path)
{
	char here[PATH_MAX] = "";

	if (path[0] != '/' && !getcwd(here, sizeof(here)))
		return fail(walk, errno);
	if (snprintf(walk->left, sizeof(walk->left), "%s/%s", here, path) >=
	    (int)sizeof(walk->left))
		return fail(walk, ENAMETOOLONG);
	return path[0] ? enter_root(walk) : fail(walk, ENOENT);
}

int trusted_open(const char *path, char why[TRUSTED_WHY_MAX])
{
	struct walk walk = {.folder = -1, .why = why};
	char name[NAME_MAX + 1];
	int result = begin(&walk, path);

	while (!result && next_component(&walk, name))
		result = step(&walk, name);
	if (!result && walk.left[strspn(walk.left, "/")])
		result = fail(&walk, ENAMETOOLONG);
	if (!result) { /* the path is that of a folder, which was examined */
		result = openat(walk.folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (result < 0)
			result = fail(&walk, errno);
	}
	if (walk.folder >= 0)
		close(walk.folder);
	return result;
}

int trusted_open_if(bool trusted, const char *path, char why[TRUSTED_WHY_MAX])
{
	int fd;

	if (trusted)
		return trusted_open(path, why);
	fd = open(path, OPEN_FILE & ~O_NOFOLLOW);
	if (fd >= 0)
		return fd;
	fd = -errno;
	snprintf(why, TRUSTED_WHY_MAX, "%s", strerror(errno));
	return fd;
}
