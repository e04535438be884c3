/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the service manager is told (sd_notify(3)); outside of a service, nothing. None of it waits
 * for long.
 */
#ifndef SMTPSNOOP_NOTIFY_H
#define SMTPSNOOP_NOTIFY_H

void notify_ready(void);
void notify_reloading(void); /* to be followed by notify_ready() */
void notify_stopping(void);

/* For the watchdog, with one line that `systemctl status` shows. */
__attribute__((format(printf, 1, 2))) void notify_alive(const char *format, ...);

#endif
