/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "capture/ring_place.h"

#include <sys/mman.h>
#include <unistd.h>

void ring_place_open(struct ring_place *place, int fd, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
	     *producer = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, (off_t)page);

	*place = (struct ring_place){.size = size};
	if (consumer != MAP_FAILED && producer != MAP_FAILED) {
		place->consumer = consumer;
		place->producer = producer;
		ring_place_note(place);
		return;
	}
	if (consumer != MAP_FAILED)
		munmap(consumer, page);
	if (producer != MAP_FAILED)
		munmap(producer, page);
}

void ring_place_close(struct ring_place *place)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!place->consumer)
		return;
	munmap(place->consumer, page);
	munmap((void *)place->producer, page);
	place->consumer = NULL;
}

void ring_place_note(struct ring_place *place)
{
	if (place->consumer)
		place->noted = __atomic_load_n(place->consumer, __ATOMIC_ACQUIRE);
}

void ring_place_restore(struct ring_place *place)
{
	unsigned long end;

	if (!place->consumer || __atomic_load_n(place->consumer, __ATOMIC_ACQUIRE) == place->noted)
		return;
	place->moved = true;
	end = __atomic_load_n(place->producer, __ATOMIC_ACQUIRE);
	__atomic_store_n(place->consumer, end - place->noted > place->size ? end : place->noted,
			 __ATOMIC_RELEASE);
}
