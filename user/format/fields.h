/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The fields of an event, for the formats that name them: JSON, Sentinel, the journal.
 *
 * Theory of operation. fields.def has one row for each field: its kind and its name in each of the
 * three formats. walk.c goes over an event once and puts the value of each field that is known into
 * a struct fields. It decides what is known and where the value comes from, and it formats nothing.
 * A back end (event_json.c, event_sentinel.c, event_journal.c) then writes the fields that have a
 * name in its format, in its own order. Values borrow from the event.
 *
 * A field has one of the kinds below. Scalars are one value. A list (WORDS, LIST) and the objects
 * of a list (RECORDS) are functions that a back end calls for one element after the other, so that
 * it can stop at its bound. An object in a list is a struct fields of its own: senders[] has the
 * same fields as the process of the event.
 *
 * The formats differ in these ways. The difference is in the rows where it can be:
 *
 *  - Names: a format without a name for a field leaves it out.
 *  - Bounds: Sentinel and the journal have one for each string. JSON has one for what an attacker
 *    can blow up at no cost: paths and arguments of processes.
 *  - Empty values: COLUMN_KNOWN and JSON_TRUE leave them out; the journal always does.
 *  - Nesting: JSON has objects (OBJECT rows), the others are flat. Where JSON lists objects,
 *    Sentinel lists strings, which are a field of their own.
 *  - Order: JSON has the order of the rows. Each of the others lists its fields in its own order.
 *
 * What belongs to one format alone (the journal's MESSAGE and PRIORITY) is in its back end.
 *
 * To add a field: add a row and a put_*() in the walk; for a column or a field of the journal add
 * it to the order there; then add it to table.json, dcr-json.json and event.schema.json. Tests fail
 * until all is done.
 *
 * Another shape was considered: the walk calls the back end for each field at once. That needs no
 * struct fields. But consumers see the order, and it differs: either there are three walks again,
 * or two back ends buffer text and sort it. Values of 16 bytes are cheaper to keep than text. One
 * walk costs a message of 3.3 KB 1.7 % more instructions as JSON than a writer by hand, 3.4 % more
 * for Sentinel, 15 % less for the journal (callgrind).
 */
#ifndef SMTPSNOOP_FIELDS_H
#define SMTPSNOOP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/text.h"
#include "event/criterion.h"
#include "event/event.h"
#include "format/keyed.h"

enum field_kind {
	KIND_WORD,     /* our own text: ASCII without quotes, backslashes and control characters */
	KIND_BYTES,    /* text that others chose */
	KIND_PATH,     /* likewise, a reverse-path; the journal writes an empty one as <> */
	KIND_INT,      /* a number below 2^31; a column of type int */
	KIND_LONG,     /* a number; a column of type long */
	KIND_ID,       /* a uid or gid: JSON and Sentinel write it as a string */
	KIND_BOOL,     /* the journal writes 1 or 0 */
	KIND_TIME,     /* CLOCK_REALTIME in nanoseconds */
	KIND_IP,       /* 16 bytes; IPv4 is v4-mapped */
	KIND_WORDS,    /* a list of KIND_WORD */
	KIND_LIST,     /* a list of KIND_BYTES */
	KIND_RECORDS,  /* a list of objects */
	KIND_COUNTS,   /* an object: what was lost, by cause; Sentinel leaves out what is 0 */
	KIND_ARGS,     /* a list: the arguments of an image, which share one bound */
	KIND_ARGS_CUT, /* true if the kernel side or the bound cut the arguments before it */
	KIND_OBJECT,   /* an object of JSON that is there even if it is empty */
	KIND_CUT,      /* true if the back end has cut something so far */
};

/* Objects of JSON. */
enum json_object {
#define OBJECT(constant, parent, name) OBJECT_##constant,
#include "format/fields.def"
#undef OBJECT
	OBJECT_COUNT
};

_Static_assert(OBJECT_COUNT <= 64, "within has a bit for each object");

struct json_object_row {
	enum json_object parent;
	uint64_t within; /* a bit for the object itself and for each that it is in */
	struct json_key key;
};

enum field {
#define FIELD(constant, kind, ...) FIELD_##constant,
#include "format/fields.def"
#undef FIELD
	FIELD_COUNT
};

/* Bounds in JSON; event_json.c has their values. */
enum json_bound {
	BOUND_NONE,
	BOUND_PATH,
	BOUND_ARGS,
	BOUND_ANCESTOR,
	BOUND_OTHERS, /* of RECORDS: the bounds of another sender's strings */
	BOUND_COUNT,
};

enum json_show { SHOW_NEVER, SHOW_ALWAYS, SHOW_IF_TRUE };

#define COLUMN_REST_OF_LINE UINT16_MAX /* column_max of the list that is written last */

struct field_row {
	enum field_kind kind;
	enum json_object object; /* of json */
	enum json_bound json_max;
	enum json_show show;
	struct json_key json;
	struct json_key column; /* .text NULL: not in Sentinel's line */
	const char *journal;	/* NULL: not in the journal */
	uint16_t column_max;	/* bytes of a string or a list, as they are in the line */
	uint16_t journal_max;
	bool column_if_known;	/* left out if it is empty */
	bool is_column_element; /* the column is a key in an object of a dynamic column */
};

extern const struct json_object_row json_objects[OBJECT_COUNT];
extern const struct field_row field_rows[FIELD_COUNT];

struct fields;

/*
 * The next element of a list. `at` is 0 at first; the function moves it. The item is valid until
 * the next call; it may be in `scratch`, which the caller owns. False: the list has ended.
 */
typedef bool (*list_fn)(const void *of, uint32_t *at, struct span *item, struct text *scratch);

/* Puts the fields of element `at` (0, 1, ...) into an empty `element`. False: there is none. */
typedef bool (*record_fn)(struct fields *element, const void *of, uint32_t at);

struct value {
	union {
		const char *word;
		struct span bytes;
		uint64_t number; /* also of KIND_ID and KIND_BOOL */
		int64_t time_ns;
		const uint8_t *ip;
		const struct image *args;
		const struct event_stats *counts;
		struct {
			const char *const *words;
			size_t count;
		};
		struct {
			const void *of;
			union {
				list_fn next;
				record_fn record;
			};
		};
	};
};

#define FIELD_SETS ((FIELD_COUNT + 63) / 64)

/* The fields that are known of an event, or of an object in a list. */
struct fields {
	uint64_t known[FIELD_SETS]; /* a bit for each field */
	struct value values[FIELD_COUNT];

	/* What values borrow from, where the event does not have it. */
	char entity_id[EVENT_ENTITY_LEN], origin_entity_id[EVENT_ENTITY_LEN];
	char community_id[EVENT_COMMUNITY_LEN];
	char tls_cipher[HELLO_CIPHER_MAX];
	const char *techniques[EVENT_TECHNIQUES_MAX];
	const char *failed[CRITERION_COUNT], *unknown[CRITERION_COUNT];
	const char *joined_ids[JOINED_IDS_MAX], *joined_differ[JOINED_PART_COUNT];
	struct text command_line; /* owned */
};

/* The formats that have names for fields. */
enum field_format { FIELDS_JSON, FIELDS_SENTINEL, FIELDS_JOURNAL };

void fields_begin(struct fields *fields); /* no field is known */
void fields_end(struct fields *fields);	  /* frees what it owns */

/*
 * Begins, and puts in what the event has. What costs much is left out if `format` has no name for
 * it. The event outlives the fields; end them. If there was no memory,
 * fields->command_line.failed says so.
 */
void fields_of_event(struct fields *fields, const struct event *event, enum field_format format);

static inline bool field_is_known(const struct fields *fields, enum field field)
{
	return fields->known[field / 64] >> field % 64 & 1;
}

#endif
