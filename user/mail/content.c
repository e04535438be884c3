/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Collects the content of a message, within its own limit and the budget of all messages. */
#include "mail/content.h"

#include "mail/word.h"

/* Adds what fits into the limit. What exceeds the budget is not added at all. */
static void add(struct mail_content *content, struct span bytes)
{
	size_t room = content->limit - content->text.len;

	if (content->cut)
		return;
	if (bytes.len > room || bytes.len > content->budget->left) {
		content->cut = true;
		content->budget->refused += bytes.len <= room;
		bytes.len = bytes.len <= room ? 0 : room;
		if (bytes.len > content->budget->left)
			bytes.len = 0;
	}
	text_add(&content->text, bytes);
	if (content->text.failed)
		content->cut = true;
	else
		content->budget->left -= bytes.len;
}

static void add_byte(struct mail_content *content, char byte)
{
	if (byte != '\r')
		add(content, (struct span){&byte, 1});
}

void mail_content_field(struct mail_content *content, struct span name, struct span body)
{
	struct text line = {0};

	if (!mail_content_wants(content))
		return;
	text_add(&line, name);
	text_add_string(&line, ": ");
	mail_word_decode(&line, body);
	text_add_string(&line, "\n");
	if (line.failed)
		content->cut = true;
	else
		add(content, (struct span){line.data, line.len});
	text_free(&line);
	content->part_start = content->text.len;
}

/* ---- Bodies ---------------------------------------------------------------------------------- */

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void take_base64(struct mail_content *content, char c)
{
	int value = base64_value(c);

	if (c == '=') /* what follows starts a new run of four */
		content->bits = content->bit_count = 0;
	if (value < 0)
		return;
	content->bits = content->bits << 6 | (uint32_t)value;
	content->bit_count += 6;
	if (content->bit_count < 8)
		return;
	content->bit_count -= 8;
	add_byte(content, (char)(content->bits >> content->bit_count));
}

/* Adds a '=' that begins no encoded byte, and what follows it, as it is. */
static void quoted_give_up(struct mail_content *content)
{
	add(content, (struct span){content->quoted, content->quoted_len});
	content->quoted_len = 0;
}

static void take_quoted(struct mail_content *content, char c)
{
	int high, low;

	if (content->quoted_len == 1 && (c == '\n' || c == '\r')) { /* a soft line break */
		content->quoted_len = c == '\r';
		return;
	}
	if (content->quoted_len && hex_value(c) < 0)
		quoted_give_up(content);
	if (content->quoted_len == 2) {
		high = hex_value(content->quoted[1]);
		low = hex_value(c);
		content->quoted_len = 0;
		add_byte(content, (char)(high << 4 | low));
	} else if (content->quoted_len || c == '=') {
		content->quoted[content->quoted_len++] = c;
	} else {
		add_byte(content, c);
	}
}

static void take_plain(struct mail_content *content, struct span piece)
{
	while (piece.len) {
		const char *cr = memchr(piece.data, '\r', piece.len);
		size_t len = cr ? (size_t)(cr - piece.data) : piece.len;

		add(content, (struct span){piece.data, len});
		len += cr != NULL;
		piece.data += len;
		piece.len -= len;
	}
}

void mail_content_body(struct mail_content *content, enum mail_encoding encoding, struct span piece)
{
	if (!mail_content_wants(content))
		return;
	if (encoding == ENCODING_NONE) {
		take_plain(content, piece);
		return;
	}
	for (size_t i = 0; i < piece.len && !content->cut; i++) {
		if (encoding == ENCODING_BASE64)
			take_base64(content, piece.data[i]);
		else
			take_quoted(content, piece.data[i]);
	}
}

void mail_content_end_part(struct mail_content *content, struct span charset)
{
	struct text utf8 = {0};
	bool was_cut = content->cut;
	size_t start = content->part_start, len = content->text.len - start;

	content->bits = content->bit_count = content->quoted_len = 0;
	if (!content->budget)
		return;
	if (len && charset.len &&
	    mail_charset_decode(&utf8, charset, (struct span){content->text.data + start, len})) {
		content->cut = false;
		content->text.len = start;
		content->budget->left += len;
		add(content, (struct span){utf8.data, utf8.len});
		content->cut = content->cut || was_cut;
	}
	text_free(&utf8);
	if (!content->cut && content->text.len)
		add(content, (struct span){"\n", 1}); /* keeps the parts apart */
	content->part_start = content->text.len;
}

void mail_content_free(struct mail_content *content)
{
	if (content->budget)
		content->budget->left += content->text.len;
	text_free(&content->text);
	content->budget = NULL;
}
