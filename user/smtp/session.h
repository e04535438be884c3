/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The state of a session, private to the files that implement it:
 *
 *   smtp.c       creation and closing; the theory of operation
 *   client.c     the client's stream: lines, modes, gaps
 *   verbs.c      what each command does
 *   message.c    the octets of messages and chunks
 *   server.c     the server's stream: replies
 *   open.c       open transactions
 *   owed.c       the replies owed
 *   result.c     what became of a transaction, and the reply that decided it
 *   behind.c     what follows an unanswered DATA or BDAT
 *   carried.c    the bytes of commands that no mail accounts for
 *   side.c       whether the streams are SMTP at all
 *   urgent.c     urgent data
 *   smuggling.c  a second mail hidden in a message: how it is found
 *   smuggled.c   a second mail hidden in a message: whether the server took it
 *   under_way.c  a transaction that is older than the watch
 *   secrecy.c    which lines are secrets, to find them again in what the server says
 *   smtp_mask.c, smtp_mask_reply.c  the secrets in bytes that are recorded
 */
#ifndef SMTPSNOOP_SMTP_SESSION_H
#define SMTPSNOOP_SMTP_SESSION_H

#include "smtp/smtp.h"
#include "smtp/command.h"
#include "smtp/proxy_header.h"
#include "smtp/secrets.h"

#define REPLY_LINE_MAX 1024U /* bytes kept of a reply line (RFC 5321, 4.5.3.1.5: at least 512) */
#define URGENT_MAX     64U   /* urgent bytes tracked per line; more are parsed as ordinary bytes */
#define EXPECTED_FIRST 16U   /* first size of the queue of replies owed; a power of two, doubles */

enum mode {
	MODE_COMMAND,
	MODE_MESSAGE,
	MODE_CHUNK,
	MODE_ANSWER, /* the answer to a 334 */
	MODE_OPAQUE, /* TLS. If no 220 to STARTTLS was seen, mail commands end this mode */
};

/* The parser of a message's end of data: what the last bytes were. */
enum dot {
	DOT_NO,
	DOT_LINE_START,
	DOT_SEEN,
	DOT_CR,
	DOT_AFTER_GAP, /* nothing was seen since a gap */
	DOT_END,       /* the end of data is complete */
};

/* What the first line of a stream looks like. */
enum side {
	SIDE_SILENT, /* no line yet */
	SIDE_SMTP,
	SIDE_JUNK,  /* the client: no known protocol */
	SIDE_OTHER, /* another known protocol */
};

/* Of a connection that is older than the watch: is a transaction under way (under_way.c)? */
enum under {
	UNDER_OVER,	/* no longer a question: no, or it has begun or ended */
	UNDER_SILENT,	/* the client has said nothing yet */
	UNDER_TEXT,	/* it sends lines of text, too few to tell */
	UNDER_MESSAGE,	/* they are the lines of a message; the current transaction */
	UNDER_ENVELOPE, /* the first command belongs to a transaction that began before */
};

/* The parser of an odd end of data (smuggling.c): what the last bytes were. */
enum odd {
	ODD_LINE_START,
	ODD_DOT,
	ODD_DOT_CR,
	ODD_NO,
};

/* The position within a message. Also used by itself, where a message is scanned but not parsed. */
struct message_place {
	enum dot dot;
	uint32_t held; /* bytes of this line that may be the end of data: the dot and its CRs */
	bool crlf;     /* the previous line ended with CRLF */
	char last;     /* the previous byte */
	/* With an urgent byte in the line: the possible values of `dot`, a bit each; else 0. */
	uint8_t ways;

	/* For smuggling.c only. */
	enum odd odd;
	bool odd_end;	  /* an end of data for some servers, but not for this parser */
	uint8_t mail_len; /* bytes of a MAIL command matched after it */
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
	 * For these, `open` is the transaction that the command ends if the server accepts it. The
	 * transaction does not wait for these replies: they do not count in open->owed.
	 */
	OWED_GREETING,
	OWED_STARTTLS,
	OWED_RESET,
	OWED_QUIT,
};

/* An open transaction, and what only the session needs to know of it. */
struct open {
	struct open *next;
	struct smtp_transaction *transaction;
	struct mail_parser *mail; /* owned; of the message in progress */
	uint32_t owed;		  /* replies still owed to it */
	uint32_t ends_owed;	  /* replies still owed to commands that may end it (RSET etc.) */
	bool ended;
	bool cut;	 /* it goes on after the watch has ended */
	bool data_asked; /* DATA or BDAT was sent */
	bool data_refused;
	bool data_taken;     /* 354 to its DATA, or 2yz to its BDAT */
	bool confirmed;	     /* if it is under way: certain enough to be reported */
	bool hidden;	     /* what followed its DATA was not parsed, and may have been commands */
	bool chunk_refused;  /* a BDAT whose octets were sent was refused */
	bool shut_down;	     /* the server closed the connection with 421 */
	bool rcpt_taken;     /* the server took a recipient */
	uint16_t mail_code;  /* reply to MAIL; 0: none yet */
	uint16_t final_code; /* reply to the message; LMTP: the best of them */
	enum owed_kind kept; /* what the reply answers that the transaction keeps */
	/* Of transaction->recipients_dropped: how many the server took, and how many it refused. */
	uint32_t dropped_taken, dropped_refused;
	uint64_t carried; /* bytes of its MAIL and RCPT lines */
};

/* `recipient` of recipients that were dropped; one entry can stand for many of them. */
#define RECIPIENT_DROPPED UINT32_MAX

struct owed {
	struct open *open; /* NULL: the reply belongs to no transaction */
	uint32_t recipient;
	uint32_t count; /* replies; more than 1 only of dropped recipients */
	enum owed_kind kind : 16;
	bool secret; /* the reply to a line that may be a secret: the server may repeat it */
};

/* What was sent after a DATA or BDAT that is not answered (behind.c). */
struct behind {
	char *bytes; /* owned; NULL: nothing is kept */
	size_t at;   /* bytes before this one are parsed */
	size_t len;
	uint64_t line;	  /* where the last line begins; may be beyond `len`, after a chunk */
	bool secret;	  /* it contains an AUTH */
	uint64_t time_ns; /* when the last of it was sent */
};

/* HELO, EHLO or LHLO that the server accepted. */
struct greeting {
	enum smtp_protocol protocol;
	uint16_t len;
	char name[SMTP_WORD_MAX];
};

#define CARRIED_REPEATED_MAX 255U /* bytes of a line that is recognized when it is repeated */

/* What carried.c needs to know besides facts.command_bytes. */
struct carried {
	bool paused;	  /* a gap may have hidden a DATA: what looks like commands may be text */
	bool tokens;	  /* a mechanism with long tokens was used */
	uint64_t cut;	  /* bytes of the line that were not kept, and CRs before its CRLF */
	uint64_t login;	  /* bytes of AUTH lines and of answers */
	uint64_t at_mail; /* command_bytes when the last transaction was reported */
	uint64_t at_request; /* command_bytes when the last request to a proxy ended */
	uint32_t last_len;   /* of the last line that carried something; 0: it was longer */
	char last[CARRIED_REPEATED_MAX];
};

struct smtp_session {
	smtp_transaction_fn on_transaction;
	void *context;
	struct smtp_facts facts;
	struct mail_budget *budget; /* for the content of messages; NULL: no content is kept */
	size_t content_max;

	/* The client's stream. */
	enum mode mode;
	enum side client_side;
	uint64_t position; /* of the next byte */
	uint64_t line_start;
	char *line; /* the line in progress; owned, allocated when first needed */
	uint32_t line_len;
	uint32_t
		line_break; /* where a proxy request, or a refused chunk, ended in the line; or 0 */
	enum under under;
	bool mid_stream;      /* the connection existed before it was watched */
	bool under_mail_port; /* text on this port is most likely a mail */
	bool under_reply;     /* the message ended with a reply: a line begins after a gap */
	bool under_gap;	      /* client bytes are missing since the start */
	uint64_t under_start; /* where the text begins */
	uint32_t under_lines, under_text; /* its lines, and its bytes that count */
	bool line_truncated;
	bool line_crlf;		     /* the last line ended with CRLF */
	bool line_skip;		     /* after a gap: what precedes the next LF is not a line */
	uint16_t urgent[URGENT_MAX]; /* offsets within the line */
	uint32_t urgent_count;
	struct message_place place;
	uint64_t chunk_size;
	uint64_t chunk_left;

	/* Octets of a refused chunk, which the server may have read as commands: parsed as both. */
	uint64_t ghost_left;
	struct open *ghost; /* the transaction they belong to; NULL: none */
	struct behind behind;
	struct carried carried;
	struct smuggled *smuggled; /* owned; NULL: no message had an odd end of data */
	bool inner;		   /* a second reading: an odd end of data is one */
	bool chunk_last;
	bool chunk_odd;	   /* a malformed BDAT, which some servers accept */
	bool soft_allowed; /* the client ends its lines with LF alone */
	bool soft_end;	   /* the last end of data was not CRLF.CRLF, though the client uses CRLF */
	bool doubt;	   /* it was not CRLF.CRLF, and no reply confirmed it */
	bool data_waits;   /* DATA was sent and is not answered */
	bool waits;	   /* DATA or BDAT is not answered; what follows is kept */
	bool unkept;	   /* keep nothing until no reply is owed: too much followed, or a gap */
	bool tls_next;	   /* STARTTLS was sent and not refused: a TLS record may follow */
	bool tls_taken;	   /* the server answered STARTTLS with 220 */
	bool auth_open;	   /* AUTH was sent and has no final reply */
	/*
	 * AUTH was sent and not accepted, and the client has not moved on: it may send its answers
	 * all the same.
	 */
	bool auth_doubt;
	bool lmtp;		   /* one reply per recipient to the message */
	uint32_t auth_step;	   /* client responses to the last AUTH so far */
	uint32_t answers_left;	   /* without replies: lines that still belong to the AUTH */
	struct secrets *secrets;   /* owned; NULL until the first one */
	struct open *current;	   /* NULL while a command that may end it is unanswered */
	struct open *first, *last; /* open transactions, oldest first; `current` is the last */
	uint32_t open_count;
	uint32_t greetings_owed;
	struct greeting greeting; /* the last one that was accepted */

	struct proxy_header header;
	uint32_t header_lines; /* replies owed to it, if the server reads it as lines */

	/*
	 * What was said to a proxy: the position after the last request, and for each request the
	 * number of lines that a mail server would answer.
	 */
	uint64_t request_end;
	uint32_t request_lines[PREAMBLE_HOPS_MAX + 1];

	/* The replies owed: a ring, and how many more are owed behind it (owed.c). */
	struct owed *owed;
	uint64_t owed_uncounted;
	uint32_t owed_size, owed_at, owed_count;
	/*
	 * Of facts.replies_surplus, those that came since the last byte of the client. A gap that
	 * begins at that byte explains them.
	 */
	uint32_t surplus_latest;
	bool out_of_step; /* replies do not match commands until none is owed */

	/* The server's stream. */
	bool replies; /* it will be fed */
	bool server_seen;
	enum side server_side;
	uint32_t tunnel_replies; /* after another protocol: replies since the 220, uninterrupted */
	bool tunnel;		 /* both sides speak SMTP after another protocol (side.c) */
	bool greeted;		 /* the greeting is over */
	char reply_line[REPLY_LINE_MAX];
	uint32_t reply_line_len;
	bool reply_skip;
	char reply_text[SMTP_REPLY_TEXT_MAX];
	uint32_t reply_text_len;
};

/*
 * Looks at bytes that smtp_message_next() just consumed (smuggling.c). Returns how many of them
 * precede what follows an end of data that only some servers accept; -1: there is no such end among
 * them. `*mail`: they complete a MAIL command after such an end.
 */
int64_t smuggling_in_message(struct message_place *place, struct span piece, bool *mail);

typedef void (*urgent_line_fn)(struct smtp_session *session, struct span line, uint64_t time_ns);

/*
 * Reads a line that contains urgent bytes (session->urgent) in the way that yields most commands,
 * and passes it to `on_line`: one line, or several if an urgent byte is a line feed (urgent.c).
 */
void urgent_line(struct smtp_session *session, struct span line, urgent_line_fn on_line,
		 uint64_t time_ns);

/*
 * The next byte of a message, in a line that contains an urgent byte. True: the line ended, and
 * place->dot is DOT_LINE_START or DOT_END (urgent.c).
 */
bool urgent_in_message(struct message_place *place, char c, bool urgent);

/* The protocol that the first line of the client, or of the server, suggests (side.c). */
enum side side_of_client(struct span line);
enum side side_of_server(struct span line);

/* A line of a server that began in another protocol. True: an SMTP session begins with it. */
bool side_tunnel_line(struct smtp_session *session, struct span line);

/* A reply of such a server to what `kind` names. */
void side_tunnel_reply(struct smtp_session *session, enum owed_kind kind, uint16_t code);

/* A command of the client, and the code of a reply: do they belong to SMTP alone, or not to it? */
void side_of_command(struct smtp_session *session, const struct smtp_command *command,
		     struct span line);
void side_of_reply(struct smtp_session *session, uint16_t code);

/* ---- What commands carry (carried.c) --------------------------------------------------------- */

/*
 * The bytes that a command line carries. Call it before the command is executed, and
 * carried_command() with the result after it.
 */
uint64_t carried_by(struct smtp_session *session, const struct smtp_command *command,
		    struct span line);
void carried_command(struct smtp_session *session, const struct smtp_command *command,
		     uint64_t bytes);

/* A line that answers a 334. */
void carried_answer(struct smtp_session *session, struct span line);

/* Octets of a refused chunk that belong to no transaction. */
void carried_octets(struct smtp_session *session, uint64_t bytes);

/* What the line in progress has carried so far. */
uint64_t carried_in_progress(const struct smtp_session *session);

/* The stream ends: a line without an end counts as it is. */
void carried_line_ends(struct smtp_session *session);

/* A transaction ends. `told`: it is reported. */
void carried_transaction(struct smtp_session *session, const struct open *open, bool told);

/* A request to a proxy ended; a proxy answered one, so that its lines were not commands. */
void carried_request(struct smtp_session *session);
void carried_request_answered(struct smtp_session *session);

/* True if the transaction would be reported if it ended now (open.c). */
bool open_is_told(const struct open *open);

/* ---- Open transactions (open.c) -------------------------------------------------------------- */

/* Creates a transaction for a MAIL command; open_begin() takes it over. NULL: no memory. */
struct open *open_new(struct smtp_session *session, const struct smtp_command *command,
		      uint64_t time_ns);
void open_free(struct open *open); /* NULL is allowed */

/*
 * Makes it the session's current transaction. The one before it, if not ended, waits for the reply
 * that ends it.
 */
void open_begin(struct smtp_session *session, struct open *open);

/*
 * Begins a transaction for a RCPT, or data, outside of any: its reverse-path is unknown, and it is
 * reported unless the server refuses all of it. NULL: no memory.
 */
struct open *open_begin_unknown(struct smtp_session *session, uint64_t time_ns);

/* True if every answered part of it was refused, so that the server has no transaction. */
bool open_is_refused(const struct open *open);

/* A command that ends the current transaction if the server accepts it. `kind`: its reply. */
void open_interrupt(struct smtp_session *session, enum owed_kind kind, uint64_t time_ns);

/*
 * The reply to such a command. `ends`: `open` ends with it. Otherwise `open` continues, and what
 * followed the command is joined to it.
 */
void open_interrupted(struct smtp_session *session, struct open *open, enum owed_kind kind,
		      bool ends, uint64_t time_ns);

/* Ends the transaction before `open` at the point where `open` begins. */
void open_end_before(struct smtp_session *session, const struct open *open, uint64_t time_ns);

/*
 * The reply to MAIL. If accepted, it ends the transaction before `open`. If refused, what followed
 * it belongs to that transaction. False: `open` was joined to it and is gone.
 */
bool open_mail_replied(struct smtp_session *session, struct open *open, uint16_t code,
		       uint64_t time_ns);

/* Ends a transaction: reports it now, or with the last reply owed to it. `open` may be NULL. */
void open_end(struct smtp_session *session, struct open *open, enum smtp_end end, uint64_t end_pos,
	      uint64_t time_ns);

/* Keeps a reply to it, to a command of `kind`, unless an earlier reply decided. */
void open_keep_reply(struct smtp_session *session, struct open *open, enum owed_kind kind,
		     uint16_t code, uint64_t time_ns);

/*
 * Forgets the oldest reply owed: it was lost. Its transaction still waits for its other replies.
 * Call it only if a reply is owed.
 */
void open_drop_reply(struct smtp_session *session, uint64_t time_ns);

/* Removes a transaction from the list, reports it, and frees it. */
void open_hand_out(struct smtp_session *session, struct open *open);

/* ---- A transaction under way at the start (under_way.c) -------------------------------------- */

/*
 * A line of the client, unless session->under is UNDER_OVER. True: it is text, and no command.
 */
bool under_way_line(struct smtp_session *session, struct span line, uint64_t time_ns);

/* `len` bytes of the client are missing (0: an unknown number). */
void under_way_gap(struct smtp_session *session, uint64_t len);

/* A reply that is not owed to any command. True: nothing else is to be done with it. */
bool under_way_reply(struct smtp_session *session, uint16_t code, uint64_t time_ns);

/* ---- The client's stream (client.c) ---------------------------------------------------------- */

/* DATA or BDAT was answered: parses what is kept, up to a position in the stream. */
void client_resume(struct smtp_session *session, uint64_t end_pos);

/* Stops waiting for the reply to DATA or BDAT: what followed it is taken as the message. */
void client_assume(struct smtp_session *session);

/* ---- What a line of the client does (verbs.c) ------------------------------------------------ */

/* Executes a command line. `line` is without its line end. */
void verbs_command_line(struct smtp_session *session, struct span line, uint64_t time_ns);

/* Reads a line where the answer to a 334 is expected. If it is a command, executes it. */
void verbs_answer_line(struct smtp_session *session, struct span line, uint64_t time_ns);

/*
 * True if a line is certainly a command, not an answer to a 334, which is base64 (RFC 4954, section
 * 4). `bare`: one-word commands that a client is likely to send count too.
 */
bool is_certain_command(struct span line, bool bare);

/* ---- Secrets (secrecy.c) --------------------------------------------------------------------- */

/*
 * True if a line that is read as a command may be an answer of an AUTH: no command, while an AUTH
 * is open or after it was refused.
 */
bool secrecy_of_line(const struct smtp_session *session, struct span line);

/*
 * Remembers a response. `answer`: it is part of the exchange, and not a line that was sent although
 * the AUTH was refused. A user's name is no secret then. Call it before auth_step is counted up.
 */
void secrecy_keep(struct smtp_session *session, struct span response, bool answer);

/* True if the client moves on with this command: no answer of an AUTH follows it. */
bool secrecy_ends(enum smtp_verb verb);

/* ---- Messages and chunks (message.c) --------------------------------------------------------- */

/*
 * Consumes bytes of a message, up to the end of data (place->dot is DOT_END). Returns how many; at
 * least 1. `*bytes`: how many bytes of text they add to the message. A dot at the start of a line,
 * and CRs after it, are added once the line turns out not to be the end.
 */
size_t smtp_message_next(struct message_place *place, struct span data, uint64_t *bytes);

/* Passes octets of a message to the mail parser of `open`. The first call creates the parser. */
void message_parse(struct smtp_session *session, struct open *open, struct span data);

/* Consume octets of the message, or of the chunk. Return how many. */
size_t message_take(struct smtp_session *session, struct span data, uint64_t time_ns);
size_t chunk_take(struct smtp_session *session, struct span data, uint64_t time_ns);

/* A byte of a message, in a line that contains an urgent byte. `urgent`: it is this one. */
void message_urgent(struct smtp_session *session, char c, bool urgent, uint64_t time_ns);

/* Tells the current message that `len` bytes are missing (0: an unknown number). */
void message_lost(struct smtp_session *session, uint64_t len);

/* A gap of `len` bytes within a message (MODE_MESSAGE), or in a chunk (MODE_CHUNK; may end it). */
void message_gap(struct smtp_session *session, uint64_t len);
void chunk_gap(struct smtp_session *session, uint64_t len, uint64_t time_ns);

/* All octets of the chunk were seen. */
void chunk_end(struct smtp_session *session, uint64_t time_ns);

/* The octets of the refused chunk are over. `ended`: all of them were seen. */
void ghost_over(struct smtp_session *session, bool ended, uint64_t time_ns);

/* ---- What follows an unanswered DATA or BDAT (behind.c) -------------------------------------- */

/* Bytes that are kept and not parsed yet. */
size_t behind_len(const struct smtp_session *session);

/* Keeps bytes. False: too many, or no memory; then none of them is kept. */
bool behind_keep(struct smtp_session *session, struct span data, uint64_t time_ns);

/*
 * Octets of a chunk that are expected next. 0 unless the chunk has recipients, so that the server
 * probably accepts it.
 */
uint64_t behind_chunk(const struct smtp_session *session);

/* Skips that chunk in the search for lines. Call it when a wait for a reply begins. */
void behind_begins(struct smtp_session *session);

/* The line in progress at the end of what is kept. The span is valid until more is kept. */
struct span behind_line(const struct smtp_session *session);

/* Wipes and frees what is kept. */
void behind_free(struct smtp_session *session);

/* Replies and commands no longer match: marks the open transactions. */
void session_lose_step(struct smtp_session *session);

/* ---- What became of a transaction (result.c) ------------------------------------------------- */

/* Sets outcome, result and data_started of its transaction. Call it when the transaction ends. */
void result_decide(const struct smtp_session *session, struct open *open);

/* True if this reply decides what becomes of `open`, as far as is known. */
bool result_is_decided_by(const struct open *open, enum owed_kind kind, uint16_t code);

/* True if every recipient is known to be refused. False if there is none. */
bool result_all_refused(const struct open *open);

/* True if the client only asked whether the server takes the envelope. */
bool result_is_asked(const struct open *open);

/* ---- The replies owed (owed.c) --------------------------------------------------------------- */

/* True for the replies to commands that may end a transaction. They do not count in open->owed. */
bool owed_is_end(enum owed_kind kind);

/* Adds a reply. False: the queue is full, and the reply is only counted. */
bool owed_add(struct smtp_session *session, enum owed_kind kind, struct open *open,
	      uint32_t recipient);

/* Adds the reply to the end of data: one, or with LMTP one per recipient that was not refused. */
void owed_add_message(struct smtp_session *session, struct open *open);

/* LMTP: this recipient was refused after the message was sent; no reply to it is owed for him. */
void owed_drop_message(struct smtp_session *session, struct open *open, uint32_t recipient);

/*
 * Takes one reply out, if any is owed: the oldest. False: it was only counted, and what it answers
 * is not known.
 */
bool owed_take(struct smtp_session *session, struct owed *owed);

/* True if any reply is owed. */
bool owed_any(const struct smtp_session *session);

/* True if a reply to a message is owed. */
bool owed_message(struct smtp_session *session);

/* The reply at this position of the queue, 0 being the oldest; index < owed_count. */
struct owed *owed_at(struct smtp_session *session, uint32_t index);

/* True if the client's stream is certainly TLS. */
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
