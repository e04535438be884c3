/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "capture/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_SIZE 262144U

struct recording {
	FILE *file;
	char buffer[BUFFER_SIZE];
	uint64_t left;	    /* bytes that may still be written */
	uint64_t decrypted; /* sessions under TLS whose plaintext was written */
	bool full;
	int error;
};

static bool is_folder(const char *path)
{
	int error = errno;
	struct stat info;
	bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);

	errno = error;
	return folder;
}

int recording_create(struct recording **out, const char *path, char *why)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), error;
	struct recording *recording;

	if (fd < 0) {
		error = -errno;
		snprintf(why, RECORDING_WHY_MAX, "%s%s",
			 is_folder(path) ? "is a directory" : strerror(errno),
			 is_folder(path)   ? "; name a file in it"
			 : errno == EEXIST ? "; remove it or choose another name"
					   : "");
		return error;
	}
	recording = calloc(1, sizeof(*recording));
	if (recording)
		recording->file = fdopen(fd, "w");
	if (!recording || !recording->file) {
		snprintf(why, RECORDING_WHY_MAX, "%s", strerror(ENOMEM));
		close(fd);
		free(recording);
		return -ENOMEM;
	}
	recording->left = UINT64_MAX;
	setvbuf(recording->file, recording->buffer, _IOFBF, BUFFER_SIZE);
	if (fputs(RECORDING_MAGIC, recording->file) == EOF)
		recording->error = -errno;
	*out = recording;
	return 0;
}

void recording_bound(struct recording *recording, uint64_t bytes)
{
	recording->left = bytes - strlen(RECORDING_MAGIC);
}

bool recording_is_full(const struct recording *recording)
{
	return recording->full;
}

int recording_write(struct recording *recording, const struct record *record)
{
	if (recording->error)
		return recording->error;
	recording->full = record->len > recording->left;
	if (recording->full)
		recording->error = -EFBIG;
	else if (fwrite(record, record->len, 1, recording->file) != 1)
		recording->error = errno ? -errno : -EIO;
	else
		recording->left -= record->len;
	if (!recording->error && record->type == RECORD_TLS)
		recording->decrypted++;
	return recording->error;
}

uint64_t recording_decrypted(const struct recording *recording)
{
	return recording->decrypted;
}

int recording_close(struct recording *recording)
{
	int error;

	if (!recording)
		return 0;
	error = recording->full ? 0 : recording->error;
	if (fclose(recording->file) && !error)
		error = -errno;
	free(recording);
	return error;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Reads one record into `buffer`. 1, 0 at the end of the file, or a negative errno. */
static int read_record(FILE *file, struct record *buffer)
{
	size_t n = fread(buffer, 1, sizeof(*buffer), file);

	if (n == 0 && feof(file))
		return 0;
	if (n != sizeof(*buffer))
		return ferror(file) ? -EIO : -ENODATA;
	if (buffer->len < sizeof(*buffer) || buffer->len > RECORDING_RECORD_MAX)
		return -EBADMSG;
	if (fread(buffer + 1, 1, buffer->len - sizeof(*buffer), file) !=
	    buffer->len - sizeof(*buffer))
		return ferror(file) ? -EIO : -ENODATA;
	return 1;
}

static int read_records(FILE *file, recording_fn on_record, void *context, char *why)
{
	struct record *buffer = malloc(RECORDING_RECORD_MAX);
	long at = ftell(file);
	int status;

	if (!buffer) {
		snprintf(why, RECORDING_WHY_MAX, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	while ((status = read_record(file, buffer)) > 0) {
		at += buffer->len;
		if (on_record(context, buffer)) {
			status = 0;
			break;
		}
	}
	free(buffer);
	if (status == 0)
		return 0;
	if (status == -ENODATA)
		snprintf(why, RECORDING_WHY_MAX,
			 "ends within the record at byte %ld; the records before it were read", at);
	else if (status == -EBADMSG)
		snprintf(why, RECORDING_WHY_MAX,
			 "damaged at byte %ld; the records before it were read", at);
	else
		snprintf(why, RECORDING_WHY_MAX, "%s", strerror(EIO));
	return status == -ENODATA ? -EBADMSG : status;
}

static int read_magic(FILE *file, char *why)
{
	char magic[sizeof(RECORDING_MAGIC)] = "";
	const size_t name_len = strlen("smtpsnoop recording ");

	if (fread(magic, sizeof(magic) - 1, 1, file) == 1 && strcmp(magic, RECORDING_MAGIC) == 0)
		return 0;
	if (ferror(file))
		snprintf(why, RECORDING_WHY_MAX, "%s",
			 errno == EISDIR ? "is a directory; name a recording" : strerror(errno));
	else if (memcmp(magic, RECORDING_MAGIC, name_len) == 0)
		snprintf(why, RECORDING_WHY_MAX,
			 "a recording of another version; replay it with the smtpsnoop that made "
			 "it");
	else
		snprintf(why, RECORDING_WHY_MAX, "not a recording made by smtpsnoop record");
	return -EINVAL;
}

int recording_read(const char *path, recording_fn on_record, void *context, char *why)
{
	FILE *file = fopen(path, "re");
	int error;

	if (!file) {
		error = -errno;
		snprintf(why, RECORDING_WHY_MAX, "%s",
			 errno == EISDIR ? "is a directory; name a recording" : strerror(errno));
		return error;
	}
	error = read_magic(file, why);
	if (!error)
		error = read_records(file, on_record, context, why);
	fclose(file);
	return error;
}
