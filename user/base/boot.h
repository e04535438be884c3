/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which boot of the host this is. */
#ifndef SMTPSNOOP_BOOT_H
#define SMTPSNOOP_BOOT_H

#include <stdint.h>

#define BOOT_ID_LEN 16U

/* The kernel's boot id (random(4)), which differs after each boot; zeros if it cannot be read. */
void boot_id(uint8_t id[BOOT_ID_LEN]);

#endif
