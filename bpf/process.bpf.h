/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Processes: exec, fork and exit. The executable comes from the kernel's own bprm at exec, because
 * a process can point its /proc/PID/exe elsewhere later (PR_SET_MM_MAP); the arguments come from
 * the new stack before its first instruction runs.
 */
#ifndef SMTPSNOOP_PROCESS_BPF_H
#define SMTPSNOOP_PROCESS_BPF_H

#include "proof.bpf.h"
#include "task.bpf.h"

/*
 * The shares of exec_record.data. Each part may exceed its share by one path component. Offsets are
 * 64 bits wide, because the verifier before 6.3 loses track of the upper half of a 32-bit sum.
 */
#define EXE_PATH_MAX	 3072U
#define CWD_PATH_MAX	 3072U
#define FILENAME_MAX_LEN 1024U
#define INTERP_MAX_LEN	 256U

_Static_assert(EXE_PATH_MAX + CWD_PATH_MAX + 2 * PATH_COMPONENT_MAX + FILENAME_MAX_LEN +
			       INTERP_MAX_LEN + EXEC_ARGS_MAX <=
		       EXEC_DATA_MAX,
	       "the parts of an exec record fit");

static __always_inline __u64 inode_ctime(struct inode *inode)
{
	struct inode___renamed *renamed = (void *)inode;
	struct inode___timespec *timespec = (void *)inode;

	if (bpf_core_field_exists(inode->i_ctime_nsec)) {
		/* 6.13: multigrain timestamps keep a flag in the topmost bit of the nanoseconds. */
		__u32 nsec = BPF_CORE_READ(inode, i_ctime_nsec) & 0x7fffffff;

		return BPF_CORE_READ(inode, i_ctime_sec) * 1000000000ULL + nsec;
	}
	if (bpf_core_field_exists(renamed->__i_ctime))
		return BPF_CORE_READ(renamed, __i_ctime.tv_sec) * 1000000000ULL +
		       BPF_CORE_READ(renamed, __i_ctime.tv_nsec);
	return BPF_CORE_READ(timespec, i_ctime.tv_sec) * 1000000000ULL +
	       BPF_CORE_READ(timespec, i_ctime.tv_nsec);
}

static __always_inline void exec_inode(struct exec_record *record, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	record->inode = BPF_CORE_READ(inode, i_ino);
	record->dev = BPF_CORE_READ(inode, i_sb, s_dev);
	record->size = BPF_CORE_READ(inode, i_size);
	record->ctime_ns = inode_ctime(inode);
	if (!BPF_CORE_READ(inode, i_nlink))
		record->flags |= EXEC_DELETED;
}

/*
 * A length as memory has it. The verifier then knows nothing of it, and examines what follows once,
 * not once for each way in which a loop before may have ended.
 */
#define reread(length) (*(volatile __u32 *)&(length))

/* Appends a path at `off`; returns the bytes written. */
static __always_inline __u32 exec_path(struct exec_record *record, __u64 off, const __u32 off_max,
				       struct path *path, const __u32 max, bool executable)
{
	struct walk walk;
	__u32 n;

	if (off > off_max)
		return 0;
	n = path_write(path, bounded_at(record->data, off, off_max), max, &walk);
	if (!executable)
		return n;
	if (walk.detached)
		record->flags |= EXEC_MEMFD;
	else if (!walk.root || walk.root != BPF_CORE_READ(current_task(), nsproxy, mnt_ns))
		/* cut short, or a path in a tree that somebody else mounted */
		record->flags |= EXEC_PATH_TRUNCATED;
	return n;
}

/* Appends a kernel string at `off`; returns the bytes written, including its NUL. */
static __always_inline __u32 exec_string(struct exec_record *record, __u64 off, const __u32 off_max,
					 const char *string, const __u32 max)
{
	long n;

	if (off > off_max)
		return 0;
	n = bpf_probe_read_kernel_str(bounded_at(record->data, off, off_max), max, string);
	return n > 0 && n <= (long)max ? n : 0;
}

static __always_inline __u32 exec_args(struct exec_record *record, __u64 off,
				       struct task_struct *task)
{
	unsigned long start = BPF_CORE_READ(task, mm, arg_start);
	unsigned long end = BPF_CORE_READ(task, mm, arg_end);
	__u64 len = end > start ? end - start : 0;

	if (off > EXEC_DATA_MAX - EXEC_ARGS_MAX || !len)
		return 0;
	if (len > EXEC_ARGS_MAX) {
		len = EXEC_ARGS_MAX;
		record->flags |= EXEC_ARGS_TRUNCATED;
	}
	if (bpf_probe_read_user(bounded_at(record->data, off, EXEC_DATA_MAX - EXEC_ARGS_MAX), len,
				(void *)start)) {
		record->flags |= EXEC_ARGS_UNREAD;
		return 0;
	}
	return len;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct exec_record *record;
	struct task_struct *parent;
	struct file *file;
	__u64 off;

	if (!ring_allowed_user(user_key(), sizeof(*record) + EXEC_DATA_MAX)) {
		count(COUNTER_PROCESS_LOST, 1);
		return 0;
	}
	record = bpf_ringbuf_reserve(&ring, sizeof(*record) + EXEC_DATA_MAX, 0);
	if (!record) {
		count(COUNTER_PROCESS_LOST, 1);
		return 0;
	}
	parent = BPF_CORE_READ(task, real_parent, group_leader);
	file = BPF_CORE_READ(bprm, file);
	record->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	record->pid = BPF_CORE_READ(task, tgid);
	record->parent_pid = BPF_CORE_READ(parent, tgid);
	record->parent_start_ns = BPF_CORE_READ(parent, start_boottime);
	record->flags = BPF_CORE_READ_BITFIELD_PROBED(bprm, secureexec) ? EXEC_SECURE : 0;
	exec_inode(record, file);

	record->exe_len =
		exec_path(record, 0, 0, (void *)file + bpf_core_field_offset(struct file, f_path),
			  EXE_PATH_MAX, true);
	off = reread(record->exe_len);
	record->filename_len = exec_string(record, off, EXE_PATH_MAX + PATH_COMPONENT_MAX,
					   BPF_CORE_READ(bprm, filename), FILENAME_MAX_LEN);
	off += reread(record->filename_len);
	record->interp_len =
		exec_string(record, off, EXE_PATH_MAX + PATH_COMPONENT_MAX + FILENAME_MAX_LEN,
			    BPF_CORE_READ(bprm, interp), INTERP_MAX_LEN);
	off += reread(record->interp_len);
	record->cwd_len =
		exec_path(record, off,
			  EXE_PATH_MAX + PATH_COMPONENT_MAX + FILENAME_MAX_LEN + INTERP_MAX_LEN,
			  (void *)BPF_CORE_READ(task, fs) +
				  bpf_core_field_offset(struct fs_struct, pwd),
			  CWD_PATH_MAX, false);
	off += reread(record->cwd_len);
	record->args_len = exec_args(record, off, task);
	off += reread(record->args_len);
	record->args_count = BPF_CORE_READ(bprm, argc);
	record->flags |= EXEC_ARGS_COUNTED;
	record_header(&record->h, RECORD_EXEC, sizeof(*record) + off);
	record->exec_ns = record->h.time_ns;
	ring_submit(record);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct fork_record *record;

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid)) /* a thread */
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		count(COUNTER_PROCESS_LOST, 1);
		return 0;
	}
	record->parent_pid = BPF_CORE_READ(parent, tgid);
	record->parent_start_ns = BPF_CORE_READ(parent, group_leader, start_boottime);
	record->pid = BPF_CORE_READ(child, tgid);
	record->start_ns = BPF_CORE_READ(child, start_boottime);
	record_header(&record->h, RECORD_FORK, sizeof(*record));
	ring_submit(record);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	__u64 call = bpf_get_current_pid_tgid();
	struct exit_record *record;

	if (tls_probes) /* it may have left a library by a jump: nothing of it must pile up */
		bpf_map_delete_elem(&tls_calls, &call);
	if (BPF_CORE_READ(task, signal, live.counter)) /* other threads are still alive */
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		count(COUNTER_PROCESS_LOST, 1);
		return 0;
	}
	record->pid = BPF_CORE_READ(task, tgid);
	record->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	record->pad = 0;
	record_header(&record->h, RECORD_EXIT, sizeof(*record));
	ring_submit(record);
	return 0;
}

#endif
