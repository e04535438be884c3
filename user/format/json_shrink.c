/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The line is parsed into a tree again; only long lines pay for that. Strings whose form the schema
 * fixes (words of a list, ids, hashes of 64 digits, times) fit the 64 bytes of the last steps, so
 * that a shortened event is valid.
 */
#include "format/json_shrink.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define DEPTH_MAX 64U /* of objects and lists within each other; an event's is below 10 */

struct bound {
	size_t string_max; /* bytes */
	size_t list_max;   /* items */
	bool written;	   /* string_max counts bytes as they are in the line, with escapes */
};

/* The recipients are shortened last: the sender of the mail can blow up the rest. */
struct step {
	struct bound rest;
	struct bound smtp; /* of what is in the object `smtp` */
	bool spare;	   /* without the members listed in `spare` */
};

/*
 * Each event of this program fits 7,500 bytes after the last step, whatever is in its strings
 * (test_json_shrink has the worst).
 */
static const struct step steps[] = {
	{{1024, 64, false}, {1024, 256, false}, false},
	{{256, 16, false}, {1024, 128, false}, false},
	{{64, 4, false}, {256, 64, false}, true},
	{{64, 2, true}, {128, 24, true}, true},
	{{64, 2, true}, {64, 4, true}, true},
};

/* Members to leave out: other senders, and what the executable and the command line say as well. */
static const char *const spare[][2] = {{"smtpsnoop", "senders"}, {"smtpsnoop", "exclusions"},
				       {"smtpsnoop", "origin"},	 {"process", "args"},
				       {"process", "parent"},	 {"email", "attachments"},
				       {"smtpsnoop", "nearest"}, {"rule", "description"},
				       {"smtp", "rcpt_refused"}, {"smtp", "mail_parameters"}};

/* True if the three bytes are a character that is escaped in the line. */
static bool is_escaped(const unsigned char *c)
{
	return c[0] == 0xe2 && text_breaks_line(0x2000 | (c[1] & 0x3fU) << 6 | (c[2] & 0x3fU));
}

/* The length of a piece of text in the line, in bytes. */
static size_t written_len(struct span piece)
{
	size_t len = 0;

	for (size_t i = 0; i < piece.len; i++) {
		unsigned char c = (unsigned char)piece.data[i];

		if (i + 2 < piece.len && is_escaped((const unsigned char *)piece.data + i)) {
			len += 6;
			i += 2;
			continue;
		}
		len += c == '"' || c == '\\' ? 2 : c < ' ' ? 6 : 1;
	}
	return len;
}

/* The beginning of a string, as much as fits `max` bytes of the line. */
static struct span cut_written(struct span whole, size_t max)
{
	size_t kept = 0, written = 0;

	while (kept < whole.len) {
		size_t piece = text_piece((struct span){whole.data + kept, whole.len - kept});

		written += written_len((struct span){whole.data + kept, piece});
		if (written > max)
			break;
		kept += piece;
	}
	return (struct span){whole.data, kept};
}

/* False if there was no memory. */
static bool shrink_string(json_t *string, const struct bound *bound)
{
	struct span whole = {json_string_value(string), json_string_length(string)}, part;
	struct text shorter = {0};
	bool good;

	if ((bound->written ? written_len(whole) : whole.len) <= bound->string_max)
		return true;
	part = bound->written ? cut_written(whole, bound->string_max - 3)
			      : text_cut(whole, bound->string_max - 3);
	text_add(&shorter, part);
	text_add_string(&shorter, "...");
	good = !shorter.failed && json_string_setn(string, shorter.data, shorter.len) == 0;
	text_free(&shorter);
	return good;
}

static bool shrink(json_t *value, const struct bound *bound, unsigned int depth)
{
	const char *key;
	json_t *item;
	size_t i;

	if (depth > DEPTH_MAX)
		return false;
	if (json_is_string(value))
		return shrink_string(value, bound);
	while (json_is_array(value) && json_array_size(value) > bound->list_max) {
		if (json_array_remove(value, json_array_size(value) - 1))
			return false;
	}
	json_array_foreach(value, i, item)
	{
		if (!shrink(item, bound, depth + 1))
			return false;
	}
	json_object_foreach(value, key, item)
	{
		if (!shrink(item, bound, depth + 1))
			return false;
	}
	return true;
}

static bool shrink_event(json_t *event, const struct step *step)
{
	const char *key;
	json_t *item;

	json_object_foreach(event, key, item)
	{
		if (!shrink(item, strcmp(key, "smtp") == 0 ? &step->smtp : &step->rest, 1))
			return false;
	}
	return true;
}

/* Sets smtpsnoop.truncated. False if there was no memory. */
static bool mark(json_t *event)
{
	json_t *own = json_object_get(event, "smtpsnoop");

	if (!own) {
		own = json_object();
		if (json_object_set_new(event, "smtpsnoop", own))
			return false;
	}
	return json_object_set_new(own, "truncated", json_true()) == 0;
}

static void drop_spare(json_t *event)
{
	json_t *process = json_object_get(json_object_get(event, "smtpsnoop"), "process");

	for (size_t i = 0; i < sizeof(spare) / sizeof(spare[0]); i++)
		json_object_del(json_object_get(event, spare[i][0]), spare[i][1]);
	json_object_del(process, "ancestry");
}

/*
 * Adds what jansson wrote, and escapes what jansson leaves as it is. Such characters are in strings
 * only.
 */
static void add_line(struct text *line, const char *dumped)
{
	while (*dumped) {
		size_t len = strcspn(dumped, "\xe2");
		const unsigned char *c = (const unsigned char *)dumped + len;

		text_add(line, (struct span){dumped, len});
		dumped += len;
		if (!*dumped)
			return;
		if (is_escaped(c))
			text_add_format(line, "\\u20%02x", (c[1] & 3U) << 6 | (c[2] & 0x3fU));
		else
			text_add(line, (struct span){dumped, 3});
		dumped += 3;
	}
}

/* Replaces the line, if the shorter one fits `max` bytes. */
static bool take(struct text *line, const char *dumped, size_t max)
{
	struct text shorter = {0};
	bool fits;

	add_line(&shorter, dumped);
	fits = shorter.len <= max && !shorter.failed;
	if (fits) {
		text_clear(line);
		text_add(line, (struct span){shorter.data, shorter.len});
	}
	text_free(&shorter);
	return fits;
}

bool json_shrink(struct text *line, size_t max)
{
	json_t *event;
	bool fits = line->len <= max, good;

	if (fits)
		return true;
	event = json_loadb(line->data, line->len, JSON_ALLOW_NUL, NULL);
	good = json_is_object(event) && mark(event);
	for (size_t i = 0; good && !fits && i < sizeof(steps) / sizeof(steps[0]); i++) {
		char *shorter;

		if (steps[i].spare)
			drop_spare(event);
		if (!shrink_event(event, &steps[i]))
			break;
		shorter = json_dumps(event, JSON_COMPACT);
		if (!shorter)
			break;
		fits = take(line, shorter, max);
		free(shorter);
	}
	json_decref(event);
	return fits;
}
