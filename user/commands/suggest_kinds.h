/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * On how many days each kind of mail was seen, for any number of kinds in bounded memory.
 *
 * Theory of operation: a sender can make as many kinds as he likes, by changing his address with
 * every mail. So the table has a fixed size, and a kind has one of the few places that its hash
 * names. Where all are taken, one kind is forgotten: of the user who has most of them, the one that
 * was seen on the fewest days, and least recently. What comes again on other days stays, and a
 * flood of one user pushes out his own kinds first.
 */
#ifndef SMTPSNOOP_SUGGEST_KINDS_H
#define SMTPSNOOP_SUGGEST_KINDS_H

#include <stddef.h>
#include <stdint.h>

#define KINDS_MAX   (1U << 18) /* 10 MB */
#define DAYS_WINDOW 64U	       /* older days, counted back from a kind's last one, are forgotten */

/* Distinct days, as numbers since 1970. Starts zeroed. */
struct days {
	uint64_t bits; /* bit 0: `last`; bit 1: the day before */
	int32_t last;
};

void days_add(struct days *days, int32_t day);
unsigned int days_count(const struct days *days);

struct kind {
	uint64_t hash;	  /* never 0 */
	uint64_t process; /* the hash of its process; the same as `hash`: the process as a whole */
	uint64_t user;	  /* likewise; 0: none */
	struct days days;
	uint32_t messages;
};

struct kinds {
	struct kind *table; /* owned */
	unsigned long forgotten;
};

/* Counts a message. */
void kinds_add(struct kinds *kinds, uint64_t hash, uint64_t process, uint64_t user, int32_t day);

/* NULL: it is not there. */
const struct kind *kinds_find(const struct kinds *kinds, uint64_t hash);

/*
 * Writes the kinds that were seen on `days` days or more, at most `max`, those of more days first;
 * at most `of_process` of one process and `of_user` of one user. Returns how many; SIZE_MAX:
 * no memory.
 */
size_t kinds_select(const struct kinds *kinds, unsigned int days, size_t of_process, size_t of_user,
		    const struct kind **selected, size_t max);

#endif
