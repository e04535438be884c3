/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What registers hold on the paths through a function, in terms of its arguments. */
#ifndef SMTPSNOOP_TRACK_H
#define SMTPSNOOP_TRACK_H

#include "probe/code.h"

#define TRACK_PATHS_MAX 64U   /* branches that wait to be followed */
#define TRACK_STEPS_MAX 2000U /* instructions, over all paths of a function */
#define TRACK_ARGUMENTS 5U    /* that are followed */

enum value_kind {
	VALUE_UNKNOWN,
	VALUE_ARGUMENT, /* number `base` of the function, plus `offset` */
	VALUE_POINTER,	/* the 8 bytes at `base` of what the first argument names, plus `offset` */
	VALUE_FIELD,	/* the 4 bytes at `base` of what the first argument names */
	VALUE_CONSTANT, /* `offset` */
	VALUE_STACK,	/* an address on the stack */
};

struct value {
	enum value_kind kind;
	int32_t base;
	int64_t offset;
};

struct registers {
	struct value value[INSTRUCTION_REGISTERS];
};

/*
 * Called for each instruction, with what the registers hold before it. True: it was found, go no
 * further. `context` is the caller's.
 */
typedef bool (*track_visitor)(void *context, const struct code *code, size_t at,
			      const struct instruction *instruction,
			      const struct registers *registers);

/*
 * Follows the paths from the start of a function: what does not branch first. A path ends where
 * no register has to do with the first argument any more, where the function is left, at unknown
 * bytes, and where another path came along. Returns whether the visitor found what it looks for.
 */
bool track(const struct code *code, track_visitor visit, void *context);

/* The value of an argument by the C calling convention, at a call; of a result at a return. */
struct value track_argument(const struct code *code, const struct registers *registers,
			    unsigned number);
struct value track_result(const struct registers *registers);

/* Whether a value is an argument of the function as it was passed; whether it is a constant. */
bool value_is_argument(struct value value, int32_t number);
bool value_is_constant(struct value value, int64_t constant);

#endif
