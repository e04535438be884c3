/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a schedule is a set of local minutes (and seconds, for OnCalendar), as bits.
 * The next one is searched along real time, minute by minute, each converted to local time. Days
 * and hours that do not match are skipped, except around a change of the clock. So month ends, leap
 * days and both changes of daylight saving time need no rules of their own, except for what the two
 * programs do at a change:
 *
 * a minute that does not exist: OnCalendar skips it; cron runs it right after the change
 * a minute that comes twice: only the first one counts, except for cron's jobs whose minute or hour
 * begins with '*'
 */
#include "base/schedule.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define YEAR_FIRST 1970
#define YEARS	   256U
#define DAY_S	   86400LL
/* The largest change that counts as daylight saving time: cron's own bound. */
#define GAP_MAX_S 10800LL

struct schedule {
	struct zone *zone;
	bool cron;
	bool time_star;	 /* cron: minute or hour begin with '*' */
	bool either_day; /* cron: day of month or day of week, because neither begins with '*' */
	uint64_t seconds, minutes, hours;
	uint64_t days;	    /* bit 1: the first */
	uint64_t last_days; /* bit 1: the last, of OnCalendar's "~" */
	uint64_t months;    /* bit 1: January */
	uint64_t weekdays;  /* bit 0: Sunday */
	uint64_t years[YEARS / 64];
	int64_t asked_s; /* the last answer; it holds up to answer_s */
	int64_t answer_s;
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun",
					  "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

/* ---- Parsing --------------------------------------------------------------------------------- */

struct parse {
	struct span text;
	size_t at;
	const char *error;
};

static bool fail(struct parse *parse, const char *error)
{
	if (!parse->error)
		parse->error = error;
	return false;
}

static char peek(const struct parse *parse)
{
	return parse->at < parse->text.len ? parse->text.data[parse->at] : '\0';
}

static bool take(struct parse *parse, const char *word)
{
	size_t len = strlen(word);

	if (parse->text.len - parse->at < len ||
	    strncasecmp(parse->text.data + parse->at, word, len) != 0)
		return false;
	parse->at += len;
	return true;
}

static bool take_blanks(struct parse *parse)
{
	size_t from = parse->at;

	while (peek(parse) == ' ' || peek(parse) == '\t')
		parse->at++;
	return parse->at > from;
}

/* The values that a field may have. */
struct field {
	unsigned int min, max;
	const char *const *names; /* of min, min + 1, ...; NULL: none */
	size_t name_count;
	const char *error;
};

static bool parse_number(struct parse *parse, const struct field *field, unsigned int *value)
{
	unsigned int number = 0;
	size_t from = parse->at;

	for (size_t i = 0; i < field->name_count; i++) {
		if (take(parse, field->names[i])) {
			*value = field->min + (unsigned int)i;
			while (isalpha((unsigned char)peek(parse))) /* "Monday" */
				parse->at++;
			return true;
		}
	}
	while (isdigit((unsigned char)peek(parse)) && number < 10000)
		number = number * 10 + (unsigned int)(parse->text.data[parse->at++] - '0');
	if (parse->at == from || number < field->min || number > field->max) {
		parse->at = from;
		return fail(parse, field->error);
	}
	*value = number;
	return true;
}

static bool parse_step(struct parse *parse, unsigned int *step)
{
	static const struct field steps = {1, 9999, NULL, 0, "a step is a number from 1 to 9999"};

	*step = 1;
	return !take(parse, "/") || parse_number(parse, &steps, step);
}

static void add(uint64_t *bits, unsigned int from, unsigned int to, unsigned int step)
{
	for (unsigned int i = from; i <= to; i += step)
		bits[i / 64] |= 1ULL << (i % 64);
}

/*
 * One element of a list. `range`: how a range is written; `open`: "3/5" means every fifth from 3
 * on.
 */
static bool parse_item(struct parse *parse, const struct field *field, const char *range, bool open,
		       uint64_t *bits, unsigned int base)
{
	unsigned int from = field->min, to = field->max, step = 1;
	bool single = false;

	if (!take(parse, "*")) {
		if (!parse_number(parse, field, &from))
			return false;
		single = !take(parse, range);
		to = from;
		if (!single && !parse_number(parse, field, &to))
			return false;
		if (to < from)
			return fail(parse, "the range ends before it begins");
	}
	if (single && !open && peek(parse) == '/')
		return fail(parse, "a step needs a range or '*' before it");
	if (single && peek(parse) == '/')
		to = field->max;
	if (!parse_step(parse, &step))
		return false;
	add(bits, from - base, to - base, step);
	return true;
}

static bool parse_list(struct parse *parse, const struct field *field, const char *range, bool open,
		       uint64_t *bits, unsigned int base)
{
	do {
		if (!parse_item(parse, field, range, open, bits, base))
			return false;
	} while (take(parse, ","));
	return true;
}

static const struct field second_field = {0, 59, NULL, 0, "a second is a number from 0 to 59"};
static const struct field minute_field = {0, 59, NULL, 0, "a minute is a number from 0 to 59"};
static const struct field hour_field = {0, 23, NULL, 0, "an hour is a number from 0 to 23"};
static const struct field day_field = {1, 31, NULL, 0,
				       "a day of the month is a number from 1 to 31"};
static const struct field year_field = {YEAR_FIRST, YEAR_FIRST + YEARS - 1, NULL, 0,
					"a year is a number from 1970 to 2225"};
static const struct field month_field = {1, 12, NULL, 0, "a month is a number from 1 to 12"};
static const struct field cron_month_field = {
	1, 12, month_names, 12, "a month is a number from 1 to 12 or a name like \"jan\""};
static const struct field cron_weekday_field = {
	0, 7, weekday_names, 7, "a day of the week is a number from 0 to 7 or a name like \"mon\""};

/* ---- cron ------------------------------------------------------------------------------------ */

static bool cron_field(struct parse *parse, const struct field *field, uint64_t *bits, bool *star)
{
	if (parse->at && !take_blanks(parse))
		return fail(parse,
			    "cron has five fields: minute, hour, day of month, month, day of week");
	*star = peek(parse) == '*';
	return parse_list(parse, field, "-", false, bits, 0);
}

static bool parse_cron_fields(struct parse *parse, struct schedule *schedule)
{
	bool minute, hour, day, month, weekday;

	if (!cron_field(parse, &minute_field, &schedule->minutes, &minute) ||
	    !cron_field(parse, &hour_field, &schedule->hours, &hour) ||
	    !cron_field(parse, &day_field, &schedule->days, &day) ||
	    !cron_field(parse, &cron_month_field, &schedule->months, &month) ||
	    !cron_field(parse, &cron_weekday_field, &schedule->weekdays, &weekday))
		return false;
	schedule->weekdays |= schedule->weekdays >> 7 & 1; /* 7 is Sunday as well */
	schedule->time_star = minute || hour;
	schedule->either_day = !day && !weekday;
	return true;
}

static bool parse_cron(struct parse *parse, struct schedule *schedule)
{
	static const struct {
		const char *name, *fields;
	} names[] = {{"@yearly", "0 0 1 1 *"},	{"@annually", "0 0 1 1 *"},
		     {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
		     {"@daily", "0 0 * * *"},	{"@midnight", "0 0 * * *"},
		     {"@hourly", "0 * * * *"}};

	schedule->cron = true;
	schedule->seconds = 1;
	memset(schedule->years, 0xff, sizeof(schedule->years));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct parse fields = {.text = span_of(names[i].fields)};

		if (parse->text.len == strlen(names[i].name) && take(parse, names[i].name))
			return parse_cron_fields(&fields, schedule);
	}
	if (peek(parse) == '@')
		return fail(parse, "expected @hourly, @daily, @midnight, @weekly, @monthly, "
				   "@yearly or @annually");
	return parse_cron_fields(parse, schedule);
}

/* ---- OnCalendar ------------------------------------------------------------------------------ */

static bool parse_weekdays(struct parse *parse, struct schedule *schedule)
{
	/* From Monday to Sunday, because ranges are in that order. */
	static const char *const names[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
	static const struct field field = {1, 7, names, 7,
					   "a day of the week is a name like \"Mon\""};
	uint64_t bits = 0;

	do {
		unsigned int from, to;

		if (!parse_number(parse, &field, &from))
			return false;
		to = from;
		if ((take(parse, "..") || take(parse, "-")) && !parse_number(parse, &field, &to))
			return false;
		if (to < from)
			return fail(parse, "the range ends before it begins");
		add(&bits, from, to, 1);
	} while (take(parse, ","));
	schedule->weekdays = (bits & 0x7e) | bits >> 7;
	return true;
}

static bool parse_date(struct parse *parse, struct schedule *schedule)
{
	struct parse start = *parse;
	uint64_t years[YEARS / 64] = {0}, months = 0;

	/* "YEAR-MONTH-DAY" or "MONTH-DAY": the second '-' decides. */
	if (parse_list(parse, &year_field, "..", true, years, YEAR_FIRST) && take(parse, "-") &&
	    parse_list(parse, &month_field, "..", true, &months, 0) &&
	    (peek(parse) == '-' || peek(parse) == '~')) {
		memcpy(schedule->years, years, sizeof(years));
	} else {
		*parse = start;
		months = 0;
		memset(schedule->years, 0xff, sizeof(schedule->years));
		if (!parse_list(parse, &month_field, "..", true, &months, 0))
			return false;
	}
	schedule->months = months;
	schedule->days = 0;
	if (take(parse, "~"))
		return parse_list(parse, &day_field, "..", true, &schedule->last_days, 0);
	if (!take(parse, "-"))
		return fail(parse, "a date is YEAR-MONTH-DAY or MONTH-DAY");
	return parse_list(parse, &day_field, "..", true, &schedule->days, 0);
}

static bool parse_time(struct parse *parse, struct schedule *schedule)
{
	schedule->hours = schedule->minutes = schedule->seconds = 0;
	if (!parse_list(parse, &hour_field, "..", true, &schedule->hours, 0))
		return false;
	if (!take(parse, ":"))
		return fail(parse, "a time is HOUR:MINUTE or HOUR:MINUTE:SECOND");
	if (!parse_list(parse, &minute_field, "..", true, &schedule->minutes, 0))
		return false;
	if (!take(parse, ":")) {
		schedule->seconds = 1;
		return true;
	}
	return parse_list(parse, &second_field, "..", true, &schedule->seconds, 0);
}

/* Whether the word at this place contains the character. */
static bool word_has(const struct parse *parse, const char *one_of)
{
	for (size_t i = parse->at; i < parse->text.len && parse->text.data[i] != ' '; i++) {
		if (parse->text.data[i] && strchr(one_of, parse->text.data[i]))
			return true;
	}
	return false;
}

static bool parse_calendar(struct parse *parse, struct schedule *schedule)
{
	static const struct {
		const char *name, *meaning;
	} names[] = {{"minutely", "*-*-* *:*:00"},
		     {"hourly", "*-*-* *:00:00"},
		     {"daily", "*-*-* 00:00:00"},
		     {"monthly", "*-*-01 00:00:00"},
		     {"weekly", "Mon *-*-* 00:00:00"},
		     {"yearly", "*-01-01 00:00:00"},
		     {"annually", "*-01-01 00:00:00"},
		     {"quarterly", "*-01,04,07,10-01 00:00:00"},
		     {"semiannually", "*-01,07-01 00:00:00"}};
	bool any = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct parse meaning = {.text = span_of(names[i].meaning)};

		if (parse->text.len == strlen(names[i].name) && take(parse, names[i].name))
			return parse_calendar(&meaning, schedule);
	}
	schedule->weekdays = 0x7f;
	schedule->months = 0x1ffe;
	schedule->days = 0xfffffffeULL;
	schedule->hours = schedule->minutes = schedule->seconds = 1;
	memset(schedule->years, 0xff, sizeof(schedule->years));
	if (isalpha((unsigned char)peek(parse))) {
		if (!parse_weekdays(parse, schedule))
			return false;
		take_blanks(parse);
		any = true;
	}
	if (parse->at < parse->text.len && !word_has(parse, ":")) {
		if (!parse_date(parse, schedule))
			return false;
		take_blanks(parse);
		any = true;
	}
	if (parse->at < parse->text.len)
		return parse_time(parse, schedule);
	return any || fail(parse, "it is empty");
}

static size_t words_of(struct span text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += text.data[i] != ' ' && text.data[i] != '\t' &&
			 (!i || text.data[i - 1] == ' ' || text.data[i - 1] == '\t');
	return count;
}

struct schedule *schedule_new(struct span text, struct zone *zone, const char **error, size_t *at)
{
	struct schedule *schedule = calloc(1, sizeof(*schedule));
	struct parse parse = {.text = text};
	bool good;

	*error = "out of memory";
	*at = 0;
	if (!schedule)
		return NULL;
	schedule->zone = zone;
	if ((text.len && text.data[0] == '@') || words_of(text) >= 5)
		good = parse_cron(&parse, schedule);
	else
		good = parse_calendar(&parse, schedule);
	if (good && parse.at < parse.text.len)
		good = fail(&parse, "unexpected text; a schedule has the five fields of cron, or "
				    "is an OnCalendar expression of systemd");
	if (good)
		return schedule;
	*error = parse.error;
	*at = parse.at;
	free(schedule);
	return NULL;
}

void schedule_free(struct schedule *schedule)
{
	free(schedule);
}

/* ---- Looking for the next -------------------------------------------------------------------- */

static bool has(uint64_t bits, int bit)
{
	return bits >> bit & 1;
}

static int days_of_month(const struct tm *tm)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year = tm->tm_year + 1900;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[tm->tm_mon] + (tm->tm_mon == 1 && leap);
}

static bool day_matches(const struct schedule *schedule, const struct tm *tm)
{
	int year = tm->tm_year + 1900 - YEAR_FIRST;
	bool day = has(schedule->days, tm->tm_mday) ||
		   has(schedule->last_days, days_of_month(tm) - tm->tm_mday + 1);
	bool weekday = has(schedule->weekdays, tm->tm_wday);

	if (year < 0 || year >= (int)YEARS || !has(schedule->years[year / 64], year % 64) ||
	    !has(schedule->months, tm->tm_mon + 1))
		return false;
	return schedule->either_day ? day || weekday : day && weekday;
}

static bool minute_matches(const struct schedule *schedule, int64_t local_s)
{
	time_t moment = local_s;
	struct tm tm;

	gmtime_r(&moment, &tm);
	return has(schedule->hours, tm.tm_hour) && has(schedule->minutes, tm.tm_min) &&
	       day_matches(schedule, &tm);
}

/* Whether a local time already occurred before the clock was set back. */
static bool is_repeated(const struct schedule *schedule, int64_t time_s, int32_t offset)
{
	static const int32_t changes[] = {1800, 3600, 7200};

	for (size_t i = 0; i < 3; i++) {
		if (zone_offset(schedule->zone, time_s - changes[i]) - offset == changes[i])
			return true;
	}
	return false;
}

/* Whether one of cron's minutes was just skipped by the clock. */
static bool was_left_out(const struct schedule *schedule, int64_t time_s, int32_t offset)
{
	int32_t before = zone_offset(schedule->zone, time_s - 60);

	if (!schedule->cron || schedule->time_star || offset <= before ||
	    offset - before > GAP_MAX_S)
		return false;
	for (int64_t local = time_s + before; local < time_s + offset; local += 60) {
		if (minute_matches(schedule, local))
			return true;
	}
	return false;
}

static bool is_due(const struct schedule *schedule, int64_t time_s, int32_t offset)
{
	if (was_left_out(schedule, time_s, offset))
		return true;
	return minute_matches(schedule, time_s + offset) &&
	       ((schedule->cron && schedule->time_star) || !is_repeated(schedule, time_s, offset));
}

/*
 * How far it is to the next minute to examine: the rest of a day or hour that does not match is
 * skipped, unless the clock changes in between.
 */
static int64_t step_from(const struct schedule *schedule, int64_t time_s, int32_t offset)
{
	time_t local = time_s + offset;
	struct tm tm;

	if (!zone_is_steady(schedule->zone, time_s, 1))
		return 60;
	gmtime_r(&local, &tm);
	if (!day_matches(schedule, &tm))
		return DAY_S - local % DAY_S;
	if (!has(schedule->hours, tm.tm_hour))
		return 3600 - local % 3600;
	return 60;
}

static int64_t find_next(const struct schedule *schedule, int64_t time_s)
{
	const int64_t end = time_s + (int64_t)SCHEDULE_YEARS * 366 * DAY_S;
	int64_t minute = time_s - time_s % 60;

	while (minute < end) {
		int32_t offset = zone_offset(schedule->zone, minute);

		if (is_due(schedule, minute, offset)) {
			for (int second = 0; second < 60; second++) {
				if (has(schedule->seconds, second) && minute + second >= time_s)
					return minute + second;
			}
		}
		minute += step_from(schedule, minute, offset);
	}
	return SCHEDULE_NEVER;
}

int64_t schedule_next(struct schedule *schedule, int64_t time_s)
{
	int64_t until = schedule->answer_s == SCHEDULE_NEVER ? schedule->asked_s + DAY_S
							     : schedule->answer_s;

	if (time_s < 0)
		return SCHEDULE_NEVER;
	if (!schedule->answer_s || time_s < schedule->asked_s || time_s > until) {
		schedule->answer_s = find_next(schedule, time_s);
		schedule->asked_s = time_s;
	}
	return schedule->answer_s;
}
