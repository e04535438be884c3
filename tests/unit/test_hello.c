/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hellos of a TLS handshake: real ones, cut at every byte, split over records, and hostile. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "flow/hello.h"
#include "tls_hellos.h"

#define UNTOUCHED 0xeeeeU

/* What a client's bytes say: the server name, "-" if there is none, or NULL if it is no hello. */
static const char *name_in(struct span bytes)
{
	static struct client_hello hello;
	struct span copy = exact(bytes);
	bool found;

	memcpy(hello.server_name, "untouched", sizeof("untouched"));
	found = hello_client(copy, &hello);
	exact_free(copy);
	if (!found)
		assert_string_equal(hello.server_name, "untouched");
	if (!found)
		return NULL;
	return hello.server_name[0] ? hello.server_name : "-";
}

/* Likewise of a server's: "1.3 TLS_AES_256_GCM_SHA384". */
static const char *said_in(struct span bytes)
{
	static char said[100];
	char cipher[HELLO_CIPHER_MAX];
	struct server_hello hello = {.version = UNTOUCHED, .cipher = UNTOUCHED};
	struct span copy = exact(bytes);
	bool found = hello_server(copy, &hello);
	const char *version = hello_version(hello.version);

	exact_free(copy);
	if (!found) {
		assert_int_equal(hello.version, UNTOUCHED);
		assert_int_equal(hello.cipher, UNTOUCHED);
		return NULL;
	}
	hello_cipher(cipher, hello.cipher);
	snprintf(said, sizeof(said), "%s %s", version ? version : "?", cipher);
	return said;
}

/* The same handshake bytes in records of `size` bytes. Free the result with exact_free(). */
static struct span split(struct span bytes, size_t size)
{
	size_t left = bytes.len - 5, at = 0;
	char *out = malloc(left * 6 + 1);

	assert_non_null(out);
	for (const char *from = bytes.data + 5; left;) {
		size_t len = size < left ? size : left;

		memcpy(out + at, (char[]){22, 3, 3, (char)(len >> 8), (char)len}, 5);
		memcpy(out + at + 5, from, len);
		at += 5 + len;
		from += len;
		left -= len;
	}
	return (struct span){out, at};
}

static const struct {
	struct span bytes;
	const char *expected;
} clients[] = {
	{OPENSSL_13_CLIENT, "mx.example.org"},
	{OPENSSL_12_CLIENT, "smtp.example.net"},
	{OPENSSL_10_CLIENT, "-"},
	{GNUTLS_13_CLIENT, "relay.example.com"},
	{GNUTLS_12_CLIENT, "relay.example.com"},
};

static const struct {
	struct span bytes;
	const char *expected;
} servers[] = {
	{OPENSSL_13_SERVER, "1.3 TLS_AES_256_GCM_SHA384"},
	{OPENSSL_RETRY_SERVER, "1.3 TLS_AES_256_GCM_SHA384"},
	{OPENSSL_12_SERVER, "1.2 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
	{OPENSSL_10_SERVER, "1.0 TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"},
	{GNUTLS_13_SERVER, "1.3 TLS_AES_256_GCM_SHA384"},
	{GNUTLS_12_SERVER, "1.2 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
};

/* A name is there as a whole or not at all; once it is there, more bytes do not change it. */
static void test_clients(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		bool complete = false;

		assert_string_equal(name_in(clients[i].bytes), clients[i].expected);
		for (size_t len = 0; len < clients[i].bytes.len; len++) {
			const char *name = name_in(span_part(clients[i].bytes, 0, len));

			if (len <= 43)
				assert_null(name);
			else if (strcmp(name, "-") != 0)
				complete = true;
			if (complete)
				assert_string_equal(name, clients[i].expected);
		}
		assert_int_equal(complete, strcmp(clients[i].expected, "-") != 0);
		assert_null(said_in(clients[i].bytes));
	}
}

static void test_servers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
		size_t first = 44U + (uint8_t)servers[i].bytes.data[43] + 2U;

		assert_string_equal(said_in(servers[i].bytes), servers[i].expected);
		for (size_t len = 0; len < servers[i].bytes.len; len++) {
			const char *said = said_in(span_part(servers[i].bytes, 0, len));

			if (len < first)
				assert_null(said);
			else
				assert_string_equal(said, servers[i].expected);
		}
		assert_null(name_in(servers[i].bytes));
	}
}

static void test_split(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 32, 100};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct span client = split(OPENSSL_13_CLIENT, sizes[i]),
			    server = split(OPENSSL_13_SERVER, sizes[i]);

		assert_string_equal(name_in(client), "mx.example.org");
		assert_string_equal(said_in(server), "1.3 TLS_AES_256_GCM_SHA384");
		exact_free(client);
		exact_free(server);
	}
}

/* Concatenates; free with exact_free(). */
static struct span behind(struct span a, struct span b)
{
	char *both = malloc(a.len + b.len);

	assert_non_null(both);
	memcpy(both, a.data, a.len);
	memcpy(both + a.len, b.data, b.len);
	return (struct span){both, a.len + b.len};
}

/* A warning, an empty record, a HelloRequest or another message in front; application data is not.
 */
static void test_behind_others(void **state)
{
	static const struct {
		struct span front;
		bool read;
	} fronts[] = {
		{BYTES("\x15\x03\x03\x00\x02\x01\x70"), true},
		{BYTES("\x16\x03\x03\x00\x00"), true},
		{BYTES("\x14\x03\x03\x00\x01\x01"), true},
		{BYTES("\x16\x03\x03\x00\x04\x00\x00\x00\x00"), true},
		{BYTES("\x16\x03\x03\x00\x07\x0b\x00\x00\x03\x01\x02\x03"), true},
		{BYTES("\x17\x03\x03\x00\x02\x01\x70"), false},
		{BYTES("\x16\x04\x03\x00\x00"), false},
		{BYTES("220 go ahead\r\n"), false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(fronts) / sizeof(fronts[0]); i++) {
		struct span server = behind(fronts[i].front, OPENSSL_12_SERVER),
			    client = behind(fronts[i].front, GNUTLS_12_CLIENT);

		if (fronts[i].read) {
			assert_string_equal(said_in(server), servers[2].expected);
			assert_string_equal(name_in(client), "relay.example.com");
		} else {
			assert_null(said_in(server));
			assert_null(name_in(client));
		}
		exact_free(server);
		exact_free(client);
	}
}

/* Every byte replaced by values that make lengths too long or too short. Nothing is read behind. */
static void test_any_byte_wrong(void **state)
{
	static const uint8_t values[] = {0, 1, 2, 0x7f, 0x80, 0xfe, 0xff};

	(void)state;
	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		for (size_t at = 0; at < clients[i].bytes.len * sizeof(values); at++) {
			struct span copy = exact(clients[i].bytes);
			const char *name;

			((char *)copy.data)[at / sizeof(values)] =
				(char)values[at % sizeof(values)];
			name = name_in(copy);
			for (; name && *name; name++)
				assert_true(*name > ' ' && *name <= '~');
			exact_free(copy);
		}
	}
	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
		for (size_t at = 0; at < servers[i].bytes.len * sizeof(values); at++) {
			struct span copy = exact(servers[i].bytes);

			((char *)copy.data)[at / sizeof(values)] =
				(char)values[at % sizeof(values)];
			said_in(copy);
			exact_free(copy);
		}
	}
}

/* A ClientHello with one extension, of type 0: `list` is its content. */
static const char *named(struct span list)
{
	static const char fixed[] = "\x03\x03"
				    "0123456789abcdef0123456789abcdef"
				    "\x00\x00\x02\x13\x01\x01\x00";
	size_t hello = sizeof(fixed) - 1 + 6 + list.len;
	char bytes[2000];
	size_t at = 0;

	memcpy(bytes,
	       (char[]){22, 3, 1, (char)((hello + 4) >> 8), (char)(hello + 4), 1, 0,
			(char)(hello >> 8), (char)hello},
	       9);
	at = 9;
	memcpy(bytes + at, fixed, sizeof(fixed) - 1);
	at += sizeof(fixed) - 1;
	memcpy(bytes + at,
	       (char[]){(char)((list.len + 4) >> 8), (char)(list.len + 4), 0, 0,
			(char)(list.len >> 8), (char)list.len},
	       6);
	memcpy(bytes + at + 6, list.data, list.len);
	return name_in((struct span){bytes, at + 6 + list.len});
}

static void test_names(void **state)
{
	char list[400] = {1, 3, 0, 1, 0};

	(void)state;
	assert_string_equal(named(BYTES("\0\4\0\0\1a")), "a");
	assert_string_equal(named(BYTES("\0\x0a\7\0\3xyz\0\0\1a")), "a");
	assert_string_equal(named(BYTES("\0\x08\0\0\1a\0\0\1b")), "a");
	assert_string_equal(named(BYTES("\0\x0d\0\0\x0axn--a_b.de")), "xn--a_b.de");
	/* empty; cut by its list; a blank; a NUL; an escape sequence; a byte above ASCII */
	assert_string_equal(named(BYTES("\0\3\0\0\0")), "-");
	assert_string_equal(named(BYTES("")), "-");
	assert_string_equal(named(BYTES("\0\4\0\0\2ab")), "-");
	assert_string_equal(named(BYTES("\0\6\0\0\3a b")), "-");
	assert_string_equal(named(BYTES("\0\6\0\0\3a\0b")), "-");
	assert_string_equal(named(BYTES("\0\6\0\0\3\x1b[m")), "-");
	assert_string_equal(named(BYTES("\0\5\0\0\2\xc3\xa4")), "-");
	memset(list + 5, 'n', 256);
	memcpy(list, "\1\3\0\1\0", 5);
	assert_string_equal(named((struct span){list, 5 + 256}), "-");
	memcpy(list, "\1\2\0\0\xff", 5);
	assert_int_equal(strlen(named((struct span){list, 5 + 255})), HELLO_NAME_MAX);
}

static void test_words(void **state)
{
	char name[HELLO_CIPHER_MAX];

	(void)state;
	assert_string_equal(hello_version(0x0300), "3.0");
	assert_string_equal(hello_protocol(0x0300), "ssl");
	assert_string_equal(hello_version(0x0302), "1.1");
	assert_string_equal(hello_protocol(0x0304), "tls");
	assert_null(hello_version(0x7f1c));
	hello_cipher(name, 0xfafa);
	assert_string_equal(name, "0xfafa");
	hello_cipher(name, 0xcca8);
	assert_string_equal(name, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256");
	for (uint32_t id = 0; id <= UINT16_MAX; id++) {
		hello_cipher(name, (uint16_t)id);
		assert_true(strlen(name) < HELLO_CIPHER_MAX - 1 &&
			    (strncmp(name, "TLS_", 4) == 0 || strlen(name) == 6));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clients),	       cmocka_unit_test(test_servers),
		cmocka_unit_test(test_split),	       cmocka_unit_test(test_behind_others),
		cmocka_unit_test(test_any_byte_wrong), cmocka_unit_test(test_names),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
