/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The reader of recordings, with any file. The input's first bit decides whether the magic precedes
 * the rest.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/recording.h"
#include "capture/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int look(void *context, const struct record *record)
{
	(void)context;
	record_valid(record, record->len);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char path[64];
	char why[RECORDING_WHY_MAX];
	off_t at = 0;

	if (fd < 0) {
		fd = memfd_create("recording", 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	if (fd < 0 || ftruncate(fd, 0))
		return 0;
	if (size && data[0] & 1)
		at = pwrite(fd, RECORDING_MAGIC, sizeof(RECORDING_MAGIC) - 1, 0);
	if (at < 0 || (size > 1 && pwrite(fd, data + 1, size - 1, at) < 0))
		return 0;
	recording_read(path, look, NULL, why);
	return 0;
}
