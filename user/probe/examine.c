/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "probe/examine.h"

#include <string.h>

bool examine_has(const struct examination *ex, enum function function)
{
	return ex->found[function].address;
}

bool examine_code(const struct examination *ex, enum function function, struct code *code)
{
	return code_read(ex->elf, ex->machine, &ex->found[function], code) == 0;
}

bool examine_site(const struct examination *ex, enum tls_probe probe,
		  const struct elf_symbol *function)
{
	struct plan *plan = ex->plan;
	struct instruction first;
	struct code code;
	uint64_t offset;
	size_t entry;

	if (plan->site_count >= PLAN_SITES_MAX ||
	    code_read(ex->elf, ex->machine, function, &code) != 0)
		return false;
	if (!code_entry(&code, &entry, &first) ||
	    !elf_offset(ex->elf, function->address + entry, &offset))
		return false;
	plan->sites[plan->site_count++] = (struct site){
		.probe = probe,
		.price = first.emulated ? PRICE_CHEAP : PRICE_DEAR,
		.offset = offset,
		.returns = true,
	};
	return true;
}

bool examine_function(const struct examination *ex, enum tls_probe probe, enum function function)
{
	return examine_has(ex, function) && examine_site(ex, probe, &ex->found[function]);
}

bool examine_begins(const struct examination *ex, uint64_t address)
{
	struct elf_symbol symbol = {.address = address};
	struct code code;
	uint64_t offset;

	return elf_offset(ex->elf, address, &offset) &&
	       code_read(ex->elf, ex->machine, &symbol, &code) == 0 && code_begins(&code);
}

void examine_layout(const struct examination *ex, struct tls_layout layout)
{
	if (ex->plan->layout_count < PLAN_LAYOUTS_MAX)
		ex->plan->layouts[ex->plan->layout_count++] = layout;
}

static bool is_version(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '.' || c == '-' || c == '+';
}

bool examine_version(const struct examination *ex, const char *text)
{
	char *version = ex->plan->version;
	size_t at = strlen(text);
	uint64_t address;
	int got;

	if (elf_search(ex->elf, text, &address) != 0)
		return false;
	got = elf_read(ex->elf, address, version, PLAN_VERSION_MAX - 1);
	/* The file may have changed since it was searched. */
	for (size_t i = 0; i < at; i++)
		if (got <= (int)i || (version[i] != ' ' && !is_version(version[i])))
			at = i;
	while ((int)at < got && is_version(version[at]))
		at++;
	memset(version + at, 0, PLAN_VERSION_MAX - at);
	return at;
}
