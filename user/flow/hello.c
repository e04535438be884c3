/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the payload of the handshake records is joined, because a sender may split a
 * message over any number of records; then it is read by a cursor that never leaves what encloses
 * it. Every length is the sender's word: a part that claims more than there is ends with what there
 * is, and `cut` says so. So hostile lengths and a capture that ended early are the same case.
 */
#include "flow/hello.h"

/* Bytes of handshake messages that are read. The capture has at most 2 KiB of a client's hello. */
#define JOINED_MAX 4096U

#define RECORD_CHANGE_CIPHER 20U
#define RECORD_ALERT	     21U
#define RECORD_HANDSHAKE     22U
#define RECORD_HEADER	     5U

#define MESSAGE_CLIENT_HELLO 1U
#define MESSAGE_SERVER_HELLO 2U

#define EXTENSION_SERVER_NAME	     0U
#define EXTENSION_SUPPORTED_VERSIONS 43U

#define NAME_TYPE_HOST	0U
#define RANDOM_LEN	32U
#define VERSION_TLS_1_3 0x0304U

struct cursor {
	const uint8_t *at;
	size_t left;
	bool cut; /* something that was announced is not there */
};

static uint32_t take(struct cursor *cursor, size_t bytes)
{
	uint32_t number = 0;

	if (cursor->left < bytes) {
		cursor->cut = true;
		cursor->left = 0;
		return 0;
	}
	for (size_t i = 0; i < bytes; i++)
		number = number << 8 | cursor->at[i];
	cursor->at += bytes;
	cursor->left -= bytes;
	return number;
}

/* The next `len` bytes, or as many as there are. */
static struct cursor part(struct cursor *cursor, size_t len)
{
	struct cursor inner = {cursor->at, len, false};

	if (len > cursor->left) {
		inner.left = cursor->left;
		inner.cut = cursor->cut = true;
	}
	cursor->at += inner.left;
	cursor->left -= inner.left;
	return inner;
}

/* A part whose length stands in front of it, in `bytes` bytes. */
static struct cursor counted(struct cursor *cursor, size_t bytes)
{
	return part(cursor, take(cursor, bytes));
}

/* Joins the payload of the handshake records at the front. */
static struct cursor join(struct span bytes, uint8_t joined[JOINED_MAX])
{
	struct cursor records = {(const uint8_t *)bytes.data, bytes.len, false};
	size_t len = 0;

	while (records.left >= RECORD_HEADER && len < JOINED_MAX) {
		uint32_t type = take(&records, 1), major = take(&records, 1);
		struct cursor payload;

		take(&records, 1); /* the minor version: not to be relied on (RFC 8446, 5.1) */
		payload = counted(&records, 2);
		if (major != 3 || type < RECORD_CHANGE_CIPHER || type > RECORD_HANDSHAKE)
			break;
		if (type != RECORD_HANDSHAKE) /* an alert that is a warning may come first */
			continue;
		if (payload.left > JOINED_MAX - len)
			payload.left = JOINED_MAX - len;
		memcpy(joined + len, payload.at, payload.left);
		len += payload.left;
	}
	return (struct cursor){joined, len, false};
}

/* Finds a handshake message. False: there is none of this type. */
static bool message_find(struct cursor *messages, uint32_t type, struct cursor *message)
{
	while (messages->left) {
		uint32_t found = take(messages, 1);

		*message = counted(messages, 3);
		if (found == type)
			return true;
	}
	return false;
}

/* Finds an extension in a list of them. False: it is not there, or was not captured. */
static bool extension_find(struct cursor list, uint32_t type, struct cursor *extension)
{
	while (list.left >= 4) {
		uint32_t found = take(&list, 2);

		*extension = counted(&list, 2);
		if (found == type)
			return true;
	}
	return false;
}

static bool is_name(const struct cursor *name)
{
	if (name->cut || !name->left || name->left > HELLO_NAME_MAX)
		return false;
	for (size_t i = 0; i < name->left; i++) {
		if (name->at[i] <= ' ' || name->at[i] > '~')
			return false;
	}
	return true;
}

/* The first host name in the extension's list. */
static void read_server_name(struct cursor extension, struct client_hello *hello)
{
	struct cursor list = counted(&extension, 2);

	while (list.left) {
		uint32_t type = take(&list, 1);
		struct cursor name = counted(&list, 2);

		if (type != NAME_TYPE_HOST)
			continue;
		if (is_name(&name)) {
			memcpy(hello->server_name, name.at, name.left);
			hello->server_name[name.left] = '\0';
		}
		return;
	}
}

bool hello_client(struct span bytes, struct client_hello *hello)
{
	uint8_t joined[JOINED_MAX];
	struct cursor messages = join(bytes, joined), message, extension;

	if (!message_find(&messages, MESSAGE_CLIENT_HELLO, &message))
		return false;
	take(&message, 2); /* the legacy version */
	part(&message, RANDOM_LEN);
	if (!message.left)
		return false;
	hello->server_name[0] = '\0';
	counted(&message, 1); /* the session's id */
	counted(&message, 2); /* cipher suites */
	counted(&message, 1); /* compression methods */
	if (extension_find(counted(&message, 2), EXTENSION_SERVER_NAME, &extension))
		read_server_name(extension, hello);
	return true;
}

/* TLS 1.3 and later stand in an extension; the cipher suites of TLS 1.3 are its own. */
static uint16_t negotiated(uint32_t legacy, uint32_t cipher, struct cursor extensions)
{
	struct cursor extension;
	uint32_t version;

	if (extension_find(extensions, EXTENSION_SUPPORTED_VERSIONS, &extension)) {
		version = take(&extension, 2);
		if (!extension.cut)
			return (uint16_t)version;
	}
	return (uint16_t)(cipher >> 8 == 0x13 ? VERSION_TLS_1_3 : legacy);
}

bool hello_server(struct span bytes, struct server_hello *hello)
{
	uint8_t joined[JOINED_MAX];
	struct cursor messages = join(bytes, joined), message;
	uint32_t legacy, cipher;

	if (!message_find(&messages, MESSAGE_SERVER_HELLO, &message))
		return false;
	legacy = take(&message, 2);
	part(&message, RANDOM_LEN);
	counted(&message, 1); /* the session's id */
	if (message.left < 2)
		return false;
	cipher = take(&message, 2);
	take(&message, 1); /* the compression method */
	hello->cipher = (uint16_t)cipher;
	hello->version = negotiated(legacy, cipher, counted(&message, 2));
	return true;
}

const char *hello_version(uint16_t version)
{
	switch (version) {
	case 0x0300: return "3.0";
	case 0x0301: return "1.0";
	case 0x0302: return "1.1";
	case 0x0303: return "1.2";
	case 0x0304: return "1.3";
	default: return NULL;
	}
}

const char *hello_protocol(uint16_t version)
{
	return version == 0x0300 ? "ssl" : "tls";
}
