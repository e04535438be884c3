/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a file that contains a TLS library is to be probed, and at what price. */
#ifndef SMTPSNOOP_PLAN_H
#define SMTPSNOOP_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>

#include "tls.h"

#define PLAN_SITES_MAX	 16U
#define PLAN_LAYOUTS_MAX 4U
#define PLAN_VERSION_MAX 32U

/* What a probe costs depends on the instruction under it. */
enum price {
	PRICE_CHEAP, /* the kernel emulates the instruction: about 0.5 us */
	PRICE_DEAR,  /* the instruction is single-stepped: about 10 us */
};

struct site {
	enum tls_probe probe;
	enum price price;
	uint64_t offset; /* in the file */
	bool returns;	 /* a return probe belongs to it: `offset` is where the function begins */
};

struct plan {
	enum tls_layer layer; /* TLS_NONE: the file has no TLS library that is known */
	/* As the file tells it, printable ASCII: "OpenSSL 3.0.19", "go1.19.8". "": it does not. */
	char version[PLAN_VERSION_MAX];
	struct site sites[PLAN_SITES_MAX];
	uint32_t site_count;
	/* Where objects may have the random; the most likely place first. None for Go. */
	struct tls_layout layouts[PLAN_LAYOUTS_MAX];
	uint32_t layout_count;
	/*
	 * Why a file with a TLS library, known or not, stays dark, or is watched only in part; a
	 * static string. NULL: it is watched, or has none.
	 */
	const char *dark;
};

/*
 * Examines an ELF file, which may be hostile and may change meanwhile: everything is read with
 * pread(), and the work is bounded. `fd` stays the caller's. Returns 0, also if there is no TLS
 * library in it (then plan->layer is TLS_NONE); -ENOEXEC: it is no ELF file for this machine;
 * -EFBIG: a table in it is larger than is read; another negative errno of reading it.
 */
int plan_make(int fd, struct plan *plan);

#endif
