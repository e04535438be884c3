/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `privacy` shows of an address alone, and of text: the cases of one module. */
#include <locale.h>
#include <time.h>

#include "privacy_samples.h"

#include "policy/privacy_parameters.h"
#include "policy/privacy_text.h"

/* ---- One address ----------------------------------------------------------------------------- */

static void expect_address(const char *address, const char *expected)
{
	struct span bytes = exact(span_of(address));
	struct text out = {0};

	privacy_address(&out, &told_domains, bytes);
	assert_false(out.failed);
	if (!span_equal(taken(&out), span_of(expected)))
		fail_msg("%s: %s, not %s", address, out.data ? out.data : "", expected);
	text_free(&out);
	exact_free(bytes);
}

static void test_domains(void **state)
{
	(void)state;
	expect_address("", "");
	expect_address("<>", "");
	expect_address("postmaster", "@");
	expect_address("bob@corp.example", "@corp.example");
	expect_address(" <bob@Corp.Example.> ", "@Corp.Example");
	expect_address("@relay.example,@b:bob@corp.example", "@corp.example");
	expect_address("bob@", "@");
	expect_address("\"bob@home\"@corp.example", "@corp.example");
	expect_address("\"bob@home\"", "@");
	expect_address("\"bob@home", "@");
	expect_address("bob@home \"bob", "@");
	expect_address("x(bob@home)", "@");
	expect_address("x@corp.example(bob@home)", "@corp.example");
	expect_address("bob\\@home", "@");
	expect_address("bob@corp!bob", "@corp");
	expect_address("a@b@corp.example", "@corp.example");
	expect_address("bob@[192.0.2.1]", "@[192.0.2.1]");
	expect_address("bob@[IPv6:2001:db8::1]", "@[IPv6:2001:db8::1]");
	expect_address("b\xc3\xb6\x62@m\xc3\xbcller.example", "@m\xc3\xbcller.example");
	expect_address("bob@corp\xff.example", "@corp");
	expect_address("bob@corp.example bob", "@corp.example");
	expect_address("\x01\x7f@\x02", "@");
}

static void test_hashes(void **state)
{
	static const char *const same[] = {"BOB@Corp.Example", "<bob@corp.example>",
					   " bob@corp.example. ", "@a,@b:bob@corp.example"};
	struct privacy another = {.addresses = PRIVACY_HASH, .key = "another"};
	struct teller other = {.privacy = &another};
	char hash[64], second[64];
	struct text out = {0};

	(void)state;
	/* by Python's hmac, with the key filled up with zeros */
	hash_of("bob@corp.example", hash);
	assert_string_equal(hash, "hmac-sha256:eacf8d747119ee7d04769b6d2cc44026");
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		hash_of(same[i], second);
		assert_string_equal(hash, second);
	}
	hash_of("ann@corp.example", second);
	assert_string_not_equal(hash, second);
	for (size_t i = 0; i < 200; i++)
		text_add_string(&out, i % 2 ? "bob" : "BOB");
	text_add_string(&out, "@corp.example");
	hash_of(out.data, second);
	assert_string_equal(second, "hmac-sha256:b81f8dc673ef6e56404c3665225c6c3b");
	text_clear(&out);
	privacy_address(&out, &other, span_of("bob@corp.example"));
	assert_string_not_equal(hash, out.data);
	teller_end(&other);
	text_clear(&out);
	privacy_address(&out, &told_hashes, span_of(""));
	assert_int_equal(out.len, 0);
	privacy_name(&out, &told_domains, span_of("bob"));
	assert_int_equal(out.len, 0);
	privacy_name(&out, &told_hashes, span_of("bob"));
	assert_int_equal(out.len, 44);
	text_free(&out);
}

/* ---- Text ------------------------------------------------------------------------------------ */

static void expect_text(unsigned int kind, const char *text, const char *expected)
{
	struct span bytes = exact(span_of(text));
	struct text out = {0};

	privacy_text(&out, &told_domains, bytes, kind, SIZE_MAX);
	assert_false(out.failed);
	if (!span_equal(taken(&out), span_of(expected)))
		fail_msg("%s: %s, not %s", text, out.data ? out.data : "", expected);
	text_free(&out);
	exact_free(bytes);
}

static void test_text(void **state)
{
	static const char *const pairs[][2] = {
		{"", ""},
		{"2.1.5 Ok", "2.1.5 Ok"},
		{"2.1.5 bob@corp.example Ok", "2.1.5 @corp.example Ok"},
		{"<bob@corp.example>: no such user bob@corp.example.",
		 "<@corp.example>: no such user @corp.example."},
		{"<bob smith@corp.example>", "<@corp.example>"},
		{"<@a,@b:bob@corp.example>", "<@corp.example>"},
		{"bob@corp.example: unknown", "@corp.example: unknown"},
		{"(bob@x,ann@y;tom@z)", "(@z)"},
		{"\"bob smith\"@corp.example", "@corp.example"},
		{"\"bob@home\"@corp.example x", "@corp.example x"},
		{"\"a\\\"b@c\"@corp.example", "@"},
		{"\"bob\".\"smith\"@corp.example", "@corp.example"},
		{"\\\"@ bob@x \"@corp.example", "@"},
		{"x=b\"bob y&z=\"@corp.example", "@corp.example"},
		{"bob(x y)@corp.example", "@corp.example"},
		{"{\"to\":\"bob@x\",\"n\":1}", "{@x}"},
		{"bob@[192.0.2.1] bob@[bob", "@[192.0.2.1] @"},
		{"o'brien@corp.example", "@corp.example"},
		{"'bob@corp.example'", "'@corp.example'"},
		{"bounce+bob=corp.example@list.example", "@list.example"},
		{"list-bob=corp.example@list.example", "@list.example"},
		{"prvs=0123=bob@corp.example", "@corp.example"},
		{"x=bob@corp.example", "@corp.example"},
		{"to=bob.smith@corp.example", "@corp.example"},
		{"?a=1&to=bob@corp.example&cc=ann@y", "@y"},
		{"a|b@corp.example", "@corp.example"},
		{"a@b@corp.example/x", "@corp.example"},
		{"@corp.example and @ and @@", "@corp.example @ and @"},
		{"bob@", "@"},
		{"bob\\@home", "@"},
		{"\"bob@home", "@"},
		{"b\xc3\xb6\x62@m\xc3\xbcller.example\xff", "@"},
		{"bob%40corp.example bob+40x", "@corp.example @x"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		expect_text(PRIVACY_TEXT, pairs[i][0], pairs[i][1]);
	expect_text(PRIVACY_CUT, "queued for bo", "queued for ");
	expect_text(PRIVACY_CUT, "queued for bob@cor", "queued for ");
	expect_text(PRIVACY_CUT, "no <x> for <bob smith", "no <x> for ");
	expect_text(PRIVACY_CUT, "no \"bob <smith", "no ");
	expect_text(PRIVACY_CUT, "no <bob \"x\" smith", "no ");
	expect_text(PRIVACY_CUT, "a@b: no \"bob smith\"", "@b: no ");
	expect_text(PRIVACY_CUT, "a@b: no \"bob smith\".\"x", "@b: no ");
	expect_text(PRIVACY_CUT, "no <x> for bob(x y)", "no <x> for ");
}

static void test_arguments(void **state)
{
	static const char *const pairs[][2] = {
		{"--to=bob.smith@corp.example", "@corp.example"},
		{"-fbob@corp.example", "@corp.example"},
		{"a@b,c@d", "@d"},
		{"--to='bob@x'", "@x"},
		{"--to=bounce+bob=corp.example@list", "@list"},
		{"Bob <bob@corp.example>", "Bob <@corp.example>"},
		{"smtp://bob%40corp.example:pw@mx.example", "@mx.example"},
		{"mailto:bob@corp.example?cc=ann@y", "@y"},
		{"bob+40corp.example", "@corp.example"},
		{"bob+2Bx+40corp.example", "@corp.example"},
		{"+4915112345678", "+4915112345678"},
		{"+40722123456", "+40722123456"},
		{"bob+40@corp.example", "@corp.example"},
		{"@file", "@file"},
		{"/var/vmail/bob@corp.example/new", "/var/vmail/@corp.example/new"},
		{"--box=/var/vmail/bob@corp.example", "@corp.example"},
		{"/srv/node_modules/@scope/tool@1.2.3/x.js",
		 "/srv/node_modules/@scope/tool@1.2.3/x.js"},
		{"/home/\"bob x/y\"@corp.example", "@corp.example"},
		{"/C=DE/S=Bob/@gw.example", "@gw.example"},
		{"MAILTO=bob.smith@corp.example", "@corp.example"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		expect_text(PRIVACY_ARGUMENT, pairs[i][0], pairs[i][1]);
	expect_text(PRIVACY_PATH, "/home/bob@10.0.0.1/x", "/home/@10.0.0.1/x");
	expect_text(PRIVACY_PATH, "/srv/bob@corp.example", "/srv/@corp.example");
}

/* Whatever is around an address in a text, its local part is hidden. */
static void test_local_parts(void **state)
{
	static const char *const texts[] = {
		/* blanks of all kinds around it, and within it */
		"a\tbob@x.y\r\nbob@x.y", "\"bob bob\"@x.y", "\"bob\r\n\tbob\"@x.y", "bob\\ bob@x.y",
		"bob\\ bob\\\tbob@x.y", "<bob bob@x.y>", "<bob <bob@x.y>", "<bob bob@x.y",
		"<bob @x.y>", "bob @x.y", "bob @ x.y", "\"bob\" @x.y", "bob(a b)@x.y",
		"bob(a(b c)d e)@x.y", "bob(a b\\))@x.y", "bob(a b\\()@x.y", "\"a(bob\" c)@x.y",
		"<a\"bob> bob\"@x.y", "\"bob bob\" @x.y", "<a@bob bob@x.y>", "<a@x.y bob>",
		"\\<a@x.y bob>", "<a@x.y bob <bob>",
		/* quotes that count, or do not */
		"\\\"bob bob\\\"@x.y", "\"bob\\\" bob\"@x.y", "\"bob\\\\\" bob\"@x.y",
		"\"bob bob\\\"bob\"@x.y", "\"bob\".\"bob bob\"@x.y", "\"bob bob\".bob@x.y",
		"\"\"bob bob\"@x.y\"", "[\"\\\"bob bob\\\"@x.y\"]", "\"@ bob \"@x.y",
		"\"bob@bob bob\"@x.y", "\"bob@bob\" bob\"@x.y",
		"\"a\" \"bob bob\"@x.y \"bob bob\"@x.y", "\"bob@bob", "'\"bob@bob'",
		/* in one word with other things */
		"--to=bob@x.y", "-fbob@x.y", "-fbob=bob@x.y", "--bob=bob@x.y",
		"{\"to\":\"bob@x.y\"}", "bob+bob@x.y", "bob%bob@x.y", "bob@bob@x.y", "x!bob@x.y",
		"bob@x.y!bob", "bob@bob!x.y@y", "https://bob:bob@x.y/",
		"https://bob@x.y:25/?to=bob@x.y", "mailto:bob@x.y,bob@x.y", "<bob@x.y>",
		"bob@x.y.pdf", "bob@1.service", "git@x.y:bob@x.y",
		"X.bob@x.y:", "\001bob@x.y\177bob@x.y", "bob\302\240bob@x.y", "bob@\xff", "bob@\"",
		"bob@", "@bob@x.y", "(bob@x.y)",
		/* encoded */
		"bob%40x.y", "bob%40", "bob%2540x.y", "bob+40x.y", "bob=40x.y",
		"%22bob%20bob%22%40x.y", "https://x.y/?id=bob%40x.y&ip=1",
		"=?utf-8?Q?bob=40x.y?=", "bob%40%78.y", "a@x.y%40bob"};
	static struct teller *const tellers[] = {&told_domains, &told_hashes};
	static const unsigned int kinds[] = {PRIVACY_TEXT, PRIVACY_ARGUMENT, PRIVACY_PATH,
					     PRIVACY_CUT};

	(void)state;
	for (size_t i = 0; i < 8 * sizeof(texts) / sizeof(texts[0]); i++) {
		struct span bytes = exact(span_of(texts[i / 8]));
		struct text out = {0};

		privacy_text(&out, tellers[i % 2], bytes, kinds[i / 2 % 4], SIZE_MAX);
		assert_false(out.failed);
		if (out.len && memmem(out.data, out.len, "bob", 3))
			fail_msg("%s: %s", texts[i / 8], out.data);
		text_free(&out);
		exact_free(bytes);
	}
}

/* What has an '@', or seems to have one, and is not an address; and the words beside an address. */
static void test_no_address(void **state)
{
	static const char *const pairs[][2] = {
		{"@file", "@file"},
		{"see @anna for it", "see @anna for it"},
		{"call +40722123456", "call +40722123456"},
		{"--timeout=40 --width=4000.5px", "--timeout=40 --width=4000.5px"},
		{"100% of 40", "100% of 40"},
		{"say \"hello there\" to bob@x", "say \"hello there\" to @x"},
		{"(see there) and <this> for bob@x", "(see there) and <this> for @x"},
		{"a\\ b bob@x", "a\\ b @x"},
		{"\"Bob\" <bob@x>, \"Ann\" <ann@y>", "\"Bob\" <@x>, \"Ann\" <@y>"},
		{"550 5.1.1 <bob@corp.example>... User unknown",
		 "550 5.1.1 <@corp.example>... User unknown"},
	};
	static const char *const paths[][2] = {
		{"/srv/@scope/tool@1.2.3/x.js", "/srv/@scope/tool@1.2.3/x.js"},
		{"/x/.pnpm/@babel+core@7.0.0_a@18.2.0/x", "/x/.pnpm/@babel+core@7.0.0_a@18.2.0/x"},
		{"/home/ann bob@x.y z/new", "/home/@/new"},
		{"/home/bob@x.y@1.2.3/new", "/home/@1.2.3/new"},
		{"/home/bob%40x.y/new", "/home/@x.y/new"},
		{"/home/<bob@1.2.3>/new", "/home/<@1.2.3>/new"},
		{"/home/<bob@1.2.3/bob>/new", "/home/<@1.2.3>/new"},
		{"/home/bob\\/tool@1.2.3/new", "/home/@/new"},
		{"/home/\"ann bob/z\"@x.y/new", "/home/@x.y/new"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		expect_text(PRIVACY_TEXT, pairs[i][0], pairs[i][1]);
		expect_text(PRIVACY_ARGUMENT, pairs[i][0], pairs[i][1]);
	}
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		expect_text(PRIVACY_PATH, paths[i][0], paths[i][1]);
}

static void expect_parameters(const char *parameters, const char *expected)
{
	struct text out = {0};

	privacy_parameters(&out, &told_domains, span_of(parameters));
	if (!span_equal(taken(&out), span_of(expected)))
		fail_msg("%s: %s, not %s", parameters, out.data ? out.data : "", expected);
	text_free(&out);
}

static void test_parameters(void **state)
{
	(void)state;
	expect_parameters("", "");
	expect_parameters("SIZE=100  BODY=8BITMIME", "SIZE=100  BODY=8BITMIME");
	expect_parameters("AUTH=<> SIZE=1", "AUTH=<> SIZE=1");
	expect_parameters("AUTH=bob SIZE=1", "AUTH=@ SIZE=1");
	expect_parameters("auth=bob+2Bx+40corp.example", "auth=@corp.example");
	expect_parameters("ORCPT=rfc822;\"bob+20smith\"+40corp.example RET=HDRS",
			  "ORCPT=rfc822;@corp.example RET=HDRS");
	expect_parameters("AUTH=\"bob smith\"@x Y=\"bob smith\"@x AUTH=bob", "AUTH=@x @x AUTH=@");
	expect_parameters("ORCPT=utf-8;bob\\x{40}x", "ORCPT=utf-8;@");
	expect_parameters("ENVID=bob+40corp.example X=bob@y", "@corp.example @y");
}

/* A text is cut between characters, and a hash is whole or not there. */
static void test_limit(void **state)
{
	static const char text[] = "\xc3\xb6 bob@x ann@y";

	(void)state;
	for (size_t limit = 0; limit < 110; limit++) {
		struct text out = {0};

		privacy_text(&out, &told_hashes, span_of(text), PRIVACY_TEXT, limit);
		assert_true(out.len <= limit);
		assert_int_equal(out.len, limit < 2    ? 0
					  : limit < 3  ? 2
					  : limit < 47 ? 3
					  : limit < 48 ? 47
					  : limit < 92 ? 48
						       : 92);
		text_free(&out);
	}
}

/*
 * No run of bytes makes it slow: 4 MiB of each in some 0.1 s, where a quadratic one would take
 * hours.
 */
static void test_linear(void **state)
{
	static const char *const runs[] = {"@",	   "a@",  "\"",	   "\"@",   "\\\"", "<",    "<@",
					   "(",	   "()@", "a=",	   "a=@",   "'",    "a.\"", "%40a",
					   "a+40", "/",	  "a@b@c", "\".\"", "a&",   "=",    "<a@b>",
					   "a",	   ")",	  ")@",	   "\")@",  "a=b&", "./"};
	const size_t size = 4U << 20;
	char *bytes = malloc(size);
	struct timespec before, after;

	(void)state;
	assert_non_null(bytes);
	for (size_t run = 0; run < sizeof(runs) / sizeof(runs[0]); run++) {
		struct text out = {0};

		for (size_t i = 0; i < size; i++)
			bytes[i] = runs[run][i % strlen(runs[run])];
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
		privacy_text(&out, &told_domains, (struct span){bytes, size}, PRIVACY_ARGUMENT,
			     SIZE_MAX);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
		if (after.tv_sec - before.tv_sec > 2)
			fail_msg("%s takes %ld s", runs[run], (long)(after.tv_sec - before.tv_sec));
		assert_false(out.failed);
		text_free(&out);
	}
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_domains),	    cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_text),	    cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_local_parts), cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_parameters),  cmocka_unit_test(test_limit),
		cmocka_unit_test(test_linear),
	};

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, end_telling);
}
