/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A quick answer to the question whether this kernel allows a family of send hooks. */
#ifndef SMTPSNOOP_CAPTURE_FAMILY_H
#define SMTPSNOOP_CAPTURE_FAMILY_H

#include "base/hook.h"

struct btf;

/*
 * Loads and attaches a program of two instructions where the family's programs would go. `kernel`
 * is the kernel's type information. Returns 0 if the kernel allows it, or a negative errno with the
 * refused step in *step (static). 0 does not promise that the real programs can be loaded.
 */
int family_try(enum hook hook, const struct btf *kernel, const char **step);

#endif
