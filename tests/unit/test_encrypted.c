/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sessions under TLS: when smtp-encrypted is reported and when not, and what events say of TLS. The
 * wire shows the hellos; the plaintext, if it comes, comes from a library.
 */
#include "watched.h"

#include "flow/flow_tls.h"
#include "tls_hellos.h"

#define SECOND 1000000000ULL

#define UNSEEN "plaintext_unseen"

static struct watched watched;

static int setup(void **state)
{
	static const struct filter filter = {.all = true};

	(void)state;
	begin(&watched, &filter, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	watched_free(&watched);
	return 0;
}

/* Lets that much time pass, with a tick each second. */
static void pass(uint64_t ns)
{
	for (uint64_t end_ns = now_ns + ns; now_ns < end_ns; now_ns += SECOND)
		pipeline_tick(watched.pipeline, now_ns);
	pipeline_tick(watched.pipeline, now_ns);
}

/* The event with this action, the `at`th of them: a copy, or NULL. The next call frees it. */
static const char *event_of(const char *action, unsigned int at)
{
	static char *found;
	char wanted[60];

	free(found);
	found = NULL;
	snprintf(wanted, sizeof(wanted), "\"action\":\"%s\"", action);
	for (const char *line = watched.events.data; line && *line;) {
		const char *end = strchr(line, '\n');

		if (memmem(line, (size_t)(end - line), wanted, strlen(wanted)) && !at--) {
			found = strndup(line, (size_t)(end - line));
			break;
		}
		line = end + 1;
	}
	return found;
}

static void expect_in(const char *event, const char *text)
{
	assert_non_null(event);
	if (!strstr(event, text))
		fail_msg("no %s in %s", text, event);
}

static void expect_not_in(const char *event, const char *text)
{
	assert_non_null(event);
	if (strstr(event, text))
		fail_msg("%s in %s", text, event);
}

/* STARTTLS up to the hellos: the client's looks like any bytes, until the server answers in TLS. */
static struct line starttls(uint32_t wire)
{
	struct line line = {.cookie = 1, .port = 587, .pid = 10, .uid = JOE};

	tell_host_of(&watched, wire);
	greet(&watched, &line, "client");
	say(&watched, &line, "STARTTLS\r\n");
	hear(&watched, &line, "220 go on\r\n");
	say_bytes(&watched, &line, OPENSSL_13_CLIENT);
	line.flags = FLOW_TLS;
	hear_bytes(&watched, &line, OPENSSL_13_SERVER);
	return line;
}

/* TLS from the first byte: the wire shows the ClientHello alone. */
static struct line smtps(uint32_t wire, uint16_t port)
{
	struct line line = {.cookie = 1, .port = port, .pid = 10, .uid = JOE, .flags = FLOW_TLS};

	tell_host_of(&watched, wire);
	tell_sender(&watched, line.cookie, line.pid, line.uid);
	say_bytes(&watched, &line, GNUTLS_12_CLIENT);
	return line;
}

/* A library is joined with the line. Returns the line of its plaintext. */
static struct line join(const struct line *line, uint32_t layer, uint32_t flags, struct span client,
			struct span server)
{
	struct line plain = {.cookie = line->cookie ^ FLOW_KEY_PLAINTEXT,
			     .port = line->port,
			     .pid = line->pid,
			     .uid = line->uid};
	struct tls_record *record = make(sizeof(*record) + client.len, server);

	memcpy(record->data, client.data, client.len);
	record->flow = id_of(plain.cookie, plain.port);
	record->layer = layer;
	record->flags = flags;
	record->client_len = (uint32_t)client.len;
	record->server_len = (uint32_t)server.len;
	tell(&watched, &record->h, RECORD_TLS, sizeof(*record) + client.len + server.len);
	tell_sender(&watched, plain.cookie, plain.pid, plain.uid);
	return plain;
}

static void finish(void)
{
	pipeline_finish(watched.pipeline, "end");
	expect_same_events(&watched, &(struct filter){.all = true});
}

static void test_without_probes(void **state)
{
	struct line line = starttls(HOST_WIRE);
	const char *event;

	(void)state;
	pass(2 * SECOND);
	event = event_of("smtp-encrypted", 0);
	expect_in(event, "\"server_name\":\"mx.example.org\"");
	expect_in(event, "\"version\":\"1.3\",\"version_protocol\":\"tls\","
			 "\"cipher\":\"TLS_AES_256_GCM_SHA384\"");
	expect_in(event, "\"established\":true");
	expect_in(event, "\"starttls\":true");
	expect_in(event, "\"layer\":\"socket\"");
	expect_not_in(event, UNSEEN);
	pass(20 * SECOND);
	hang_up(&watched, &line);
	finish();
	assert_null(event_of("smtp-encrypted", 1));
	expect_not_in(event_of("smtp-session", 0), UNSEEN);
}

/* Ten seconds without plaintext: it is reported, once, and as of then. */
static void test_plaintext_that_does_not_come(void **state)
{
	struct line line = smtps(HOST_WIRE | HOST_TLS, 465);
	const char *event;

	(void)state;
	pass(9 * SECOND);
	assert_null(event_of("smtp-encrypted", 0));
	pass(3 * SECOND);
	event = event_of("smtp-encrypted", 0);
	expect_in(event, "\"server_name\":\"relay.example.com\"");
	expect_in(event, "\"duration\":10002000000");
	expect_in(event, UNSEEN);
	expect_not_in(event, "\"cipher\"");
	hang_up(&watched, &line);
	finish();
	assert_null(event_of("smtp-encrypted", 1));
}

static void test_close_before_that(void **state)
{
	struct line line = starttls(HOST_WIRE | HOST_TLS);

	(void)state;
	pass(3 * SECOND);
	assert_null(event_of("smtp-encrypted", 0));
	hang_up(&watched, &line);
	finish();
	expect_in(event_of("smtp-encrypted", 0), UNSEEN);
	assert_null(event_of("smtp-encrypted", 1));
	expect_in(event_of("smtp-session", 0), UNSEEN);
	expect_in(event_of("smtp-session", 0), "\"established\":true");
}

/* What TCP has counted is in the events of the connection, and only there. */
static void test_bytes(void **state)
{
	struct line line = starttls(HOST_WIRE | HOST_TLS),
		    clear = {.cookie = 2, .port = 25, .pid = 10, .uid = JOE};

	(void)state;
	hang_up_after(&watched, &line, 5000000000, 700);
	greet(&watched, &clear, "client");
	mail(&watched, &clear, "joe");
	hang_up_after(&watched, &clear, 5, 7);
	finish();
	for (int i = 0; i < 2; i++) {
		const char *event = event_of(i ? "smtp-session" : "smtp-encrypted", 0);

		expect_in(event, "\"port\":40000,\"bytes\":5000000000}");
		expect_in(event, "\"port\":587,\"bytes\":700}");
	}
	expect_in(event_of("smtp-message", 0), "\"port\":25}");
	expect_in(event_of("smtp-session", 1), "\"port\":25,\"bytes\":7}");
}

/* Not known: in older recordings, and as long as the connection is open. */
static void test_bytes_unknown(void **state)
{
	struct close_record *close = make(sizeof(*close), (struct span){NULL, 0});
	struct line line = starttls(HOST_WIRE | HOST_TLS);

	(void)state;
	close->flow = id_of(line.cookie, line.port);
	close->sent = close->received = 77;
	tell(&watched, &close->h, RECORD_CLOSE, CLOSE_RECORD_OLD);
	finish();
	expect_in(event_of("smtp-encrypted", 0), "\"port\":587}");
	expect_in(event_of("smtp-session", 0), "\"port\":587}");
}

/* The plaintext comes before the tenth second; then the session is silent for long. */
static void test_plaintext(void **state)
{
	struct line line = starttls(HOST_WIRE | HOST_TLS), plain;

	(void)state;
	pass(8 * SECOND);
	plain = join(&line, TLS_OPENSSL, 0, OPENSSL_13_CLIENT, OPENSSL_13_SERVER);
	say(&watched, &plain, "EHLO client\r\n");
	hear(&watched, &plain, "250 mx\r\n");
	pass(20 * SECOND);
	mail(&watched, &plain, "joe");
	hang_up(&watched, &plain);
	hang_up(&watched, &line);
	finish();
	assert_null(event_of("smtp-encrypted", 0));
	for (int i = 0; i < 2; i++) {
		const char *event = event_of(i ? "smtp-session" : "smtp-message", 0);

		expect_in(event, "\"established\":true");
		expect_in(event, "\"version\":\"1.3\"");
		expect_in(event, "\"cipher\":\"TLS_AES_256_GCM_SHA384\"");
		expect_in(event, "\"server_name\":\"mx.example.org\"");
		expect_in(event, "\"starttls\":true");
		expect_in(event, "\"layer\":\"openssl\"");
		expect_not_in(event, UNSEEN);
		assert_null(event_of(i ? "smtp-session" : "smtp-message", 1));
	}
}

/* Only the record that joins the library has the server's choice. */
/* On a port of mail, something else comes first: what follows is not read any more. */
static void test_plaintext_that_is_not_mail(void **state)
{
	struct line line = smtps(HOST_WIRE | HOST_TLS, 465), plain;

	(void)state;
	plain = join(&line, TLS_GNUTLS, 0, GNUTLS_12_CLIENT, GNUTLS_12_SERVER);
	say(&watched, &plain, "GET / HTTP/1.1\r\n\r\n");
	hear(&watched, &plain, "HTTP/1.1 200 OK\r\n\r\n");
	hang_up(&watched, &plain);
	finish();
	assert_non_null(event_of("smtp-encrypted", 0));
	assert_null(event_of("smtp-encrypted", 1));
}

/* A greeting is mail, also if the client leaves without a word. */
static void test_greeting_alone(void **state)
{
	struct line line = smtps(HOST_WIRE | HOST_TLS, 465), plain;

	(void)state;
	plain = join(&line, TLS_GNUTLS, 0, GNUTLS_12_CLIENT, GNUTLS_12_SERVER);
	hear(&watched, &plain, "220 mx\r\n");
	hang_up(&watched, &plain);
	finish();
	assert_null(event_of("smtp-encrypted", 0));
}

static void test_smtps(void **state)
{
	struct line line = smtps(HOST_WIRE | HOST_TLS, 465), plain;
	const char *event;

	(void)state;
	plain = join(&line, TLS_GNUTLS, 0, GNUTLS_12_CLIENT, GNUTLS_12_SERVER);
	greet(&watched, &plain, "client");
	mail(&watched, &plain, "joe");
	hang_up(&watched, &line);
	finish();
	assert_null(event_of("smtp-encrypted", 0));
	event = event_of("smtp-message", 0);
	expect_in(event, "\"established\":true");
	expect_in(event, "\"version\":\"1.2\"");
	expect_in(event, "\"cipher\":\"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\"");
	expect_in(event, "\"layer\":\"gnutls\"");
	expect_in(event, "\"outcome\":\"success\"");
	expect_not_in(event, "\"mid_stream\":true");
}

/* The secret of AUTH is neither in the recording nor in an event; the user is. */
static void test_auth(void **state)
{
	struct line line = starttls(HOST_WIRE | HOST_TLS), plain;

	(void)state;
	plain = join(&line, TLS_OPENSSL, 0, OPENSSL_13_CLIENT, OPENSSL_13_SERVER);
	say(&watched, &plain, "EHLO client\r\n");
	hear(&watched, &plain, "250-mx\r\n250 AUTH PLAIN\r\n");
	say(&watched, &plain, "AUTH PLAIN AGFubmUAc2VjcmV0LXdvcmQ=\r\n"); /* anne, secret-word */
	hear(&watched, &plain, "235 ok\r\n");
	mail(&watched, &plain, "joe");
	hang_up(&watched, &line);
	finish();
	expect_in(event_of("smtp-message", 0), "\"user\":\"anne\"");
	assert_true(is_recorded(&watched, "AUTH PLAIN"));
	assert_false(is_recorded(&watched, "c2VjcmV0"));
	assert_null(strstr(watched.events.data, "c2VjcmV0"));
	assert_null(strstr(watched.events.data, "secret-word"));
}

/* A mail in clear before STARTTLS is not under TLS; the one after it is. */
static void test_mail_before_starttls(void **state)
{
	struct line line = {.cookie = 1, .port = 587, .pid = 10, .uid = JOE}, plain;

	(void)state;
	tell_host_of(&watched, HOST_WIRE | HOST_TLS);
	greet(&watched, &line, "client");
	mail(&watched, &line, "first");
	say(&watched, &line, "STARTTLS\r\n");
	hear(&watched, &line, "220 go on\r\n");
	say_bytes(&watched, &line, OPENSSL_12_CLIENT);
	line.flags = FLOW_TLS;
	hear_bytes(&watched, &line, OPENSSL_12_SERVER);
	plain = join(&line, TLS_OPENSSL, 0, OPENSSL_12_CLIENT, OPENSSL_12_SERVER);
	say(&watched, &plain, "EHLO client\r\n");
	hear(&watched, &plain, "250 mx\r\n");
	mail(&watched, &plain, "second");
	hang_up(&watched, &line);
	finish();
	expect_in(event_of("smtp-message", 0), "first@x");
	expect_not_in(event_of("smtp-message", 0), "\"established\"");
	expect_not_in(event_of("smtp-message", 0), "\"cipher\"");
	expect_in(event_of("smtp-message", 0), "\"layer\":\"socket\"");
	expect_in(event_of("smtp-message", 1), "second@x");
	expect_in(event_of("smtp-message", 1), "\"established\":true");
	expect_in(event_of("smtp-message", 1), "\"server_name\":\"smtp.example.net\"");
	assert_null(event_of("smtp-message", 2));
}

static void test_late(void **state)
{
	struct line line = smtps(HOST_WIRE | HOST_TLS, 465), plain;

	(void)state;
	plain = join(&line, TLS_NSS, TLS_LATE, BYTES(""), BYTES(""));
	mail(&watched, &plain, "joe");
	hang_up(&watched, &line);
	finish();
	expect_in(event_of("smtp-message", 0), "\"mid_stream\":true");
	expect_in(event_of("smtp-message", 0), "\"layer\":\"nss\"");
}

/* The wire hook has counted this much of what the line sent. */
static void counted(const struct line *plain, uint64_t text, uint64_t offered, uint64_t bytes,
		    uint32_t records, uint32_t step)
{
	struct count_record *record = make(sizeof(*record), (struct span){NULL, 0});

	record->flow = id_of(plain->cookie, plain->port);
	record->plain = text;
	record->offered = offered;
	record->bytes = bytes;
	record->records = records;
	record->step = step;
	tell(&watched, &record->h, RECORD_COUNT, sizeof(*record));
}

#define GREETED 13U /* bytes of "EHLO client\r\n" */
#define MAILED	63U /* bytes of a mail from "joe" up to the server's reply to it */

struct count {
	uint64_t text, offered, bytes;
	uint32_t records, step;
};

/*
 * A mail under TLS 1.3, with a count before the reply to EHLO and one before the reply to the mail.
 * Its witness, and that of the session, must be this.
 */
static void expect_witness(const struct count *first, const struct count *last, const char *witness)
{
	struct line line = starttls(HOST_WIRE | HOST_TLS), plain;
	char expected[60];

	snprintf(expected, sizeof(expected), "\"witness\":\"%s\"", witness);
	plain = join(&line, TLS_OPENSSL, 0, OPENSSL_13_CLIENT, OPENSSL_13_SERVER);
	say(&watched, &plain, "EHLO client\r\n");
	if (first)
		counted(&plain, first->text, first->offered, first->bytes, first->records,
			first->step);
	hear(&watched, &plain, "250 mx\r\n");
	say(&watched, &plain, "MAIL FROM:<joe@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n");
	hear(&watched, &plain, "250 ok\r\n250 ok\r\n354 go\r\n");
	say(&watched, &plain, "Subject: joe\r\n\r\nhi\r\n.\r\n");
	if (last)
		counted(&plain, last->text, last->offered, last->bytes, last->records, last->step);
	hear(&watched, &plain, "250 queued\r\n");
	hang_up(&watched, &line);
	finish();
	expect_in(event_of("smtp-message", 0), expected);
	if (last && last->bytes < last->text) /* of a session, only the mail tells that */
		return;
	expect_in(event_of("smtp-session", 0), expected);
	if (!strcmp(witness, "differ"))
		expect_in(event_of("smtp-session", 0), "\"verdict\":\"alert\"");
}

#define FLIGHT	  52U /* the client's Finished, without what encryption adds */
#define SEALED(n) (17U * (n))
#define TEXT	  ((uint64_t)GREETED + MAILED)

static const struct count greeted = {GREETED, GREETED, FLIGHT + GREETED + SEALED(2), 2, COUNT_ON};

static void test_as_much_left(void **state)
{
	(void)state;
	expect_witness(&greeted,
		       &(struct count){TEXT, TEXT, FLIGHT + TEXT + SEALED(4), 4, COUNT_ON},
		       "agree");
}

static void test_more_left(void **state)
{
	(void)state;
	expect_witness(&greeted,
		       &(struct count){TEXT, TEXT, FLIGHT + TEXT + 65 + SEALED(9), 9, COUNT_ON},
		       "differ");
}

/* The server has replied to text that has not left. */
static void test_less_left(void **state)
{
	(void)state;
	expect_witness(&greeted, &(struct count){TEXT, TEXT, TEXT - 9, 0, COUNT_ON}, "differ");
}

/* What a call that has not ended may have sent is not known. */
static void test_call_in_progress(void **state)
{
	(void)state;
	expect_witness(&greeted,
		       &(struct count){TEXT, TEXT + 500, FLIGHT + TEXT + 500 + SEALED(5), 5,
				       COUNT_ON},
		       "send-only");
}

/* The handshake may be as large as certificates are, and not larger. */
static void test_large_handshake(void **state)
{
	struct count first = greeted,
		     last = {TEXT, TEXT, TEXT + TLS_FLIGHT_MAX + SEALED(4), 4, COUNT_ON};

	(void)state;
	first.bytes += TLS_FLIGHT_MAX;
	expect_witness(&first, &last, "agree");
}

static void test_too_large_handshake(void **state)
{
	struct count first = greeted,
		     last = {TEXT, TEXT, TEXT + TLS_FLIGHT_MAX + 65 + SEALED(4), 4, COUNT_ON};

	(void)state;
	first.bytes += TLS_FLIGHT_MAX;
	expect_witness(&first, &last, "differ");
}

static void test_no_tls_record(void **state)
{
	(void)state;
	expect_witness(&greeted,
		       &(struct count){TEXT, TEXT, FLIGHT + TEXT + SEALED(4), 4, COUNT_ODD},
		       "differ");
}

static void test_not_counted(void **state)
{
	(void)state;
	expect_witness(NULL, NULL, "send-only");
}

static void test_counting_was_lost(void **state)
{
	(void)state;
	expect_witness(&greeted, &(struct count){TEXT, TEXT, 7, 1, COUNT_LOST}, "send-only");
}

/* What looks like a hello in a mail in clear is nobody's server name. */
static void test_hello_in_a_mail(void **state)
{
	struct line line = {.cookie = 1, .port = 25, .pid = 10, .uid = JOE};

	(void)state;
	tell_host_of(&watched, HOST_WIRE | HOST_TLS);
	greet(&watched, &line, "client");
	say(&watched, &line, "MAIL FROM:<a@x>\r\n");
	hear(&watched, &line, "250 ok\r\n");
	say(&watched, &line, "RCPT TO:<b@y>\r\n");
	hear(&watched, &line, "250 ok\r\n");
	say(&watched, &line, "DATA\r\n");
	hear(&watched, &line, "354 go\r\n");
	say_bytes(&watched, &line, OPENSSL_12_CLIENT);
	say(&watched, &line, "\r\n.\r\n");
	hear(&watched, &line, "250 ok\r\n");
	hang_up(&watched, &line);
	finish();
	expect_not_in(event_of("smtp-message", 0), "smtp.example.net");
	expect_not_in(event_of("smtp-session", 0), "smtp.example.net");
}

static void test_not_mail(void **state)
{
	struct line line = smtps(HOST_WIRE | HOST_TLS, 443);

	(void)state;
	pass(20 * SECOND);
	hang_up(&watched, &line);
	finish();
	assert_null(event_of("smtp-encrypted", 0));
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_without_probes),
		TEST(test_plaintext_that_does_not_come),
		TEST(test_close_before_that),
		TEST(test_bytes),
		TEST(test_bytes_unknown),
		TEST(test_plaintext),
		TEST(test_plaintext_that_is_not_mail),
		TEST(test_greeting_alone),
		TEST(test_smtps),
		TEST(test_auth),
		TEST(test_mail_before_starttls),
		TEST(test_late),
		TEST(test_as_much_left),
		TEST(test_more_left),
		TEST(test_less_left),
		TEST(test_call_in_progress),
		TEST(test_large_handshake),
		TEST(test_too_large_handshake),
		TEST(test_no_tls_record),
		TEST(test_not_counted),
		TEST(test_counting_was_lost),
		TEST(test_hello_in_a_mail),
		TEST(test_not_mail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
