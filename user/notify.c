/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#ifdef HAVE_LIBSYSTEMD

#include <systemd/sd-daemon.h>

static void tell(const char *state)
{
	sd_notify(0, state);
}

#else

static void tell(const char *state)
{
	(void)state;
}

#endif

void notify_ready(void)
{
	tell("READY=1");
}

/* The time tells which reload this is, where the manager waits for one (Type=notify-reload). */
void notify_reloading(void)
{
	struct timespec now;
	char state[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)now.tv_sec * 1000000ULL + (unsigned long long)now.tv_nsec / 1000ULL);
	tell(state);
}

void notify_stopping(void)
{
	tell("STOPPING=1");
}

void notify_watchdog(void)
{
	tell("WATCHDOG=1");
}

void notify_status(const char *format, ...)
{
	char state[256] = "STATUS=";
	va_list args;

	va_start(args, format);
	vsnprintf(state + 7, sizeof(state) - 7, format, args);
	va_end(args);
	tell(state);
}
