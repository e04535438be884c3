/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "attack/tls_session.h"

#include <dlfcn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/socket.h>

#include "attack/attack_session.h"

#define CERTIFICATE_S 3600
#define PIECE	      4096

/* ---- The library ----------------------------------------------------------------------------- */

static bool load_all(struct libssl *library)
{
	const struct {
		const char *name;
		void *place;
	} functions[] = {
		{"TLS_method", &library->tls_method},
		{"SSL_CTX_new", &library->context_new},
		{"SSL_CTX_use_certificate_ASN1", &library->use_certificate},
		{"SSL_CTX_use_PrivateKey_ASN1", &library->use_key},
		{"SSL_new", &library->session_new},
		{"SSL_set_fd", &library->set_fd},
		{"SSL_set_bio", &library->set_bio},
		{"SSL_set_connect_state", &library->set_connect_state},
		{"SSL_set_accept_state", &library->set_accept_state},
		{"SSL_do_handshake", &library->do_handshake},
		{"SSL_clear", &library->clear},
		{"SSL_write", &library->write},
		{"SSL_read", &library->read},
		{"BIO_new", &library->bio_new},
		{"BIO_s_mem", &library->bio_memory},
		{"BIO_read", &library->bio_read},
		{"BIO_write", &library->bio_write},
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *function = dlsym(library->handle, functions[i].name);

		if (!function)
			return false;
		memcpy(functions[i].place, &function, sizeof(function));
	}
	return true;
}

bool libssl_open(struct libssl *library, const char *path)
{
	static const char *const usual[] = {"libssl.so.3", "libssl.so.1.1"};

	library->handle = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	for (size_t i = 0; !path && !library->handle && i < sizeof(usual) / sizeof(usual[0]); i++)
		library->handle = dlopen(usual[i], RTLD_NOW | RTLD_LOCAL);
	return library->handle && load_all(library);
}

/* ---- A server's certificate ------------------------------------------------------------------ */

static EVP_PKEY *new_key(void)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
	EVP_PKEY *key = NULL;

	if (context && EVP_PKEY_keygen_init(context) == 1 &&
	    EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1)
		EVP_PKEY_keygen(context, &key);
	EVP_PKEY_CTX_free(context);
	return key;
}

static X509 *new_certificate(EVP_PKEY *key)
{
	X509 *certificate = X509_new();
	X509_NAME *name = certificate ? X509_get_subject_name(certificate) : NULL;

	if (!name)
		return NULL;
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -CERTIFICATE_S);
	X509_gmtime_adj(X509_getm_notAfter(certificate), CERTIFICATE_S);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1,
				   -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, key);
	X509_sign(certificate, key, EVP_sha256());
	return certificate;
}

/*
 * The library may have another libcrypto than this program, so it gets the key and its certificate
 * as bytes.
 */
static bool give_certificate(const struct libssl *library, SSL_CTX *context)
{
	unsigned char *key_bytes = NULL, *bytes = NULL;
	EVP_PKEY *key = new_key();
	X509 *certificate = key ? new_certificate(key) : NULL;
	int key_len = key ? i2d_PrivateKey(key, &key_bytes) : 0;
	int len = certificate ? i2d_X509(certificate, &bytes) : 0;

	return key_len > 0 && len > 0 && library->use_certificate(context, len, bytes) == 1 &&
	       library->use_key(EVP_PKEY_EC, context, key_bytes, key_len) == 1;
}

/* ---- A session ------------------------------------------------------------------------------- */

/* Sends what the library has written into memory. */
static bool memory_sent(struct tls_session *session)
{
	char piece[PIECE];
	int n;

	while (session->out && (n = session->library->bio_read(session->out, piece, PIECE)) > 0) {
		if (attack_send(session->fd, piece, (size_t)n))
			return false;
	}
	return true;
}

/* Receives into the memory from which the library reads. */
static bool memory_received(struct tls_session *session)
{
	char piece[PIECE];
	ssize_t n = session->in ? recv(session->fd, piece, sizeof(piece), 0) : 0;

	return n > 0 && session->library->bio_write(session->in, piece, (int)n) == n;
}

static bool handshake(struct tls_session *session)
{
	while (session->library->do_handshake(session->ssl) != 1) {
		if (!memory_sent(session) || !memory_received(session))
			return false;
	}
	return memory_sent(session);
}

static bool use_memory(struct tls_session *session)
{
	session->in = session->library->bio_new(session->library->bio_memory());
	session->out = session->library->bio_new(session->library->bio_memory());
	if (!session->in || !session->out)
		return false;
	session->library->set_bio(session->ssl, session->in, session->out);
	return true;
}

bool tls_open(struct tls_session *session, const struct libssl *library, int fd, enum tls_role role,
	      enum tls_transport transport)
{
	SSL_CTX *context = library->context_new(library->tls_method());
	bool server = role == TLS_ROLE_SERVER;

	*session = (struct tls_session){.library = library, .fd = fd};
	if (!context || (server && !give_certificate(library, context)))
		return false;
	session->ssl = library->session_new(context);
	if (!session->ssl)
		return false;
	if (transport == TLS_BY_MEMORY ? !use_memory(session)
				       : library->set_fd(session->ssl, fd) != 1)
		return false;
	if (server)
		library->set_accept_state(session->ssl);
	else
		library->set_connect_state(session->ssl);
	return handshake(session);
}

bool tls_open_again(struct tls_session *session, int fd)
{
	const struct libssl *library = session->library;

	session->fd = fd;
	if (library->clear(session->ssl) != 1 || library->set_fd(session->ssl, fd) != 1)
		return false;
	library->set_connect_state(session->ssl);
	return handshake(session);
}

int tls_send(struct tls_session *session, const char *data, size_t len)
{
	if (session->library->write(session->ssl, data, (int)len) != (int)len)
		return -1;
	return memory_sent(session) ? 0 : -1;
}

int tls_recv(struct tls_session *session, char *data, size_t room)
{
	int n;

	while ((n = session->library->read(session->ssl, data, (int)room)) <= 0) {
		if (!memory_received(session))
			return n;
	}
	return n;
}
