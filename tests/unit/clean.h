/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Checks the output of text_add_line() against its description, and decodes it. */
#ifndef SMTPSNOOP_TESTS_CLEAN_H
#define SMTPSNOOP_TESTS_CLEAN_H

#include "unit.h"

#include "base/text.h"

/*
 * Appends the original bytes. In a row of backslashes before an 'x', two stand for one; an odd one
 * begins an escape.
 */
static void clean_decode(struct text *bytes, struct span line)
{
	for (size_t at = 0; at < line.len;) {
		size_t row = 0;

		while (at + row < line.len && line.data[at + row] == '\\')
			row++;
		if (!row || at + row == line.len || line.data[at + row] != 'x') {
			row = row ? row : 1;
			text_add(bytes, (struct span){line.data + at, row});
			at += row;
			continue;
		}
		text_add(bytes, (struct span){line.data + at, row / 2});
		at += row;
		if (row % 2) {
			char byte;

			assert_true(at + 2 < line.len);
			byte = (char)(hex_value(line.data[at + 1]) << 4 |
				      hex_value(line.data[at + 2]));
			text_add(bytes, (struct span){&byte, 1});
			at += 3;
		} else {
			text_add(bytes, (struct span){line.data + at++, 1});
		}
	}
}

/*
 * One line of valid UTF-8 without control characters (C0 or C1), line separators and bidi controls.
 */
static void assert_clean_line(struct span line)
{
	struct text again = {0};
	size_t same = 0;

	for (size_t i = 0; i < line.len; i++) {
		const unsigned char *c = (const unsigned char *)line.data + i;

		if (*c < ' ' || *c == 0x7f)
			fail_msg("control character %02x at %zu", *c, i);
		if (*c == 0xc2 && c[1] < 0xa0)
			fail_msg("C1 control character at %zu", i);
		if (*c == 0xe2 && ((c[1] == 0x80 && c[2] >= 0xa8 && c[2] <= 0xae) ||
				   (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9)))
			fail_msg("separator or bidi control at %zu", i);
	}
	/* If it is valid UTF-8, escaping it again only doubles backslashes. */
	text_add_utf8(&again, line);
	for (size_t i = 0; i < again.len; i++) {
		if (same < line.len && again.data[i] == line.data[same])
			same++;
		else
			assert_int_equal(again.data[i], '\\');
	}
	assert_int_equal(same, line.len);
	text_free(&again);
}

#endif
