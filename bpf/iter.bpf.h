/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The pieces of memory that a send names (struct iov_iter), in every form that kernels have.
 *
 * sendfile(), splice() and registered buffers of io_uring name pages. On x86-64 all memory is
 * mapped in one piece, and so are the structs of all pages. The kernel chooses the start of both at
 * boot; from them a page's address follows.
 */
#ifndef SMTPSNOOP_ITER_BPF_H
#define SMTPSNOOP_ITER_BPF_H

#include "maps.bpf.h"

enum memory {
	MEMORY_USER,   /* user addresses */
	MEMORY_KERNEL, /* kernel addresses */
	MEMORY_PAGES,  /* pages whose addresses can be computed */
	MEMORY_NONE,   /* other pages, or no memory: it cannot be read by address */
};

/*
 * Where the bytes of a send are: one piece, or an array of pieces. It is kernel memory that lives
 * as long as the call.
 */
struct vector {
	/* address of the only piece, or of the array (struct iovec; for pages, struct bio_vec) */
	__u64 base;
	__u64 offset; /* into the first piece */
	__u64 count;  /* bytes left */
	__u32 pieces; /* 0: `base` is the only piece */
	__u32 memory; /* enum memory */
	__u32 urgent; /* the last byte is urgent data */
	__u32 pad;
};

#define MSG_OOB 1

_Static_assert(sizeof(struct bio_vec) == sizeof(struct iovec), "one stride for both");

/* The address of a page's bytes; 0 if unknown. */
static __always_inline __u64 page_address(__u64 page)
{
	__u64 pages = 0, memory = 0;

	if (!page_offset_at || !vmemmap_at ||
	    bpf_probe_read_kernel(&pages, sizeof(pages), (void *)vmemmap_at) ||
	    bpf_probe_read_kernel(&memory, sizeof(memory), (void *)page_offset_at) || page < pages)
		return 0;
	return memory + (page - pages) / bpf_core_type_size(struct page) * 4096;
}

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

	type = bpf_core_field_exists(bits->type) ? BPF_CORE_READ(bits, type)
						 : BPF_CORE_READ(iter, iter_type);
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
		vector->base = bpf_core_field_exists(iter->__iov)
				       ? (__u64)BPF_CORE_READ(iter, __iov)
				       : (__u64)BPF_CORE_READ(old, iov);
	} else if (iter_is(iter, type, bpf_core_enum_value(enum iter_type, ITER_KVEC))) {
		vector->base = (__u64)BPF_CORE_READ(iter, kvec);
		vector->memory = MEMORY_KERNEL;
	} else if (page_offset_at &&
		   iter_is(iter, type, bpf_core_enum_value(enum iter_type, ITER_BVEC))) {
		vector->base = (__u64)BPF_CORE_READ(iter, bvec);
		vector->memory = MEMORY_PAGES;
	} else {
		vector->base = 0;
		vector->memory = MEMORY_NONE;
	}
}

/* The address and length of the front piece, beyond the offset. False if there is none. */
static __always_inline bool vector_front(const struct vector *vector, __u64 *address, __u64 *len)
{
	union {
		struct iovec iov;
		struct bio_vec pages;
	} piece;

	if (vector->memory == MEMORY_NONE || !vector->count)
		return false;
	if (!vector->pieces) {
		*address = vector->base + vector->offset;
		*len = vector->count;
		return true;
	}
	if (bpf_probe_read_kernel(&piece, sizeof(piece), (void *)vector->base))
		return false;
	if (vector->memory == MEMORY_PAGES) {
		__u64 page = page_address((__u64)piece.pages.bv_page);

		*address = page ? page + piece.pages.bv_offset + vector->offset : 0;
		*len = piece.pages.bv_len;
	} else {
		*address = (__u64)piece.iov.iov_base + vector->offset;
		*len = piece.iov.iov_len;
	}
	*len = *len > vector->offset ? *len - vector->offset : 0;
	if (*len > vector->count)
		*len = vector->count;
	return true;
}

/*
 * Removes `len` bytes from the front; `len` is at most what the front piece has left (`piece_len`).
 */
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

/* Reads `len` bytes of user or kernel memory; the caller bounds `len` for the verifier. */
static __always_inline long memory_read(__u32 memory, void *out, __u32 len, __u64 address)
{
	if (memory != MEMORY_USER)
		return bpf_probe_read_kernel(out, len, (void *)address);
	return bpf_probe_read_user(out, len, (void *)address);
}

/* One page that sendfile or splice passes (before 6.5). */
static __always_inline void vector_of_page(const struct page *page, int offset, size_t size,
					   struct vector *vector)
{
	__u64 address = page_address(address_of(page));

	vector->base = address + (__u32)offset;
	vector->count = size;
	vector->memory = address ? MEMORY_KERNEL : MEMORY_NONE;
}

#endif
