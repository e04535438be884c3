/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "smtp/secrets.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct secret {
	uint16_t len;
	bool cut; /* it was longer */
	char bytes[SECRET_LEN_MAX];
};

struct secrets {
	uint32_t kept; /* so far; the newest is at (kept - 1) % SECRETS_MAX */
	struct secret items[SECRETS_MAX];
};

static uint32_t count_of(const struct secrets *secrets)
{
	return secrets->kept < SECRETS_MAX ? secrets->kept : SECRETS_MAX;
}

static bool is_known(const struct secrets *secrets, struct span secret)
{
	for (uint32_t i = 0; i < count_of(secrets); i++) {
		const struct secret *item = &secrets->items[i];

		if (span_equal((struct span){item->bytes, item->len}, secret))
			return true;
	}
	return false;
}

void secrets_keep(struct secrets **secrets, struct span secret)
{
	struct secret *item;
	bool cut = secret.len > SECRET_LEN_MAX;

	if (secret.len < SECRET_LEN_MIN)
		return;
	if (!*secrets)
		*secrets = calloc(1, sizeof(**secrets));
	if (cut)
		secret.len = SECRET_LEN_MAX;
	if (!*secrets || is_known(*secrets, secret))
		return;
	item = &(*secrets)->items[(*secrets)->kept++ % SECRETS_MAX];
	if ((*secrets)->kept >= 2 * SECRETS_MAX) /* the number stays small; the place is the same */
		(*secrets)->kept -= SECRETS_MAX;
	explicit_bzero(item, sizeof(*item));
	item->len = (uint16_t)secret.len;
	item->cut = cut;
	memcpy(item->bytes, secret.data, secret.len);
}

/* Overwrites the bytes [from, to) of a line whose first `head` bytes are not in `data`. */
static void overwrite(char *data, size_t head, size_t from, size_t to)
{
	for (size_t i = from > head ? from : head; i < to; i++) {
		if (data[i - head] != '\r' && data[i - head] != '\n')
			data[i - head] = '*';
	}
}

/* The number of bytes at the end of the text that are the beginning of the secret. */
static size_t begun(struct span text, const struct secret *secret)
{
	size_t len = text.len < secret->len ? text.len : secret->len - 1U;

	while (len >= SECRET_LEN_MIN && memcmp(text.data + text.len - len, secret->bytes, len) != 0)
		len--;
	return len >= SECRET_LEN_MIN ? len : 0;
}

static void mask_one(const struct secret *secret, struct span text, char *data, size_t head)
{
	const char *end = text.data + text.len, *at = text.data;

	while ((at = memmem(at, (size_t)(end - at), secret->bytes, secret->len))) {
		size_t from = (size_t)(at - text.data);

		overwrite(data, head, from, secret->cut ? text.len : from + secret->len);
		at += secret->len;
	}
	if (text.data[text.len - 1] != '\n')
		overwrite(data, head, text.len - begun(text, secret), text.len);
}

/* As much of a line as is examined at once, with a head that is long enough for any secret. */
#define WINDOW 4096U

void secrets_mask(const struct secrets *secrets, struct span head, char *data, size_t len)
{
	char window[WINDOW];

	if (!secrets)
		return;
	for (size_t at = 0, taken; at < len; at += taken) {
		/* The bytes before: those of `data` as they were are in the window already. */
		size_t before = head.len < SECRET_LEN_MAX ? head.len : SECRET_LEN_MAX;

		taken = len - at < WINDOW - before ? len - at : WINDOW - before;
		if (before)
			memmove(window, head.data + head.len - before, before);
		memcpy(window + before, data + at, taken);
		for (uint32_t i = 0; i < count_of(secrets); i++)
			mask_one(&secrets->items[i], (struct span){window, before + taken},
				 data + at, before);
		head = (struct span){window, before + taken};
	}
	explicit_bzero(window, sizeof(window));
}

void secrets_free(struct secrets *secrets)
{
	if (secrets)
		explicit_bzero(secrets, sizeof(*secrets));
	free(secrets);
}
