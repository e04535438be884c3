/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: is this SMTP, or another protocol that carries the text of a session? An
 * HTTP POST, an IMAP APPEND, an NNTP post, a Redis value or a log line can contain a session byte
 * for byte. But in none of them do both ends speak SMTP. So the first line of each side decides:
 *
 * server SMTP    A reply of RFC 5321, 4.2. It is SMTP, whatever the client sent first: a server
 *                accepts commands after lines that it does not understand (junk, a web request).
 * server other   It is SMTP if the client's first line is a command: an attacker's own server may
 *                answer anything. It is also SMTP if both sides speak it later, as through an
 *                unknown tunnel (preamble.c knows some): a 220 and then replies to the client's
 *                commands, with no other line between them; or a 354 to a DATA that the client
 *                waits for.
 * server silent  (Or its replies cannot be seen.) It is SMTP unless the client began in another
 *                protocol.
 *
 * That a server opens with 220 does not yet make a session: servers of FTP, DICT, SNPP and others
 * do the same, and share QUIT, HELP, NOOP and most codes with SMTP. A command that only SMTP has
 * decides. A client that sends none of them speaks SMTP if its lines carried data
 * (SMTP_CARRIED_MAX), and neither it nor the server used a word or a code of such another protocol.
 * An FTP session never gets that far without one: it begins with USER, and NOOP is answered with
 * 200.
 */
#include <ctype.h>
#include <strings.h>

#include "smtp/session.h"

static bool starts(struct span line, const char *word)
{
	size_t len = strlen(word);

	return line.len >= len && strncasecmp(line.data, word, len) == 0;
}

static size_t digits(struct span line)
{
	size_t count = 0;

	while (count < line.len && isdigit((unsigned char)line.data[count]))
		count++;
	return count;
}

/* "<34>1 ..." of RFC 5424, with or without a length in front (RFC 6587). */
static bool is_syslog(struct span line)
{
	size_t at = digits(line);

	if (at && at < line.len && line.data[at] == ' ')
		at++;
	else if (at)
		return false;
	return at + 1 < line.len && line.data[at] == '<' &&
	       isdigit((unsigned char)line.data[at + 1]);
}

static bool is_http(struct span line)
{
	if (starts(line, "HTTP/"))
		return true;
	for (size_t i = 0; i + 6 <= line.len; i++) {
		if (memcmp(line.data + i, " HTTP/", 6) == 0)
			return !starts(line, "CONNECT "); /* what follows in the tunnel counts */
	}
	return false;
}

/* RESP: "*3", "$12", and inline commands that no mail client sends. */
static bool is_redis(struct span line)
{
	return line.len > 1 && (line.data[0] == '*' || line.data[0] == '$') &&
	       isdigit((unsigned char)line.data[1]);
}

/*
 * The first words of NNTP (RFC 3977) and of Redis' inline form, which carry texts. POP3 and FTP are
 * not looked for: their clients never quote a session, so a session that follows their commands is
 * one.
 */
static bool is_other_command(struct span line)
{
	static const char *const words[] = {"MODE ",  "POST",	"IHAVE ",   "TAKETHIS ",
					    "CHECK ", "GROUP ", "AUTHINFO", "SET ",
					    "LPUSH ", "RPUSH",	"{"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (starts(line, words[i]))
			return true;
	}
	return false;
}

/* "a1 LOGIN ...": a tag and a command of IMAP (RFC 9051). */
static bool is_imap(struct span line)
{
	static const char *const words[] = {"LOGIN",	"CAPABILITY", "AUTHENTICATE",
					    "ID",	"SELECT",     "APPEND",
					    "STARTTLS", "NAMESPACE",  "EXAMINE"};
	const char *blank = memchr(line.data, ' ', line.len);
	struct span rest;

	if (!blank || blank == line.data)
		return false;
	rest = (struct span){blank + 1, line.len - (size_t)(blank + 1 - line.data)};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i]);

		if (starts(rest, words[i]) && (rest.len == len || rest.data[len] == ' '))
			return true;
	}
	return false;
}

enum side side_of_client(struct span line)
{
	struct smtp_command command = smtp_command_parse(line);

	switch (command.verb) {
	case SMTP_VERB_HELO:
	case SMTP_VERB_EHLO:
	case SMTP_VERB_LHLO:
	case SMTP_VERB_MAIL:
	case SMTP_VERB_RCPT: return SIDE_SMTP;
	default: break;
	}
	/* A request to a SOCKS proxy (the first byte is the version, 4 or 5), or to an HTTP one. */
	if ((line.len && (line.data[0] == 4 || line.data[0] == 5)) || starts(line, "CONNECT "))
		return SIDE_SMTP;
	if (is_syslog(line) || is_http(line) || is_redis(line) || is_other_command(line) ||
	    is_imap(line))
		return SIDE_OTHER;
	return SIDE_JUNK;
}

enum side side_of_server(struct span line)
{
	if (line.len < 3 || digits((struct span){line.data, 3}) != 3 ||
	    (line.len > 3 && line.data[3] != ' ' && line.data[3] != '-'))
		return SIDE_OTHER;
	/*
	 * NNTP greets with 200 or 201 and answers a post with 240, 335 or 340. SMTP uses none of
	 * these.
	 */
	if (line.data[0] < '2' || line.data[0] > '5' || memcmp(line.data, "200", 3) == 0 ||
	    memcmp(line.data, "201", 3) == 0 || memcmp(line.data, "240", 3) == 0 ||
	    memcmp(line.data, "335", 3) == 0 || memcmp(line.data, "340", 3) == 0)
		return SIDE_OTHER;
	return SIDE_SMTP;
}

bool side_tunnel_line(struct smtp_session *session, struct span line)
{
	if (side_of_server(line) != SIDE_SMTP) {
		session->tunnel_replies = 0;
		return false;
	}
	if (session->tunnel_replies || !starts(line, "220"))
		return false;
	session->tunnel_replies = 1;
	return true;
}

#define TUNNEL_REPLIES 3U /* matching replies needed after a 220 */

void side_tunnel_reply(struct smtp_session *session, enum owed_kind kind, uint16_t code)
{
	bool data = kind == OWED_DATA && code == 354;

	if (data && session->waits && !behind_len(session))
		session->tunnel = true;
	if (!session->tunnel_replies || code >= 400)
		return;
	if (data || kind == OWED_GREETING || kind == OWED_MAIL || kind == OWED_RCPT)
		session->tunnel_replies++;
	if (session->tunnel_replies > TUNNEL_REPLIES)
		session->tunnel = true;
}

/* ---- Other protocols that greet with 220 ------------------------------------------------------
 */

static bool is_word_of(struct span word, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (word.len == strlen(words[i]) && starts(word, words[i]))
			return true;
	}
	return false;
}

/* Commands of FTP (RFC 959, 2228, 2389, 2428, 3659), DICT (RFC 2229) and SNPP (RFC 1861). */
static bool is_foreign_verb(struct span word)
{
	static const char *const words[] = {"USER",   "PASS",	"ACCT", "CWD",	"CDUP",	  "SMNT",
					    "REIN",   "PORT",	"PASV", "TYPE", "STRU",	  "MODE",
					    "RETR",   "STOR",	"STOU", "APPE", "ALLO",	  "REST",
					    "RNFR",   "RNTO",	"ABOR", "DELE", "RMD",	  "MKD",
					    "PWD",    "LIST",	"NLST", "SITE", "SYST",	  "STAT",
					    "FEAT",   "OPTS",	"EPRT", "EPSV", "MLSD",	  "MLST",
					    "SIZE",   "MDTM",	"PBSZ", "PROT", "CCC",	  "ADAT",
					    "LANG",   "CLNT",	"XPWD", "XCWD", "DEFINE", "MATCH",
					    "CLIENT", "OPTION", "SHOW", "PAGE", "MESS",	  "LOGI",
					    "LEVE",   "ALER"};

	return is_word_of(word, words, sizeof(words) / sizeof(words[0]));
}

static bool is_smtp_verb(struct span word)
{
	static const char *const words[] = {"VRFY", "EXPN", "RSET",	"BDAT",	   "MAIL",
					    "RCPT", "ETRN", "STARTTLS", "XCLIENT", "XFORWARD"};

	return is_word_of(word, words, sizeof(words) / sizeof(words[0]));
}

void side_of_command(struct smtp_session *session, const struct smtp_command *command,
		     struct span line)
{
	struct span word = {line.data, 0};

	if (session->facts.smtp_verb_seen)
		return;
	while (word.len < line.len && isalpha((unsigned char)line.data[word.len]))
		word.len++;
	if (command->verb == SMTP_VERB_MAIL || command->verb == SMTP_VERB_RCPT ||
	    is_smtp_verb(word))
		session->facts.smtp_verb_seen = true;
	/* FTP's "AUTH TLS"; no mechanism has this name */
	else if (is_foreign_verb(word) ||
		 (command->verb == SMTP_VERB_AUTH && starts(command->argument, "TLS")))
		session->facts.other_verb_seen = true;
}

/* Codes that SMTP does not have: 200, 226, 230, 331 and the like. */
void side_of_reply(struct smtp_session *session, uint16_t code)
{
	bool smtp = code == 211 || code == 214 || code == 220 || code == 221 || code == 235 ||
		    (code >= 250 && code <= 255) || code == 334 || code == 354 ||
		    (code >= 400 && code != 425 && code != 426 && code != 434 && code != 532);

	session->facts.other_verb_seen = session->facts.other_verb_seen || !smtp;
}

bool smtp_session_is_smtp(const struct smtp_session *session)
{
	if (session->tunnel)
		return true;
	if (session->server_side == SIDE_SMTP)
		return true;
	if (session->server_side == SIDE_SILENT)
		return session->client_side != SIDE_OTHER;
	return session->client_side == SIDE_SMTP;
}
