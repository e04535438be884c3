/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "probe/instruction.h"

#include <errno.h>

#include "probe/arm64.h"
#include "probe/x86.h"

int instruction_decode(enum machine machine, const uint8_t *bytes, size_t len,
		       struct instruction *instruction)
{
	struct instruction result = {0};
	struct x86 x86;

	if (machine == MACHINE_AARCH64)
		return arm64_decode(bytes, len, instruction);
	if (!x86_decode(bytes, len, &x86))
		return -EILSEQ;
	result.length = (uint8_t)x86.at;
	x86_classify(&x86, &result);
	*instruction = result;
	return 0;
}
