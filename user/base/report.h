/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one line in which something that went wrong is told. */
#ifndef SMTPSNOOP_REPORT_H
#define SMTPSNOOP_REPORT_H

/*
 * "smtpsnoop: what: why" on standard error; `what` NULL: the format says it. Both may hold bytes
 * that others chose: what is not printable is escaped, and the line stays one line, of 1,024 bytes
 * at most. Any thread may call it, and none waits: where standard error takes nothing, the line is
 * dropped, and the next one that goes out says how many were. errno stays.
 */
__attribute__((format(printf, 2, 3))) void report(const char *what, const char *format, ...);

#endif
