/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Schedules: due times across both changes of daylight saving time, ends of months and leap days.
 * If `systemd-analyze calendar` and python3-croniter are installed, they must agree.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/schedule.h"

static struct schedule *parse(const char *text, struct zone *zone)
{
	const char *error = NULL;
	size_t at;
	struct schedule *schedule = schedule_new(span_of(text), zone, &error, &at);

	if (!schedule)
		print_message("%s: %s at %zu\n", text, error, at);
	assert_non_null(schedule);
	return schedule;
}

/* "2024-03-31 02:30" in UTC. */
static int64_t utc(const char *text)
{
	struct tm tm = {0};

	assert_non_null(
		strptime(text, strlen(text) > 16 ? "%Y-%m-%d %H:%M:%S" : "%Y-%m-%d %H:%M", &tm));
	return timegm(&tm);
}

static void expect(const char *text, const char *zone_name, const char *from, const char *expected)
{
	struct zone *zone = zone_new(span_of(zone_name));
	struct schedule *schedule;
	int64_t next = utc(from) - 1;
	char all[1000] = "";

	assert_non_null(zone);
	schedule = parse(text, zone);
	while (strlen(all) < strlen(expected)) {
		char one[40];
		time_t moment;
		struct tm tm;

		next = schedule_next(schedule, next + 1);
		if (next == SCHEDULE_NEVER) {
			strcat(all, "never");
			break;
		}
		moment = next;
		gmtime_r(&moment, &tm);
		strftime(one, sizeof(one), tm.tm_sec ? "%Y-%m-%d %H:%M:%S, " : "%Y-%m-%d %H:%M, ",
			 &tm);
		strcat(all, one);
	}
	assert_string_equal(all, expected);
	schedule_free(schedule);
	zone_free(zone);
}

static void test_cron(void **state)
{
	(void)state;
	expect("0 8 * * *", "UTC", "2024-01-01 08:00", "2024-01-01 08:00, 2024-01-02 08:00, ");
	expect("*/20 8-9 * * mon-fri", "UTC", "2024-01-05 09:30",
	       "2024-01-05 09:40, 2024-01-08 08:00, 2024-01-08 08:20, ");
	expect("0 0 31 * *", "UTC", "2024-01-31 00:01", "2024-03-31 00:00, 2024-05-31 00:00, ");
	expect("0 0 29 2 *", "UTC", "2024-03-01 00:00", "2028-02-29 00:00, ");
	/* 2100 is not a leap year. */
	expect("0 0 29 2 *", "UTC", "2096-03-01 00:00", "2104-02-29 00:00, ");
	expect("0 0 30 2 *", "UTC", "2024-03-01 00:00", "never");
	/*
	 * If both days are given, either one is enough. If one of them begins with a star, both
	 * must match.
	 */
	expect("0 0 13 * fri", "UTC", "2024-09-05 00:00",
	       "2024-09-06 00:00, 2024-09-13 00:00, 2024-09-20 00:00, ");
	expect("0 0 */2 * fri", "UTC", "2024-09-05 00:00", "2024-09-13 00:00, 2024-09-27 00:00, ");
	expect("0 0 * * 7", "UTC", "2024-09-05 00:00", "2024-09-08 00:00, 2024-09-15 00:00, ");
	expect("5,50-52/2 1 1 JAN,Dec *", "UTC", "2024-01-01 01:06",
	       "2024-01-01 01:50, 2024-01-01 01:52, 2024-12-01 01:05, ");
	expect("@daily", "UTC", "2024-01-01 00:01", "2024-01-02 00:00, ");
	expect("@hourly", "UTC", "2024-01-01 00:01", "2024-01-01 01:00, 2024-01-01 02:00, ");
	expect("0 8 * * *", "Europe/Berlin", "2024-03-30 00:00",
	       "2024-03-30 07:00, 2024-03-31 06:00, ");
	/*
	 * 02:30 does not exist: the job runs at 03:00. A job that runs every half hour is not
	 * repeated.
	 */
	expect("30 2 * * *", "Europe/Berlin", "2024-03-31 00:00",
	       "2024-03-31 01:00, 2024-04-01 00:30, ");
	expect("*/30 * * * *", "Europe/Berlin", "2024-03-31 00:30",
	       "2024-03-31 00:30, 2024-03-31 01:00, 2024-03-31 01:30, ");
	/* 02:30 comes twice: the job runs once. A job that runs every half hour runs each time. */
	expect("30 2 * * *", "Europe/Berlin", "2024-10-27 00:00",
	       "2024-10-27 00:30, 2024-10-28 01:30, ");
	expect("*/30 * * * *", "Europe/Berlin", "2024-10-27 00:30",
	       "2024-10-27 00:30, 2024-10-27 01:00, 2024-10-27 01:30, ");
	expect("30 1 * * *", "Australia/Lord_Howe", "2024-04-05 00:00",
	       "2024-04-05 14:30, 2024-04-06 14:30, 2024-04-07 15:00, ");
	expect("0 9 * * *", "Asia/Kathmandu", "2024-01-01 00:00", "2024-01-01 03:15, ");
	expect("0 9 * * *", "America/St_Johns", "2024-07-01 00:00", "2024-07-01 11:30, ");
}

static void test_calendar(void **state)
{
	(void)state;
	expect("Mon..Fri 08:00", "UTC", "2024-01-05 09:00", "2024-01-08 08:00, 2024-01-09 08:00, ");
	expect("Sat,Sun *-*-* 10:00:30", "UTC", "2024-01-05 00:00", "2024-01-06 10:00:30, ");
	expect("*-*-01", "UTC", "2024-01-01 00:01", "2024-02-01 00:00, 2024-03-01 00:00, ");
	expect("*-02~01", "UTC", "2023-01-01 00:00", "2023-02-28 00:00, 2024-02-29 00:00, ");
	expect("*-*~1 12:00", "UTC", "2024-01-01 00:00", "2024-01-31 12:00, 2024-02-29 12:00, ");
	expect("2024..2026-06-15", "UTC", "2024-06-16 00:00",
	       "2025-06-15 00:00, 2026-06-15 00:00, never");
	expect("*:0/15", "UTC", "2024-01-01 00:16", "2024-01-01 00:30, 2024-01-01 00:45, ");
	expect("12-24 18:00", "UTC", "2024-01-01 00:00", "2024-12-24 18:00, ");
	expect("weekly", "UTC", "2024-01-02 00:00", "2024-01-08 00:00, ");
	expect("quarterly", "UTC", "2024-01-02 00:00", "2024-04-01 00:00, 2024-07-01 00:00, ");
	expect("minutely", "UTC", "2024-01-02 00:00:01", "2024-01-02 00:01, 2024-01-02 00:02, ");
	expect("02:30", "Europe/Berlin", "2024-03-30 12:00", "2024-04-01 00:30, ");
	expect("02:30", "Europe/Berlin", "2024-10-27 00:00",
	       "2024-10-27 00:30, 2024-10-28 01:30, ");
}

static void expect_error(const char *text, const char *expected, size_t expected_at)
{
	struct zone *zone = zone_new(span_of("UTC"));
	const char *error;
	size_t at;

	assert_null(schedule_new(span_of(text), zone, &error, &at));
	assert_string_equal(error, expected);
	assert_int_equal(at, expected_at);
	zone_free(zone);
}

static void test_errors(void **state)
{
	(void)state;
	expect_error("60 8 * * *", "a minute is a number from 0 to 59", 0);
	expect_error("0 24 * * *", "an hour is a number from 0 to 23", 2);
	expect_error("0 8 0 * *", "a day of the month is a number from 1 to 31", 4);
	expect_error("0 8 * foo *", "a month is a number from 1 to 12 or a name like \"jan\"", 6);
	expect_error("0 8 * * 8",
		     "a day of the week is a number from 0 to 7 or a name like \"mon\"", 8);
	expect_error("5/10 8 * * *", "a step needs a range or '*' before it", 1);
	expect_error("*/0 8 * * *", "a step is a number from 1 to 9999", 2);
	expect_error("9-5 8 * * *", "the range ends before it begins", 3);
	expect_error("0 8 * * * root",
		     "unexpected text; a schedule has the five fields of cron, or is an OnCalendar "
		     "expression of systemd",
		     9);
	expect_error("@reboot",
		     "expected @hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually",
		     0);
	expect_error("", "it is empty", 0);
	expect_error("Fri..Mon 8:00", "the range ends before it begins", 8);
	expect_error("Foo 8:00", "a day of the week is a name like \"Mon\"", 0);
	expect_error("8:60", "a minute is a number from 0 to 59", 2);
	expect_error("2024-13-01", "a month is a number from 1 to 12", 0);
	expect_error("99999999999999999999 8 * * *", "a minute is a number from 0 to 59", 0);
	expect_error("8", "a date is YEAR-MONTH-DAY or MONTH-DAY", 1);
}

static void test_zones(void **state)
{
	static const char *const none[] = {"Europe/Nowhere", "/etc/passwd",   "../../etc/passwd",
					   "Europe",	     "Europe/../UTC", "."};
	struct zone *zone = zone_new(span_of("Europe/Berlin"));

	(void)state;
	assert_non_null(zone);
	assert_int_equal(zone_offset(zone, utc("2024-03-31 00:59")), 3600);
	assert_int_equal(zone_offset(zone, utc("2024-03-31 01:00")), 7200);
	assert_int_equal(zone_offset(zone, utc("2024-10-27 00:59")), 7200);
	assert_int_equal(zone_offset(zone, utc("2024-10-27 01:00")), 3600);
	assert_int_equal(zone_offset(zone, utc("2224-07-01 01:00")),
			 7200); /* after the table's end, by its rule */
	assert_null(getenv("TZ"));
	zone_free(zone);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_null(zone_new(span_of(none[i])));
	zone_free(zone_new((struct span){"", 0}));
}

/* ---- Others' opinion ------------------------------------------------------------------------- */

/*
 * Due times that systemd-analyze is asked for. It forks for each one in a zone. Where 12 cross a
 * change of the clock, 9 do, too.
 */
static int iterations(void)
{
	return getenv("SMTPSNOOP_LONG") ? 12 : 9;
}

/* What the other program is asked about, in this order. */
struct question {
	const char *text, *zone;
	int64_t from;
};

static void agree(const struct question *question, struct schedule *schedule, int64_t *next,
		  int64_t moment)
{
	*next = schedule_next(schedule, *next + 1);
	if (*next != moment)
		print_message("%s in %s from %lld: expected %lld saw %lld\n", question->text,
			      question->zone, (long long)question->from, (long long)moment,
			      (long long)*next);
	assert_true(*next == moment);
}

/* Compares the due times that a command prints, one per line, for one question. They end at a line
 * that contains `mark`. Starting the command costs most, so it answers all questions at once. */
static void compare_one(FILE *output, const struct question *question, const char *mark,
			bool (*read)(const char *line, int64_t *moment))
{
	struct zone *zone = zone_new(span_of(question->zone));
	struct schedule *schedule = parse(question->text, zone);
	int64_t next = question->from, moment;
	unsigned int count = 0;
	char line[300];

	while (fgets(line, sizeof(line), output) && !strstr(line, mark)) {
		if (!read(line, &moment))
			continue;
		agree(question, schedule, &next, moment);
		count++;
	}
	assert_int_not_equal(count, 0);
	schedule_free(schedule);
	zone_free(zone);
}

/* The command prints `mark` before the due times of each question. */
static void compare(const char *command, const struct question *questions, size_t count,
		    const char *mark, bool (*read)(const char *line, int64_t *moment))
{
	FILE *output = popen(command, "r");
	char line[300];

	assert_non_null(output);
	do
		assert_non_null(fgets(line, sizeof(line), output));
	while (!strstr(line, mark));
	for (size_t i = 0; i < count; i++)
		compare_one(output, &questions[i], mark, read);
	assert_null(fgets(line, sizeof(line), output));
	assert_int_equal(pclose(output), 0);
}

static bool read_systemd(const char *line, int64_t *moment)
{
	const char *at = strstr(line, "Next elapse: ");
	struct tm tm = {0};

	if (!at)
		at = strstr(line, "Iter. #");
	at = at ? strstr(at, ": ") : NULL;
	if (!at || !strptime(at + 6, "%Y-%m-%d %H:%M:%S UTC", &tm))
		return false;
	*moment = timegm(&tm);
	return true;
}

static const char *const zones[] = {"UTC", "Europe/Berlin", "America/New_York",
				    "Australia/Lord_Howe", "Asia/Kathmandu"};
static const char *const starts[] = {"2024-02-27 00:00", "2024-03-09 12:00", "2024-03-30 00:00",
				     "2024-04-06 00:00", "2024-10-05 00:00", "2024-10-26 00:00",
				     "2024-11-02 12:00", "2024-12-31 20:00"};

static void test_like_systemd(void **state)
{
	static const char *const specs[] = {"*-*-* 08:00:00", "02:30",
					    "*:30",	      "Mon..Fri 01:30",
					    "*-*-01",	      "*-*~01 23:59:59",
					    "*-02~03",	      "Sun 02:00",
					    "00:00..30/7",    "*-*-* 01..03:00,15,45",
					    "quarterly",      "Sat,Sun *-1..3-* 00:10:20"};
	struct question questions[60];
	char command[2000];

	(void)state;
	if (system("systemd-analyze calendar --iterations=2 --base-time='2024-01-01 00:00:00 UTC' "
		   "daily "
		   ">/dev/null 2>&1")) {
		print_message("systemd-analyze is not here\n");
		skip();
	}
	for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		size_t count = 0, at;

		at = (size_t)snprintf(command, sizeof(command),
				      "TZ=UTC systemd-analyze calendar --iterations=%d "
				      "--base-time='%s:00 UTC'",
				      iterations(), starts[s]);
		for (size_t z = 0; z < sizeof(zones) / sizeof(zones[0]); z++) {
			for (size_t i = (s + z) % 4; i < sizeof(specs) / sizeof(specs[0]); i += 4) {
				bool word = strcmp(specs[i], "quarterly") == 0;

				questions[count++] =
					(struct question){specs[i], zones[z], utc(starts[s])};
				at += (size_t)snprintf(command + at, sizeof(command) - at,
						       " '%s %s'",
						       word ? "*-01,04,07,10-01" : specs[i],
						       zones[z]);
				assert_true(at < sizeof(command));
			}
		}
		assert_int_equal(count, 15);
		compare(command, questions, count, "Normalized form: ", read_systemd);
	}
}

static bool read_number(const char *line, int64_t *moment)
{
	*moment = atoll(line);
	return *moment > 0;
}

static void test_like_croniter(void **state)
{
	static const char *const specs[] = {"0 8 * * *",    "*/7 1-5,22 * * *",
					    "0 0 29 2 *",   "15 10 1,15 * mon",
					    "0 0 31 */2 *", "59 23 * dec sun"};
	static const char program[] =
		"/usr/bin/python3 -c \"import sys; from croniter import croniter\n"
		"for spec, start, count in zip(*[iter(sys.argv[1:])] * 3):\n"
		" c = croniter(spec, int(start)); print('asked')\n"
		" for _ in range(int(count)): print(int(c.get_next(float)))\"";
	struct question questions[30];
	char command[2000];
	size_t count = 0, at = (size_t)snprintf(command, sizeof(command), "%s", program);

	(void)state;
	if (system("/usr/bin/python3 -c 'import croniter' 2>/dev/null")) {
		print_message("python3-croniter is not here\n");
		skip();
	}
	for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s += 3) {
		for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
			questions[count++] = (struct question){specs[i], "UTC", utc(starts[s])};
			at += (size_t)snprintf(command + at, sizeof(command) - at, " '%s' %lld %d",
					       specs[i], (long long)utc(starts[s]),
					       strstr(specs[i], "29 2") ? 2 : 12);
			assert_true(at < sizeof(command));
		}
	}
	assert_int_equal(count, 18);
	compare(command, questions, count, "asked", read_number);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cron),	     cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_errors),	     cmocka_unit_test(test_zones),
		cmocka_unit_test(test_like_systemd), cmocka_unit_test(test_like_croniter),
	};

	unsetenv("TZ");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
