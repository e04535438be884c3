/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: "php spam.php" calls mail(), which runs "sh -c msmtp". The event's process
 * is msmtp, and the one that people look for is php. So the ancestors are examined from the parent
 * up, and those that only pass the mail on are skipped: shells that run one command (-c), programs
 * that start another one (env, sudo), and mail programs or wrappers with such a name. The first
 * other ancestor is the cause if it runs a script. If it does not, it is the cause only of a mail
 * program: an MTA or an application sends of its own accord, whoever started it.
 *
 * The search ends at an interactive shell (what follows is a login), at init, and at an ancestor
 * that is not known.
 *
 * A name counts only if the file is below /usr, /bin or /sbin: to have his own program skipped,
 * somebody must be able to write there. A script counts by its own name.
 */
#include "process/cause.h"

#include "base/text.h"

static bool is_one_of(const char *const *names, struct span name)
{
	while (*names && !span_equal(name, span_of(*names)))
		names++;
	return *names;
}

static bool is_installed(const char *path)
{
	return strncmp(path, "/usr/", 5) == 0 || strncmp(path, "/bin/", 5) == 0 ||
	       strncmp(path, "/sbin/", 6) == 0;
}

static bool is_named(const char *const *names, const char *path)
{
	return is_installed(path) && is_one_of(names, text_basename(span_of(path)));
}

/* The program that people see: the script, or else the executable. */
static const char *program_of(const struct image *image)
{
	return image->script[0] ? image->script : image->executable;
}

/* Takes a mail on standard input or from arguments, and sends it. */
static bool is_mail_program(const struct image *image)
{
	static const char *const names[] = {"msmtp",
					    "msmtpq",
					    "msmtp-enqueue.sh",
					    "msmtp-runqueue.sh",
					    "sendmail",
					    "ssmtp",
					    "esmtp",
					    "dma",
					    "mail",
					    "mailx",
					    "bsd-mailx",
					    "mail.mailutils",
					    "s-nail",
					    "nail",
					    "heirloom-mailx",
					    "mutt",
					    "neomutt",
					    "swaks",
					    "curl",
					    "nc.openbsd",
					    "ncat",
					    "openssl",
					    "mini_sendmail",
					    "email",
					    "mpack",
					    "sendemail",
					    "busybox",
					    NULL};

	return is_named(names, program_of(image));
}

static bool is_starter(const struct image *image)
{
	static const char *const names[] = {"env",
					    "nice",
					    "ionice",
					    "timeout",
					    "nohup",
					    "setsid",
					    "sudo",
					    "su",
					    "runuser",
					    "doas",
					    "xargs",
					    "stdbuf",
					    "flock",
					    "chroot",
					    "nsenter",
					    "unshare",
					    "setpriv",
					    "chpst",
					    "strace",
					    "time",
					    "run-parts",
					    "script",
					    "start-stop-daemon",
					    NULL};

	return is_named(names, program_of(image));
}

static bool is_shell(const struct image *image)
{
	static const char *const names[] = {"sh",      "bash", "rbash", "dash", "ksh",
					    "ksh93",   "mksh", "zsh",	"zsh5", "ash",
					    "busybox", "fish", NULL};

	return !image->script[0] && is_named(names, image->executable);
}

/* "sh -c COMMAND", "bash -lc COMMAND". */
static bool runs_command(const struct image *image)
{
	size_t first = strnlen(image->args, image->args_len) + 1;
	const char *option = image->args + first;

	return first < image->args_len && option[0] == '-' && option[1] != '-' &&
	       memchr(option, 'c', strnlen(option, image->args_len - first));
}

enum role image_role(const struct image *image)
{
	if (is_shell(image))
		return runs_command(image) ? ROLE_SHELL_COMMAND : ROLE_SHELL;
	if (is_starter(image))
		return ROLE_STARTER;
	return is_mail_program(image) ? ROLE_MAIL : ROLE_OTHER;
}

const struct ancestor *sender_cause(const struct sender *sender)
{
	bool mails = sender->image && is_mail_program(sender->image);
	const struct ancestor *passed_on = NULL;

	if (!sender->image || (sender->image->script[0] && !mails))
		return NULL;
	for (uint32_t i = 0; i < sender->ancestor_count; i++) {
		const struct ancestor *one = &sender->ancestors[i];
		enum role role = one->image ? image_role(one->image) : ROLE_SHELL;

		if (one->pid == 1 || role == ROLE_SHELL)
			break;
		if (role == ROLE_OTHER)
			return one->image->script[0] || mails ? one : NULL;
		if (role == ROLE_MAIL && !passed_on)
			passed_on = one;
	}
	return passed_on;
}
