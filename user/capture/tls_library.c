/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <string.h>

#include "base/text.h"
#include "capture/tls_library.h"

bool library_same_plan(const struct plan *a, const struct plan *b)
{
	if (a->layer != b->layer || a->site_count != b->site_count ||
	    a->layout_count != b->layout_count)
		return false;
	for (uint32_t i = 0; i < a->site_count; i++) {
		if (a->sites[i].offset != b->sites[i].offset ||
		    a->sites[i].probe != b->sites[i].probe ||
		    a->sites[i].returns != b->sites[i].returns)
			return false;
	}
	return memcmp(a->layouts, b->layouts, a->layout_count * sizeof(a->layouts[0])) == 0;
}

bool library_is_attached(const struct library *library)
{
	return library->uprobes.count || (library->same && library->same->uprobes.count);
}

void library_describe(const struct library *library, struct library_state *state)
{
	struct text text = {};

	*state = (struct library_state){.layer = library->plan.layer,
					.attached = library_is_attached(library),
					.mapped = library->pid != 0,
					.dark = library->plan.dark,
					.error = library->error,
					.user = library->user};
	text_add_visible(&text, span_of(library->path));
	if (text.data)
		strncat(state->path, text.data, sizeof(state->path) - 1);
	text_free(&text);
	memcpy(state->version, library->plan.version, sizeof(state->version));
	state->version[sizeof(state->version) - 1] = '\0';
	for (uint32_t i = 0; i < library->plan.site_count; i++) {
		if (library->plan.sites[i].price == PRICE_CHEAP)
			state->cheap++;
		else
			state->dear++;
	}
}
