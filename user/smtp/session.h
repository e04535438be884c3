/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a session is made of, for the files that make it up: smtp.c, client.c (commands and
 * messages), server.c (replies), open.c (transactions and what is owed), behind.c, urgent.c,
 * smtp_mask.c.
 */
#ifndef SMTPSNOOP_SMTP_SESSION_H
#define SMTPSNOOP_SMTP_SESSION_H

#include "smtp/smtp.h"
#include "smtp/command.h"

#define REPLY_LINE_MAX 1024U /* bytes kept of one reply line (RFC 5321, 4.5.3.1.5 asks for 512) */
/* Urgent bytes of one line that are known as such; more are read as any other */
#define URGENT_MAX 64U
/* Room in the queue to begin with; a power of two, doubled as needed */
#define EXPECTED_FIRST 16U

enum mode {
	MODE_COMMAND,
	MODE_MESSAGE,
	MODE_CHUNK,
	MODE_ANSWER, /* to a 334 */
	/* TLS; where no 220 was seen to STARTTLS, only commands of mail are looked for */
	MODE_OPAQUE,
};

/* Where the message's lines are being looked at for the end of data. */
enum dot {
	DOT_NO,
	DOT_LINE_START,
	DOT_SEEN,
	DOT_CR,
	DOT_AFTER_GAP, /* nothing was seen since a hole */
	DOT_END,       /* the end of data was just taken */
};

/* What the first line of a side looks like. */
enum side {
	SIDE_SILENT, /* nothing was seen of it */
	SIDE_SMTP,
	SIDE_JUNK,  /* the client: no protocol that is known */
	SIDE_OTHER, /* another protocol */
};

/* The place in a message: also where only looking on, not parsing, is wanted. */
struct message_place {
	enum dot dot;
	/* bytes since the line start that may be the end of data: the dot and its CRs */
	uint32_t held;
	bool crlf; /* the line before ended with CRLF */
	char last; /* the byte before the next one */
	/*
	 * behind an urgent byte, until the line's end: each dot (a bit) that may hold; 0: `dot`
	 * does
	 */
	uint8_t ways;

	/* For smuggling.c alone. */
	char tail[2];	  /* the last two bytes */
	bool odd_end;	  /* what a server that takes CR for a line end takes for the end of data */
	uint8_t mail_len; /* bytes of a MAIL command behind it */
};

/* A transaction, and what only the session needs to know of it. */
struct open {
	struct open *next;
	struct smtp_transaction *transaction;
	struct mail_parser *mail; /* of the message under way; owned */
	uint32_t owed;		  /* replies that are still to come for it */
	/* replies still to come to commands that may end it: RSET and its kind */
	uint32_t ends_owed;
	bool ended;
	bool data_refused;
	bool data_taken; /* 354 to its DATA, or 2yz to its BDAT */
	bool hidden; /* what was sent behind its DATA was not read, and may have been commands */
	uint16_t mail_code;  /* reply to MAIL, 0: none yet */
	uint16_t final_code; /* reply to the message; of LMTP the best */
};

enum owed_kind {
	OWED_OTHER,
	OWED_MAIL,
	OWED_RCPT,
	OWED_DATA,
	OWED_CHUNK,
	OWED_MESSAGE,
	OWED_AUTH,

	/*
	 * Of these, `open` is what the command ends if it is taken; it does not wait for them
	 * (open->owed).
	 */
	OWED_GREETING,
	OWED_STARTTLS,
	OWED_RESET,
	OWED_QUIT,
};

struct owed {
	struct open *open; /* NULL: of no transaction */
	uint32_t recipient;
	enum owed_kind kind;
};

/* What was sent behind a DATA or BDAT that is not answered (behind.c). */
struct behind {
	char *bytes; /* owned; NULL: nothing is kept */
	size_t at;   /* what is before was read */
	size_t len;
	uint64_t line;	  /* where the last line begins; it may be beyond the end, behind a chunk */
	bool secret;	  /* an AUTH is among it */
	uint64_t time_ns; /* of the last of it */
};

/* HELO, EHLO or LHLO, as the server took it. */
struct greeting {
	enum smtp_protocol protocol;
	uint16_t len;
	char name[SMTP_WORD_MAX];
};

struct smtp_session {
	smtp_transaction_fn on_transaction;
	void *context;
	struct smtp_facts facts;
	struct mail_budget *budget; /* of messages' content; NULL: none is kept */
	size_t content_max;

	/* The client's side. */
	enum mode mode;
	enum side client_side;
	uint64_t position; /* of the next byte */
	uint64_t line_start;
	char *line; /* the beginning of a line that has not ended; owned, made when first needed */
	uint32_t line_len;
	/* a request to a proxy ended here in the line: what follows may be the line */
	uint32_t line_break;
	bool mid_stream; /* it was there before it was seen */
	bool line_truncated;
	bool line_crlf;		     /* the last line ended with CRLF */
	bool line_skip;		     /* after a gap: what comes before the next LF is no line */
	uint16_t urgent[URGENT_MAX]; /* offsets in the line of the bytes that were urgent data */
	uint32_t urgent_count;
	struct message_place place;
	uint64_t chunk_size;
	uint64_t chunk_left;

	/*
	 * Octets of a refused chunk, that the server may have read as commands: they are read as
	 * both.
	 */
	uint64_t ghost_left;
	struct open *ghost; /* whose they are; NULL: of none */
	struct behind behind;
	bool chunk_last;
	bool chunk_odd;	   /* a BDAT that is malformed, which some servers take */
	bool soft_allowed; /* the client ends its lines with LF alone */
	bool soft_end;	 /* the last end of data was not CRLF.CRLF, and others of its lines were */
	bool doubt;	 /* it was not, and nothing has said that it was an end */
	bool data_waits; /* DATA was issued, and its reply is not there yet */
	bool waits;	 /* likewise, or BDAT: what follows is kept until then */
	/* it was too much, or some is missing: nothing is kept until nothing is owed */
	bool unkept;
	bool tls_next;	       /* STARTTLS was issued and not refused: a TLS record may follow */
	bool tls_taken;	       /* the server answered it with 220 */
	bool auth_open;	       /* AUTH was issued, and no final reply is there yet */
	bool lmtp;	       /* the message is answered once for each recipient */
	uint32_t auth_step;    /* responses of the client to the last AUTH so far */
	uint32_t answers_left; /* without replies: lines that belong to the AUTH */
	struct open *current;  /* none while a command that may end it is not answered */
	struct open *first,
		*last; /* every open transaction, oldest first; `current`, if any, is the last */
	uint32_t open_count;
	uint32_t greetings_owed;
	struct greeting greeting; /* the last one that was taken */

	/*
	 * What was said to a proxy: the position behind it, and of each request the lines that a
	 * mail server would answer.
	 */
	uint64_t request_end;
	uint32_t request_lines[PREAMBLE_HOPS_MAX + 1];

	/* What the server owes: a ring. */
	struct owed *owed;
	uint32_t owed_size, owed_at, owed_count;
	bool out_of_step; /* replies and commands do not match until nothing is owed */

	/* The server's side. */
	bool replies; /* it is going to be told */
	bool server_seen;
	enum side server_side;
	/* of one that began otherwise: replies since its 220, and nothing else */
	uint32_t tunnel_replies;
	bool tunnel;  /* both speak SMTP, whatever they began with (side.c) */
	bool greeted; /* the greeting is behind us */
	char reply_line[REPLY_LINE_MAX];
	uint32_t reply_line_len;
	bool reply_skip;
	char reply_text[SMTP_REPLY_TEXT_MAX];
	uint32_t reply_text_len;
};

/*
 * Whether what smtp_message_next() just took completes a MAIL command behind an end of data that
 * only some servers see (smuggling.c).
 */
bool smuggling_in_message(struct message_place *place, struct span piece);

typedef void (*urgent_line_fn)(struct smtp_session *session, struct span line, uint64_t time_ns);

/*
 * Reads a line that holds urgent bytes (session->urgent) in the way that says most, and tells it:
 * one line, or with an urgent line feed several (urgent.c).
 */
void urgent_line(struct smtp_session *session, struct span line, urgent_line_fn on_line,
		 uint64_t time_ns);

/*
 * The next byte of a message, in a line in which a byte was urgent. True: the line ended, and
 * place->dot is DOT_LINE_START or DOT_END.
 */
bool urgent_in_message(struct message_place *place, char c, bool urgent);

/* What the first line of the client, or of the server, says of its protocol (side.c). */
enum side side_of_client(struct span line);
enum side side_of_server(struct span line);

/* A line of a server that began with something else than SMTP. True: a session begins with it. */
bool side_tunnel_line(struct smtp_session *session, struct span line);

/* A reply of such a server, to what was owed it. */
void side_tunnel_reply(struct smtp_session *session, enum owed_kind kind, uint16_t code);

/* ---- Open transactions (open.c) -------------------------------------------------------------- */

/* Of a MAIL command; NULL if there is no memory. It is the caller's until open_begin(). */
struct open *open_new(struct smtp_session *session, const struct smtp_command *command,
		      uint64_t time_ns);
void open_free(struct open *open); /* NULL is allowed */

/*
 * Makes it the session's current one. What was current waits for the reply that ends it, if it has
 * not ended.
 */
void open_begin(struct smtp_session *session, struct open *open);

/*
 * For a RCPT, or data, outside of any transaction: one whose reverse-path is not known, and which
 * is told if the server does not refuse what is in it. NULL: no memory.
 */
struct open *open_begin_unknown(struct smtp_session *session, uint64_t time_ns);

/* Whether all of it that was answered so far was refused, so that the server has no transaction. */
bool open_is_refused(const struct open *open);

/* A command that ends what is open if the server takes it, and is owed `kind`. */
void open_interrupt(struct smtp_session *session, enum owed_kind kind, uint64_t time_ns);

/*
 * The reply to such a command: `open` ends with it, or goes on, and what followed is a part of it.
 */
void open_interrupted(struct smtp_session *session, struct open *open, enum owed_kind kind,
		      bool ends, uint64_t time_ns);

/* What is open before `open` has ended where that begins. */
void open_end_before(struct smtp_session *session, const struct open *open, uint64_t time_ns);

/*
 * The reply to MAIL: taken, it ends what is open before it; refused, what followed belongs to that.
 * False: `open` is gone, for it was none.
 */
bool open_mail_replied(struct smtp_session *session, struct open *open, uint16_t code,
		       uint64_t time_ns);

/* Nothing more comes: once it is owed nothing, it goes out. `open` NULL: nothing is done. */
void open_end(struct smtp_session *session, struct open *open, enum smtp_end end, uint64_t end_pos,
	      uint64_t time_ns);

/* Takes a transaction off the list, tells it, and frees it. */
void open_hand_out(struct smtp_session *session, struct open *open);

/* ---- The client's stream (client.c) ---------------------------------------------------------- */

/* DATA or BDAT was answered: reads on behind it, up to a position. */
void client_resume(struct smtp_session *session, uint64_t end_pos);

/* The reply to DATA or BDAT is not waited for: what was sent behind it is taken for the message. */
void client_assume(struct smtp_session *session);

/* ---- What a line of the client does (verbs.c) ------------------------------------------------ */

/* A command line, without its line end. */
void verbs_command_line(struct smtp_session *session, struct span line, uint64_t time_ns);

/* A line where the answer to a 334 is expected. A command in its place is read as one. */
void verbs_answer_line(struct smtp_session *session, struct span line, uint64_t time_ns);

/*
 * Whether a line is a command, and no answer to a 334: that is base64 (RFC 4954, section 4).
 * `bare`: so are those of one word that a client is likely to send.
 */
bool is_certain_command(struct span line, bool bare);

/* ---- Messages and chunks (message.c) --------------------------------------------------------- */

/*
 * Takes bytes of a message off the data, up to the end of data (DOT_END) if that is there. A dot at
 * the start of a line, and CRs behind it, are counted when the line turns out not to be the end.
 */
size_t smtp_message_next(struct message_place *place, struct span data, uint64_t *bytes);

/* Passes octets of the message of `open` to its mail parser, which the first ones create. */
void message_parse(struct smtp_session *session, struct open *open, struct span data);

/* Takes octets of a message, or of a chunk, off the data. Returns how many it took: at least 1. */
size_t message_take(struct smtp_session *session, struct span data, uint64_t time_ns);
size_t chunk_take(struct smtp_session *session, struct span data, uint64_t time_ns);

/* A byte of a message's line in which one byte was urgent. `urgent`: this one is. */
void message_urgent(struct smtp_session *session, char c, bool urgent, uint64_t time_ns);

/* `len` bytes of the client's stream are missing (0: an unknown number): the open message says so.
 */
void message_lost(struct smtp_session *session, uint64_t len);

/* Likewise, within a message (MODE_MESSAGE), or within a chunk (MODE_CHUNK), which may end there.
 */
void message_gap(struct smtp_session *session, uint64_t len);
void chunk_gap(struct smtp_session *session, uint64_t len, uint64_t time_ns);

/* All octets of the chunk are there. */
void chunk_end(struct smtp_session *session, uint64_t time_ns);

/* The octets of the chunk that was refused are over. `ended`: all of them were there. */
void ghost_over(struct smtp_session *session, bool ended, uint64_t time_ns);

/* ---- What was sent behind an unanswered DATA (behind.c) -------------------------------------- */

/* Bytes that are kept and were not read. */
size_t behind_len(const struct smtp_session *session);

/* False: there is no room for them, or no memory, and they are not kept. */
bool behind_keep(struct smtp_session *session, struct span data, uint64_t time_ns);

/*
 * Of what is kept from here on, octets of a chunk that is likely to be taken, for it has
 * recipients.
 */
uint64_t behind_chunk(const struct smtp_session *session);
void behind_begins(struct smtp_session *session);

/* The beginning of the line that has not ended. */
struct span behind_line(const struct smtp_session *session);

void behind_free(struct smtp_session *session);

/* Replies and commands no longer match. */
void session_lose_step(struct smtp_session *session);

/* ---- What the server owes (open.c) ----------------------------------------------------------- */

/* False: there is no room, so it is not owed, and the replies are out of step. */
bool owed_add(struct smtp_session *session, enum owed_kind kind, struct open *open,
	      uint32_t recipient);

/*
 * The end of data, by DATA or BDAT: one reply, or with LMTP one for each recipient that was not
 * refused.
 */
void owed_add_message(struct smtp_session *session, struct open *open);

/* LMTP: a recipient was refused after the message was sent, so one of its replies will not come. */
void owed_drop_message(struct smtp_session *session, struct open *open);

/* Whether a reply to a message is still owed. */
bool owed_message(struct smtp_session *session);

/* The one that `index` others stand before; index < owed_count. */
struct owed *owed_at(struct smtp_session *session, uint32_t index);

/*
 * Forgets the first: its reply was lost. What it was owed for stays open for what else it is owed.
 */
void owed_drop_first(struct smtp_session *session, uint64_t time_ns);

/* Whether the client's side is TLS for certain. */
static inline bool is_opaque(const struct smtp_session *session)
{
	return session->mode == MODE_OPAQUE && session->tls_taken;
}

static inline struct span without_cr(struct span line)
{
	while (line.len && line.data[line.len - 1] == '\r')
		line.len--;
	return line;
}

#endif
