/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A configuration file is read completely, or refused with one line. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int file = -1;
	static char path[64];
	char error[CONFIG_ERROR_MAX];
	struct config *config;

	if (file < 0) {
		file = memfd_create("configuration", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	}
	if (file < 0 || ftruncate(file, 0) || pwrite(file, data, size, 0) != (ssize_t)size)
		abort();
	config = config_load(path, NULL, error);
	if (!config && (strncmp(error, path, strlen(path)) != 0 || strchr(error, '\n')))
		abort();
	config_free(config);
	return 0;
}
