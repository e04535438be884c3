/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* AUTH exchanges with their users and secrets, and what must hold for every one of them. */
#ifndef SMTPSNOOP_TESTS_AUTH_EXCHANGES_H
#define SMTPSNOOP_TESTS_AUTH_EXCHANGES_H

#include "unit.h"

#include <openssl/evp.h>

#include "smtp/auth.h"
#include "smtp/smtp.h"

#define WINDOW 3 /* no run of so many bytes of a secret may remain */

/* One response that names a user. */
struct exchange {
	const char *mechanism;
	uint32_t step;
	struct span response; /* before base64 */
	const char *user;
	const char *secrets[4];
};

/*
 * An AUTHENTICATE_MESSAGE of MS-NLMP. Its fields: LM and NT responses, domain, user, workstation,
 * key.
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
static inline struct span base64(struct span bytes)
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
 * Decodes independently of the code under test; 'A' replaces missing digits. The caller frees
 * `data`.
 */
static inline struct span decode(struct span line)
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

static inline void expect_user(const char *mechanism, uint32_t step, struct span line,
			       const char *expected)
{
	char *user = malloc(SMTP_WORD_MAX);
	size_t len = smtp_auth_user(span_of(mechanism), step, line, user, SMTP_WORD_MAX);

	assert_int_equal(len, strlen(expected));
	assert_memory_equal(user, expected, len);
	free(user);
}

/* The same for a response that is not yet base64. */
static inline void expect_user_of(const char *mechanism, uint32_t step, struct span response,
				  const char *expected)
{
	struct span line = base64(response);

	expect_user(mechanism, step, line, expected);
	exact_free(line);
}

#define EXPECT(mechanism, response, expected)                                                      \
	expect_user_of(mechanism, 0, BYTES(response), expected)

static inline bool all_masked(struct span line)
{
	for (size_t i = 0; i < line.len; i++) {
		if (line.data[i] != '*')
			return false;
	}
	return true;
}

static inline void expect_no_secret(const struct exchange *exchange, struct span line)
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
 * What must hold for every response: the redacted line names the same user; it is masked
 * throughout, or it is base64 of the same length; redacting it again changes nothing. Returns the
 * redacted line; the caller frees `data`.
 */
static inline struct span redact(const char *mechanism, uint32_t step, struct span line)
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

static inline void expect_masked(const char *mechanism, uint32_t step, struct span line)
{
	struct span copy = exact(line), redacted = redact(mechanism, step, copy);

	assert_true(all_masked(redacted));
	exact_free(redacted);
	exact_free(copy);
}

/* For a response where only the invariants matter. */
static inline void expect_invariants(const struct exchange *exchange, struct span line)
{
	struct span redacted = redact(exchange->mechanism, exchange->step, line);

	exact_free(redacted);
}

#endif
