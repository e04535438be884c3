/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Building a transaction; for the session only. */
#ifndef SMTPSNOOP_SMTP_TRANSACTION_H
#define SMTPSNOOP_SMTP_TRANSACTION_H

#include "smtp/smtp.h"
#include "smtp/command.h"

/* NULL: no memory. */
struct smtp_transaction *smtp_transaction_new(uint32_t number, uint64_t start_pos,
					      uint64_t time_ns);

/* A copy without the mail. NULL: no memory. */
struct smtp_transaction *smtp_transaction_copy(const struct smtp_transaction *transaction);

/*
 * Set the reverse-path, once and first; then add each recipient. False: it does not fit, or no
 * memory. A recipient that does not fit is counted (recipients_dropped).
 */
bool smtp_transaction_set_from(struct smtp_transaction *transaction,
			       const struct smtp_command *command);
bool smtp_transaction_add(struct smtp_transaction *transaction, const struct smtp_command *command);

#endif
