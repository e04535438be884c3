/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Over 600 lines: one case for each mechanism of AUTH, with its messages. */
/* Which user an AUTH exchange names, and that nothing of its secret is left in what is redacted. */
#include "unit.h"

#include <openssl/evp.h>

#include "smtp/auth.h"
#include "smtp/smtp.h"

#define AUTH_LINE_MAX 12288 /* RFC 4954, section 4 */
#define WINDOW	      3	    /* bytes of a secret that must not be left anywhere */
#define FUZZ_ROUNDS   100000

/* One response in which a user is named. */
struct exchange {
	const char *mechanism;
	uint32_t step;
	struct span response; /* before base64 */
	const char *user;
	const char *secrets[4];
};

/*
 * What MS-NLMP calls AUTHENTICATE_MESSAGE. Its fields: LM and NT responses, domain, user,
 * workstation, key.
 */
#define NTLM_HEADER(user_len, flags)                                                               \
	"NTLMSSP\0\x03\0\0\0"                                                                      \
	"\x08\0\x08\0\x70\0\0\0"                                                                   \
	"\x08\0\x08\0\x78\0\0\0"                                                                   \
	"\x06\0\x06\0\x40\0\0\0" user_len "\0" user_len "\0\x46\0\0\0"                             \
	"\0\0\0\0\x70\0\0\0"                                                                       \
	"\x08\0\x08\0\x80\0\0\0" flags "\0\0\0"
#define NTLM_SECRETS                                                                               \
	"LManswer"                                                                                 \
	"NT#reply"                                                                                 \
	"S3ss10nK"
#define NTLM_FILL_32 "01234567890123456789012345678901"
/* J, o with diaeresis, euro sign, U+1F600 */
#define NTLM_UTF16_NAME	  "j\0\xf6\0\xac\x20\x3d\xd8\x00\xde"
#define NTLM_UTF16_SECOND "01234567890123456789012345678901"

static const struct exchange exchanges[] = {
	{"PLAIN", 0, BYTES("\0tim\0tanstaaf!"), "tim", {"tanstaaf!"}},
	{"plain",
	 0,
	 BYTES("admin\0tim@example.com\0 =,\x01pass"),
	 "tim@example.com",
	 {" =,\x01pass"}},
	{"PLAIN", 0, BYTES("\0tim\0"), "tim", {NULL}},
	{"LOGIN", 0, BYTES("tim@example.com"), "tim@example.com", {NULL}},
	{"EXTERNAL", 0, BYTES("tim"), "tim", {NULL}},
	{"CRAM-MD5",
	 0,
	 BYTES("tim b913a602c7eda7a495b4e6e7334d3890"),
	 "tim",
	 {"b913a602c7eda7a495b4e6e7334d3890"}},
	{"Cram-Md5",
	 0,
	 BYTES("tim von older b913a602c7eda7a495b4e6e7334d3890"),
	 "tim von older",
	 {"b913a602c7eda7a495b4e6e7334d3890"}},
	{"XOAUTH2",
	 0,
	 BYTES("user=tim@example.com\x01"
	       "auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01"),
	 "tim@example.com",
	 {"ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"}},
	{"xoauth2", 0, BYTES("auth=Bearer T0kenT0ken\x01user=tim\x01\x01"), "tim", {"T0kenT0ken"}},
	{"OAUTHBEARER",
	 0,
	 BYTES("n,a=tim=2Cthe=3delder,\x01host=mail\x01"
	       "auth=Bearer vF9dft4qmTc2Nvb3Rlcg==\x01\x01"),
	 "tim,the=elder",
	 {"vF9dft4qmTc2Nvb3Rlcg=="}},
	{"SCRAM-SHA-1",
	 0,
	 BYTES("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"),
	 "user",
	 {"fyko+d2lbbFgONRv9qkxdawL"}},
	{"scram-sha-256-plus",
	 0,
	 BYTES("p=tls-exporter,a=admin,n=t=3Dm=2c,r=fyko+d2lbbFgONRv9qkxdawL"),
	 "t=m,",
	 {"fyko+d2lbbFgONRv9qkxdawL"}},
	{"DIGEST-MD5",
	 0,
	 BYTES("charset=utf-8,username=\"chris\",realm=\"elwood\",nonce=\"OA6MG9tEQGm2hh\","
	       "cnonce=\"OA6MHXh6VqTrRk\",response=d388dad90d4bbd760a152321f2143af7,qop=auth"),
	 "chris",
	 {"d388dad90d4bbd760a152321f2143af7", "MG9tEQGm2hh", "MHXh6VqTrRk"}},
	{"DIGEST-MD5",
	 0,
	 BYTES("response=d388dad90d4bbd76,realm=\"a\\\",username=\\\"no\", "
	       "\tUserName=\"c\\\"h\\\\r,s\""),
	 "c\"h\\r,s",
	 {"d388dad90d4bbd76"}},
	{"NTLM",
	 1,
	 BYTES(NTLM_HEADER("\x0a", "\x01") "domain" NTLM_UTF16_NAME NTLM_FILL_32 NTLM_SECRETS),
	 "j\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80",
	 {"LManswer", "NT#reply", "S3ss10nK"}},
	{"ntlm",
	 0,
	 BYTES(NTLM_HEADER("\x0a", "\x02") "DOMAINtim the el" NTLM_UTF16_SECOND NTLM_SECRETS),
	 "tim the el",
	 {"LManswer", "NT#reply", "S3ss10nK"}},
};

#define EXCHANGES (sizeof(exchanges) / sizeof(exchanges[0]))

/* ---- Helpers --------------------------------------------------------------------------------- */

/* The caller frees `data`. */
static struct span base64(struct span bytes)
{
	unsigned char *line = malloc(bytes.len / 3 * 4 + 5);
	struct span copy;

	assert_non_null(line);
	copy.len = (size_t)EVP_EncodeBlock(line, (const unsigned char *)bytes.data, (int)bytes.len);
	copy.data = (const char *)line;
	copy = exact(copy);
	free(line);
	return copy;
}

/*
 * By another decoder than that which is tested, and with 'A' for what is missing. The caller frees
 * `data`.
 */
static struct span decode(struct span line)
{
	size_t size = (line.len + 3) / 4 * 4;
	unsigned char *padded = malloc(size + 1), *bytes = malloc(size + 1);
	int len;

	assert_non_null(padded);
	assert_non_null(bytes);
	memset(padded, 'A', size);
	for (size_t i = 0; i < line.len; i++)
		padded[i] = line.data[i] == '=' ? 'A' : (unsigned char)line.data[i];
	len = EVP_DecodeBlock(bytes, padded, (int)size);
	free(padded);
	assert_true(len >= 0);
	return (struct span){(const char *)bytes, (size_t)len};
}

static void expect_user(const char *mechanism, uint32_t step, struct span line,
			const char *expected)
{
	char *user = malloc(SMTP_WORD_MAX);
	size_t len = smtp_auth_user(span_of(mechanism), step, line, user, SMTP_WORD_MAX);

	assert_int_equal(len, strlen(expected));
	assert_memory_equal(user, expected, len);
	free(user);
}

/* Of a response before base64. */
static void expect_user_of(const char *mechanism, uint32_t step, struct span response,
			   const char *expected)
{
	struct span line = base64(response);

	expect_user(mechanism, step, line, expected);
	exact_free(line);
}

#define EXPECT(mechanism, response, expected)                                                      \
	expect_user_of(mechanism, 0, BYTES(response), expected)

static bool all_masked(struct span line)
{
	for (size_t i = 0; i < line.len; i++) {
		if (line.data[i] != '*')
			return false;
	}
	return true;
}

static void expect_no_secret(const struct exchange *exchange, struct span line)
{
	struct span bytes;

	if (all_masked(line))
		return;
	bytes = decode(line);
	for (size_t s = 0; s < 4 && exchange->secrets[s]; s++) {
		const char *secret = exchange->secrets[s];

		for (size_t i = 0; i + WINDOW <= strlen(secret); i++)
			assert_null(memmem(bytes.data, bytes.len, secret + i, WINDOW));
	}
	exact_free(bytes);
}

/*
 * Holds for every response: what is redacted names the same user, is base64 as long as before or
 * masked throughout, and is not changed by being redacted again. Gives the redacted line; the
 * caller frees `data`.
 */
static struct span redact(const char *mechanism, uint32_t step, struct span line)
{
	struct span once = exact(line), twice;
	char before[SMTP_WORD_MAX], after[SMTP_WORD_MAX];
	size_t len = smtp_auth_user(span_of(mechanism), step, line, before, sizeof(before));
	bool token = line.len == 1 && (line.data[0] == '=' || line.data[0] == '*');

	smtp_auth_redact(span_of(mechanism), step, (char *)once.data, once.len);
	assert_int_equal(smtp_auth_user(span_of(mechanism), step, once, after, sizeof(after)), len);
	assert_memory_equal(before, after, len);
	assert_int_equal(len == 0, token || all_masked(once));
	if (len) {
		struct span bytes = decode(once);

		for (size_t i = 0; i < line.len; i++)
			assert_int_equal(line.data[i] == '=', once.data[i] == '=');
		exact_free(bytes);
	}
	twice = exact(once);
	smtp_auth_redact(span_of(mechanism), step, (char *)twice.data, twice.len);
	assert_true(span_equal(once, twice));
	exact_free(twice);
	return once;
}

static void expect_masked(const char *mechanism, uint32_t step, struct span line)
{
	struct span copy = exact(line), redacted = redact(mechanism, step, copy);

	assert_true(all_masked(redacted));
	exact_free(redacted);
	exact_free(copy);
}

/* Redacts and forgets, for a response of which only the invariants are of interest. */
static void expect_invariants(const struct exchange *exchange, struct span line)
{
	struct span redacted = redact(exchange->mechanism, exchange->step, line);

	exact_free(redacted);
}

/* ---- What is found --------------------------------------------------------------------------- */

static void test_users(void **state)
{
	(void)state;
	for (size_t i = 0; i < EXCHANGES; i++)
		expect_user_of(exchanges[i].mechanism, exchanges[i].step, exchanges[i].response,
			       exchanges[i].user);
}

/* As the RFCs print them. */
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

/* The bits of a cut digit are a part of the secret too. */
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

/*
 * Cut anywhere: none of the name or, once it is found, all of it; LOGIN and EXTERNAL: what is
 * there.
 */
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

/* ---- Hostile input --------------------------------------------------------------------------- */

/* Every byte of the line changed into every other one. */
static void test_flipped_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < EXCHANGES; i++) {
		struct span line = base64(exchanges[i].response);

		for (size_t at = 0; at < line.len; at++) {
			for (unsigned int flip = 1; flip < 256; flip++) {
				((char *)line.data)[at] ^= (char)flip;
				expect_invariants(&exchanges[i], line);
				((char *)line.data)[at] ^= (char)flip;
			}
		}
		exact_free(line);
	}
}

/* Every byte of the response changed into every other one: that makes no secret a name. */
static void test_flipped_response(void **state)
{
	(void)state;
	for (size_t i = 0; i < EXCHANGES; i++) {
		struct span response = exact(exchanges[i].response);

		for (size_t at = 0; at < response.len; at++) {
			for (unsigned int flip = 1; flip < 256; flip++) {
				struct span line, redacted;

				((char *)response.data)[at] ^= (char)flip;
				line = base64(response);
				redacted = redact(exchanges[i].mechanism, exchanges[i].step, line);
				expect_no_secret(&exchanges[i], redacted);
				exact_free(redacted);
				exact_free(line);
				((char *)response.data)[at] ^= (char)flip;
			}
		}
		exact_free(response);
	}
}

static void test_bounds(void **state)
{
	static const size_t maxima[] = {0, 1, 2, 3, 5, 7, 9, 10, SMTP_WORD_MAX};

	(void)state;
	for (size_t i = 0; i < EXCHANGES; i++) {
		struct span line = base64(exchanges[i].response);

		for (size_t m = 0; m < sizeof(maxima) / sizeof(maxima[0]); m++) {
			char *user = malloc(maxima[m] ? maxima[m] : 1);
			size_t len = smtp_auth_user(span_of(exchanges[i].mechanism),
						    exchanges[i].step, line, user, maxima[m]);

			assert_true(len <= maxima[m] && len <= strlen(exchanges[i].user));
			assert_true(len == 0 || memcmp(user, exchanges[i].user, len) == 0);
			assert_int_equal(len == 0, maxima[m] == 0);
			free(user);
		}
		exact_free(line);
	}
}

/* A character of UTF-16 that does not fit whole is left out, and so is what follows it. */
static void test_bounds_utf16(void **state)
{
	static const size_t fits[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
	const struct exchange *exchange = &exchanges[EXCHANGES - 2];
	struct span line = base64(exchange->response);
	char user[10];

	(void)state;
	for (size_t max = 0; max <= sizeof(user); max++)
		assert_int_equal(smtp_auth_user(span_of("NTLM"), 1, line, user, max), fits[max]);
	exact_free(line);
}

static void test_longest(void **state)
{
	char *line = malloc(AUTH_LINE_MAX + 1), user[SMTP_WORD_MAX];
	struct span redacted;

	(void)state;
	assert_non_null(line);
	memset(line, 'Y', AUTH_LINE_MAX + 1);
	assert_int_equal(smtp_auth_user(BYTES("LOGIN"), 0, (struct span){line, AUTH_LINE_MAX}, user,
					sizeof(user)),
			 sizeof(user));
	redacted = redact("LOGIN", 0, (struct span){line, AUTH_LINE_MAX});
	assert_memory_equal(redacted.data, line, AUTH_LINE_MAX);
	exact_free(redacted);
	expect_user("LOGIN", 0, (struct span){line, AUTH_LINE_MAX + 1}, "");
	expect_masked("LOGIN", 0, (struct span){line, AUTH_LINE_MAX + 1});

	memcpy(line, "AHRpbQBw", 8); /* \0tim\0p */
	redacted = redact("PLAIN", 0, (struct span){line, AUTH_LINE_MAX});
	expect_user("PLAIN", 0, redacted, "tim");
	assert_memory_equal(redacted.data + AUTH_LINE_MAX - 4, "Kioq", 4); /* "***" */
	exact_free(redacted);
	expect_masked("PLAIN", 0, (struct span){line, AUTH_LINE_MAX + 1});
	free(line);
}

/* ---- NTLM ------------------------------------------------------------------------------------ */

enum { LM = 12, NT = 20, DOMAIN = 28, USER = 36, KEY = 52, FLAGS = 60 };

static void put(char *message, size_t at, uint32_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		message[at + i] = (char)(value >> 8 * i);
}

/* The last exchange, its name in OEM bytes, with one field that says something else. */
static void expect_field(size_t field, uint32_t len, uint32_t offset, const char *expected)
{
	const struct exchange *exchange = &exchanges[EXCHANGES - 1];
	struct span message = exact(exchange->response), line;

	put((char *)message.data, field, len, 2);
	put((char *)message.data, field + 4, offset, 4);
	line = base64(message);
	expect_user("NTLM", 1, line, expected);
	if (*expected)
		expect_invariants(exchange, line);
	else
		expect_masked("NTLM", 1, line);
	exact_free(line);
	exact_free(message);
}

static void test_ntlm_lies(void **state)
{
	(void)state;
	expect_field(USER, 3, 70, "tim");
	expect_field(USER, 0, 70, "");
	expect_field(USER, 3, 63, ""); /* in the header */
	expect_field(USER, 3, 0, "");
	expect_field(USER, 3, 64, "DOM");
	expect_field(USER, 8, 0x70, ""); /* a secret */
	expect_field(USER, 8, 0x78, "");
	expect_field(USER, 8, 0x80, "");
	expect_field(USER, 43, 70, "");
	expect_field(USER, 1, 0x6f, "1");
	expect_field(USER, 8, 0x81, ""); /* beyond the end */
	expect_field(USER, 1, 0x88, "");
	expect_field(USER, 0xffff, 70, "");
	expect_field(USER, 3, 0xffffffff, "");
	expect_field(USER, 0xffff, 0xffffffff, "");
	expect_field(LM, 8, 66, ""); /* a secret in the name */
	expect_field(LM, 7, 63, "");
	expect_field(NT, 1, 79, "");
	expect_field(NT, 6, 64, "tim the el");
	expect_field(NT, 0xffff, 0xffffffff, "tim the el");
	expect_field(KEY, 1, 70, "");
	expect_field(KEY, 0, 75, "tim the el");
	expect_field(DOMAIN, 12, 52, ""); /* the header of NTLM's first version: no flags */
}

static void expect_utf16(struct span name, const char *expected)
{
	const struct exchange *exchange = &exchanges[EXCHANGES - 2];
	struct span message = exact(exchange->response), line;

	put((char *)message.data, USER, (uint32_t)name.len, 2);
	memcpy((char *)message.data + 70, name.data, name.len);
	line = base64(message);
	expect_user("NTLM", 1, line, expected);
	expect_invariants(exchange, line);
	exact_free(line);
	exact_free(message);
}

static void test_ntlm_utf16(void **state)
{
	(void)state;
	expect_utf16(BYTES("t\0i\0m\0"), "tim");
	expect_utf16(BYTES("t\0i\0m"), "");		 /* half a unit */
	expect_utf16(BYTES("t\0\0\0m\0"), "");		 /* a NUL */
	expect_utf16(BYTES("\x3d\xd8"), "\xef\xbf\xbd"); /* half a pair */
	expect_utf16(BYTES("\x3d\xd8t\0"), "\xef\xbf\xbdt");
	expect_utf16(BYTES("\x00\xdet\0"), "\xef\xbf\xbdt");
	expect_utf16(BYTES("\x3d\xd8\x3d\xd8\x00\xde"), "\xef\xbf\xbd\xf0\x9f\x98\x80");
	expect_utf16(BYTES("\x7f\0\x80\0\xff\x07\x00\x08\xff\xff"),
		     "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf");
	expect_utf16(BYTES("\x00\xd8\x00\xdc\xff\xdb\xff\xdf"), "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
}

static void test_ntlm_header(void **state)
{
	const struct exchange *exchange = &exchanges[EXCHANGES - 1];

	(void)state;
	for (size_t at = 0; at < 12; at++) {
		struct span message = exact(exchange->response), line;

		((char *)message.data)[at] ^= 0x40;
		line = base64(message);
		expect_masked("NTLM", 1, line);
		exact_free(line);
		exact_free(message);
	}
}

/* ---- Random bytes ---------------------------------------------------------------------------- */

/* The same numbers in every run. */
static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005U + 1442695040888963407U;
	return (uint32_t)(*seed >> 33);
}

/* Bytes that mean something to one mechanism or another. */
static char random_byte(uint64_t *seed)
{
	static const char special[] = "\0\x01,=\"\\ *nauser2Cf";
	uint32_t number = next_random(seed);

	return number % 3 ? special[number / 3 % (sizeof(special) - 1)] : (char)(number >> 8);
}

static void fuzz_once(uint64_t *seed)
{
	const struct exchange *exchange = &exchanges[next_random(seed) % EXCHANGES];
	size_t len = exchange->response.len, changes = next_random(seed) % 8;
	struct span bytes, line, cut;

	bytes = exact((struct span){exchange->response.data,
				    next_random(seed) % 2 ? len : next_random(seed) % len});
	if (next_random(seed) % 8 == 0)
		changes = bytes.len;
	for (size_t i = 0; i < changes && bytes.len; i++)
		((char *)bytes.data)[next_random(seed) % bytes.len] = random_byte(seed);
	line = base64(bytes);
	cut = exact((struct span){line.data, line.len - next_random(seed) %
								(line.len < 4 ? line.len + 1 : 4)});
	expect_invariants(exchange, cut);
	expect_invariants(exchange, bytes);
	exact_free(cut);
	exact_free(line);
	exact_free(bytes);
}

static void test_random(void **state)
{
	uint64_t seed = 4954;

	(void)state;
	for (size_t i = 0; i < FUZZ_ROUNDS; i++)
		fuzz_once(&seed);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_users),	      cmocka_unit_test(test_examples),
		cmocka_unit_test(test_no_users),      cmocka_unit_test(test_masked),
		cmocka_unit_test(test_tokens),	      cmocka_unit_test(test_base64),
		cmocka_unit_test(test_redacted),      cmocka_unit_test(test_redacted_plain),
		cmocka_unit_test(test_redacted_bits), cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped_line),  cmocka_unit_test(test_flipped_response),
		cmocka_unit_test(test_bounds),	      cmocka_unit_test(test_bounds_utf16),
		cmocka_unit_test(test_longest),	      cmocka_unit_test(test_ntlm_lies),
		cmocka_unit_test(test_ntlm_utf16),    cmocka_unit_test(test_ntlm_header),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
