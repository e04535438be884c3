/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A program that is linked with libcurl-gnutls, without its headers. Arguments: see tls_clients.py; HOW is "one"
 * connection for all mails, or one for "each".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct curl_slist;
void *curl_easy_init(void);
int curl_easy_setopt(void *curl, int option, ...);
int curl_easy_perform(void *curl);
void curl_easy_cleanup(void *curl);
struct curl_slist *curl_slist_append(struct curl_slist *list, const char *text);
void curl_slist_free_all(struct curl_slist *list);

enum { URL = 10002, USERPWD = 10005, READDATA = 10009, READFUNCTION = 20012, UPLOAD = 46, VERIFYPEER = 64,
       FRESH_CONNECT = 74, VERIFYHOST = 81, USE_SSL = 119, MAIL_FROM = 10186, MAIL_RCPT = 10187 };

static size_t read_text(char *buffer, size_t size, size_t count, void *data)
{
	return fread(buffer, size, count, data);
}

static int mail(void *curl, const char *sender, const char *recipient)
{
	char text[1000];
	int length = snprintf(text, sizeof(text), "From: %s\r\nTo: %s\r\nSubject: to %s\r\n\r\nhello\r\n", sender, recipient,
			      recipient);
	FILE *file = fmemopen(text, length, "r");
	struct curl_slist *recipients = curl_slist_append(NULL, recipient);

	curl_easy_setopt(curl, MAIL_FROM, sender);
	curl_easy_setopt(curl, MAIL_RCPT, recipients);
	curl_easy_setopt(curl, READDATA, file);
	int status = curl_easy_perform(curl);

	curl_slist_free_all(recipients);
	fclose(file);
	return status;
}

int main(int argc, char **argv)
{
	char url[100], user[100], secret[100], both[201];
	FILE *auth = argc > 6 ? fopen(argv[3], "r") : NULL;

	if (!auth || fscanf(auth, "%99s %99s", user, secret) != 2)
		return 2;
	snprintf(both, sizeof(both), "%s:%s", user, secret);
	snprintf(url, sizeof(url), "%s://127.0.0.1:%s/client.test", strcmp(argv[1], "smtps") ? "smtp" : "smtps", argv[2]);
	void *curl = curl_easy_init();

	curl_easy_setopt(curl, URL, url);
	curl_easy_setopt(curl, USERPWD, both);
	curl_easy_setopt(curl, USE_SSL, 3L);
	curl_easy_setopt(curl, VERIFYPEER, 0L);
	curl_easy_setopt(curl, VERIFYHOST, 0L);
	curl_easy_setopt(curl, UPLOAD, 1L);
	curl_easy_setopt(curl, READFUNCTION, read_text);
	curl_easy_setopt(curl, FRESH_CONNECT, strcmp(argv[4], "one") ? 1L : 0L);
	for (int number = 6; number < argc; number++) {
		int status = mail(curl, argv[5], argv[number]);

		if (status) {
			fprintf(stderr, "curl: %d\n", status);
			return 1;
		}
	}
	curl_easy_cleanup(curl);
	return 0;
}
