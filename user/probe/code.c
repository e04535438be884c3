/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "probe/code.h"

#include <errno.h>

#define ARM64_SP       31U
#define X86_RAX	       0U
#define CODE_ENTRY_MAX 6U /* instructions before the probe */

int code_read(const struct elf *elf, enum machine machine, const struct elf_symbol *symbol,
	      struct code *code)
{
	size_t wanted = symbol->size && symbol->size < CODE_MAX ? symbol->size : CODE_MAX;
	int got;

	if (!symbol->address)
		return -ENOENT;
	code->machine = machine;
	code->address = symbol->address;
	code->size = symbol->size ? symbol->size : CODE_UNKNOWN;
	got = elf_read(elf, symbol->address, code->bytes,
		       symbol->size ? wanted : (size_t)CODE_UNKNOWN);
	code->len = got > 0 ? (size_t)got : 0;
	return got < 0 ? got : 0;
}

bool code_at(const struct code *code, size_t at, struct instruction *instruction)
{
	return at < code->len && instruction_decode(code->machine, code->bytes + at, code->len - at,
						    instruction) == 0;
}

uint64_t code_target(const struct code *code, size_t at, const struct instruction *instruction)
{
	return code->address + at + (uint64_t)instruction->value;
}

bool code_outside(const struct code *code, uint64_t address)
{
	return address - code->address >= code->size;
}

/* What may stand before the probe: endbr64, bti, tests. A C function gets no argument in rax. */
static bool harmless(const struct code *code, const struct instruction *in)
{
	uint32_t unused = code->machine == MACHINE_X86_64 ? 1U << X86_RAX : 0;

	switch (in->kind) {
	case INSTRUCTION_MARK:
	case INSTRUCTION_NOP:
	case INSTRUCTION_IMMEDIATE:
	case INSTRUCTION_MOVE:
	case INSTRUCTION_LOAD:
	case INSTRUCTION_OTHER: return !(in->writes & ~unused);
	default: return false;
	}
}

bool code_entry(const struct code *code, size_t *at, struct instruction *first)
{
	struct instruction in;
	size_t next = 0;

	if (!code_at(code, 0, first))
		return false;
	*at = 0;
	if (code->machine == MACHINE_X86_64 && first->kind == INSTRUCTION_MARK) {
		*at = next = first->length;
		if (!code_at(code, next, first))
			return false;
	}
	for (unsigned i = 0; i < CODE_ENTRY_MAX && code_at(code, next, &in); i++) {
		if (in.emulated && in.kind != INSTRUCTION_RETURN) {
			*at = next;
			*first = in;
			return true;
		}
		if (!harmless(code, &in))
			return true;
		next += in.length;
	}
	return true;
}

bool code_begins(const struct code *code)
{
	struct instruction first;
	size_t at;

	if (!code_entry(code, &at, &first))
		return false;
	if (first.emulated || code->machine == MACHINE_X86_64)
		return first.emulated;
	if (first.kind == INSTRUCTION_MARK && !code_at(code, first.length, &first))
		return false;
	return first.kind == INSTRUCTION_PUSH ||
	       (first.kind == INSTRUCTION_ADDRESS && first.to == ARM64_SP &&
		first.from == ARM64_SP && first.value < 0);
}
