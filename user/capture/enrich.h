/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Facts that take time to find (a hash, a name from a directory service), found on a thread of
 * their own, so that nothing on the capture path ever waits. Requests go in; results come back as
 * records, to be passed to the pipeline like any other (and so into a recording).
 */
#ifndef SMTPSNOOP_ENRICH_H
#define SMTPSNOOP_ENRICH_H

#include "process/identity.h"

#define ENRICH_QUEUE_MAX 1024U /* requests of a kind that wait; beyond, they are refused */

struct enricher;

/* Starts the threads. NULL on failure, errno set. */
struct enricher *enricher_new(void);

/*
 * Ends the threads (a hash under way is abandoned) and frees what is queued. A thread that hangs,
 * in a name service say, is not waited for: it frees what is left once it wakes up.
 */
void enricher_free(struct enricher *enricher);

/* Becomes readable when results wait. Owned by the enricher. */
int enricher_fd(const struct enricher *enricher);

/*
 * Each request gives exactly one result, in any order. 0, or -EAGAIN if the queue is full: there
 * will be no result.
 *   user, group: RECORD_NAME
 *   hash:	  RECORD_HASH, with valid set only if a file was found whose dev, inode, ctime and
 *size are the image's before and after it was read. The file is sought as /proc/PID/exe, then under
 * /proc/PID/root, then by its path here.
 *   cgroup:	  RECORD_CGROUP from /proc/PID/cgroup: the v2 path, or systemd's named v1
 *hierarchy's where the v2 path is "/"; path_len 0 if the process is gone. relay:
 *RECORD_RELAY, with the addresses of a host's name; none if it has none, or nobody answered
 *   activation:  RECORD_ACTIVATION, by systemd's state of the unit
 */
int enricher_request_user(struct enricher *enricher, uint32_t uid);
int enricher_request_group(struct enricher *enricher, uint32_t gid);
int enricher_request_hash(struct enricher *enricher, struct image *image, uint32_t pid);
int enricher_request_cgroup(struct enricher *enricher, uint32_t pid, uint64_t start_ns);
int enricher_request_relay(struct enricher *enricher, const char *name);
int enricher_request_activation(struct enricher *enricher, uint32_t pid, uint64_t start_ns,
				const char *unit);

/* The next result; the caller frees it with free(). NULL: none waits. */
struct record *enricher_next(struct enricher *enricher);

#endif
