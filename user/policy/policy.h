/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a configuration says about which mail passes and what is hidden. Plain data. */
#ifndef SMTPSNOOP_POLICY_H
#define SMTPSNOOP_POLICY_H

#include <stddef.h>
#include <stdint.h>

#include "policy/exclusion.h"
#include "policy/privacy_address.h"
#include "policy/rules.h"

#define POLICY_HASH_LEN	  64U	 /* hexadecimal digits */
#define POLICY_BODY_BYTES 65536U /* body_bytes, if the configuration does not say */

struct policy {
	struct exclusion *exclusions; /* owned */
	size_t exclusion_count;
	uint64_t deadline_s;
	uint64_t body_bytes; /* kept of a message, for contains and matches */
	struct rules *rules; /* owned; NULL: none */
	struct privacy privacy;
	char sha256[POLICY_HASH_LEN + 1]; /* of the configuration files, one after the other */
};

#endif
