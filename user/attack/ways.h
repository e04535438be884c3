/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ways to send, by system call or by kind of memory. Each sends everything: 0, or -1 with errno. */
#ifndef SMTPSNOOP_ATTACK_WAYS_H
#define SMTPSNOOP_ATTACK_WAYS_H

#include "attack/attack_session.h"

int way_write(int fd, const char *data, size_t len);
int way_sendto(int fd, const char *data, size_t len);
int way_sendmsg(int fd, const char *data, size_t len);
int way_sendmmsg(int fd, const char *data, size_t len);
int way_writev_tiny(int fd, const char *data, size_t len);
int way_writev_empty(int fd, const char *data, size_t len);
int way_bytes(int fd, const char *data, size_t len);
int way_split(int fd, const char *data, size_t len);
int way_partial(int fd, const char *data, size_t len);
int way_more(int fd, const char *data, size_t len);
int way_cork(int fd, const char *data, size_t len);
int way_zerocopy(int fd, const char *data, size_t len);
int way_sendfile(int fd, const char *data, size_t len);
int way_splice_pipe(int fd, const char *data, size_t len);
int way_splice_file(int fd, const char *data, size_t len);
int way_vmsplice(int fd, const char *data, size_t len);
int way_tee(int fd, const char *data, size_t len);
int way_cold(int fd, const char *data, size_t len);
int way_hole(int fd, const char *data, size_t len);
int way_huge(int fd, const char *data, size_t len);

/* Through io_uring: see uring.c. */
int way_uring_send(int fd, const char *data, size_t len);
int way_uring_sendmsg(int fd, const char *data, size_t len);
int way_uring_fixed(int fd, const char *data, size_t len);
int way_uring_polled(int fd, const char *data, size_t len);
int way_uring_zerocopy(int fd, const char *data, size_t len);
int way_uring_splice(int fd, const char *data, size_t len);
int way_uring_zerocopy_fixed(int fd, const char *data, size_t len);
int way_device(int fd, const char *data,
	       size_t len); /* from memory that the kernel maps for io_uring */

#endif
