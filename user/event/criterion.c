/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "event/criterion.h"

static const char *const names[CRITERION_COUNT] = {
#define CRITERION_NAME(constant, name) [constant] = (name),
	CRITERIA(CRITERION_NAME)
#undef CRITERION_NAME
};

const char *criterion_name(enum criterion criterion)
{
	return names[criterion];
}
