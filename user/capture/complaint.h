/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What libbpf says when it fails. It says it to one function of the whole program. */
#ifndef SMTPSNOOP_COMPLAINT_H
#define SMTPSNOOP_COMPLAINT_H

void complaint_listen(void); /* from now on, libbpf's warnings come here */
void complaint_clear(void);  /* another attempt begins */

/* What to say if libbpf has said nothing. */
void complaint_suggest(const char *text);

/* Writes to `why` (CAPTURE_WHY_MAX bytes) that `what` failed with a negative errno, and why. */
void complaint_explain(char *why, int error, const char *what);

#endif
