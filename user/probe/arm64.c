/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kind of aarch64 instructions. All are 4 bytes long; the encodings are in chapter C4 of the
 * Arm Architecture Reference Manual. Which general registers an instruction changes is told by the
 * group of the encoding. It may name one too many, never one too few.
 */
#include "probe/arm64.h"

#include <errno.h>

#define LINK	    30U /* the register with the return address */
#define SP	    31U
#define LINK_SIGNED 0x100U /* set in the encoding of paciasp, not in that of bti */

static bool is(uint32_t word, uint32_t mask, uint32_t bits)
{
	return (word & mask) == bits;
}

static uint32_t field(uint32_t word, unsigned low, unsigned width)
{
	return word >> low & ((1U << width) - 1);
}

static int64_t signed_field(uint32_t word, unsigned low, unsigned width)
{
	int64_t value = field(word, low, width);

	return value >= 1LL << (width - 1) ? value - (1LL << width) : value;
}

/* The zero register does not change, and nobody asks for the stack pointer. */
static uint32_t bit(uint32_t number)
{
	return number == SP ? 0 : 1U << number;
}

/* ---- Which registers change ---- */

/* Loads and stores of general and of vector registers: groups x1x0. */
static uint32_t writes_memory(uint32_t word)
{
	bool vector = word & 1U << 26;
	uint32_t target = bit(field(word, 0, 5)), base = bit(field(word, 5, 5));
	uint32_t both = target | bit(field(word, 10, 5));

	if (is(word, 0x3a000000, 0x28000000)) /* pairs; the base changes if bit 23 is set */
		return (vector || !(word & 1U << 22) ? 0 : both) | (word & 1U << 23 ? base : 0);
	if (is(word, 0x3b000000, 0x18000000)) /* from a place relative to the instruction */
		return vector ? 0 : target;
	if (is(word, 0x3b000000, 0x39000000)) /* with an unsigned offset */
		return vector || !field(word, 22, 2) ? 0 : target;
	if (is(word, 0x3b200000, 0x38000000)) /* unscaled; bit 10: the base changes */
		return (vector || !field(word, 22, 2) ? 0 : target) | (word & 1U << 10 ? base : 0);
	if (is(word, 0x3b200c00, 0x38200800)) /* with a register as offset */
		return vector || !field(word, 22, 2) ? 0 : target;
	return INSTRUCTION_ANY;
}

static uint32_t writes_branch(uint32_t word)
{
	return is(word, 0xfff00000, 0xd5300000) ? bit(field(word, 0, 5)) : 0; /* mrs */
}

static uint32_t writes(uint32_t word)
{
	uint32_t group = field(word, 25, 4);

	if ((group & 5U) == 4)
		return writes_memory(word);
	if ((group & 14U) == 10)
		return writes_branch(word);
	if (is(word, 0x1fe00000, 0x1a400000)) /* ccmp, ccmn */
		return 0;
	return bit(field(word, 0, 5));
}

/* ---- What it is ---- */

static void branch(struct instruction *in, enum instruction_kind kind, int64_t distance)
{
	in->kind = kind;
	in->value = 4 * distance;
	in->emulated = true; /* arch/arm64/kernel/probes/simulate-insn.c */
}

static bool classify_branch(uint32_t word, struct instruction *in)
{
	if (is(word, 0x7c000000, 0x14000000)) {
		branch(in, word >> 31 ? INSTRUCTION_CALL : INSTRUCTION_JUMP,
		       signed_field(word, 0, 26));
	} else if (is(word, 0xff000010, 0x54000000) || /* b.cond */
		   is(word, 0x7e000000, 0x34000000)) { /* cbz, cbnz */
		branch(in, INSTRUCTION_BRANCH, signed_field(word, 5, 19));
	} else if (is(word, 0x7e000000, 0x36000000)) { /* tbz, tbnz */
		branch(in, INSTRUCTION_BRANCH, signed_field(word, 5, 14));
	} else if (is(word, 0xfffffc1f, 0xd65f0000)) {
		in->kind = INSTRUCTION_RETURN;
		in->emulated = true;
	} else if (is(word, 0xfffffbff, 0xd65f0bff)) { /* retaa, retab */
		in->kind = INSTRUCTION_RETURN;
	} else if (is(word, 0xfffffc1f, 0xd63f0000) || is(word, 0xfefff800, 0xd63f0800)) {
		in->kind = INSTRUCTION_CALL_ANY;
	} else if (is(word, 0xffe0001f, 0xd4000001)) { /* svc */
		in->writes = INSTRUCTION_ANY;
	} else if (is(word, 0xfe000000, 0xd6000000) || is(word, 0xff000000, 0xd4000000)) {
		in->kind = INSTRUCTION_END; /* br, eret; brk, hlt and the like */
	} else {
		return false;
	}
	return true;
}

static bool classify_hint(uint32_t word, struct instruction *in)
{
	if (word == 0xd503201f) {
		in->kind = INSTRUCTION_NOP;
	} else if (word == 0xd503233f || word == 0xd503237f || is(word, 0xffffff3f, 0xd503241f)) {
		in->kind = INSTRUCTION_MARK; /* paciasp, pacibsp; bti */
		if (word & LINK_SIGNED)
			in->writes = bit(LINK);
	} else {
		return false;
	}
	return true;
}

static void operands(struct instruction *in, enum instruction_kind kind, uint32_t to, uint32_t from,
		     uint8_t width, int64_t value)
{
	in->kind = kind;
	in->to = (uint8_t)to;
	in->from = (uint8_t)from;
	in->width = width;
	in->value = value;
}

static void classify_move(uint32_t word, struct instruction *in)
{
	uint32_t to = field(word, 0, 5), from = field(word, 16, 5);
	uint8_t width = word >> 31 ? 8 : 4;

	if (to == SP) /* the zero register: nothing changes */
		return;
	if (from == SP)
		operands(in, INSTRUCTION_IMMEDIATE, to, 0, width, 0);
	else
		operands(in, INSTRUCTION_MOVE, to, from, width, 0);
}

static void classify_data(uint32_t word, struct instruction *in)
{
	uint32_t to = field(word, 0, 5), from = field(word, 5, 5);
	int64_t unsigned12 = field(word, 10, 12);

	if (word & 1U << 22) /* of add and sub: shifted */
		unsigned12 <<= 12;
	if (is(word, 0x7fe0ffe0, 0x2a0003e0)) /* orr with the zero register */
		classify_move(word, in);
	else if (is(word, 0xff800000, 0x91000000))
		operands(in, INSTRUCTION_ADDRESS, to, from, 8, unsigned12);
	else if (is(word, 0xff800000, 0xd1000000))
		operands(in, INSTRUCTION_ADDRESS, to, from, 8, -unsigned12);
	else if (is(word, 0x7f800000, 0x52800000) && to != SP) /* movz */
		operands(in, INSTRUCTION_IMMEDIATE, to, 0, 8,
			 (int64_t)((uint64_t)field(word, 5, 16) << (16 * field(word, 21, 2))));
	else if (is(word, 0xfffffc00, 0x93407c00) && to != SP && from != SP) /* sxtw */
		operands(in, INSTRUCTION_MOVE, to, from, 4, 0);
}

static void classify_memory(uint32_t word, struct instruction *in)
{
	uint32_t to = field(word, 0, 5), from = field(word, 5, 5);
	int64_t unsigned12 = field(word, 10, 12), signed9 = signed_field(word, 12, 9);

	if (is(word, 0xffc003e0, 0xa98003e0) || is(word, 0xffe00fe0, 0xf8000fe0))
		in->kind = INSTRUCTION_PUSH; /* stp and str to [sp, #n]! */
	else if (to == SP)
		return;
	else if (is(word, 0xffc00000, 0xf9400000))
		operands(in, INSTRUCTION_LOAD, to, from, 8, 8 * unsigned12);
	else if (is(word, 0xffc00000, 0xb9400000))
		operands(in, INSTRUCTION_LOAD, to, from, 4, 4 * unsigned12);
	else if (is(word, 0xffe00c00, 0xf8400000))
		operands(in, INSTRUCTION_LOAD, to, from, 8, signed9);
	else if (is(word, 0xffe00c00, 0xb8400000))
		operands(in, INSTRUCTION_LOAD, to, from, 4, signed9);
}

int arm64_decode(const uint8_t *bytes, size_t len, struct instruction *instruction)
{
	struct instruction result = {.length = 4};
	uint32_t word, group;

	if (len < 4)
		return -EILSEQ;
	word = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
	group = field(word, 25, 4);
	if (group < 4) /* reserved, SME, SVE */
		return -EILSEQ;
	result.writes = writes(word);
	if (!classify_branch(word, &result) && !classify_hint(word, &result)) {
		if ((group & 5U) == 4)
			classify_memory(word, &result);
		else
			classify_data(word, &result);
	}
	*instruction = result;
	return 0;
}
