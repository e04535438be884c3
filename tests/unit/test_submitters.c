/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The process behind a submission program: which one it is, that it is found again by what an MTA
 * says of it, that nobody passes as another one, and the bounds of the table.
 */
#include <stdio.h>
#include <string.h>

#include "exec_records.h"

#include "event/submitters.h"
#include "process/sender.h"

#define S      1000000000ULL
#define JOE    1000U
#define OWN_NS 1U
#define EXIM   PATH("exim4\0sbin\0usr")

static struct process_table *processes;
static struct submitters *table;

static int begin(void **state)
{
	(void)state;
	processes = process_table_new();
	table = submitters_new();
	return processes && table ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	submitters_free(table);
	process_table_free(processes);
	return 0;
}

/* A process executes a program, perhaps for a script. */
static void run(uint32_t pid, uint64_t start_s, uint64_t exec_s, struct span exe, struct span args,
		uint32_t flags)
{
	struct exec_record *record = exec_record(&(struct exec){.pid = pid,
								.start_ns = start_s * S,
								.exec_ns = exec_s * S,
								.flags = flags,
								.exe = exe,
								.cwd = PATH("srv"),
								.args = args});

	assert_int_equal(process_table_record(processes, &record->h), 0);
	free(record);
}

static void fork_of(uint32_t pid, uint64_t start_s, uint32_t parent, uint64_t parent_start_s)
{
	struct fork_record record = {.h = {RECORD_FORK, sizeof(record), start_s * S},
				     .parent_start_ns = parent_start_s * S,
				     .start_ns = start_s * S,
				     .parent_pid = parent,
				     .pid = pid};

	assert_int_equal(process_table_record(processes, &record.h), 0);
}

/* What differs between submissions; the rest is as usual. */
struct made {
	uint32_t pid;
	uint64_t start_s, at_s;
	uint32_t uid, euid;
	uint32_t ns_user, ns_pid, ns_mnt;
	uint32_t real; /* ancestors_real */
	uint32_t ancestor_count;
	struct ancestor_id ancestors[4];
};

static void submit(const struct made *made)
{
	const struct want want = {0};
	struct sender_record record = {.h = {RECORD_SUBMISSION, sizeof(record), made->at_s * S + 1},
				       .task = {.start_ns = made->start_s * S,
						.pid = made->pid,
						.tid = made->pid,
						.uid = made->uid,
						.euid = made->euid,
						.loginuid = LOGINUID_NONE,
						.ns_user = made->ns_user ? made->ns_user : OWN_NS,
						.comm = "x"},
				       .ns_pid = made->ns_pid ? made->ns_pid : 2,
				       .ns_mnt = made->ns_mnt ? made->ns_mnt : 3,
				       .ancestor_count = made->ancestor_count,
				       .vpid = made->pid,
				       .ancestors_real = made->real};
	struct sender *program;

	memcpy(record.ancestors, made->ancestors, sizeof(made->ancestors));
	assert_true(record_valid(&record.h, sizeof(record)));
	program = sender_of_record(&record, processes, &want);
	assert_non_null(program);
	submitters_add(table, &record, program, processes, OWN_NS, 0);
	sender_unref(program);
}

static void leave(uint32_t pid, uint64_t start_s, uint64_t at_s)
{
	struct exit_record record = {.h = {RECORD_EXIT, sizeof(record), at_s * S},
				     .start_ns = start_s * S,
				     .pid = pid};

	submitters_exit(table, &record, 0);
}

/* Joe's job 20, started by root's cron 10, hands a mail to Exim 30, which runs from 30 to 31 s. */
static void submit_usual(struct span args)
{
	run(10, 1, 1, PATH("cron\0sbin\0usr"), BYTES("cron\0"), 0);
	run(20, 20, 20, PATH("python3\0bin\0usr"), BYTES("python3\0/srv/job.py\0"), 0);
	fork_of(30, 29, 20, 20);
	run(30, 29, 30, EXIM, args, EXEC_SECURE);
	submit(&(struct made){.pid = 30,
			      .start_s = 29,
			      .at_s = 30,
			      .uid = JOE,
			      .real = 3,
			      .ancestor_count = 2,
			      .ancestors = {{20 * S, 20, JOE}, {1 * S, 10, 0}}});
	leave(30, 29, 31);
}

static const struct sender mta = {.ns_pid = 2, .ns_mnt = 3};

static struct submission_trace trace_at(double from_s, double to_s)
{
	return (struct submission_trace){.mta = "exim",
					 .relay = &mta,
					 .from_ns = (int64_t)(from_s * 1e9),
					 .to_ns = (int64_t)(to_s * 1e9),
					 .vpid = 30};
}

static uint32_t count(const struct submission_trace *trace)
{
	struct sender *found[8];

	return submitters_find(table, trace, found, 8);
}

/* Exactly one is there; borrowed. */
static struct sender *only(void)
{
	struct submission_trace trace = trace_at(30, 31);
	struct sender *found[8] = {NULL};

	assert_int_equal(submitters_find(table, &trace, found, 8), 1);
	return found[0];
}

static void test_script(void **state)
{
	const struct sender *sender;

	(void)state;
	submit_usual(BYTES("sendmail\0-t\0"));
	sender = only();
	assert_int_equal(sender->task.pid, 20);
	assert_int_equal(sender->task.start_ns, 20 * S);
	assert_int_equal(sender->task.uid, JOE);
	assert_int_equal(sender->task.euid, JOE);
	assert_string_equal(sender->image->executable, "/usr/bin/python3");
	assert_string_equal(sender->image->script, "/srv/job.py");
	assert_int_equal(sender->ancestor_count, 1);
	assert_int_equal(sender->ancestors[0].pid, 10);
	assert_true(submitters_bytes(table) < 64 << 10);
}

/* A script that executes sendmail itself, and one whose parent has gone. */
static void test_same_process(void **state)
{
	const struct sender *sender;

	(void)state;
	run(1, 0, 0, PATH("init\0sbin"), BYTES("init\0"), 0);
	run(30, 20, 20, PATH("dash\0bin\0usr"), BYTES("sh\0/srv/job.sh\0"), 0);
	run(30, 20, 30, EXIM, BYTES("sendmail\0"), EXEC_SECURE);
	submit(&(struct made){.pid = 30,
			      .start_s = 20,
			      .at_s = 30,
			      .uid = JOE,
			      .real = 1,
			      .ancestor_count = 1,
			      .ancestors = {{0, 1, 0}}});
	sender = only();
	assert_int_equal(sender->task.pid, 30);
	assert_string_equal(sender->image->script, "/srv/job.sh");
	/* what it was before the exec is not known: sendmail is setuid */
	assert_int_equal(sender->task.euid, SENDER_EUID_UNKNOWN);
	assert_int_equal(sender->ancestor_count, 1);
	assert_int_equal(sender->ancestors[0].pid, 1);
}

static void test_orphan(void **state)
{
	(void)state;
	run(1, 0, 0, PATH("init\0sbin"), BYTES("init\0"), 0);
	run(20, 20, 20, PATH("perl\0bin\0usr"), BYTES("perl\0/srv/job.pl\0"), 0);
	fork_of(30, 29, 20, 20);
	run(30, 29, 30, EXIM, BYTES("sendmail\0"), EXEC_SECURE);
	submit(&(struct made){.pid = 30,
			      .start_s = 29,
			      .at_s = 30,
			      .uid = JOE,
			      .ancestor_count = 1,
			      .ancestors = {{0, 1, 0}}});
	assert_int_equal(only()->task.pid, 30);
	assert_string_equal(only()->image->script, "/srv/job.pl");
}

/* mail(1), a shell with one command and another program of the MTA are passed over. */
static void test_passed_over(void **state)
{
	(void)state;
	run(20, 20, 20, PATH("python3\0bin\0usr"), BYTES("python3\0/srv/job.py\0"), 0);
	run(21, 21, 21, PATH("dash\0bin\0usr"), BYTES("sh\0-c\0mail x\0"), 0);
	run(21, 21, 22, PATH("bsd-mailx\0bin\0usr"), BYTES("mail\0x\0"), 0);
	run(22, 23, 23, PATH("sendmail\0sbin\0usr"), BYTES("sendmail\0"), 0);
	run(30, 29, 30, EXIM, BYTES("sendmail\0"), EXEC_SECURE);
	submit(&(struct made){
		.pid = 30,
		.start_s = 29,
		.at_s = 30,
		.uid = JOE,
		.real = 7,
		.ancestor_count = 3,
		.ancestors = {{23 * S, 22, JOE}, {21 * S, 21, JOE}, {20 * S, 20, JOE}}});
	assert_int_equal(only()->task.pid, 20);
	assert_int_equal(only()->task.euid, JOE);
}

/* sudo sendmail: whoever is above sudo is another user, and does not become the submitter. */
static void test_other_user(void **state)
{
	(void)state;
	run(20, 20, 20, PATH("python3\0bin\0usr"), BYTES("python3\0/srv/job.py\0"), 0);
	run(21, 21, 21, PATH("sudo\0bin\0usr"), BYTES("sudo\0-u\0joe\0sendmail\0"), 0);
	run(30, 29, 30, EXIM, BYTES("sendmail\0"), EXEC_SECURE);
	submit(&(struct made){.pid = 30,
			      .start_s = 29,
			      .at_s = 30,
			      .uid = JOE,
			      .real = 3,
			      .ancestor_count = 2,
			      .ancestors = {{21 * S, 21, 0}, {20 * S, 20, 1001}}});
	assert_int_equal(only()->task.pid, 21);
	assert_int_equal(only()->task.uid, JOE);
	assert_int_equal(only()->task.euid, SENDER_EUID_UNKNOWN);
}

/* An effective user that is another one is not the real one. */
static void test_setuid_parent(void **state)
{
	(void)state;
	run(20, 20, 20, PATH("tool\0bin\0usr"), BYTES("tool\0"), EXEC_SECURE);
	run(30, 29, 30, EXIM, BYTES("sendmail\0"), EXEC_SECURE);
	submit(&(struct made){.pid = 30,
			      .start_s = 29,
			      .at_s = 30,
			      .uid = JOE,
			      .real = 0,
			      .ancestor_count = 1,
			      .ancestors = {{20 * S, 20, JOE}}});
	assert_int_equal(only()->task.euid, SENDER_EUID_UNKNOWN);
}

static void submit_from(struct span exe, uint32_t flags, uint32_t ns_user)
{
	run(20, 20, 20, PATH("python3\0bin\0usr"), BYTES("python3\0/srv/job.py\0"), 0);
	run(30, 29, 30, exe, BYTES("sendmail\0"), flags);
	submit(&(struct made){.pid = 30,
			      .start_s = 29,
			      .at_s = 30,
			      .uid = JOE,
			      .ns_user = ns_user,
			      .ancestor_count = 1,
			      .ancestors = {{20 * S, 20, JOE}}});
}

/* What only looks like a submission program. */
static void test_copies(void **state)
{
	struct submission_trace trace = trace_at(30, 31);

	(void)state;
	submit_from(PATH("exim4\0tmp"), EXEC_SECURE, 0);
	submit_from(EXIM, 0, 0); /* mounted over the real one: it got no rights */
	submit_from(EXIM, EXEC_SECURE, 99);
	submit_from(EXIM, EXEC_SECURE | EXEC_PATH_TRUNCATED, 0);
	submit_from(EXIM, EXEC_SECURE | EXEC_DELETED, 0);
	submit_from(EXIM, EXEC_SECURE | EXEC_MEMFD, 0);
	assert_int_equal(count(&trace), 0);
	submit_from(EXIM, EXEC_SECURE, 0);
	assert_int_equal(count(&trace), 1);
}

static void test_time(void **state)
{
	struct submission_trace trace = trace_at(28, 29);
	struct sender elsewhere = {.ns_pid = 7, .ns_mnt = 3};

	(void)state;
	submit_usual(BYTES("sendmail\0"));
	assert_int_equal(count(&trace), 0);
	trace = trace_at(31.5, 32);
	assert_int_equal(count(&trace), 0);
	trace = trace_at(30.5, 32);
	assert_int_equal(count(&trace), 1);
	trace.vpid = 31;
	assert_int_equal(count(&trace), 0);
	trace.vpid = 0;
	assert_int_equal(count(&trace), 1);
	trace.has_uid = true;
	trace.uid = 1001;
	assert_int_equal(count(&trace), 0);
	trace.uid = JOE;
	assert_int_equal(count(&trace), 1);
	trace.mta = "postfix";
	assert_int_equal(count(&trace), 0);
	trace.mta = "exim";
	trace.relay = &elsewhere;
	assert_int_equal(count(&trace), 0);
}

/* A pid that is used again within the second names neither of the two. */
static void test_pid_reuse(void **state)
{
	struct submission_trace trace = trace_at(30, 31);

	(void)state;
	submit_usual(BYTES("sendmail\0"));
	run(30, 31, 31, EXIM, BYTES("sendmail\0"), EXEC_SECURE);
	submit(&(struct made){.pid = 30,
			      .start_s = 31,
			      .at_s = 31,
			      .uid = JOE,
			      .ancestor_count = 1,
			      .ancestors = {{20 * S, 20, JOE}}});
	assert_int_equal(count(&trace), 2);
}

/* A lost exit: the next exec of the pid ends it. */
static void test_lost_exit(void **state)
{
	struct submission_trace trace = trace_at(60, 61);

	(void)state;
	submit_from(EXIM, EXEC_SECURE, 0);
	run(30, 40, 40, EXIM, BYTES("sendmail\0"), EXEC_SECURE);
	submit(&(struct made){.pid = 30, .start_s = 40, .at_s = 40, .uid = JOE});
	assert_int_equal(count(&trace), 1);
}

/* Root's daemon, queue runner and deliveries hand nothing in. A user's arguments decide nothing. */
static void test_at_work(void **state)
{
	static const char *const options[] = {"-bdf", "-q1m", "-Mc"};
	struct submission_trace trace = trace_at(30, 31);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char args[32];
		size_t len = (size_t)snprintf(args, sizeof(args), "exim4%c%s", 0, options[i]) + 1;

		run(30, 29, 30, EXIM, (struct span){args, len}, 0);
		submit(&(struct made){.pid = 30, .start_s = 29, .at_s = 30});
	}
	assert_int_equal(count(&trace), 0);
	submit_usual(BYTES("sendmail\0-q\0"));
	assert_int_equal(count(&trace), 1);
}

static void flood(uint32_t uid, uint32_t number)
{
	run(4999, 9, 9, PATH("perl\0bin\0usr"), BYTES("perl\0/x\0"), 0);
	for (uint32_t i = 0; i < number; i++) {
		run(5000 + i, 50, 50, EXIM, BYTES("sendmail\0x\0"), EXEC_SECURE);
		submit(&(struct made){.pid = 5000 + i,
				      .start_s = 50,
				      .at_s = 50,
				      .uid = uid,
				      .ancestor_count = 1,
				      .ancestors = {{9 * S, 4999, uid}}});
		leave(5000 + i, 50, 51);
	}
}

/* Who starts many programs pushes out his own, and makes only his own uncertain. */
static void test_flood(void **state)
{
	struct submission_trace trace = trace_at(30, 31);

	(void)state;
	submit_usual(BYTES("sendmail\0"));
	flood(1001, 2 * SUBMITTERS_MAX);
	assert_int_equal(count(&trace), 1);
	assert_true(submitters_bytes(table) <= SUBMITTERS_BYTES_MAX);
	trace.has_uid = true;
	trace.uid = JOE;
	assert_true(submitters_know_all(table, &trace));
	trace.uid = 1001;
	assert_false(submitters_know_all(table, &trace));
	trace.has_uid = false;
	assert_false(submitters_know_all(table, &trace));
}

/* Long arguments take up the bytes before the table has its number. */
static void test_bytes(void **state)
{
	char args[4096] = "sendmail";

	(void)state;
	memset(args + 9, 'a', sizeof(args) - 10);
	for (uint32_t i = 0; i < SUBMITTERS_MAX; i++) {
		run(100000 + i, 20, 20, PATH("python3\0bin\0usr"),
		    (struct span){args, sizeof(args)}, 0);
		run(5000, 50 + i, 50 + i, EXIM, BYTES("sendmail\0"), EXEC_SECURE);
		submit(&(struct made){.pid = 5000,
				      .start_s = 50 + i,
				      .at_s = 50 + i,
				      .uid = 1001,
				      .ancestor_count = 1,
				      .ancestors = {{20 * S, 100000 + i, 1001}}});
	}
	assert_true(submitters_bytes(table) <= SUBMITTERS_BYTES_MAX);
	assert_true(submitters_bytes(table) > SUBMITTERS_BYTES_MAX / 2);
}

static void test_doubt(void **state)
{
	struct submission_trace trace = trace_at(30, 31);

	(void)state;
	assert_true(submitters_know_all(table, &trace));
	submitters_doubt(table, 29 * S, 0);
	assert_false(submitters_know_all(table, &trace));
	trace = trace_at(29 + 3601, 29 + 3602);
	assert_true(submitters_know_all(table, &trace));
}

static void note(void *context, const struct unclaimed *unclaimed)
{
	uint32_t *told = context;

	assert_string_equal(unclaimed->mta, "exim");
	assert_true(unclaimed->exec_ns < unclaimed->exit_ns);
	(*told)++;
}

/* What no relayed mail claims is told once; of a flood, only a part, and the rest is counted. */
static void test_unclaimed(void **state)
{
	uint32_t told = 0;

	(void)state;
	submit_usual(BYTES("sendmail\0x\0"));
	assert_int_equal(submitters_tell(table, 40 * S, false, note, &told), 0);
	assert_int_equal(told, 0);
	assert_int_equal(submitters_tell(table, 41 * S, false, note, &told), 0);
	assert_int_equal(told, 1);
	submitters_tell(table, 90 * S, false, note, &told);
	assert_int_equal(told, 1);
	flood(1001, 30);
	assert_int_equal(submitters_tell(table, 90 * S, false, note, &told), 10);
	assert_int_equal(told, 21);
	flood(1001, SUBMITTERS_MAX + 5);
	assert_int_equal(submitters_tell(table, 52 * S, false, note, &told), 6);
}

static void test_claimed(void **state)
{
	uint32_t told = 0;

	(void)state;
	submit_usual(BYTES("sendmail\0-bp\0")); /* asks only */
	submitters_tell(table, 90 * S, true, note, &told);
	assert_int_equal(told, 0);
	run(30, 50, 50, EXIM, BYTES("sendmail\0x\0"), EXEC_SECURE);
	run(20, 20, 20, PATH("python3\0bin\0usr"), BYTES("python3\0"), 0);
	submit(&(struct made){.pid = 30,
			      .start_s = 50,
			      .at_s = 50,
			      .uid = JOE,
			      .ancestor_count = 1,
			      .ancestors = {{20 * S, 20, JOE}}});
	submitters_tell(table, 90 * S, true, note, &told);
	assert_int_equal(told, 0); /* it runs */
	leave(30, 50, 51);
	{
		struct submission_trace trace = trace_at(50, 51);
		struct sender *found[2];

		assert_int_equal(submitters_find(table, &trace, found, 2), 1);
		submitters_claim(table, found[0]);
	}
	submitters_tell(table, 90 * S, true, note, &told);
	assert_int_equal(told, 0);
}

/* sendmail hands its mail to the MTA by SMTP; a runner of its queue, what others handed in. */
static void test_by_smtp(void **state)
{
	const struct want want = {0};
	struct task_id task = {.pid = 30, .start_ns = 29 * S, .uid = JOE};
	struct sender *program;

	(void)state;
	submit_usual(BYTES("sendmail\0-t\0"));
	program = sender_of_task(&task, 30 * S + 1, processes, &want);
	assert_non_null(program);
	assert_ptr_equal(submitters_of(table, program), only());
	sender_unref(program);
	task.start_ns++;
	run(30, 29, 30, EXIM, BYTES("sendmail\0-Ac\0-q\0"), EXEC_SECURE);
	task.start_ns = 29 * S;
	program = sender_of_task(&task, 30 * S + 1, processes, &want);
	assert_null(submitters_of(table, program));
	sender_unref(program);
}

/* One that ran before the watch may be anybody's. */
static void test_older(void **state)
{
	struct exec_record *record = exec_record(&(struct exec){.pid = 77,
								.start_ns = 5 * S,
								.exec_ns = 5 * S,
								.read_ns = 6 * S,
								.flags = EXEC_SNAPSHOT,
								.exe = EXIM});
	struct submission_trace trace = trace_at(30, 31);
	struct image *image;

	(void)state;
	assert_int_equal(process_table_record(processes, &record->h), 0);
	image = process_image_at(processes, 77, 5 * S, 6 * S);
	assert_true(submitters_is_program(image));
	assert_false(submitters_is_program(NULL));
	submitters_add_older(table, record, image, 0);
	image_unref(image);
	free(record);
	submit_usual(BYTES("sendmail\0"));
	assert_int_equal(count(&trace), 1);
	trace.vpid = 0;
	assert_int_equal(count(&trace), 2);
	leave(77, 5, 29);
	assert_int_equal(count(&trace), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_script),	TEST(test_same_process), TEST(test_orphan),
		TEST(test_passed_over), TEST(test_other_user),	 TEST(test_setuid_parent),
		TEST(test_copies),	TEST(test_time),	 TEST(test_pid_reuse),
		TEST(test_lost_exit),	TEST(test_at_work),	 TEST(test_flood),
		TEST(test_bytes),	TEST(test_doubt),	 TEST(test_older),
		TEST(test_unclaimed),	TEST(test_claimed),	 TEST(test_by_smtp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
