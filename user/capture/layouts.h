/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the libraries of a host have the random: the few places that the programs try. Pure code.
 */
#ifndef SMTPSNOOP_LAYOUTS_H
#define SMTPSNOOP_LAYOUTS_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>

#include "tls.h"

/* Of the places that are tried, this many may come from files that do not belong to root. */
#define LAYOUTS_UNTRUSTED_MAX (TLS_LAYOUTS_MAX / 2)

/* Of the places that are known, but not all tried: of one kind of library; of one user. */
#define LAYOUTS_KNOWN_MAX 256U
#define LAYOUTS_USER_MAX  8U

#define LAYOUTS_TRUSTED UINT32_MAX /* instead of a user: the file belongs to root */

/* A place of the libraries of one user. */
struct layout_use {
	struct tls_layout layout;
	uint32_t user;	/* who made the library known; LAYOUTS_TRUSTED */
	uint32_t count; /* how many libraries of his have it; 0: unused */
};

/* Of each kind of library. Zero-filled: there is none. */
struct layouts {
	struct layout_use uses[TLS_LAYER_MAX][LAYOUTS_KNOWN_MAX];
	uint32_t count[TLS_LAYER_MAX];
};

/*
 * Adds a library's places. Returns how many places are not tried because of that: of this library,
 * or of others that were tried before. *changed: the programs must be told.
 */
uint32_t layouts_add(struct layouts *layouts, enum tls_layer layer, const struct tls_layout *added,
		     uint32_t count, uint32_t user, bool *changed);

/* The library is gone. What had no room is ignored. */
void layouts_remove(struct layouts *layouts, enum tls_layer layer, const struct tls_layout *removed,
		    uint32_t count, uint32_t user, bool *changed);

/*
 * The places of a layer that are to be tried: root's first, those of most libraries first. Then one
 * of each other user, then a second one of each, and so on. Returns their number.
 */
uint32_t layouts_list(const struct layouts *layouts, enum tls_layer layer,
		      struct tls_layout list[TLS_LAYOUTS_MAX]);

#endif
