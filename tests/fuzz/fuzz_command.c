/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One command line: everything that the parser returns is inside it. */
#include <stdint.h>
#include <stdlib.h>

#include "smtp/auth.h"
#include "smtp/smtp.h"
#include "smtp/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(struct span line, struct span part)
{
	if (part.len && (part.data < line.data || part.data + part.len > line.data + line.len))
		abort();
}

/* Redacting keeps the user name. */
static void check_auth(struct span mechanism, struct span response)
{
	char before[SMTP_WORD_MAX], after[SMTP_WORD_MAX], *copy = malloc(response.len + 1);

	for (uint32_t step = 0; copy && step < 3; step++) {
		size_t before_len =
			       smtp_auth_user(mechanism, step, response, before, sizeof(before)),
		       after_len;

		memcpy(copy, response.data, response.len);
		smtp_auth_redact(mechanism, step, copy, response.len);
		after_len = smtp_auth_user(mechanism, step, (struct span){copy, response.len},
					   after, sizeof(after));
		if (before_len &&
		    (before_len != after_len || memcmp(before, after, after_len) != 0))
			abort();
	}
	free(copy);
}

/* The address fits into a buffer of the argument's size. */
static void check_address(const struct smtp_command *command)
{
	char *address = malloc(command->argument.len ? command->argument.len : 1);

	if (address && smtp_command_address(command, address) > command->argument.len)
		abort();
	free(address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span line = {(const char *)data, size};
	struct smtp_command command = smtp_command_parse(line);

	within(line, command.argument);
	within(line, command.parameters);
	check_address(&command);
	if (smtp_command_secret(line) > size)
		abort();
	smtp_command_certain(line, true);
	smtp_command_certain(line, false);
	if (command.verb == SMTP_VERB_AUTH)
		check_auth(command.argument, command.parameters);
	return 0;
}
