/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who sent: what the kernel reported of a task at a send, its executable as of exec, and the names
 * that user space found. Plain data, shared by reference. Images are created by process.c, senders
 * by sender.c; event writers read them.
 */
#ifndef SMTPSNOOP_IDENTITY_H
#define SMTPSNOOP_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/types.h>

#include "record.h"
#include "base/span.h"

enum truth {
	NOT_KNOWN,
	NOT_SO,
	IS_SO,
};

/* Who started a process, judged by facts that an unprivileged user cannot imitate. */
enum scheduler {
	SCHEDULER_NOT_KNOWN,
	SCHEDULER_NONE,
	SCHEDULER_SYSTEMD_TIMER,
	SCHEDULER_CRON,
	SCHEDULER_AT,
};

/* "cron", ...: as in the configuration and in events. A static string; "" if not known. */
const char *scheduler_name(enum scheduler scheduler);

/*
 * What a process runs from one exec on. Never changes. Strings hold any bytes the process chose;
 * they are NUL-terminated and never NULL.
 */
struct image {
	unsigned int refs;
	uint64_t exec_ns; /* CLOCK_BOOTTIME */
	uint64_t inode;
	uint64_t ctime_ns;
	uint64_t size;
	uint32_t dev;	     /* kernel encoding: major << 20 | minor */
	uint32_t flags;	     /* enum exec_flag */
	char *executable;    /* absolute, as the mount namespace had it */
	char *script;	     /* "" if no script was run; image.h */
	char *directory;     /* working directory at exec */
	char *args;	     /* NUL-separated */
	size_t args_len;     /* including the NULs */
	uint32_t args_count; /* at exec, also those that were cut off; 0: not known */
	bool args_partial;   /* the last one is only the beginning of an argument */
};

struct image *image_ref(struct image *image);
void image_unref(struct image *image); /* NULL is allowed */

struct ancestor {
	uint32_t pid;
	uint32_t uid; /* real, at the send */
	uint64_t start_ns;
	struct image *image; /* NULL: not known */
};

#define SHA256_HEX_LEN 64U

/* The effective uid of a sender that is known by its real one alone. It is no uid. */
#define SENDER_EUID_UNKNOWN UINT32_MAX

/*
 * One task on one flow. `image` and the names are filled in once, before the first event that shows
 * them.
 */
struct sender {
	unsigned int refs;
	struct task_id task; /* at the send */
	uint32_t flags;	     /* enum sender_flag */
	/* The kernel's sender record was seen; if not, only `task` and `image` are known */
	bool full;
	uint64_t cgroup_id;
	bool exe_deleted; /* the executable had no name left at the send, or never had one */
	bool exe_swapped; /* its exe link names another file than it executed */
	uint32_t sessionid;
	uint32_t ns_pid, ns_mnt, ns_net;
	uint32_t tty_major, tty_minor; /* 0, 0: none */
	struct ancestor ancestors[ANCESTORS_MAX];
	uint32_t ancestor_count;
	struct image *image; /* NULL: not known */
	/* The working directory at the send, as the kernel side saw it. Owned; NULL: not known */
	char *directory;

	/* Added by user space; "" or NULL: not known. `filled`: nothing more will come. */
	bool filled;
	char *cgroup; /* "/system.slice/cron.service" */
	char *user;
	char *audit_user;
	/* The names that its own root directory gives, where that is not the host's (a container).
	 */
	char *root_user, *root_group;
	char *unit;
	char *user_unit;
	char *container; /* its id */
	char *container_name;
	const char *container_runtime; /* static */
	char *group;
	enum scheduler scheduler;
	enum truth own_namespaces; /* user, pid, mount and network namespace are the watch's own */
	char sha256[SHA256_HEX_LEN + 1];
};

/* The task's comm, which it can choose. */
static inline struct span sender_comm(const struct sender *sender)
{
	return (struct span){sender->task.comm, strnlen(sender->task.comm, COMM_LEN)};
}

/* The container's id, or its name if its engine gives no id; NULL or "": none is known. */
static inline const char *sender_container(const struct sender *sender)
{
	return sender->container ? sender->container : sender->container_name;
}

/* The uid that a sender counts as: its effective one, or the real one if only that is known. */
static inline uint32_t sender_uid(const struct sender *sender)
{
	return sender->task.euid == SENDER_EUID_UNKNOWN ? sender->task.uid : sender->task.euid;
}

/* Inode numbers of namespaces. */
struct namespaces {
	uint32_t user, pid, mnt, net;
};

struct sender *sender_ref(struct sender *sender);

/* A copy with one reference of its own; it shares the images. NULL if there is no memory. */
struct sender *sender_copy(const struct sender *sender);
void sender_unref(struct sender *sender); /* NULL is allowed */

#endif
