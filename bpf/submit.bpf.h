/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who hands a mail to a local MTA: a program that people run for that purpose (sendmail, postdrop,
 * exim) executes. It is known here by the last component of its file's name, so that any other exec
 * costs one short comparison. User space checks the whole path. The record is that of a sender
 * without a flow, as the task is just after the exec.
 */
#ifndef SMTPSNOOP_SUBMIT_BPF_H
#define SMTPSNOOP_SUBMIT_BPF_H

#include "task.bpf.h"

#define PROGRAM_NAME_MAX 20U

static __always_inline bool begins_with(const char *name, const char *word, const __u32 len)
{
	for (__u32 i = 0; i < len; i++) {
		if (name[i] != word[i])
			return false;
	}
	return true;
}

#define IS_NAMED(name, word) begins_with(name, word, sizeof(word))
#define IS_BEGUN(name, word) begins_with(name, word, sizeof(word) - 1)

/* The first letter decides for most programs. */
static __always_inline bool is_submission_program(const char *name)
{
	switch (name[0]) {
	case 'd': return IS_NAMED(name, "dma");
	case 'e': return IS_BEGUN(name, "exim");
	case 'n': return IS_BEGUN(name, "nullmailer-");
	case 'p': return IS_NAMED(name, "postdrop");
	case 's': return IS_BEGUN(name, "sendmail") || IS_NAMED(name, "smtpctl");
	default: return false;
	}
}

/* The pid that the task has in its own pid namespace. */
static __always_inline __u32 task_vpid(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid *upid;

	if (level > 32) /* MAX_PID_NS_LEVEL */
		return 0;
	upid = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
	       level * bpf_core_type_size(struct upid);
	return BPF_CORE_READ(upid, nr);
}

/* Which ancestors have the same real and effective user: bit 0 is the parent. */
static __always_inline __u32 ancestors_real(struct task_struct *task)
{
	__u32 real = 0, i;

	for (i = 0; i < ANCESTORS_MAX; i++) {
		const struct cred *cred;

		task = BPF_CORE_READ(task, real_parent, group_leader);
		if (!task || !BPF_CORE_READ(task, tgid))
			break;
		cred = BPF_CORE_READ(task, real_cred);
		if (BPF_CORE_READ(cred, uid.val) == BPF_CORE_READ(cred, euid.val))
			real |= 1U << i;
	}
	return real;
}

static __always_inline void emit_submission(struct task_struct *task)
{
	struct sender_record *record;

	if (!ring_allowed_user(user_key(), sizeof(*record) + CGROUP_DATA_MAX)) {
		count(COUNTER_PROCESS_LOST, 1);
		return;
	}
	record = bpf_ringbuf_reserve(&ring, sizeof(*record) + CGROUP_DATA_MAX, 0);
	if (!record) {
		count(COUNTER_PROCESS_LOST, 1);
		return;
	}
	record->flow = 0;
	task_describe(task, record);
	record->vpid = task_vpid(task);
	record->ancestors_real = ancestors_real(task);
	record_header(&record->h, RECORD_SUBMISSION, sizeof(*record) + record->cgroup_len);
	ring_submit(record);
}

/* Attached behind process_exec, whose record comes first: this one refers to its executable. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_submits, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	char name[PROGRAM_NAME_MAX] = "";
	const unsigned char *of = BPF_CORE_READ(bprm, file, f_path.dentry, d_name.name);

	if (bpf_probe_read_kernel_str(name, sizeof(name), of) > 0 && is_submission_program(name))
		emit_submission(task);
	return 0;
}

#endif
