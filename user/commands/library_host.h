/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the library of exclusions needs to know of this host: its packages, its MTA, its addresses.
 */
#ifndef SMTPSNOOP_LIBRARY_HOST_H
#define SMTPSNOOP_LIBRARY_HOST_H

#include <stdbool.h>

#include "base/span.h"

#define HOST_TEXT_MAX 256U

/* A program that sends a host's mail, as an exclusion names it. */
struct library_mta {
	const char *name;
	const char *executable; /* NULL: no exclusion covers its mail */
	const char *user;	/* NULL: it runs as the user who mails */
	bool relays;		/* mail is handed in to it, and it has an origin */
};

struct library_host {
	char *status;		       /* dpkg's; owned; NULL: there is none */
	const struct library_mta *mta; /* NULL: none is known */
	char relay[HOST_TEXT_MAX];     /* "mail.corp.example:587"; "": not known */
	char domain[HOST_TEXT_MAX];    /* of mail from this host; "": not known */
	char recipient[HOST_TEXT_MAX]; /* where root's mail goes; "": not known */
};

/* Reads what the files of this host say. Free it with library_host_free(). */
void library_host_read(struct library_host *host);

void library_host_free(struct library_host *host);

/* Whether dpkg has installed a package of this name. */
bool library_host_has_package(const struct library_host *host, struct span name);

/* The bytes of a regular file, NUL-terminated; NULL: not one of at most `max` bytes. */
char *library_file_read(const char *path, size_t max);

#endif
