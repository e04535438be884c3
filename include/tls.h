/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What user space and the probes in TLS libraries agree on: the programs, and where a library keeps
 * what proves a session's socket.
 */
#ifndef SMTPSNOOP_TLS_H
#define SMTPSNOOP_TLS_H

/* The including file provides __u16 and __u32, as for record.h. */

/* The kind of library whose calls are probed. */
enum tls_layer {
	TLS_NONE, /* no library: TLS in the kernel (kTLS) */
	TLS_OPENSSL,
	TLS_GNUTLS,
	TLS_GO,
	TLS_NSS,
	TLS_LAYER_MAX,
};

/*
 * The program that runs at a place in a library. It tells the library, the direction and where the
 * arguments are. The names give the arguments: `object` is the session, such as an SSL *.
 */
enum tls_probe {
	/* (object, data, len), returns the bytes taken: SSL_write */
	TLS_PROBE_OPENSSL_WRITE,
	/* (object, data, len, taken), or with flags before `taken`, returns 1: SSL_write_ex and
	   ssl_write_internal */
	TLS_PROBE_OPENSSL_WRITE_EX,
	/* (object, data, room), returns the bytes read: SSL_read */
	TLS_PROBE_OPENSSL_READ,
	/* (object, data, room, got), returns 1: SSL_read_ex and ssl_read_internal */
	TLS_PROBE_OPENSSL_READ_EX,
	/* (object, data, len), returns the bytes taken: gnutls_record_send2 */
	TLS_PROBE_GNUTLS_WRITE,
	/* (object, data, room), returns the bytes read: gnutls_record_recv */
	TLS_PROBE_GNUTLS_READ,
	/* (object, type, data, room), returns the bytes read; data has type 23: _gnutls_recv_int */
	TLS_PROBE_GNUTLS_READ_TYPED,
	/* (object): gnutls_record_uncork. What it sends was seen when it was corked. */
	TLS_PROBE_GNUTLS_UNCORK,
	/* (object, data, len), returns the bytes taken: PR_Send, PR_Write */
	TLS_PROBE_NSS_WRITE,
	/* (object, data, room), returns the bytes read: PR_Recv, PR_Read */
	TLS_PROBE_NSS_READ,
	/*
	 * (*Conn).writeRecordLocked(type, data) and (*Conn).Read(data) of crypto/tls, with Go's own
	 * convention for arguments in registers (Go 1.17). Go moves stacks, so nothing may be
	 * attached to a return: GO_READ_END is a place in Read at which the first result register
	 * has the number of bytes.
	 */
	TLS_PROBE_GO_WRITE,
	TLS_PROBE_GO_READ,
	TLS_PROBE_GO_READ_END,
	TLS_PROBE_MAX,
};

#define TLS_DIRECT	0xffffU /* of random_in: the random is in the object itself */
#define TLS_NO_ROLE	0xffffU
#define TLS_LAYOUTS_MAX 8U /* of one kind of library on a host */

/*
 * Where an object has the client's random (32 bytes), and whether it is a server's. All offsets are
 * in bytes.
 */
struct tls_layout {
	__u16 random;	 /* in the object: of the random, or of a pointer to what has it */
	__u16 random_in; /* in what that pointer names; TLS_DIRECT: there is no pointer */
	__u16 role;	 /* in the object, 4 bytes; TLS_NO_ROLE: not known */
	__u16 server;	 /* the role of a server */
};

#endif
