/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The internal function to which a function of a library passes its arguments on. */
#ifndef SMTPSNOOP_CALLEE_H
#define SMTPSNOOP_CALLEE_H

#include "probe/track.h"

/* Whether the values at a call or jump that leaves a function are what the internal one takes. */
typedef bool (*callee_accepts)(const struct value arguments[TRACK_ARGUMENTS]);

/*
 * The target of the first call or jump out of a function that `accepts`. 0: there is none. With
 * `wanted`, the first one that goes there.
 */
uint64_t callee_of(const struct code *code, callee_accepts accepts, uint64_t wanted);

#endif
