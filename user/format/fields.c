/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "format/fields.h"

/* Bounds of Sentinel's columns, in bytes as they are in the line. event_sentinel.c has the sum. */
enum {
	COLUMN_NONE = 0,
	COLUMN_NAME = 256,    /* a name, an id, a word of SMTP */
	COLUMN_ADDRESS = 512, /* an address of mail */
	COLUMN_TEXT = 1024,   /* a subject, a reply, parameters */
	COLUMN_PATH = 2048,
	COLUMN_COMMAND_LINE = 4096,
	COLUMN_LIST = 2048,	 /* a list: what is between the brackets */
	COLUMN_LIST_LONG = 4096, /* ancestors, refused recipients, the header field To */
	COLUMN_TOTALS = 16384,	 /* what each exclusion let pass; only where there is no mail */
	COLUMN_REST = COLUMN_REST_OF_LINE,
};

/* Bounds of the journal's values, in bytes. Their sum is less than 48 KiB. */
enum {
	JOURNAL_NONE = 0,
	JOURNAL_COMM = 64,
	JOURNAL_NAME = 512,
	JOURNAL_LINE = 1024, /* subjects, texts of replies, addresses */
	JOURNAL_PATH = 4096,
	JOURNAL_RECIPIENTS = 10240, /* all of them */
	JOURNAL_ANCESTORS = 8192,   /* all of them */
};

/* Each object's `within`. A row comes after the row of the object that it is in. */
enum {
	WITHIN_NONE = 0,
#define OBJECT(constant, around, name)                                                             \
	WITHIN_##constant = WITHIN_##around | 1ULL << OBJECT_##constant,
#include "format/fields.def"
#undef OBJECT
};

#define OBJECT_NONE OBJECT_ROOT

const struct json_object_row json_objects[OBJECT_COUNT] = {
#define OBJECT(constant, around, name)                                                             \
	[OBJECT_##constant] = {OBJECT_##around, WITHIN_##constant, JSON_KEY(name)},
#include "format/fields.def"
#undef OBJECT
};

#define JSON(in, name)		.object = OBJECT_##in, .json = JSON_KEY(name), .show = SHOW_ALWAYS
#define JSON_MAX(in, name, max) JSON(in, name), .json_max = BOUND_##max
#define JSON_TRUE(in, name)	.object = OBJECT_##in, .json = JSON_KEY(name), .show = SHOW_IF_TRUE
#define COLUMN(name, max)	.column = JSON_KEY(name), .column_max = COLUMN_##max
#define COLUMN_KNOWN(name, max) COLUMN(name, max), .column_if_known = true
#define ELEMENT(name, max)	COLUMN(name, max), .is_column_element = true
#define JOURNAL(name, max)	.journal = "SMTPSNOOP_" name, .journal_max = JOURNAL_##max
#define JOURNAL_OWN(name)	.journal = (name) /* a name of the journal's own */

const struct field_row field_rows[FIELD_COUNT] = {
#define FIELD(constant, type, ...) [FIELD_##constant] = {.kind = KIND_##type, __VA_ARGS__},
#include "format/fields.def"
#undef FIELD
};
