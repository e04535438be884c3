/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the headers of libbpf 0.3 (Debian 11) lack. With those of libbpf 1.1 it changes nothing.
 */
#ifndef SMTPSNOOP_OLDER_BPF_H
#define SMTPSNOOP_OLDER_BPF_H

/* As libbpf 1.1 defines it; without `inline`, clang-16 keeps functions that it has inlined. */
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))

#ifndef NULL
#define NULL ((void *)0)
#endif

#ifndef barrier
#define barrier() asm volatile("" ::: "memory")
#endif

/* The compiler cannot know the value afterwards: the verifier sees the bound that was checked. */
#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

#ifndef bpf_core_field_offset
#define bpf_core_field_offset(type, field)                                                         \
	__builtin_preserve_field_info(((type *)0)->field, BPF_FIELD_BYTE_OFFSET)
#endif

#endif
