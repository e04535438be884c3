/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The length of x86-64 instructions.
 *
 * A probe on a wrong byte corrupts the program that is probed. So an encoding that is not in the
 * tables below ends the walk; nothing is guessed. The tables follow the opcode maps of the Intel
 * SDM (volume 2, appendix A) for 64-bit mode.
 */
#include "probe/x86.h"

static bool take(struct x86 *d, size_t size, int64_t *value)
{
	uint64_t bits = 0;

	if (d->len - d->at < size)
		return false;
	for (size_t i = 0; i < size; i++)
		bits |= (uint64_t)d->bytes[d->at + i] << (8 * i);
	d->at += size;
	if (size && size < 8 && bits >> (8 * size - 1))
		bits |= ~0ULL << (8 * size);
	*value = (int64_t)bits;
	return true;
}

static bool take_byte(struct x86 *d, uint8_t *byte)
{
	if (d->at >= d->len)
		return false;
	*byte = d->bytes[d->at++];
	return true;
}

static bool is_prefix(struct x86 *d, uint8_t byte)
{
	switch (byte) {
	case 0x66: d->data16 = true; return true;
	case 0x67: d->address32 = true; return true;
	case 0xf2:
	case 0xf3: d->repeat = true; return true;
	case 0x64:
	case 0x65: d->segment = true; return true;
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0xf0: return true;
	default: return false;
	}
}

/* The bits of VEX and EVEX stand for those of REX, inverted. */
static uint8_t rex_of_vex(uint8_t byte, uint8_t w)
{
	return (uint8_t)((~byte >> 5 & 7U) | (w & 0x80U ? REX_W : 0U));
}

static bool decode_vex(struct x86 *d, uint8_t lead)
{
	uint8_t first, second = 0, third = 0;

	d->vector = true;
	if (!take_byte(d, &first))
		return false;
	if (lead == 0xc5) {
		d->map = MAP_0F;
		d->rex = (uint8_t)(~first >> 5 & REX_R);
		return take_byte(d, &d->opcode);
	}
	if (!take_byte(d, &second))
		return false;
	d->rex = rex_of_vex(first, second);
	d->map = first & 0x1fU;
	if (lead == 0xc4)
		return d->map >= MAP_0F && d->map <= MAP_0F3A && take_byte(d, &d->opcode);
	d->map = first & 7U;
	if (first & 8U || !(second & 4U) || d->map == MAP_ONE || d->map == 4 || d->map > MAP_6)
		return false;
	return take_byte(d, &third) && take_byte(d, &d->opcode);
}

/* Prefixes, REX and the opcode. */
static bool decode_opcode(struct x86 *d)
{
	uint8_t byte;

	do {
		if (!take_byte(d, &byte))
			return false;
	} while (is_prefix(d, byte));
	if ((byte & 0xf0U) == 0x40) {
		d->rex = byte;
		if (!take_byte(d, &byte))
			return false;
	} else if (byte == 0xc4 || byte == 0xc5 || byte == 0x62) {
		return decode_vex(d, byte);
	}
	d->opcode = byte;
	if (byte != 0x0f)
		return true;
	d->map = MAP_0F;
	if (!take_byte(d, &d->opcode))
		return false;
	if (d->opcode != 0x38 && d->opcode != 0x3a)
		return true;
	d->map = d->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
	return take_byte(d, &d->opcode);
}

/* A bit for each opcode of a map: the 16 of 0xN0..0xNf are in word N. */
static bool in(const uint16_t table[16], uint8_t opcode)
{
	return table[opcode >> 4] >> (opcode & 15U) & 1U;
}

static const uint16_t one_modrm[16] = {
	0x0f0f, 0x0f0f, 0x0f0f, 0x0f0f, 0, 0, 0x0a08, 0, 0xfffb, 0, 0, 0, 0x00c3, 0xff0f, 0, 0xc0c0,
};
/* Also what is a prefix elsewhere in the decoder: it may not come here again. */
static const uint16_t one_unknown[16] = {
	0x40c0, 0xc0c0, 0xc0c0, 0xc0c0, 0xffff, 0,	0x00f7, 0,
	0x0004, 0x0400, 0,	0,	0x4030, 0x0070, 0x0400, 0x000d,
};
static const uint16_t two_plain[16] = {
	0x4be0, 0, 0, 0x00bf, 0, 0, 0, 0x0080, 0xffff, 0, 0x0707, 0, 0xff00, 0, 0, 0,
};
static const uint16_t two_unknown[16] = {
	0x9410, 0, 0x00ff, 0xfe40, 0, 0, 0, 0x0c00, 0, 0, 0x00c0, 0, 0, 0, 0, 0x8000,
};
static const uint16_t two_immediate[16] = {
	0, 0, 0, 0, 0, 0, 0, 0x000f, 0, 0, 0x1010, 0x0400, 0x0074, 0, 0, 0,
};

static bool known(const struct x86 *d)
{
	if (d->map == MAP_ONE)
		return !in(one_unknown, d->opcode);
	if (d->map != MAP_0F || d->vector)
		return true;
	/* With a prefix, 78 is an instruction of SSE4a with two bytes behind it. */
	return !in(two_unknown, d->opcode) && !(d->opcode == 0x78 && (d->data16 || d->repeat));
}

static bool needs_modrm(const struct x86 *d)
{
	if (d->map == MAP_ONE)
		return in(one_modrm, d->opcode);
	if (d->map != MAP_0F)
		return true;
	return d->vector ? d->opcode != 0x77 : !in(two_plain, d->opcode);
}

static bool decode_modrm(struct x86 *d)
{
	uint8_t modrm, sib;
	bool no_base = false;
	int64_t displacement = 0;

	if (!take_byte(d, &modrm))
		return false;
	d->has_modrm = true;
	d->mod = modrm >> 6;
	d->reg = (uint8_t)((modrm >> 3 & 7U) | (d->rex & REX_R ? 8U : 0U));
	d->rm = (uint8_t)((modrm & 7U) | (d->rex & REX_B ? 8U : 0U));
	if (d->mod == 3)
		return true;
	d->plain = !d->segment && !d->address32;
	if ((modrm & 7U) == 4) {
		if (!take_byte(d, &sib))
			return false;
		d->rm = (uint8_t)((sib & 7U) | (d->rex & REX_B ? 8U : 0U));
		d->plain = d->plain && (sib >> 3 & 7U) == 4 && !(d->rex & REX_X);
		no_base = d->mod == 0 && (sib & 7U) == 5;
	} else {
		no_base = d->mod == 0 && (modrm & 7U) == 5; /* relative to rip */
	}
	d->plain = d->plain && !no_base;
	if (!take(d, no_base || d->mod == 2 ? 4 : d->mod == 1 ? 1 : 0, &displacement))
		return false;
	d->displacement = (int32_t)displacement;
	return true;
}

/* An immediate value of the size of the operand, but at most 4 bytes. */
static size_t operand_size(const struct x86 *d)
{
	return d->data16 && !(d->rex & REX_W) ? 2 : 4;
}

static size_t immediate_of_group(const struct x86 *d)
{
	if ((d->reg & 7U) > 1) /* not, neg, mul, div */
		return 0;
	return d->opcode == 0xf6 ? 1 : operand_size(d);
}

static size_t immediate_one(const struct x86 *d)
{
	uint8_t op = d->opcode;

	if (op < 0x40)
		return (op & 7U) == 4 ? 1 : (op & 7U) == 5 ? operand_size(d) : 0;
	if ((op & 0xf0U) == 0x70 || (op & 0xf8U) == 0xb0 || (op & 0xf8U) == 0xe0)
		return 1;
	if ((op & 0xf8U) == 0xb8)
		return d->rex & REX_W ? 8 : operand_size(d);
	if ((op & 0xfcU) == 0xa0)
		return d->address32 ? 4 : 8;
	switch (op) {
	case 0x6a:
	case 0x6b:
	case 0x80:
	case 0x83:
	case 0xa8:
	case 0xc0:
	case 0xc1:
	case 0xc6:
	case 0xcd:
	case 0xeb: return 1;
	case 0xc2:
	case 0xca: return 2;
	case 0xc8: return 3;
	case 0x68:
	case 0x69:
	case 0x81:
	case 0xa9:
	case 0xc7: return operand_size(d);
	case 0xe8:
	case 0xe9: return 4;
	case 0xf6:
	case 0xf7: return immediate_of_group(d);
	default: return 0;
	}
}

static size_t immediate_size(const struct x86 *d)
{
	switch (d->map) {
	case MAP_ONE: return immediate_one(d);
	case MAP_0F:
		if (!d->vector && (d->opcode & 0xf0U) == 0x80)
			return 4;
		if (d->vector && (d->opcode & 0xf0U) != 0x70 && (d->opcode & 0xf0U) != 0xc0)
			return 0;
		return in(two_immediate, d->opcode) ? 1 : 0;
	case MAP_0F3A: return 1;
	default: return 0;
	}
}

bool x86_decode(const uint8_t *bytes, size_t len, struct x86 *x86)
{
	struct x86 d = {.bytes = bytes, .len = len};

	if (d.len > INSTRUCTION_LENGTH_MAX)
		d.len = INSTRUCTION_LENGTH_MAX;
	if (!decode_opcode(&d) || !known(&d))
		return false;
	if (needs_modrm(&d) && !decode_modrm(&d))
		return false;
	/* pop has reg 0; all else under 8f is XOP. */
	if (d.map == MAP_ONE && d.opcode == 0x8f && d.reg & 7U)
		return false;
	/* Processors differ in what a branch does with an operand size prefix. */
	if (d.data16 && !(d.rex & REX_W) && d.map == MAP_ONE && (d.opcode & 0xfeU) == 0xe8)
		return false;
	if (!take(&d, immediate_size(&d), &d.immediate))
		return false;
	*x86 = d;
	return true;
}
