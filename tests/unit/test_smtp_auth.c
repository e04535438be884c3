/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The user that an AUTH exchange names; and that the redacted line has nothing of its secret. */
#include "auth_exchanges.h"

/* ---- What is found --------------------------------------------------------------------------- */

static void test_users(void **state)
{
	(void)state;
	for (size_t i = 0; i < EXCHANGES; i++)
		expect_user_of(exchanges[i].mechanism, exchanges[i].step, exchanges[i].response,
			       exchanges[i].user);
}

/* The examples of the RFCs. */
static void test_examples(void **state)
{
	(void)state;
	expect_user("PLAIN", 0, BYTES("dGVzdAB0ZXN0ADEyMzQ="), "test");
	expect_user("CRAM-MD5", 0, BYTES("dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"),
		    "tim");
	expect_user("SCRAM-SHA-1", 0, BYTES("biwsbj11c2VyLHI9ZnlrbytkMmxiYkZnT05Sdjlxa3hkYXdM"),
		    "user");
	expect_user("OAUTHBEARER", 0,
		    BYTES("bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9NTg3"
			  "AWF1dGg9"
			  "QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2c9PQEB"),
		    "user@example.com");
}

static void test_no_users(void **state)
{
	(void)state;
	EXPECT("PLAIN", "", "");
	EXPECT("PLAIN", "\0\0password", "");
	EXPECT("PLAIN", "user\0password", "");
	EXPECT("PLAIN", "password", "");
	EXPECT("LOGIN", "\0user\0password", "");
	EXPECT("CRAM-MD5", "user password", "");
	EXPECT("CRAM-MD5", " b913a602c7eda7a495b4e6e7334d3890", "");
	EXPECT("CRAM-MD5", "user-b913a602c7eda7a495b4e6e7334d3890", "");
	EXPECT("CRAM-MD5", "b913a602c7eda7a495b4e6e7334d3890", "");
	EXPECT("XOAUTH2",
	       "user=\x01"
	       "auth=Bearer x\x01\x01",
	       "");
	EXPECT("XOAUTH2", "auth=Bearer x\x01\x01", "");
	EXPECT("XOAUTH2", "auth=Bearer x\x01user=tim", "");
	EXPECT("OAUTHBEARER",
	       "n,,\x01"
	       "auth=Bearer x\x01\x01",
	       "");
	EXPECT("OAUTHBEARER", "n,tim,\x01", "");
	EXPECT("OAUTHBEARER", "n,a=,\x01", "");
	EXPECT("OAUTHBEARER", "n,a=t=2,\x01", "");
	EXPECT("OAUTHBEARER", "n,a=t=2Em,\x01", "");
	EXPECT("OAUTHBEARER", "user,a=tim,\x01", "");
	EXPECT("OAUTHBEARER", "\x01", "");
	EXPECT("SCRAM-SHA-1", "n,,n=,r=nonce", "");
	EXPECT("SCRAM-SHA-1", "n,,m=x,n=tim,r=nonce", "");
	EXPECT("SCRAM-SHA-1", "n,,n=tim", "");
	EXPECT("SCRAM-SHA-1", "c=biws,r=nonce,p=proof", "");
	EXPECT("DIGEST-MD5", "username=\"\"", "");
	EXPECT("DIGEST-MD5", "username=\"tim", "");
	EXPECT("DIGEST-MD5", "username=\"tim\\\"", "");
	EXPECT("DIGEST-MD5", "realm=\",username=\"tim\"", "");
	EXPECT("NTLM", "NTLMSSP\0\x01\0\0\0\x07\x82\x08\xa2", "");
	EXPECT("EXTERNAL", "", "");
}

static void test_masked(void **state)
{
	static const char *unknown[] = {"GSSAPI", "ANONYMOUS", "",	  "PLAI",
					"PLAINS", "SCRAM",     "NTLMSSP", "*"};
	struct span line = base64(BYTES("\0tim\0tanstaaf!"));

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		expect_user(unknown[i], 0, line, "");
		expect_masked(unknown[i], 0, line);
	}
	expect_masked("PLAIN", 1, line);
	expect_masked("LOGIN", 1, BYTES("dGFuc3RhYWYh"));
	expect_masked("LOGIN", UINT32_MAX, BYTES("dGFuc3RhYWYh"));
	expect_masked("SCRAM-SHA-256", 1,
		      BYTES("biwsbj11c2VyLHI9ZnlrbytkMmxiYkZnT05Sdjlxa3hkYXdM"));
	expect_masked("OAUTHBEARER", 1, BYTES("AQ=="));
	expect_masked("NTLM", 0, BYTES("TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAA="));
	exact_free(line);
}

static void test_tokens(void **state)
{
	static const char *mechanisms[] = {"PLAIN", "LOGIN", "EXTERNAL", "NTLM", "GSSAPI", ""};

	(void)state;
	for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++) {
		for (uint32_t step = 0; step < 3; step++) {
			char empty = '=', cancel = '*';

			expect_user(mechanisms[i], step, BYTES("="), "");
			expect_user(mechanisms[i], step, BYTES("*"), "");
			smtp_auth_redact(span_of(mechanisms[i]), step, &empty, 1);
			smtp_auth_redact(span_of(mechanisms[i]), step, &cancel, 1);
			smtp_auth_redact(span_of(mechanisms[i]), step, NULL, 0);
			assert_int_equal(empty, '=');
			assert_int_equal(cancel, '*');
		}
	}
}

static void test_base64(void **state)
{
	static const char *bad[] = {"==",     "===",   "dGlt=",	    "dGlt==",	"dGltd===",
				    "dGltd=", "dGl=t", "dGlt dGlt", "dGlt ",	" dGlt",
				    "dGl-",   "dGl_",  "dGltdG==a", "dGltdGk=="};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		expect_user("LOGIN", 0, span_of(bad[i]), "");
		expect_masked("LOGIN", 0, span_of(bad[i]));
	}
	expect_masked("LOGIN", 0, BYTES("dG\0lt"));
	expect_user("LOGIN", 0, BYTES("dGltbQ=="), "timm");
	expect_user("LOGIN", 0, BYTES("dGltbQ="), "timm");
	expect_user("LOGIN", 0, BYTES("dGltbQ"), "timm");
	expect_user("LOGIN", 0, BYTES("dGltb"), "tim");
	expect_user("LOGIN", 0, BYTES("dGltbW0"), "timmm");
	expect_user("LOGIN", 0, BYTES("++//"), "\xfb\xef\xff");
}

/* ---- What is kept ---------------------------------------------------------------------------- */

static void test_redacted(void **state)
{
	(void)state;
	for (size_t i = 0; i < EXCHANGES; i++) {
		struct span line = base64(exchanges[i].response), redacted;

		redacted = redact(exchanges[i].mechanism, exchanges[i].step, line);
		expect_user(exchanges[i].mechanism, exchanges[i].step, redacted, exchanges[i].user);
		expect_no_secret(&exchanges[i], redacted);
		exact_free(redacted);
		exact_free(line);
	}
}

static void test_redacted_plain(void **state)
{
	struct span line = base64(BYTES("admin\0tim\0tanstaaf!")),
		    redacted = redact("PLAIN", 0, line);
	struct span wanted = base64(BYTES("admin\0tim\0*********"));

	(void)state;
	assert_true(span_equal(redacted, wanted));
	exact_free(wanted);
	exact_free(redacted);
	exact_free(line);
}

/* The last digit of a cut line has bits of the secret too. */
static void test_redacted_bits(void **state)
{
	struct span redacted = redact("PLAIN", 0, BYTES("AHQAf"));

	(void)state;
	assert_true(span_equal(redacted, BYTES("AHQAA")));
	exact_free(redacted);
	redacted = redact("PLAIN", 0, BYTES("AHQAf/"));
	assert_true(span_equal(redacted, BYTES("AHQAKg")));
	exact_free(redacted);
}

/* A cut line gives no name or the whole name; with LOGIN and EXTERNAL, the part before the cut. */
static void test_truncated(void **state)
{
	(void)state;
	for (size_t i = 0; i < EXCHANGES; i++) {
		const struct exchange *exchange = &exchanges[i];
		bool whole = exchange->mechanism[0] == 'L' || exchange->mechanism[0] == 'E';
		struct span line = base64(exchange->response);
		size_t found = 0;

		for (size_t len = 0; len <= line.len; len++) {
			struct span cut = exact((struct span){line.data, len}), redacted;
			char user[SMTP_WORD_MAX];
			size_t user_len = smtp_auth_user(span_of(exchange->mechanism),
							 exchange->step, cut, user, sizeof(user));

			assert_memory_equal(user, exchange->user, user_len);
			assert_true(user_len >= found);
			assert_true(whole || !user_len || user_len == strlen(exchange->user));
			found = user_len;
			redacted = redact(exchange->mechanism, exchange->step, cut);
			expect_no_secret(exchange, redacted);
			exact_free(redacted);
			exact_free(cut);
		}
		assert_int_equal(found, strlen(exchange->user));
		exact_free(line);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_users),	      cmocka_unit_test(test_examples),
		cmocka_unit_test(test_no_users),      cmocka_unit_test(test_masked),
		cmocka_unit_test(test_tokens),	      cmocka_unit_test(test_base64),
		cmocka_unit_test(test_redacted),      cmocka_unit_test(test_redacted_plain),
		cmocka_unit_test(test_redacted_bits), cmocka_unit_test(test_truncated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
