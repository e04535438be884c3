/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "capture/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "capture/records.h"

#define BUFFER_MIN 1024U
#define BUFFER_MAX 1048576U /* a group may have many members */

/* One attempt. 0 and a name within the buffer, -ERANGE if the buffer is too small, or -ENOENT. */
static int look_up(enum name_kind kind, uint32_t id, char *buffer, size_t size, const char **name)
{
	struct passwd user, *found_user = NULL;
	struct group group, *found_group = NULL;
	int error;

	if (kind == NAME_USER)
		error = getpwuid_r(id, &user, buffer, size, &found_user);
	else
		error = getgrgid_r(id, &group, buffer, size, &found_group);
	if (error)
		return error == ERANGE ? -ERANGE : -ENOENT;
	if (found_user)
		*name = found_user->pw_name;
	if (found_group)
		*name = found_group->gr_name;
	return *name && strlen(*name) <= RECORD_NAME_MAX ? 0 : -ENOENT;
}

char *account_name(enum name_kind kind, uint32_t id)
{
	const char *name = NULL;
	char *buffer = NULL;
	int error = -ERANGE;

	for (size_t size = BUFFER_MIN; error == -ERANGE && size <= BUFFER_MAX; size *= 4) {
		free(buffer);
		buffer = malloc(size);
		error = buffer ? look_up(kind, id, buffer, size, &name) : -ENOMEM;
	}
	if (!error)
		return memmove(buffer, name, strlen(name) + 1);
	free(buffer);
	return NULL;
}
