/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* smtpsnoop: which process sends mail from this host. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <unistd.h>

#include "commands/commands.h"
#include "commands/options.h"

/*
 * If a standard descriptor is closed, the next file that is opened would get its number, and
 * messages for standard error would be written into a recording. /dev/null takes its place, opened
 * in the wrong direction: using it still gives EBADF.
 */
static bool keep_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return false;
	}
	return true;
}

static int run(const struct options *options)
{
	switch (options->command) {
	case COMMAND_WATCH:
	case COMMAND_RECORD: return command_watch(options);
	case COMMAND_RUN: return command_run(options);
	case COMMAND_REPLAY: return command_replay(options);
	case COMMAND_CHECK: return command_check(options);
	case COMMAND_EXPLAIN: return command_explain(options);
	case COMMAND_SUGGEST: return command_suggest(options);
	case COMMAND_DOCTOR: return command_doctor(options);
	case COMMAND_VERSION: command_version(); break;
	case COMMAND_HELP: options_help(); break;
	}
	errno = 0;
	return fflush(stdout) || ferror(stdout) ? command_output_failed(errno ? -errno : -EIO)
						: STATUS_DONE;
}

int main(int argc, char **argv)
{
	struct options options;
	int status;

	if (!keep_standard_descriptors())
		return STATUS_FAILED;
	setlocale(LC_CTYPE, "");
	status = options_parse(&options, argc, argv) ? STATUS_USAGE : run(&options);
	options_free(&options);
	return status;
}
