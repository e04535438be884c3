/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "config/output_config.h"

#include <stdlib.h>
#include <string.h>

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool output_config_same_place(const struct output_config *a, const struct output_config *b)
{
	return same(a->name, b->name) && a->type == b->type && same(a->path, b->path) &&
	       same(a->host, b->host) && same(a->service, b->service) &&
	       a->transport == b->transport && a->framing == b->framing;
}

static bool copy(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return *to || !from;
}

bool output_config_copy(struct output_config *to, const struct output_config *from)
{
	struct output_config made = *from;
	bool good;

	made.name = made.path = made.host = made.service = NULL;
	good = copy(&made.name, from->name) && copy(&made.path, from->path) &&
	       copy(&made.host, from->host) && copy(&made.service, from->service);
	if (good)
		*to = made;
	else
		output_config_free(&made);
	return good;
}

void output_config_free(struct output_config *output)
{
	free(output->name);
	free(output->path);
	free(output->host);
	free(output->service);
}
