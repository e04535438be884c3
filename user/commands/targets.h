/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What patterns of a configuration that name symbolic links lead to. */
#ifndef SMTPSNOOP_TARGETS_H
#define SMTPSNOOP_TARGETS_H

#include <stdio.h>

#include "config/config.h"

/* Writes a line for each pattern of a path whose real path is another one. */
void targets_tell(const struct config *config, FILE *out);

#endif
