/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events as JSON, one object a line, with ECS 9 names (docs/event.schema.json has them all). A
 * field that is not known is left out. The line is written from front to back, without a tree in
 * between: building and printing one took 60 of the 75 microseconds that a message cost.
 */
#include "format/format.h"

#include <string.h>

#include "base/json.h"
#include "format/fields.h"
#include "process/image.h"

/*
 * Bytes of a process's strings, as they are in the line. What the kernel side reports fits, unless
 * an attacker filled it with characters that are escaped: a few bytes that he sends give him an
 * event of his process. An event that stands for others has the smaller ones.
 */
static const size_t first_bounds[BOUND_COUNT] =
	{[BOUND_PATH] = 4096, [BOUND_ARGS] = 8192, [BOUND_ANCESTOR] = 1024},
		    other_bounds[BOUND_COUNT] = {
			    [BOUND_PATH] = 1024, [BOUND_ARGS] = 2048, [BOUND_ANCESTOR] = 256};

static void write_fields(struct text *out, const struct fields *fields, const size_t *bounds);

/* ---- Objects --------------------------------------------------------------------------------- */

static bool contains(enum json_object outer, enum json_object inner)
{
	return json_objects[inner].within >> outer & 1;
}

static void open_below(struct text *out, enum json_object outer, enum json_object object)
{
	if (object == outer)
		return;
	open_below(out, outer, json_objects[object].parent);
	keyed_open(out, &json_objects[object].key, '{');
}

/* Closes objects up to the one that holds both, and opens those down to `to`. */
static void move(struct text *out, enum json_object from, enum json_object to)
{
	while (!contains(from, to)) {
		json_close(out);
		from = json_objects[from].parent;
	}
	open_below(out, from, to);
}

/* ---- Values ---------------------------------------------------------------------------------- */

static void write_list(struct text *out, const struct json_key *key, const struct value *value)
{
	struct text scratch = {0};
	struct span item;

	keyed_open(out, key, '[');
	for (uint32_t at = 0; value->next(value->of, &at, &item, &scratch);)
		json_bytes(out, NULL, item);
	json_close_list(out);
	out->failed |= scratch.failed;
	text_free(&scratch);
}

static void write_records(struct text *out, const struct json_key *key, const struct value *value,
			  const size_t *bounds)
{
	struct fields element;

	keyed_open(out, key, '[');
	fields_begin(&element);
	for (uint32_t at = 0; value->record(&element, value->of, at); at++) {
		json_open(out, NULL);
		write_fields(out, &element, bounds);
		json_close(out);
		fields_end(&element);
		fields_begin(&element);
	}
	json_close_list(out);
}

static void write_counts(struct text *out, const struct json_key *key,
			 const struct event_stats *stats)
{
	keyed_open(out, key, '{');
	json_number(out, "malformed_records", stats->records_malformed);
	json_number(out, "flows", stats->flows_dropped);
	json_number(out, "events", stats->events_lost);
	json_number(out, "events_left_out", stats->events_left_out);
	json_number(out, "contents", stats->content_refused);
	for (int i = 0; i < COUNTER_MAX; i++)
		json_number(out, counter_name((enum counter)i), stats->counters[i]);
	json_close(out);
}

/*
 * As many arguments as fit `max` bytes. One that does not fit is left out, or cut if it is long: if
 * half of the room is left for it. Returns whether some are missing.
 */
static bool write_args(struct text *out, const struct json_key *key, const struct image *image,
		       size_t max)
{
	bool cut_before = out->cut, cut;
	size_t start;

	keyed_open(out, key, '[');
	start = out->len;
	out->cut = false;
	for (size_t at = 0; at < image->args_len && !out->cut;) {
		struct span arg = {image->args + at,
				   strnlen(image->args + at, image->args_len - at)};
		const size_t before = out->len, used = before - start;

		json_bytes_max(out, NULL, arg, used < max ? max - used : 0);
		if (out->cut && used > max / 2 && !out->failed) {
			out->len = before;
			out->data[before] = '\0';
		}
		at += arg.len + 1;
	}
	json_close_list(out);
	cut = out->cut;
	out->cut |= cut_before;
	return cut;
}

static void write_value(struct text *out, const struct field_row *row, const struct value *value,
			const size_t *bounds)
{
	const struct json_key *key = &row->json;

	switch (row->kind) {
	case KIND_WORD: keyed_word(out, key, value->word); break;
	case KIND_BYTES:
	case KIND_PATH: keyed_bytes(out, key, value->bytes, bounds[row->json_max]); break;
	case KIND_INT:
	case KIND_LONG: keyed_number(out, key, value->number); break;
	case KIND_ID: keyed_id(out, key, value->number); break;
	case KIND_BOOL: keyed_bool(out, key, value->number); break;
	case KIND_TIME: keyed_time(out, key, value->time_ns); break;
	case KIND_IP: keyed_ip(out, key, value->ip); break;
	case KIND_WORDS: keyed_words(out, key, value->words, value->count); break;
	case KIND_LIST: write_list(out, key, value); break;
	case KIND_RECORDS:
		write_records(out, key, value,
			      row->json_max == BOUND_OTHERS ? other_bounds : bounds);
		break;
	case KIND_COUNTS: write_counts(out, key, value->counts); break;
	case KIND_ARGS: /* write_fields() writes them */
	case KIND_OBJECT: /* it is open */ break;
	case KIND_ARGS_CUT:
	case KIND_CUT: keyed_bool(out, key, true); break;
	}
}

/* ---- The whole ------------------------------------------------------------------------------- */

static bool is_true(const struct text *out, const struct field_row *row, const struct value *value,
		    bool args_cut)
{
	switch (row->kind) {
	case KIND_CUT: return out->cut;
	case KIND_ARGS_CUT: return value->number || args_cut;
	default: return value->number;
	}
}

/* In the order of the rows, which keeps the fields of an object together. */
static void write_fields(struct text *out, const struct fields *fields, const size_t *bounds)
{
	enum json_object open = OBJECT_ROOT;
	bool args_cut = false;

	for (size_t set = 0; set < FIELD_SETS; set++) {
		for (uint64_t left = fields->known[set]; left; left &= left - 1) {
			size_t field = set * 64 + (size_t)__builtin_ctzll(left);
			const struct field_row *row = &field_rows[field];

			if (row->show == SHOW_NEVER ||
			    (row->show == SHOW_IF_TRUE &&
			     !is_true(out, row, &fields->values[field], args_cut)))
				continue;
			if (row->object != open)
				move(out, open, row->object);
			open = row->object;
			if (row->kind == KIND_ARGS)
				args_cut = write_args(out, &row->json, fields->values[field].args,
						      bounds[row->json_max]);
			else
				write_value(out, row, &fields->values[field], bounds);
		}
	}
	move(out, open, OBJECT_ROOT);
	out->failed |= fields->command_line.failed;
}

void event_json(struct text *out, const struct event *event)
{
	struct fields fields;

	fields_of_event(&fields, event, FIELDS_JSON);
	json_open(out, NULL);
	write_fields(out, &fields, event->joined ? other_bounds : first_bounds);
	json_close(out);
	fields_end(&fields);
}
