/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The pieces of memory that a send names (struct iov_iter), whatever shape this kernel gives them.
 */
#ifndef SMTPSNOOP_ITER_BPF_H
#define SMTPSNOOP_ITER_BPF_H

#include "maps.bpf.h"

enum memory {
	MEMORY_USER,   /* user addresses */
	MEMORY_KERNEL, /* kernel addresses */
	MEMORY_NONE,   /* pages or nothing: it cannot be read by address (sendfile, splice) */
};

/* Where a send's bytes lie: one piece, or an array of them. Kernel memory that lives as long as the call. */
struct vector {
	__u64 base;   /* the only piece's address, or the array's (struct iovec) */
	__u64 offset; /* into the first piece */
	__u64 count;  /* bytes that are left */
	__u32 pieces; /* 0: `base` is the only piece */
	__u32 memory; /* enum memory */
	__u32 urgent; /* the last byte is urgent data */
	__u32 pad;
};

#define MSG_OOB 1

static __always_inline bool iter_is(const struct iov_iter *iter, __u32 type, __u32 wanted)
{
	struct iov_iter___bits *bits = (void *)iter;

	if (bpf_core_field_exists(bits->type))
		return (type & ~1U) == wanted; /* bit 0: the direction */
	return type == wanted;
}

static __always_inline void vector_of(const struct msghdr *msg, struct vector *vector)
{
	const struct iov_iter *iter = (void *)msg + bpf_core_field_offset(struct msghdr, msg_iter);
	struct iov_iter___bits *bits = (void *)iter;
	struct iov_iter___iov *old = (void *)iter;
	__u32 type;

	type = bpf_core_field_exists(bits->type) ? BPF_CORE_READ(bits, type) : BPF_CORE_READ(iter, iter_type);
	vector->count = BPF_CORE_READ(iter, count);
	vector->offset = BPF_CORE_READ(iter, iov_offset);
	vector->pieces = BPF_CORE_READ(iter, nr_segs);
	vector->memory = MEMORY_USER;
	vector->urgent = BPF_CORE_READ(msg, msg_flags) & MSG_OOB;
	if (bpf_core_enum_value_exists(enum iter_type, ITER_UBUF) &&
	    iter_is(iter, type, bpf_core_enum_value(enum iter_type, ITER_UBUF))) {
		vector->base = (__u64)BPF_CORE_READ(iter, ubuf);
		vector->pieces = 0;
	} else if (iter_is(iter, type, bpf_core_enum_value(enum iter_type, ITER_IOVEC))) {
		vector->base = bpf_core_field_exists(iter->__iov) ? (__u64)BPF_CORE_READ(iter, __iov)
								  : (__u64)BPF_CORE_READ(old, iov);
	} else if (iter_is(iter, type, bpf_core_enum_value(enum iter_type, ITER_KVEC))) {
		vector->base = (__u64)BPF_CORE_READ(iter, kvec);
		vector->memory = MEMORY_KERNEL;
	} else {
		vector->base = 0;
		vector->memory = MEMORY_NONE;
	}
}

/* The piece at the front: its address and length, with the offset taken off. False: there is none. */
static __always_inline bool vector_front(const struct vector *vector, __u64 *address, __u64 *len)
{
	struct iovec piece;

	if (vector->memory == MEMORY_NONE || !vector->count)
		return false;
	if (!vector->pieces) {
		*address = vector->base + vector->offset;
		*len = vector->count;
		return true;
	}
	if (bpf_probe_read_kernel(&piece, sizeof(piece), (void *)vector->base))
		return false;
	*address = (__u64)piece.iov_base + vector->offset;
	*len = piece.iov_len > vector->offset ? piece.iov_len - vector->offset : 0;
	if (*len > vector->count)
		*len = vector->count;
	return true;
}

/* Takes `len` bytes off the front, `len` being at most what the front piece has left (`piece_len`). */
static __always_inline void vector_advance(struct vector *vector, __u64 len, __u64 piece_len)
{
	vector->count -= len;
	vector->offset += len;
	if (!vector->pieces || len < piece_len)
		return;
	vector->offset = 0;
	vector->base += sizeof(struct iovec);
	if (--vector->pieces == 0)
		vector->count = 0;
}

/* Reads `len` bytes of either memory; `len` is bounded by the caller for the verifier. */
static __always_inline long memory_read(__u32 memory, void *out, __u32 len, __u64 address)
{
	if (memory == MEMORY_KERNEL)
		return bpf_probe_read_kernel(out, len, (void *)address);
	return bpf_probe_read_user(out, len, (void *)address);
}

#endif
