/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the libraries of a host have the random: the few places that the programs try. Pure code.
 */
#ifndef SMTPSNOOP_LAYOUTS_H
#define SMTPSNOOP_LAYOUTS_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>

#include "tls.h"

/* Of the places, this many may come from files that do not belong to root. */
#define LAYOUTS_UNTRUSTED_MAX (TLS_LAYOUTS_MAX / 2)

struct layout_use {
	struct tls_layout layout;
	uint32_t trusted; /* how many libraries of root have it */
	uint32_t other;	  /* how many of others */
};

/* Of each kind of library. Zero-filled: there is none. */
struct layouts {
	struct layout_use uses[TLS_LAYER_MAX][TLS_LAYOUTS_MAX];
	uint32_t count[TLS_LAYER_MAX];
};

/*
 * Adds a library's places. Returns how many have no room: a trusted place takes that of one that
 * only others use. *changed: the programs must be told.
 */
uint32_t layouts_add(struct layouts *layouts, enum tls_layer layer, const struct tls_layout *added,
		     uint32_t count, bool trusted, bool *changed);

/* The library is gone. What had no room is ignored. */
void layouts_remove(struct layouts *layouts, enum tls_layer layer, const struct tls_layout *removed,
		    uint32_t count, bool trusted, bool *changed);

/* The places of a layer, those of most trusted libraries first. Returns their number. */
uint32_t layouts_list(const struct layouts *layouts, enum tls_layer layer,
		      struct tls_layout list[TLS_LAYOUTS_MAX]);

#endif
