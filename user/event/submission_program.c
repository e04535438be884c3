/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "event/submission_program.h"

#include <string.h>

static const struct submission_program programs[] = {
	{"exim", "/usr/sbin/exim4", true},
	{"exim", "/usr/sbin/exim", true},
	{"exim", "/usr/bin/exim", true},
	{"exim", "/usr/local/sbin/exim", true},
	{"exim", "/usr/exim/bin/exim", true},
	{"postfix", "/usr/sbin/postdrop", true},
	{"postfix", "/usr/bin/postdrop", true},
	{"nullmailer", "/usr/sbin/nullmailer-queue", true},
	{"nullmailer", "/usr/bin/nullmailer-queue", true},
	{"sendmail", "/usr/lib/sm.bin/sendmail", true},
	{"sendmail", "/usr/libexec/sendmail/sendmail", true},
	{"sendmail", "/usr/sbin/sendmail.sendmail", true},
	{"sendmail", "/usr/sbin/sendmail-mta", true},
	{"opensmtpd", "/usr/sbin/smtpctl", true},
	{"dma", "/usr/sbin/dma", true},
	{"dma", "/usr/lib/dma/dma", true},
	{NULL, "/usr/sbin/sendmail", false},
	{NULL, "/usr/lib/sendmail", false},
	{NULL, "/usr/sbin/sendmail.postfix", false},
	{NULL, "/usr/bin/nullmailer-inject", false},
	{NULL, "/usr/sbin/nullmailer-inject", false},
};

const struct submission_program *submission_program_of(const struct image *image)
{
	if (!image || image->flags & (EXEC_MEMFD | EXEC_DELETED | EXEC_PATH_TRUNCATED))
		return NULL;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (strcmp(programs[i].executable, image->executable) == 0)
			return &programs[i];
	}
	return NULL;
}

/* Root has the rights already. */
bool submission_has_rights(const struct submission_program *program, const struct sender *sender)
{
	return !program->secure || sender->image->flags & EXEC_SECURE || sender->task.uid == 0;
}

/*
 * An MTA at work: a daemon, a queue runner, a delivery. What other users run is a submission,
 * whatever its arguments are: they choose those. But Exim with -M first takes no mail, whoever runs
 * it, and executes itself so, as its own user, for each delivery.
 */
bool submission_is_at_work(const struct submission_program *program, const struct sender *sender)
{
	const struct image *image = sender->image;
	size_t first = strnlen(image->args, image->args_len) + 1;
	const char *option = first < image->args_len ? image->args + first : "";

	if (strncmp(option, "-M", 2) == 0 && strcmp(program->mta, "exim") == 0)
		return true;
	return sender->task.uid == sender->task.euid &&
	       (strncmp(option, "-q", 2) == 0 || strncmp(option, "-bd", 3) == 0);
}

/*
 * Whether the program hands nothing in, for certain: it was given no recipient, and told to list
 * the queue or the like. With more arguments it may do both.
 */
bool submission_only_asks(const struct image *image)
{
	static const char *const options[] = {"-bp", "-bP", "-bV", "-bi", "-q"};
	size_t first = strnlen(image->args, image->args_len) + 1;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (image->args_count == 2 && first < image->args_len &&
		    strcmp(image->args + first, options[i]) == 0)
			return true;
	}
	return false;
}

/* A user's arguments decide only whether he is named for his own mail. */
bool submission_runs_queue(const struct image *image)
{
	for (size_t at = 0; at < image->args_len; at += strlen(image->args + at) + 1) {
		if (strncmp(image->args + at, "-q", 2) == 0)
			return true;
	}
	return false;
}
