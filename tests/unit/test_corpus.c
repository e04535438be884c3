/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SMTP session against labelled conversations from public captures. These are not part of the
 * project: SMTPSNOOP_CORPUS names their folder (default: ../shared/corpus); without it the tests
 * are skipped.
 *
 * A conversation is a file of lines "C base64" and "S base64"; truth.jsonl has one line for each,
 * which says what the conversation contains.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "smtp/smtp.h"

enum segmentation { AS_CAPTURED, BYTE_BY_BYTE, JOINED };

/* What the session reported, in the form of truth.jsonl. */
struct seen {
	json_t *mail_from;
	json_t *rcpt_to;
	json_t *accepted; /* objects with mail_from and rcpt_to */
	bool session;	  /* it would be reported as a session */
};

static const char *corpus(void)
{
	const char *folder = getenv("SMTPSNOOP_CORPUS");

	return folder ? folder : "../shared/corpus";
}

/* Addresses may be any bytes, but truth.jsonl is UTF-8: all other addresses count as equal. */
static json_t *string_of(struct span text)
{
	json_t *string = json_stringn(text.data, text.len);

	return string ? string : json_string("(not UTF-8)");
}

static void take(void *context, struct smtp_transaction *transaction)
{
	struct seen *seen = context;
	json_t *recipients;

	/* Data that the server accepted without MAIL and RCPT: reported, but without addresses. */
	if (transaction->from_unknown && !transaction->recipient_count) {
		smtp_transaction_free(transaction);
		return;
	}
	recipients = json_array();
	json_array_append_new(seen->mail_from, string_of(smtp_transaction_from(transaction)));
	for (uint32_t i = 0; i < transaction->recipient_count; i++) {
		json_t *address = string_of(smtp_transaction_recipient(transaction, i));

		json_array_append(seen->rcpt_to, address);
		if (transaction->recipients[i].code / 100 == 2)
			json_array_append(recipients, address);
		json_decref(address);
	}
	if (transaction->outcome == SMTP_OUTCOME_SUCCESS) {
		json_t *accepted = json_object();

		json_object_set_new(accepted, "mail_from",
				    string_of(smtp_transaction_from(transaction)));
		json_object_set(accepted, "rcpt_to", recipients);
		json_array_append_new(seen->accepted, accepted);
	}
	json_decref(recipients);
	smtp_transaction_free(transaction);
}

static void feed(struct smtp_session *session, char side, struct span bytes)
{
	if (side == 'C')
		smtp_client_data(session, bytes, 1);
	else
		smtp_server_data(session, bytes, 1);
}

/*
 * The bytes of a line "C base64"; the caller frees `data`. EVP_DecodeBlock() counts padding as
 * bytes.
 */
static struct span decode(const char *line, size_t len)
{
	unsigned char *bytes = malloc(len + 1);
	size_t padding = 0;
	int decoded;

	assert_non_null(bytes);
	while (len > 2 && padding < 2 && line[len - 1 - padding] == '=')
		padding++;
	decoded =
		len > 2 ? EVP_DecodeBlock(bytes, (const unsigned char *)line + 2, (int)len - 2) : 0;
	assert_true(decoded >= (int)padding);
	return (struct span){(char *)bytes, (size_t)decoded - padding};
}

/* A conversation in memory: runs of bytes, each from one side. */
struct run {
	char side;
	char *bytes;
	size_t len;
};

struct conversation {
	struct run *runs;
	size_t count;
};

static void add_run(struct conversation *conversation, char side, struct span bytes, bool join)
{
	struct run *last =
		conversation->count ? &conversation->runs[conversation->count - 1] : NULL;

	if (!join || !last || last->side != side) {
		conversation->runs =
			realloc(conversation->runs,
				(conversation->count + 1) * sizeof(conversation->runs[0]));
		assert_non_null(conversation->runs);
		last = &conversation->runs[conversation->count++];
		*last = (struct run){.side = side};
	}
	last->bytes = realloc(last->bytes, last->len + bytes.len + 1);
	assert_non_null(last->bytes);
	memcpy(last->bytes + last->len, bytes.data, bytes.len);
	last->len += bytes.len;
}

static struct conversation load(const char *name, bool join)
{
	struct conversation conversation = {0};
	char path[4096], *line = NULL;
	size_t size = 0;
	ssize_t len;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", corpus(), name);
	file = fopen(path, "r");
	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	while ((len = getline(&line, &size, file)) > 0) {
		size_t text = strcspn(line, "\r\n");
		struct span bytes;

		assert_true(text >= 2 && (line[0] == 'C' || line[0] == 'S') && line[1] == ' ');
		bytes = decode(line, text);
		add_run(&conversation, line[0], bytes, join);
		free((char *)bytes.data);
	}
	free(line);
	fclose(file);
	return conversation;
}

static void unload(struct conversation *conversation)
{
	for (size_t i = 0; i < conversation->count; i++)
		free(conversation->runs[i].bytes);
	free(conversation->runs);
}

static struct smtp_facts play(const struct conversation *conversation, bool byte_by_byte,
			      struct seen *seen)
{
	struct smtp_session *session = smtp_session_new(true, take, seen);
	struct smtp_facts facts;

	assert_non_null(session);
	for (size_t i = 0; i < conversation->count; i++) {
		const struct run *run = &conversation->runs[i];

		if (!byte_by_byte)
			feed(session, run->side, (struct span){run->bytes, run->len});
		for (size_t at = 0; byte_by_byte && at < run->len; at++)
			feed(session, run->side, (struct span){run->bytes + at, 1});
	}
	smtp_session_close(session, 1);
	facts = *smtp_session_facts(session);
	seen->session = smtp_session_is_smtp(session) && smtp_client_speaks_smtp(session);
	smtp_session_free(session);
	return facts;
}

/* ---- The truth ------------------------------------------------------------------------------- */

static bool is_true(const json_t *truth, const char *key)
{
	return json_is_true(json_object_get(truth, key));
}

/*
 * The mails whose data the server accepted (2yz). If lines end in LF alone, truth.jsonl has no code
 * for an existing end of data: such mails count as accepted.
 */
static json_t *accepted_of(const json_t *truth)
{
	json_t *accepted = json_array(), *transaction;
	size_t i;

	json_array_foreach(json_object_get(truth, "transactions"), i, transaction)
	{
		json_int_t code = json_integer_value(json_object_get(transaction, "code"));
		const char *end = json_string_value(json_object_get(transaction, "end"));
		json_t *one;

		if (!code && is_true(truth, "lf_only") && end && strcmp(end, "data") == 0)
			code = 250;
		if (code < 200 || code >= 300 ||
		    !json_array_size(json_object_get(transaction, "rcpt_to")))
			continue;
		one = json_object();
		json_object_set(one, "mail_from", json_object_get(transaction, "mail_from"));
		json_object_set(one, "rcpt_to", json_object_get(transaction, "rcpt_to"));
		json_array_append_new(accepted, one);
	}
	return accepted;
}

static bool agrees(const char *name, const char *what, const json_t *expected, const json_t *seen)
{
	char *a, *b;

	if (json_equal(expected, seen))
		return true;
	a = json_dumps(expected, JSON_COMPACT | JSON_ENCODE_ANY);
	b = json_dumps(seen, JSON_COMPACT | JSON_ENCODE_ANY);
	print_message("%s: %s: expected %s, saw %s\n", name, what, a, b);
	free(a);
	free(b);
	return false;
}

/* True if the client sent this command alone, and the server's answer begins with these digits. */
static bool was_answered(const struct conversation *conversation, const char *command,
			 const char *address, const char *digits)
{
	for (size_t i = 0; i + 1 < conversation->count; i++) {
		const struct run *asked = &conversation->runs[i], *answer = asked + 1;

		if (asked->side == 'C' && answer->side == 'S' && answer->len >= strlen(digits) &&
		    memcmp(answer->bytes, digits, strlen(digits)) == 0 &&
		    asked->len >= strlen(command) &&
		    strncasecmp(asked->bytes, command, strlen(command)) == 0 &&
		    memmem(asked->bytes, asked->len, address, strlen(address)))
			return true;
	}
	return false;
}

/*
 * truth.jsonl lists every MAIL and RCPT; the session reports transactions. Only these may be
 * missing: a MAIL that no RCPT followed, and a command that the server called out of sequence.
 */
static bool may_be_missing(const json_t *truth, const struct conversation *conversation,
			   const char *command, const char *address)
{
	json_t *transaction;
	size_t i;

	if (was_answered(conversation, command, address, "503"))
		return true;
	json_array_foreach(json_object_get(truth, "transactions"), i, transaction)
	{
		if (strcmp(command, "MAIL FROM:") == 0 &&
		    strcmp(json_string_value(json_object_get(transaction, "mail_from")), address) ==
			    0 &&
		    !json_array_size(json_object_get(transaction, "rcpt_to")))
			return true;
	}
	return false;
}

static bool compare_addresses(const json_t *truth, const struct conversation *conversation,
			      const char *command, const char *key, const json_t *seen)
{
	const json_t *issued = json_object_get(truth, key);
	json_t *expected = json_array();
	size_t i;
	json_t *address;
	bool same;

	json_array_foreach(issued, i, address)
	{
		if (json_equal(address, json_array_get(seen, json_array_size(expected))) ||
		    !may_be_missing(truth, conversation, command, json_string_value(address)))
			json_array_append(expected, address);
	}
	same = agrees(json_string_value(json_object_get(truth, "conv")), key, expected, seen);
	json_decref(expected);
	return same;
}

/*
 * truth.jsonl has the name of the last greeting. In the session, a refused greeting without a name
 * does not replace an earlier one.
 */
static bool compare_helo(const json_t *truth, const struct conversation *conversation,
			 const struct smtp_facts *facts)
{
	json_t *seen = string_of((struct span){facts->helo, facts->helo_len});
	json_t *helo = json_object_get(truth, "helo");
	json_t *expected =
		json_stringn(json_is_string(helo) ? json_string_value(helo) : "",
			     json_string_length(helo) < SMTP_WORD_MAX ? json_string_length(helo)
								      : SMTP_WORD_MAX);
	bool same =
		(json_is_string(helo) && !json_string_length(helo) &&
		 was_answered(conversation, "EHLO\r\n", "", "5")) ||
		agrees(json_string_value(json_object_get(truth, "conv")), "helo", expected, seen);

	json_decref(expected);
	json_decref(seen);
	return same;
}

/*
 * No conversation is reported for data in its commands, and no other protocol as a session. Of the
 * public ones, those of tests with overlong commands and binary junk carry the most.
 */
static bool compare_commands(const json_t *truth, const struct smtp_facts *facts,
			     const struct seen *seen)
{
	bool right = is_true(truth, "is_smtp") ? facts->command_bytes < SMTP_CARRIED_MAX
					       : !seen->session;

	if (!right)
		print_message("%s: session %d, %llu bytes carried by commands\n",
			      json_string_value(json_object_get(truth, "conv")), seen->session,
			      (unsigned long long)facts->command_bytes);
	return right;
}

static bool compare(const json_t *truth, const struct conversation *conversation,
		    const struct smtp_facts *facts, const struct seen *seen)
{
	const char *name = json_string_value(json_object_get(truth, "conv"));
	json_t *expected = is_true(truth, "is_smtp") ? accepted_of(truth) : json_array();
	bool same;

	if (is_true(truth, "is_smtp")) {
		same = compare_helo(truth, conversation, facts);
		same = compare_addresses(truth, conversation, "MAIL FROM:", "mail_from",
					 seen->mail_from) &&
		       same;
		same = compare_addresses(truth, conversation, "RCPT TO:", "rcpt_to",
					 seen->rcpt_to) &&
		       same;
		same = agrees(name, "accepted", expected, seen->accepted) && same;
	} else {
		same = agrees(name, "transactions of what is no SMTP", expected, seen->mail_from);
	}
	json_decref(expected);
	return compare_commands(truth, facts, seen) && same;
}

static bool check(const json_t *truth, enum segmentation segmentation)
{
	struct seen seen = {.mail_from = json_array(),
			    .rcpt_to = json_array(),
			    .accepted = json_array()};
	const char *name = json_string_value(json_object_get(truth, "conv"));
	struct conversation conversation = load(name, segmentation == JOINED);
	struct smtp_facts facts = play(&conversation, segmentation == BYTE_BY_BYTE, &seen);
	bool same = compare(truth, &conversation, &facts, &seen);

	unload(&conversation);
	json_decref(seen.mail_from);
	json_decref(seen.rcpt_to);
	json_decref(seen.accepted);
	return same;
}

static FILE *open_truth(void)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/truth.jsonl", corpus());
	file = fopen(path, "r");
	if (!file) {
		print_message("no corpus: %s: %s; SMTPSNOOP_CORPUS names its folder\n", path,
			      strerror(errno));
		skip();
	}
	return file;
}

static void check_all(enum segmentation segmentation)
{
	FILE *file = open_truth();
	unsigned int right = 0, all = 0, smtp = 0;
	char *line = NULL;
	size_t size = 0;

	if (!file)
		return;
	while (getline(&line, &size, file) > 0) {
		json_t *truth = json_loads(line, 0, NULL);

		assert_non_null(truth);
		all++;
		smtp += is_true(truth, "is_smtp");
		right += check(truth, segmentation);
		json_decref(truth);
	}
	free(line);
	fclose(file);
	print_message("%u of %u conversations right, %u of them SMTP\n", right, all, smtp);
	assert_true(all > 0);
	assert_int_equal(right, all);
}

static void test_as_captured(void **state)
{
	(void)state;
	check_all(AS_CAPTURED);
}

static void test_byte_by_byte(void **state)
{
	(void)state;
	check_all(BYTE_BY_BYTE);
}

static void test_joined(void **state)
{
	(void)state;
	check_all(JOINED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_captured),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
