/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One line on standard error that reports what went wrong. */
#ifndef SMTPSNOOP_REPORT_H
#define SMTPSNOOP_REPORT_H

/*
 * "smtpsnoop: what: why" on standard error; `what` NULL: the format contains it. Both may hold
 * bytes that others chose: unprintable bytes are escaped, and the output stays one line of at most
 * 1,024 bytes. Any thread may call it, and it never blocks: if standard error has no room, the line
 * is dropped, and the next line that is written says how many were. errno is preserved.
 */
__attribute__((format(printf, 2, 3))) void report(const char *what, const char *format, ...);

#endif
