/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "process/identity.h"

#include <stdlib.h>

struct image *image_ref(struct image *image)
{
	if (image)
		image->refs++;
	return image;
}

void image_unref(struct image *image)
{
	if (!image || --image->refs)
		return;
	free(image->executable);
	free(image->script);
	free(image->directory);
	free(image->args);
	free(image);
}

struct sender *sender_ref(struct sender *sender)
{
	if (sender)
		sender->refs++;
	return sender;
}

/* Returns false if there is no memory; *string is NULL then. */
static bool copy_string(char **string)
{
	return !*string || (*string = strdup(*string));
}

struct sender *sender_copy(const struct sender *sender)
{
	struct sender *copy = malloc(sizeof(*copy));
	bool done;

	if (!copy)
		return NULL;
	*copy = *sender;
	copy->refs = 1;
	image_ref(copy->image);
	for (uint32_t i = 0; i < copy->ancestor_count; i++)
		image_ref(copy->ancestors[i].image);
	/* Copy all of them: an uncopied pointer would belong to the original */
	done = copy_string(&copy->directory);
	done = copy_string(&copy->cgroup) && done;
	done = copy_string(&copy->user) && done;
	done = copy_string(&copy->audit_user) && done;
	done = copy_string(&copy->unit) && done;
	done = copy_string(&copy->user_unit) && done;
	done = copy_string(&copy->root_user) && done;
	done = copy_string(&copy->root_group) && done;
	done = copy_string(&copy->container) && done;
	done = copy_string(&copy->container_name) && done;
	done = copy_string(&copy->group) && done;
	if (!done) {
		sender_unref(copy);
		return NULL;
	}
	return copy;
}

void sender_unref(struct sender *sender)
{
	if (!sender || --sender->refs)
		return;
	for (uint32_t i = 0; i < sender->ancestor_count; i++)
		image_unref(sender->ancestors[i].image);
	image_unref(sender->image);
	free(sender->directory);
	free(sender->cgroup);
	free(sender->user);
	free(sender->audit_user);
	free(sender->unit);
	free(sender->user_unit);
	free(sender->root_user);
	free(sender->root_group);
	free(sender->container);
	free(sender->container_name);
	free(sender->group);
	free(sender);
}

const char *scheduler_name(enum scheduler scheduler)
{
	static const char *const names[] = {[SCHEDULER_NOT_KNOWN] = "",
					    [SCHEDULER_NONE] = "none",
					    [SCHEDULER_SYSTEMD_TIMER] = "systemd-timer",
					    [SCHEDULER_CRON] = "cron",
					    [SCHEDULER_AT] = "at"};

	return names[scheduler];
}
