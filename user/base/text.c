/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: bytes are read as UTF-8, one character at a time, by the rules of RFC 3629
 * (no overlong forms, no surrogates, nothing above U+10FFFF). A byte that does not parse is
 * escaped. So nothing is lost, and nothing passes that was not understood.
 */
#include "base/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <wchar.h>

#define TEXT_FIRST 128U

/* ---- A string that grows --------------------------------------------------------------------- */

bool text_grow(struct text *text, size_t more)
{
	size_t size = text->size ? text->size : TEXT_FIRST;
	char *bigger;

	while (size < text->len + more + 1)
		size *= 2;
	bigger = realloc(text->data, size);
	if (!bigger) {
		text->failed = true;
		return false;
	}
	text->data = bigger;
	text->size = size;
	return true;
}

void text_add(struct text *text, struct span bytes)
{
	char *added = text_extend(text, bytes.len);

	if (added && bytes.len)
		memcpy(added, bytes.data, bytes.len);
}

void text_add_string(struct text *text, const char *string)
{
	text_add(text, span_of(string));
}

void text_add_format(struct text *text, const char *format, ...)
{
	char line[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n > 0)
		text_add(text, (struct span){line, (size_t)n < sizeof(line) ? (size_t)n
									    : sizeof(line) - 1});
}

void text_clear(struct text *text)
{
	text->len = 0;
	text->cut = false;
	if (text->data)
		text->data[0] = '\0';
}

void text_free(struct text *text)
{
	free(text->data);
	*text = (struct text){0};
}

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

size_t utf8_front(struct span bytes, uint32_t *code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char c = (unsigned char)bytes.data[0];
	size_t len = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 0;

	if (!len || len > bytes.len || c > 0xf4)
		return 0;
	*code = len == 1 ? c : c & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		unsigned char next = (unsigned char)bytes.data[i];

		if ((next & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (next & 0x3f);
	}
	if (*code < smallest[len] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return len;
}

static const char hex_digits[] = "0123456789abcdef";

/* "\\xNN". Without printf: it took half of what an event full of such bytes cost. */
static void add_byte(struct text *text, unsigned char byte)
{
	char escape[] = {'\\', 'x', hex_digits[byte >> 4], hex_digits[byte & 0xf]};

	text_add(text, (struct span){escape, sizeof(escape)});
}

/* "\\uNNNN" */
static void add_code(struct text *text, uint32_t code)
{
	char escape[] = {'\\',
			 'u',
			 hex_digits[code >> 12 & 0xf],
			 hex_digits[code >> 8 & 0xf],
			 hex_digits[code >> 4 & 0xf],
			 hex_digits[code & 0xf]};

	text_add(text, (struct span){escape, sizeof(escape)});
}

static size_t backslashes(struct span bytes)
{
	size_t count = 0;

	while (count < bytes.len && bytes.data[count] == '\\')
		count++;
	return count;
}

/* Whether the byte at the front does not begin a character that may stay. */
static bool is_escaped(struct span bytes, size_t len, uint32_t code)
{
	return bytes.len && (!len || code == 0x7f || (code >= 0x80 && code < 0xa0));
}

/* Whether the backslashes before this must be doubled, because an 'x' or an escape follows them. */
static bool doubles(struct span rest)
{
	uint32_t code = 0;
	size_t len = rest.len ? utf8_front(rest, &code) : 0;

	return rest.len && (rest.data[0] == 'x' || is_escaped(rest, len, code));
}

void text_add_utf8(struct text *text, struct span bytes)
{
	while (bytes.len) {
		uint32_t code = 0;
		size_t len = utf8_front(bytes, &code), row = backslashes(bytes);

		if (is_escaped(bytes, len, code)) {
			add_byte(text, (unsigned char)bytes.data[0]);
			len = 1;
		} else if (row) {
			len = row;
			text_add(text, (struct span){bytes.data, row});
			if (doubles((struct span){bytes.data + row, bytes.len - row}))
				text_add(text, (struct span){bytes.data, row});
		} else {
			size_t run = len;

			/*
			 * Plain text is copied at once. Whether a char is signed depends on the
			 * machine.
			 */
			while (len == 1 && run < bytes.len &&
			       (unsigned char)bytes.data[run] >= ' ' &&
			       (unsigned char)bytes.data[run] < 0x7f && bytes.data[run] != '\\')
				run++;
			len = run;
			text_add(text, (struct span){bytes.data, len});
		}
		bytes.data += len;
		bytes.len -= len;
	}
}

/* (NEL is a C1 control.) */
bool text_breaks_line(uint32_t code)
{
	return (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/*
 * The length of the text at the front that needs no escape in JSON: printable ASCII except " and
 * \\.
 */
static size_t json_plain(struct span bytes)
{
	size_t len = 0;

	while (len < bytes.len) {
		unsigned char c = (unsigned char)bytes.data[len];

		if (c < ' ' || c >= 0x7f || c == '"' || c == '\\')
			break;
		len++;
	}
	return len;
}

/* One ASCII character that must be escaped in JSON. */
static void add_json_escape(struct text *text, unsigned char c)
{
	static const char letters[] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};

	if (c == '"')
		text_add_string(text, "\\\"");
	else if (c < sizeof(letters) && letters[c])
		text_add(text, (struct span){(char[]){'\\', letters[c]}, 2});
	else
		add_code(text, c);
}

/* Adds the backslashes at the front; returns how many bytes that were. */
static size_t add_json_backslashes(struct text *text, struct span bytes)
{
	size_t row = backslashes(bytes);
	bool doubled = doubles((struct span){bytes.data + row, bytes.len - row});

	for (size_t i = 0; i < row; i++)
		text_add_string(text, doubled ? "\\\\\\\\" : "\\\\");
	return row;
}

void text_add_json(struct text *text, struct span bytes)
{
	while (bytes.len) {
		uint32_t code = 0;
		size_t len = json_plain(bytes);

		if (len) {
			text_add(text, (struct span){bytes.data, len});
		} else if (bytes.data[0] == '\\') {
			len = add_json_backslashes(text, bytes);
		} else {
			len = utf8_front(bytes, &code);
			if (is_escaped(bytes, len, code)) {
				text_add_string(text, "\\");
				add_byte(text, (unsigned char)bytes.data[0]);
				len = 1;
			} else if (len == 1) {
				add_json_escape(text, (unsigned char)code);
			} else if (text_breaks_line(code)) {
				add_code(text, code);
			} else {
				text_add(text, (struct span){bytes.data, len});
			}
		}
		bytes.data += len;
		bytes.len -= len;
	}
}

/* ---- One line -------------------------------------------------------------------------------- */

/* Whether to escape the first byte; otherwise the bytes of the character that stays. */
static bool line_escapes(struct span bytes, unsigned int flags, size_t *len)
{
	uint32_t code = 0;

	*len = utf8_front(bytes, &code);
	if (!*len || code == 0x7f || (code >= 0x80 && code < 0xa0))
		return true;
	switch (code) {
	case '\r':
	case '\n': return !(flags & TEXT_LINE_ENDS);
	case ' ': return bytes.len == 1;
	case '"':
	case '<':
	case '>': return flags & TEXT_QUOTED;
	case ',': return flags & TEXT_LISTED;
	default: return code < ' ' || text_breaks_line(code);
	}
}

/* Adds the backslashes at the front; returns how many bytes that were. */
static size_t add_backslashes(struct text *text, struct span bytes, unsigned int flags)
{
	size_t row = backslashes(bytes), len = 0;
	struct span rest = {bytes.data + row, bytes.len - row};

	text_add(text, (struct span){bytes.data, row});
	if (rest.len && (rest.data[0] == 'x' || line_escapes(rest, flags, &len)))
		text_add(text, (struct span){bytes.data, row});
	return row;
}

/* The bytes at the front that stay as they are, whatever the flags; most text is one such row. */
static size_t line_plain(struct span bytes)
{
	size_t len = 0;

	while (len < bytes.len) {
		unsigned char c = (unsigned char)bytes.data[len];

		if (c == ' ' ? !len || len + 1 == bytes.len
			     : c < ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' ||
				       c == '>' || c == ',')
			break;
		len++;
	}
	return len;
}

void text_add_line(struct text *text, struct span bytes, unsigned int flags)
{
	bool first = true;

	while (bytes.len) {
		size_t len = line_plain(bytes);

		if (!len && bytes.data[0] == '\\') {
			len = add_backslashes(text, bytes, flags);
		} else if (!len &&
			   (line_escapes(bytes, flags, &len) || (first && bytes.data[0] == ' '))) {
			add_byte(text, (unsigned char)bytes.data[0]);
			len = 1;
		} else {
			text_add(text, (struct span){bytes.data, len});
		}
		first = false;
		bytes.data += len;
		bytes.len -= len;
	}
}

size_t text_piece(struct span line)
{
	size_t row = backslashes(line), len;
	uint32_t code = 0;

	if (!row) {
		len = utf8_front(line, &code);
		return len ? len : 1;
	}
	/* The meaning of a row of backslashes depends on its length and on what follows. */
	len = row;
	if (row < line.len && line.data[row] == 'x')
		len += row % 2 ? 3 : 1;
	return len < line.len ? len : line.len;
}

struct span text_cut(struct span line, size_t max)
{
	size_t fits = 0;

	while (fits < line.len) {
		size_t piece = text_piece((struct span){line.data + fits, line.len - fits});

		if (fits + piece > max)
			break;
		fits += piece;
	}
	return (struct span){line.data, fits};
}

static bool locale_is_utf8(void)
{
	static int known = -1;

	if (known < 0)
		known = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	return known;
}

/*
 * Characters that change the text around them, or that cannot be seen (Unicode general category Cf,
 * and the separators).
 */
static bool is_deceptive(uint32_t code)
{
	return code == 0xad || code == 0x61c || code == 0x180e ||
	       (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
	       (code >= 0xfff9 && code <= 0xfffb) || (code >= 0xe0000 && code <= 0xe0fff) ||
	       (code >= 0xfe00 && code <= 0xfe0f) || code == 0x115f || code == 0x1160 ||
	       code == 0x3164 || code == 0xffa0 ||
	       code == 0x2800; /* letters and a symbol that look blank */
}

static bool is_visible(uint32_t code)
{
	if (code < 0x80)
		return code >= ' ' && code != 0x7f;
	return locale_is_utf8() && code >= 0xa0 && !is_deceptive(code) &&
	       wcwidth((wchar_t)code) > 0;
}

void text_add_visible(struct text *text, struct span bytes)
{
	while (bytes.len) {
		uint32_t code = 0;
		size_t len = utf8_front(bytes, &code);

		if (!len || (!is_visible(code) && code < 0x80)) {
			text_add_format(text, "\\x%02x", (unsigned char)bytes.data[0]);
			len = 1;
		} else if (!is_visible(code)) {
			text_add_format(text, code > 0xffff ? "\\U%08x" : "\\u%04x", code);
		} else {
			text_add(text, (struct span){bytes.data, len});
		}
		bytes.data += len;
		bytes.len -= len;
	}
}

/* The bytes of the first character, and its columns. */
static size_t visible_front(struct span visible, size_t *columns)
{
	uint32_t code = 0;
	size_t len = utf8_front(visible, &code);
	int width = len ? wcwidth((wchar_t)code) : 1;

	*columns = code < 0x80 ? 1 : width > 0 ? (size_t)width : 1;
	return len ? len : 1;
}

size_t text_width(struct span visible)
{
	size_t width = 0;

	while (visible.len) {
		size_t columns, len = visible_front(visible, &columns);

		width += columns;
		visible.data += len;
		visible.len -= len;
	}
	return width;
}

size_t text_fitting(struct span visible, size_t width, size_t *columns)
{
	size_t taken = 0;

	*columns = 0;
	while (visible.len) {
		size_t next, len = visible_front(visible, &next);

		if (*columns + next > width)
			break;
		*columns += next;
		taken += len;
		visible.data += len;
		visible.len -= len;
	}
	return taken;
}

struct span text_last(struct span visible, size_t width)
{
	size_t total = text_width(visible);

	while (total > width) {
		size_t columns, len = visible_front(visible, &columns);

		total -= columns;
		visible.data += len;
		visible.len -= len;
	}
	return visible;
}

const char *text_ellipsis(void)
{
	return locale_is_utf8() ? "\xe2\x80\xa6" : "~";
}

static void add_blanks(struct text *text, size_t count)
{
	while (count--)
		text_add(text, (struct span){" ", 1});
}

void text_add_column(struct text *text, struct span visible, size_t width, bool right)
{
	size_t total = text_width(visible), head, tail, columns, skip, cut;

	if (total <= width) {
		if (right)
			add_blanks(text, width - total);
		text_add(text, visible);
		if (!right)
			add_blanks(text, width - total);
		return;
	}
	if (!width)
		return;
	/* Head, ellipsis, tail. Where a wide character does not fit, a blank is written. */
	cut = text_fitting(visible, width / 2, &head);
	text_add(text, (struct span){visible.data, cut});
	text_add_string(text, text_ellipsis());
	tail = width - head - 1;
	skip = text_fitting(visible, total - tail, &columns);
	if (columns < total - tail) { /* the next one is wide: omit it as well */
		size_t more;

		skip += visible_front((struct span){visible.data + skip, visible.len - skip},
				      &more);
		columns += more;
	}
	text_add(text, (struct span){visible.data + skip, visible.len - skip});
	add_blanks(text, tail - (total - columns));
}

/* ---- Numbers --------------------------------------------------------------------------------- */

void text_hex(char *out, uint64_t number, size_t digits)
{
	out[digits] = '\0';
	while (digits--) {
		out[digits] = hex_digits[number & 0xf];
		number >>= 4;
	}
}

/* The last `width` digits of a number. */
static void put_digits(char *out, unsigned int number, int width)
{
	while (width--) {
		out[width] = (char)('0' + number % 10);
		number /= 10;
	}
}

/* Without printf and strftime: an event has four of them or more. */
void text_time(char *out, int64_t realtime_ns)
{
	int64_t ns = realtime_ns % 1000000000;
	time_t seconds = (time_t)(realtime_ns / 1000000000);
	struct tm tm;

	if (ns < 0) { /* before 1970: division rounds towards zero */
		ns += 1000000000;
		seconds--;
	}
	gmtime_r(&seconds, &tm); /* 64 bits of nanoseconds cover the years 1677 to 2262 */
	memcpy(out, "YYYY-MM-DDThh:mm:ss.ffffffZ", sizeof("YYYY-MM-DDThh:mm:ss.ffffffZ"));
	put_digits(out, (unsigned int)tm.tm_year + 1900, 4);
	put_digits(out + 5, (unsigned int)tm.tm_mon + 1, 2);
	put_digits(out + 8, (unsigned int)tm.tm_mday, 2);
	put_digits(out + 11, (unsigned int)tm.tm_hour, 2);
	put_digits(out + 14, (unsigned int)tm.tm_min, 2);
	put_digits(out + 17, (unsigned int)tm.tm_sec, 2);
	put_digits(out + 20, (unsigned int)(ns / 1000), 6);
}

bool address_is_ipv4(const uint8_t *addr)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(addr, mapped, sizeof(mapped)) == 0;
}

void text_address(char *out, const uint8_t *addr)
{
	if (address_is_ipv4(addr))
		inet_ntop(AF_INET, addr + 12, out, ADDRESS_LEN);
	else
		inet_ntop(AF_INET6, addr, out, ADDRESS_LEN);
}

struct span text_basename(struct span path)
{
	const char *slash = path.len ? memrchr(path.data, '/', path.len) : NULL;

	if (slash && (size_t)(slash + 1 - path.data) < path.len) {
		path.len -= (size_t)(slash + 1 - path.data);
		path.data = slash + 1;
	}
	return path;
}

int hex_value(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? toupper((unsigned char)c) - 'A' + 10
					    : -1;
}
