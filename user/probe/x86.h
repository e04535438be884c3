/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The parts of an x86-64 instruction: between instruction.c, x86.c and x86_kind.c. */
#ifndef SMTPSNOOP_X86_H
#define SMTPSNOOP_X86_H

#include "probe/instruction.h"

/* The maps of opcodes. */
enum x86_map {
	MAP_ONE = 0, /* one byte */
	MAP_0F = 1,
	MAP_0F38 = 2,
	MAP_0F3A = 3,
	MAP_5 = 5, /* EVEX alone: half precision */
	MAP_6 = 6,
};

#define REX_W 8U
#define REX_R 4U
#define REX_X 2U
#define REX_B 1U

struct x86 {
	const uint8_t *bytes;
	size_t len;
	size_t at;	/* after decoding: its length */
	bool data16;	/* prefix 66 */
	bool address32; /* prefix 67 */
	bool repeat;	/* prefix f2 or f3 */
	bool segment;	/* prefix fs or gs */
	bool vector;	/* VEX or EVEX */
	uint8_t rex;
	enum x86_map map;
	uint8_t opcode;
	bool has_modrm;
	uint8_t mod;
	uint8_t reg; /* with REX.R */
	uint8_t rm;  /* with REX.B; of memory: the base */
	bool plain;  /* memory is one base register and a displacement */
	int32_t displacement;
	int64_t immediate;
};

/* Takes an instruction apart. False: it is not known, or longer than `len`. */
bool x86_decode(const uint8_t *bytes, size_t len, struct x86 *x86);

/* What it does. Fills `instruction`, which is all zero, except its length. */
void x86_classify(const struct x86 *x86, struct instruction *instruction);

#endif
