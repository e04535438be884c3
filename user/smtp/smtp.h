/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An SMTP session (RFC 5321), parsed from its two byte streams: the commands of the client and the
 * replies of the server. Pure: no I/O, no clock, no global state.
 */
#ifndef SMTPSNOOP_SMTP_H
#define SMTPSNOOP_SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mail/mail.h"
#include "smtp/preamble.h"
#include "base/span.h"

/* Bounds. What exceeds a bound is dropped, and counted in the facts or in the transaction. */
#define SMTP_LINE_MAX	    4096U /* bytes kept of a command line (RFC 5321, 4.5.3.1.4: at least 512) */
#define SMTP_REPLY_TEXT_MAX 512U    /* bytes kept of the text of a reply */
#define SMTP_RECIPIENTS_MAX 2000U   /* recipients kept per transaction */
#define SMTP_ENVELOPE_MAX   262144U /* bytes kept of the addresses of a transaction, all together */
#define SMTP_EXPECTED_MAX   4096U   /* replies that the server still owes */
#define SMTP_OPEN_MAX	    256U    /* transactions that wait for the reply to their data */
#define SMTP_WORD_MAX	    255U    /* bytes kept of HELO's argument, a mechanism, a user name */
/*
 * From this many bytes on, the commands of a session carry data: honest clients stay far below
 * (carried.c, docs/coverage.md).
 */
#define SMTP_CARRIED_MAX    4096U
#define SMTP_BEHIND_MAX	    65536U /* bytes kept that follow an unanswered DATA or BDAT */
#define SMTP_SMUGGLED_BYTES 65536U /* bytes kept that follow an odd end of data */
#define SMTP_SMUGGLED_MAX   8U /* mails kept from there until it is proved that they were taken */

enum smtp_outcome {
	SMTP_OUTCOME_UNKNOWN, /* no reply decided it */
	SMTP_OUTCOME_SUCCESS, /* the server accepted the mail: 2yz to the end of data */
	SMTP_OUTCOME_FAILURE, /* the server refused MAIL, every RCPT, DATA, or the data itself */
};

/* What became of a mail. It says more than the outcome. */
enum smtp_result {
	SMTP_RESULT_UNKNOWN,
	SMTP_RESULT_SENT,     /* the server took it, for one recipient at least */
	SMTP_RESULT_DEFERRED, /* refused with 4yz: the client will try again */
	SMTP_RESULT_REFUSED,  /* refused with 5yz */
	SMTP_RESULT_ASKED, /* the server took the envelope; the client gave it up and sent no data
			    */
};

enum smtp_protocol {
	SMTP_PROTOCOL_UNKNOWN, /* no greeting command was seen */
	SMTP_PROTOCOL_SMTP,    /* HELO */
	SMTP_PROTOCOL_ESMTP,   /* EHLO */
	SMTP_PROTOCOL_LMTP,    /* LHLO (RFC 2033) */
};

enum smtp_end {
	SMTP_END_DATA,	/* end of data (DATA or BDAT LAST), answered or not */
	SMTP_END_RESET, /* the client gave it up: RSET, HELO/EHLO, another MAIL, or STARTTLS */
	SMTP_END_CLOSE, /* QUIT or the end of the connection */
};

struct smtp_recipient {
	uint32_t offset; /* in the transaction's envelope */
	uint32_t len;
	/* The reply to RCPT; with LMTP, the one to the message if it is a refusal. 0: none seen. */
	uint16_t code;
};

/* One mail transaction: from MAIL to its end. */
struct smtp_transaction {
	uint32_t number; /* 1, 2, ... within the session */
	enum smtp_end end;
	enum smtp_outcome outcome;
	enum smtp_result result;
	uint64_t start_ns; /* time of the MAIL command */
	uint64_t end_ns; /* time of the reply that ended it; without that reply, of what ended it */

	/*
	 * Positions in the client's stream, gaps included: the first byte of MAIL, and the byte
	 * after the last one of the transaction.
	 */
	uint64_t start_pos;
	uint64_t end_pos;

	char *envelope; /* owned; holds the addresses */
	uint32_t envelope_len;
	uint32_t envelope_size;
	uint32_t from_len;	 /* the reverse-path is at offset 0, without brackets */
	uint32_t parameters_off; /* what follows the reverse-path in MAIL, trimmed */
	uint32_t parameters_len;

	struct smtp_recipient *recipients; /* owned; in order of the commands, refused ones too */
	uint32_t recipient_count;
	uint32_t recipient_size;
	uint32_t recipients_dropped; /* RCPT commands beyond the bounds */
	bool under_way;		     /* it began before the watch did: its MAIL was not seen */
	bool doubtful;	   /* under way: what followed shows that it may have been no mail */
	bool from_unknown; /* the server accepted a RCPT or data, but no accepted MAIL was seen */

	struct mail *mail;	/* owned; the parsed message. NULL: no data was seen */
	uint64_t bytes;		/* of the message as sent, without the end-of-data line */
	uint64_t missing_bytes; /* of the client's stream within the transaction, not captured */
	bool replies_missing; /* replies are lost or do not match: codes and outcome may be wrong */
	bool data_started;    /* DATA or BDAT was sent, and not refused before any data followed */
	bool odd_address;     /* an address in a form that servers may read as another address */
	bool smuggling;	      /* a MAIL after an end of data that only some servers accept */

	/*
	 * The reply that decided what became of the mail. Until there is one, the last reply to a
	 * command of the transaction; 0: none.
	 */
	uint16_t reply_code;
	uint16_t reply_len;
	char reply_text[SMTP_REPLY_TEXT_MAX]; /* its lines joined by "\n", without the codes */
};

/* What is known of the session as a whole. */
struct smtp_facts {
	enum smtp_protocol protocol;
	char helo[SMTP_WORD_MAX];
	uint16_t helo_len;
	char auth_mechanism[SMTP_WORD_MAX]; /* of the last AUTH, in upper case */
	uint16_t auth_mechanism_len;
	char auth_user[SMTP_WORD_MAX]; /* the user that the last AUTH names */
	uint16_t auth_user_len;
	bool greeting_seen;  /* the server opened with 220 */
	bool commands_seen;  /* at least one known SMTP command was parsed */
	bool mail_from_seen; /* a command line contains "MAIL FROM:" (any case) */
	bool rcpt_to_seen;   /* likewise "RCPT TO:"; both: the rule network_smtp_raw matches */
	bool starttls;	     /* STARTTLS was sent and not refused */
	bool commands_after_starttls; /* plaintext after STARTTLS, before TLS (CVE-2011-0411) */
	uint16_t auth_code;	      /* the reply that ended the last AUTH; 0: none yet */
	uint64_t urgent_bytes;	      /* sent as urgent data: the server may not have read them */
	uint32_t replies_surplus;     /* replies to no command that was parsed */
	uint32_t quoted; /* transactions dropped as text that another protocol quotes */
	uint32_t transactions;
	uint32_t commands;
	uint32_t replies;
	uint32_t lines_truncated;  /* command lines longer than SMTP_LINE_MAX */
	uint32_t expected_dropped; /* commands beyond SMTP_EXPECTED_MAX */
	uint64_t client_bytes;
	uint64_t server_bytes;
	uint64_t client_missing;
	uint64_t server_missing;
	/* What the commands carried without a mail (carried.c); complete when the session is
	 * closed. */
	uint64_t command_bytes;
	uint64_t opaque_bytes; /* of the client's stream, taken for TLS */
	uint64_t reply_bytes;  /* of the server's stream, read as replies */
	bool smtp_verb_seen;   /* a command that only SMTP has */
	bool other_verb_seen;  /* a command or a reply of another protocol that greets with 220 */
	struct preamble proxy; /* in front of the session; `hops` is 0 if there is no proxy */
};

/*
 * Receives a transaction that has ended, and owns it: free it with smtp_transaction_free(). It has
 * at least one RCPT, or the server accepted its data without one and replies_missing is set. Called
 * from within the functions that feed the session; it must not call back into the session.
 */
typedef void (*smtp_transaction_fn)(void *context, struct smtp_transaction *transaction);

struct smtp_session;

/*
 * Creates a session. `replies`: the server's stream will be fed too; without it a transaction ends
 * with the client's next command. NULL: no memory. The caller frees the session with
 * smtp_session_free().
 */
struct smtp_session *smtp_session_new(bool replies, smtp_transaction_fn on_transaction,
				      void *context);

/*
 * Says that the streams start in the middle of the connection. What precedes the first command may
 * be the text of a message, so no reply is expected for it. Call it before feeding any data.
 */
void smtp_session_mid_stream(struct smtp_session *session);

/*
 * Says that the connection is older than the watch, so that a transaction may be under way
 * (under_way.c). `mail_port`: lines of text are reported as a message before the server confirms
 * it. Call it after smtp_session_mid_stream(), before feeding any data.
 */
void smtp_session_under_way(struct smtp_session *session, bool mail_port);

/*
 * Says that much was sent before the watch began and has not arrived yet. If nothing was seen of
 * the connection so far, a message is taken to be under way.
 */
void smtp_session_assume_under_way(struct smtp_session *session, uint64_t time_ns);

/*
 * Says that bytes of the client passed that the kernel side did not copy; how many is not known
 * yet, a gap tells later.
 */
void smtp_session_skipped(struct smtp_session *session);

/* True if the client of an older connection sends text that may be a message, not confirmed yet. */
bool smtp_session_is_unsettled(const struct smtp_session *session);

/*
 * Keeps the content of messages, at most `limit` bytes each (mail_parser_keep()). Call it before
 * feeding any data.
 */
void smtp_session_keep(struct smtp_session *session, struct mail_budget *budget, size_t limit);

/* Frees the session. Drops open transactions: smtp_session_close() reports them first. */
void smtp_session_free(struct smtp_session *session);

/*
 * Feeds the next bytes of a stream, in order, in pieces of any size. `time_ns`: when they were
 * seen.
 */
void smtp_client_data(struct smtp_session *session, struct span data, uint64_t time_ns);
void smtp_server_data(struct smtp_session *session, struct span data, uint64_t time_ns);

/* Feeds the next byte of the client's stream, which was sent as urgent data (urgent.c). */
void smtp_client_urgent(struct smtp_session *session, char byte, uint64_t time_ns);

/*
 * Says that `len` bytes of a stream are missing at this point (0: an unknown number). Parsing
 * resumes at the next line.
 */
void smtp_client_gap(struct smtp_session *session, uint64_t len, uint64_t time_ns);
void smtp_server_gap(struct smtp_session *session, uint64_t len, uint64_t time_ns);

/*
 * Says that nobody watches the connection any more, although it goes on: the end of an open
 * transaction will not be seen. Call it before smtp_session_close(); NULL is allowed.
 */
void smtp_session_cut(struct smtp_session *session);

/*
 * Says that the next bytes of both streams are plaintext that is sent under TLS, after STARTTLS or
 * from the start of the connection. The lines in progress are dropped: they were part of what began
 * TLS.
 */
void smtp_session_tls_begins(struct smtp_session *session);

/* The connection ended: reports every open transaction. */
void smtp_session_close(struct smtp_session *session, uint64_t time_ns);

const struct smtp_facts *smtp_session_facts(const struct smtp_session *session);

/* True if the two streams are an SMTP session, as far as they were seen (side.c). */
bool smtp_session_is_smtp(const struct smtp_session *session);

/*
 * True if the client speaks SMTP: it sent HELO, EHLO, LHLO or MAIL; or the server opened with 220
 * and the client sent a command that only SMTP has, or lines that carry data and belong to no other
 * protocol with such a greeting (side.c).
 */
bool smtp_client_speaks_smtp(const struct smtp_session *session);

/*
 * Bytes that the commands have carried so far and that no mail accounts for, with what the open
 * transactions and the line in progress hold (carried.c).
 */
uint64_t smtp_command_bytes(const struct smtp_session *session);

/* Position of the next byte of the client's stream, gaps included. */
uint64_t smtp_client_position(const struct smtp_session *session);

/* Position of the first byte of the command line in progress; without one, of the next byte. */
uint64_t smtp_client_line_position(const struct smtp_session *session);

/*
 * Position of the first byte of the oldest transaction that is open or waits for a reply;
 * UINT64_MAX without one.
 */
uint64_t smtp_oldest_open_position(const struct smtp_session *session);

/*
 * Copies the oldest open transaction that has a RCPT, in its present state and without the mail, if
 * its number is above `after` and it began before `before_ns`. One that was under way when the
 * watch began needs no RCPT and no time. NULL: there is none, or no memory. The caller frees the
 * copy.
 */
struct smtp_transaction *smtp_session_open_transaction(const struct smtp_session *session,
						       uint32_t after, uint64_t before_ns);

/*
 * Overwrites with '*' each byte of `data` that belongs to an AUTH secret (RFC 4954: initial
 * responses, and the answers to a 334). Line ends stay. The session is not changed. Used for bytes
 * that are recorded before, or without, being parsed. `in_order`: `data` is the next thing the
 * client sent; if false, everything that could be a secret is masked.
 */
void smtp_mask_secrets(const struct smtp_session *session, char *data, size_t len, bool in_order);

/*
 * The same for what the server said: overwrites the text of a reply to a line that may be a secret,
 * because servers repeat it, and the secrets that the session remembers, wherever they are. Codes,
 * the hyphens of a reply of several lines, and line ends stay. `in_order` false: `data` may be
 * anything that the server said or is about to say.
 */
void smtp_mask_replies(const struct smtp_session *session, char *data, size_t len, bool in_order);

void smtp_transaction_free(struct smtp_transaction *transaction);
struct span smtp_transaction_from(const struct smtp_transaction *transaction);
struct span smtp_transaction_parameters(const struct smtp_transaction *transaction);
struct span smtp_transaction_recipient(const struct smtp_transaction *transaction, uint32_t index);

/*
 * Makes a transaction small: cuts each address to SMTP_SHORT_ADDRESS bytes, counts all recipients
 * but the first SMTP_SHORT_RECIPIENTS as dropped, and forgets the parameters of MAIL. If there is
 * no memory for the smaller copy, all that it changes is left out.
 */
#define SMTP_SHORT_ADDRESS    256U
#define SMTP_SHORT_RECIPIENTS 10U
void smtp_transaction_shorten(struct smtp_transaction *transaction);

/* True if the server refused this recipient: 4yz or 5yz to its RCPT, or in LMTP to the message. */
bool smtp_recipient_refused(const struct smtp_transaction *transaction, uint32_t index);

#endif
