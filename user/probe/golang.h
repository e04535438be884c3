/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Functions and version of a program that Go has built. */
#ifndef SMTPSNOOP_GOLANG_H
#define SMTPSNOOP_GOLANG_H

#include <stddef.h>

#include "probe/elf.h"

#define GOLANG_TABLE_MAX (64U << 20) /* bytes of .gopclntab */

/*
 * Looks up functions by the names that Go gives them ("crypto/tls.(*Conn).Write"): as elf_find(),
 * then, for what is missing, in .gopclntab, which a stripped program has too (Go 1.16 and later). A
 * size from there includes what fills the place up to the next function. Returns the number found,
 * also if a table could not be read but names were found; 0: none. If none was found: as
 * elf_find(), and -ENOEXEC: .gopclntab contradicts itself, or Go's version is not known.
 */
int golang_find(const struct elf *elf, const char *const *names, size_t count,
		struct elf_symbol *found);

/*
 * The version of Go, such as "go1.19.8": printable ASCII without blanks, cut to `size` with its
 * NUL. Returns 0; -ENOENT: Go has not built it, or it does not tell; another negative errno of
 * reading it. Then `version` is "".
 */
int golang_version(const struct elf *elf, char *version, size_t size);

#endif
