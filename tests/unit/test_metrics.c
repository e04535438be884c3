/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The metrics over real sockets and in real files: open connections lock nobody out, a hanging disk
 * delays nothing, old numbers disappear. And lines on standard error, which never wait for a
 * reader.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "metrics_reload.h"
#include "unit.h"

#include "base/report.h"

#define PAGE	   "smtpsnoop_records_total 42\n"
#define PAGE_SPAN  ((struct span){PAGE, sizeof(PAGE) - 1})
#define HELD	   400 /* connections: more than the server accepts and queues */
#define HELD_S	   15  /* a page must still come within this time */
#define DEADLINE_S 10  /* the server closes a connection after this time */

static char folder[] = "/tmp/smtpsnoop-metrics-XXXXXX";

/* ---- What hangs ------------------------------------------------------------------------------ */

static atomic_int renames_hang, hanging;

static void sleep_ms(long ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

/* Replaces the C library's function: a disk that does not answer. */
int rename(const char *from, const char *to)
{
	while (renames_hang) {
		hanging = 1;
		sleep_ms(10);
	}
	hanging = 0;
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static bool wait_until(bool (*done)(const char *), const char *path, bool wanted, double seconds)
{
	double end = now_s() + seconds;

	while (done(path) != wanted && now_s() < end)
		sleep_ms(10);
	return done(path) == wanted;
}

#ifdef HAVE_LIBMICROHTTPD

/* ---- HTTP ------------------------------------------------------------------------------------ */

static int bound_socket(uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

static uint16_t free_port(void)
{
	uint16_t port;

	close(bound_socket(&port));
	return port;
}

static struct metrics_config listening(uint16_t port)
{
	return (struct metrics_config){.address = "127.0.0.1", .port = port};
}

/* -1: refused. If the server's queue is full, the connection is still in progress on return. */
static int open_connection(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EINPROGRESS)
		return fd;
	close(fd);
	return -1;
}

/* True if the page came in time. */
static bool get_page(uint16_t port, int timeout_ms)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int fd = open_connection(port);
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	double end = now_s() + timeout_ms / 1000.0;
	char answer[4096] = "";
	size_t len = 0;
	ssize_t n = -1;

	if (fd < 0)
		return false;
	if (poll(&ready, 1, timeout_ms) == 1 &&
	    send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0)
		n = 1;
	ready.events = POLLIN;
	while (n > 0 && poll(&ready, 1, (int)((end - now_s()) * 1000) + 1) == 1) {
		n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
		answer[len] = '\0';
	}
	close(fd);
	return strncmp(answer, "HTTP/1.1 200 ", 13) == 0 && strstr(answer, "\r\n\r\n" PAGE);
}

static void test_page(void **state)
{
	struct metrics *metrics = started_metrics();
	struct metrics_config config = listening(free_port());
	char why[METRICS_WHY_MAX];

	(void)state;
	assert_false(metrics_wanted(metrics));
	assert_int_equal(configure(metrics, &config, why), 0);
	assert_true(metrics_wanted(metrics));
	metrics_publish(metrics, PAGE_SPAN);
	for (int i = 0; i < 200; i++)
		assert_true(get_page(config.port, 2000));
	config.port = free_port();
	assert_int_equal(configure(metrics, &config, why), 0);
	assert_true(get_page(config.port, 2000));
	config.port = 0;
	assert_int_equal(configure(metrics, &config, why), 0);
	assert_false(metrics_wanted(metrics));
	metrics_free(metrics);
}

/* A slow client sends one byte. Sets *fd to -1 if the server has closed the connection. */
static void trickle(int *fd)
{
	char byte;

	if (*fd >= 0 && (send(*fd, "G", 1, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || errno == EAGAIN) &&
	    (recv(*fd, &byte, 1, MSG_DONTWAIT) > 0 || errno == EAGAIN))
		return;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* A slow client has 10 s in all, even if nobody else waits for its place. */
static void test_deadline(void **state)
{
	struct metrics *metrics = started_metrics();
	struct metrics_config config = listening(free_port());
	char why[METRICS_WHY_MAX];
	double begin = now_s();
	int fd;

	(void)state;
	assert_int_equal(configure(metrics, &config, why), 0);
	fd = open_connection(config.port);
	sleep_ms(100);
	while (fd >= 0 && now_s() < begin + 20) {
		metrics_publish(metrics, PAGE_SPAN);
		trickle(&fd);
		if (fd >= 0)
			sleep_ms(500);
	}
	assert_int_equal(fd, -1);
	assert_true(now_s() - begin > DEADLINE_S - 1 && now_s() - begin < DEADLINE_S + 3);
	assert_true(get_page(config.port, 2000));
	metrics_free(metrics);
}

/* An attacker who wants to hide the metrics opens each connection again as soon as it is closed. */
static void test_held(void **state)
{
	struct metrics *metrics = started_metrics();
	struct metrics_config config = listening(free_port());
	char why[METRICS_WHY_MAX];
	static int fds[HELD];
	double begin;
	bool page = false;

	(void)state;
	assert_int_equal(configure(metrics, &config, why), 0);
	for (size_t i = 0; i < HELD; i++)
		fds[i] = open_connection(config.port);
	sleep_ms(500);
	begin = now_s();
	while (!page && now_s() < begin + HELD_S) {
		metrics_publish(metrics, PAGE_SPAN);
		for (size_t i = 0; i < HELD; i++) {
			trickle(&fds[i]);
			if (fds[i] < 0)
				fds[i] = open_connection(config.port);
		}
		page = get_page(config.port, 1000);
	}
	print_message("a page after %.1f s\n", now_s() - begin);
	assert_true(page);
	for (size_t i = 0; i < HELD; i++)
		close(fds[i]);
	metrics_free(metrics);
}

#endif

/* ---- Standard error -------------------------------------------------------------------------- */

static int standard_error = -1;

/* Makes standard error a pipe. Returns the reading end. */
static int begin_pipe(void)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	standard_error = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	return ends[0];
}

static void end_pipe(void)
{
	assert_int_equal(dup2(standard_error, STDERR_FILENO), STDERR_FILENO);
	close(standard_error);
}

/* Reads what is in the pipe now, without waiting. */
static size_t read_some(int fd, char *out, size_t size)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len + 1 < size && poll(&ready, 1, 0) == 1 && ready.revents & POLLIN) {
		n = read(fd, out + len, size - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	out[len] = '\0';
	return len;
}

static void test_report(void **state)
{
	int pipe_end = begin_pipe();
	char text[8192], longest[3000];

	(void)state;
	memset(longest, '\x01', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	errno = EXDEV;
	report("a\nb", "%s", "c\x1b[2J\x7f\xc3\xa4");
	assert_int_equal(errno, EXDEV);
	read_some(pipe_end, text, sizeof(text));
	assert_string_equal(text, "smtpsnoop: a\\x0ab: c\\x1b[2J\\x7f\xc3\xa4\n");
	report("long", "%s", longest);
	assert_true(read_some(pipe_end, text, sizeof(text)) <= 1024);
	assert_int_equal(strcspn(text, "\n"), strlen(text) - 1);
	assert_true(strlen(text) > 1000);
	assert_string_equal(text + strlen(text) - 5, "\\x01\n");
	report(longest, "%s", longest);
	assert_true(read_some(pipe_end, text, sizeof(text)) <= 1024);
	assert_int_equal(strcspn(text, "\n"), strlen(text) - 1);
	end_pipe();
	close(pipe_end);
}

/* Nobody reads the pipe: no writer waits, and the number of dropped lines is reported. */
static void test_full_pipe(void **state)
{
	int pipe_end = begin_pipe();
	static char text[1 << 20];
	const char *note;
	unsigned int told = 0, found = 0;

	(void)state;
	alarm(10);
	for (unsigned int i = 0; i < 20000; i++)
		report("test", "line %05u", i);
	alarm(0);
	read_some(pipe_end, text, sizeof(text));
	for (char *line = text; *line; line = strchr(line, '\n') + 1, found++)
		assert_int_equal(strcspn(line, "\n"), strlen("smtpsnoop: test: line 00000"));
	assert_true(found > 100 && found < 20000);
	report("test", "the last");
	read_some(pipe_end, text, sizeof(text));
	assert_int_equal(sscanf(text, "smtpsnoop: %u messages could not be written here", &told),
			 1);
	assert_int_equal(told + found, 20000);
	note = strchr(text, '\n');
	assert_non_null(note);
	assert_string_equal(note, "\nsmtpsnoop: test: the last\n");
	report("test", "and no more");
	read_some(pipe_end, text, sizeof(text));
	assert_string_equal(text, "smtpsnoop: test: and no more\n");
	close(pipe_end); /* writing without a reader must not end the process */
	report("test", "to nobody");
	end_pipe();
	pipe_end = begin_pipe();
	report("test", "to somebody");
	read_some(pipe_end, text, sizeof(text));
	assert_string_equal(
		text,
		"smtpsnoop: 1 message could not be written here\nsmtpsnoop: test: to somebody\n");
	end_pipe();
	close(pipe_end);
}

#define LINES 2000

static void *report_lines(void *letter)
{
	char line[101];

	memset(line, *(char *)letter, 100);
	line[100] = '\0';
	for (int i = 0; i < LINES; i++)
		report("test", "%s", line);
	return NULL;
}

static void test_threads(void **state)
{
	static char text[1 << 20];
	int pipe_end = begin_pipe();
	char letters[] = {'a', 'b'};
	pthread_t threads[2];
	size_t lines = 0;

	(void)state;
	assert_true(fcntl(pipe_end, F_SETPIPE_SZ, 1 << 20) >= 1 << 20);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, report_lines, &letters[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	end_pipe();
	read_some(pipe_end, text, sizeof(text));
	for (char *line = text; *line; line = strchr(line, '\n') + 1, lines++) {
		char *letter = line + strlen("smtpsnoop: test: "), all[2] = {*letter, '\0'};

		assert_int_equal(strcspn(line, "\n"), strlen("smtpsnoop: test: ") + 100);
		assert_int_equal(strspn(letter, all), 100);
	}
	assert_int_equal(lines, 2 * LINES);
	close(pipe_end);
}

#ifdef HAVE_LIBMICROHTTPD

/* ---- A port that is taken -------------------------------------------------------------------- */

static void test_refused(void **state)
{
	uint16_t taken;
	int squatter = bound_socket(&taken);
	struct metrics *metrics = started_metrics();
	struct metrics_config config = listening(free_port()), other = listening(taken);
	char why[METRICS_WHY_MAX];

	(void)state;
	assert_int_equal(configure(metrics, &config, why), 0);
	other.textfile = path_of("refused.prom");
	metrics_publish(metrics, PAGE_SPAN);
	assert_int_equal(configure(metrics, &other, why), -EADDRINUSE);
	assert_non_null(strstr(why, "metrics.listen: 127.0.0.1 port "));
	assert_true(get_page(config.port, 2000));
	sleep_ms(1500);
	assert_false(exists(other.textfile));
	metrics_free(metrics);
	close(squatter);
}

static void test_retry(void **state)
{
	uint16_t taken;
	int squatter = bound_socket(&taken), pipe_end = begin_pipe(), calls = 0;
	struct metrics *metrics = started_metrics();
	struct metrics_config config = listening(taken), another = listening(free_port());
	char why[METRICS_WHY_MAX], text[1000], expected[200];
	double begin = now_s();

	(void)state;
	config.textfile = path_of("retry.prom");
	assert_false(metrics_retry(metrics, &config));
	assert_true(metrics_wanted(metrics)); /* the text file is still written */
	metrics_publish(metrics, PAGE_SPAN);
	assert_true(wait_until(exists, config.textfile, true, 5));
	/* A reload that changes other settings. */
	be_in_force(&config);
	assert_int_equal(configure(metrics, &config, why), 0);
	for (int i = 0; i < 100; i++)
		assert_false(metrics_retry(metrics, &config));
	close(squatter);
	while (!metrics_retry(metrics, &config) && now_s() < begin + 20) {
		calls++;
		sleep_ms(100);
	}
	assert_true(now_s() - begin > 9 && now_s() - begin < 13);
	assert_true(calls > 50);
	assert_true(get_page(config.port, 2000));
	assert_true(metrics_retry(metrics, &config));
	read_some(pipe_end, text, sizeof(text));
	snprintf(expected, sizeof(expected),
		 "smtpsnoop: metrics.listen: 127.0.0.1 port %u: Address already in use; "
		 "retrying every 10 s\n"
		 "smtpsnoop: metrics.listen: 127.0.0.1 port %u: listening now\n",
		 taken, taken);
	assert_string_equal(text, expected);
	assert_true(metrics_retry(metrics, &another)); /* a new address is tried at once */
	assert_true(get_page(another.port, 2000));
	assert_false(get_page(config.port, 500));
	assert_true(wait_until(exists, config.textfile, false, 2));
	end_pipe();
	close(pipe_end);
	metrics_free(metrics);
}

#endif

/* ---- The text file --------------------------------------------------------------------------- */

static void assert_content(const char *path, const char *content)
{
	char text[1000] = "";
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	(void)!fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	assert_string_equal(text, content);
}

static void test_file(void **state)
{
	struct metrics *metrics = started_metrics();
	char a[128], b[128], why[METRICS_WHY_MAX];
	struct metrics_config config = {.textfile = a}, other = {.textfile = b}, none = {.port = 0};

	(void)state;
	strcpy(a, path_of("a.prom"));
	strcpy(b, path_of("b.prom"));
	assert_int_equal(configure(metrics, &config, why), 0);
	metrics_publish(metrics, PAGE_SPAN);
	assert_true(wait_until(exists, a, true, 5));
	assert_content(a, PAGE);
	assert_int_equal(configure(metrics, &other, why), 0);
	assert_true(wait_until(exists, a, false, 2));
	assert_true(wait_until(exists, b, true, 5));
	assert_int_equal(configure(metrics, &none, why), 0);
	assert_true(wait_until(exists, b, false, 2));
	assert_int_equal(configure(metrics, &config, why), 0);
	assert_true(wait_until(exists, a, true, 5));
	metrics_free(metrics);
	assert_false(exists(a)); /* metrics_free() waits for the removal */
}

/* The path changes all the time, while the writer uses it. */
static void test_file_changes(void **state)
{
	struct metrics *metrics = started_metrics();
	char path[128], why[METRICS_WHY_MAX];
	struct metrics_config config = {.textfile = path};

	(void)state;
	metrics_publish(metrics, PAGE_SPAN);
	for (int i = 0; i < 150; i++) {
		snprintf(path, sizeof(path), "%s/%d-%0*d.prom", folder, i, i % 80 + 1, 0);
		assert_int_equal(configure(metrics, &config, why), 0);
		metrics_publish(metrics, PAGE_SPAN);
		sleep_ms(i % 50 ? 1 : 1100);
	}
	metrics_free(metrics);
	assert_false(exists(path));
}

/*
 * A disk hangs: neither a reload nor metrics_free() waits for it, and nothing that it uses is
 * freed.
 */
static void test_file_hangs(void **state)
{
	struct metrics *metrics = started_metrics();
	char a[128], b[128], why[METRICS_WHY_MAX];
	struct metrics_config config = {.textfile = a}, other = {.textfile = b};
	double begin, took_s;

	(void)state;
	strcpy(a, path_of("a.prom"));
	strcpy(b, path_of("b.prom"));
	renames_hang = 1;
	assert_int_equal(configure(metrics, &config, why), 0);
	metrics_publish(metrics, PAGE_SPAN);
	for (int i = 0; i < 500 && !hanging; i++)
		sleep_ms(10);
	assert_int_equal(hanging, 1);
	begin = now_s();
	assert_int_equal(configure(metrics, &other, why), 0);
	took_s = now_s() - begin;
	print_message("a reload took %.3f s\n", took_s);
	assert_true(took_s < 0.5);
	begin = now_s();
	metrics_free(metrics);
	took_s = now_s() - begin;
	print_message("the end took %.3f s\n", took_s);
	assert_true(took_s < 1.5);
	renames_hang = 0;
	sleep_ms(300);
	assert_false(exists(a));
	assert_false(exists(b));
	assert_false(exists(path_of("a.prom.tmp")));
}

static void test_file_fails(void **state)
{
	struct metrics *metrics = started_metrics();
	char path[128], why[METRICS_WHY_MAX];
	struct metrics_config config = {.textfile = path};
	int pipe_end = begin_pipe();

	(void)state;
	strcpy(path, path_of("no/such.prom"));
	assert_int_equal(configure(metrics, &config, why), 0);
	metrics_publish(metrics, PAGE_SPAN);
	for (int i = 0; i < 500 && !metrics_file_failures(metrics); i++)
		sleep_ms(10);
	assert_int_equal(metrics_file_failures(metrics), 1);
	metrics_free(metrics);
	end_pipe();
	read_some(pipe_end, why, sizeof(why));
	assert_non_null(strstr(why, "no/such.prom: No such file or directory\n"));
	close(pipe_end);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report),	   cmocka_unit_test(test_full_pipe),
		cmocka_unit_test(test_threads),
#ifdef HAVE_LIBMICROHTTPD
		cmocka_unit_test(test_page),	   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_retry),	   cmocka_unit_test(test_held),
		cmocka_unit_test(test_deadline),
#endif
		cmocka_unit_test(test_file),	   cmocka_unit_test(test_file_changes),
		cmocka_unit_test(test_file_hangs), cmocka_unit_test(test_file_fails),
	};
	int failed;

	if (!mkdtemp(folder))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return rmdir(folder) ? 1 : failed;
}
