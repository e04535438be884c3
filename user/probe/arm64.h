/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The part of instruction.h for aarch64. */
#ifndef SMTPSNOOP_ARM64_H
#define SMTPSNOOP_ARM64_H

#include "probe/instruction.h"

/* As instruction_decode(). Register 31 is the stack pointer; the zero register is never named. */
int arm64_decode(const uint8_t *bytes, size_t len, struct instruction *instruction);

#endif
