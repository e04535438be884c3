/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: /usr/sbin/sendmail is that of the host's MTA. Where its name does not tell
 * which one that is, a program that only this MTA has does. The relay is read from the MTA's own
 * file where one key has it; whatever does not look like an address is not used.
 */
#include "commands/library_host.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define STATUS_MAX (64U << 20) /* bytes of dpkg's status file */
#define FILE_MAX   (1U << 20)  /* bytes of a configuration of an MTA */

char *library_file_read(const char *path, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat info;
	char *text = NULL;
	size_t len = 0;
	ssize_t got = 1;

	if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
	    (uint64_t)info.st_size <= max)
		text = malloc((size_t)info.st_size + 1);
	while (text && got > 0 && len < (size_t)info.st_size) {
		got = read(fd, text + len, (size_t)info.st_size - len);
		len += got > 0 ? (size_t)got : 0;
	}
	if (text)
		text[len] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

/* ---- Packages -------------------------------------------------------------------------------- */

bool library_host_has_package(const struct library_host *host, struct span name)
{
	char wanted[HOST_TEXT_MAX];
	const char *at, *end, *status;

	if (!host->status || name.len > sizeof(wanted) - 16)
		return false;
	snprintf(wanted, sizeof(wanted), "Package: %.*s\n", (int)name.len, name.data);
	at = host->status;
	while ((at = strstr(at, wanted)) && at != host->status && at[-1] != '\n')
		at++;
	end = at ? strstr(at, "\n\n") : NULL;
	status = at ? strstr(at, "\nStatus: ") : NULL;
	if (!status || (end && status > end))
		return false;
	end = strchr(status + 1, '\n');
	return end && end - status > 10 && memcmp(end - 10, " installed", 10) == 0;
}

/* ---- The MTA --------------------------------------------------------------------------------- */

/* `sendmail`: what the link /usr/sbin/sendmail leads to; `own`: a program that only this MTA has.
 */
static const struct row {
	struct library_mta mta;
	const char *sendmail, *own;
} rows[] = {
	{{"msmtp", "/usr/bin/msmtp", NULL, false}, "/usr/bin/msmtp", NULL},
	{{"dma", NULL, NULL, false}, "/usr/sbin/dma", NULL}, /* it passes on mail of others, too */
	{{"exim", "/usr/sbin/exim4", "Debian-exim", true}, "/usr/sbin/exim4", NULL},
	{{"exim", "/usr/sbin/exim", "exim", true}, "/usr/sbin/exim", NULL},
	{{"opensmtpd", "/usr/sbin/smtpd", "opensmtpd", true}, "/usr/sbin/smtpctl", NULL},
	{{"postfix", "/usr/lib/postfix/sbin/smtp", "postfix", true},
	 NULL,
	 "/usr/lib/postfix/sbin/smtp"},
	{{"postfix", "/usr/libexec/postfix/smtp", "postfix", true},
	 NULL,
	 "/usr/libexec/postfix/smtp"},
	{{"nullmailer", "/usr/lib/nullmailer/smtp", "mail", true},
	 NULL,
	 "/usr/sbin/nullmailer-queue"},
};

static const struct library_mta *mta_here(void)
{
	char *sendmail = realpath("/usr/sbin/sendmail", NULL);
	const struct library_mta *found = NULL;

	for (size_t i = 0; sendmail && !found && i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		if (row->sendmail ? strcmp(sendmail, row->sendmail) == 0
				  : access(row->own, X_OK) == 0)
			found = &row->mta;
	}
	free(sendmail);
	return found;
}

/* ---- Files of MTAs --------------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * The value of a key in lines of "KEY VALUE", "KEY = VALUE" or "KEY='VALUE'". The last one counts.
 * Returns whether there is one that fits.
 */
static bool value_of(const char *text, const char *key, char value[HOST_TEXT_MAX])
{
	size_t len = strlen(key);
	bool found = false;

	while (text && *text) {
		const char *line = text + strspn(text, " \t"), *end = strchrnul(text, '\n');
		const char *last = end;

		text = *end ? end + 1 : end;
		if (strncasecmp(line, key, len) != 0 || (line[len] != '=' && !is_blank(line[len])))
			continue;
		line += len;
		line += strspn(line, " \t='\"");
		while (last > line && strchr(" \t\r'\"", last[-1]))
			last--;
		if (last <= line || (size_t)(last - line) >= HOST_TEXT_MAX)
			continue;
		memcpy(value, line, (size_t)(last - line));
		value[last - line] = '\0';
		found = true;
	}
	return found;
}

/* Letters, digits and what stands in names and addresses; so it needs no quoting in YAML. */
static bool is_plain(const char *text, const char *others)
{
	for (; *text; text++) {
		if (!isalnum((unsigned char)*text) && !strchr(others, *text))
			return false;
	}
	return true;
}

/* "[HOST]:PORT", "HOST::PORT" (Exim), "HOST:PORT", "HOST": as an exclusion names a relay. */
static void set_relay(struct library_host *host, const char *name, const char *port)
{
	char text[HOST_TEXT_MAX];
	size_t len;

	if (name[0] == '[')
		name++;
	len = strcspn(name, "]:");
	if (!port) {
		port = name + len;
		port += strspn(port, "]:");
	}
	snprintf(text, sizeof(text), "%.*s", (int)len, name);
	if (!text[0] || !is_plain(text, ".-") || !is_plain(port, "") || strlen(port) > 5)
		return;
	snprintf(host->relay, sizeof(host->relay), "%.*s:%s", (int)(sizeof(host->relay) - 7), text,
		 *port ? port : "25");
}

/* One or two keys of a file. */
static void relay_of_keys(struct library_host *host, const char *path, const char *host_key,
			  const char *port_key)
{
	char *text = library_file_read(path, FILE_MAX);
	char name[HOST_TEXT_MAX], port[HOST_TEXT_MAX];
	bool has_port = text && port_key && value_of(text, port_key, port);

	if (text && value_of(text, host_key, name))
		set_relay(host, name, has_port ? port : NULL);
	free(text);
}

/* "HOST [PROTOCOL] [OPTION...]": the first line that is no comment. */
static void relay_of_nullmailer(struct library_host *host)
{
	char *text = library_file_read("/etc/nullmailer/remotes", FILE_MAX), *line = text;
	const char *port;
	char name[HOST_TEXT_MAX];

	while (line && (*line == '#' || *line == '\n'))
		line = *line == '\n' ? line + 1 : strchrnul(line, '\n');
	if (line && *line) {
		*strchrnul(line, '\n') = '\0';
		port = strstr(line, "--port=");
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(line, " \t"), line);
		set_relay(host, name, port ? port + 7 : "25");
	}
	free(text);
}

static void read_relay(struct library_host *host)
{
	const char *name = host->mta ? host->mta->name : "";

	if (strcmp(name, "postfix") == 0)
		relay_of_keys(host, "/etc/postfix/main.cf", "relayhost", NULL);
	else if (strcmp(name, "msmtp") == 0)
		relay_of_keys(host, "/etc/msmtprc", "host", "port");
	else if (strcmp(name, "exim") == 0)
		relay_of_keys(host, "/etc/exim4/update-exim4.conf.conf", "dc_smarthost", NULL);
	else if (strcmp(name, "nullmailer") == 0)
		relay_of_nullmailer(host);
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static void read_domain(struct library_host *host)
{
	char *text = library_file_read("/etc/mailname", FILE_MAX);
	size_t len = text ? strcspn(text, " \t\r\n") : 0;

	if (len && len < HOST_TEXT_MAX) {
		memcpy(host->domain, text, len);
		host->domain[len] = '\0';
	}
	if (!is_plain(host->domain, ".-"))
		host->domain[0] = '\0';
	free(text);
}

/* The alias of root if it is one address, or else root at the host's domain. */
static void read_recipient(struct library_host *host)
{
	char *text = library_file_read("/etc/aliases", FILE_MAX);
	char alias[HOST_TEXT_MAX];

	if (text && value_of(text, "root:", alias) && strchr(alias, '@') &&
	    is_plain(alias, "@.-_+"))
		memcpy(host->recipient, alias, sizeof(alias));
	else if (host->domain[0])
		snprintf(host->recipient, sizeof(host->recipient), "root@%.*s",
			 (int)sizeof(host->recipient) - 6, host->domain);
	free(text);
}

void library_host_read(struct library_host *host)
{
	*host = (struct library_host){.mta = mta_here()};
	host->status = library_file_read("/var/lib/dpkg/status", STATUS_MAX);
	read_relay(host);
	read_domain(host);
	read_recipient(host);
}

void library_host_free(struct library_host *host)
{
	free(host->status);
}
