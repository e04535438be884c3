/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events for Microsoft Sentinel: one flat object a line, for the Azure Monitor Agent's JSON-file
 * data source and the table Smtpsnoop_CL. fields.def has the columns; deploy/sentinel/table.json
 * describes them; docs/sentinel.md says how events get there. A column that is not known is left
 * out.
 *
 * The service drops a record of 64 KiB and cuts a string of 32 KiB, and reports neither. So
 * everything that others chose has a bound, in bytes as they are in the line. The sum of the bounds
 * leaves room for the recipients, which come last and take what is left. The column Truncated says
 * that something was cut.
 */
#include "format/format.h"

#include "base/json.h"
#include "format/fields.h"

#define RECORD_MAX  59000U /* bytes of a line */
#define RECORD_END  32U	   /* of them, after the recipients */
#define ELEMENT_MAX 512U   /* bytes of a string in a list */

/* The columns, in the order of the line. */
static const uint8_t order[] = {
	FIELD_TIMESTAMP,
	FIELD_ACTION,
	FIELD_EVENT_KIND,
	FIELD_EVENT_ID,
	FIELD_HOST,
	FIELD_VERSION,
	FIELD_DETAIL,
	FIELD_CONFIG_HASH,
	FIELD_SEQUENCE,
	FIELD_OUTPUT_LINES,
	FIELD_HOOK,

	FIELD_START,
	FIELD_END,
	FIELD_DURATION_MS,
	FIELD_VERDICT,
	FIELD_FINAL,
	FIELD_RESULT,
	FIELD_OUTCOME,
	FIELD_SEVERITY,
	FIELD_RISK,
	FIELD_REASONS,
	FIELD_JOINED_COUNT,
	FIELD_JOINED_FIRST,
	FIELD_JOINED_LAST,
	FIELD_JOINED_RECIPIENTS,
	FIELD_JOINED_BYTES,
	FIELD_JOINED_IDS,
	FIELD_JOINED_DIFFER,
	FIELD_EXCLUSION,
	FIELD_NEAREST,
	FIELD_NEAREST_FAILED,
	FIELD_NEAREST_UNKNOWN,
	FIELD_RULE_NAME,
	FIELD_RULE_NAMES,
	FIELD_TECHNIQUES,

	FIELD_SESSION_ID,
	FIELD_HELO,
	FIELD_PROTOCOL,
	FIELD_AUTH_MECHANISM,
	FIELD_AUTH_USER,
	FIELD_AUTH_OUTCOME,
	FIELD_STARTTLS,
	FIELD_COMMAND_BYTES,
	FIELD_REPLY_BYTES,
	FIELD_MAIL_FROM,
	FIELD_RCPT_COUNT,
	FIELD_REFUSED_COUNT,
	FIELD_RCPT_REFUSED,
	FIELD_MAIL_PARAMETERS,
	FIELD_TRANSACTION,
	FIELD_BYTES,
	FIELD_QUEUE_ID,
	FIELD_REPLY_CODE,
	FIELD_REPLY_TEXT,

	FIELD_HEADER_FROM,
	FIELD_HEADER_TO,
	FIELD_HEADER_CC,
	FIELD_HEADER_REPLY_TO,
	FIELD_SUBJECT,
	FIELD_MESSAGE_ID,
	FIELD_X_MAILER,
	FIELD_CLAIM_PHP_SCRIPT,
	FIELD_CLAIM_SOURCE,
	FIELD_CLAIM_SOURCE_ARGS,
	FIELD_CLAIM_SOURCE_DIR,
	FIELD_DATE,
	FIELD_ATTACHMENT_COUNT,
	FIELD_ATTACHMENT_NAMES,
	FIELD_ATTACHMENT_TYPES,
	FIELD_ATTACHMENT_BYTES,

	FIELD_SOURCE_IP,
	FIELD_SOURCE_PORT,
	FIELD_SOURCE_BYTES,
	FIELD_DESTINATION_IP,
	FIELD_DESTINATION_PORT,
	FIELD_DESTINATION_BYTES,
	FIELD_DIRECTION,
	FIELD_NETWORK_PROTOCOL,
	FIELD_COMMUNITY_ID,
	FIELD_TLS,
	FIELD_SERVER_NAME,
	FIELD_TLS_VERSION,
	FIELD_TLS_CIPHER,
	FIELD_PROXY_PROTOCOL,
	FIELD_PROXY_TARGET,
	FIELD_PROXY_HOPS,

	FIELD_PID,
	FIELD_TID,
	FIELD_PROCESS_START,
	FIELD_ENTITY_ID,
	FIELD_COMM,
	FIELD_PROCESS_NAME,
	FIELD_EXECUTABLE,
	FIELD_SCRIPT,
	FIELD_DIRECTORY,
	FIELD_SEND_DIRECTORY,
	FIELD_COMMAND_LINE,
	FIELD_ARGS_COUNT,
	FIELD_ARGS_TRUNCATED,
	FIELD_EXE_SOURCE,
	FIELD_EXE_MEMFD,
	FIELD_EXE_DELETED,
	FIELD_EXE_SWAPPED,
	FIELD_EXE_VERIFIED,
	FIELD_SHA256,
	FIELD_PARENT_PID,
	FIELD_PARENT_NAME,
	FIELD_PARENT_EXECUTABLE,
	FIELD_ANCESTRY_LINES,
	FIELD_INTERACTIVE,
	FIELD_SCHEDULED_BY,
	FIELD_UID,
	FIELD_USER,
	FIELD_GID,
	FIELD_GROUP,
	FIELD_REAL_UID,
	FIELD_LOGINUID,
	FIELD_LOGIN_USER,
	FIELD_UNIT,
	FIELD_USER_UNIT,
	FIELD_CONTAINER,
	FIELD_CONTAINER_NAME,
	FIELD_CONTAINER_RUNTIME,
	FIELD_CGROUP,
	FIELD_OWN_NAMESPACES,
	FIELD_ROOT_NAMES,
	FIELD_SENDER_COUNT,
	FIELD_SENDERS_COMPLETE,
	FIELD_OTHER_SENDERS,
	FIELD_ORIGIN_USER,
	FIELD_ORIGIN_UID,
	FIELD_ORIGIN_MTA,
	FIELD_ORIGIN_QUEUE_ID,
	FIELD_ORIGIN_SUBMISSION,
	FIELD_ORIGIN_HOW,
	FIELD_ORIGIN_PID,
	FIELD_ORIGIN_EXECUTABLE,
	FIELD_ORIGIN_SCRIPT,
	FIELD_ORIGIN_ENTITY_ID,
	FIELD_ORIGIN_UNIT,
	FIELD_ORIGIN_CONTAINER_ID,
	FIELD_ORIGIN_CANDIDATE_COUNT,

	FIELD_LAYER,
	FIELD_WITNESS,
	FIELD_COMPLETE,
	FIELD_MISSING_BYTES,
	FIELD_MID_STREAM,
	FIELD_WIRE,
	FIELD_BLIND,
	FIELD_PREVIOUS_HOW,
	FIELD_PREVIOUS_END,
	FIELD_PREVIOUS_REBOOTED,
	FIELD_UNWATCHED_MS,
	FIELD_DROPPED,
	FIELD_CHECKED,
	FIELD_LET_PASS,
	FIELD_LOST,
	FIELD_MESSAGES,
	FIELD_RECIPIENTS,
	FIELD_TOTAL_BYTES,
	FIELD_ALERTS,
	FIELD_EXCLUDED,
	FIELD_SESSIONS,
	FIELD_CARRYING,
	FIELD_TOTAL_COMMAND_BYTES,
	FIELD_ENCRYPTED,
	FIELD_UNATTRIBUTED,
	FIELD_JOINED,
	FIELD_QUOTED,
	FIELD_MID_STREAMS,
	FIELD_INCOMPLETE,
	FIELD_RECORDS,

	FIELD_RCPT_TO, /* what is left of the line */
	FIELD_TRUNCATED,
};

_Static_assert(FIELD_COUNT <= UINT8_MAX, "order has a byte for each field");

static void write_value(struct text *out, const struct field_row *row, const struct value *value);

/* ---- Values ---------------------------------------------------------------------------------- */

/* A column of type long is signed. */
static uint64_t long_of(uint64_t number)
{
	return number > INT64_MAX ? INT64_MAX : number;
}

static void write_bytes(struct text *out, const struct field_row *row, struct span bytes)
{
	if (bytes.len || !row->column_if_known)
		keyed_bytes(out, &row->column, bytes, row->column_max);
}

static void write_count(struct text *out, const char *name, uint64_t count)
{
	if (count)
		json_number(out, name, long_of(count));
}

static void write_counts(struct text *out, const struct json_key *key,
			 const struct event_stats *stats)
{
	keyed_open(out, key, '{');
	write_count(out, "malformed_records", stats->records_malformed);
	write_count(out, "flows", stats->flows_dropped);
	write_count(out, "events", stats->events_lost);
	write_count(out, "events_left_out", stats->events_left_out);
	write_count(out, "contents", stats->content_refused);
	for (int i = 0; i < COUNTER_MAX; i++)
		write_count(out, counter_name((enum counter)i), stats->counters[i]);
	json_close(out);
}

/* ---- Lists: columns of type dynamic ---------------------------------------------------------- */

static size_t list_max(const struct text *out, const struct field_row *row)
{
	size_t end = out->len + RECORD_END;

	if (row->column_max != COLUMN_REST_OF_LINE)
		return row->column_max;
	return end < RECORD_MAX ? RECORD_MAX - end : 0;
}

/*
 * True if the list that began at `start` is within its bound. Else the last element, which began at
 * `before`, is taken back.
 */
static bool list_fits(struct text *out, size_t start, size_t before, size_t max)
{
	if (out->failed || out->len - start <= max)
		return true;
	out->len = before;
	out->data[before] = '\0';
	out->cut = true;
	return false;
}

/* The beginning of the list, as far as it fits. */
static void write_list(struct text *out, const struct field_row *row, const struct value *value)
{
	size_t max = list_max(out, row), start, before;
	struct text scratch = {0};
	struct span item;

	keyed_open(out, &row->column, '[');
	start = out->len;
	for (uint32_t at = 0; value->next(value->of, &at, &item, &scratch);) {
		before = out->len;
		json_bytes_max(out, NULL, item, ELEMENT_MAX);
		if (!list_fits(out, start, before, max))
			break;
	}
	json_close_list(out);
	out->failed |= scratch.failed;
	text_free(&scratch);
}

static void write_element(struct text *out, const struct fields *element)
{
	json_open(out, NULL);
	for (size_t set = 0; set < FIELD_SETS; set++) {
		for (uint64_t left = element->known[set]; left; left &= left - 1) {
			size_t field = set * 64 + (size_t)__builtin_ctzll(left);

			if (field_rows[field].column.text)
				write_value(out, &field_rows[field], &element->values[field]);
		}
	}
	json_close(out);
}

static void write_records(struct text *out, const struct field_row *row, const struct value *value)
{
	struct fields element;
	bool fits = true;
	size_t start;

	keyed_open(out, &row->column, '[');
	start = out->len;
	fields_begin(&element);
	for (uint32_t at = 0; fits && value->record(&element, value->of, at); at++) {
		size_t before = out->len;

		write_element(out, &element);
		fits = list_fits(out, start, before, row->column_max);
		fields_end(&element);
		fields_begin(&element);
	}
	fields_end(&element);
	json_close_list(out);
}

/* ---- The whole ------------------------------------------------------------------------------- */

static void write_value(struct text *out, const struct field_row *row, const struct value *value)
{
	const struct json_key *key = &row->column;

	switch (row->kind) {
	case KIND_WORD: keyed_word(out, key, value->word); break;
	case KIND_BYTES:
	case KIND_PATH: write_bytes(out, row, value->bytes); break;
	case KIND_INT:
	case KIND_LONG: keyed_number(out, key, long_of(value->number)); break;
	case KIND_ID: keyed_id(out, key, value->number); break;
	case KIND_ARGS_CUT:
	case KIND_BOOL: keyed_bool(out, key, value->number); break;
	case KIND_TIME: keyed_time(out, key, value->time_ns); break;
	case KIND_IP: keyed_ip(out, key, value->ip); break;
	case KIND_WORDS: keyed_words(out, key, value->words, value->count); break;
	case KIND_LIST: write_list(out, row, value); break;
	case KIND_RECORDS: write_records(out, row, value); break;
	case KIND_COUNTS: write_counts(out, key, value->counts); break;
	case KIND_CUT: keyed_bool(out, key, out->cut); break;
	case KIND_ARGS:
	case KIND_OBJECT: break; /* of JSON alone */
	}
}

void event_sentinel(struct text *out, const struct event *event)
{
	struct fields fields;

	fields_of_event(&fields, event, FIELDS_SENTINEL);
	json_open(out, NULL);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (field_is_known(&fields, (enum field)order[i]))
			write_value(out, &field_rows[order[i]], &fields.values[order[i]]);
	}
	json_close(out);
	out->failed |= fields.command_line.failed;
	fields_end(&fields);
}
