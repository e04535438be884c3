/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a direct-mapped cache. A key is four words (the kind, and what identifies
 * the fact); its slot is its hash. A new key replaces the previous one in its slot, so the cache
 * has a fixed size.
 */
#include "process/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind {
	KIND_NONE,
	KIND_USER,
	KIND_GROUP,
	KIND_HASH,
	KIND_CGROUP,
	KIND_ACTIVATION,
	KIND_ACCOUNTS
};

struct key {
	uint64_t word[4];
};

struct name {
	struct key key;
	enum name_state state;
	uint64_t time_ns; /* when it was asked for or received */
	char *text;	  /* owned; NULL until known */
};

struct names {
	struct name slots[NAMES_MAX];
};

struct names *names_new(void)
{
	return calloc(1, sizeof(struct names));
}

void names_free(struct names *names)
{
	if (!names)
		return;
	for (uint32_t i = 0; i < NAMES_MAX; i++)
		free(names->slots[i].text);
	free(names);
}

static struct key key_user(uint32_t uid)
{
	return (struct key){{KIND_USER, uid}};
}

static struct key key_group(uint32_t gid)
{
	return (struct key){{KIND_GROUP, gid}};
}

static struct key key_hash(uint32_t dev, uint64_t inode, uint64_t ctime_ns, uint64_t size)
{
	return (struct key){{KIND_HASH | (uint64_t)dev << 32, inode, ctime_ns, size}};
}

static struct key key_cgroup(uint32_t pid, uint64_t start_ns)
{
	return (struct key){{KIND_CGROUP, pid, start_ns}};
}

static struct key key_activation(uint32_t pid, uint64_t start_ns)
{
	return (struct key){{KIND_ACTIVATION, pid, start_ns}};
}

static struct key key_accounts(uint32_t pid, uint64_t start_ns, uint32_t uid, uint32_t gid)
{
	return (struct key){
		{KIND_ACCOUNTS | (uint64_t)pid << 32, start_ns, (uint64_t)uid << 32 | gid}};
}

static struct name *slot(struct names *names, const struct key *key)
{
	uint64_t hash = 0;

	for (int i = 0; i < 4; i++)
		hash = (hash ^ key->word[i]) * 0x9e3779b97f4a7c15ULL;
	return &names->slots[(hash >> 32) % NAMES_MAX];
}

static enum name_state look_up(struct names *names, struct key key, uint64_t now_ns,
			       const char **text)
{
	struct name *name = slot(names, &key);
	bool same = memcmp(&name->key, &key, sizeof(key)) == 0;

	if (same && name->state == NAME_KNOWN) {
		*text = name->text;
		if (now_ns - name->time_ns < NAMES_FRESH_NS ||
		    (key.word[0] != KIND_USER && key.word[0] != KIND_GROUP))
			return NAME_KNOWN;
	}
	if (same && name->state == NAME_ASKED && now_ns - name->time_ns < NAMES_FRESH_NS)
		return NAME_ASKED;
	if (!same) {
		free(name->text);
		name->text = NULL;
		name->key = key;
	}
	name->state = NAME_ASKED;
	name->time_ns = now_ns;
	return NAME_MISSING;
}

static int tell(struct names *names, struct key key, uint64_t time_ns, const char *text, size_t len)
{
	struct name *name = slot(names, &key);
	char *copy = strndup(text, len);

	if (!copy)
		return -ENOMEM;
	free(name->text);
	*name = (struct name){.key = key, .state = NAME_KNOWN, .time_ns = time_ns, .text = copy};
	return 0;
}

static int tell_hash(struct names *names, const struct hash_record *record)
{
	char hex[SHA256_HEX_LEN + 1] = "";

	for (size_t i = 0; record->valid && i < sizeof(record->sha256); i++)
		snprintf(hex + 2 * i, 3, "%02x", record->sha256[i]);
	return tell(names, key_hash(record->dev, record->inode, record->ctime_ns, record->size),
		    record->h.time_ns, hex, strlen(hex));
}

int names_record(struct names *names, const struct record *record)
{
	const struct name_record *name = (const void *)record;
	const struct cgroup_record *cgroup = (const void *)record;
	const struct activation_record *activation = (const void *)record;
	const struct accounts_record *accounts = (const void *)record;
	static const char *const by[] = {[ACTIVATION_UNKNOWN] = "",
					 [ACTIVATION_OTHER] = "other",
					 [ACTIVATION_TIMER] = "timer"};
	const char *text;

	switch (record->type) {
	case RECORD_NAME:
		return tell(names,
			    name->kind == NAME_USER ? key_user(name->id) : key_group(name->id),
			    record->time_ns, name->name, name->name_len);
	case RECORD_HASH: return tell_hash(names, (const void *)record);
	case RECORD_CGROUP:
		return tell(names, key_cgroup(cgroup->pid, cgroup->start_ns), record->time_ns,
			    cgroup->path, cgroup->path_len);
	case RECORD_ACCOUNTS:
		return tell(names,
			    key_accounts(accounts->pid, accounts->start_ns, accounts->uid,
					 accounts->gid),
			    record->time_ns, accounts->text, accounts->text_len);
	case RECORD_ACTIVATION:
		text = by[activation->by];
		return tell(names, key_activation(activation->pid, activation->start_ns),
			    record->time_ns, text, strlen(text));
	default: return 0;
	}
}

enum name_state names_user(struct names *names, uint32_t uid, uint64_t now_ns, const char **text)
{
	return look_up(names, key_user(uid), now_ns, text);
}

enum name_state names_hash(struct names *names, const struct image *image, uint64_t now_ns,
			   const char **text)
{
	return look_up(names, key_hash(image->dev, image->inode, image->ctime_ns, image->size),
		       now_ns, text);
}

enum name_state names_cgroup(struct names *names, uint32_t pid, uint64_t start_ns, uint64_t now_ns,
			     const char **text)
{
	return look_up(names, key_cgroup(pid, start_ns), now_ns, text);
}

enum name_state names_group(struct names *names, uint32_t gid, uint64_t now_ns, const char **text)
{
	return look_up(names, key_group(gid), now_ns, text);
}

enum name_state names_activation(struct names *names, uint32_t pid, uint64_t start_ns,
				 uint64_t now_ns, const char **text)
{
	return look_up(names, key_activation(pid, start_ns), now_ns, text);
}

enum name_state names_accounts(struct names *names, const struct task_id *task, uint64_t now_ns,
			       const char **text)
{
	return look_up(names, key_accounts(task->pid, task->start_ns, task->euid, task->egid),
		       now_ns, text);
}
