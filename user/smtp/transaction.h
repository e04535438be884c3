/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The making of a transaction; for the session alone. */
#ifndef SMTPSNOOP_SMTP_TRANSACTION_H
#define SMTPSNOOP_SMTP_TRANSACTION_H

#include "smtp/smtp.h"
#include "smtp/command.h"

/* NULL if there is no memory. */
struct smtp_transaction *smtp_transaction_new(uint32_t number, uint64_t start_pos,
					      uint64_t time_ns);

/* The same without the mail. NULL if there is no memory. */
struct smtp_transaction *smtp_transaction_copy(const struct smtp_transaction *transaction);

/* Each once, in this order: first the reverse-path, then the recipients. False: it did not fit. */
bool smtp_transaction_set_from(struct smtp_transaction *transaction,
			       const struct smtp_command *command);
bool smtp_transaction_add(struct smtp_transaction *transaction, const struct smtp_command *command);

#endif
