/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* AUTH exchanges that are malformed, lie about their lengths, or are too long. */
#include "auth_exchanges.h"

#define AUTH_LINE_MAX 12288 /* RFC 4954, section 4 */
#define FUZZ_ROUNDS   100000

/* ---- Hostile input --------------------------------------------------------------------------- */

/* Each byte of the line is changed to each other value. */
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

/* Each byte of the response is changed to each other value: no secret becomes a user name. */
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

/* A UTF-16 character that does not fit whole is left out, with everything behind it. */
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

/* The last exchange, whose name is in OEM bytes, with another length and offset in one field. */
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
	expect_field(USER, 8, 0x81, ""); /* behind the end */
	expect_field(USER, 1, 0x88, "");
	expect_field(USER, 0xffff, 70, "");
	expect_field(USER, 3, 0xffffffff, "");
	expect_field(USER, 0xffff, 0xffffffff, "");
	expect_field(LM, 8, 66, ""); /* the secret overlaps the name */
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
	expect_utf16(BYTES("t\0i\0m"), "");		 /* half a code unit */
	expect_utf16(BYTES("t\0\0\0m\0"), "");		 /* a NUL */
	expect_utf16(BYTES("\x3d\xd8"), "\xef\xbf\xbd"); /* half a surrogate pair */
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

/* Bytes that have a meaning in some mechanism. */
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
		cmocka_unit_test(test_flipped_line), cmocka_unit_test(test_flipped_response),
		cmocka_unit_test(test_bounds),	     cmocka_unit_test(test_bounds_utf16),
		cmocka_unit_test(test_longest),	     cmocka_unit_test(test_ntlm_lies),
		cmocka_unit_test(test_ntlm_utf16),   cmocka_unit_test(test_ntlm_header),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
