/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What honest clients send carries next to nothing, and other protocols that greet with 220 are not
 * sessions of SMTP.
 */
#include "smtp_talk.h"

/* ---- Honest clients -------------------------------------------------------------------------- */

static void test_verification(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	for (unsigned int n = 0; n < 100; n++) {
		char rcpt[64];

		snprintf(rcpt, sizeof(rcpt), "RCPT TO:<user%u@y.example>\r\n", n);
		ask(&talk, "MAIL FROM:<>\r\n", "250 ok\r\n");
		ask(&talk, rcpt, n % 2 ? "250 ok\r\n" : "550 no\r\n");
		ask(&talk, "RSET\r\n", "250 ok\r\n");
	}
	ask(&talk, "QUIT\r\n", "221 bye\r\n");
	assert_true(end(&talk) < SMTP_CARRIED_MAX);
	greet(&talk); /* one that never asks for a recipient */
	for (unsigned int n = 0; n < 1000; n++) {
		ask(&talk, "MAIL FROM:<probe@monitor.example>\r\n", "250 ok\r\n");
		ask(&talk, "RSET\r\n", "250 ok\r\n");
	}
	assert_true(end(&talk) < 64);
}

static void mail(struct talk *talk, const char *data_reply)
{
	ask(talk, "DATA\r\n", data_reply);
	if (data_reply[0] == '3')
		ask(talk, "Subject: x\r\n\r\nHi\r\n.\r\n", "250 queued\r\n");
}

static void test_mailing_list(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	ask(&talk, "MAIL FROM:<list@x> SIZE=1000\r\n", "250 ok\r\n");
	for (unsigned int n = 0; n < 600; n++)
		ask_with(&talk, "RCPT TO:<%@y> NOTIFY=FAILURE ORCPT=rfc822;someone@y\r\n", n,
			 n % 3 ? "250 ok\r\n" : "550 no\r\n");
	mail(&talk, "354 go\r\n");
	ask(&talk, "QUIT\r\n", "221 bye\r\n");
	assert_int_equal(end(&talk), 0);
	assert_int_equal(talk.told, 1);
}

static void test_greylisting(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	for (unsigned int n = 0; n < 300; n++) { /* a queue that is delivered on one connection */
		ask(&talk, "MAIL FROM:<list@x> SIZE=1000\r\n", "250 ok\r\n");
		ask_with(&talk, "RCPT TO:<%@y>\r\n", n, "450 4.2.0 greylisted\r\n");
		mail(&talk, "503 no recipients\r\n");
		ask(&talk, "RSET\r\n", "250 ok\r\n");
	}
	assert_int_equal(end(&talk), 0);
}

static void test_keepalive(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	for (unsigned int n = 0; n < 100000; n++) /* every ten seconds for eleven days */
		ask(&talk, n % 2 ? "NOOP\r\n" : "noop\r\n", "250 ok\r\n");
	for (unsigned int n = 0; n < 100000; n++)
		ask(&talk, "NOOP keep the connection\r\n", "250 ok\r\n");
	assert_true(end(&talk) < 64);
}

/* A token of Kerberos or OAuth has several KB; an expired one is sent, then a new one. */
static void test_tokens(void **state)
{
	char token[5000];
	struct talk talk;

	(void)state;
	memset(token, 'a', sizeof(token));
	memcpy(token + sizeof(token) - 3, "\r\n", 3);
	greet(&talk);
	ask(&talk, "AUTH GSSAPI\r\n", "334 \r\n");
	ask(&talk, token, "334 YGA\r\n");
	ask(&talk, "YGA=\r\n", "334 YGA\r\n");
	ask(&talk, "YGA=\r\n", "235 ok\r\n");
	assert_int_equal(end(&talk), 0);
	greet(&talk);
	for (unsigned int n = 0; n < 2; n++) {
		client(&talk, "AUTH XOAUTH2 ");
		ask(&talk, token, n ? "235 ok\r\n" : "334 eyJz\r\n");
		if (!n)
			ask(&talk, "\r\n", "535 expired\r\n");
	}
	assert_int_equal(end(&talk), 0);
	greet(&talk); /* passwords that are wrong */
	for (unsigned int n = 0; n < 5; n++)
		ask(&talk, "AUTH PLAIN AGFueXVzZXIAYW55cGFzc3dvcmQ=\r\n", "535 no\r\n");
	assert_int_equal(end(&talk), 0);
}

/* Postfix tells a content filter where each mail came from. */
static void test_content_filter(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	for (unsigned int n = 0; n < 200; n++) {
		ask_with(&talk, "XFORWARD NAME=% ADDR=192.0.2.1 PORT=25 PROTO=ESMTP\r\n", n,
			 "250 ok\r\n");
		ask(&talk, "XFORWARD HELO=client.example IDENT=ABCDEF SOURCE=REMOTE\r\n",
		    "250 ok\r\n");
		ask(&talk, "MAIL FROM:<a@x>\r\n", "250 ok\r\n");
		ask(&talk, "RCPT TO:<b@y>\r\n", "250 ok\r\n");
		mail(&talk, "354 go\r\n");
	}
	assert_int_equal(talk.told, 200);
	assert_int_equal(end(&talk), 0);
}

/* HELO again after a refused EHLO, EHLO before each mail, a name that is not repeated exactly. */
static void test_greetings(void **state)
{
	struct talk talk;

	(void)state;
	begin(&talk, true);
	server(&talk, "220 mx\r\n");
	ask(&talk, "EHLO me.example\r\n", "500 what\r\n");
	ask(&talk, "HELO me.example\r\n", "250 mx\r\n");
	for (unsigned int n = 0; n < 1000; n++)
		ask(&talk, "HELO me.example\r\n", "250 mx\r\n");
	assert_int_equal(end(&talk), 0);
}

/* A chunk of a refused mail belongs to that mail: clients that pipeline send it anyway. */
static void test_refused_chunk(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	client(&talk, "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 20200 LAST\r\n");
	for (unsigned int n = 0; n < CHUNKS; n++) {
		client(&talk, data(n));
		client(&talk, "\r\n");
	}
	server(&talk, "250 ok\r\n550 no\r\n503 no recipients\r\n");
	ask(&talk, "QUIT\r\n", "221 bye\r\n");
	assert_int_equal(talk.told, 1);
	assert_int_equal(end(&talk), 0);
}

/* A gap hid the DATA of a message: its text is not taken for commands. */
static void test_text_after_a_gap(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	ask(&talk, "MAIL FROM:<a@x>\r\n", "250 ok\r\n");
	client(&talk, "RCPT TO:<b@y>\r\n");
	smtp_client_gap(talk.session, 6, talk.time_ns);
	server(&talk, "250 ok\r\n");
	server(&talk, "354 go\r\n");
	for (unsigned int n = 0; n < CHUNKS; n++) {
		client(&talk, data(n));
		client(&talk, "\r\n");
	}
	ask(&talk, ".\r\n", "250 queued\r\n");
	ask(&talk, "QUIT\r\n", "221 bye\r\n");
	assert_int_equal(end(&talk), 0);
}

/* The watch began in a message whose text has words of SMTP. */
static void test_mid_stream(void **state)
{
	struct talk talk;

	(void)state;
	begin(&talk, true);
	smtp_session_mid_stream(talk.session);
	client(&talk, "HELP me, please\r\nMAIL FROM:<a@x>\r\n");
	for (unsigned int n = 0; n < CHUNKS; n++) {
		client(&talk, data(n));
		client(&talk, "\r\n");
	}
	ask(&talk, ".\r\n", "250 queued\r\n");
	assert_int_equal(end(&talk), 0);
}

/* Credentials for a proxy are long, and are not for the mail server. */
static void test_proxy(void **state)
{
	char token[5000];
	struct talk talk;

	(void)state;
	memset(token, 'a', sizeof(token));
	memcpy(token + sizeof(token) - 3, "\r\n", 3);
	begin(&talk, true);
	client(&talk, "CONNECT mx:25 HTTP/1.1\r\nProxy-Authorization: Negotiate ");
	client(&talk, token);
	ask(&talk, "\r\n", "HTTP/1.1 200 ok\r\n\r\n");
	server(&talk, "220 mx ESMTP\r\n");
	ask(&talk, "EHLO me.example\r\n", "250 mx\r\n");
	ask(&talk, "QUIT\r\n", "221 bye\r\n");
	assert_int_equal(end(&talk), 0);
}

/* ---- Other protocols that greet with 220 ----------------------------------------------------- */

struct exchange {
	const char *asked, *answered;
};

static const struct exchange
	vsftpd[] =
		{
			{"", "220 (vsFTPd 3.0.3)\r\n"},
			{"USER anonymous\r\n", "331 Please specify the password.\r\n"},
			{"PASS me@example\r\n", "230 Login successful.\r\n"},
			{"SYST\r\n", "215 UNIX Type: L8\r\n"},
			{"FEAT\r\n", "211-Features:\r\n EPRT\r\n EPSV\r\n211 End\r\n"},
			{"NOOP\r\n", "200 NOOP ok.\r\n"},
			{"HELP\r\n",
			 "214-The following commands are recognized.\r\n ABOR\r\n214 Help OK.\r\n"},
			{"EPSV\r\n", "229 Entering Extended Passive Mode (|||40000|)\r\n"},
			{"STOR a file\r\n", "150 Ok to send data.\r\n226 Transfer complete.\r\n"},
			{"QUIT\r\n", "221 Goodbye.\r\n"},
			{NULL, NULL},
},
	vsftpd_refused[] =
		{
			{"", "220 (vsFTPd 3.0.3)\r\n"},
			{"USER root\r\n", "530 Permission denied.\r\n"},
			{"QUIT\r\n", "221 Goodbye.\r\n"},
			{NULL, NULL},
},
	ftp_help[] =
		{
			{"", "220 ready\r\n"},
			{"HELP\r\n", "214 Help OK.\r\n"},
			{"NOOP\r\n", "530 Please login with USER and PASS.\r\n"},
			{"QUIT\r\n", "221 Goodbye.\r\n"},
			{NULL, NULL},
},
	ftps[] =
		{
			{"", "220 ready\r\n"},
			{"AUTH TLS\r\n", "234 AUTH TLS successful\r\n"},
			{NULL, NULL},
},
	dict[] =
		{
			{"", "220 dict.example dictd 1.12 <auth.mime> <1.1@x>\r\n"},
			{"CLIENT a client\r\n", "250 ok\r\n"},
			{"DEFINE * word\r\n", "552 no match\r\n"},
			{"QUIT\r\n", "221 bye\r\n"},
			{NULL, NULL},
},
	snpp[] = {
		{"", "220 SNPP Gateway Ready\r\n"},
		{"PAGE 5551212\r\n", "250 Pager ID Accepted\r\n"},
		{"MESS a message\r\n", "250 Message OK\r\n"},
		{"SEND\r\n", "250 Message Sent Successfully\r\n"},
		{"QUIT\r\n", "221 OK, Goodbye\r\n"},
		{NULL, NULL},
};

static void exchange(struct talk *talk, const struct exchange *exchanges)
{
	begin(talk, true);
	for (; exchanges->asked; exchanges++)
		ask(talk, exchanges->asked, exchanges->answered);
}

static void test_other_protocols(void **state)
{
	const struct exchange *all[] = {vsftpd, vsftpd_refused, ftp_help, ftps, dict, snpp};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct talk talk;
		bool speaks;

		exchange(&talk, all[i]);
		end_as(&talk, &speaks);
		assert_false(speaks);
	}
}

/* An FTP client that sends long names all day. */
static void test_long_ftp(void **state)
{
	struct talk talk;
	bool speaks;

	(void)state;
	exchange(&talk, vsftpd);
	for (unsigned int n = 0; n < CHUNKS; n++)
		ask_with(&talk, "XSHA256 %\r\n", n, "250 ok\r\n");
	end_as(&talk, &speaks);
	assert_false(speaks);
}

/* Words of FTP do not hide a command that only SMTP has. */
static void test_disguised(void **state)
{
	struct talk talk;

	(void)state;
	exchange(&talk, vsftpd);
	for (unsigned int n = 0; n < CHUNKS; n++)
		ask_with(&talk, "VRFY %\r\n", n, "250 ok\r\n");
	assert_true(end(&talk) >= SECRET);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verification),
		cmocka_unit_test(test_mailing_list),
		cmocka_unit_test(test_greylisting),
		cmocka_unit_test(test_keepalive),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_content_filter),
		cmocka_unit_test(test_greetings),
		cmocka_unit_test(test_refused_chunk),
		cmocka_unit_test(test_text_after_a_gap),
		cmocka_unit_test(test_mid_stream),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_other_protocols),
		cmocka_unit_test(test_long_ftp),
		cmocka_unit_test(test_disguised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
