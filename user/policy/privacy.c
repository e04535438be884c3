/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: an event is rewritten after it was decided and before a format sees it, so
 * no format needs to know about privacy. Addresses and subjects can be in these fields:
 *
 *  - a whole address: smtp.mail_from, smtp.rcpt_to[], smtp.rcpt_refused[] (the same bytes), the
 *    values of ORCPT= and AUTH= in smtp.mail_parameters, email.{from,to,cc,reply_to}.address[]
 *  - a name: smtp.auth.user
 *  - free text: the rest of smtp.mail_parameters, smtp.last_reply.text, smtp.helo,
 *    smtp.auth.mechanism, email.{subject,x_mailer}, smtpsnoop.claims,
 *    email.attachments[].file.{name,mime_type}, tls.client.server_name, the comm of every sender,
 *    and the arguments of every sender and ancestor
 *  - a path: the executable and its name, the script and the working directory of every sender and
 *    ancestor, and the directory of every sender at the send
 *  - a subject: email.subject, and the arguments that contain it, even across several of them, also
 *    those of ancestors; all arguments except the first, if the subject is not known (a session's
 *    totals, an encrypted session, a header that was not seen completely); and
 *    smtpsnoop.claims.source_args
 *
 * These stay as they are: email.message_id, whose left side is a number that a program made up, and
 * which finds a mail in a server's log; names of users (smtpsnoop.origin.user too), groups, units,
 * cgroups and containers, and queue ids, which belong to this host and say who sent; a proxy's
 * target, which is a server; what the configuration and the rules contain.
 *
 * The transaction, its mail, the session and the origin belong to the event and are changed in
 * place. Senders and images are shared with the flow, the process table and other events: if one
 * must change, a copy replaces it.
 *
 * The sender chooses his arguments and paths, and those of his ancestors, and a few bytes are
 * enough to cause an event. So the work on an image for one event is bounded (ARGS_PLACES_MAX,
 * PATHS_PLACES_MAX); smtpsnoop.yaml(5) describes that.
 */
#include "policy/privacy.h"

#include <stdlib.h>
#include <string.h>

#include "event/event.h"
#include "policy/privacy_parameters.h"
#include "policy/privacy_text.h"
#include "base/text.h"

#define SUBJECT_MIN 4U /* bytes; a shorter subject would be found everywhere */
/* Words with an '@' examined in the arguments of an image; the text after them is left out. */
#define ARGS_PLACES_MAX 64U
/* The same for its executable, script and working directory together. */
#define PATHS_PLACES_MAX 16U
#define IMAGES_MAX	 ((EVENT_SENDERS_MAX + ORIGIN_CANDIDATES_MAX + 1) * (ANCESTORS_MAX + 1))

/*
 * An image of the event, and its replacement: itself if nothing must change. Both are references.
 */
struct exchange {
	struct image *from, *to;
};

struct hiding {
	const struct privacy *privacy;
	struct teller teller;
	struct text subject; /* the subject to find in arguments, loosened; empty: none */
	bool args_hidden;    /* the arguments may contain a subject that is not known */
	struct exchange images[IMAGES_MAX];
	size_t image_count;
	struct text scratch;
};

/* ---- Fields of one size, and strings --------------------------------------------------------- */

/* False: there was no memory. */
static bool hide_field(struct hiding *hiding, char *field, uint16_t *len, size_t size)
{
	struct text *out = &hiding->scratch;

	text_clear(out);
	privacy_text(out, &hiding->teller, (struct span){field, *len},
		     *len == size ? PRIVACY_CUT : PRIVACY_TEXT, size);
	if (out->failed)
		return false;
	if (out->len)
		memcpy(field, out->data, out->len);
	*len = (uint16_t)out->len;
	return true;
}

static bool hide_auth_user(struct hiding *hiding, struct smtp_facts *session)
{
	struct text *out = &hiding->scratch;

	text_clear(out);
	privacy_name(out, &hiding->teller,
		     (struct span){session->auth_user, session->auth_user_len});
	if (out->failed)
		return false;
	/* Never happens: a domain and a hash are shorter */
	if (out->len > sizeof(session->auth_user))
		out->len = 0;
	if (out->len)
		memcpy(session->auth_user, out->data, out->len);
	session->auth_user_len = (uint16_t)out->len;
	return true;
}

/* False: there was no memory. */
static bool take_string(struct hiding *hiding, char **string)
{
	const struct text *out = &hiding->scratch;
	char *copy = out->failed ? NULL : strdup(out->data ? out->data : "");

	if (!copy)
		return false;
	free(*string);
	*string = copy;
	return true;
}

static bool hide_name(struct hiding *hiding, char **name)
{
	if (!*name || !privacy_may_hold_address(span_of(*name), PRIVACY_TEXT))
		return true;
	text_clear(&hiding->scratch);
	privacy_text(&hiding->scratch, &hiding->teller, span_of(*name), PRIVACY_TEXT, SIZE_MAX);
	return take_string(hiding, name);
}

static bool hide_path(struct hiding *hiding, char **path, size_t *places)
{
	if (!privacy_may_hold_address(span_of(*path), PRIVACY_PATH))
		return true;
	text_clear(&hiding->scratch);
	privacy_bounded_text(&hiding->scratch, &hiding->teller, span_of(*path), PRIVACY_PATH, NULL,
			     places);
	return take_string(hiding, path);
}

static bool hide_session(struct hiding *hiding, struct smtp_facts *session)
{
	if (!session || hiding->privacy->addresses == PRIVACY_FULL)
		return true;
	return hide_field(hiding, session->helo, &session->helo_len, sizeof(session->helo)) &&
	       hide_field(hiding, session->auth_mechanism, &session->auth_mechanism_len,
			  sizeof(session->auth_mechanism)) &&
	       hide_auth_user(hiding, session);
}

/* ---- The envelope ---------------------------------------------------------------------------- */

static uint32_t add_address(struct hiding *hiding, struct text *out, struct span address)
{
	size_t before = out->len;

	privacy_address(out, &hiding->teller, address);
	return (uint32_t)(out->len - before);
}

/* Replaces the envelope: from, parameters and recipients, in this order. */
static void set_envelope(struct smtp_transaction *transaction, struct text *out, uint32_t from_len,
			 uint32_t parameters_len, struct smtp_recipient *recipients)
{
	free(transaction->envelope);
	free(transaction->recipients);
	transaction->envelope = out->data;
	transaction->envelope_len = (uint32_t)out->len;
	transaction->envelope_size = (uint32_t)out->size;
	transaction->from_len = from_len;
	transaction->parameters_off = from_len;
	transaction->parameters_len = parameters_len;
	transaction->recipients = recipients;
	transaction->recipient_size = transaction->recipient_count;
}

/* Writes the envelope again, because a replacement may be longer than its address. */
static bool hide_envelope(struct hiding *hiding, struct smtp_transaction *transaction)
{
	struct smtp_recipient *recipients =
		calloc(transaction->recipient_count + 1U, sizeof(*recipients));
	struct text out = {0};
	uint32_t from_len, parameters_len;

	if (!recipients)
		return false;
	from_len = add_address(hiding, &out, smtp_transaction_from(transaction));
	privacy_parameters(&out, &hiding->teller, smtp_transaction_parameters(transaction));
	parameters_len = (uint32_t)out.len - from_len;
	for (uint32_t i = 0; i < transaction->recipient_count && !out.failed; i++) {
		recipients[i] = (struct smtp_recipient){.offset = (uint32_t)out.len,
							.code = transaction->recipients[i].code};
		recipients[i].len =
			add_address(hiding, &out, smtp_transaction_recipient(transaction, i));
	}
	if (out.failed) {
		text_free(&out);
		free(recipients);
		return false;
	}
	set_envelope(transaction, &out, from_len, parameters_len, recipients);
	return true;
}

/* ---- The mail -------------------------------------------------------------------------------- */

static struct mail_string add_text(struct hiding *hiding, struct text *out, const struct mail *mail,
				   struct mail_string string)
{
	uint32_t before = (uint32_t)out->len;

	privacy_text(out, &hiding->teller, mail_span(mail, string), PRIVACY_TEXT, SIZE_MAX);
	return (struct mail_string){before, (uint32_t)out->len - before};
}

/* Nothing of the old text remains, not even what no format writes. */
static bool hide_mail(struct hiding *hiding, struct mail *mail)
{
	struct mail_string id = mail->message_id;
	struct text out = {0};

	for (uint32_t i = 0; i < mail->address_count; i++) {
		struct mail_string *address = &mail->addresses[i].address;
		uint32_t before = (uint32_t)out.len;
		uint32_t len = add_address(hiding, &out, mail_span(mail, *address));

		*address = (struct mail_string){before, len};
	}
	for (uint32_t i = 0; i < mail->attachment_count; i++) {
		struct mail_attachment *attachment = &mail->attachments[i];

		attachment->name = add_text(hiding, &out, mail, attachment->name);
		attachment->type = add_text(hiding, &out, mail, attachment->type);
	}
	if (hiding->privacy->subject_hidden)
		mail->subject = (struct mail_string){0, 0};
	mail->subject = add_text(hiding, &out, mail, mail->subject);
	mail->x_mailer = add_text(hiding, &out, mail, mail->x_mailer);
	if (hiding->privacy->subject_hidden) /* a command line may contain the subject */
		mail->claims[MAIL_CLAIM_SOURCE_ARGS] = (struct mail_string){0, 0};
	for (int i = 0; i < MAIL_CLAIM_COUNT; i++)
		mail->claims[i] = add_text(hiding, &out, mail, mail->claims[i]);
	mail->message_id = (struct mail_string){(uint32_t)out.len, id.len};
	text_add(&out, mail_span(mail, id));
	mail->received = (struct mail_string){0, 0};
	if (out.failed) { /* the strings fit neither text, so they are dropped */
		text_free(&out);
		mail->address_count = mail->attachment_count = 0;
		mail->subject = mail->x_mailer = mail->message_id = (struct mail_string){0, 0};
		memset(mail->claims, 0, sizeof(mail->claims));
		return false;
	}
	text_free(&mail->text);
	mail->text = out;
	return true;
}

static bool hide_transaction(struct hiding *hiding, struct smtp_transaction *transaction)
{
	if (!transaction)
		return true;
	if (hiding->privacy->addresses != PRIVACY_FULL &&
	    (!hide_envelope(hiding, transaction) ||
	     !hide_field(hiding, transaction->reply_text, &transaction->reply_len,
			 sizeof(transaction->reply_text))))
		return false;
	return !transaction->mail || hide_mail(hiding, transaction->mail);
}

/* ---- Arguments ------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return !c || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/*
 * Ignores what a program may have changed in a subject: case (ASCII), the kind and number of
 * blanks, and the separator of two arguments.
 */
static void loosen(struct text *line)
{
	size_t len = 0;

	for (size_t i = 0; i < line->len; i++) {
		char c = is_blank(line->data[i]) ? ' ' : line->data[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c != ' ' || !len || line->data[len - 1] != ' ')
			line->data[len++] = c;
	}
	line->len = len;
}

/* Marks the subject in the loosened arguments. False: it is not there. */
static bool mark_loosened(const struct hiding *hiding, const struct text *line, bool *marked)
{
	const struct text *subject = &hiding->subject;
	const char *found;
	size_t at = 0;

	while (at < line->len &&
	       (found = memmem(line->data + at, line->len - at, subject->data, subject->len))) {
		at = (size_t)(found - line->data);
		memset(marked + at, true, subject->len);
		at += subject->len;
	}
	return at;
}

/* Marks the subject in the original arguments. False: there is no memory. */
static bool mark_subject(const struct hiding *hiding, struct span args, bool *marked)
{
	struct text line = {0};
	bool done;

	if (!hiding->subject.len)
		return true;
	text_add(&line, args);
	done = !line.failed;
	loosen(&line);
	/* From the end, because a byte never precedes its loosened one. */
	if (done && mark_loosened(hiding, &line, marked)) {
		for (size_t at = args.len, loosened = line.len; at-- > 0;) {
			marked[at] = marked[loosened - 1];
			if (!at || !is_blank(args.data[at]) || !is_blank(args.data[at - 1]))
				loosened--;
		}
	}
	text_free(&line);
	return done;
}

/* Arguments that the subject spans become one. */
static bool add_args(struct hiding *hiding, struct text *out, const struct image *image)
{
	struct span args = {image->args, hiding->args_hidden && image->args_len
						 ? strnlen(image->args, image->args_len - 1) + 1
						 : image->args_len};
	/* Starts at the byte before the first */
	bool *marked = calloc(args.len + 1, sizeof(*marked));
	bool done = marked && mark_subject(hiding, args, marked + 1), more = true;
	size_t places = ARGS_PLACES_MAX;

	for (size_t at = 0; done && more && at < args.len;) {
		struct span arg = {args.data + at, strnlen(args.data + at, args.len - at)};
		unsigned int kind = PRIVACY_ARGUMENT;

		if (at + arg.len + 1 >= args.len && image->args_partial)
			kind |= PRIVACY_CUT;
		more = privacy_bounded_text(out, &hiding->teller, arg, kind, marked + at, &places);
		at += arg.len + 1;
		if (!more || at > args.len || !marked[at])
			text_add(out, (struct span){"", 1});
	}
	free(marked);
	return done && !out->failed;
}

/* ---- Images ---------------------------------------------------------------------------------- */

/* If there is no memory, the answer is yes. */
static bool has_subject(struct hiding *hiding, const struct image *image)
{
	struct text *line = &hiding->scratch;

	if (!hiding->subject.len || !image->args_len)
		return false;
	text_clear(line);
	text_add(line, (struct span){image->args, image->args_len});
	loosen(line);
	return line->failed ||
	       memmem(line->data, line->len, hiding->subject.data, hiding->subject.len);
}

/* More than the first argument, which is hidden. */
static bool has_hidden_args(const struct hiding *hiding, const struct image *image)
{
	return hiding->args_hidden && image->args_len &&
	       strnlen(image->args, image->args_len) + 1 < image->args_len;
}

static bool are_args_to_change(struct hiding *hiding, const struct image *image)
{
	unsigned int kind = PRIVACY_ARGUMENT | (image->args_partial ? PRIVACY_CUT : 0U);

	if (has_subject(hiding, image) || has_hidden_args(hiding, image))
		return true;
	return hiding->privacy->addresses != PRIVACY_FULL &&
	       privacy_may_hold_address((struct span){image->args, image->args_len}, kind);
}

static bool are_paths_to_change(const struct hiding *hiding, const struct image *image)
{
	return hiding->privacy->addresses != PRIVACY_FULL &&
	       (privacy_may_hold_address(span_of(image->executable), PRIVACY_PATH) ||
		privacy_may_hold_address(span_of(image->script), PRIVACY_PATH) ||
		privacy_may_hold_address(span_of(image->directory), PRIVACY_PATH));
}

/* A copy with nothing that is to be hidden. NULL if there is no memory. */
static struct image *copy_of(struct hiding *hiding, const struct image *image)
{
	struct image *copy = malloc(sizeof(*copy));
	struct text args = {0};
	size_t places = PATHS_PLACES_MAX;
	bool done;

	if (!copy)
		return NULL;
	*copy = *image;
	copy->refs = 1;
	done = add_args(hiding, &args, image);
	copy->executable = strdup(image->executable);
	copy->script = strdup(image->script);
	copy->directory = strdup(image->directory);
	copy->args = args.data ? args.data : strdup("");
	copy->args_len = args.len;
	if (!done || !copy->executable || !copy->script || !copy->directory || !copy->args ||
	    (hiding->privacy->addresses != PRIVACY_FULL &&
	     (!hide_path(hiding, &copy->executable, &places) ||
	      !hide_path(hiding, &copy->script, &places) ||
	      !hide_path(hiding, &copy->directory, &places)))) {
		image_unref(copy);
		return NULL;
	}
	return copy;
}

/*
 * The image that is written instead of this one; borrowed from `hiding`. NULL if there is no
 * memory.
 */
static struct image *exchanged(struct hiding *hiding, struct image *image)
{
	struct exchange *exchange = hiding->images;
	struct image *to;

	for (size_t i = 0; i < hiding->image_count; i++, exchange++) {
		if (exchange->from == image)
			return exchange->to;
	}
	to = are_paths_to_change(hiding, image) || are_args_to_change(hiding, image)
		     ? copy_of(hiding, image)
		     : image_ref(image);
	if (to)
		hiding->images[hiding->image_count++] = (struct exchange){image_ref(image), to};
	return to;
}

/* ---- Senders --------------------------------------------------------------------------------- */

/* False: there was no memory. */
static bool exchange_image(struct hiding *hiding, struct image **image)
{
	struct image *to = *image ? exchanged(hiding, *image) : NULL;

	if (*image && !to)
		return false;
	image_ref(to);
	image_unref(*image);
	*image = to;
	return true;
}

/* A task can give itself any name. It is short: a hash does not fit. */
static bool hide_comm(struct hiding *hiding, char comm[COMM_LEN])
{
	struct text *out = &hiding->scratch;

	text_clear(out);
	privacy_text(out, &hiding->teller, (struct span){comm, strnlen(comm, COMM_LEN)},
		     PRIVACY_TEXT, COMM_LEN - 1);
	if (out->failed)
		return false;
	memset(comm, 0, COMM_LEN);
	if (out->len)
		memcpy(comm, out->data, out->len);
	else
		comm[0] = '@';
	return true;
}

static bool is_directory_to_change(const struct hiding *hiding, const struct sender *sender)
{
	return hiding->privacy->addresses != PRIVACY_FULL && sender->directory &&
	       privacy_may_hold_address(span_of(sender->directory), PRIVACY_PATH);
}

static bool is_comm_to_change(const struct hiding *hiding, const struct sender *sender)
{
	const char *comm = sender->task.comm;

	return hiding->privacy->addresses != PRIVACY_FULL &&
	       privacy_may_hold_address((struct span){comm, strnlen(comm, COMM_LEN)}, PRIVACY_TEXT);
}

/* If there was no memory for an image, the answer is yes; the copy then has none. */
static bool is_sender_to_change(struct hiding *hiding, const struct sender *sender)
{
	bool change = is_comm_to_change(hiding, sender) || is_directory_to_change(hiding, sender) ||
		      (sender->image && exchanged(hiding, sender->image) != sender->image);

	for (uint32_t i = 0; i < sender->ancestor_count && !change; i++) {
		struct image *image = sender->ancestors[i].image;

		change = image && exchanged(hiding, image) != image;
	}
	return change;
}

static bool hide_sender(struct hiding *hiding, struct sender **sender)
{
	size_t places = PATHS_PLACES_MAX;
	struct sender *copy;

	if (!is_sender_to_change(hiding, *sender))
		return true;
	copy = sender_copy(*sender);
	if (!copy)
		return false;
	sender_unref(*sender);
	*sender = copy;
	if (!exchange_image(hiding, &copy->image))
		return false;
	for (uint32_t i = 0; i < copy->ancestor_count; i++) {
		if (!exchange_image(hiding, &copy->ancestors[i].image))
			return false;
	}
	if (is_directory_to_change(hiding, copy) && !hide_path(hiding, &copy->directory, &places))
		return false;
	return !is_comm_to_change(hiding, copy) || hide_comm(hiding, copy->task.comm);
}

static bool hide_all(struct hiding *hiding, struct sender **senders, uint32_t max)
{
	for (uint32_t i = 0; i < max && senders[i]; i++) {
		if (!hide_sender(hiding, &senders[i]))
			return false;
	}
	return true;
}

/* ---- The whole ------------------------------------------------------------------------------- */

/*
 * Whether the arguments may contain a subject that cannot be searched there. `subject` is the one
 * to search.
 */
static bool is_subject_unknown(const struct text *subject, const struct mail *mail)
{
	if (!mail || !mail->headers_end || mail->truncated || mail->repeated)
		return true;
	return mail->subject.len && subject->len < SUBJECT_MIN;
}

/* False: there was no memory. */
static bool take_subject(struct hiding *hiding, const struct event *event)
{
	const struct mail *mail = event->transaction ? event->transaction->mail : NULL;
	struct text *subject = &hiding->subject;

	if (!hiding->privacy->subject_hidden)
		return true;
	if (mail) {
		struct span whole = mail_span(mail, mail->subject);

		while (whole.len && is_blank(whole.data[0]))
			whole = (struct span){whole.data + 1, whole.len - 1};
		while (whole.len && is_blank(whole.data[whole.len - 1]))
			whole.len--;
		text_add(subject, whole);
		loosen(subject);
	}
	hiding->args_hidden = is_subject_unknown(subject, mail);
	if (subject->len < SUBJECT_MIN)
		subject->len = 0;
	return !subject->failed;
}

bool privacy_apply(const struct privacy *privacy, struct event *event)
{
	struct hiding hiding = {.privacy = privacy, .teller = {.privacy = privacy}};
	struct origin *origin = event->origin;
	bool done;

	if (privacy->addresses == PRIVACY_FULL && !privacy->subject_hidden)
		return true;
	done = take_subject(&hiding, event) &&
	       hide_all(&hiding, event->senders, event->sender_count) &&
	       (!origin || (hide_all(&hiding, &origin->submitter, 1) &&
			    hide_all(&hiding, origin->candidates, ORIGIN_CANDIDATES_MAX))) &&
	       hide_session(&hiding, event->session) &&
	       hide_transaction(&hiding, event->transaction) &&
	       (privacy->addresses == PRIVACY_FULL || hide_name(&hiding, &event->server_name));
	for (size_t i = 0; i < hiding.image_count; i++) {
		image_unref(hiding.images[i].from);
		image_unref(hiding.images[i].to);
	}
	teller_end(&hiding.teller);
	text_free(&hiding.subject);
	text_free(&hiding.scratch);
	return done;
}
