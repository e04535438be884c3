/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: an MTA puts its own Received field in front of what it received, so the
 * first field is its own. Its form for local submission begins in a way that no form for mail from
 * the network does:
 *
 *  - Postfix: by HOST (Postfix, from userid UID) id QUEUE_ID; DATE
 *  - Exim: from USER by HOST with local (Exim VERSION) (envelope-from <ADDRESS>) id QUEUE_ID; DATE
 *  - sendmail: (from USER@HOST) by HOST (VERSION/Submit) id QUEUE_ID; DATE
 *  - OpenSMTPD: from localhost (HOST [local]) by HOST (OpenSMTPD) with ESMTPA id QUEUE_ID ...
 *  - nullmailer: (nullmailer pid PID invoked by uid UID); DATE
 *
 * What others chose (HELO, addresses) comes after these words or in brackets, and cannot imitate
 * them. A queue id counts only if the field has one "id". Somebody who puts a second one into his
 * HELO achieves that his mail has no origin.
 *
 * The process that handed it in is found by what the field says of the submission program
 * (submitters.c): its pid, or the user and the time. In Exim's queue id that pid stands between two
 * other numbers, to the base 62: seconds since 1970, pid, a fraction of a second; of 6, 6 and 2
 * digits, since 4.97 of 6, 11 and 4.
 *
 * OpenSMTPD names no user, and no MTA does for mail that it received by SMTP. But its reply to such
 * a mail contains the queue id. The sender of that mail is remembered under the queue id
 * (submissions_add()).
 */
#include "event/origin.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "mail/field.h"

#define RECEIVED_MAX 2048U /* bytes of a Received field; a longer one is ignored */

/* ---- Which MTA ------------------------------------------------------------------------------- */

static const struct mta {
	const char *name;
	const char *executables[6];
	const char *users[4];
} mtas[] = {
	{"postfix",
	 {"/usr/lib/postfix/sbin/smtp", "/usr/lib/postfix/sbin/lmtp", "/usr/libexec/postfix/smtp",
	  "/usr/libexec/postfix/lmtp", "/usr/lib/postfix/bin/smtp", "/usr/lib/postfix/smtp"},
	 {"postfix"}},
	{"exim",
	 {"/usr/sbin/exim4", "/usr/sbin/exim", "/usr/bin/exim", "/usr/local/sbin/exim",
	  "/usr/exim/bin/exim"},
	 {"Debian-exim", "exim", "mailnull", "mail"}},
	{"sendmail",
	 {"/usr/lib/sm.bin/sendmail", "/usr/libexec/sendmail/sendmail",
	  "/usr/sbin/sendmail.sendmail", "/usr/sbin/sendmail-mta", "/usr/lib/sendmail.sendmail"},
	 {"root", "smmsp", "mail"}},
	{"opensmtpd",
	 {"/usr/sbin/smtpd", "/usr/libexec/opensmtpd/smtpd", "/usr/lib/opensmtpd/smtpd",
	  "/usr/lib/smtpd/smtpd"},
	 {"opensmtpd", "smtpd", "_smtpd"}},
	{"nullmailer",
	 {"/usr/lib/nullmailer/smtp", "/usr/libexec/nullmailer/smtp"},
	 {"mail", "nullmail"}},
};

static bool among(const char *const *words, size_t count, const char *word)
{
	for (size_t i = 0; i < count && words[i]; i++) {
		if (strcmp(words[i], word) == 0)
			return true;
	}
	return false;
}

const char *origin_mta(const struct sender *sender)
{
	/* In another root, root made the accounts; no exclusion without `container` matches there.
	 */
	const char *user = sender->user ? sender->user : sender->root_user;

	if (!sender->image || !user || sender->exe_swapped || sender->image->flags & EXEC_MEMFD)
		return NULL;
	for (size_t i = 0; i < sizeof(mtas) / sizeof(mtas[0]); i++) {
		const struct mta *mta = &mtas[i];

		if (among(mta->executables, sizeof(mta->executables) / sizeof(mta->executables[0]),
			  sender->image->executable) &&
		    among(mta->users, sizeof(mta->users) / sizeof(mta->users[0]), user))
			return mta->name;
	}
	return NULL;
}

bool user_passes_on(const char *user)
{
	static const char *const others[] = {"qmailr", "qmails", "courier", "nullmail", "masqmail"};

	if (!user || strcmp(user, "root") == 0)
		return false;
	for (size_t i = 0; i < sizeof(mtas) / sizeof(mtas[0]); i++) {
		if (among(mtas[i].users, sizeof(mtas[i].users) / sizeof(mtas[i].users[0]), user))
			return true;
	}
	return among(others, sizeof(others) / sizeof(others[0]), user);
}

bool path_passes_on(const char *executable)
{
	static const char *const others[] = {"/usr/sbin/dma",
					     "/usr/lib/dma/dma",
					     "/var/qmail/bin/qmail-remote",
					     "/usr/sbin/qmail-remote",
					     "/usr/lib/courier/courier/courieresmtp",
					     "/usr/sbin/masqmail",
					     "/usr/sbin/sendmail",
					     "/usr/lib/sendmail",
					     "/usr/sbin/nginx",
					     "/usr/sbin/haproxy",
					     "/usr/sbin/nullmailer-send",
					     "/usr/sbin/james"};

	if (!executable)
		return false;
	for (size_t i = 0; i < sizeof(mtas) / sizeof(mtas[0]); i++) {
		if (among(mtas[i].executables,
			  sizeof(mtas[i].executables) / sizeof(mtas[i].executables[0]), executable))
			return true;
	}
	return among(others, sizeof(others) / sizeof(others[0]), executable);
}

const char *origin_how_name(enum origin_how how)
{
	static const char *const names[] = {[ORIGIN_NOT_KNOWN] = "none",
					    [ORIGIN_PID] = "pid",
					    [ORIGIN_CONNECTION] = "connection",
					    [ORIGIN_TIME] = "time"};

	return names[how];
}

void origin_free(struct origin *origin)
{
	if (!origin)
		return;
	sender_unref(origin->submitter);
	sender_unref(origin->unproved);
	for (uint32_t i = 0; i < ORIGIN_CANDIDATES_MAX; i++)
		sender_unref(origin->candidates[i]);
	free(origin);
}

/* ---- The Received field ---------------------------------------------------------------------- */

static bool take(struct span *text, const char *word)
{
	size_t len = strlen(word);

	if (text->len < len || memcmp(text->data, word, len) != 0)
		return false;
	text->data += len;
	text->len -= len;
	return true;
}

/*
 * Removes a word from the front: up to a blank or a bracket, because brackets begin comments and
 * addresses. May be empty.
 */
static struct span take_word(struct span *text)
{
	struct span word = {text->data, 0};

	while (word.len < text->len && text->data[word.len] > ' ' &&
	       !strchr("()[]<>;\"\x7f", text->data[word.len]))
		word.len++;
	text->data += word.len;
	text->len -= word.len;
	return word;
}

static bool keep(char *out, size_t max, struct span word)
{
	if (!word.len || word.len > max)
		return false;
	memcpy(out, word.data, word.len);
	out[word.len] = '\0';
	return true;
}

static bool is_queue_id(struct span word)
{
	for (size_t i = 0; i < word.len; i++) {
		if (!isalnum((unsigned char)word.data[i]) && word.data[i] != '-')
			return false;
	}
	return word.len > 0 && word.len <= ORIGIN_QUEUE_ID_MAX;
}

/* The queue id is the word after " id ". If there are two such places, neither counts. */
static void parse_queue_id(struct span text, struct origin *origin)
{
	struct span found = {NULL, 0};

	for (; text.len > 4; text.data++, text.len--) {
		struct span rest = text;

		if (!take(&rest, " id "))
			continue;
		if (found.len)
			return;
		found = take_word(&rest);
		if (!found.len)
			return;
	}
	if (is_queue_id(found))
		keep(origin->queue_id, ORIGIN_QUEUE_ID_MAX, found);
}

static bool parse_number(struct span digits, uint32_t *number)
{
	uint64_t value = 0;

	for (size_t i = 0; i < digits.len; i++) {
		if (!isdigit((unsigned char)digits.data[i]) || value > UINT32_MAX)
			return false;
		value = value * 10 + (uint64_t)(digits.data[i] - '0');
	}
	*number = (uint32_t)value;
	return digits.len && value < UINT32_MAX;
}

static bool parse_base62(struct span digits, uint64_t *number)
{
	static const char alphabet[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	uint64_t value = 0;

	for (size_t i = 0; i < digits.len; i++) {
		const char *digit = digits.data[i] ? strchr(alphabet, digits.data[i]) : NULL;

		if (!digit || value > (UINT64_MAX - 61) / 62)
			return false;
		value = value * 62 + (uint64_t)(digit - alphabet);
	}
	*number = value;
	return true;
}

/* The pid and the time of the process that received the mail. */
static void parse_exim_queue_id(struct origin *origin)
{
	const char *id = origin->queue_id;
	size_t len = strlen(id), pid_len = len == 16 ? 6 : 11;
	uint64_t seconds, pid;

	if ((len != 16 && len != 23) || id[6] != '-' || id[7 + pid_len] != '-' ||
	    !parse_base62((struct span){id, 6}, &seconds) ||
	    !parse_base62((struct span){id + 7, pid_len}, &pid) || !pid || pid > INT32_MAX)
		return;
	origin->pid = (uint32_t)pid;
	origin->time_s = (int64_t)seconds;
	origin->has_time = true;
}

/* The date stands at the end, behind the last semicolon. */
static void parse_date(struct span text, struct origin *origin)
{
	size_t at = text.len;

	while (at && text.data[at - 1] != ';')
		at--;
	origin->has_time = at && mail_field_date((struct span){text.data + at, text.len - at},
						 &origin->time_s);
}

static bool parse_nullmailer(struct span text, struct origin *origin)
{
	return take(&text, "(nullmailer pid ") && parse_number(take_word(&text), &origin->pid) &&
	       origin->pid && take(&text, " invoked by uid ") &&
	       parse_number(take_word(&text), &origin->uid) && take(&text, "); ") &&
	       (origin->has_uid = origin->named = true);
}

static bool parse_opensmtpd(struct span text)
{
	return take(&text, "from localhost (") && take_word(&text).len && take(&text, " [local]");
}

static bool parse_postfix(struct span text, struct origin *origin)
{
	if (!take(&text, "by ") || !take_word(&text).len || !take(&text, " (Postfix, from userid "))
		return false;
	origin->has_uid = parse_number(take_word(&text), &origin->uid) && take(&text, ")");
	origin->named = origin->has_uid;
	return origin->has_uid;
}

static bool parse_exim(struct span text, struct origin *origin)
{
	struct span user;

	if (!take(&text, "from "))
		return false;
	user = take_word(&text);
	return take(&text, " by ") && take_word(&text).len && take(&text, " with local (Exim ") &&
	       keep(origin->user, ORIGIN_USER_MAX, user);
}

static bool parse_sendmail(struct span text, struct origin *origin)
{
	struct span user;
	const char *at;

	if (!take(&text, "(from "))
		return false;
	user = take_word(&text);
	at = memchr(user.data, '@', user.len);
	if (!at || !take(&text, ") by "))
		return false;
	return keep(origin->user, ORIGIN_USER_MAX,
		    (struct span){user.data, (size_t)(at - user.data)});
}

/* A run of white space, as folding leaves it, becomes one blank. */
static struct span without_runs(struct span text, char *out)
{
	struct span copy = {out, 0};

	for (size_t i = 0; i < text.len; i++) {
		bool blank = strchr(" \t\r\n", text.data[i]) && text.data[i];

		if (blank && (!copy.len || out[copy.len - 1] == ' '))
			continue;
		out[copy.len++] = blank ? ' ' : text.data[i];
	}
	return copy;
}

bool origin_parse(const char *mta, struct span received, struct origin *origin)
{
	char text[RECEIVED_MAX];
	bool local;

	*origin = (struct origin){.mta = mta};
	if (received.len > sizeof(text))
		return false;
	received = without_runs(received, text);
	local = strcmp(mta, "postfix") == 0	 ? parse_postfix(received, origin)
		: strcmp(mta, "exim") == 0	 ? parse_exim(received, origin)
		: strcmp(mta, "sendmail") == 0	 ? parse_sendmail(received, origin)
		: strcmp(mta, "nullmailer") == 0 ? parse_nullmailer(received, origin)
						 : false;
	if (!local)
		*origin = (struct origin){.mta = mta};
	parse_queue_id(received, origin);
	origin->local = local || (strcmp(mta, "opensmtpd") == 0 && parse_opensmtpd(received));
	if (origin->local && strcmp(mta, "exim") == 0)
		parse_exim_queue_id(origin);
	else if (origin->local)
		parse_date(received, origin);
	return origin->local || origin->queue_id[0];
}

/* ---- The reply that accepts a mail ----------------------------------------------------------- */

struct span origin_queue_id(const struct smtp_transaction *transaction)
{
	static const char taken[] = " Message accepted for delivery"; /* sendmail, OpenSMTPD */
	struct span text = {transaction->reply_text, transaction->reply_len}, word = {"", 0},
		    rest = text;

	if (transaction->outcome != SMTP_OUTCOME_SUCCESS)
		return word;
	if (take(&rest, "OK id=") || take(&rest, "2.0.0 Ok: queued as ")) /* Exim, Postfix */
		word = take_word(&rest);
	else if (take(&rest, "2.0.0 ") && (word = take_word(&rest)).len && !take(&rest, taken))
		word.len = 0;
	return is_queue_id(word) ? word : (struct span){"", 0};
}
