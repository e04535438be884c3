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

/* Copies an address, cut, to the end of an envelope. Returns where it is. */
static uint32_t copy_short(char *envelope, uint32_t *used, struct span address, uint32_t *len)
{
	uint32_t offset = *used;

	*len = (uint32_t)(address.len < SMTP_SHORT_ADDRESS ? address.len : SMTP_SHORT_ADDRESS);
	if (*len && address.data)
		memcpy(envelope + offset, address.data, *len);
	*used += *len;
	return offset;
}

void smtp_transaction_shorten(struct smtp_transaction *transaction)
{
	uint32_t count = transaction->recipient_count, used = 0,
		 kept = count < SMTP_SHORT_RECIPIENTS ? count : SMTP_SHORT_RECIPIENTS;
	char *envelope = malloc((kept + 1U) * (size_t)SMTP_SHORT_ADDRESS);
	struct smtp_recipient *recipients = calloc(kept + 1U, sizeof(*recipients));

	if (!envelope || !recipients)
		kept = 0;
	if (envelope)
		copy_short(envelope, &used, smtp_transaction_from(transaction),
			   &transaction->from_len);
	else
		transaction->from_len = 0;
	for (uint32_t i = 0; i < kept; i++) {
		recipients[i].code = transaction->recipients[i].code;
		recipients[i].offset =
			copy_short(envelope, &used, smtp_transaction_recipient(transaction, i),
				   &recipients[i].len);
	}
	free(transaction->envelope);
	free(transaction->recipients);
	transaction->envelope = envelope;
	transaction->envelope_len = transaction->envelope_size = used;
	transaction->recipients = recipients;
	transaction->recipient_count = transaction->recipient_size = kept;
	transaction->recipients_dropped += count - kept;
	transaction->parameters_off = transaction->parameters_len = 0;
}
