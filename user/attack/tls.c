/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Mail under TLS by the host's libssl, in ways that try to keep a watch from reading it, or to pass
 * text off as another connection's. All but one begin with STARTTLS: what cannot be read is then at
 * least known to be mail.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "attack/scenarios.h"
#include "attack/tls_session.h"

#define ATTACH_MS   200 /* a file that is new to a watch is attached some milliseconds later */
#define COPIES	    4
#define PATH_LEN    64
#define FIXED_BYTE  0x5a
#define NO_LIBRARY  "no libssl on this host"
#define NO_SESSION  "the TLS handshake failed"
#define NO_STARTTLS "the server did not take STARTTLS"

/* ---- A mail ---------------------------------------------------------------------------------- */

/* The code of the next reply, which is one record. -1: none. */
static int reply(struct tls_session *session)
{
	char line[256];
	int n = tls_recv(session, line, sizeof(line) - 1);

	if (n <= 0)
		return -1;
	line[n] = '\0';
	return atoi(line);
}

/* The text up to and with the next end of line; all of it if there is none. */
static size_t line_len(const char *text)
{
	const char *end = strstr(text, "\r\n");

	return end ? (size_t)(end + 2 - text) : strlen(text);
}

/* A dialogue on a session that is greeted: a command in each call, then the message. */
static enum attack_status mail(const struct attack_target *target, struct tls_session *session)
{
	static const int codes[] = {250, 250, 250, 354};
	char *text = attack_text(target, 0), *at = text;
	bool taken = text;

	for (size_t i = 0; taken && i < sizeof(codes) / sizeof(codes[0]); i++) {
		size_t len = line_len(at);

		taken = tls_send(session, at, len) == 0 && reply(session) == codes[i];
		at += len;
	}
	taken = taken && tls_send(session, at, strlen(at)) == 0 && reply(session) == 250 &&
		reply(session) == 221;
	free(text);
	close(session->fd);
	errno = 0;
	return taken ? ATTACK_DONE : attack_failed(target, "the server did not accept the message");
}

/* A connection that this class must be reported with. */
static int connected(const struct attack_target *target, uint16_t port)
{
	int fd = attack_connect(port);

	if (fd >= 0)
		target->shared->source_port = attack_source_port(fd);
	return fd;
}

/* A connection on which TLS is to begin; -1: there is none. */
static int starttls(const struct attack_target *target, uint16_t port)
{
	int fd = connected(target, port);

	if (fd >= 0 && attack_reply(fd) == 220 && attack_send(fd, "EHLO attack\r\n", 13) == 0 &&
	    attack_reply(fd) == 250 && attack_send(fd, "STARTTLS\r\n", 10) == 0 &&
	    attack_reply(fd) == 220)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static enum attack_status no_library(const struct attack_target *target)
{
	errno = 0;
	return attack_unavailable(target, NO_LIBRARY);
}

static enum attack_status failed(const struct attack_target *target, const char *what)
{
	errno = 0;
	return attack_failed(target, what);
}

/* STARTTLS and a mail, by a library that is open. */
static enum attack_status mail_by(const struct attack_target *target, const struct libssl *library,
				  enum tls_transport transport)
{
	struct tls_session session;
	int fd = starttls(target, target->server.port);

	if (fd < 0)
		return failed(target, NO_STARTTLS);
	if (!tls_open(&session, library, fd, TLS_ROLE_CLIENT, transport))
		return failed(target, NO_SESSION);
	return mail(target, &session);
}

/* ---- Ordinary sessions, and objects used in unusual ways ------------------------------------- */

static enum attack_status by_host_library(const struct attack_target *target,
					  enum tls_transport transport)
{
	struct libssl library;

	return libssl_open(&library, NULL) ? mail_by(target, &library, transport)
					   : no_library(target);
}

enum attack_status run_tls_starttls(const struct attack_target *target)
{
	return by_host_library(target, TLS_BY_SOCKET);
}

enum attack_status run_tls_memory_bio(const struct attack_target *target)
{
	return by_host_library(target, TLS_BY_MEMORY);
}

/* TLS from the first byte on, to a port that says nothing. */
enum attack_status run_tls_smtps(const struct attack_target *target)
{
	struct libssl library;
	struct tls_session session;
	int fd;

	if (!libssl_open(&library, NULL))
		return no_library(target);
	fd = connected(target, target->server.smtps_port);
	if (fd < 0 || !tls_open(&session, &library, fd, TLS_ROLE_CLIENT, TLS_BY_SOCKET) ||
	    reply(&session) != 220)
		return failed(target, NO_SESSION);
	return mail(target, &session);
}

/* The object belonged to another connection, which is still there. */
enum attack_status run_tls_reused_object(const struct attack_target *target)
{
	struct libssl library;
	struct tls_session session;
	int fd;

	if (!libssl_open(&library, NULL))
		return no_library(target);
	fd = starttls(target, target->server.port);
	if (fd < 0 || !tls_open(&session, &library, fd, TLS_ROLE_CLIENT, TLS_BY_SOCKET) ||
	    tls_send(&session, "NOOP\r\n", 6) || reply(&session) != 250)
		return failed(target, NO_SESSION);
	fd = starttls(target, target->server.port);
	if (fd < 0 || !tls_open_again(&session, fd))
		return failed(target, NO_SESSION);
	return mail(target, &session);
}

/* The mail's client is TLS's server: its object is none that sent a ClientHello. */
enum attack_status run_tls_server_object(const struct attack_target *target)
{
	struct libssl library;
	struct tls_session session;
	int fd;

	if (!libssl_open(&library, NULL))
		return no_library(target);
	fd = starttls(target, target->server.roles_port);
	if (fd < 0 || !tls_open(&session, &library, fd, TLS_ROLE_SERVER, TLS_BY_SOCKET))
		return failed(target, NO_SESSION);
	return mail(target, &session);
}

/* ---- An object that claims another process's random ------------------------------------------ */

static int same_bytes(unsigned char *bytes, int len)
{
	memset(bytes, FIXED_BYTE, (size_t)len);
	return 1;
}

static int always_ready(void)
{
	return 1;
}

/* Lets the library draw the same random each time. */
static bool draw_the_same(const struct libssl *library)
{
	static const RAND_METHOD method = {.bytes = same_bytes,
					   .pseudorand = same_bytes,
					   .status = always_ready};
	int (*set)(const struct rand_meth_st *method) = NULL;
	void *function = dlsym(library->handle, "RAND_set_rand_method");

	memcpy(&set, &function, sizeof(function));
	return set && set(&method) == 1;
}

/* The process whose random is claimed: it has a session, and keeps it. */
_Noreturn static void have_session(const struct attack_target *target, const struct libssl *library,
				   int tell)
{
	int fd = attack_connect(target->server.smtps_port);
	struct tls_session session;

	if (fd < 0 || !tls_open(&session, library, fd, TLS_ROLE_CLIENT, TLS_BY_SOCKET) ||
	    reply(&session) != 220 || tls_send(&session, "EHLO attack\r\n", 13) ||
	    reply(&session) != 250 || write(tell, "", 1) != 1)
		_exit(1);
	pause();
	_exit(0);
}

enum attack_status run_tls_forged_object(const struct attack_target *target)
{
	enum attack_status status;
	struct libssl library;
	int told[2];
	pid_t other;
	char byte;

	if (!libssl_open(&library, NULL) || !draw_the_same(&library))
		return no_library(target);
	if (pipe2(told, O_CLOEXEC))
		return attack_failed(target, "cannot make a pipe");
	other = fork();
	if (other == 0) {
		close(told[0]);
		have_session(target, &library, told[1]);
	}
	close(told[1]);
	status = read(told[0], &byte, 1) == 1 ? mail_by(target, &library, TLS_BY_SOCKET)
					      : failed(target, NO_SESSION);
	if (other > 0)
		kill(other, SIGKILL);
	return status;
}

/* ---- Files that contain a libssl ------------------------------------------------------------- */

/* A folder of our own, with copies of the library under other names. */
struct copies {
	char folder[PATH_LEN];
	char *paths[COPIES];
	size_t count;
};

static bool copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out;
	char piece[65536];
	ssize_t n = -1;

	out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	while (out >= 0 && (n = read(in, piece, sizeof(piece))) > 0) {
		if (write(out, piece, (size_t)n) != n) {
			n = -1;
			break;
		}
	}
	close(in);
	close(out);
	return n == 0;
}

static bool copies_make(struct copies *copies, const struct libssl *library, size_t count)
{
	struct link_map *map = NULL;

	*copies = (struct copies){.folder = "/tmp/smtpsnoop-attack-XXXXXX"};
	if (dlinfo(library->handle, RTLD_DI_LINKMAP, &map) || !mkdtemp(copies->folder))
		return false;
	while (copies->count < count) {
		char *path = NULL;

		if (asprintf(&path, "%s/libmail.so.%zu", copies->folder, copies->count) < 0)
			return false;
		copies->paths[copies->count++] = path;
		if (!copy_file(map->l_name, path))
			return false;
	}
	return true;
}

/* They stay mapped. */
static void copies_remove(struct copies *copies)
{
	for (size_t i = 0; i < copies->count; i++) {
		unlink(copies->paths[i]);
		free(copies->paths[i]);
	}
	rmdir(copies->folder);
}

/* Opens `count` copies of the host's library: the last one becomes `last`. */
static enum attack_status copies_open(const struct attack_target *target, struct copies *copies,
				      size_t count, struct libssl *last)
{
	struct libssl library;
	bool opened;

	if (!libssl_open(&library, NULL))
		return no_library(target);
	opened = copies_make(copies, &library, count);
	for (size_t i = 0; opened && i < count; i++)
		opened = libssl_open(last, copies->paths[i]);
	return opened ? ATTACK_DONE : attack_unavailable(target, "cannot load a copy from /tmp");
}

static enum attack_status mail_by_copy(const struct attack_target *target, size_t count)
{
	enum attack_status status;
	struct copies copies = {};
	struct libssl library;

	status = copies_open(target, &copies, count, &library);
	if (status == ATTACK_DONE) {
		poll(NULL, 0, ATTACH_MS);
		status = mail_by(target, &library, TLS_BY_SOCKET);
	}
	copies_remove(&copies);
	return status;
}

enum attack_status run_tls_library_copy(const struct attack_target *target)
{
	return mail_by_copy(target, 1);
}

enum attack_status run_tls_many_libraries(const struct attack_target *target)
{
	return mail_by_copy(target, COPIES);
}

/* ---- A file whose symbols lie ---------------------------------------------------------------- */

/* The section of a type, or NULL. The file is the host's own library. */
static const ElfW(Shdr) * section_of(const char *image, uint32_t type)
{
	const ElfW(Ehdr) *header = (const void *)image;
	const ElfW(Shdr) *sections = (const void *)(image + header->e_shoff);

	for (size_t i = 0; i < header->e_shnum; i++) {
		if (sections[i].sh_type == type)
			return &sections[i];
	}
	return NULL;
}

static ElfW(Sym) * symbol_of(char *image, const char *name)
{
	const ElfW(Ehdr) *header = (const void *)image;
	const ElfW(Shdr) *sections = (const void *)(image + header->e_shoff);
	const ElfW(Shdr) *table = section_of(image, SHT_DYNSYM);
	const char *names = table ? image + sections[table->sh_link].sh_offset : NULL;
	ElfW(Sym) *symbols = table ? (void *)(image + table->sh_offset) : NULL;

	for (size_t i = 0; table && i < table->sh_size / sizeof(*symbols); i++) {
		if (strcmp(names + symbols[i].st_name, name) == 0)
			return &symbols[i];
	}
	return NULL;
}

/* Exchanges where two functions are said to be. */
static bool exchange_symbols(char *image, const char *one, const char *other)
{
	ElfW(Sym) *first = symbol_of(image, one), *second = symbol_of(image, other), kept;

	if (!first || !second)
		return false;
	kept = *first;
	first->st_value = second->st_value;
	first->st_size = second->st_size;
	second->st_value = kept.st_value;
	second->st_size = kept.st_size;
	return true;
}

static bool forge(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat stat;
	char *image;
	bool forged;

	if (fd < 0 || fstat(fd, &stat))
		return false;
	image = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (image == MAP_FAILED)
		return false;
	forged = exchange_symbols(image, "SSL_write", "SSL_peek");
	munmap(image, (size_t)stat.st_size);
	return forged;
}

/* It writes by a function that has the name of another one. */
static bool open_forged(const struct copies *copies, struct libssl *library)
{
	void *function;

	if (!forge(copies->paths[0]) || !libssl_open(library, copies->paths[0]))
		return false;
	function = dlsym(library->handle, "SSL_peek");
	memcpy(&library->write, &function, sizeof(function));
	return true;
}

enum attack_status run_tls_forged_symbols(const struct attack_target *target)
{
	enum attack_status status;
	struct libssl library;
	struct copies copies;

	if (!libssl_open(&library, NULL))
		return no_library(target);
	if (!copies_make(&copies, &library, 1) || !open_forged(&copies, &library)) {
		status = attack_unavailable(target, "cannot load a copy from /tmp");
	} else {
		poll(NULL, 0, ATTACH_MS);
		status = mail_by(target, &library, TLS_BY_SOCKET);
	}
	copies_remove(&copies);
	return status;
}
