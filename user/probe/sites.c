/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which TLS library a file has, and the plan for it. How each library is probed is told in a file
 * of its own: openssl.c, gnutls.c, go.c, nss.c.
 *
 * Whoever made the file may have made all of it up. Then probes sit where he wants in his own file:
 * a probe reads what registers hold there and joins nothing but his own sockets. What must hold is
 * only that the offsets are in executable segments and at instructions that were decoded, and that
 * the work is bounded.
 */
#include "probe/plan.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "probe/examine.h"

static const char *const names[FUNCTION_MAX] = {
	[SSL_WRITE] = "SSL_write",
	[SSL_WRITE_EX] = "SSL_write_ex",
	[SSL_WRITE_EX2] = "SSL_write_ex2",
	[SSL_READ] = "SSL_read",
	[SSL_READ_EX] = "SSL_read_ex",
	[SSL_GET_CLIENT_RANDOM] = "SSL_get_client_random",
	[SSL_IS_SERVER] = "SSL_is_server",
	[GNUTLS_RECORD_SEND] = "gnutls_record_send",
	[GNUTLS_RECORD_SEND2] = "gnutls_record_send2",
	[GNUTLS_RECORD_RECV] = "gnutls_record_recv",
	[GNUTLS_RECORD_RECV_SEQ] = "gnutls_record_recv_seq",
	[GNUTLS_RECORD_UNCORK] = "gnutls_record_uncork",
	[GNUTLS_SESSION_GET_RANDOM] = "gnutls_session_get_random",
	[PR_SEND] = "PR_Send",
	[PR_WRITE] = "PR_Write",
	[PR_RECV] = "PR_Recv",
	[PR_READ] = "PR_Read",
};

static enum machine own_machine(void)
{
#ifdef __aarch64__
	return MACHINE_AARCH64;
#else
	return MACHINE_X86_64;
#endif
}

/* A program that is linked statically: no interpreter, and no symbols that others could use. */
static bool is_static(const struct elf *elf)
{
	struct elf_section section;

	return elf_section(elf, ".interp", &section) == -ENOENT &&
	       (elf_section(elf, ".dynsym", &section) == -ENOENT ||
		section.size <= 2 * sizeof(Elf64_Sym));
}

/*
 * Whatever speaks TLS 1.3 has this text (RFC 8446, section 4.4.3). It is looked for in static
 * programs alone: elsewhere that would take too long.
 */
#define TLS_TEXT "TLS 1.3, client CertificateVerify"

static void stripped_plan(const struct examination *ex)
{
	uint64_t address;

	if (!is_static(ex->elf) || elf_search(ex->elf, TLS_TEXT, &address) != 0)
		return;
	ex->plan->dark = "TLS is linked into this program, and it has no symbols";
	if (elf_search(ex->elf, "OPENSSL_", &address) != 0)
		return;
	ex->plan->layer = TLS_OPENSSL;
	ex->plan->dark = "OpenSSL is linked into this program, and it has no symbols";
	examine_version(ex, "OpenSSL #.#.#");
}

int examine_file(const struct elf *elf, enum machine machine, struct plan *plan)
{
	struct examination ex = {.elf = elf, .machine = machine, .plan = plan};
	int rc;

	memset(plan, 0, sizeof(*plan));
	rc = elf_find(elf, names, FUNCTION_MAX, ex.found);
	if (rc < 0)
		return rc;
	openssl_plan(&ex);
	if (plan->layer == TLS_NONE)
		gnutls_plan(&ex);
	if (plan->layer == TLS_NONE)
		go_plan(&ex);
	if (plan->layer == TLS_NONE)
		nss_plan(&ex);
	if (plan->layer == TLS_NONE)
		stripped_plan(&ex);
	return 0;
}

int plan_make(int fd, struct plan *plan)
{
	struct elf elf;
	int rc;

	memset(plan, 0, sizeof(*plan));
	rc = elf_open(&elf, fd);
	if (rc < 0)
		return rc;
	rc = examine_file(&elf, own_machine(), plan);
	elf_close(&elf);
	return rc;
}
