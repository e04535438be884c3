/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Probe plans for the TLS libraries of this host, checked against what the libraries do. */
#include "unit.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe/plan.h"

#define RANDOM_LEN 32

static void plan_of(void *handle, const char *function, struct plan *plan, int *fd)
{
	void *address = dlsym(handle, function);
	Dl_info info;

	assert_non_null(address);
	assert_true(dladdr(address, &info) != 0);
	*fd = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
	assert_true(*fd >= 0);
	assert_int_equal(plan_make(*fd, plan), 0);
}

static struct site site_of(const struct plan *plan, enum tls_probe probe)
{
	for (uint32_t i = 0; i < plan->site_count; i++)
		if (plan->sites[i].probe == probe)
			return plan->sites[i];
	fail_msg("no site for probe %d", probe);
	return (struct site){0};
}

/* Debian's libraries can be probed at a push, which the kernel emulates; on aarch64 none is cheap.
 */
static void check_push(int fd, const struct plan *plan, enum tls_probe probe)
{
	const struct site site = site_of(plan, probe);
	unsigned char code[2];

	assert_true(site.returns);
	assert_int_equal(pread(fd, code, sizeof(code), (off_t)site.offset), sizeof(code));
#if defined(__x86_64__)
	assert_int_equal(site.price, PRICE_CHEAP);
	assert_true((code[0] & 0xf8) == 0x50 || (code[0] == 0x41 && (code[1] & 0xf8) == 0x50));
#else
	assert_int_equal(site.price, PRICE_DEAR);
#endif
}

static char *random_in(void *object, const struct tls_layout *layout)
{
	char *at = (char *)object + layout->random, *pointed;

	if (layout->random_in == TLS_DIRECT)
		return at;
	memcpy(&pointed, at, sizeof(pointed));
	return pointed + layout->random_in;
}

static uint32_t role_in(void *object, const struct tls_layout *layout)
{
	uint32_t role;

	memcpy(&role, (char *)object + layout->role, sizeof(role));
	return role;
}

/* ---- OpenSSL --------------------------------------------------------------------------------- */

/* As declared in openssl/ssl.h, by which this program is not built. */
struct openssl {
	const void *(*method)(void);
	void *(*context)(const void *);
	void *(*object)(void *);
	size_t (*client_random)(const void *, unsigned char *, size_t);
	void (*accept)(void *);
	void (*connect)(void *);
	void (*free_object)(void *);
	void (*free_context)(void *);
};

static void *function(void *handle, const char *name)
{
	void *address = dlsym(handle, name);

	assert_non_null(address);
	return address;
}

#define FUNCTION(target, handle, name)                                                             \
	do {                                                                                       \
		void *address = function(handle, name);                                            \
		memcpy(&(target), &address, sizeof(address));                                      \
	} while (0)

static void openssl_functions(void *handle, struct openssl *openssl)
{
	FUNCTION(openssl->method, handle, "TLS_method");
	FUNCTION(openssl->context, handle, "SSL_CTX_new");
	FUNCTION(openssl->object, handle, "SSL_new");
	FUNCTION(openssl->client_random, handle, "SSL_get_client_random");
	FUNCTION(openssl->accept, handle, "SSL_set_accept_state");
	FUNCTION(openssl->connect, handle, "SSL_set_connect_state");
	FUNCTION(openssl->free_object, handle, "SSL_free");
	FUNCTION(openssl->free_context, handle, "SSL_CTX_free");
}

/* What is written to the place of the layout is what the library gives out. */
static void check_openssl_layout(const struct openssl *openssl, const struct tls_layout *layout)
{
	void *context = openssl->context(openssl->method()), *object = openssl->object(context);
	unsigned char random[RANDOM_LEN];

	assert_non_null(object);
	for (int i = 0; i < RANDOM_LEN; i++)
		random_in(object, layout)[i] = (char)(i + 1);
	assert_int_equal(openssl->client_random(object, random, sizeof(random)), RANDOM_LEN);
	assert_memory_equal(random, random_in(object, layout), RANDOM_LEN);
	openssl->accept(object);
	assert_int_equal(role_in(object, layout), layout->server);
	openssl->connect(object);
	assert_int_not_equal(role_in(object, layout), layout->server);
	openssl->free_object(object);
	openssl->free_context(context);
}

static void test_openssl(void **state)
{
	void *handle = dlopen("libssl.so.3", RTLD_LAZY);
	struct openssl openssl;
	struct plan plan;
	int fd;

	(void)state;
	if (!handle)
		handle = dlopen("libssl.so.1.1", RTLD_LAZY);
	assert_non_null(handle);
	plan_of(handle, "SSL_write", &plan, &fd);
	assert_int_equal(plan.layer, TLS_OPENSSL);
	assert_null(plan.dark);
	assert_memory_equal(plan.version, "OpenSSL ", 8);
	assert_int_equal(plan.site_count, 2);
	check_push(fd, &plan, TLS_PROBE_OPENSSL_WRITE_EX);
	check_push(fd, &plan, TLS_PROBE_OPENSSL_READ_EX);
	assert_int_equal(plan.layout_count, 1);
	openssl_functions(handle, &openssl);
	check_openssl_layout(&openssl, &plan.layouts[0]);
	close(fd);
	dlclose(handle);
}

/* ---- GnuTLS ---------------------------------------------------------------------------------- */

struct datum {
	unsigned char *data;
	unsigned int size;
};

static void check_gnutls_layout(void *handle, unsigned flags, const struct tls_layout *layout)
{
	int (*init)(void **, unsigned);
	void (*get_random)(void *, struct datum *, struct datum *);
	void (*deinit)(void *);
	struct datum client, server;
	void *object;

	FUNCTION(init, handle, "gnutls_init");
	FUNCTION(get_random, handle, "gnutls_session_get_random");
	FUNCTION(deinit, handle, "gnutls_deinit");
	assert_int_equal(init(&object, flags), 0);
	get_random(object, &client, &server);
	assert_ptr_equal(client.data, random_in(object, layout));
	assert_int_equal(role_in(object, layout) == layout->server, flags == 1);
	deinit(object);
}

static void test_gnutls(void **state)
{
	void *handle = dlopen("libgnutls.so.30", RTLD_LAZY);
	struct plan plan;
	int fd;

	(void)state;
	if (!handle)
		skip(); /* not on this host */
	plan_of(handle, "gnutls_record_send", &plan, &fd);
	assert_int_equal(plan.layer, TLS_GNUTLS);
	assert_null(plan.dark);
	assert_memory_equal(plan.version, "GnuTLS 3.", 9);
	assert_int_equal(plan.site_count, 3);
	check_push(fd, &plan, TLS_PROBE_GNUTLS_WRITE);
	check_push(fd, &plan, TLS_PROBE_GNUTLS_READ_TYPED);
	check_push(fd, &plan, TLS_PROBE_GNUTLS_UNCORK);
	assert_int_equal(plan.layout_count, 1);
	check_gnutls_layout(handle, 1, &plan.layouts[0]); /* GNUTLS_SERVER */
	check_gnutls_layout(handle, 2, &plan.layouts[0]); /* GNUTLS_CLIENT */
	close(fd);
}

/* ---- Others ---------------------------------------------------------------------------------- */

static void check_none(const char *path, int expected)
{
	struct plan plan;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(plan_make(fd, &plan), expected);
	assert_int_equal(plan.layer, TLS_NONE);
	assert_int_equal(plan.site_count, 0);
	close(fd);
}

/* Debian's libgnutls-openssl27: OpenSSL's interface before GnuTLS. */
static void test_gnutls_openssl(void **state)
{
	void *handle = dlopen("libgnutls-openssl.so.27", RTLD_LAZY);
	struct plan plan;
	int fd;

	(void)state;
	if (!handle)
		skip(); /* not on this host */
	plan_of(handle, "SSL_write", &plan, &fd);
	assert_int_equal(plan.layer, TLS_NONE);
	assert_int_equal(plan.site_count, 0);
	assert_null(plan.dark);
	close(fd);
}

static void test_none(void **state)
{
	(void)state;
	check_none("/proc/self/exe", 0);
	check_none("/etc/passwd", -ENOEXEC);
	check_none("/dev/null", -ENOEXEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_openssl),
		cmocka_unit_test(test_gnutls),
		cmocka_unit_test(test_gnutls_openssl),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
