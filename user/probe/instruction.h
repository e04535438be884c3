/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The length of a machine instruction, and as much of its meaning as choosing a place for a probe
 * takes.
 */
#ifndef SMTPSNOOP_INSTRUCTION_H
#define SMTPSNOOP_INSTRUCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum machine {
	MACHINE_X86_64,
	MACHINE_AARCH64,
};

enum instruction_kind {
	INSTRUCTION_OTHER,
	INSTRUCTION_MARK, /* endbr64, bti, paciasp: what may stand in front of a function */
	INSTRUCTION_NOP,
	INSTRUCTION_PUSH,     /* of one register; stp or str that makes room on the stack */
	INSTRUCTION_CALL,     /* to `value` */
	INSTRUCTION_CALL_ANY, /* to where a register or memory says */
	INSTRUCTION_JUMP,     /* to `value` */
	INSTRUCTION_BRANCH,   /* to `value`, on a condition */
	INSTRUCTION_RETURN,
	INSTRUCTION_END,  /* control does not go on behind it, and where it goes is not known */
	INSTRUCTION_MOVE, /* `to` = `from` */
	INSTRUCTION_IMMEDIATE, /* `to` = `value` */
	INSTRUCTION_ADDRESS,   /* `to` = `from` + `value` */
	INSTRUCTION_LOAD,      /* `to` = what is at `from` + `value` */
};

#define INSTRUCTION_LENGTH_MAX 15U
#define INSTRUCTION_REGISTERS                                                                      \
	32U /* x86-64: as in ModRM and REX, rax is 0, rdi 7. aarch64: x0 is 0 */
#define INSTRUCTION_ANY UINT32_MAX

struct instruction {
	enum instruction_kind kind;
	uint8_t length; /* bytes */
	uint8_t to;
	uint8_t from;
	uint8_t width; /* MOVE, LOAD: bytes that count, 4 or 8; a narrow one is extended */
	/* An immediate value, a displacement, or a target relative to where the instruction begins.
	 */
	int64_t value;
	/* A bit for each general register that it may change. INSTRUCTION_ANY: it was not looked
	 * at. */
	uint32_t writes;
	bool emulated; /* the kernel emulates it under a probe, it does not single-step it */
};

/*
 * Decodes the instruction at `bytes`, of which `len` may be read. Returns 0; -EILSEQ: the bytes are
 * no instruction that is known here, or it is longer than `len`. Then *instruction is not changed.
 */
int instruction_decode(enum machine machine, const uint8_t *bytes, size_t len,
		       struct instruction *instruction);

#endif
