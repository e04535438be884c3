/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A tiny abstract interpreter. It starts with the arguments in their registers and carries moves,
 * constants, additions and loads along. Everything else makes the registers that it writes unknown.
 * Memory is not modelled: what is spilled to the stack is lost. Code of compilers at -O2 keeps what
 * is asked here in registers.
 *
 * The work is bounded: no instruction is visited twice, and there are limits to the steps and to
 * the branches that wait. A limit that is met only means that less is found.
 */
#include "probe/track.h"

#include <string.h>

#define X86_RSP	 4U
#define ARM64_SP 31U

/* System V ABI for x86-64, 3.2.3; Procedure Call Standard for the Arm 64-bit Architecture, 6.4. */
static const uint8_t x86_arguments[TRACK_ARGUMENTS] = {7, 6, 2, 1, 8};

/* What a call may change: rax, rcx, rdx, rsi, rdi, r8 to r11; x0 to x18 and x30. */
#define X86_CLOBBERED	0x0fc7U
#define ARM64_CLOBBERED 0x4007ffffU

struct path {
	size_t at;
	struct registers registers;
};

struct tracker {
	const struct code *code;
	uint32_t steps;
	uint32_t waiting;
	uint8_t visited[CODE_MAX / 8];
	struct path paths[TRACK_PATHS_MAX];
};

static unsigned argument_register(const struct code *code, unsigned number)
{
	return code->machine == MACHINE_X86_64 ? x86_arguments[number] : number;
}

static unsigned stack_register(const struct code *code)
{
	return code->machine == MACHINE_X86_64 ? X86_RSP : ARM64_SP;
}

struct value track_argument(const struct code *code, const struct registers *registers,
			    unsigned number)
{
	return registers->value[argument_register(code, number)];
}

struct value track_result(const struct registers *registers)
{
	return registers->value[0]; /* rax, x0 */
}

bool value_is_argument(struct value value, int32_t number)
{
	return value.kind == VALUE_ARGUMENT && value.base == number && value.offset == 0;
}

bool value_is_constant(struct value value, int64_t constant)
{
	return value.kind == VALUE_CONSTANT && value.offset == constant;
}

/* All that is asked has to do with the object, which is the first argument. */
static bool object_known(const struct registers *registers)
{
	for (unsigned i = 0; i < INSTRUCTION_REGISTERS; i++) {
		struct value value = registers->value[i];

		if (value.kind == VALUE_POINTER || value.kind == VALUE_FIELD ||
		    (value.kind == VALUE_ARGUMENT && value.base == 0))
			return true;
	}
	return false;
}

static struct value loaded(struct value from, const struct instruction *in)
{
	struct value value = {0};
	int64_t offset;

	if (from.kind != VALUE_ARGUMENT || from.base != 0 ||
	    __builtin_add_overflow(from.offset, in->value, &offset) || offset < 0 ||
	    offset > INT32_MAX)
		return value;
	value.kind = in->width == 8 ? VALUE_POINTER : VALUE_FIELD;
	value.base = (int32_t)offset;
	return value;
}

/* A pointer that is cut to 4 bytes is none. The 4 bytes of a length may be extended. */
static struct value moved(struct value from, const struct instruction *in)
{
	if (in->width == 8 || from.kind == VALUE_FIELD || from.kind == VALUE_CONSTANT ||
	    value_is_argument(from, 2))
		return from;
	return (struct value){0};
}

static struct value shifted(struct value from, int64_t by)
{
	if (from.kind == VALUE_UNKNOWN || from.kind == VALUE_FIELD ||
	    __builtin_add_overflow(from.offset, by, &from.offset))
		return (struct value){0};
	return from;
}

static struct value result_of(const struct instruction *in, const struct registers *registers)
{
	struct value from = registers->value[in->from];

	switch (in->kind) {
	case INSTRUCTION_MOVE: return moved(from, in);
	case INSTRUCTION_IMMEDIATE: return (struct value){VALUE_CONSTANT, 0, in->value};
	case INSTRUCTION_ADDRESS: return shifted(from, in->value);
	case INSTRUCTION_LOAD: return loaded(from, in);
	default: return (struct value){0};
	}
}

static bool has_result(const struct instruction *in)
{
	return in->kind == INSTRUCTION_MOVE || in->kind == INSTRUCTION_IMMEDIATE ||
	       in->kind == INSTRUCTION_ADDRESS || in->kind == INSTRUCTION_LOAD;
}

static void execute(const struct code *code, const struct instruction *in,
		    struct registers *registers)
{
	bool x86 = code->machine == MACHINE_X86_64;
	uint32_t writes = in->writes;
	struct value result = result_of(in, registers);

	if (in->kind == INSTRUCTION_CALL || in->kind == INSTRUCTION_CALL_ANY)
		writes = x86 ? X86_CLOBBERED : ARM64_CLOBBERED;
	for (unsigned i = 0; i < INSTRUCTION_REGISTERS; i++)
		if (writes >> i & 1U)
			registers->value[i] = (struct value){0};
	if (has_result(in))
		registers->value[in->to] = result;
	registers->value[stack_register(code)] = (struct value){VALUE_STACK, 0, 0};
}

static bool visit_first(struct tracker *tracker, size_t at)
{
	uint8_t mask = (uint8_t)(1U << (at & 7U));

	if (tracker->visited[at / 8] & mask || tracker->steps++ >= TRACK_STEPS_MAX)
		return false;
	tracker->visited[at / 8] |= mask;
	return true;
}

static void wait_branch(struct tracker *tracker, size_t at, const struct instruction *in,
			const struct registers *registers)
{
	uint64_t target = code_target(tracker->code, at, in);
	struct path *path;

	if (code_outside(tracker->code, target) || tracker->waiting >= TRACK_PATHS_MAX)
		return;
	path = &tracker->paths[tracker->waiting++];
	path->at = target - tracker->code->address;
	path->registers = *registers;
}

/* Where a path goes on behind an instruction. False: nowhere. */
static bool go_on(const struct code *code, const struct instruction *in, size_t *at)
{
	uint64_t target = code_target(code, *at, in);

	switch (in->kind) {
	case INSTRUCTION_RETURN:
	case INSTRUCTION_END: return false;
	case INSTRUCTION_JUMP:
		if (code_outside(code, target))
			return false;
		*at = target - code->address;
		return true;
	default: *at += in->length; return true;
	}
}

static bool follow(struct tracker *tracker, struct path path, track_visitor visit, void *context)
{
	struct instruction in;

	while (object_known(&path.registers) && code_at(tracker->code, path.at, &in) &&
	       visit_first(tracker, path.at)) {
		if (visit(context, tracker->code, path.at, &in, &path.registers))
			return true;
		if (in.kind == INSTRUCTION_BRANCH)
			wait_branch(tracker, path.at, &in, &path.registers);
		execute(tracker->code, &in, &path.registers);
		if (!go_on(tracker->code, &in, &path.at))
			return false;
	}
	return false;
}

static void begin(struct tracker *tracker)
{
	struct path *path = &tracker->paths[tracker->waiting++];

	for (unsigned i = 0; i < TRACK_ARGUMENTS; i++)
		path->registers.value[argument_register(tracker->code, i)] =
			(struct value){VALUE_ARGUMENT, (int32_t)i, 0};
	path->registers.value[stack_register(tracker->code)] = (struct value){VALUE_STACK, 0, 0};
}

bool track(const struct code *code, track_visitor visit, void *context)
{
	struct tracker tracker = {.code = code};

	begin(&tracker);
	while (tracker.waiting)
		if (follow(&tracker, tracker.paths[--tracker.waiting], visit, context))
			return true;
	return false;
}
