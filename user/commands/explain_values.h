/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a criterion expects, what a message has instead, and why that is not known: for people. */
#ifndef SMTPSNOOP_EXPLAIN_VALUES_H
#define SMTPSNOOP_EXPLAIN_VALUES_H

#include "base/text.h"
#include "policy/exclusion.h"

/* Adds what the exclusion expects, also of a criterion that it does not name. Safe to show. */
void explain_expected(struct text *out, const struct exclusion *exclusion,
		      enum criterion criterion);

/* Adds what the message has, as far as it is known and does not meet the criterion. */
void explain_actual(struct text *out, const struct exclusion *exclusion, enum criterion criterion,
		    const struct facts *facts);

/* Why a criterion is unknown; a static string. */
const char *explain_unknown(const struct exclusion *exclusion, enum criterion criterion,
			    const struct facts *facts);

#endif
