/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A second mail hidden in a message: what is kept of it (smuggling.c, smuggled.c). */
#ifndef SMTPSNOOP_SMTP_SMUGGLED_H
#define SMTPSNOOP_SMTP_SMUGGLED_H

#include "smtp/session.h"

/*
 * What follows an odd end of data in a message: text, or commands for a server that ended the data
 * there (smuggled.c).
 */
struct smuggled {
	struct open *of; /* the transaction of the message; NULL: it is answered */
	struct smtp_session
		*inner; /* owned; reads the bytes as commands; NULL: none was answered */
	void (*inner_free)(struct smtp_session *inner);
	char *bytes; /* owned; not read yet */
	uint32_t len;
	uint64_t lost;	   /* bytes behind them that do not fit */
	uint64_t position; /* of the first byte behind the odd end, in the client's stream */
	uint64_t time_ns;  /* of the last byte */
	uint32_t surplus;  /* facts.replies_surplus when the message was answered */
	bool reads;	   /* the message goes on */
	bool has_mail;	   /* a MAIL command is among the bytes */
	bool proved;	   /* the server sent replies that only the second reading explains */
	struct smtp_transaction *held[SMTP_SMUGGLED_MAX]; /* owned; until that is proved */
	uint32_t held_count;
};

/*
 * Keeps bytes of a message, of which the first `end` precede the end of data (-1: all follow an
 * earlier one). `mail`: they complete a MAIL command. The session's position is behind them.
 */
void smuggling_keep(struct smtp_session *session, struct span piece, int64_t end, bool mail,
		    uint64_t time_ns);

/* Frees what is kept; NULL is allowed. Bytes that are missing end it too. */
void smuggled_free(struct smtp_session *session);

/* What a reply may mean for the second reading. Call it before the reply is processed. */
struct smuggled_reply {
	bool answer; /* it may answer the message that had the odd end */
	bool inner;  /* it comes behind that answer */
	bool proof;  /* a 354 to no DATA that the first reading knows */
};
struct smuggled_reply smuggled_before(struct smtp_session *session, uint16_t code);

/*
 * Call it after the reply was processed. `reply` processes one in the second reading. Reports the
 * mails that the server took, as soon as that is proved.
 */
void smuggled_after(struct smtp_session *session, struct smuggled_reply what, uint16_t code,
		    void (*reply)(struct smtp_session *session, uint16_t code, uint64_t time_ns),
		    uint64_t time_ns);

#endif
