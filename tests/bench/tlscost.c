/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The processor time of one write through a TLS library: rounds of writes on one TLS 1.3 connection
 * over loopback. A child accepts it, and only reads what comes after the first words. Prints the
 * nanoseconds per write that the writing thread was charged, one line per round.
 *
 *   tlscost LIBRARY TO SIZE ROUNDS WRITES CERTIFICATE KEY
 *
 * LIBRARY is openssl or gnutls. TO is
 *   wire     over loopback, after the first words of HTTP
 *   nowhere  the same, but the library's records are thrown away instead of sent: the time is that
 *            of the library alone, on a connection that was seen to begin
 *   mail     over loopback, as the text of a mail
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#ifdef HAVE_GNUTLS
#include <gnutls/gnutls.h>
#endif

#define SIZE_MAX_WRITE 16384
#define GREETING       "220 bench.example ESMTP\r\n"

static const char *const web[] = {"GET / HTTP/1.1\r\nHost: bench.example\r\n\r\n", NULL};
static const char *const mail[] = {"EHLO bench.example\r\n", "MAIL FROM:<a@bench.example>\r\n",
				   "RCPT TO:<b@bench.example>\r\n", "DATA\r\n", NULL};

/* A client's side of a connection. */
struct library {
	const char *name;
	void *(*open)(int fd); /* with the handshake; exits if it fails */
	int (*write)(void *session, const void *data, int len);
	int (*read)(void *session, void *data, int room);
	void (*to_nowhere)(void *session);
};

static void fail(const char *what)
{
	fprintf(stderr, "tlscost: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

/* ---- OpenSSL ---- */

static void *by_openssl_open(int fd)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *session = SSL_new(context);

	if (!session || !SSL_set_fd(session, fd) ||
	    !SSL_set_min_proto_version(session, TLS1_3_VERSION) || SSL_connect(session) != 1)
		fail("OpenSSL's handshake");
	return session;
}

static int by_openssl_write(void *session, const void *data, int len)
{
	return SSL_write(session, data, len);
}

static int by_openssl_read(void *session, void *data, int room)
{
	return SSL_read(session, data, room);
}

static void by_openssl_to_nowhere(void *session)
{
	SSL_set0_wbio(session, BIO_new(BIO_s_null()));
}

/* ---- GnuTLS ---- */

#ifdef HAVE_GNUTLS
static void *by_gnutls_open(int fd)
{
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t session;

	if (gnutls_certificate_allocate_credentials(&credentials) ||
	    gnutls_init(&session, GNUTLS_CLIENT) ||
	    gnutls_priority_set_direct(session, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL) ||
	    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials))
		fail("GnuTLS's session");
	gnutls_transport_set_int(session, fd);
	if (gnutls_handshake(session))
		fail("GnuTLS's handshake");
	return session;
}

static int by_gnutls_write(void *session, const void *data, int len)
{
	return (int)gnutls_record_send(session, data, (size_t)len);
}

static int by_gnutls_read(void *session, void *data, int room)
{
	return (int)gnutls_record_recv(session, data, (size_t)room);
}

static ssize_t thrown_away(gnutls_transport_ptr_t transport, const giovec_t *pieces, int count)
{
	ssize_t len = 0;

	(void)transport;
	for (int i = 0; i < count; i++)
		len += (ssize_t)pieces[i].iov_len;
	return len;
}

static void by_gnutls_to_nowhere(void *session)
{
	gnutls_transport_set_vec_push_function(session, thrown_away);
}
#endif

static const struct library libraries[] = {
	{"openssl", by_openssl_open, by_openssl_write, by_openssl_read, by_openssl_to_nowhere},
#ifdef HAVE_GNUTLS
	{"gnutls", by_gnutls_open, by_gnutls_write, by_gnutls_read, by_gnutls_to_nowhere},
#endif
};

static const struct library *library_named(const char *name)
{
	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
		if (!strcmp(libraries[i].name, name))
			return &libraries[i];
	}
	fail("no such library");
	return NULL;
}

/* ---- The server ---- */

static SSL *accepted(int fd, const char *certificate, const char *key)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	SSL *session;

	if (!context || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		fail("the certificate");
	SSL_CTX_set_num_tickets(context, 0);
	session = SSL_new(context);
	if (!session || !SSL_set_fd(session, fd) || SSL_accept(session) != 1)
		fail("the server's handshake");
	return session;
}

/* Answers each of `lines`, then reads without decrypting, so that the writer seldom waits. */
static void serve(int listener, char **files, const char *const *lines)
{
	static char buffer[1 << 16];
	int fd = accept(listener, NULL, NULL);
	SSL *session;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	session = accepted(fd, files[0], files[1]);
	if (lines == mail)
		SSL_write(session, GREETING, sizeof(GREETING) - 1);
	for (; *lines; lines++) {
		const char *answer = lines[0][0] == 'G'	  ? "HTTP/1.1 200 OK\r\n\r\n"
				     : lines[0][0] == 'D' ? "354 go on\r\n"
							  : "250 ok\r\n";

		if (SSL_read(session, buffer, sizeof(buffer)) <= 0)
			fail("the client's words");
		SSL_write(session, answer, (int)strlen(answer));
	}
	while (read(fd, buffer, sizeof(buffer)) > 0)
		;
	_exit(0);
}

static int connected(char **files, const char *const *lines)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0),
	    one = 1;

	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len))
		fail("a listening socket");
	if (fork() == 0)
		serve(listener, files, lines);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		fail("a connection");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* ---- The client ---- */

static double charged_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void talk(const struct library *library, void *session, const char *const *lines)
{
	char answer[256];

	if (lines == mail && library->read(session, answer, sizeof(answer)) <= 0)
		fail("the greeting");
	for (; *lines; lines++) {
		if (library->write(session, *lines, (int)strlen(*lines)) <= 0 ||
		    library->read(session, answer, sizeof(answer)) <= 0)
			fail("the first words");
	}
}

static void measure(const struct library *library, void *session, int size, int rounds, int writes)
{
	static char data[SIZE_MAX_WRITE];

	memset(data, 'x', sizeof(data));
	for (size_t i = 0; i < sizeof(data); i += 64) { /* lines, as in a mail */
		data[i + 62] = '\r';
		data[i + 63] = '\n';
	}
	for (int round = 0; round < rounds; round++) {
		double start = charged_ns();

		for (int i = 0; i < writes; i++) {
			if (library->write(session, data, size) != size)
				fail("a write");
		}
		printf("%.1f\n", (charged_ns() - start) / writes);
	}
}

int main(int argc, char **argv)
{
	const struct library *library;
	const char *const *lines;
	void *session;

	if (argc != 8 || atoi(argv[3]) < 1 || atoi(argv[3]) > SIZE_MAX_WRITE)
		fail("usage: tlscost LIBRARY wire|nowhere|mail SIZE ROUNDS WRITES CERTIFICATE KEY");
	library = library_named(argv[1]);
	lines = strcmp(argv[2], "mail") ? web : mail;
	session = library->open(connected(argv + 6, lines));
	talk(library, session, lines);
	if (!strcmp(argv[2], "nowhere"))
		library->to_nowhere(session);
	measure(library, session, atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
	return 0;
}
