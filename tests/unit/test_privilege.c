/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which missing right is reported, on kernels with and without CAP_BPF. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "capture/privilege.h"

#define NET_ADMIN (1ULL << 12)
#define SYS_ADMIN (1ULL << 21)
#define PERFMON	  (1ULL << 38)
#define BPF	  (1ULL << 39)
#define OLD	  37U /* Linux 5.7 */
#define NEW	  40U

static const struct {
	struct privilege privilege;
	const char *why; /* NULL: enough */
} cases[] = {
	{{0, UINT64_MAX, NEW, true}, NULL},
	{{0, SYS_ADMIN, NEW, true}, NULL},
	{{0, SYS_ADMIN, OLD, true}, NULL},
	{{0, BPF | PERFMON | NET_ADMIN, NEW, true}, NULL},
	{{0, BPF | PERFMON, NEW, true}, "CAP_NET_ADMIN missing; in a container?"},
	{{0, PERFMON | NET_ADMIN, NEW, true}, "CAP_BPF missing; in a container?"},
	{{0, 0, NEW, true}, "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN missing; in a container?"},
	{{0, NET_ADMIN, OLD, true}, "CAP_SYS_ADMIN missing; in a container?"},
	{{0, UINT64_MAX, NEW, false}, "root of a user namespace"},
	{{1000, UINT64_MAX, NEW, true}, "needs root"},
	{{1000, 0, NEW, false}, "needs root"},
};

static void test_what_is_missing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char why[PRIVILEGE_WHY_MAX];
		int error = privilege_of(&cases[i].privilege, why);

		assert_int_equal(error, cases[i].why ? -EPERM : 0);
		assert_int_equal(strncmp(why, cases[i].why ? cases[i].why : "",
					 cases[i].why ? strlen(cases[i].why) : 1),
				 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_missing)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
