/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation. When a timer elapses, systemd notes the time (LastTriggerUSecMonotonic) and
 * starts the timer's service; for the service it notes when it left the inactive state
 * (InactiveExitTimestampMonotonic). Both times stay known after the service has ended, and a short
 * job ends before anyone can ask. So an activation counts as the timer's if the timer elapsed first
 * and the two times are at most TRIGGER_MAX_US apart. If systemd says why it started the unit
 * (ActivationDetails, since 252, while the unit is active), it must name a timer as well: a manual
 * start has no details.
 *
 * The process must have started during that activation and not before it, because the answer is
 * about the unit's current state.
 */
#include "capture/activation.h"

#ifdef HAVE_LIBSYSTEMD

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <systemd/sd-bus.h>

#define MANAGER		"org.freedesktop.systemd1"
#define UNIT		"org.freedesktop.systemd1.Unit"
#define TIMER		"org.freedesktop.systemd1.Timer"
#define CALL_TIMEOUT_US 2000000U
#define TRIGGER_MAX_US	1000000U
#define TICK_US		20000U /* /proc gives the start of a process in clock ticks */

/* Connects to the manager's own socket, which needs no bus; otherwise to the system bus. */
static sd_bus *bus_open(void)
{
	sd_bus *bus = NULL;

	if (sd_bus_new(&bus) >= 0 &&
	    sd_bus_set_address(bus, "unix:path=/run/systemd/private") >= 0 &&
	    sd_bus_start(bus) >= 0)
		return bus;
	sd_bus_unref(bus);
	bus = NULL;
	return sd_bus_open_system(&bus) >= 0 ? bus : NULL;
}

static bool get_time(sd_bus *bus, const char *path, const char *interface, const char *name,
		     uint64_t *us)
{
	return sd_bus_get_property_trivial(bus, MANAGER, path, interface, name, NULL, 't', us) >=
		       0 &&
	       *us;
}

/*
 * 1: a timer started it; 0: something else did, or the unit is active without details; -1: unknown.
 */
static int details_say_timer(sd_bus *bus, const char *path)
{
	sd_bus_message *reply = NULL;
	const char *key, *value;
	char *state = NULL;
	int result = -1, timer = 0;

	if (sd_bus_get_property(bus, MANAGER, path, UNIT, "ActivationDetails", NULL, &reply,
				"a(ss)") < 0)
		return -1;
	if (sd_bus_get_property_string(bus, MANAGER, path, UNIT, "ActiveState", NULL, &state) >=
		    0 &&
	    strcmp(state, "inactive") != 0 && strcmp(state, "failed") != 0)
		result = 0;
	if (sd_bus_message_enter_container(reply, 'a', "(ss)") >= 0) {
		while (sd_bus_message_read(reply, "(ss)", &key, &value) > 0) {
			size_t len = strlen(value);

			if (strcmp(key, "trigger_unit") == 0 && len > 6 &&
			    strcmp(value + len - 6, ".timer") == 0)
				timer = 1;
		}
	}
	free(state);
	sd_bus_message_unref(reply);
	return timer ? 1 : result;
}

static bool timer_elapsed_at(sd_bus *bus, const char *timer, uint64_t exit_us)
{
	char *path = NULL;
	uint64_t last_us = 0;
	bool elapsed = false;

	if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", timer, &path) < 0)
		return false;
	if (get_time(bus, path, TIMER, "LastTriggerUSecMonotonic", &last_us))
		elapsed = last_us <= exit_us && exit_us - last_us <= TRIGGER_MAX_US;
	free(path);
	return elapsed;
}

static bool a_timer_elapsed_at(sd_bus *bus, const char *path, uint64_t exit_us)
{
	char **names = NULL;
	bool elapsed = false;

	if (sd_bus_get_property_strv(bus, MANAGER, path, UNIT, "TriggeredBy", NULL, &names) < 0)
		return false;
	for (char **name = names; name && *name; name++) {
		size_t len = strlen(*name);

		if (len > 6 && strcmp(*name + len - 6, ".timer") == 0 &&
		    timer_elapsed_at(bus, *name, exit_us))
			elapsed = true;
		free(*name);
	}
	free(names);
	return elapsed;
}

static uint64_t clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000;
}

static enum activation ask(sd_bus *bus, const char *path, uint64_t start_ns)
{
	uint64_t asleep_us = clock_us(CLOCK_BOOTTIME) - clock_us(CLOCK_MONOTONIC), exit_us = 0;
	int details;

	if (!get_time(bus, path, UNIT, "InactiveExitTimestampMonotonic", &exit_us))
		return ACTIVATION_UNKNOWN;
	if (start_ns / 1000 + TICK_US < exit_us + asleep_us)
		return ACTIVATION_UNKNOWN; /* it belongs to an earlier activation */
	details = details_say_timer(bus, path);
	return details != 0 && a_timer_elapsed_at(bus, path, exit_us) ? ACTIVATION_TIMER
								      : ACTIVATION_OTHER;
}

enum activation activation_of(const char *unit, uint64_t start_ns)
{
	enum activation activation = ACTIVATION_UNKNOWN;
	sd_bus *bus = bus_open();
	char *path = NULL;

	if (!bus)
		return ACTIVATION_UNKNOWN;
	sd_bus_set_method_call_timeout(bus, CALL_TIMEOUT_US);
	if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) >= 0)
		activation = ask(bus, path, start_ns);
	free(path);
	sd_bus_flush_close_unref(bus);
	return activation;
}

#else

enum activation activation_of(const char *unit, uint64_t start_ns)
{
	(void)unit;
	(void)start_ns;
	return ACTIVATION_UNKNOWN;
}

#endif
