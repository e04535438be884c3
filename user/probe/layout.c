/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "probe/layout.h"

#include "probe/track.h"

static bool plausible(int64_t offset)
{
	return offset > 0 && offset < LAYOUT_OFFSET_MAX;
}

/* The random is copied or given out by its address; members of the object are loaded before. */
static bool visit_random(void *context, const struct code *code, size_t at,
			 const struct instruction *in, const struct registers *registers)
{
	struct tls_layout *layout = context;
	struct value from = registers->value[in->from];
	int64_t offset;

	(void)code, (void)at;
	if (in->kind != INSTRUCTION_ADDRESS ||
	    __builtin_add_overflow(from.offset, in->value, &offset) || !plausible(offset))
		return false;
	if (from.kind == VALUE_ARGUMENT && from.base == 0) {
		layout->random = (__u16)offset;
		layout->random_in = TLS_DIRECT;
		return true;
	}
	if (from.kind == VALUE_POINTER && plausible(from.base)) {
		layout->random = (__u16)from.base;
		layout->random_in = (__u16)offset;
		return true;
	}
	return false;
}

bool layout_random(const struct code *code, struct tls_layout *layout)
{
	return track(code, visit_random, layout);
}

static bool visit_role(void *context, const struct code *code, size_t at,
		       const struct instruction *in, const struct registers *registers)
{
	struct tls_layout *layout = context;
	struct value result = track_result(registers);

	(void)code, (void)at;
	if (in->kind != INSTRUCTION_RETURN || result.kind != VALUE_FIELD || !plausible(result.base))
		return false;
	layout->role = (__u16)result.base;
	return true;
}

bool layout_role(const struct code *code, struct tls_layout *layout)
{
	return track(code, visit_role, layout);
}
