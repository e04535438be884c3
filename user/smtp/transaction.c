/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The envelope of one mail transaction. */
#include "smtp/transaction.h"

#include <stdlib.h>

struct smtp_transaction *smtp_transaction_new(uint32_t number, uint64_t start_pos, uint64_t time_ns)
{
	struct smtp_transaction *transaction = calloc(1, sizeof(*transaction));

	if (transaction) {
		transaction->number = number;
		transaction->start_pos = transaction->end_pos = start_pos;
		transaction->start_ns = transaction->end_ns = time_ns;
	}
	return transaction;
}

void smtp_transaction_free(struct smtp_transaction *transaction)
{
	if (!transaction)
		return;
	mail_free(transaction->mail);
	free(transaction->envelope);
	free(transaction->recipients);
	free(transaction);
}

struct smtp_transaction *smtp_transaction_copy(const struct smtp_transaction *transaction)
{
	struct smtp_transaction *copy = malloc(sizeof(*copy));
	size_t recipients = transaction->recipient_count * sizeof(*copy->recipients);

	if (!copy)
		return NULL;
	*copy = *transaction;
	copy->mail = NULL;
	copy->envelope = malloc(transaction->envelope_len + 1U);
	copy->recipients = malloc(recipients + 1);
	if (!copy->envelope || !copy->recipients) {
		smtp_transaction_free(copy);
		return NULL;
	}
	if (transaction->envelope_len)
		memcpy(copy->envelope, transaction->envelope, transaction->envelope_len);
	if (recipients)
		memcpy(copy->recipients, transaction->recipients, recipients);
	return copy;
}

/*
 * Makes room for `count` more elements of `size` bytes in an array of *have, of which `used` are
 * used. The array grows by doubling, from `first`. False: no memory.
 */
static bool grow(void **array, uint32_t *have, uint32_t used, uint32_t count, size_t size,
		 uint32_t first)
{
	uint32_t want = *have ? *have : first;
	void *bigger;

	if (used + count <= *have)
		return true;
	while (want < used + count)
		want *= 2;
	bigger = realloc(*array, want * size);
	if (!bigger)
		return false;
	*array = bigger;
	*have = want;
	return true;
}

/* Keeps a text in the envelope. Returns its offset; -1: it does not fit, or no memory. */
static int64_t keep(struct smtp_transaction *transaction, struct span text)
{
	uint32_t offset = transaction->envelope_len;

	if (text.len > SMTP_ENVELOPE_MAX - offset ||
	    !grow((void **)&transaction->envelope, &transaction->envelope_size, offset,
		  (uint32_t)text.len, 1, 256))
		return -1;
	if (text.len)
		memcpy(transaction->envelope + offset, text.data, text.len);
	transaction->envelope_len += (uint32_t)text.len;
	return offset;
}

/* Keeps the address of a command in the envelope, likewise. `*len`: its length. */
static int64_t keep_address(struct smtp_transaction *transaction,
			    const struct smtp_command *command, uint32_t *len)
{
	int64_t offset = keep(transaction, command->argument);

	transaction->odd_address = transaction->odd_address || command->odd_address;
	if (offset < 0)
		return offset;
	*len = 0;
	if (command->argument.len)
		*len = (uint32_t)smtp_command_address(command, transaction->envelope + offset);
	transaction->envelope_len = (uint32_t)offset + *len;
	return offset;
}

bool smtp_transaction_set_from(struct smtp_transaction *transaction,
			       const struct smtp_command *command)
{
	int64_t offset;

	if (keep_address(transaction, command, &transaction->from_len) < 0)
		return false;
	offset = keep(transaction, command->parameters);
	if (offset < 0)
		return false;
	transaction->parameters_off = (uint32_t)offset;
	transaction->parameters_len = (uint32_t)command->parameters.len;
	return true;
}

bool smtp_transaction_add(struct smtp_transaction *transaction, const struct smtp_command *command)
{
	int64_t offset;
	uint32_t len;

	if (transaction->recipient_count >= SMTP_RECIPIENTS_MAX ||
	    !grow((void **)&transaction->recipients, &transaction->recipient_size,
		  transaction->recipient_count, 1, sizeof(transaction->recipients[0]), 4) ||
	    (offset = keep_address(transaction, command, &len)) < 0) {
		transaction->recipients_dropped++;
		return false;
	}
	transaction->recipients[transaction->recipient_count++] =
		(struct smtp_recipient){.offset = (uint32_t)offset, .len = len};
	return true;
}

struct span smtp_transaction_from(const struct smtp_transaction *transaction)
{
	return (struct span){transaction->envelope ? transaction->envelope : "",
			     transaction->from_len};
}

struct span smtp_transaction_parameters(const struct smtp_transaction *transaction)
{
	if (!transaction->parameters_len)
		return (struct span){"", 0};
	return (struct span){transaction->envelope + transaction->parameters_off,
			     transaction->parameters_len};
}

struct span smtp_transaction_recipient(const struct smtp_transaction *transaction, uint32_t index)
{
	const struct smtp_recipient *recipient = &transaction->recipients[index];

	if (!recipient->len)
		return (struct span){"", 0};
	return (struct span){transaction->envelope + recipient->offset, recipient->len};
}

bool smtp_recipient_refused(const struct smtp_transaction *transaction, uint32_t index)
{
	return transaction->recipients[index].code >= 400;
}
