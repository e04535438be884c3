/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kind of x86-64 instructions, and which registers they change. The latter is told for the
 * integer instructions that compilers generate. For the others all registers count as changed.
 */
#include "probe/x86.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP };

/* ---- Which registers change ---------------------------------------------------------------------
 */

static uint32_t bit(unsigned number)
{
	return 1U << number;
}

/* Of byte registers without REX, 4 to 7 are the upper bytes of 0 to 3. */
static uint32_t byte_bit(const struct x86 *d, unsigned number)
{
	return bit(number) | (!d->rex && number >= 4 && number < 8 ? bit(number - 4) : 0);
}

static uint32_t write_rm(const struct x86 *d, bool byte)
{
	if (d->mod != 3)
		return 0;
	return byte ? byte_bit(d, d->rm) : bit(d->rm);
}

static uint32_t write_reg(const struct x86 *d, bool byte)
{
	return byte ? byte_bit(d, d->reg) : bit(d->reg);
}

static uint32_t writes_arithmetic(const struct x86 *d)
{
	bool byte = !(d->opcode & 1U);

	if (d->opcode >= 0x38) /* cmp */
		return 0;
	switch (d->opcode & 7U) {
	case 0:
	case 1: return write_rm(d, byte);
	case 2:
	case 3: return write_reg(d, byte);
	default: return bit(RAX);
	}
}

static uint32_t writes_group3(const struct x86 *d, bool byte)
{
	switch (d->reg & 7U) {
	case 0:
	case 1: return 0; /* test */
	case 2:
	case 3: return write_rm(d, byte);
	default: return bit(RAX) | bit(RDX);
	}
}

static uint32_t writes_one(const struct x86 *d)
{
	uint8_t op = d->opcode;
	bool byte = !(op & 1U);
	uint8_t low = (uint8_t)((op & 7U) | (d->rex & REX_B ? 8U : 0U));

	if (op < 0x40)
		return writes_arithmetic(d);
	switch (op & 0xf8U) {
	case 0x50: return bit(RSP);
	case 0x58: return bit(low) | bit(RSP);
	case 0x70:
	case 0x78: return 0;
	case 0x90: return op == 0x90 && !(d->rex & REX_B) ? 0 : bit(RAX) | bit(low);
	case 0xb0: return byte_bit(d, low);
	case 0xb8: return bit(low);
	default: break;
	}
	switch (op) {
	case 0x63:
	case 0x69:
	case 0x6b:
	case 0x8b:
	case 0x8d: return bit(d->reg);
	case 0x8a: return byte_bit(d, d->reg);
	case 0x68:
	case 0x6a: return bit(RSP);
	case 0x80:
	case 0x81:
	case 0x83: return (d->reg & 7U) == 7 ? 0 : write_rm(d, byte);
	case 0x84:
	case 0x85:
	case 0xa8:
	case 0xa9:
	case 0xcc:
	case 0xe9:
	case 0xeb: return 0;
	case 0x86:
	case 0x87: return write_rm(d, byte) | write_reg(d, byte);
	case 0x88:
	case 0x89:
	case 0xc0:
	case 0xc1:
	case 0xc6:
	case 0xc7:
	case 0xd0:
	case 0xd1:
	case 0xd2:
	case 0xd3: return write_rm(d, byte);
	case 0x98: return bit(RAX);
	case 0x99: return bit(RDX);
	case 0xc9: return bit(RSP) | bit(RBP);
	case 0xf6:
	case 0xf7: return writes_group3(d, byte);
	case 0xfe: return write_rm(d, true);
	case 0xff: return (d->reg & 7U) < 2 ? write_rm(d, false) : bit(RSP);
	default: return INSTRUCTION_ANY;
	}
}

static uint32_t writes_two(const struct x86 *d)
{
	uint8_t op = d->opcode;

	if ((op >= 0x10 && op <= 0x17) || op == 0x28 || op == 0x29 || (op >= 0x51 && op <= 0x6f))
		return 0; /* SSE, between vector registers and memory */
	switch (op & 0xf0U) {
	case 0x40: return bit(d->reg);
	case 0x80: return 0;
	case 0x90: return write_rm(d, true);
	default: break;
	}
	switch (op) {
	case 0x0b:
	case 0x0d:
	case 0x18:
	case 0x1e:
	case 0x1f:
	case 0x7f:
	case 0xa3:
	case 0xd6:
	case 0xe7:
	case 0xef: return 0;
	case 0xa4:
	case 0xa5:
	case 0xab:
	case 0xac:
	case 0xad:
	case 0xb3:
	case 0xba:
	case 0xbb: return write_rm(d, false);
	case 0xaf:
	case 0xb6:
	case 0xb7:
	case 0xbc:
	case 0xbd:
	case 0xbe:
	case 0xbf: return bit(d->reg);
	default: return INSTRUCTION_ANY;
	}
}

static uint32_t writes(const struct x86 *d)
{
	if (d->vector || d->map > MAP_0F)
		return INSTRUCTION_ANY;
	return d->map == MAP_ONE ? writes_one(d) : writes_two(d);
}

/* ---- What it is ---------------------------------------------------------------------------------
 */

/*
 * Under a probe the kernel emulates these (arch/x86/kernel/uprobes.c), if no operand size prefix
 * stands before a branch, and for a push none but REX.B.
 */
static void classify_control(const struct x86 *d, struct instruction *in)
{
	uint8_t op = d->opcode;

	in->value = (int64_t)d->at + d->immediate;
	in->kind = INSTRUCTION_BRANCH;
	if (d->map == MAP_ONE && op == 0xe8)
		in->kind = INSTRUCTION_CALL;
	else if (d->map == MAP_ONE && (op == 0xe9 || op == 0xeb))
		in->kind = INSTRUCTION_JUMP;
	in->emulated = !d->data16 && (op & 0xf8U) != 0xe0; /* loop, jrcxz are not */
}

static void classify_registers(const struct x86 *d, struct instruction *in, uint8_t to,
			       uint8_t from)
{
	in->kind = INSTRUCTION_MOVE;
	in->to = to;
	in->from = from;
	in->width = d->rex & REX_W && d->opcode != 0x63 ? 8 : 4;
}

static void classify_memory(const struct x86 *d, struct instruction *in, enum instruction_kind kind)
{
	in->kind = kind;
	in->to = d->reg;
	in->from = d->rm;
	in->width = d->rex & REX_W ? 8 : 4;
	in->value = d->displacement;
}

static void classify_immediate(const struct x86 *d, struct instruction *in, uint8_t to)
{
	in->kind = INSTRUCTION_IMMEDIATE;
	in->to = to;
	in->value = d->immediate;
}

static void classify_add(const struct x86 *d, struct instruction *in)
{
	bool adds = (d->reg & 7U) == 0, subtracts = (d->reg & 7U) == 5;

	if (d->mod != 3 || !(d->rex & REX_W) || (!adds && !subtracts))
		return;
	in->kind = INSTRUCTION_ADDRESS;
	in->to = in->from = d->rm;
	in->value = adds ? d->immediate : -d->immediate;
}

static void classify_ff(const struct x86 *d, struct instruction *in)
{
	switch (d->reg & 7U) {
	case 2:
	case 3: in->kind = INSTRUCTION_CALL_ANY; break;
	case 4:
	case 5: in->kind = INSTRUCTION_END; break;
	default: break;
	}
}

static void classify_data(const struct x86 *d, struct instruction *in)
{
	bool wide = !d->data16;

	switch (d->opcode) {
	case 0x31:
	case 0x33: /* xor of a register with itself */
		if (wide && d->mod == 3 && d->reg == d->rm)
			classify_immediate(d, in, d->rm);
		break;
	case 0x63:
		if (wide && d->mod == 3)
			classify_registers(d, in, d->reg, d->rm);
		break;
	case 0x81:
	case 0x83: classify_add(d, in); break;
	case 0x89:
		if (wide && d->mod == 3)
			classify_registers(d, in, d->rm, d->reg);
		break;
	case 0x8b:
		if (wide && d->mod == 3)
			classify_registers(d, in, d->reg, d->rm);
		else if (wide && d->plain)
			classify_memory(d, in, INSTRUCTION_LOAD);
		break;
	case 0x8d:
		if (d->plain && d->rex & REX_W)
			classify_memory(d, in, INSTRUCTION_ADDRESS);
		break;
	case 0xc7:
		if (wide && d->mod == 3 && (d->reg & 7U) == 0)
			classify_immediate(d, in, d->rm);
		break;
	default: break;
	}
}

static void classify_one(const struct x86 *d, struct instruction *in)
{
	uint8_t op = d->opcode;

	if ((op & 0xf8U) == 0x50) {
		in->kind = INSTRUCTION_PUSH;
		in->emulated = d->at == 1 || (d->at == 2 && d->rex == 0x41);
	} else if ((op & 0xf0U) == 0x70 || (op & 0xfcU) == 0xe0 || op == 0xe8 || op == 0xe9 ||
		   op == 0xeb) {
		classify_control(d, in);
	} else if ((op & 0xf8U) == 0xb8 && !d->data16) {
		classify_immediate(d, in, (uint8_t)((op & 7U) | (d->rex & REX_B ? 8U : 0U)));
	} else if (op == 0x90 && !(d->rex & REX_B)) {
		in->kind = INSTRUCTION_NOP;
		in->emulated = !d->repeat; /* with it, a pause */
	} else if (op == 0xc2 || op == 0xc3) {
		in->kind = INSTRUCTION_RETURN;
	} else if (op == 0xca || op == 0xcb || op == 0xcc || op == 0xcf || op == 0xf4) {
		in->kind = INSTRUCTION_END;
	} else if (op == 0xff) {
		classify_ff(d, in);
	} else {
		classify_data(d, in);
	}
}

static void classify_two(const struct x86 *d, struct instruction *in)
{
	if ((d->opcode & 0xf0U) == 0x80) {
		classify_control(d, in);
	} else if (d->opcode == 0x1e && d->repeat && d->mod == 3 && d->reg == 7 && d->rm == 2) {
		in->kind = INSTRUCTION_MARK; /* endbr64 */
	} else if (d->opcode == 0x1f) {
		in->kind = INSTRUCTION_NOP;
	} else if (d->opcode == 0x0b) {
		in->kind = INSTRUCTION_END; /* ud2 */
	}
}

void x86_classify(const struct x86 *x86, struct instruction *instruction)
{
	instruction->writes = writes(x86);
	if (!x86->vector && x86->map == MAP_ONE)
		classify_one(x86, instruction);
	else if (!x86->vector && x86->map == MAP_0F)
		classify_two(x86, instruction);
}
