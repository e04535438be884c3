/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The walk over an SMTP session, its transaction and the mail. */
#include "format/walk.h"

/* ---- The mail -------------------------------------------------------------------------------- */

static bool next_address(const struct mail *mail, enum mail_address_kind kind, uint32_t *at,
			 struct span *item)
{
	while (*at < mail->address_count && mail->addresses[*at].kind != kind)
		(*at)++;
	if (*at >= mail->address_count)
		return false;
	*item = mail_span(mail, mail->addresses[(*at)++].address);
	return true;
}

static bool next_from(const void *of, uint32_t *at, struct span *item, struct text *scratch)
{
	(void)scratch;
	return next_address(of, MAIL_FROM, at, item);
}

static bool next_to(const void *of, uint32_t *at, struct span *item, struct text *scratch)
{
	(void)scratch;
	return next_address(of, MAIL_TO, at, item);
}

static bool next_cc(const void *of, uint32_t *at, struct span *item, struct text *scratch)
{
	(void)scratch;
	return next_address(of, MAIL_CC, at, item);
}

static bool next_reply_to(const void *of, uint32_t *at, struct span *item, struct text *scratch)
{
	(void)scratch;
	return next_address(of, MAIL_REPLY_TO, at, item);
}

static void put_addresses(struct fields *fields, const struct mail *mail)
{
	static const struct {
		enum field field;
		list_fn next;
	} lists[] = {
		[MAIL_FROM] = {FIELD_HEADER_FROM, next_from},
		[MAIL_TO] = {FIELD_HEADER_TO, next_to},
		[MAIL_CC] = {FIELD_HEADER_CC, next_cc},
		[MAIL_REPLY_TO] = {FIELD_HEADER_REPLY_TO, next_reply_to},
	};

	for (uint32_t i = 0; i < mail->address_count; i++) {
		enum mail_address_kind kind = mail->addresses[i].kind;

		put_list(fields, lists[kind].field, lists[kind].next, mail);
	}
}

static bool attachment(struct fields *element, const void *of, uint32_t at)
{
	const struct mail *mail = of;
	const struct mail_attachment *one = &mail->attachments[at];

	if (at >= mail->attachment_count)
		return false;
	put_bytes_known(element, FIELD_ATTACHMENT_NAME, mail_span(mail, one->name));
	put_bytes_known(element, FIELD_ATTACHMENT_TYPE, mail_span(mail, one->type));
	put_number(element, FIELD_ATTACHMENT_SIZE, one->size);
	return true;
}

/* Of an attachment without a name: empty, so that names and types are at the same places. */
static bool next_attachment_name(const void *of, uint32_t *at, struct span *item,
				 struct text *scratch)
{
	const struct mail *mail = of;

	(void)scratch;
	if (*at >= mail->attachment_count)
		return false;
	*item = mail_span(mail, mail->attachments[(*at)++].name);
	return true;
}

static bool next_attachment_type(const void *of, uint32_t *at, struct span *item,
				 struct text *scratch)
{
	const struct mail *mail = of;

	(void)scratch;
	if (*at >= mail->attachment_count)
		return false;
	*item = mail_span(mail, mail->attachments[(*at)++].type);
	return true;
}

static void put_attachments(struct fields *fields, const struct mail *mail)
{
	uint64_t bytes = 0;

	put_number(fields, FIELD_ATTACHMENT_COUNT, mail->attachment_count);
	if (!mail->attachment_count)
		return;
	for (uint32_t i = 0; i < mail->attachment_count; i++)
		bytes += mail->attachments[i].size;
	put_records(fields, FIELD_ATTACHMENTS, attachment, mail);
	put_list(fields, FIELD_ATTACHMENT_NAMES, next_attachment_name, mail);
	put_list(fields, FIELD_ATTACHMENT_TYPES, next_attachment_type, mail);
	put_number(fields, FIELD_ATTACHMENT_BYTES, bytes);
}

_Static_assert(FIELD_CLAIM_SOURCE_DIR - FIELD_CLAIM_PHP_SCRIPT == MAIL_CLAIM_SOURCE_DIR,
	       "the rows of claims have the order of enum mail_claim");

static void put_mail(struct fields *fields, const struct mail *mail)
{
	put(fields, FIELD_EMAIL);
	put_addresses(fields, mail);
	put_bytes_known(fields, FIELD_SUBJECT, mail_span(mail, mail->subject));
	put_bytes_known(fields, FIELD_MESSAGE_ID, mail_span(mail, mail->message_id));
	put_bytes_known(fields, FIELD_X_MAILER, mail_span(mail, mail->x_mailer));
	for (int i = 0; i < MAIL_CLAIM_COUNT; i++)
		put_bytes_known(fields, (enum field)(FIELD_CLAIM_PHP_SCRIPT + i),
				mail_span(mail, mail->claims[i]));
	if (mail->has_date)
		put_time(fields, FIELD_DATE, mail->date_s * 1000000000LL);
	put_attachments(fields, mail);
}

/* ---- The SMTP session -------------------------------------------------------------------- */

void walk_session(struct fields *fields, const struct smtp_facts *facts, bool late_tls)
{
	if (facts->protocol != SMTP_PROTOCOL_UNKNOWN) {
		put_bytes(fields, FIELD_HELO, (struct span){facts->helo, facts->helo_len});
		put_word(fields, FIELD_PROTOCOL, smtp_protocol_name(facts->protocol));
	}
	if (facts->auth_mechanism_len) {
		put_bytes(fields, FIELD_AUTH_MECHANISM,
			  (struct span){facts->auth_mechanism, facts->auth_mechanism_len});
		put_bytes_known(fields, FIELD_AUTH_USER,
				(struct span){facts->auth_user, facts->auth_user_len});
		put_word(fields, FIELD_AUTH_OUTCOME, event_auth_outcome(facts));
	}
	if (facts->starttls || !late_tls)
		put_bool(fields, FIELD_STARTTLS, facts->starttls);
	if (facts->proxy.hops) {
		put_word(fields, FIELD_PROXY_PROTOCOL, event_proxy_protocol(&facts->proxy));
		put_bytes(fields, FIELD_PROXY_TARGET,
			  (struct span){facts->proxy.target, facts->proxy.target_len});
		put_number(fields, FIELD_PROXY_HOPS, facts->proxy.hops);
	}
}

/* ---- The transaction ------------------------------------------------------------------------- */

static bool next_recipient(const void *of, uint32_t *at, struct span *item, struct text *scratch)
{
	const struct smtp_transaction *transaction = of;

	(void)scratch;
	if (*at >= transaction->recipient_count)
		return false;
	*item = smtp_transaction_recipient(transaction, (*at)++);
	return true;
}

static bool next_refused(const void *of, uint32_t *at, struct span *item, struct text *scratch)
{
	const struct smtp_transaction *transaction = of;

	while (*at < transaction->recipient_count && !smtp_recipient_refused(transaction, *at))
		(*at)++;
	return next_recipient(of, at, item, scratch);
}

static void put_recipients(struct fields *fields, const struct smtp_transaction *transaction)
{
	uint32_t refused = 0;

	for (uint32_t i = 0; i < transaction->recipient_count; i++)
		refused += smtp_recipient_refused(transaction, i);
	put_number(fields, FIELD_RCPT_COUNT,
		   (uint64_t)transaction->recipient_count + transaction->recipients_dropped);
	put_list(fields, FIELD_RCPT_TO, next_recipient, transaction);
	put_number(fields, FIELD_REFUSED_COUNT, refused);
	if (refused)
		put_list(fields, FIELD_RCPT_REFUSED, next_refused, transaction);
	if (transaction->recipients_dropped)
		put_number(fields, FIELD_RCPT_DROPPED, transaction->recipients_dropped);
}

void walk_transaction(struct fields *fields, const struct smtp_transaction *transaction)
{
	if (!transaction->from_unknown)
		put_bytes(fields, FIELD_MAIL_FROM, smtp_transaction_from(transaction));
	put_recipients(fields, transaction);
	put_bytes_known(fields, FIELD_MAIL_PARAMETERS, smtp_transaction_parameters(transaction));
	put_number(fields, FIELD_TRANSACTION, transaction->number);
	put_number(fields, FIELD_BYTES, transaction->bytes);
	put_bytes_known(fields, FIELD_QUEUE_ID, origin_queue_id(transaction));
	if (transaction->reply_code) {
		put_number(fields, FIELD_REPLY_CODE, transaction->reply_code);
		put_bytes(fields, FIELD_REPLY_TEXT,
			  (struct span){transaction->reply_text, transaction->reply_len});
	}
	if (transaction->mail)
		put_mail(fields, transaction->mail);
}
