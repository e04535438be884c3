/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The result of parsing a message: adding to it, within its bounds, and freeing it. */
#include <stdlib.h>

#include "mail/parser.h"

void mail_free(struct mail *mail)
{
	if (!mail)
		return;
	mail_content_free(&mail->content);
	text_free(&mail->text);
	free(mail->addresses);
	free(mail->attachments);
	free(mail);
}

struct mail_string mail_keep(struct mail *mail, struct span text)
{
	struct mail_string string = {(uint32_t)mail->text.len, 0};

	if (text.len > MAIL_TEXT_MAX - mail->text.len) {
		mail->truncated = true;
		return string;
	}
	text_add(&mail->text, text);
	string.len = (uint32_t)(mail->text.len - string.offset);
	return string;
}

/* Makes room for one more element. The array grows by doubling. NULL: no memory. */
static void *room(void *array, uint32_t count, size_t size)
{
	if (count && (count & (count - 1)))
		return array;
	return realloc(array, (count ? 2 * (size_t)count : 1) * size);
}

void mail_add_address(struct mail *mail, enum mail_address_kind kind, struct span address)
{
	struct mail_address *bigger;

	if (mail->address_count >= MAIL_ADDRESSES_MAX) {
		mail->truncated = true;
		return;
	}
	bigger = room(mail->addresses, mail->address_count, sizeof(*bigger));
	if (!bigger)
		return;
	mail->addresses = bigger;
	mail->addresses[mail->address_count++] =
		(struct mail_address){.kind = kind, .address = mail_keep(mail, address)};
}

void mail_add_attachment(struct mail *mail, const struct part *part)
{
	struct mail_attachment *bigger;

	if (mail->attachment_count >= MAIL_ATTACHMENTS_MAX) {
		mail->truncated = true;
		return;
	}
	bigger = room(mail->attachments, mail->attachment_count, sizeof(*bigger));
	if (!bigger)
		return;
	mail->attachments = bigger;
	mail->attachments[mail->attachment_count++] = (struct mail_attachment){
		.name = mail_keep(mail, (struct span){part->name.data, part->name.len}),
		.type = mail_keep(mail, span_of(part->type)),
		.size = part->encoding == ENCODING_BASE64 ? part->units * 3 / 4 : part->size,
	};
}
