/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TLS by the host's libssl. The program is not linked with it: it is opened at run time, so that an
 * attack can also open another file that contains it.
 */
#ifndef SMTPSNOOP_TLS_SESSION_H
#define SMTPSNOOP_TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/ssl.h>

struct rand_meth_st;

/* The functions that are used, of libssl and of the libcrypto that belongs to it. */
struct libssl {
	void *handle;
	__typeof__(TLS_method) *tls_method;
	__typeof__(SSL_CTX_new) *context_new;
	__typeof__(SSL_CTX_use_certificate_ASN1) *use_certificate;
	__typeof__(SSL_CTX_use_PrivateKey_ASN1) *use_key;
	__typeof__(SSL_new) *session_new;
	__typeof__(SSL_set_fd) *set_fd;
	__typeof__(SSL_set_bio) *set_bio;
	__typeof__(SSL_set_connect_state) *set_connect_state;
	__typeof__(SSL_set_accept_state) *set_accept_state;
	__typeof__(SSL_do_handshake) *do_handshake;
	__typeof__(SSL_clear) *clear;
	__typeof__(SSL_write) *write;
	__typeof__(SSL_read) *read;
	__typeof__(BIO_new) *bio_new;
	__typeof__(BIO_s_mem) *bio_memory;
	__typeof__(BIO_read) *bio_read;
	__typeof__(BIO_write) *bio_write;
};

/*
 * Opens a libssl. `path` NULL: the host's. False: there is none that has all of these functions. It
 * stays open until the process ends.
 */
bool libssl_open(struct libssl *library, const char *path);

enum tls_role { TLS_ROLE_CLIENT, TLS_ROLE_SERVER };

/* The library writes to the socket, or into memory that we send. */
enum tls_transport { TLS_BY_SOCKET, TLS_BY_MEMORY };

struct tls_session {
	const struct libssl *library;
	SSL *ssl;
	BIO *in, *out; /* NULL: the library uses the socket itself */
	int fd;
};

/*
 * Makes a session on a connection, handshake included. A server gets a certificate of its own; a
 * client accepts any. False: it failed. What it needs is kept until the process ends.
 */
bool tls_open(struct tls_session *session, const struct libssl *library, int fd, enum tls_role role,
	      enum tls_transport transport);

/* Uses the same object for another connection, as a client. */
bool tls_open_again(struct tls_session *session, int fd);

/* Sends all of the bytes: 0, or -1. */
int tls_send(struct tls_session *session, const char *data, size_t len);

/* Receives at most `room` bytes. Returns their number; at most 0: the connection has ended. */
int tls_recv(struct tls_session *session, char *data, size_t room);

#endif
