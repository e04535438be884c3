/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table as a terminal shows it. A small terminal, with a code of its own for the width of
 * characters, reads what the table writes: no line may be wider than the screen, and none may be
 * blank. Also the columns at each width, what stays of an address, and the header.
 */
#include <locale.h>

#include "table_samples.h"

#include "format/table_layout.h"

/* ---- A terminal ------------------------------------------------------------------------------ */

/*
 * The strictest kind: as soon as the last column is written, the next line begins, and an end of
 * line then leaves a blank one.
 */
struct screen {
	size_t width, column;
	size_t lines;	/* that were begun by what is shown, or by an end of line */
	size_t wrapped; /* of them, because a line was full */
	size_t blank;
};

/* The columns of a character: what East Asian Width says of the blocks that the samples use. */
static size_t columns_of(uint32_t code)
{
	bool wide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
		    (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
		    (code >= 0xff01 && code <= 0xff60) || (code >= 0x1f300 && code <= 0x1faff);
	bool none = (code >= 0x300 && code <= 0x36f) || (code >= 0x200b && code <= 0x200f) ||
		    (code >= 0x1160 && code <= 0x11ff) || code == 0xfeff;

	if (none)
		fail_msg("a character without a width reached the terminal: U+%04x", code);
	return wide ? 2 : 1;
}

static const char *show_character(struct screen *screen, const char *at)
{
	uint32_t code = 0;
	size_t len = utf8_front(span_of(at), &code), columns;

	assert_int_not_equal(len, 0);
	columns = columns_of(code);
	if (screen->column + columns > screen->width) {
		screen->wrapped++;
		screen->column = 0;
	}
	screen->column += columns;
	if (screen->column == screen->width) {
		screen->wrapped++;
		screen->column = 0;
	}
	return at + len;
}

static struct screen shown(const char *text, size_t width)
{
	struct screen screen = {.width = width};

	while (*text) {
		if (*text == '\033') { /* a colour */
			assert_int_equal(text[1], '[');
			text += 2 + strspn(text + 2, "0123456789;");
			assert_int_equal(*text, 'm');
			text++;
		} else if (*text == '\n') {
			screen.blank += screen.column == 0;
			screen.column = 0;
			screen.lines++;
			text++;
		} else {
			text = show_character(&screen, text);
		}
	}
	return screen;
}

/* ---- Widths ---------------------------------------------------------------------------------- */

static void assert_fits(const struct sample *sample, const struct table_options *options)
{
	struct event_stats stats = {.messages = 1, .bytes = 4096, .alerts = 1, .mid_stream = 7};
	struct paper *paper = paper_of(options);
	struct screen screen;
	struct event *event;

	for (unsigned int kind = 0; (event = kind_of(sample, kind)); kind++)
		put(paper, event);
	screen = shown(paper->text, options->width);
	if (screen.wrapped || screen.blank)
		fail_msg("%u columns, colour %d: %zu wrapped, %zu blank lines in\n%s",
			 options->width, options->color, screen.wrapped, screen.blank, paper->text);
	assert_int_equal(paper->table->finish(paper->table, &stats), 0);
	screen = shown(paper->text, options->width);
	assert_int_equal(screen.wrapped, 0);
	assert_int_equal(screen.blank, 1); /* before the summary */
	paper_free(paper);
}

/* Every kind of line, of every sample, at every width, with and without colours. */
static void test_every_width(void **state)
{
	(void)state;
	for (unsigned int width = WIDTH_MIN; width <= WIDTH_MAX; width++)
		for (int color = 0; color < 2; color++)
			for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
				assert_fits(&samples[i], &(struct table_options){.width = width,
										 .color = color,
										 .all = true});
}

/* Columns begin at the same place in every row, however wide the characters are. */
static void test_aligned(void **state)
{
	struct table_options options = {.width = 120};
	size_t begin = 0;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		char *row = row_of(mail_event(&samples[i]), &options),
		     *size = strstr(row, " 12K\n");

		assert_non_null(size);
		*size = '\0';
		begin = begin ? begin : text_width(span_of(row));
		assert_int_equal(text_width(span_of(row)), begin);
		free(row);
	}
}

/* ---- Columns --------------------------------------------------------------------------------- */

static char *header_of(unsigned int width, bool unit)
{
	struct sample sample = plain;
	struct table_options options = {.width = width};
	struct paper *paper = paper_of(&options);
	char *header;

	sample.unit = unit ? "mailer.service" : NULL;
	put(paper, mail_event(&sample));
	header = copy_of(paper->text);
	*strchr(header, '\n') = '\0';
	paper_free(paper);
	return header;
}

static void test_columns(void **state)
{
	static const struct {
		unsigned int width;
		bool unit;
		const char *header;
	} cases[] = {
		{60, true, "  TIME     RESULT       PID PROCESS    TO :PORT"},
		{80, true,
		 "  TIME     RESULT       PID PROCESS        USER     TO :PORT     "
		 "          SIZE"},
		{120, true,
		 "  TIME     RESULT       PID PROCESS           USER     DESTINATION  "
		 "       FROM             TO                     SIZE"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *header = header_of(cases[i].width, cases[i].unit);

		assert_memory_equal(header, cases[i].header, strlen(cases[i].header));
		free(header);
	}
}

/* A wider terminal never loses a column; from 80 on, the important ones are readable. */
static void test_columns_grow(void **state)
{
	struct table_layout last = table_layout(20, true);

	(void)state;
	for (size_t width = 20; width <= WIDTH_MAX; width++) {
		struct table_layout layout = table_layout(width, true);
		size_t all = 0;

		for (int i = 0; i < COLUMN_COUNT; i++) {
			assert_true(layout.width[i] || !last.width[i]);
			all += layout.width[i] ? layout.width[i] + 1 : 0;
		}
		assert_true(all <= width + 1);
		assert_true(layout.width[COLUMN_PID] && layout.width[COLUMN_PROCESS]);
		assert_true(width < WIDTH_MIN - 1 || layout.width[COLUMN_TO] >= 16);
		if (width >= 79) {
			assert_true(layout.width[COLUMN_TO] >= 22);
			assert_true(layout.width[COLUMN_PROCESS] >= 14);
			assert_true(layout.width[COLUMN_USER] && layout.width[COLUMN_SIZE]);
		}
		last = layout;
	}
}

/* UNIT comes with the first unit, and the header again with it. */
static void test_empty_unit(void **state)
{
	struct table_options options = {.width = 160};
	struct paper *paper = paper_of(&options);
	struct sample sample = plain;

	(void)state;
	put(paper, mail_event(&plain));
	put(paper, mail_event(&plain));
	assert_null(strstr(paper->text, "UNIT"));
	assert_int_equal(count_of(paper->text, "TIME"), 1);
	sample.unit = "mailer.service";
	put(paper, mail_event(&sample));
	put(paper, mail_event(&plain));
	assert_int_equal(count_of(paper->text, "TIME"), 2);
	assert_int_equal(count_of(paper->text, "UNIT"), 1);
	assert_non_null(strstr(paper->text, "mailer.service"));
	paper_free(paper);
}

/* The domain stays, as far as there is room; the local part goes first. */
static void test_addresses(void **state)
{
	static const struct {
		const char *address;
		uint32_t recipients;
		size_t width;
		const char *cell;
	} cases[] = {
		{"alice@corp.example", 1, 18, "alice@corp.example"},
		{"alice@corp.example", 1, 17, "ali…@corp.example"},
		{"alice@corp.example", 1, 15, "a…@corp.example"},
		{"alice@corp.example", 1, 14, "…@corp.example"},
		{"alice@corp.example", 1, 13, "…corp.example"},
		{"alice@corp.example", 1, 8, "…example"},
		{"alice@corp.example", 3, 18, "a…@corp.example +2"},
		{"alice@corp.example", 1001, 21, "a…@corp.example +1000"},
		{"a@good.example@evil.example", 1, 16, "a@…@evil.example"},
		{"a@good.example@evil.example", 1, 14, "…@evil.example"},
		{"受取人@会社.example", 1, 16, "受…@会社.example"},
		{"受取人@会社.example", 1, 15, "…@会社.example"},
		{"受取人@会社.example", 1, 12, "…社.example"},
		{"no-domain-in-here", 1, 9, "no-d…here"},
		{"alice@corp.example", 2, 0, "alice@corp.example +1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sample sample = plain;
		struct event *event;
		struct text cell = {0};

		sample.to = sample.from = cases[i].address;
		sample.recipients = cases[i].recipients;
		event = mail_event(&sample);
		words_add_to(&cell, event, cases[i].width);
		assert_string_equal(cell.data, cases[i].cell);
		text_clear(&cell);
		words_add_from(&cell, event, cases[i].width);
		assert_true(!cases[i].width ||
			    text_width((struct span){cell.data, cell.len}) <= cases[i].width);
		text_free(&cell);
		event_free(event);
	}
}

/* Without a column for the destination, its port is there, unless the domain needs the place. */
static void test_port(void **state)
{
	static const struct {
		const char *to;
		uint32_t recipients;
		const char *cell;
	} cases[] = {
		{"ops@corp.example", 1, " ops@corp.example :2525 "},
		{"a@b.example", 1, " a@b.example      :2525 "},
		{"firstname@corp.example", 1, " fi…@corp.example :2525 "},
		{"firstname@corp.example", 9, " first…@corp.example +8 "},
		{"ops@partner.example", 1, " ops@partner.example "},
		{"operator@partner.example", 1, " opera…@partner.example "},
		{"root", 1, " root             :2525 "},
	};
	struct table_options options = {.width = 80};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sample sample = plain;
		struct event *event;
		char *row;

		sample.to = cases[i].to;
		sample.recipients = cases[i].recipients;
		event = mail_event(&sample);
		event->destination.port = 2525;
		row = row_of(event, &options);
		assert_non_null(strstr(row, cases[i].cell));
		free(row);
	}
}

/* From 80 columns on, an ordinary domain is whole in the row. */
static void test_domain_is_shown(void **state)
{
	static const char *const addresses[] = {"firstname.lastname@corp.example",
						"drop-7731@mail.exfil.example",
						"x.y.z.and.more@partner.example"};

	(void)state;
	for (unsigned int width = 80; width <= WIDTH_MAX; width++)
		for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
			struct sample sample = plain;
			char *row;

			sample.to = addresses[i];
			row = row_of(mail_event(&sample), &(struct table_options){.width = width});
			assert_non_null(strstr(row, strchr(addresses[i], '@')));
			assert_non_null(strstr(row, "reports"));
			assert_non_null(strstr(row, "12K"));
			free(row);
		}
}

/* A pipe or a file gets everything, each event in one line, and one header. */
static void test_pipe(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		struct paper *paper = paper_of(&(struct table_options){.all = true});
		struct text to = {0};
		struct event *event;
		size_t lines = 1; /* the header */

		for (unsigned int kind = 0; (event = kind_of(&samples[i], kind)); kind++) {
			put(paper, event);
			assert_int_equal(count_of(paper->text, "\n"), ++lines);
		}
		text_add_visible(&to, span_of(samples[i].to));
		assert_int_equal(count_of(paper->text, "TIME"), 1);
		assert_true(count_of(paper->text, to.data) >= 5);
		assert_null(strstr(paper->text, text_ellipsis()));
		assert_non_null(strstr(paper->text, "UNIT"));
		text_free(&to);
		paper_free(paper);
	}
}

/* ---- The header ------------------------------------------------------------------------------ */

static unsigned int now_width, now_rows;

static void size_now(unsigned int *width, unsigned int *rows)
{
	*width = now_width;
	*rows = now_rows;
}

static void test_resized(void **state)
{
	static const unsigned int widths[] = {200, 80, 81, 60, 120, 220, 100};
	struct paper *paper = paper_of(&(struct table_options){.size = size_now, .color = true});
	struct sample wide = samples[1];
	size_t at = 0;

	(void)state;
	wide.unit = NULL;
	now_rows = 1000;
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		now_width = widths[i];
		put(paper, mail_event(&plain));
		put(paper, mail_event(&wide));
		put(paper, mail_event(&wide));
		assert_int_equal(count_of(paper->text + at, "RESULT"), 1);
		assert_int_equal(shown(paper->text + at, widths[i]).wrapped, 0);
		at = paper->size;
	}
	paper_free(paper);
}

/* After every row, the screen shows a header; and it does not come more often than that needs. */
static void assert_header_on_screen(unsigned int rows, const struct event_capture *capture)
{
	struct paper *paper = paper_of(&(struct table_options){.size = size_now});
	size_t lines, headers;

	now_width = 100;
	now_rows = rows;
	for (int i = 0; i < 200; i++) {
		struct event *event = mail_event(&plain);
		const char *screen;

		if (capture)
			nearest(event, "nightly", CRITERION_BIT(CRITERION_USER), 0);
		put(paper, event);
		lines = count_of(paper->text, "\n");
		screen = paper->text;
		for (; lines > rows - 1; lines--) /* the last line of the screen is empty */
			screen = strchr(screen, '\n') + 1;
		if (rows > 6)
			assert_non_null(strstr(screen, "RESULT"));
	}
	lines = count_of(paper->text, "\n");
	headers = count_of(paper->text, "RESULT");
	assert_true(headers >= lines / rows && headers <= 1 + lines / (rows > 6 ? rows - 4 : 1));
	paper_free(paper);
}

static void test_header_repeats(void **state)
{
	static const struct event_capture notes;

	(void)state;
	assert_header_on_screen(24, NULL);
	assert_header_on_screen(50, NULL);
	assert_header_on_screen(7, NULL);
	assert_header_on_screen(24, &notes);
	assert_header_on_screen(2, NULL);
	/* Without a known height it comes once. */
	{
		struct paper *paper = paper_of(&(struct table_options){.width = 100});

		for (int i = 0; i < 500; i++)
			put(paper, mail_event(&plain));
		assert_int_equal(count_of(paper->text, "RESULT"), 1);
		paper_free(paper);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_width),    cmocka_unit_test(test_aligned),
		cmocka_unit_test(test_columns),	       cmocka_unit_test(test_columns_grow),
		cmocka_unit_test(test_empty_unit),     cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_port),	       cmocka_unit_test(test_domain_is_shown),
		cmocka_unit_test(test_pipe),	       cmocka_unit_test(test_resized),
		cmocka_unit_test(test_header_repeats),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
