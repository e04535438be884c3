/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Our place in the ring: where the next record to read begins.
 *
 * Theory of operation. The kernel and the reader share that place in a page of memory, and root can
 * map the page of any ring. Another reader then takes records that we never see, and no counter
 * tells. A place outside of what was written makes every reservation fail, or makes us read bytes
 * that are no record. So the place is noted after each drain, and put back before the next one if
 * it has changed. What was overwritten meanwhile is skipped: the kernel believed that it had been
 * read.
 */
#ifndef SMTPSNOOP_RING_PLACE_H
#define SMTPSNOOP_RING_PLACE_H

#include <stdbool.h>
#include <stddef.h>

struct ring_place {
	unsigned long *consumer; /* mapped; NULL: it could not be mapped, nothing is checked */
	const unsigned long *producer; /* mapped */
	size_t size;		       /* of the ring, bytes */
	unsigned long noted;
	bool moved; /* somebody else changed it since the flag was cleared */
};

/* `fd`: the ring's map. If it cannot be mapped, nothing is checked. */
void ring_place_open(struct ring_place *place, int fd, size_t size);
void ring_place_close(struct ring_place *place);

void ring_place_note(struct ring_place *place);	   /* after a drain */
void ring_place_restore(struct ring_place *place); /* before one */

#endif
