/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/boot.h"

#include <stdio.h>
#include <string.h>

void boot_id(uint8_t id[BOOT_ID_LEN])
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	unsigned int digits = 0;
	int c;

	memset(id, 0, BOOT_ID_LEN);
	while (file && digits < 2 * BOOT_ID_LEN && (c = fgetc(file)) != EOF) {
		int digit = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
						   : -1;

		if (digit < 0)
			continue;
		id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | digit);
		digits++;
	}
	if (file)
		fclose(file);
}
