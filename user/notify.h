/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the service manager is told (sd_notify(3)). Without libsystemd, or outside of a service, nothing. */
#ifndef SMTPSNOOP_NOTIFY_H
#define SMTPSNOOP_NOTIFY_H

void notify_ready(void);
void notify_reloading(void); /* to be followed by notify_ready() */
void notify_stopping(void);
void notify_watchdog(void);

/* One line that `systemctl status` shows. */
__attribute__((format(printf, 1, 2))) void notify_status(const char *format, ...);

#endif
