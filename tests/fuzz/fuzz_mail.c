/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A message in pieces: header fields, MIME parts, encoded words. The result must not depend on the
 * cuts.
 */
#include <stdint.h>
#include <stdlib.h>

#include "mail/mail.h"
#include "event/origin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mail *parse(struct span text, size_t piece)
{
	struct mail_parser *parser = mail_parser_new();
	struct mail *mail;

	if (!parser)
		abort();
	for (size_t at = 0; at < text.len; at += piece) {
		size_t len = piece < text.len - at ? piece : text.len - at;
		char *copy = malloc(len);

		memcpy(copy, text.data + at, len);
		mail_parser_data(parser, (struct span){copy, len});
		free(copy);
	}
	mail = mail_parser_finish(parser);
	mail_parser_free(parser);
	return mail;
}

static void origins(struct span received)
{
	static const char *const mtas[] = {"postfix", "exim", "sendmail", "opensmtpd"};
	struct origin origin;

	for (size_t i = 0; i < sizeof(mtas) / sizeof(mtas[0]); i++) {
		if (origin_parse(mtas[i], received, &origin) && !origin.has_uid &&
		    !origin.user[0] && !origin.queue_id[0])
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mail *whole, *cut;

	if (size < 2)
		return 0;
	whole = parse((struct span){(const char *)data + 1, size - 1}, size);
	cut = parse((struct span){(const char *)data + 1, size - 1}, data[0] + 1U);
	if (whole->address_count != cut->address_count ||
	    whole->attachment_count != cut->attachment_count || whole->text.len != cut->text.len ||
	    (whole->text.len && memcmp(whole->text.data, cut->text.data, cut->text.len) != 0))
		abort();
	for (uint32_t i = 0; i < whole->attachment_count; i++) {
		if (whole->attachments[i].size != cut->attachments[i].size)
			abort();
	}
	origins(mail_span(whole, whole->received));
	mail_free(whole);
	mail_free(cut);
	return 0;
}
