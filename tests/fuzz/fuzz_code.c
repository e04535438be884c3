/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Machine code that anyone may have made: what is found in a function is plausible. */
#include <stdlib.h>
#include <string.h>

#include "probe/callee.h"
#include "probe/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool accepts_any(const struct value arguments[TRACK_ARGUMENTS])
{
	return arguments[0].kind == VALUE_ARGUMENT;
}

/* Decoded instructions lie in the code, and the same bytes with more behind them are the same. */
static void check_instructions(const struct code *code)
{
	struct instruction in, again;

	for (size_t at = 0; code_at(code, at, &in); at += in.length)
		if (!in.length || in.length > INSTRUCTION_LENGTH_MAX ||
		    in.length > code->len - at || in.to >= INSTRUCTION_REGISTERS ||
		    in.from >= INSTRUCTION_REGISTERS ||
		    instruction_decode(code->machine, code->bytes + at, in.length, &again) ||
		    again.length != in.length || again.kind != in.kind)
			abort();
}

static void check_found(const struct code *code)
{
	struct tls_layout layout = {.role = TLS_NO_ROLE};
	struct instruction first;
	uint64_t callee = callee_of(code, accepts_any, 0);
	size_t at;

	if (layout_random(code, &layout) &&
	    (!layout.random || layout.random >= LAYOUT_OFFSET_MAX ||
	     (layout.random_in != TLS_DIRECT && layout.random_in >= LAYOUT_OFFSET_MAX)))
		abort();
	if (layout_role(code, &layout) && layout.role >= LAYOUT_OFFSET_MAX)
		abort();
	if (callee && !code_outside(code, callee))
		abort();
	if (code_entry(code, &at, &first) && at + first.length > code->len)
		abort();
}

/* The first byte: the machine. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct code code = {.address = 0x1000};

	if (size < 2 || size > CODE_MAX)
		return 0;
	code.machine = data[0] & 1 ? MACHINE_AARCH64 : MACHINE_X86_64;
	code.len = size - 1;
	code.size = code.len;
	memcpy(code.bytes, data + 1, code.len);
	check_instructions(&code);
	check_found(&code);
	return 0;
}
