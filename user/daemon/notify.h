/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages to the service manager (sd_notify(3)). Outside of a service they do nothing. No call
 * waits longer than one second. All may be called in any thread.
 */
#ifndef SMTPSNOOP_NOTIFY_H
#define SMTPSNOOP_NOTIFY_H

void notify_ready(void);
void notify_reloading(void); /* notify_ready() must follow */
void notify_stopping(void);

/* A sign of life for the watchdog, with one line for `systemctl status`. */
__attribute__((format(printf, 1, 2))) void notify_alive(const char *format, ...);

#endif
