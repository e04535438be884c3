/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One command line: its verb, its address, and whether a server may read another address from it.
 */
#include "unit.h"

#include "smtp/smtp.h"
#include "smtp/command.h"

/* The command of a line, and its address as a transaction keeps it. All memory has exact size. */
static struct smtp_command parse(struct span line, char *address, size_t size)
{
	struct span copy = exact(line);
	struct smtp_command command = smtp_command_parse(copy);
	struct span kept = exact(command.argument);
	size_t len = smtp_command_address(&command, (char *)kept.data);

	assert_true(len < size && len <= command.argument.len);
	memcpy(address, kept.data, len);
	address[len] = '\0';
	exact_free(kept);
	exact_free(copy);
	return command;
}

struct form {
	const char *line, *address;
};

static void expect(const struct form *form, bool odd)
{
	char address[1024];
	struct smtp_command command = parse(span_of(form->line), address, sizeof(address));
	bool mail = strstr(form->line, "FROM:");

	if (command.verb != (mail ? SMTP_VERB_MAIL : SMTP_VERB_RCPT) ||
	    strcmp(address, form->address) != 0 || command.odd_address != odd)
		fail_msg("%s: verb %d, address %s%s", form->line, command.verb, address,
			 command.odd_address ? ", odd" : "");
}

/* Lines that every server reads in the same way. */
static void test_plain(void **state)
{
	static const struct form forms[] = {
		{"MAIL FROM:<a@x.test>", "a@x.test"},
		{"MAIL FROM: <a@x.test>", "a@x.test"},
		{"MAIL FROM:\t<a@x.test>", "a@x.test"},
		{"MAIL FROM:<>", ""},
		{"MAIL FROM:<> AUTH=<>", ""},
		{"MAIL FROM:<a@x> AUTH=<> SIZE=10 BODY=8BITMIME SMTPUTF8", "a@x"},
		{"MAIL FROM:a@x AUTH=<>", "a@x"},
		{"MAIL FROM:a@x  SIZE=10 ", "a@x"},
		{"MAIL FROM:root", "root"},
		{"RCPT TO:<Postmaster>", "Postmaster"},
		{"RCPT TO:<b@y> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+2B@y", "b@y"},
		{"RCPT TO:b@y", "b@y"},
		{"RCPT TO:<@r,@s.test:b@y>", "b@y"},
		{"RCPT TO:<\"a b>c\"@x>", "\"a b>c\"@x"},
		{"RCPT TO:<\"a (b\\\" <c> d\"@x> NOTIFY=NEVER", "\"a (b\\\" <c> d\"@x"},
		{"RCPT TO:\"a b>c\"@x NOTIFY=NEVER", "\"a b>c\"@x"},
		{"RCPT TO:<\"\"@x>", "\"\"@x"},
		{"RCPT TO:<j\xc3\xbcrgen@m\xc3\xbcnchen.test>",
		 "j\xc3\xbcrgen@m\xc3\xbcnchen.test"},
		{"RCPT TO:<b@[192.0.2.1]>", "b@[192.0.2.1]"},
		{"RCPT TO:<b@[IPv6:2001:db8::1]>", "b@[IPv6:2001:db8::1]"},
		{"RCPT TO:<a.b+c=d/e!f%g#h..i.@x_y.test.>", "a.b+c=d/e!f%g#h..i.@x_y.test."},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		expect(&forms[i], false);
}

/* White space as Postfix defines it: everything that isspace() accepts. */
static void test_white_space(void **state)
{
	static const struct form forms[] = {
		{"MAIL\fFROM:<a@x>", "a@x"},
		{"RCPT\vTO:<b@y>", "b@y"},
		{"MAIL\rFROM:<a@x>", "a@x"},
		{" \fMAIL FROM:<a@x>", "a@x"},
		{"\v\r\f\t RCPT \v\r\f\tTO:<b@y>", "b@y"},
		{"MAIL FROM:\v<a@x>", "a@x"},
		{"RCPT TO:\f<b@y>", "b@y"},
		{"RCPT TO:\rb@y\vNOTIFY=NEVER\f", "b@y"},
	};
	struct smtp_command command;

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		expect(&forms[i], false);
	command = smtp_command_parse(BYTES("EHLO\v me.example\f"));
	assert_int_equal(command.verb, SMTP_VERB_EHLO);
	assert_true(span_equal(command.argument, BYTES("me.example")));
	assert_int_equal(smtp_command_parse(BYTES("DATA \v\f")).verb, SMTP_VERB_DATA);
	command = smtp_command_parse(BYTES("BDAT\v12\fLAST"));
	assert_true(command.verb == SMTP_VERB_BDAT && command.size == 12 && command.last);
	assert_int_equal(smtp_command_secret(BYTES("AUTH\vPLAIN\fsecret")), 11);
	assert_true(smtp_command_certain(BYTES("MAIL\fFROM:<a@x>"), false));
	assert_false(smtp_command_certain(BYTES("MAIL"), false));
	assert_int_equal(smtp_command_parse(BYTES("MAIL\0FROM:<a@x>")).verb, SMTP_VERB_NONE);
	assert_int_equal(smtp_command_parse(BYTES("MAIL FROM\v:<a@x>")).verb, SMTP_VERB_NONE);
}

/* Lines from which some server was seen to read an address that differs from the text. */
static void test_odd(void **state)
{
	static const struct form forms[] = {
		/* A display name. */
		{"RCPT TO:ok.corp <v@y>", "v@y"},
		{"MAIL FROM:boss <evil@x>", "evil@x"},
		{"MAIL FROM:boss man<evil@x> SIZE=10", "evil@x"},
		{"RCPT TO:\"ok@corp.example\" <v@y>", "v@y"},
		{"RCPT TO:\"<ok@corp.example>\" <v@y>", "v@y"},
		{"RCPT TO:ok@corp.example <v@y>", "v@y"},
		{"RCPT TO:ok AUTH=<v@y>", "v@y"},
		{"MAIL FROM:AUTH=<v@y>", "v@y"},
		{"MAIL FROM:boss FOO=<v@y>", "v@y"},
		/* Comments. */
		{"RCPT TO:(a b)v@y", "v@y"},
		{"RCPT TO:(ok@corp.example)v@y", "v@y"},
		{"RCPT TO:(a(b)c\\))  (d) v@y", "v@y"},
		{"RCPT TO:(ok@corp.example) <v@y>", "v@y"},
		{"RCPT TO:<v@y (x@corp.example>", "v@y"},
		{"RCPT TO:<v@y(@corp.example>", "v@y"},
		{"RCPT TO:v@y(@corp.example", "v@y"},
		{"RCPT TO:v@y (x) NOTIFY=NEVER", "v@y"},
		{"RCPT TO:<(a)v(b)@(c)y(d)> NOTIFY=NEVER", "v@y"},
		{"RCPT TO:<v@y> (ok@corp.example)", "v@y"},
		{"RCPT TO:<\"a(b\"(c)@y>", "\"a(b\"@y"},
		{"RCPT TO:<v@y(\"@corp.example\")>", "v@y"},
		{"RCPT TO:<@r(:ok@corp.example):v@y>", "v@y"},
		/* Brackets within brackets, or not closed. */
		{"RCPT TO:<a@corp.example <v@y>>", "v@y"},
		{"RCPT TO:<<v@y>>", "v@y"},
		{"RCPT TO:<<v@y> ok@corp.example>", "v@y"},
		{"RCPT TO:<v@y", "v@y"},
		{"RCPT TO:<v@y>x", "v@y"},
		{"RCPT TO:<v@y> <ok@corp.example>", "v@y"},
		/* Blanks inside the brackets. */
		{"RCPT TO:< v@y >", "v@y"},
		{"RCPT TO:v @ y NOTIFY=NEVER", "v@y"},
		{"RCPT TO:<v \f@\v y\r.test>", "v@y.test"},
		{"RCPT TO:<v w@y>", "v w@y"},
		{"RCPT TO:v w@y", "v w@y"},
		{"RCPT TO:v w@y NOTIFY=NEVER ", "v w@y NOTIFY=NEVER"},
		/* Not an address at all. */
		{"RCPT TO:", ""},
		{"RCPT TO:<\"v@y>", "\"v@y"},
		{"RCPT TO:\"v@y\"", "\"v@y\""},
		{"RCPT TO:<\"v@y\"> NOTIFY=NEVER", "\"v@y\""},
		{"RCPT TO:<v@y,ok@corp.example>", "v@y,ok@corp.example"},
		{"RCPT TO:g:v@y;", "v@y"},
		{"RCPT TO:<g:v@y; > NOTIFY=NEVER", "v@y"},
		{"RCPT TO:<;>", ";"},
		{"RCPT TO:<:;>", ""},
		{"RCPT TO:<@r:@s:v@y>", "v@y"},
		{"RCPT TO:<@r>", "@r"},
		{"RCPT TO:@r:v@y", "v@y"},
		{"RCPT TO:<v@>", "v@"},
		{"RCPT TO:<v\\@y@x>", "v\\@y@x"},
		{"RCPT TO:<\"a\"b@y>", "\"a\"b@y"},
		{"RCPT TO:<v@y\x01>", "v@y\x01"},
		{"RCPT TO:v@y ok@corp.example", "v@y"},
		{"RCPT TO:<v@y> =1", "v@y"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		expect(&forms[i], true);
}

/* What a session with these lines for MAIL and RCPT reports. */
struct told {
	uint32_t count;
	bool odd;
	char to[SMTP_LINE_MAX + 1];
};

static void on_transaction(void *context, struct smtp_transaction *transaction)
{
	struct told *told = context;
	struct span to = smtp_transaction_recipient(transaction, 0);

	told->count++;
	told->odd = transaction->odd_address;
	memcpy(told->to, to.data, to.len);
	told->to[to.len] = '\0';
	smtp_transaction_free(transaction);
}

static struct told tell(struct span mail, struct span rcpt)
{
	struct told told = {0};
	struct smtp_session *session = smtp_session_new(false, on_transaction, &told);

	smtp_client_data(session, BYTES("EHLO me\r\n"), 1);
	smtp_client_data(session, mail, 1);
	smtp_client_data(session, rcpt, 1);
	smtp_client_data(session, BYTES("DATA\r\n.\r\nQUIT\r\n"), 1);
	smtp_session_close(session, 2);
	smtp_session_free(session);
	return told;
}

static void test_told(void **state)
{
	struct span mail = BYTES("MAIL FROM:<a@x>\r\n");
	struct told told = tell(mail, BYTES("RCPT TO:<b@y>\r\n"));

	(void)state;
	assert_true(told.count == 1 && !told.odd);
	assert_string_equal(told.to, "b@y");
	told = tell(mail, BYTES("RCPT TO:(ok)v@y(@corp.example\r\n"));
	assert_true(told.count == 1 && told.odd);
	assert_string_equal(told.to, "v@y");
	told = tell(BYTES("MAIL FROM:boss <a@x>\r\n"), BYTES("RCPT TO:<b@y>\r\n"));
	assert_true(told.count == 1 && told.odd);
	assert_string_equal(told.to, "b@y");
}

/* The server may read more of a line that is longer than the part kept here. */
static void test_cut(void **state)
{
	static const char blanks[] = {' ', '\r', '\f'};
	char line[SMTP_LINE_MAX + 1000];
	struct told told;

	(void)state;
	for (size_t i = 0; i < sizeof(blanks); i++) {
		memset(line, blanks[i], sizeof(line));
		memcpy(line, "RCPT TO:", 8);
		memcpy(line + sizeof(line) - 7, "<v@y>\r\n", 7);
		told = tell(BYTES("MAIL FROM:<a@x>\r\n"), (struct span){line, sizeof(line)});
		assert_true(told.count == 1 && told.odd);
		memcpy(line, "RCPT TO:<ok@corp.example>", 25);
		told = tell(BYTES("MAIL FROM:<a@x>\r\n"), (struct span){line, sizeof(line)});
		assert_true(told.count == 1 && told.odd);
		assert_string_equal(told.to, "ok@corp.example");
		memcpy(line, "MAIL FROM:<ok@corp.example>", 27);
		told = tell((struct span){line, sizeof(line)}, BYTES("RCPT TO:<b@y>\r\n"));
		assert_true(told.count == 1 && told.odd);
	}
}

/* Lines that open many brackets, quotes or comments cost time in proportion to their length. */
static void test_nothing_closed(void **state)
{
	static const char *const heads[] = {"(",  "\"",	  "<",	"\\", "\"(", "(\"",
					    "<(", "\\\"", "@ ", ". ", "<>"};
	static char line[1 << 20];

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct smtp_command command;
		struct span text = {line, sizeof(line)}, kept;
		size_t len = strlen(heads[i]);

		for (size_t at = 0; at < sizeof(line); at++)
			line[at] = heads[i][at % len];
		memcpy(line, "RCPT TO:", 8);
		command = smtp_command_parse(text);
		kept = exact(command.argument);
		assert_true(smtp_command_address(&command, (char *)kept.data) <=
			    command.argument.len);
		assert_true(command.odd_address);
		exact_free(kept);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain), cmocka_unit_test(test_white_space),
		cmocka_unit_test(test_odd),   cmocka_unit_test(test_told),
		cmocka_unit_test(test_cut),   cmocka_unit_test(test_nothing_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
