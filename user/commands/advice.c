/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "commands/advice.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "commands/doubts.h"
#include "policy/exclusion.h"
#include "event/origin.h"

#define ADVICE_MAX 640U

struct adviser {
	const struct config *config;
	int64_t now_s;
	bool (*user_exists)(const char *name);
	advice_fn on_advice;
	void *context;
	size_t count;
};

__attribute__((format(printf, 3, 4))) static void
advise(struct adviser *adviser, const struct exclusion *exclusion, const char *format, ...)
{
	char line[ADVICE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (char *c = line; *c; c++) {
		if (iscntrl((unsigned char)*c))
			*c = '?';
	}
	adviser->count++;
	adviser->on_advice(adviser->context, exclusion, line);
}

/* ---- What can be borrowed -------------------------------------------------------------------- */

/* A unit in which programs of any user run, among these; NULL: none. */
static const char *shared_unit(const struct patterns *units)
{
	static const char *const shared[] = {"cron.service", "crond.service", "atd.service",
					     "ssh.service",  "sshd.service",  "session-1.scope"};

	for (size_t i = 0; i < units->count; i++) {
		for (size_t j = 0; j < sizeof(shared) / sizeof(shared[0]); j++) {
			if (wildcard_match(units->items[i].wildcard, span_of(shared[j])))
				return shared[j];
		}
	}
	return NULL;
}

/* Of the process that handed the mail in. */
static void forgeable_origin(struct adviser *adviser, const struct exclusion *exclusion)
{
	const char *shared =
		exclusion->origin.user.count ? NULL : shared_unit(&exclusion->origin.unit);

	if (shared)
		advise(adviser, exclusion, "%.100s runs jobs of every user; add origin.user",
		       shared);
	if (exclusion->origin.script.count && !exclusion->origin.executable.count)
		advise(adviser, exclusion,
		       "origin.script: any program can be named like an interpreter and be given "
		       "this script; add origin.executable, the interpreter");
	if (exclusion_asks_origin(exclusion) && !exclusion->origin.user.count &&
	    !exclusion->origin.unit.count)
		advise(adviser, exclusion,
		       "origin trusts only what a sender can forge: anyone who can run a program "
		       "on this host passes; add origin.user or origin.unit");
}

static void forgeable(struct adviser *adviser, const struct exclusion *exclusion)
{
	const char *shared =
		exclusion->process.user.count ? NULL : shared_unit(&exclusion->process.unit);

	forgeable_origin(adviser, exclusion);
	if (shared)
		advise(adviser, exclusion, "%.100s runs jobs of every user; add process.user",
		       shared);
	if (exclusion->process.script.count && !exclusion->process.executable.count &&
	    !exclusion->process.sha256.count)
		advise(adviser, exclusion,
		       "process.script: any program can be named like an interpreter and be "
		       "given this script; add process.executable, the interpreter");
	if (exclusion->process.user.count || exclusion->process.unit.count)
		return;
	advise(adviser, exclusion,
	       "trusts only what a sender can forge: anyone who can run a program on this host "
	       "passes; add process.user or process.unit");
}

/* ---- What trusts more than it seems -----------------------------------------------------------
 */

struct doubting {
	struct adviser *adviser;
	const struct exclusion *exclusion;
};

static void on_doubt(void *context, const char *doubt)
{
	struct doubting *doubting = context;

	advise(doubting->adviser, doubting->exclusion, "%s", doubt);
}

/* ---- What can never be met ------------------------------------------------------------------- */

/* Whether every executable is literal and is (or is not) an MTA's. */
static bool executables_are(const struct exclusion *exclusion, bool mta)
{
	for (size_t i = 0; i < exclusion->process.executable.count; i++) {
		const struct pattern *pattern = &exclusion->process.executable.items[i];

		if (!wildcard_is_literal(pattern->wildcard) || path_passes_on(pattern->text) != mta)
			return false;
	}
	return exclusion->process.executable.count > 0;
}

static bool units_are_services(const struct patterns *units)
{
	for (size_t i = 0; i < units->count; i++) {
		const struct pattern *pattern = &units->items[i];
		size_t len = strlen(pattern->text);

		if (!wildcard_is_literal(pattern->wildcard) ||
		    (len > 8 && strcmp(pattern->text + len - 8, ".service") == 0))
			return true;
	}
	return !units->count;
}

static bool only_none(const struct strings *login)
{
	return login->count == 1 && strcmp(login->items[0], "none") == 0;
}

static const char *why_never(const struct adviser *adviser, const struct exclusion *exclusion)
{
	const struct limit *limits[] = {&exclusion->limits.messages, &exclusion->limits.recipients,
					&exclusion->limits.bytes};
	enum scheduled_by by = exclusion->process.scheduled_by;

	for (int i = 0; i < 3; i++) {
		if (limits[i]->window_s && !limits[i]->amount)
			return "a limit is 0, which lets no message pass";
	}
	if (exclusion->schedule.at &&
	    schedule_next(exclusion->schedule.at, adviser->now_s) == SCHEDULE_NEVER)
		return "its schedule is never due again";
	if (exclusion->tls == DEMAND_REQUIRED && !exclusion->encrypted && !adviser->config->tls)
		return "with capture.tls: false, tls: required needs encrypted: allow";
	if (exclusion->tls == DEMAND_NONE && exclusion->encrypted)
		return "encrypted: allow applies to TLS sessions, and tls: none excludes them";
	if (executables_are(exclusion, false) && exclusion_asks_origin(exclusion))
		return "the executable is not an MTA, and origin is known only for mail of an MTA";
	if (by == SCHEDULED_SYSTEMD_TIMER && !units_are_services(&exclusion->process.unit))
		return "a timer starts services, and process.unit names no service";
	if (exclusion->origin.scheduled_by == SCHEDULED_SYSTEMD_TIMER &&
	    !units_are_services(&exclusion->origin.unit))
		return "a timer starts services, and origin.unit names no service";
	if ((by == SCHEDULED_CRON || by == SCHEDULED_AT) && only_none(&exclusion->process.login))
		return "jobs of cron and at have the login uid of their owner, and process.login "
		       "requires none";
	if ((exclusion->mail.contains.count || exclusion->mail.matches.count) &&
	    !adviser->config->policy.body_bytes)
		return "mail.contains and mail.matches need the body, and capture.body_bytes is 0";
	return NULL;
}

static void no_such_user(struct adviser *adviser, const struct exclusion *exclusion,
			 const char *key, const struct strings *users)
{
	for (size_t i = 0; adviser->user_exists && i < users->count; i++) {
		const char *user = users->items[i];

		if (!isdigit((unsigned char)user[0]) && !adviser->user_exists(user))
			advise(adviser, exclusion, "%s: this host has no user '%.64s'", key, user);
	}
}

static void never(struct adviser *adviser, const struct exclusion *exclusion)
{
	const char *why = why_never(adviser, exclusion);

	if (exclusion->expires.set && exclusion->expires.time_s <= adviser->now_s)
		advise(adviser, exclusion, "has expired; remove it or set a later date");
	if (why)
		advise(adviser, exclusion, "can never be met: %s", why);
	else if (executables_are(exclusion, true) && !exclusion_asks_origin(exclusion))
		advise(adviser, exclusion,
		       "lets no mail pass: the executable is an MTA, which sends mail of others; "
		       "add origin");
	if (exclusion->encrypted &&
	    (exclusion->limits.recipients.window_s || exclusion->limits.bytes.window_s))
		advise(adviser, exclusion,
		       "lets no encrypted session pass: limits.recipients and limits.bytes cannot "
		       "be checked there");
	no_such_user(adviser, exclusion, "process.user", &exclusion->process.user);
	no_such_user(adviser, exclusion, "origin.user", &exclusion->origin.user);
}

/* ---- Shadows: an earlier exclusion already excludes the same mail ---------------------------- */

static void shadowed(struct adviser *adviser, size_t index)
{
	const struct exclusion *narrow = &adviser->config->policy.exclusions[index];

	for (size_t i = 0; i < index; i++) {
		const struct exclusion *wide = &adviser->config->policy.exclusions[i];

		if (!exclusion_covers(wide, narrow))
			continue;
		advise(adviser, narrow,
		       "is never reached: %.100s (%.200s:%u) comes first and covers it", wide->name,
		       wide->file, wide->line);
		return;
	}
}

size_t config_advise(const struct config *config, int64_t now_s,
		     bool (*user_exists)(const char *name), advice_fn on_advice, void *context)
{
	struct adviser adviser = {.config = config,
				  .now_s = now_s,
				  .user_exists = user_exists,
				  .on_advice = on_advice,
				  .context = context};

	for (size_t i = 0; i < config->policy.exclusion_count; i++) {
		struct doubting doubting = {&adviser, &config->policy.exclusions[i]};

		forgeable(&adviser, &config->policy.exclusions[i]);
		exclusion_doubts(&config->policy.exclusions[i], on_doubt, &doubting);
		never(&adviser, &config->policy.exclusions[i]);
		shadowed(&adviser, i);
	}
	return adviser.count;
}
