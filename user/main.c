/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* smtpsnoop: which process sends mail from this host. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>

#include "commands.h"
#include "options.h"

int main(int argc, char **argv)
{
	struct options options;

	setlocale(LC_CTYPE, "");
	if (options_parse(&options, argc, argv))
		return STATUS_USAGE;
	switch (options.command) {
	case COMMAND_WATCH:
	case COMMAND_RECORD: return command_watch(&options);
	case COMMAND_RUN: return command_run(&options);
	case COMMAND_REPLAY: return command_replay(&options);
	case COMMAND_CHECK: return command_check(&options);
	case COMMAND_EXPLAIN: return command_explain(&options);
	case COMMAND_SUGGEST: return command_suggest(&options);
	case COMMAND_DOCTOR: return command_doctor(&options);
	case COMMAND_VERSION: printf("smtpsnoop %s\n", VERSION); break;
	case COMMAND_HELP: options_help(); break;
	}
	errno = 0;
	return fflush(stdout) ? command_output_failed(errno ? -errno : -EIO) : STATUS_DONE;
}
