/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the replies in a piece of the server's stream are counted off against the
 * replies owed, as the session will do it. As long as one owed to a secret line (secrecy.c) is to
 * come, the text of every reply is masked: it may repeat the secret as it was sent, decoded, or in
 * parts. A replay needs the codes alone. So is text that answers nothing, or that cannot be
 * matched, while the client may still send secrets. Anywhere else, the secrets that the session
 * remembers are looked for.
 */
#include <ctype.h>

#include "smtp/session.h"

#define CODE_LEN 3U

struct masking {
	const struct smtp_session *session;
	bool in_order;
	bool greeted;
	bool open;	  /* secrets may still come, or just came */
	uint64_t next;	  /* the reply owed that the next line answers: how many come before it */
	uint64_t last;	  /* the number of replies owed up to the last one to a secret line */
	uint64_t owed;	  /* the number of all replies in the queue */
	struct span head; /* of the line in progress, seen earlier */
	bool unseen;	  /* the start of the line was not seen */
};

static const struct owed *owed_of(const struct smtp_session *session, uint32_t index)
{
	return &session->owed[(session->owed_at + index) & (session->owed_size - 1)];
}

static struct masking masking_begin(const struct smtp_session *session, bool in_order)
{
	struct masking masking = {.session = session,
				  .in_order = in_order,
				  .greeted = session->greeted,
				  .open = session->auth_open || session->auth_doubt,
				  .head = {"", 0}};

	for (uint32_t i = 0; i < session->owed_count; i++) {
		masking.owed += owed_of(session, i)->count;
		if (owed_of(session, i)->secret || owed_of(session, i)->kind == OWED_AUTH)
			masking.last = masking.owed;
	}
	if (in_order) {
		masking.head = (struct span){session->reply_line, session->reply_line_len};
		masking.unseen = session->reply_skip;
	}
	return masking;
}

/* Whether the line may repeat a secret. */
static bool is_secret(const struct masking *masking)
{
	const struct smtp_session *session = masking->session;

	if (!masking->in_order)
		return masking->last || masking->open;
	if (masking->next < masking->last)
		return true;
	return masking->open && (masking->next >= masking->owed || session->out_of_step);
}

/* Overwrites all but the code and the character behind it. `at`: the place of data in its line. */
static void mask_text(char *data, size_t len, size_t at, bool unseen)
{
	for (size_t i = 0; i < len; i++, at++) {
		char c = data[i];
		bool code = !unseen && ((at < CODE_LEN && isdigit((unsigned char)c)) ||
					(at == CODE_LEN && (c == ' ' || c == '-')));

		if (!code && c != '\r' && c != '\n')
			data[i] = '*';
	}
}

/* The first bytes of a line that is complete, without its LF. */
static struct span line_start(const struct masking *masking, const char *data, size_t len,
			      char start[CODE_LEN + 1])
{
	struct span head = masking->head;
	size_t count = 0;

	while (count <= CODE_LEN && count < head.len + len - 1) {
		start[count] = count < head.len ? head.data[count] : data[count - head.len];
		count++;
	}
	return without_cr((struct span){start, count});
}

/* Only DATA is answered with 354: replies before it were missed. */
static void skip_to_data(struct masking *masking)
{
	const struct smtp_session *session = masking->session;
	uint64_t before = 0;

	for (uint32_t i = 0; i < session->owed_count; i++) {
		const struct owed *owed = owed_of(session, i);

		if (before >= masking->next && owed->kind == OWED_DATA) {
			masking->next = before;
			return;
		}
		before += owed->count;
	}
}

/* Counts off a complete line. It must not have been masked yet. */
static void count_line(struct masking *masking, const char *data, size_t len)
{
	char start[CODE_LEN + 1];
	struct span line = line_start(masking, data, len, start);
	bool greeting = !masking->greeted;

	if (masking->unseen || line.len < CODE_LEN || line.data[0] < '2' || line.data[0] > '5' ||
	    !isdigit((unsigned char)line.data[1]) || !isdigit((unsigned char)line.data[2]) ||
	    (line.len > CODE_LEN && line.data[CODE_LEN] == '-'))
		return;
	masking->greeted = true;
	if (greeting && memcmp(line.data, "220", CODE_LEN) == 0)
		return;
	if (memcmp(line.data, "354", CODE_LEN) == 0)
		skip_to_data(masking);
	masking->next++;
}

void smtp_mask_replies(const struct smtp_session *session, char *data, size_t len, bool in_order)
{
	struct masking masking = masking_begin(session, in_order);

	if (is_opaque(session) || (!masking.last && !masking.open && !session->secrets))
		return;
	while (len) {
		const char *end = memchr(data, '\n', len);
		size_t taken = end ? (size_t)(end - data) + 1 : len;
		bool secret = is_secret(&masking);
		size_t at = masking.head.len;

		if (end)
			count_line(&masking, data, taken);
		secrets_mask(session->secrets, masking.head, data, taken);
		if (secret)
			mask_text(data, taken, at, masking.unseen);
		masking.head.len = 0;
		masking.unseen = false;
		data += taken;
		len -= taken;
	}
}
