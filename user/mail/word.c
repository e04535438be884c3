/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the body is read word by word. Encoded words with only blanks between them
 * form a run. The decoded bytes of a run are collected while the charset stays the same, then
 * converted at once. If any word of a run is not valid, the text of the run is added as it is.
 *
 * iconv(3) converts the charsets, but under names of our own table. With a name taken from the
 * mail, the sender would choose which of libc's converters is loaded into a process that runs as
 * root, and some of them have had vulnerabilities.
 */
#include "mail/word.h"

#include <ctype.h>
#include <iconv.h>
#include <stdlib.h>
#include <strings.h>

static bool word_is(struct span word, const char *wanted)
{
	return word.len == strlen(wanted) && strncasecmp(word.data, wanted, word.len) == 0;
}

/* ---- Charsets -------------------------------------------------------------------------------- */

static const char *charset_of(struct span name)
{
	static const char *const names[][2] = {
		{"utf-8", "UTF-8"},
		{"utf8", "UTF-8"},
		{"us-ascii", "UTF-8"},
		{"ascii", "UTF-8"},
		{"iso-8859-1", "ISO-8859-1"},
		{"latin1", "ISO-8859-1"},
		{"iso-8859-2", "ISO-8859-2"},
		{"iso-8859-3", "ISO-8859-3"},
		{"iso-8859-4", "ISO-8859-4"},
		{"iso-8859-5", "ISO-8859-5"},
		{"iso-8859-6", "ISO-8859-6"},
		{"iso-8859-7", "ISO-8859-7"},
		{"iso-8859-8", "ISO-8859-8"},
		{"iso-8859-9", "ISO-8859-9"},
		{"iso-8859-10", "ISO-8859-10"},
		{"iso-8859-13", "ISO-8859-13"},
		{"iso-8859-14", "ISO-8859-14"},
		{"iso-8859-15", "ISO-8859-15"},
		{"iso-8859-16", "ISO-8859-16"},
		{"windows-1250", "WINDOWS-1250"},
		{"windows-1251", "WINDOWS-1251"},
		{"windows-1252", "WINDOWS-1252"},
		{"windows-1253", "WINDOWS-1253"},
		{"windows-1254", "WINDOWS-1254"},
		{"windows-1255", "WINDOWS-1255"},
		{"windows-1256", "WINDOWS-1256"},
		{"windows-1257", "WINDOWS-1257"},
		{"windows-1258", "WINDOWS-1258"},
		{"cp1250", "WINDOWS-1250"},
		{"cp1251", "WINDOWS-1251"},
		{"cp1252", "WINDOWS-1252"},
		{"koi8-r", "KOI8-R"},
		{"koi8-u", "KOI8-U"},
		{"gb2312", "GB18030"},
		{"gbk", "GB18030"},
		{"gb18030", "GB18030"},
		{"big5", "BIG5"},
		{"euc-kr", "EUC-KR"},
		{"ks_c_5601-1987", "EUC-KR"},
		{"euc-jp", "EUC-JP"},
		{"shift_jis", "SHIFT_JIS"},
		{"iso-2022-jp", "ISO-2022-JP"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (word_is(name, names[i][0]))
			return names[i][1];
	}
	return NULL;
}

/* UTF-8 is converted too, which validates it. */
bool mail_charset_decode(struct text *out, struct span charset, struct span bytes)
{
	const char *name = charset_of(charset);
	size_t in_left = bytes.len, out_left = bytes.len * 4 + 8;
	char *in = (char *)bytes.data, *buffer, *at;
	iconv_t converter;
	bool good;

	if (!name)
		return false;
	converter = iconv_open("UTF-8", name);
	if ((intptr_t)converter == -1)
		return false;
	at = buffer = malloc(out_left);
	good = buffer && iconv(converter, &in, &in_left, &at, &out_left) != (size_t)-1 &&
	       iconv(converter, NULL, NULL, &at, &out_left) != (size_t)-1;
	if (good)
		text_add(out, (struct span){buffer, (size_t)(at - buffer)});
	free(buffer);
	iconv_close(converter);
	return good;
}

/* ---- Encoded words --------------------------------------------------------------------------- */

struct word {
	struct span charset;
	char encoding; /* 'B' or 'Q' */
	struct span text;
	size_t len; /* of the whole word */
};

/* Parses "=?charset*language?B?text?=" at the beginning. */
static bool parse_word(struct span body, struct word *word)
{
	const char *end = body.data + body.len, *at = body.data + 2, *star, *close;

	if (body.len < 8 || body.data[0] != '=' || body.data[1] != '?')
		return false;
	while (at < end && *at != '?' && *at > ' ' && *at < 0x7f)
		at++;
	if (end - at < 5 || *at != '?' || at[2] != '?')
		return false;
	word->charset = (struct span){body.data + 2, (size_t)(at - body.data - 2)};
	star = memchr(word->charset.data, '*', word->charset.len);
	if (star)
		word->charset.len = (size_t)(star - word->charset.data);
	word->encoding = (char)toupper((unsigned char)at[1]);
	at += 3;
	for (close = at; close < end && *close != '?' && *close != '\n'; close++)
		;
	if (end - close < 2 || close[0] != '?' || close[1] != '=')
		return false;
	word->text = (struct span){at, (size_t)(close - at)};
	word->len = (size_t)(close + 2 - body.data);
	return word->encoding == 'B' || word->encoding == 'Q';
}

static int base64_of(char c)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

static bool decode_base64(struct text *out, struct span text)
{
	unsigned int bits = 0, count = 0;

	for (size_t i = 0; i < text.len && text.data[i] != '='; i++) {
		int value = base64_of(text.data[i]);
		char byte;

		if (value < 0)
			return false;
		bits = bits << 6 | (unsigned int)value;
		if (++count % 4 == 1)
			continue;
		byte = (char)(bits >> (count % 4 == 2 ? 4 : count % 4 == 3 ? 2 : 0));
		text_add(out, (struct span){&byte, 1});
	}
	return true;
}

static bool decode_quoted(struct text *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (c == '_') {
			c = ' ';
		} else if (c == '=') {
			if (text.len - i < 3 || hex_value(text.data[i + 1]) < 0 ||
			    hex_value(text.data[i + 2]) < 0)
				return false;
			c = (char)(hex_value(text.data[i + 1]) * 16 + hex_value(text.data[i + 2]));
			i += 2;
		}
		text_add(out, (struct span){&c, 1});
	}
	return true;
}

static size_t blanks_of(struct span text)
{
	size_t count = 0;

	while (count < text.len && isspace((unsigned char)text.data[count]))
		count++;
	return count;
}

static bool same_charset(struct span a, struct span b)
{
	return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

/*
 * Takes a run of words of one charset off the front, and adds it decoded, or as it is. Returns its
 * length.
 */
static size_t decode_run(struct text *out, struct span body, const struct word *first)
{
	struct text bytes = {0};
	struct word word = *first;
	bool good = true;
	size_t len = 0, next = 0;

	do {
		good = good && (word.encoding == 'B' ? decode_base64(&bytes, word.text)
						     : decode_quoted(&bytes, word.text));
		len = next + word.len;
		next = len + blanks_of((struct span){body.data + len, body.len - len});
	} while (parse_word((struct span){body.data + next, body.len - next}, &word) &&
		 same_charset(word.charset, first->charset));
	if (!good || (bytes.len && !mail_charset_decode(out, first->charset,
							(struct span){bytes.data, bytes.len})))
		text_add(out, (struct span){body.data, len});
	text_free(&bytes);
	return len;
}

void mail_word_decode(struct text *out, struct span body)
{
	struct word word;
	size_t plain = 0;

	for (size_t at = 0; at < body.len;) {
		struct span rest = {body.data + at, body.len - at};
		size_t blanks;

		if (rest.data[0] != '=' || !parse_word(rest, &word)) {
			at++;
			continue;
		}
		text_add(out, (struct span){body.data + plain, at - plain});
		at += decode_run(out, rest, &word);
		plain = at;
		/* Blanks between two encoded words are not part of the text. */
		blanks = blanks_of((struct span){body.data + at, body.len - at});
		if (parse_word((struct span){body.data + at + blanks, body.len - at - blanks},
			       &word))
			plain = at = at + blanks;
	}
	text_add(out, (struct span){body.data + plain, body.len - plain});
}
