/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An SMTP session (RFC 5321) as its two byte streams show it: commands from the client, replies
 * from the server. Pure: no I/O, no clock, no memory of its own beyond the session's.
 */
#ifndef SMTPSNOOP_SMTP_H
#define SMTPSNOOP_SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mail/mail.h"
#include "smtp/preamble.h"
#include "base/span.h"

/* Bounds. What exceeds one is dropped and counted in the session's or transaction's counters. */
#define SMTP_LINE_MAX	    4096U /* bytes kept of one command line (RFC 5321 4.5.3.1.4: 512) */
#define SMTP_REPLY_TEXT_MAX 512U  /* bytes kept of one reply's text */
#define SMTP_RECIPIENTS_MAX 2000U /* recipients kept of one transaction */
/* Bytes kept of one transaction's envelope, all addresses together */
#define SMTP_ENVELOPE_MAX 262144U
#define SMTP_EXPECTED_MAX 4096U /* commands that wait for their reply */
#define SMTP_OPEN_MAX	  256U	/* transactions that wait for the reply to their data */
#define SMTP_WORD_MAX	  255U	/* bytes kept of HELO's argument and of a mechanism's name */
/* Bytes kept of what was sent behind a DATA or BDAT that is not answered */
#define SMTP_BEHIND_MAX 65536U

enum smtp_outcome {
	SMTP_OUTCOME_UNKNOWN, /* no reply was seen that decides it */
	SMTP_OUTCOME_SUCCESS, /* the server took the mail: 2yz to the end of data */
	SMTP_OUTCOME_FAILURE, /* it refused: MAIL, every RCPT, DATA or the data itself */
};

enum smtp_protocol {
	SMTP_PROTOCOL_UNKNOWN, /* no greeting command was seen */
	SMTP_PROTOCOL_SMTP,    /* HELO */
	SMTP_PROTOCOL_ESMTP,   /* EHLO */
	SMTP_PROTOCOL_LMTP,    /* LHLO (RFC 2033) */
};

enum smtp_end {
	SMTP_END_DATA,	/* end of data (DATA or BDAT LAST), answered or not */
	SMTP_END_RESET, /* RSET, a new HELO/EHLO, a new MAIL, or STARTTLS: given up by the client */
	SMTP_END_CLOSE, /* QUIT or the end of the connection */
};

struct smtp_recipient {
	uint32_t offset; /* into the transaction's envelope */
	uint32_t len;
	uint16_t code; /* reply code, 0 if none was seen */
};

/* One mail transaction: MAIL and what followed until it ended. */
struct smtp_transaction {
	uint32_t number; /* 1, 2, ... in the session */
	enum smtp_end end;
	enum smtp_outcome outcome;
	uint64_t start_ns; /* of the MAIL command */
	uint64_t end_ns;   /* of the reply that ended it, else of what ended it */

	/*
	 * Position in the client's stream, gaps included: the first byte of MAIL, one behind its
	 * last byte.
	 */
	uint64_t start_pos;
	uint64_t end_pos;

	char *envelope; /* owned; holds the addresses */
	uint32_t envelope_len;
	uint32_t envelope_size;
	uint32_t from_len;	 /* mail_from is at offset 0; without brackets */
	uint32_t parameters_off; /* what follows the reverse-path in MAIL, blanks trimmed */
	uint32_t parameters_len;

	struct smtp_recipient *recipients; /* owned; as issued, in order, refused ones too */
	uint32_t recipient_count;
	uint32_t recipient_size;
	uint32_t recipients_dropped; /* RCPT commands beyond the bounds */
	bool from_unknown; /* the server took a RCPT or data, and no MAIL was seen that it took */

	struct mail *mail; /* owned; what the message says of itself. NULL: no data was seen */
	uint64_t bytes;	   /* of the message, as sent, without the end-of-data line */
	/* of the client's stream, within the transaction, that were not captured */
	uint64_t missing_bytes;
	/* replies were lost or do not add up: refusals and outcome may be wrong */
	bool replies_missing;
	bool data_started; /* DATA or BDAT was issued */
	bool odd_address;  /* of a MAIL or RCPT: in a form from which servers may take another */
	/* an end of data that not every server takes for one, and a MAIL that did not wait */
	bool smuggling;

	uint16_t reply_code; /* the last reply to a command of the transaction, 0 if none */
	uint16_t reply_len;
	/* its text, lines joined by "\n", without the codes */
	char reply_text[SMTP_REPLY_TEXT_MAX];
};

/* What is known of the session as a whole. */
struct smtp_facts {
	enum smtp_protocol protocol;
	char helo[SMTP_WORD_MAX];
	uint16_t helo_len;
	char auth_mechanism[SMTP_WORD_MAX]; /* upper case; of the last AUTH command */
	uint16_t auth_mechanism_len;
	char auth_user[SMTP_WORD_MAX]; /* whom the last AUTH named */
	uint16_t auth_user_len;
	bool greeting_seen;  /* the server opened with 220 */
	bool commands_seen;  /* at least one SMTP command word was parsed */
	bool mail_from_seen; /* "MAIL FROM:" stood in a command line (any case) */
	bool rcpt_to_seen;   /* "RCPT TO:" likewise; both: the rule network_smtp_raw holds */
	bool starttls;	     /* STARTTLS was issued and not refused */
	/* plaintext that did not wait for TLS (CVE-2011-0411 and its kind) */
	bool commands_after_starttls;
	uint16_t auth_code; /* the reply that ended the last AUTH; 0: none yet */
	/* of the client's stream, sent as urgent data: the server may not have read them */
	uint64_t urgent_bytes;
	uint32_t replies_surplus; /* replies that answer no command that was parsed */
	uint32_t quoted;	  /* transactions that were none: text of another protocol's flow */
	uint32_t transactions;
	uint32_t commands;
	uint32_t replies;
	uint32_t lines_truncated;  /* command lines longer than SMTP_LINE_MAX */
	uint32_t expected_dropped; /* commands beyond SMTP_EXPECTED_MAX */
	uint64_t client_bytes;
	uint64_t server_bytes;
	uint64_t client_missing;
	uint64_t server_missing;
	struct preamble proxy; /* in front of the session: `hops` is 0 if there is none */
};

/*
 * Takes an ended transaction, and owns it: smtp_transaction_free(). It has at least one RCPT, or
 * the server took its data all the same, and then replies_missing is set. Called from within the
 * feeding functions; it must not call back into the session.
 */
typedef void (*smtp_transaction_fn)(void *context, struct smtp_transaction *transaction);

struct smtp_session;

/*
 * `replies`: the server's side is going to be told; without it a transaction ends with the client's
 * next command. NULL if there is no memory. The caller frees it with smtp_session_free().
 */
struct smtp_session *smtp_session_new(bool replies, smtp_transaction_fn on_transaction,
				      void *context);

/*
 * The streams do not begin with the connection. What comes before the first command may be a
 * message's text: it is owed no reply. To be called before any data.
 */
void smtp_session_mid_stream(struct smtp_session *session);

/* Keeps the content of messages (mail_parser_keep()). To be called before any data. */
void smtp_session_keep(struct smtp_session *session, struct mail_budget *budget, size_t limit);

/* Ends nothing: a session that is freed before smtp_session_close() drops its open transactions. */
void smtp_session_free(struct smtp_session *session);

/* The next bytes of a stream, in order, in pieces of any size. `time_ns`: when they were seen. */
void smtp_client_data(struct smtp_session *session, struct span data, uint64_t time_ns);
void smtp_server_data(struct smtp_session *session, struct span data, uint64_t time_ns);

/* The next byte of the client's stream was sent as urgent data (urgent.c). */
void smtp_client_urgent(struct smtp_session *session, char byte, uint64_t time_ns);

/*
 * `len` bytes of a stream are missing at this point; 0: an unknown number. Parsing goes on at the
 * next line.
 */
void smtp_client_gap(struct smtp_session *session, uint64_t len, uint64_t time_ns);
void smtp_server_gap(struct smtp_session *session, uint64_t len, uint64_t time_ns);

/* The connection ended: every open transaction is handed out. */
void smtp_session_close(struct smtp_session *session, uint64_t time_ns);

const struct smtp_facts *smtp_session_facts(const struct smtp_session *session);

/* Whether the two streams are those of an SMTP session, as far as seen (side.c). */
bool smtp_session_is_smtp(const struct smtp_session *session);

/* Bytes of the client's stream so far, gaps included: the position that the next byte gets. */
uint64_t smtp_client_position(const struct smtp_session *session);

/*
 * The position of the first byte of a command line that has not ended; that of the next byte if
 * there is none.
 */
uint64_t smtp_client_line_position(const struct smtp_session *session);

/*
 * The position of the first byte of the open or oldest unanswered transaction; UINT64_MAX if there
 * is none.
 */
uint64_t smtp_oldest_open_position(const struct smtp_session *session);

/*
 * A copy, as far as it has come, of the oldest open transaction that has a RCPT, if its number is
 * above `after` and it began before `before_ns`; without the mail. NULL: there is none, or no
 * memory. The caller frees it.
 */
struct smtp_transaction *smtp_session_open_transaction(const struct smtp_session *session,
						       uint32_t after, uint64_t before_ns);

/*
 * Overwrites with '*' each byte of `data` that belongs to an AUTH secret (RFC 4954: initial
 * responses and what answers a 334), as if it were the next thing the client sent. The session is
 * not changed. Line ends stay. For what is kept before, or beside, parsing it. `in_order` false:
 * `data` is not what comes next; then everything that could be a secret is masked.
 */
void smtp_mask_secrets(const struct smtp_session *session, char *data, size_t len, bool in_order);

void smtp_transaction_free(struct smtp_transaction *transaction);
struct span smtp_transaction_from(const struct smtp_transaction *transaction);
struct span smtp_transaction_parameters(const struct smtp_transaction *transaction);
struct span smtp_transaction_recipient(const struct smtp_transaction *transaction, uint32_t index);

/* Whether the server refused this recipient (4yz or 5yz to its RCPT). */
bool smtp_recipient_refused(const struct smtp_transaction *transaction, uint32_t index);

#endif
