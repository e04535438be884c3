/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where Go's crypto/tls is probed.
 *
 * Go moves stacks, and a return probe's address on one crashes it ("unknown caller pc"). So there
 * are entries, and places in (*Conn).Read at which the result is in its register: its returns.
 *
 * Writes are seen in (*Conn).writeRecordLocked(type, data): (*Conn).Write begins with the
 * handshake, and only then is it known which socket this is.
 *
 * A function begins with a check whether the stack has room: a comparison and a branch, which the
 * kernel emulates. All arguments are still in their registers there. If there is no room, the
 * branch is taken, the stack grows, and the function begins again: then a probe on the branch is
 * hit twice, and its program must look at the flags. So a push behind the branch is preferred; Go
 * 1.24 generates one, Go 1.19 does not.
 *
 * (*Conn).Read copies from a bytes.Reader, whose Read is a part of it (inlined) in Go 1.19 and
 * 1.24; then the number of bytes is in a register that the compiler chose, and there is no call
 * behind which it is in the first one.
 */
#include "probe/examine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe/golang.h"

#define PROLOGUE_MAX 8U /* instructions up to the branch of the stack check */

enum go_function { WRITE_RECORD, CONN_READ, READER_READ, GO_FUNCTION_MAX };

static const char *const names[GO_FUNCTION_MAX] = {
	[WRITE_RECORD] = "crypto/tls.(*Conn).writeRecordLocked",
	[CONN_READ] = "crypto/tls.(*Conn).Read",
	[READER_READ] = "bytes.(*Reader).Read",
};

/* Arguments are in registers from Go 1.17 on, for aarch64 from 1.18 on. */
static bool in_registers(enum machine machine, const char *version)
{
	unsigned minor;

	return sscanf(version, "go1.%3u", &minor) != 1 ||
	       minor >= (machine == MACHINE_AARCH64 ? 18 : 17);
}

static bool add(const struct examination *ex, enum tls_probe probe, const struct code *code,
		size_t at, const struct instruction *in)
{
	struct plan *plan = ex->plan;
	uint64_t offset;

	if (plan->site_count >= PLAN_SITES_MAX || !elf_offset(ex->elf, code->address + at, &offset))
		return false;
	plan->sites[plan->site_count++] = (struct site){
		.probe = probe,
		.price = in->emulated ? PRICE_CHEAP : PRICE_DEAR,
		.offset = offset,
	};
	return true;
}

/* What the stack check consists of, up to its branch. */
static bool in_check(const struct instruction *in)
{
	return in->kind == INSTRUCTION_OTHER || in->kind == INSTRUCTION_ADDRESS ||
	       in->kind == INSTRUCTION_LOAD || in->kind == INSTRUCTION_NOP ||
	       in->kind == INSTRUCTION_MOVE || in->kind == INSTRUCTION_IMMEDIATE;
}

/* The branch of the stack check, or the push behind it. False: there is no check. */
static bool entry(const struct code *code, size_t *at, struct instruction *in)
{
	struct instruction next;

	*at = 0;
	for (unsigned i = 0; i < PROLOGUE_MAX && code_at(code, *at, in) && in_check(in); i++)
		*at += in->length;
	if (!code_at(code, *at, in) || in->kind != INSTRUCTION_BRANCH || !in->emulated)
		return false;
	if (code_at(code, *at + in->length, &next) && next.kind == INSTRUCTION_PUSH &&
	    next.emulated) {
		*at += in->length;
		*in = next;
	}
	return true;
}

static bool add_entry(const struct examination *ex, enum tls_probe probe,
		      const struct elf_symbol *function)
{
	struct instruction in;
	struct code code;
	size_t at;

	if (code_read(ex->elf, ex->machine, function, &code) != 0)
		return false;
	return entry(&code, &at, &in) && add(ex, probe, &code, at, &in);
}

/*
 * The first branch behind the call of bytes.(*Reader).Read, with nothing in between that changes
 * the register of its result.
 */
static bool add_behind_call(const struct examination *ex, const struct code *code, uint64_t reader)
{
	struct instruction in;
	bool called = false;

	for (size_t at = 0; code_at(code, at, &in); at += in.length) {
		if (in.kind == INSTRUCTION_CALL) {
			called = code_target(code, at, &in) == reader;
			continue;
		}
		if (called && in.kind == INSTRUCTION_BRANCH && in.emulated)
			return add(ex, TLS_PROBE_GO_READ_END, code, at, &in);
		if (in.writes & 1U || in.kind == INSTRUCTION_JUMP || in.kind == INSTRUCTION_END ||
		    in.kind == INSTRUCTION_RETURN)
			called = false;
	}
	return false;
}

/* What the linker puts behind a function on aarch64. */
static bool only_zeros(const struct code *code, size_t at)
{
	while (at < code->len && !code->bytes[at])
		at++;
	return at >= code->size;
}

/* All or none: a read that ends unseen would be taken for one that goes on. */
static bool add_returns(const struct examination *ex, const struct code *code)
{
	struct instruction in;
	uint32_t before = ex->plan->site_count;
	bool complete = true;
	size_t at = 0;

	for (; code_at(code, at, &in); at += in.length)
		if (in.kind == INSTRUCTION_RETURN && !add(ex, TLS_PROBE_GO_READ_END, code, at, &in))
			complete = false;
	if (complete && only_zeros(code, at) && ex->plan->site_count > before)
		return true;
	ex->plan->site_count = before;
	return false;
}

static bool add_read(const struct examination *ex, const struct elf_symbol *found)
{
	uint32_t before = ex->plan->site_count;
	struct code code;

	if (code_read(ex->elf, ex->machine, &found[CONN_READ], &code) != 0 ||
	    !add_entry(ex, TLS_PROBE_GO_READ, &found[CONN_READ]))
		return false;
	if (found[READER_READ].address && add_behind_call(ex, &code, found[READER_READ].address))
		return true;
	if (add_returns(ex, &code))
		return true;
	ex->plan->site_count = before;
	return false;
}

void go_plan(const struct examination *ex)
{
	struct elf_symbol found[GO_FUNCTION_MAX];
	struct plan *plan = ex->plan;
	char version[PLAN_VERSION_MAX];

	if (golang_version(ex->elf, version, sizeof(version)) != 0 ||
	    golang_find(ex->elf, names, GO_FUNCTION_MAX, found) <= 0 ||
	    !found[WRITE_RECORD].address)
		return;
	plan->layer = TLS_GO;
	memcpy(plan->version, version, sizeof(version));
	if (!in_registers(ex->machine, version))
		plan->dark = "this version of Go passes arguments on the stack, not in registers";
	else if (!add_entry(ex, TLS_PROBE_GO_WRITE, &found[WRITE_RECORD]))
		plan->dark = "the code of crypto/tls.(*Conn).writeRecordLocked cannot be read";
	else if (!add_read(ex, found))
		plan->dark = "no place found at which the length of a read is known: no replies of "
			     "the server are seen";
}
