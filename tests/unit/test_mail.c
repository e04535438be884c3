/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages: header fields, addresses, encoded words, dates, parameters, MIME parts. The result must
 * not depend on how the message is split.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "mail/mail.h"
#include "mail/field.h"
#include "mail/word.h"
#include "smtp/smtp.h"

/* Appends what the parser found, one line per fact. */
static void sum_up(const struct mail *mail, struct text *out)
{
	static const char *const kinds[] = {"from", "to", "cc", "reply-to"};

	for (uint32_t i = 0; i < mail->address_count; i++) {
		text_add_format(out, "%s ", kinds[mail->addresses[i].kind]);
		text_add(out, mail_span(mail, mail->addresses[i].address));
		text_add_string(out, "\n");
	}
	text_add_string(out, "subject ");
	text_add(out, mail_span(mail, mail->subject));
	text_add_string(out, "\nid ");
	text_add(out, mail_span(mail, mail->message_id));
	text_add_format(out, "\ndate %lld\n", mail->has_date ? (long long)mail->date_s : -1LL);
	for (uint32_t i = 0; i < mail->attachment_count; i++) {
		text_add(out, mail_span(mail, mail->attachments[i].name));
		text_add_string(out, " ");
		text_add(out, mail_span(mail, mail->attachments[i].type));
		text_add_format(out, " %llu\n", (unsigned long long)mail->attachments[i].size);
	}
	for (int i = 0; i < MAIL_CLAIM_COUNT; i++) {
		if (!mail->claims[i].len)
			continue;
		text_add_format(out, "claim %d ", i);
		text_add(out, mail_span(mail, mail->claims[i]));
		text_add_string(out, "\n");
	}
	if (mail->repeated)
		text_add_string(out, "repeated\n");
	if (mail->truncated)
		text_add_string(out, "truncated\n");
}

static void expect(const char *message, const char *expected)
{
	for (size_t size = 1; size < 90; size++) {
		struct mail_parser *parser = mail_parser_new();
		struct text out = {0};
		struct mail *mail;
		size_t len = strlen(message);

		assert_non_null(parser);
		for (size_t at = 0; at < len; at += size) {
			size_t piece = size < len - at ? size : len - at;
			char *copy = malloc(piece);

			assert_non_null(copy);
			memcpy(copy, message + at, piece);
			mail_parser_data(parser, (struct span){copy, piece});
			free(copy);
		}
		mail = mail_parser_finish(parser);
		mail_parser_free(parser);
		sum_up(mail, &out);
		assert_string_equal(out.data, expected);
		text_free(&out);
		mail_free(mail);
	}
}

static void test_header(void **state)
{
	(void)state;
	expect("From: \"Doe, Jo\" <jo@x>\r\nTo: a@x, B (b) <b@y>,\r\n\tteam: c@z, d@z;\r\nCC: "
	       "undisclosed-recipients:;\r\n"
	       "Reply-To: <@r:e@x>\r\nSubject: two\r\n lines\r\nDate: Mon, 1 Jan 2024 02:00:00 "
	       "+0200\r\n"
	       "Message-Id: <1@x>\r\n\r\nSubject: body\r\n",
	       "from jo@x\nto a@x\nto b@y\nto c@z\nto d@z\nreply-to e@x\nsubject two lines\nid "
	       "1@x\n"
	       "date 1704067200\n");
	expect("Subject: no end", "subject no end\nid \ndate -1\n");
	expect("", "subject \nid \ndate -1\n");
	expect("Subject: first\nsubject : second\nFrom: a@x\nFrom: b@x\n\n",
	       "from a@x\nfrom b@x\nsubject first\nid \ndate -1\nrepeated\n");
}

static void expect_words(const char *body, const char *expected)
{
	struct text out = {0};

	mail_word_decode(&out, span_of(body));
	assert_string_equal(out.data, expected);
	text_free(&out);
}

static void test_words(void **state)
{
	(void)state;
	expect_words("plain", "plain");
	expect_words("a =?utf-8?Q?b_=C3=A4?= c", "a b \xc3\xa4 c");
	expect_words("=?ISO-8859-1?B?5Gg=?=", "\xc3\xa4h");
	expect_words("=?utf-8?q?a?=\t =?utf-8*de?Q?b?=  c", "ab  c");
	expect_words("=?utf-8?B?w6?= =?utf-8?Q?x?=",
		     "=?utf-8?B?w6?= =?utf-8?Q?x?="); /* a character split over two words */
	expect_words("=?utf-8?Q?=C3?= =?utf-8?Q?=A4?=", "\xc3\xa4");
	expect_words("=?windows-1251?Q?=CF?=", "\xd0\x9f");
	expect_words("=?iso-2022-jp?B?GyRCJCIbKEI=?=", "\xe3\x81\x82");
	expect_words("=?x-evil?Q?a?= =?utf-8?X?a?= =?utf-8?Q?=GG?= =?utf-8?Q?=FF?=",
		     "=?x-evil?Q?a?= =?utf-8?X?a?= =?utf-8?Q?=GG?= =?utf-8?Q?=FF?=");
}

static void test_dates(void **state)
{
	static const struct {
		const char *text;
		int64_t expected; /* -1: none */
	} dates[] = {
		{"Thu, 01 Jan 1970 00:00:01 +0000", 1},
		{"29 Feb 2024 12:00 GMT", 1709208000},
		{"1 Jan 24 00:00:00 EST", 1704085200},
		{"Mon, 30 Feb 2024 00:00:00 +0000", -1},
		{"1 Foo 2024 00:00:00 +0000", -1},
		{"", -1},
		{"1 Jan 2024 25:00:00 +0000", -1},
		{"1 Jan 9999 00:00:00 +0000", -1},
		{"yesterday", -1},
		{"1 Jan 2024 00:00:00 -0130", 1704072600},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		int64_t got = -1;

		assert_int_equal(mail_field_date(span_of(dates[i].text), &got),
				 dates[i].expected != -1);
		assert_int_equal(got, dates[i].expected);
	}
}

static void expect_parameter(const char *body, const char *expected)
{
	struct text out = {0};
	bool found = mail_field_parameter(&out, span_of(body), "name");

	assert_int_equal(found, expected != NULL);
	if (expected)
		assert_string_equal(out.data ? out.data : "", expected);
	text_free(&out);
}

static void test_parameters(void **state)
{
	(void)state;
	expect_parameter("a/b; name=x.pdf", "x.pdf");
	expect_parameter("a/b; other=1; NAME = \"a \\\"b;\\\" c\"; name=2", "a \"b;\" c");
	expect_parameter("a/b; name*=utf-8'en'%C3%A4%20b; name=plain", "\xc3\xa4 b");
	expect_parameter("a/b; name*1=two; name*0*=utf-8''one%20; name*3=four", "one two");
	expect_parameter("a/b; name=\"=?utf-8?Q?=C3=A4?=\"", "\xc3\xa4");
	expect_parameter("a/b; name*=x-evil''a%20b", "a b");
	expect_parameter("a/b", NULL);
	expect_parameter("a/b; names=x", NULL);
	expect_parameter("a/b; name=\"open", "open");
}

/* Encoded words in a parameter, and in its pieces: whole, cut, adjacent, and in other charsets. */
static void test_words_in_parameters(void **state)
{
	static const char report[] = "R\xc3\xa4port.pdf";

	(void)state;
	expect_parameter(
		"a/b; name*0=\"=?UTF-8?B?UsOkcA==?=\"; name*1=\"=?UTF-8?B?b3J0LnBkZg==?=\"",
		report);
	expect_parameter("a/b; name*1=\" =?utf-8?q?ort.pdf?=\"; name*0=\"=?utf-8?q?R=C3=A4p?=\"",
			 report);
	/* A word, or a character of it, is cut at the end of a piece. */
	expect_parameter("a/b; name*0=\"=?UTF-8?B?UsOkcG9y\"; name*1=\"dC5wZGY=?=\"", report);
	expect_parameter("a/b; name*0=\"=?UTF-8?Q?R=C3?=\"; name*1=\"=?UTF-8?Q?=A4port.pdf?=\"",
			 report);
	expect_parameter("a/b; name*0=\"=?UTF\"; name*1=\"-8?Q?R=C3=A4port.pdf?\"; name*2==",
			 report);
	expect_parameter("a/b; name*0=\"=?iso-8859-1?Q?R=E4p?=\"; name*1=ort.pdf", report);
	/* In a value that is extended, or in some pieces of one. */
	expect_parameter("a/b; name*=utf-8''=?utf-8?Q?R=C3=A4port.pdf?=", report);
	expect_parameter("a/b; name*=utf-8''%3D%3Futf-8%3FQ%3FR%3DC3%3DA4port.pdf%3F%3D", report);
	expect_parameter("a/b; name*0*=utf-8''R%C3%A4; name*1=\"=?us-ascii?Q?port?=\"; name*2=.pdf",
			 report);
	expect_parameter("a/b; name=\"=?utf-8?Q?R=C3?= =?utf-8?Q?=A4port.pdf?=\"", report);
	/* What is no word stays. */
	expect_parameter("a/b; name*0=\"=?UTF-8?B?\"; name*1=\"x\"", "=?UTF-8?B?x");
	expect_parameter("a/b; name*0=\"=?x-none?Q?a?=\"; name*1=b", "=?x-none?Q?a?=b");
}

#define PART(header, body) "--b\r\n" header "\r\n" body "\r\n"

static void test_attachments(void **state)
{
	(void)state;
	expect("Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\npreamble\r\n" PART("", "text")
		       PART("Content-Type: APPLICATION/Pdf; "
			    "name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n",
			    "YWJj\r\nZA==") PART("Content-Disposition: attachment;\r\n "
						 "filename=\"=?utf-8?Q?=C3=A4?=.txt\"\r\n"
						 "Content-Transfer-Encoding: quoted-printable\r\n",
						 "a=3Db=\r\nc\r\n--x")
			       PART("Content-Type: multipart/alternative; boundary=c\r\n",
				    "--c\r\n\r\ninner\r\n--c\r\nContent-Disposition: "
				    "attachment\r\n\r\n\r\nend\r\n--c--")
				       PART("Content-Disposition: attachment; filename=last\r\n",
					    "--bc") "--b--\r\nfilename\r\n",
	       "subject \nid \ndate -1\na.pdf application/pdf 4\n\xc3\xa4.txt  9\n  5\nlast  4\n");
	expect("Content-Type: application/zip; name=only.zip\r\n\r\n12345",
	       "subject \nid \ndate -1\n"
	       "only.zip application/zip 5\n");
}

static void test_bounds(void **state)
{
	struct mail_parser *parser = mail_parser_new();
	struct mail *mail;

	(void)state;
	mail_parser_data(parser, span_of("To: "));
	for (int i = 0; i < 20000; i++)
		mail_parser_data(parser, span_of("a@x, "));
	for (int i = 0; i < 2000; i++)
		mail_parser_data(parser, span_of("\r\nCc: a@x, b@x\r\nSubject: x"));
	mail_parser_data(parser, span_of("\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"));
	for (int i = 0; i < 300; i++)
		mail_parser_data(parser,
				 span_of("--b\r\nContent-Disposition: attachment\r\n\r\nx\r\n"));
	mail = mail_parser_finish(parser);
	mail_parser_free(parser);
	assert_int_equal(mail->address_count, MAIL_ADDRESSES_MAX);
	assert_int_equal(mail->attachment_count, MAIL_ATTACHMENTS_MAX);
	assert_true(mail->truncated);
	assert_true(mail->text.len <= MAIL_TEXT_MAX);
	mail_free(mail);
}

static void keep(void *context, struct smtp_transaction *transaction)
{
	struct text *out = context;

	if (transaction->mail)
		sum_up(transaction->mail, out);
	smtp_transaction_free(transaction);
}

/* As sent over the wire: DATA doubles a leading dot, BDAT does not. */
static void test_in_a_session(void **state)
{
	static const char wire[] =
		"EHLO c\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nSubject: s\r\n"
		"..\r\r\nTo: q@x\r\n\r\n..\r\n.\r\n"
		"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 11\r\nSubject: .vBDAT 3 LAST\r\n\r\n.";

	(void)state;
	for (size_t size = 1; size < 200; size++) {
		struct text out = {0};
		struct smtp_session *session = smtp_session_new(false, keep, &out);

		for (size_t at = 0; at < sizeof(wire) - 1; at += size)
			smtp_client_data(session,
					 (struct span){wire + at, size < sizeof(wire) - 1 - at
									  ? size
									  : sizeof(wire) - 1 - at},
					 1);
		smtp_session_close(session, 2);
		smtp_session_free(session);
		assert_string_equal(out.data,
				    "to q@x\nsubject s\nid \ndate -1\nsubject .v\nid \ndate -1\n");
		text_free(&out);
	}
}

/* Input that makes a careless parser slow: 4 MiB of each text, in pieces. */
static void test_time(void **state)
{
#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	static const char *const texts[][2] = {
		{"To: ", "("},
		{"To: ", "((((((((((((\r\n "},
		{"", "To: (((((((((\"\\\r\n"},
		{"Subject: ", "=?utf-8?q?=41?= "},
		{"", "Subject: =?utf-7?b?QUFB?=\r\n"},
		{"To: ", "a@b,"},
		{"To: ", "g:<@"},
		{MIXED, "--b\r\n"},
		{MIXED, "--"},
		{"", "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n"},
		{"Content-Type: a/b", "; name*0*=x"},
		{MIXED, "--b\r\nContent-Disposition: attachment; filename=x\r\n\r\nx\r\n"},
		{MIXED "--b\r\nContent-Disposition: attachment\r\n"
		       "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
		 "=4=4"},
	};
	static const size_t pieces[] = {1, 16384};

	(void)state;
	for (size_t n = 0; n < 2 * sizeof(texts) / sizeof(texts[0]); n++) {
		struct text text = {0};
		struct mail_parser *parser = mail_parser_new();
		struct mail *mail;
		clock_t begin;

		assert_non_null(parser);
		text_add_string(&text, texts[n / 2][0]);
		while (text.len < 4U << 20)
			text_add_string(&text, texts[n / 2][1]);
		begin = clock();
		for (size_t at = 0, piece = pieces[n % 2]; at < text.len; at += piece)
			mail_parser_data(parser,
					 (struct span){text.data + at, piece < text.len - at
									       ? piece
									       : text.len - at});
		mail = mail_parser_finish(parser);
		assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 4.0);
		assert_non_null(mail);
		assert_true(mail->address_count <= MAIL_ADDRESSES_MAX);
		assert_true(mail->attachment_count <= MAIL_ATTACHMENTS_MAX);
		assert_true(mail->text.len <= MAIL_TEXT_MAX);
		mail_free(mail);
		mail_parser_free(parser);
		text_free(&text);
	}
}

/* ---- What a reader sees ---------------------------------------------------------------------- */

static struct mail *read_in_pieces(const char *message, size_t size, struct mail_budget *budget,
				   size_t limit)
{
	struct mail_parser *parser = mail_parser_new();
	size_t len = strlen(message);
	struct mail *mail;

	assert_non_null(parser);
	mail_parser_keep(parser, budget, limit);
	for (size_t at = 0; at < len; at += size)
		mail_parser_data(parser,
				 (struct span){message + at, size < len - at ? size : len - at});
	mail = mail_parser_finish(parser);
	mail_parser_free(parser);
	return mail;
}

static const char letter[] =
	"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nX-Job: nightly\r\n home\r\n"
	"Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n"
	"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: "
	"quoted-printable\r\n\r\n"
	"K=F6ln is =\r\nwell=3D\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: "
	"base64\r\n\r\n"
	"aHR0cHM6Ly9jb3Jw\r\nLmV4YW1wbGUvP3Q9MTI=\r\n--b\r\n\r\nplain =3D "
	"text\r\n--b--\r\nepilogue\r\n";

static const char content[] =
	"Subject: gr\xc3\xbc\xc3\x9f"
	"e\nX-Job: nightly home\nContent-Type: multipart/mixed; boundary=b\n"
	"K\xc3\xb6ln is well=\n\nhttps://corp.example/?t=12\nplain =3D text\n\n";

static void test_content(void **state)
{
	(void)state;
	for (size_t size = 1; size < 200; size++) {
		struct mail_budget budget = {.left = 10000};
		struct mail *mail = read_in_pieces(letter, size, &budget, 1000);

		assert_string_equal(mail->content.text.data, content);
		assert_false(mail->content.cut);
		assert_int_equal(budget.left, 10000 - mail->content.text.len);
		mail_free(mail);
		assert_int_equal(budget.left, 10000);
	}
}

/*
 * The content never exceeds its limit or the budget, a cut is reported, and the budget is returned.
 */
static void test_content_bounds(void **state)
{
	(void)state;
	for (size_t limit = 0; limit < sizeof(content) + 20; limit++) {
		struct mail_budget wide = {.left = 10000}, narrow = {.left = limit};
		struct mail *cut = read_in_pieces(letter, 7, &wide, limit),
			    *poor = read_in_pieces(letter, 7, &narrow, 1000);

		assert_true(cut->content.text.len <= limit);
		assert_true(poor->content.text.len <= limit);
		assert_true(cut->content.cut == (limit < sizeof(content) - 1));
		assert_true(poor->content.cut == (narrow.refused > 0));
		mail_free(cut);
		mail_free(poor);
		assert_int_equal(wide.left, 10000);
		assert_int_equal(narrow.left, limit);
	}
}

static void test_content_gap(void **state)
{
	struct mail_budget budget = {.left = 10000};
	struct mail_parser *parser = mail_parser_new();
	struct mail *mail;

	(void)state;
	mail_parser_keep(parser, &budget, 1000);
	mail_parser_data(parser, span_of("Subject: x\r\n\r\nseen"));
	mail_parser_gap(parser, 5);
	mail_parser_data(parser, span_of("not any more\r\n"));
	mail = mail_parser_finish(parser);
	assert_true(mail->content.cut);
	assert_string_equal(mail->content.text.data, "Subject: x\nseen");
	mail_free(mail);
	mail_parser_free(parser);
}

/*
 * What the header claims about its program: the first field of each kind, folded or not, as it was
 * sent. More of them change nothing, and one in a part or in the body is none.
 */
static void test_claims(void **state)
{
	(void)state;
	expect("X-PHP-Originating-Script: 33:spam2.php\r\nX-PHP-Script: a.example/b.php for "
	       "1.2.3.4\r\n"
	       "x-php-originating-script: 0:innocent.php\r\nSubject: s\r\n\r\nX-Source: body\r\n",
	       "subject s\nid \ndate -1\nclaim 0 33:spam2.php\n");
	expect("X-Source: /opt/cpanel/ea-php81/root/usr/bin/lsphp\r\n"
	       "X-Source-Args: lsphp:/home/u/public_html/x.php\r\n  -t\r\n"
	       "X-Source-Dir: shop.example:/public_html/wp\r\nX-PHP-Script: "
	       "shop.example/x.php\r\n\r\n",
	       "subject \nid \ndate -1\nclaim 0 shop.example/x.php\n"
	       "claim 1 /opt/cpanel/ea-php81/root/usr/bin/lsphp\n"
	       "claim 2 lsphp:/home/u/public_html/x.php  -t\n"
	       "claim 3 shop.example:/public_html/wp\n");
	expect("X-Source : spaced\nX-Source-Args:\nX-Sources: other\nX-PHP-Originating-Script:   "
	       "\n\n",
	       "subject \nid \ndate -1\nclaim 1 spaced\n");
	expect("Content-Type: multipart/mixed; boundary=b\n\n--b\nX-PHP-Script: part\n\nx\n--b--\n",
	       "subject \nid \ndate -1\n");
}

/* A long claim is cut, and leaves room for what follows it. */
static void test_long_claims(void **state)
{
	struct mail_parser *parser = mail_parser_new();
	char value[MAIL_FIELD_MAX - 100];
	struct mail *mail;

	(void)state;
	assert_non_null(parser);
	memset(value, 'x', sizeof(value));
	for (int i = 0; i < 20; i++) {
		static const char *const names[] = {"X-PHP-Script: ", "X-Source: ",
						    "X-Source-Args: ", "X-Source-Dir: "};

		mail_parser_data(parser, span_of(names[i % 4]));
		mail_parser_data(parser, (struct span){value, sizeof(value)});
		mail_parser_data(parser, span_of("\r\n"));
	}
	mail_parser_data(parser, span_of("Subject: last\r\n\r\n"));
	mail = mail_parser_finish(parser);
	mail_parser_free(parser);
	for (int i = 0; i < MAIL_CLAIM_COUNT; i++)
		assert_int_equal(mail->claims[i].len, MAIL_CLAIM_MAX);
	assert_int_equal(mail->subject.len, 4);
	assert_false(mail->truncated);
	assert_false(mail->repeated);
	mail_free(mail);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_long_claims),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_words_in_parameters),
		cmocka_unit_test(test_attachments),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_in_a_session),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_content_bounds),
		cmocka_unit_test(test_content_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
