/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a perf event that counts nothing reports mappings, once for each processor.
 * A mapping costs its process 6.5 us; a host where nothing is mapped pays nothing. Each event wakes
 * the reader: what is mapped now may be called in 2 ms. Who maps faster than this is read loses
 * events of the processors that he uses; the reader then looks at all processes (libraries.c).
 */
#include "capture/mmap_events.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RING_SIZE	65536U
#define EVENT_MAX	8192U /* bytes of an event that are read: a path has at most 4096 */
#define EVENTS_AT_ONCE	64U   /* of one ring: who fills it must not delay the others */
#define PROCESSORS_MAX	8192U
#define EVENT_TYPE_LOST 2U
#define EVENT_TYPE_MMAP 10U /* PERF_RECORD_MMAP2 */

struct ring {
	int fd; /* -1: this processor is not online */
	struct perf_event_mmap_page *page;
};

struct mmap_events {
	size_t page_size;
	size_t count;
	struct ring rings[];
};

/* perf_event_open(2), PERF_RECORD_MMAP2 */
struct mmap_event {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t address, len, offset;
	uint32_t major, minor;
	uint64_t inode, generation;
	uint32_t protection, flags;
	char path[];
};

struct lost_event {
	struct perf_event_header header;
	uint64_t id, lost;
};

/* ---- Opening --------------------------------------------------------------------------------- */

static int ring_open(const struct mmap_events *events, struct ring *ring, int processor)
{
	struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE,
					     .size = sizeof(attributes),
					     .config = PERF_COUNT_SW_DUMMY,
					     .mmap = 1,
					     .mmap2 = 1,
					     .watermark = 1,
					     .wakeup_watermark = 1};
	int fd = (int)syscall(SYS_perf_event_open, &attributes, -1, processor, -1,
			      PERF_FLAG_FD_CLOEXEC);
	void *page;
	int error;

	if (fd < 0)
		return -errno;
	page = mmap(NULL, events->page_size + RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED) {
		error = -errno;
		close(fd);
		return error;
	}
	*ring = (struct ring){.fd = fd, .page = page};
	return 0;
}

/* Opens what is not open. Returns the first error that does not mean "not online". */
static int rings_open(struct mmap_events *events)
{
	int error = 0;

	for (size_t i = 0; i < events->count && !error; i++) {
		if (events->rings[i].fd < 0)
			error = ring_open(events, &events->rings[i], (int)i);
		if (error == -ENODEV || error == -ENXIO)
			error = 0;
	}
	return error;
}

int mmap_events_open(struct mmap_events **out)
{
	long count = sysconf(_SC_NPROCESSORS_CONF);
	struct mmap_events *events;
	int error;

	if (count < 1 || count > (long)PROCESSORS_MAX)
		return -E2BIG;
	events = calloc(1, sizeof(*events) + (size_t)count * sizeof(events->rings[0]));
	if (!events)
		return -ENOMEM;
	events->page_size = (size_t)sysconf(_SC_PAGESIZE);
	events->count = (size_t)count;
	for (size_t i = 0; i < events->count; i++)
		events->rings[i].fd = -1;
	error = rings_open(events);
	if (error)
		mmap_events_close(events);
	else
		*out = events;
	return error;
}

void mmap_events_renew(struct mmap_events *events)
{
	rings_open(events);
}

void mmap_events_close(struct mmap_events *events)
{
	if (!events)
		return;
	for (size_t i = 0; i < events->count; i++) {
		if (events->rings[i].fd < 0)
			continue;
		munmap(events->rings[i].page, events->page_size + RING_SIZE);
		close(events->rings[i].fd);
	}
	free(events);
}

size_t mmap_events_fds_max(const struct mmap_events *events)
{
	return events->count;
}

size_t mmap_events_poll(const struct mmap_events *events, struct pollfd *fds, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < events->count && count < max; i++) {
		if (events->rings[i].fd >= 0)
			fds[count++] = (struct pollfd){.fd = events->rings[i].fd, .events = POLLIN};
	}
	return count;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Copies from the ring, which ends where it begins. */
static void copy_out(const struct mmap_events *events, const struct ring *ring, uint64_t at,
		     void *out, size_t len)
{
	const char *data = (const char *)ring->page + events->page_size;
	size_t offset = (size_t)(at % RING_SIZE);
	size_t first = len < RING_SIZE - offset ? len : RING_SIZE - offset;

	memcpy(out, data + offset, first);
	memcpy((char *)out + first, data, len - first);
}

/* `len`: of the event; a NUL stands behind it. */
static void give_mapping(const struct mmap_event *event, size_t len, mmap_event_fn give,
			 void *context)
{
	const struct mapping mapping = {.start = event->address,
					.end = event->address + event->len,
					.inode = event->inode,
					.major = event->major,
					.minor = event->minor,
					.executable = true,
					.path = event->path};

	if (len > sizeof(*event) && event->inode && event->pid && (int32_t)event->pid > 0)
		give(context, event->pid, &mapping);
}

/* As mmap_events_drain(), for one ring. */
static bool ring_drain(const struct mmap_events *events, struct ring *ring, mmap_event_fn give,
		       void *context, uint64_t *lost)
{
	union {
		struct perf_event_header header;
		struct mmap_event mapping;
		struct lost_event lost;
		char bytes[EVENT_MAX + 1];
	} event;
	uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = ring->page->data_tail;

	for (size_t i = 0; tail < head && i < EVENTS_AT_ONCE; i++) {
		copy_out(events, ring, tail, &event.header, sizeof(event.header));
		size_t len = event.header.size, read = len < EVENT_MAX ? len : EVENT_MAX;

		if (len < sizeof(event.header))
			len = (size_t)(head - tail); /* cannot be: start afresh */
		copy_out(events, ring, tail, &event, read);
		event.bytes[read] = '\0';
		tail += len;
		__atomic_store_n(&ring->page->data_tail, tail, __ATOMIC_RELEASE);
		if (event.header.type == EVENT_TYPE_MMAP)
			give_mapping(&event.mapping, read, give, context);
		else if (event.header.type == EVENT_TYPE_LOST && read >= sizeof(event.lost))
			*lost += event.lost.lost;
	}
	return tail < head;
}

bool mmap_events_drain(struct mmap_events *events, mmap_event_fn give, void *context,
		       uint64_t *lost)
{
	bool more = false;

	for (size_t i = 0; i < events->count; i++) {
		if (events->rings[i].fd >= 0 &&
		    ring_drain(events, &events->rings[i], give, context, lost))
			more = true;
	}
	return more;
}
