/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Facts that take time to find (a hash, a name from a directory service) are found on threads of
 * their own, so that the capture path never waits. Requests go in; results come back as records, to
 * be passed to the pipeline like all others (and so into a recording).
 */
#ifndef SMTPSNOOP_ENRICH_H
#define SMTPSNOOP_ENRICH_H

#include "process/identity.h"

#define ENRICH_QUEUE_MAX 1024U /* outstanding requests of a kind; more are refused */

struct enricher;

/* Starts the threads. NULL on failure, errno set. */
struct enricher *enricher_new(void);

/*
 * Ends the threads (a hash under way is abandoned) and frees what is queued. Waits at most two
 * seconds: a thread that hangs, for example in a name service, frees the rest once it wakes up.
 */
void enricher_free(struct enricher *enricher);

/* Becomes readable when results wait. Owned by the enricher. */
int enricher_fd(const struct enricher *enricher);

/*
 * Requests. Each one gives exactly one result; results come in any order. 0, or -EAGAIN if the
 * queue is full or there is no memory: then there will be no result.
 *
 *   user, group  RECORD_NAME
 *   hash         RECORD_HASH, see hash_executable(); `pid` is a process that runs the image
 *   cgroup       RECORD_CGROUP, see procfs_cgroup(); path_len is 0 if the process is gone
 *   accounts     RECORD_ACCOUNTS, see root_accounts()
 *   relay        RECORD_RELAY with the addresses of a host's name, see relay_resolve()
 *   activation   RECORD_ACTIVATION, see activation_of()
 */
int enricher_request_user(struct enricher *enricher, uint32_t uid);
int enricher_request_group(struct enricher *enricher, uint32_t gid);
int enricher_request_hash(struct enricher *enricher, struct image *image, uint32_t pid);
int enricher_request_cgroup(struct enricher *enricher, uint32_t pid, uint64_t start_ns);
int enricher_request_accounts(struct enricher *enricher, uint32_t pid, uint64_t start_ns,
			      uint32_t uid, uint32_t gid);
int enricher_request_relay(struct enricher *enricher, const char *name);
int enricher_request_activation(struct enricher *enricher, uint32_t pid, uint64_t start_ns,
				const char *unit);

/* The next result, which the caller frees with free(). NULL if there is none yet. */
struct record *enricher_next(struct enricher *enricher);

#endif
