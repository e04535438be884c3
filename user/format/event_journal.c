/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events in the journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL), a datagram
 * an event. A field is NAME=value and a line end. A value that holds a line end or another control
 * character comes with its length instead, so that it cannot end the field. fields.def has the
 * names; all are ours, so that nothing that others chose is in a name. Each value has a bound, all
 * recipients have one together, and the whole stays below what a datagram holds: no memory file is
 * needed.
 */
#include "format/format.h"

#include <endian.h>
#include <string.h>

#include "format/event_sentence.h"
#include "format/fields.h"

#define ITEM_MAX 1024U /* bytes of a string in a list */
#define ITEM_END 64U   /* of its name, and what is around it */

/* The fields, in the order of the datagram. */
static const uint8_t order[] = {
	FIELD_ACTION,
	FIELD_EVENT_KIND,
	FIELD_EVENT_ID,
	FIELD_VERSION,
	FIELD_DETAIL,
	FIELD_CONFIG_HASH,
	FIELD_PREVIOUS_HOW,
	FIELD_HOST,

	FIELD_VERDICT,
	FIELD_RISK,
	FIELD_FINAL,
	FIELD_RESULT,
	FIELD_EXCLUSION,
	FIELD_NEAREST,
	FIELD_NEAREST_FAILED,
	FIELD_REASONS,
	FIELD_JOINED_COUNT,
	FIELD_JOINED_RECIPIENTS,
	FIELD_JOINED_BYTES,
	FIELD_JOINED_IDS,
	FIELD_JOINED_DIFFER,
	FIELD_RULE_NAME,
	FIELD_TECHNIQUES,

	FIELD_SESSION_ID,
	FIELD_SOURCE_IP,
	FIELD_SOURCE_PORT,
	FIELD_SOURCE_BYTES,
	FIELD_DESTINATION_IP,
	FIELD_DESTINATION_PORT,
	FIELD_DESTINATION_BYTES,
	FIELD_SERVER_NAME,
	FIELD_TLS_VERSION,
	FIELD_TLS_CIPHER,
	FIELD_LAYER,
	FIELD_WITNESS,
	FIELD_MISSING_BYTES,
	FIELD_HELO,
	FIELD_PROTOCOL,
	FIELD_AUTH_USER,
	FIELD_PROXY_TARGET,
	FIELD_COMMAND_BYTES,
	FIELD_REPLY_BYTES,

	FIELD_MAIL_FROM,
	FIELD_RCPT_COUNT, /* the bound of the recipients includes it */
	FIELD_RCPT_TO,
	FIELD_OUTCOME,
	FIELD_BYTES,
	FIELD_REPLY_CODE,
	FIELD_REPLY_TEXT,
	FIELD_QUEUE_ID,
	FIELD_SUBJECT,
	FIELD_MESSAGE_ID,
	FIELD_CLAIM_PHP_SCRIPT,
	FIELD_CLAIM_SOURCE,
	FIELD_CLAIM_SOURCE_ARGS,
	FIELD_CLAIM_SOURCE_DIR,

	FIELD_OBJECT_PID,
	FIELD_PID,
	FIELD_ANCESTRY_COMMANDS,
	FIELD_UID,
	FIELD_USER,
	FIELD_ROOT_NAMES,
	FIELD_LOGINUID,
	FIELD_COMM,
	FIELD_EXECUTABLE,
	FIELD_SCRIPT,
	FIELD_SEND_DIRECTORY,
	FIELD_COMMAND_LINE,
	FIELD_ARGS_TRUNCATED,
	FIELD_SHA256,
	FIELD_UNIT,
	FIELD_USER_UNIT,
	FIELD_CONTAINER,
	FIELD_CONTAINER_NAME,
	FIELD_SCHEDULED_BY,
	FIELD_ORIGIN_USER,
	FIELD_ORIGIN_HOW,
	FIELD_ORIGIN_PID,
	FIELD_ORIGIN_EXECUTABLE,
	FIELD_ORIGIN_SCRIPT,
	FIELD_ORIGIN_UNIT,
	FIELD_ORIGIN_UID,

	FIELD_MESSAGES,
	FIELD_RECIPIENTS,
	FIELD_TOTAL_BYTES,
	FIELD_ALERTS,
	FIELD_EXCLUDED,
	FIELD_LOST_COUNT,
	FIELD_LOST_BYTES,
};

_Static_assert(FIELD_COUNT <= UINT8_MAX, "order has a byte for each field");

/* ---- Values ---------------------------------------------------------------------------------- */

static bool has_control(struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		if ((unsigned char)value.data[i] < ' ')
			return true;
	}
	return false;
}

static void add_field(struct text *out, const char *name, struct span value)
{
	uint64_t len = htole64(value.len);

	text_add_string(out, name);
	if (has_control(value)) {
		text_add_string(out, "\n");
		text_add(out, (struct span){(const char *)&len, sizeof(len)});
	} else {
		text_add_string(out, "=");
	}
	text_add(out, value);
	text_add_string(out, "\n");
}

/* Bytes that others chose, as valid UTF-8; left out if there are none. */
static void write_bytes(struct text *out, const char *name, struct span value, size_t max)
{
	struct text clean = {0};
	struct span whole, part;

	if (!value.len)
		return;
	/* Each byte becomes one or more, so that those after `max` cannot be needed. */
	text_add_utf8(&clean, (struct span){value.data, value.len < max + 4 ? value.len : max + 4});
	whole = part = (struct span){clean.data, clean.len};
	if (whole.len > max) {
		part = text_cut(whole, max - 3);
		clean.len = part.len;
		text_add_string(&clean, "...");
		part = (struct span){clean.data, clean.len};
	}
	out->failed |= clean.failed;
	if (!clean.failed)
		add_field(out, name, part);
	text_free(&clean);
}

static void write_word(struct text *out, const char *name, const char *string)
{
	if (!is_known(string))
		return;
	text_add_string(out, name);
	text_add_string(out, "=");
	text_add_string(out, string);
	text_add_string(out, "\n");
}

static void write_number(struct text *out, const char *name, uint64_t count)
{
	text_add_format(out, "%s=%llu\n", name, (unsigned long long)count);
}

static void write_ip(struct text *out, const char *name, const uint8_t *ip)
{
	char address[ADDRESS_LEN];

	text_address(address, ip);
	write_word(out, name, address);
}

/*
 * A field for each element. If the list has a bound (`max` is not 0), it is one for all that was
 * added since `start`; JSON has the list in full.
 */
static void write_list(struct text *out, const char *name, const struct value *value, size_t start,
		       size_t max)
{
	size_t limit = max ? start + max - ITEM_MAX - ITEM_END : SIZE_MAX;
	struct text scratch = {0};
	struct span item;

	for (uint32_t at = 0; out->len < limit && value->next(value->of, &at, &item, &scratch);)
		write_bytes(out, name, item, ITEM_MAX);
	out->failed |= scratch.failed;
	text_free(&scratch);
}

/* `start`: where the field before this one began. */
static void write_value(struct text *out, const struct field_row *row, const struct value *value,
			size_t start)
{
	switch (row->kind) {
	case KIND_WORD: write_word(out, row->journal, value->word); break;
	case KIND_BYTES: write_bytes(out, row->journal, value->bytes, row->journal_max); break;
	case KIND_PATH:
		write_bytes(out, row->journal, value->bytes.len ? value->bytes : span_of("<>"),
			    row->journal_max);
		break;
	case KIND_INT:
	case KIND_LONG:
	case KIND_ID: write_number(out, row->journal, value->number); break;
	case KIND_ARGS_CUT:
	case KIND_BOOL: write_word(out, row->journal, value->number ? "1" : "0"); break;
	case KIND_IP: write_ip(out, row->journal, value->ip); break;
	case KIND_WORDS:
		for (size_t i = 0; i < value->count; i++)
			write_word(out, row->journal, value->words[i]);
		break;
	case KIND_LIST: write_list(out, row->journal, value, start, row->journal_max); break;
	case KIND_TIME: /* the journal has times of its own, and no field of these kinds */
	case KIND_RECORDS:
	case KIND_COUNTS:
	case KIND_ARGS:
	case KIND_OBJECT:
	case KIND_CUT: break;
	}
}

/* ---- The event ------------------------------------------------------------------------------- */

static const char *message_id(enum event_action action)
{
	static const char *const ids[] = {
		[EVENT_STARTED] = JOURNAL_ID_STARTED, [EVENT_STATUS] = JOURNAL_ID_STATUS,
		[EVENT_MESSAGE] = JOURNAL_ID_MESSAGE, [EVENT_ENCRYPTED] = JOURNAL_ID_ENCRYPTED,
		[EVENT_SESSION] = JOURNAL_ID_SESSION, [EVENT_LOSS] = JOURNAL_ID_LOSS,
		[EVENT_STOPPED] = JOURNAL_ID_STOPPED, [EVENT_SUBMISSION] = JOURNAL_ID_SUBMISSION,
	};

	return ids[action];
}

/* Levels of syslog: 3 error, 4 warning, 6 information. */
static unsigned int priority(const struct event *event)
{
	if (event->action == EVENT_LOSS)
		return 4;
	if (!event_risk(event))
		return 6;
	return event->capture.witness == WITNESS_DIFFER ? 3 : 4;
}

/* What the journal itself asks for. */
static void write_own(struct text *out, const struct event *event)
{
	struct text sentence = {0};

	event_sentence(&sentence, event);
	out->failed |= sentence.failed;
	add_field(out, "MESSAGE", (struct span){sentence.data, sentence.len});
	text_free(&sentence);
	write_number(out, "PRIORITY", priority(event));
	write_word(out, "SYSLOG_IDENTIFIER", "smtpsnoop");
	write_word(out, "MESSAGE_ID", message_id(event->action));
}

void event_journal(struct text *out, const struct event *event)
{
	struct fields fields;
	size_t start = 0, before;

	write_own(out, event);
	fields_of_event(&fields, event, FIELDS_JOURNAL);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (!field_is_known(&fields, (enum field)order[i]))
			continue;
		before = out->len;
		write_value(out, &field_rows[order[i]], &fields.values[order[i]], start);
		start = before;
	}
	out->failed |= fields.command_line.failed;
	fields_end(&fields);
}
