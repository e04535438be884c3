/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Outputs with real files and sockets: no record is lost when the receiver is slow or goes down and
 * comes back, when a file is rotated, or when the disk is full. Records that do not fit the queue
 * are counted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

#include "output/output.h"
#include "output/outputs.h"
#include "output/queue.h"

#define RECORDS	 3000
#define WAIT_S	 20
#define NORMAL	 ((struct queue_class){.sender = QUEUE_OWN})
#define URGENT	 ((struct queue_class){.sender = QUEUE_OWN, .urgent = true})
#define RECORD	 "record %06d %s\n"
#define STUFFING "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static char folder[] = "/tmp/smtpsnoop-outputs-XXXXXX";

static char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void rest(long ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

static struct output *started(const struct output_config *config)
{
	struct output *output = NULL;

	assert_int_equal(output_new(&output, config), 0);
	return output;
}

static void add(struct output *output, int number)
{
	char record[128];
	int len = snprintf(record, sizeof(record), RECORD, number, STUFFING);

	output_add(output, (struct span){record, 7}, (struct span){record + 7, (size_t)len - 7},
		   NORMAL, true);
	output_wake(output);
}

static void wait_until_written(const struct output *output, uint64_t count)
{
	for (int i = 0; i < WAIT_S * 100 && output_stats(output).written < count; i++)
		rest(10);
	assert_int_equal(output_stats(output).written, count);
}

static void end(struct output *output)
{
	output_stop(output, 5000000000ULL);
	output_free(output);
}

/* How often each record came. */
struct tally {
	unsigned char times[RECORDS];
	unsigned int bad;
};

static void count_line(struct tally *tally, const char *line, size_t len)
{
	char copy[128], expected[128];
	int number = -1;

	if (len >= sizeof(copy))
		len = sizeof(copy) - 1;
	memcpy(copy, line, len);
	copy[len] = '\0';
	if (sscanf(copy, "record %d", &number) == 1 && number >= 0 && number < RECORDS &&
	    snprintf(expected, sizeof(expected), RECORD, number, STUFFING) == (int)len + 1 &&
	    strncmp(copy, expected, len) == 0)
		tally->times[number]++;
	else
		tally->bad++;
}

static void count_file(struct tally *tally, const char *name)
{
	FILE *file = fopen(path_of(name), "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	assert_non_null(file);
	while ((len = getline(&line, &size, file)) > 0)
		count_line(tally, line, (size_t)len - (line[len - 1] == '\n'));
	free(line);
	fclose(file);
}

static void assert_all(const struct tally *tally, int from, int to, bool once)
{
	for (int i = from; i < to; i++) {
		if (!tally->times[i] || (once && tally->times[i] > 1))
			fail_msg("record %d came %u times", i, tally->times[i]);
	}
}

/* ---- Queue ----------------------------------------------------------------------------------- */

static int fill(struct queue *queue, struct queue_class class)
{
	static char bytes[100];
	int added = 0;

	while (queue_add(queue, (struct span){bytes, sizeof(bytes)}, (struct span){"", 0}, class))
		added++;
	return added;
}

/*
 * In a queue for 80 records: the room that one sender must leave to others, and the room that is
 * reserved for urgent records.
 */
static void test_shares(void **state)
{
	struct queue *queue = queue_new(80 * (sizeof(struct entry) + 100));
	struct queue_class class = {.sender = 1000};

	(void)state;
	assert_int_equal(fill(queue, class), 50);
	class.urgent = true;
	assert_int_equal(fill(queue, class), 20);
	class = (struct queue_class){.sender = 1001};
	assert_int_equal(fill(queue, class), 0); /* only the quarter for urgent records is left */
	class.urgent = true;
	assert_int_equal(fill(queue, class), 10);
	assert_int_equal(fill(queue, (struct queue_class){.urgent = true, .sender = QUEUE_OWN}), 0);
	for (struct entry *entry = queue_take(queue, 0), *next; entry; entry = next) {
		next = entry->next;
		queue_release(queue, entry);
	}
	class.sender = 1000; /* released room can be used again */
	assert_int_equal(fill(queue, class), 70);
	assert_int_equal(fill(queue, (struct queue_class){.urgent = true, .sender = QUEUE_OWN}),
			 10);
	queue_free(queue);
}

static void test_queue(void **state)
{
	struct queue *queue = queue_new(10 * (sizeof(struct entry) + 100) * 4 / 3);
	static char bytes[100];
	struct span body = {bytes, sizeof(bytes)}, none = {"", 0};
	int added = 0, urgent = 0;
	struct entry *entry;

	(void)state;
	while (queue_add(queue, none, body, NORMAL))
		added++;
	while (queue_add(queue, body, none, URGENT))
		urgent++;
	assert_in_range(added, 9, 10);
	assert_in_range(urgent, 3, 4);
	assert_int_equal(queue_records(queue), added + urgent);
	entry = queue_take(queue, 0);
	/* Entries that were taken still count until they are released. */
	assert_false(queue_add(queue, none, body, URGENT));
	for (int i = 0; entry; i++) {
		struct entry *next = entry->next;

		assert_int_equal(entry->len, 100);
		queue_release(queue, entry);
		entry = next;
	}
	assert_int_equal(queue_bytes(queue), 0);
	assert_null(queue_take(queue, 1000000));
	queue_free(queue);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static void test_rotation(void **state)
{
	struct output_config config = {.name = (char *)"file",
				       .path = path_of("log"),
				       .queue_bytes = 1 << 24};
	struct output *output;
	struct tally tally = {0};
	char from[128], to[128];

	(void)state;
	unlink(config.path);
	output = started(&config);
	for (int i = 0; i < RECORDS; i++) {
		add(output, i);
		if (i % (RECORDS / 5) ==
		    RECORDS / 10) { /* five rotations, one of them without a new file */
			snprintf(from, sizeof(from), "%s", path_of("log"));
			for (int j = 0; j < 500 && access(from, F_OK); j++)
				rest(10);
			snprintf(to, sizeof(to), "%s/log.%d", folder, i / (RECORDS / 5));
			assert_int_equal(rename(from, to), 0);
			if (i > RECORDS / 2)
				close(open(from, O_CREAT | O_WRONLY | O_CLOEXEC, 0640));
			output_reopen(output);
		}
	}
	end(output);
	count_file(&tally, "log");
	for (int i = 0; i < 5; i++) {
		snprintf(from, sizeof(from), "log.%d", i);
		count_file(&tally, from);
	}
	assert_int_equal(tally.bad, 0);
	assert_all(&tally, 0, RECORDS, true);
}

static void test_removed(void **state)
{
	struct output_config config = {.name = (char *)"file",
				       .path = path_of("removed"),
				       .queue_bytes = 1 << 24};
	struct output *output = started(&config);
	struct tally tally = {0};
	struct stat info;

	(void)state;
	add(output, 0);
	wait_until_written(output, 1);
	assert_int_equal(unlink(path_of("removed")), 0);
	for (int i = 0; i < 500 && stat(path_of("removed"), &info); i++)
		rest(10);
	add(output, 1);
	end(output);
	count_file(&tally, "removed");
	assert_all(&tally, 1, 2, true);
	assert_int_equal(stat(path_of("removed"), &info), 0);
	assert_int_equal(info.st_mode & 07777, 0640);
}

/*
 * An unfinished line of an earlier run gets its line end. A full disk (here: a limit) leaves no
 * torn line.
 */
static void test_torn(void **state)
{
	struct output_config config = {.name = (char *)"file",
				       .path = path_of("torn"),
				       .queue_bytes = 1 << 20};
	struct rlimit limit = {.rlim_cur = 500, .rlim_max = RLIM_INFINITY};
	struct output *output;
	struct tally tally = {0};
	FILE *file = fopen(path_of("torn"), "we");

	(void)state;
	fputs("half a line", file);
	fclose(file);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	output = started(&config);
	for (int i = 0; i < 20; i++)
		add(output, i);
	for (int i = 0; i < WAIT_S * 100 && output_stats(output).up; i++)
		rest(10);
	assert_false(output_stats(output).up);
	assert_true(output_stats(output).failures > 0 && output_stats(output).written < 20);
	limit.rlim_cur = RLIM_INFINITY;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	wait_until_written(output, 20);
	assert_true(output_stats(output).up);
	end(output);
	count_file(&tally, "torn");
	assert_int_equal(tally.bad, 1); /* the unfinished line */
	assert_all(&tally, 0, 20, true);
}

static void test_refused_files(void **state)
{
	struct output_config config = {.name = (char *)"file", .queue_bytes = 1 << 20};
	struct output *output = NULL;

	(void)state;
	config.path = path_of("none/such");
	assert_int_equal(output_new(&output, &config), -ENOENT);
	config.path = folder;
	assert_int_equal(output_new(&output, &config), -EISDIR);
	config.path = path_of("fifo");
	assert_int_equal(mkfifo(config.path, 0600), 0);
	assert_int_equal(output_new(&output, &config), -EINVAL);
	assert_null(output);
}

/* ---- A socket of this host ------------------------------------------------------------------- */

static int listen_local(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Reads up to `most` records; returns early if nothing comes for a while. */
static int read_local(int fd, struct tally *tally, int most)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	char record[512];
	int count = 0;

	while (count < most && poll(&ready, 1, 1500) > 0) {
		ssize_t len = recv(fd, record, sizeof(record), 0);

		assert_true(len > 0);
		count_line(tally, record, (size_t)len - 1);
		count++;
	}
	return count;
}

static void test_receiver_restarts(void **state)
{
	char path[128];
	struct output_config config = {.name = (char *)"syslog",
				       .type = OUTPUT_SYSLOG,
				       .transport = SYSLOG_SOCKET,
				       .path = path,
				       .queue_bytes = 1 << 24};
	struct output *output;
	struct tally tally = {0};
	int fd, read = 0;

	(void)state;
	snprintf(path, sizeof(path), "%s", path_of("dgram"));
	output = started(&config); /* the receiver does not exist yet */
	for (int i = 0; i < RECORDS / 2; i++)
		add(output, i);
	fd = listen_local(path);
	read += read_local(fd, &tally, RECORDS / 4);
	rest(100);
	close(fd); /* unread records are lost with the socket */
	for (int i = RECORDS / 2; i < RECORDS; i++)
		add(output, i);
	fd = listen_local(path);
	read += read_local(fd, &tally, RECORDS * 2);
	assert_int_equal(tally.bad, 0);
	assert_all(&tally, 0, RECORDS, false);
	assert_true(output_stats(output).repeated > 0);
	assert_true(read > RECORDS - 1 && read < RECORDS + 1024);
	assert_int_equal(output_stats(output).written, RECORDS);
	assert_int_equal(output_stats(output).lost, 0);
	end(output);
	close(fd);
}

static void test_too_large(void **state)
{
	char path[128];
	struct output_config config = {.name = (char *)"syslog",
				       .type = OUTPUT_SYSLOG,
				       .transport = SYSLOG_SOCKET,
				       .path = path,
				       .queue_bytes = 1 << 25};
	static char large[8 << 20];
	struct output *output;
	struct tally tally = {0};
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s", path_of("large"));
	fd = listen_local(path);
	output = started(&config);
	output_add(output, (struct span){large, sizeof(large)}, (struct span){"", 0}, URGENT, true);
	add(output, 0);
	assert_int_equal(read_local(fd, &tally, 1), 1);
	assert_all(&tally, 0, 1, true);
	assert_int_equal(output_stats(output).lost, 1);
	end(output);
	close(fd);
}

/* No receiver and a small queue: the lost records are counted, and the output ends in time. */
static void test_away(void **state)
{
	char path[128];
	struct output_config config = {.name = (char *)"syslog",
				       .type = OUTPUT_SYSLOG,
				       .transport = SYSLOG_SOCKET,
				       .path = path,
				       .queue_bytes = 20000};
	struct output *output;
	struct output_stats stats;
	time_t begin = time(NULL);

	(void)state;
	snprintf(path, sizeof(path), "%s", path_of("away"));
	output = started(&config);
	for (int i = 0; i < RECORDS; i++)
		add(output, i);
	stats = output_stats(output);
	assert_true(stats.lost > 0 && stats.waiting > 0);
	assert_int_equal(stats.lost + stats.waiting, RECORDS);
	assert_true(stats.bytes <= 20000);
	output_stop(output, 1000000000ULL);
	output_free(output);
	assert_true(time(NULL) - begin <= 3);
}

/* ---- TCP ------------------------------------------------------------------------------------- */

static int listen_tcp(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

/* Reads lines of one connection, up to `most` bytes; returns early if nothing comes for a while. */
static void read_tcp(int listener, struct tally *tally, size_t most)
{
	struct pollfd ready = {.fd = listener, .events = POLLIN};
	static char bytes[1 << 20];
	size_t len = 0, at = 0;
	int fd;

	assert_true(poll(&ready, 1, WAIT_S * 1000) > 0);
	fd = accept(listener, NULL, NULL);
	ready.fd = fd;
	while (len < most && len < sizeof(bytes) && poll(&ready, 1, 1500) > 0) {
		size_t room = sizeof(bytes) - len < most - len ? sizeof(bytes) - len : most - len;
		ssize_t more = recv(fd, bytes + len, room, 0);

		if (more <= 0)
			break;
		len += (size_t)more;
	}
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\n') {
			count_line(tally, bytes + at, i - at);
			at = i + 1;
		}
	}
	close(fd);
}

static void test_tcp_restarts(void **state)
{
	struct output_config config = {.name = (char *)"tcp",
				       .type = OUTPUT_SYSLOG,
				       .transport = SYSLOG_TCP,
				       .host = (char *)"127.0.0.1",
				       .queue_bytes = 1 << 24};
	struct sockaddr_in address;
	socklen_t len = sizeof(address);
	int listener = listen_tcp(0);
	struct output *output;
	struct tally tally = {0};
	char port[16];

	(void)state;
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	snprintf(port, sizeof(port), "%u", ntohs(address.sin_port));
	config.service = port;
	output = started(&config);
	for (int i = 0; i < RECORDS / 2; i++)
		add(output, i);
	read_tcp(listener, &tally, 20000); /* the receiver goes down with much unread */
	close(listener);
	for (int i = RECORDS / 2; i < RECORDS; i++)
		add(output, i);
	rest(500);
	listener = listen_tcp(ntohs(address.sin_port));
	read_tcp(listener, &tally, SIZE_MAX);
	assert_int_equal(tally.bad, 0);
	assert_all(&tally, 0, RECORDS, false);
	assert_true(output_stats(output).repeated > 0);
	assert_int_equal(output_stats(output).written, RECORDS);
	end(output);
	close(listener);
}

/* ---- All of them ----------------------------------------------------------------------------- */

static void test_reconfigured(void **state)
{
	char a[128], b[128], none[128], why[OUTPUTS_WHY_MAX];
	struct output_config configs[3] = {{.name = (char *)"a", .path = a, .queue_bytes = 1 << 20},
					   {.name = (char *)"b", .path = b, .queue_bytes = 1 << 20},
					   {.name = (char *)"c",
					    .path = none,
					    .queue_bytes = 1 << 20}};
	struct outputs *outputs = outputs_new();
	const struct output *first;
	struct event *event = event_new(EVENT_STARTED);
	struct sink *sink = outputs_sink(outputs);
	struct stat info;

	(void)state;
	snprintf(a, sizeof(a), "%s", path_of("a"));
	snprintf(b, sizeof(b), "%s", path_of("b"));
	snprintf(none, sizeof(none), "%s", path_of("none/c"));
	event->capture.hook = "none";
	assert_int_equal(outputs_configure(outputs, configs, 1, why), 0);
	first = outputs_at(outputs, 0);
	assert_int_equal(sink->write(sink, event), 0);
	/* All outputs or no change. */
	assert_int_equal(outputs_configure(outputs, configs, 3, why), -ENOENT);
	assert_non_null(strstr(why, "output c: "));
	assert_int_equal(outputs_count(outputs), 1);
	assert_ptr_equal(outputs_at(outputs, 0), first);
	assert_int_equal(sink->write(sink, event), 0);
	assert_int_equal(outputs_configure(outputs, configs, 2, why), 0);
	assert_ptr_equal(outputs_at(outputs, 0), first); /* an unchanged output continues */
	assert_int_equal(sink->write(sink, event), 0);
	assert_int_equal(outputs_configure(outputs, configs + 1, 1, why), 0);
	assert_int_equal(outputs_count(outputs), 1);
	assert_int_equal(sink->write(sink, event), 0);
	outputs_look(outputs);
	outputs_free(outputs, 2000000000ULL);
	event_free(event);
	assert_int_equal(stat(a, &info), 0);
	assert_true(info.st_size > 0);
	assert_int_equal(stat(b, &info), 0);
	assert_true(info.st_size > 0);
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_refused_files),
		cmocka_unit_test(test_receiver_restarts),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_away),
		cmocka_unit_test(test_tcp_restarts),
		cmocka_unit_test(test_reconfigured),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
