/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a session object has the client's random and its role, as the library's own code tells. */
#ifndef SMTPSNOOP_LAYOUT_H
#define SMTPSNOOP_LAYOUT_H

#include "probe/code.h"
#include "probe/plan.h"

#define LAYOUT_OFFSET_MAX 0x2000U /* a larger offset into an object is not plausible */

/*
 * Takes `random` and `random_in` from a function that gives out the random of the object in its
 * first argument: the first address that it computes in the object, or in what the object points
 * at. False: it computes none that is plausible; then the layout is not changed.
 */
bool layout_random(const struct code *code, struct tls_layout *layout);

/*
 * Takes `role` from a function that returns a 4-byte member of the object in its first argument.
 * False: it is none of that kind, or the offset is not plausible.
 */
bool layout_role(const struct code *code, struct tls_layout *layout);

#endif
