/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "format/terminal.h"

#include <errno.h>
#include <string.h>

void terminal_color(struct terminal *terminal, const char *code)
{
	if (terminal->color)
		text_add_string(&terminal->line, code);
}

void terminal_trim(struct terminal *terminal)
{
	while (terminal->line.len && terminal->line.data[terminal->line.len - 1] == ' ')
		terminal->line.data[--terminal->line.len] = '\0';
}

int terminal_put_line(struct terminal *terminal)
{
	int error = 0;

	terminal_trim(terminal);
	text_add_string(&terminal->line, "\n");
	errno = 0;
	if (fwrite(terminal->line.data, 1, terminal->line.len, terminal->out) != terminal->line.len)
		error = errno ? -errno : -EIO;
	text_clear(&terminal->line);
	terminal->written++;
	return error;
}

/* The bytes at the front that go to one line: up to a blank, or within a word that is too wide. */
static size_t words_fitting(struct span words, size_t width)
{
	size_t columns, fits = text_fitting(words, width, &columns), end = fits;

	if (fits == words.len)
		return fits;
	while (end && words.data[end] != ' ')
		end--;
	return end ? end : fits;
}

static int put_indented(struct terminal *terminal, const char *color, size_t indent,
			struct span words, size_t room)
{
	while (indent--)
		text_add_string(&terminal->line, " ");
	terminal_color(terminal, color);
	if (room && text_width(words) > room)
		text_add_column(&terminal->line, words, room, false);
	else
		text_add(&terminal->line, words);
	terminal_color(terminal, PLAIN);
	return terminal_put_line(terminal);
}

/* Some columns, even if the terminal has none for the words. */
static size_t room_behind(const struct terminal *terminal, size_t indent)
{
	if (!terminal->width)
		return 0;
	return terminal->width > indent + 8 ? terminal->width - indent : 8;
}

int terminal_put_words(struct terminal *terminal, const char *color, size_t indent)
{
	struct text whole = terminal->line;
	struct span words = {whole.data ? whole.data : "", whole.len};
	size_t room = room_behind(terminal, indent);
	int error = 0;

	terminal->line = (struct text){0};
	for (unsigned int i = 1; words.len && !error; i++) {
		size_t len = words.len;

		if (room && i < TERMINAL_WORDS_LINES_MAX)
			len = words_fitting(words, room);
		if (!len) /* not even one character fits */
			len = words.len;
		error = put_indented(terminal, color, indent, (struct span){words.data, len}, room);
		words.data += len;
		words.len -= len;
		while (words.len && words.data[0] == ' ') {
			words.data++;
			words.len--;
		}
	}
	text_free(&whole);
	return error;
}
