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
 *
 * What others chose (HELO, addresses) comes after these words or in brackets, and cannot imitate
 * them. A queue id counts only if the field has one "id". Somebody who puts a second one into his
 * HELO achieves that his mail has no origin.
 *
 * OpenSMTPD names no user, and no MTA does for mail that it received by SMTP. But its reply to such
 * a mail contains the queue id. The sender of that mail is remembered under the queue id
 * (submissions_add()).
 */
#include "event/origin.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

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
	static const char *const others[] = {
		"/usr/lib/nullmailer/smtp", "/usr/sbin/dma",
		"/usr/lib/dma/dma",	    "/var/qmail/bin/qmail-remote",
		"/usr/sbin/qmail-remote",   "/usr/lib/courier/courier/courieresmtp",
		"/usr/sbin/masqmail",	    "/usr/sbin/sendmail",
		"/usr/lib/sendmail",	    "/usr/sbin/nginx",
		"/usr/sbin/haproxy",	    "/usr/sbin/nullmailer-send",
		"/usr/sbin/james",	    "/usr/libexec/nullmailer/smtp"};

	if (!executable)
		return false;
	for (size_t i = 0; i < sizeof(mtas) / sizeof(mtas[0]); i++) {
		if (among(mtas[i].executables,
			  sizeof(mtas[i].executables) / sizeof(mtas[i].executables[0]), executable))
			return true;
	}
	return among(others, sizeof(others) / sizeof(others[0]), executable);
}

void origin_free(struct origin *origin)
{
	if (!origin)
		return;
	sender_unref(origin->submitter);
	for (uint32_t i = 0; i < origin->candidate_count && i < ORIGIN_CANDIDATES_MAX; i++)
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
	local = strcmp(mta, "postfix") == 0    ? parse_postfix(received, origin)
		: strcmp(mta, "exim") == 0     ? parse_exim(received, origin)
		: strcmp(mta, "sendmail") == 0 ? parse_sendmail(received, origin)
					       : false;
	if (!local)
		*origin = (struct origin){.mta = mta};
	parse_queue_id(received, origin);
	return local || origin->queue_id[0];
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

/* ---- Mails on their way into an MTA ---------------------------------------------------------- */

struct submission {
	char queue_id[ORIGIN_QUEUE_ID_MAX + 1];
	char event_id[ORIGIN_EVENT_LEN + 1];
	uint32_t uid;
	bool named;
	bool disputed;
};

struct submissions {
	uint32_t hashes[SUBMISSIONS_MAX]; /* of the queue ids: a search reads these first */
	struct submission ring[SUBMISSIONS_MAX];
	uint32_t next;
};

struct submissions *submissions_new(void)
{
	return calloc(1, sizeof(struct submissions));
}

void submissions_free(struct submissions *submissions)
{
	free(submissions);
}

/* FNV-1a */
static uint32_t hash_of(const char *queue_id)
{
	uint32_t hash = 2166136261U;

	for (; *queue_id; queue_id++)
		hash = (hash ^ (unsigned char)*queue_id) * 16777619U;
	return hash;
}

/* The place in the ring; SUBMISSIONS_MAX: it is not there. */
static uint32_t find(const struct submissions *submissions, const char *queue_id)
{
	uint32_t hash = hash_of(queue_id);

	for (uint32_t i = 0; i < SUBMISSIONS_MAX; i++) {
		if (submissions->hashes[i] == hash &&
		    strcmp(submissions->ring[i].queue_id, queue_id) == 0)
			return i;
	}
	return SUBMISSIONS_MAX;
}

void submissions_add(struct submissions *submissions, struct span queue_id, uint32_t uid,
		     bool named, const char *event_id)
{
	struct submission made = {.uid = uid, .named = named};
	uint32_t place;

	if (!keep(made.queue_id, ORIGIN_QUEUE_ID_MAX, queue_id))
		return;
	keep(made.event_id, ORIGIN_EVENT_LEN, span_of(event_id));
	place = find(submissions, made.queue_id);
	if (place < SUBMISSIONS_MAX) {
		const struct submission *before = &submissions->ring[place];

		made.disputed = before->disputed || before->uid != uid;
	} else {
		place = submissions->next++ % SUBMISSIONS_MAX;
	}
	submissions->ring[place] = made;
	submissions->hashes[place] = hash_of(made.queue_id);
}

bool submissions_find(const struct submissions *submissions, struct origin *origin)
{
	uint32_t place =
		origin->queue_id[0] ? find(submissions, origin->queue_id) : SUBMISSIONS_MAX;
	const struct submission *one = &submissions->ring[place % SUBMISSIONS_MAX];

	if (place == SUBMISSIONS_MAX || one->disputed)
		return false;
	origin->has_uid = true;
	origin->uid = one->uid;
	origin->named = one->named;
	memcpy(origin->submission, one->event_id, sizeof(origin->submission));
	return true;
}
