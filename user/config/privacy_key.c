/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The key of hashed addresses. With the key, addresses can be guessed from their hashes, so nobody
 * else may read it.
 */
#include "config/privacy_key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/trusted.h"

_Static_assert(TRUSTED_WHY_MAX <= PRIVACY_WHY_MAX, "a reason of trusted_open() fits");

#define PATH_SHOWN_MAX 100U /* bytes of a path in a message; a longer one is left out */

static const char *shown(const char *path)
{
	return strlen(path) <= PATH_SHOWN_MAX ? path : "FILE";
}

static int open_error(int error, const char *path, char why[PRIVACY_WHY_MAX])
{
	if (error == ENOENT)
		snprintf(why, PRIVACY_WHY_MAX,
			 "no such file; create it with: (umask 077; head -c 32 /dev/urandom > %s)",
			 shown(path));
	else
		snprintf(why, PRIVACY_WHY_MAX, "cannot be read: %s", strerror(error));
	return -error;
}

static int check(const struct stat *file, const char *path, char why[PRIVACY_WHY_MAX])
{
	if (!S_ISREG(file->st_mode)) {
		snprintf(why, PRIVACY_WHY_MAX, "%s; name a file that contains the key",
			 S_ISDIR(file->st_mode) ? "is a directory" : "not a regular file");
		return -EINVAL;
	}
	if (file->st_uid != 0 && file->st_uid != geteuid()) {
		snprintf(why, PRIVACY_WHY_MAX,
			 "belongs to uid %u, who could read or change it; run: chown root %s",
			 (unsigned int)file->st_uid, shown(path));
		return -EPERM;
	}
	if (file->st_mode & (S_IRWXG | S_IRWXO)) {
		snprintf(why, PRIVACY_WHY_MAX,
			 "users other than its owner have permissions; run: chmod 600 %s",
			 shown(path));
		return -EPERM;
	}
	return 0;
}

/*
 * Reads the whole file, and one byte more if there is one. Returns the length, or a negative errno.
 */
static ssize_t read_all(int fd, unsigned char bytes[PRIVACY_KEY_MAX + 1])
{
	size_t len = 0;
	ssize_t got = 1;

	while (got > 0 && len < PRIVACY_KEY_MAX + 1) {
		got = read(fd, bytes + len, PRIVACY_KEY_MAX + 1 - len);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got < 0)
			got = 1;
		else
			len += (size_t)got;
	}
	return (ssize_t)len;
}

static int take(struct privacy *privacy, const unsigned char *bytes, ssize_t len, const char *path,
		char why[PRIVACY_WHY_MAX])
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (len < 0) {
		snprintf(why, PRIVACY_WHY_MAX, "cannot be read: %s", strerror((int)-len));
		return (int)len;
	}
	if ((size_t)len < PRIVACY_KEY_MIN) {
		snprintf(why, PRIVACY_WHY_MAX,
			 "too short for a key: %zd bytes, needs %u; create one with: head -c 32 "
			 "/dev/urandom > %s",
			 len, PRIVACY_KEY_MIN, shown(path));
		return -EINVAL;
	}
	if ((size_t)len > PRIVACY_KEY_MAX) {
		snprintf(why, PRIVACY_WHY_MAX,
			 "too long for a key, at most %u bytes; create one with: head -c 32 "
			 "/dev/urandom > %s",
			 PRIVACY_KEY_MAX, shown(path));
		return -EFBIG;
	}
	if (EVP_Digest(bytes, (size_t)len, digest, NULL, EVP_sha256(), NULL) != 1) {
		snprintf(why, PRIVACY_WHY_MAX, "libcrypto does not offer SHA-256");
		return -EIO;
	}
	memcpy(privacy->key, digest, sizeof(privacy->key));
	explicit_bzero(digest, sizeof(digest));
	return 0;
}

int privacy_read_key(struct privacy *privacy, const char *path, bool trusted,
		     char why[PRIVACY_WHY_MAX])
{
	int fd = trusted_open_if(trusted, path, why), error;
	unsigned char bytes[PRIVACY_KEY_MAX + 1];
	struct stat file;

	if (fd < 0)
		return fd == -EPERM ? fd : open_error(-fd, path, why);
	error = fstat(fd, &file) ? open_error(errno, path, why) : check(&file, path, why);
	if (!error)
		error = take(privacy, bytes, read_all(fd, bytes), path, why);
	explicit_bzero(bytes, sizeof(bytes));
	close(fd);
	return error;
}
