/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The speed of the parser alone: sessions from memory, both streams in pieces as a capture gives
 * them (at most 16 KiB), without sockets, events or output. The figures are CPU time, the median of
 * several rounds for each kind of session. MB/s counts the client's bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "smtp/smtp.h"
#include "base/text.h"

#define ROUNDS	   7
#define ROUND_S	   0.3
#define PIECE	   16384U
#define RECIPIENTS 600U

struct step {
	bool client;
	struct text bytes;
};

struct talk {
	const char *name;
	struct step steps[8];
	size_t count;
	uint32_t transactions;
};

static uint32_t taken;

static void take(void *context, struct smtp_transaction *transaction)
{
	(void)context;
	taken++;
	smtp_transaction_free(transaction);
}

static struct text *step(struct talk *talk, bool client, const char *text)
{
	struct step *one = &talk->steps[talk->count++];

	one->client = client;
	text_add_string(&one->bytes, text);
	return &one->bytes;
}

/*
 * A dialogue, command by command except for the pipelined envelope. The message has `lines` lines
 * of 76 characters.
 */
static void make_mail(struct talk *talk, const char *name, const char *header, unsigned int lines,
		      const char *tail)
{
	struct text *message;

	talk->name = name;
	talk->transactions = 1;
	step(talk, false, "220 mail.example ESMTP\r\n");
	step(talk, true, "EHLO client.example\r\n");
	step(talk, false,
	     "250-mail.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250 8BITMIME\r\n");
	step(talk, true,
	     "MAIL FROM:<reports@corp.example> SIZE=1000\r\nRCPT TO:<a@corp.example>\r\nDATA\r\n");
	step(talk, false,
	     "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n");
	message = step(talk, true, header);
	while (lines--)
		text_add_string(message, "VGhpcyBpcyBhIGxpbmUgb2YgYmFzZTY0LCBhcyBsb25nIGFzIHRoZXkgY"
					 "XJlIGluIG1haWwuIEFC\r\n");
	text_add_string(message, tail);
	step(talk, false, "250 2.0.0 Ok: queued as 4XyZ123\r\n221 2.0.0 Bye\r\n");
}

static void make_recipients(struct talk *talk)
{
	struct text *commands, *replies;

	talk->name = "600 recipients, pipelined";
	talk->transactions = 1;
	commands = step(talk, true, "EHLO c\r\nMAIL FROM:<a@x.example>\r\n");
	replies = step(talk, false, "220 m\r\n250 m\r\n250 2.1.0 Ok\r\n");
	for (unsigned int i = 0; i < RECIPIENTS; i++) {
		text_add_format(commands, "RCPT TO:<recipient-%u@y.example>\r\n", i);
		text_add_string(replies, i % 3 ? "250 2.1.5 Ok\r\n" : "550 5.1.1 User unknown\r\n");
	}
	text_add_string(commands, "DATA\r\nSubject: s\r\n\r\ntext\r\n.\r\nQUIT\r\n");
	text_add_string(replies, "354 Go\r\n250 Ok\r\n221 Bye\r\n");
}

static void play(const struct talk *talk)
{
	struct smtp_session *session = smtp_session_new(true, take, NULL);

	if (!session)
		abort();
	for (size_t i = 0; i < talk->count; i++) {
		struct span rest = {talk->steps[i].bytes.data, talk->steps[i].bytes.len};

		while (rest.len) {
			struct span piece = {rest.data, rest.len < PIECE ? rest.len : PIECE};

			if (talk->steps[i].client)
				smtp_client_data(session, piece, 1);
			else
				smtp_server_data(session, piece, 1);
			rest.data += piece.len;
			rest.len -= piece.len;
		}
	}
	smtp_session_close(session, 2);
	smtp_session_free(session);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const struct talk *talk)
{
	double rates[ROUNDS];
	size_t bytes = 0;

	for (size_t i = 0; i < talk->count; i++)
		bytes += talk->steps[i].client ? talk->steps[i].bytes.len : 0;
	taken = 0;
	play(talk);
	if (taken != talk->transactions) {
		fprintf(stderr, "%s: %u transactions\n", talk->name, taken);
		exit(1);
	}
	for (size_t i = 0; i < ROUNDS; i++) {
		double begin = now_s(), spent;
		unsigned int sessions = 0;

		do {
			for (int n = 0; n < 10; n++, sessions++)
				play(talk);
			spent = now_s() - begin;
		} while (spent < ROUND_S);
		rates[i] = sessions / spent;
	}
	qsort(rates, ROUNDS, sizeof(rates[0]), compare);
	printf("%-28s %9zu bytes %9.0f sessions/s %8.1f MB/s\n", talk->name, bytes,
	       rates[ROUNDS / 2], rates[ROUNDS / 2] * (double)bytes / 1e6);
}

int main(void)
{
	static const char plain[] =
		"From: Reports <reports@corp.example>\r\nTo: a@corp.example\r\n"
		"Subject: =?utf-8?q?J=C3=A4nner?=\r\nDate: Mon, 1 Jan 2024 00:00:00 +0100\r\n"
		"Message-ID: <1@corp.example>\r\n\r\n";
	static const char mixed[] =
		"From: Reports <reports@corp.example>\r\nTo: a@corp.example\r\nSubject: s\r\n"
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
		"Content-Type: application/pdf; name=\"a.pdf\"\r\n"
		"Content-Disposition: attachment; filename=\"a.pdf\"\r\n"
		"Content-Transfer-Encoding: base64\r\n\r\n";
	static struct talk talks[4];

	make_mail(&talks[0], "1 KiB, text", plain, 10, ".\r\nQUIT\r\n");
	make_mail(&talks[1], "1 MiB, text", plain, 13443, ".\r\nQUIT\r\n");
	make_mail(&talks[2], "1 MiB, attachment", mixed, 13443, "--b--\r\n.\r\nQUIT\r\n");
	make_recipients(&talks[3]);
	for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
		measure(&talks[i]);
		for (size_t s = 0; s < talks[i].count; s++)
			text_free(&talks[i].steps[s].bytes);
	}
	return 0;
}
