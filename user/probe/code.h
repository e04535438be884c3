/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The instructions of one function of an ELF file. */
#ifndef SMTPSNOOP_CODE_H
#define SMTPSNOOP_CODE_H

#include "probe/elf.h"
#include "probe/instruction.h"

#define CODE_MAX     8192U /* bytes of a function that are read; (*Conn).Read of Go has about 1,000 */
#define CODE_UNKNOWN 512U /* of one whose size the file does not tell */

struct code {
	enum machine machine;
	uint64_t address;
	uint64_t size; /* of the function; what is beyond it belongs to others */
	size_t len;    /* bytes that were read */
	uint8_t bytes[CODE_MAX];
};

/* Reads a function. Returns 0; -ENOENT: the symbol was not found; else as elf_read(). */
int code_read(const struct elf *elf, enum machine machine, const struct elf_symbol *symbol,
	      struct code *code);

/* Decodes the instruction at a position of the function. False: there is none that is known. */
bool code_at(const struct code *code, size_t at, struct instruction *instruction);

/* The address to which a call, jump or branch at a position goes, and whether it is outside. */
uint64_t code_target(const struct code *code, size_t at, const struct instruction *instruction);
bool code_outside(const struct code *code, uint64_t address);

/*
 * The place for a probe at a function's entry: the first instruction that the kernel emulates, if
 * nothing before it changes the stack, a register that holds an argument, or the return address;
 * then the arguments can be read there, and a return probe works. Otherwise where the function
 * begins, behind endbr64. Writes the instruction to *first. False: the code is not known.
 */
bool code_entry(const struct code *code, size_t *at, struct instruction *first);

/*
 * Whether a function begins here, as far as can be told: with a push or a branch; on aarch64 also
 * by making room on the stack.
 */
bool code_begins(const struct code *code);

#endif
