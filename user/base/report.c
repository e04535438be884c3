/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a line is built completely and written at once, so that lines of several
 * threads do not mix. Standard error may be a pipe that nobody reads, and the capturing thread must
 * not wait for it. So a line is written only if poll(2) says that there is room. A pipe then has
 * room for PIPE_BUF bytes, which is more than a line has. A line without room is counted, and the
 * next line reports the number.
 */
#include "base/report.h"

#include <errno.h>

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/limits.h>

#define LINE_MAX_BYTES 1024U
#define MISSED_MAX     80U

_Static_assert(LINE_MAX_BYTES + MISSED_MAX <= PIPE_BUF, "one write is not cut, nor does it wait");

/* Several lines, one after the other. */
struct lines {
	char data[LINE_MAX_BYTES + MISSED_MAX];
	size_t len;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long long missed; /* lines that were not written, or only in part; under the lock */
/* The last line was not written completely: it has no line feed */
static bool cut;

/* As much as fits, with room for the line feed. */
static void put(struct lines *lines, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		char shown[8];
		int len =
			snprintf(shown, sizeof(shown), c < ' ' || c == 0x7f ? "\\x%02x" : "%c", c);

		if (lines->len + (size_t)len >= LINE_MAX_BYTES)
			return;
		memcpy(lines->data + lines->len, shown, (size_t)len);
		lines->len += (size_t)len;
	}
}

/* Writes what is missing before the line. */
static void put_missed(struct lines *lines)
{
	char note[MISSED_MAX];
	int len = snprintf(note, sizeof(note),
			   "%ssmtpsnoop: %llu message%s could not be written here\n",
			   cut ? "\n" : "", missed, missed == 1 ? "" : "s");

	memmove(lines->data + len, lines->data, lines->len);
	memcpy(lines->data, note, (size_t)len);
	lines->len += (size_t)len;
}

/* If the reader is gone, there is no room, and a write would end the program with a signal. */
static bool has_room(void)
{
	struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&room, 1, 0) == 1 && room.revents == POLLOUT;
}

static void write_lines(struct lines *lines)
{
	unsigned long long told = 0;
	ssize_t written = -1;

	pthread_mutex_lock(&lock); /* nobody else uses the room between poll and write */
	if (has_room()) {
		told = missed;
		if (told)
			put_missed(lines);
		do
			written = write(STDERR_FILENO, lines->data, lines->len);
		while (written < 0 && errno == EINTR);
	}
	if (written == (ssize_t)lines->len)
		missed -= told;
	else
		missed++;
	if (written >= 0)
		cut = written < (ssize_t)lines->len;
	pthread_mutex_unlock(&lock);
}

void report(const char *what, const char *format, ...)
{
	struct lines lines = {.len = 0};
	char why[LINE_MAX_BYTES];
	int error = errno;
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	put(&lines, "smtpsnoop: ");
	if (what) {
		put(&lines, what);
		put(&lines, ": ");
	}
	put(&lines, why);
	lines.data[lines.len++] = '\n';
	write_lines(&lines);
	errno = error;
}
