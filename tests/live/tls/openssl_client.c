/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A small client on OpenSSL, to be linked with it in several ways. Arguments: see tls_clients.py.
 *
 * HOW: "one" connection for all mails, or one for "each". Two more wait for a line on standard input before each mail, after
 * they have printed "ready": "wait" has one connection, which is encrypted already, and "hold" opens one for each mail.
 */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct session {
	SSL *tls; /* NULL: in clear */
	int socket;
};

static void die(const char *what)
{
	fprintf(stderr, "openssl_client: %s\n", what);
	exit(1);
}

static void send_text(struct session *session, const char *text)
{
	int length = strlen(text);

	if ((session->tls ? SSL_write(session->tls, text, length) : (int)write(session->socket, text, length)) != length)
		die("write");
}

/* Reads one reply, which must be positive. A server that waits for the next command ends its reply with a line. */
static void reply(struct session *session)
{
	static char text[4096];
	int length = 0;

	for (;;) {
		int got = session->tls ? SSL_read(session->tls, text + length, sizeof(text) - 1 - length) :
					 (int)read(session->socket, text + length, sizeof(text) - 1 - length);

		if (got <= 0)
			die("read");
		length += got;
		text[length] = 0;
		if (text[length - 1] != '\n')
			continue;
		char *line = text;

		for (char *next; (next = strchr(line, '\n')) && next[1]; line = next + 1)
			;
		if (strlen(line) > 3 && line[3] != '-') {
			if (line[0] != '2' && line[0] != '3')
				die(line);
			return;
		}
	}
}

static void command(struct session *session, const char *text)
{
	send_text(session, text);
	reply(session);
}

static void login(struct session *session, const char *auth)
{
	char user[100], secret[100], plain[202], line[300] = "AUTH PLAIN ";
	FILE *file = fopen(auth, "r");

	if (!file || fscanf(file, "%99s %99s", user, secret) != 2)
		die("the file with user and secret");
	fclose(file);
	int length = snprintf(plain, sizeof(plain), "%c%s%c%s", 0, user, 0, secret);

	EVP_EncodeBlock((unsigned char *)line + strlen(line), (unsigned char *)plain, length);
	strcat(line, "\r\n");
	command(session, line);
}

static void encrypt(struct session *session)
{
	static SSL_CTX *context;

	if (!context)
		context = SSL_CTX_new(TLS_client_method());
	session->tls = SSL_new(context);
	SSL_set_fd(session->tls, session->socket);
	SSL_set_tlsext_host_name(session->tls, "mail.test");
	if (SSL_connect(session->tls) != 1)
		die("SSL_connect");
}

static void open_session(struct session *session, const char *mode, int port, const char *auth)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	session->tls = NULL;
	session->socket = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(session->socket, (struct sockaddr *)&address, sizeof(address)))
		die("connect");
	if (!strcmp(mode, "smtps")) {
		encrypt(session);
		reply(session);
	} else {
		reply(session);
		command(session, "EHLO client.test\r\n");
		command(session, "STARTTLS\r\n");
		encrypt(session);
	}
	command(session, "EHLO client.test\r\n");
	login(session, auth);
}

static void mail(struct session *session, const char *sender, const char *recipient)
{
	char text[2000];

	snprintf(text, sizeof(text), "MAIL FROM:<%s>\r\n", sender);
	command(session, text);
	snprintf(text, sizeof(text), "RCPT TO:<%s>\r\n", recipient);
	command(session, text);
	command(session, "DATA\r\n");
	snprintf(text, sizeof(text), "From: %s\r\nTo: %s\r\nSubject: to %s\r\n\r\nhello\r\n.\r\n", sender, recipient,
		 recipient);
	command(session, text);
}

static void close_session(struct session *session)
{
	command(session, "QUIT\r\n");
	SSL_shutdown(session->tls);
	SSL_free(session->tls);
	close(session->socket);
}

static void wait_for_line(void)
{
	char line[100];

	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		die("standard input has ended");
}

int main(int argc, char **argv)
{
	if (argc < 7)
		die("MODE PORT AUTH HOW SENDER RECIPIENT...");
	struct session session;
	const char *how = argv[4];
	int hold = !strcmp(how, "hold"), wait = !strcmp(how, "wait"), each = hold || !strcmp(how, "each");

	for (int number = 6; number < argc; number++) {
		if (hold)
			wait_for_line();
		if (number == 6 || each)
			open_session(&session, argv[1], atoi(argv[2]), argv[3]);
		if (wait)
			wait_for_line();
		mail(&session, argv[5], argv[number]);
		if (number == argc - 1 || each)
			close_session(&session);
	}
	return 0;
}
