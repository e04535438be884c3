/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "probe/callee.h"

struct search {
	callee_accepts accepts;
	uint64_t wanted; /* 0: any */
	uint64_t target;
};

static bool visit(void *context, const struct code *code, size_t at, const struct instruction *in,
		  const struct registers *registers)
{
	struct search *search = context;
	struct value arguments[TRACK_ARGUMENTS];
	uint64_t target;

	if (in->kind != INSTRUCTION_CALL && in->kind != INSTRUCTION_JUMP)
		return false;
	target = code_target(code, at, in);
	if (!code_outside(code, target) || (search->wanted && target != search->wanted))
		return false;
	for (unsigned i = 0; i < TRACK_ARGUMENTS; i++)
		arguments[i] = track_argument(code, registers, i);
	if (!search->accepts(arguments))
		return false;
	search->target = target;
	return true;
}

uint64_t callee_of(const struct code *code, callee_accepts accepts, uint64_t wanted)
{
	struct search search = {.accepts = accepts, .wanted = wanted};

	return track(code, visit, &search) ? search.target : 0;
}
