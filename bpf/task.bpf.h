/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel knows about a task: ids, credentials, namespaces, terminal, cgroup, ancestors;
 * and the paths of files, followed through dentries and mounts up to the root of the mount
 * namespace (so that a chroot does not shorten them). Everything is read by helpers, so that the
 * same code serves each family of hooks.
 */
#ifndef SMTPSNOOP_TASK_BPF_H
#define SMTPSNOOP_TASK_BPF_H

#include "maps.bpf.h"

#define PF_KTHREAD 0x00200000U

static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

static __always_inline __u32 task_loginuid(struct task_struct *task)
{
	if (!bpf_core_field_exists(task->loginuid)) /* CONFIG_AUDIT */
		return LOGINUID_NONE;
	return BPF_CORE_READ(task, loginuid.val);
}

static __always_inline void task_identify(struct task_struct *task, struct task_id *id)
{
	const struct cred *cred = BPF_CORE_READ(task, cred);

	id->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	id->pid = BPF_CORE_READ(task, tgid);
	id->tid = BPF_CORE_READ(task, pid);
	id->uid = BPF_CORE_READ(cred, uid.val);
	id->euid = BPF_CORE_READ(cred, euid.val);
	id->gid = BPF_CORE_READ(cred, gid.val);
	id->egid = BPF_CORE_READ(cred, egid.val);
	id->loginuid = task_loginuid(task);
	id->ns_user = BPF_CORE_READ(cred, user_ns, ns.inum);
	bpf_probe_read_kernel(id->comm, sizeof(id->comm), task->comm);
}

/*
 * Collects the ancestors, parent first. The list ends at init, or at what the kernel itself
 * started. Returns their number.
 */
static __always_inline __u32 task_ancestors(struct task_struct *task, struct ancestor_id *ancestors)
{
	__u32 i;

	for (i = 0; i < ANCESTORS_MAX; i++) {
		task = BPF_CORE_READ(task, real_parent, group_leader);
		if (!task || !BPF_CORE_READ(task, tgid))
			break;
		ancestors[i].pid = BPF_CORE_READ(task, tgid);
		ancestors[i].start_ns = BPF_CORE_READ(task, start_boottime);
		ancestors[i].uid = BPF_CORE_READ(task, real_cred, uid.val);
	}
	return i;
}

static __always_inline void task_tty(struct task_struct *task, struct sender_record *record)
{
	struct tty_struct *tty = BPF_CORE_READ(task, signal, tty);

	record->tty_major = 0;
	record->tty_minor = 0;
	if (!tty)
		return;
	record->tty_major = BPF_CORE_READ(tty, driver, major);
	record->tty_minor = BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index);
}

/* The file that /proc/PID/exe names at this moment. */
static __always_inline void task_exe(struct task_struct *task, struct sender_record *record)
{
	struct inode *inode = BPF_CORE_READ(task, mm, exe_file, f_inode);

	record->exe_inode = inode ? BPF_CORE_READ(inode, i_ino) : 0;
	record->exe_dev = inode ? BPF_CORE_READ(inode, i_sb, s_dev) : 0;
	if (inode && !BPF_CORE_READ(inode, i_nlink))
		record->flags |= SENDER_EXE_DELETED;
}

static __always_inline __u64 task_root(struct task_struct *task)
{
	return (__u64)BPF_CORE_READ(task, fs, root.dentry);
}

/*
 * Whether the task's root directory is the watch's own. A mount namespace that systemd makes for a
 * service has copies of the host's mounts, with the same dentry at the root: the names of the host
 * hold there. In a chroot and in a container they do not.
 */
static __always_inline __u32 task_root_flag(struct task_struct *task)
{
	if (!own_root)
		return 0;
	return task_root(task) == own_root ? SENDER_ROOT_OWN : SENDER_ROOT_OTHER;
}

/* Not attached: the watch runs it once, so that it runs in the watch's own context. */
SEC("raw_tp/smtpsnoop_own_root")
int once_own_root(void *context)
{
	(void)context;
	own_root = task_root(current_task());
	return 0;
}

/* The pid namespace of the task itself, not the one that its next child would get. */
static __always_inline __u32 task_ns_pid(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid *upid;

	if (level > 32) /* MAX_PID_NS_LEVEL */
		return 0;
	upid = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
	       level * bpf_core_type_size(struct upid);
	return BPF_CORE_READ(upid, ns, ns.inum);
}

#define USER_NS_LEVELS 33 /* as many as the kernel allows */

/*
 * Who pays for the current task's bytes in the ring: the effective user and the pid namespace (so
 * that root of a container is not root of the host). Anyone can make user namespaces, and with them
 * any number of users: all of them pay as the user who made the outermost one.
 *
 * A function of its own without arguments: the verifier examines it once, not for each caller.
 */
__noinline __u64 user_key(void)
{
	struct task_struct *task = current_task();
	struct user_namespace *ns = BPF_CORE_READ(task, cred, user_ns);
	int level = BPF_CORE_READ(ns, level), i;

	if (!level)
		return (__u64)BPF_CORE_READ(task, cred, euid.val) << 32 | task_ns_pid(task);
	for (i = 0; i < USER_NS_LEVELS && level > 1; i++) {
		ns = BPF_CORE_READ(ns, parent);
		level = BPF_CORE_READ(ns, level);
	}
	return (__u64)BPF_CORE_READ(ns, owner.val) << 32 | DROPPED_USER_NS;
}

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	struct kernfs_node___rcu *node_rcu = (void *)node;

	if (bpf_core_field_exists(node_rcu->__parent))
		return (void *)BPF_CORE_READ(node_rcu, __parent);
	return BPF_CORE_READ(node, parent);
}

/*
 * `out` + `off`, where `off` is at most `max` (a constant). The bound and the sum are one piece: a
 * compiler that keeps a copy of `off` on the stack in between would add a copy whose bound the
 * verifier does not know.
 */
static __always_inline char *bounded_at(char *out, __u64 off, const __u32 max)
{
	asm volatile("if %[off] <= %[max] goto +1\n"
		     "%[off] = 0\n"
		     "%[out] += %[off]\n"
		     : [out] "+r"(out), [off] "+r"(off)
		     : [max] "i"(max));
	return out;
}

/*
 * Writes the path of the task's cgroup in the v2 hierarchy, leaf first, at most CGROUP_DATA_MAX
 * bytes.
 */
static __always_inline void task_cgroup(struct task_struct *task, struct sender_record *record)
{
	struct kernfs_node *node = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
	__u64 off = 0;
	long n;
	int i;

	for (i = 0; i < (int)PATH_DEPTH_MAX; i++) {
		struct kernfs_node *parent = node ? kernfs_parent(node) : NULL;
		const char *name;

		if (!parent) /* the root has no name */
			break;
		if (off > CGROUP_DATA_MAX - PATH_COMPONENT_MAX)
			break;
		name = BPF_CORE_READ(node, name);
		n = bpf_probe_read_kernel_str(bounded_at(record->cgroup, off,
							 CGROUP_DATA_MAX - PATH_COMPONENT_MAX),
					      PATH_COMPONENT_MAX, name);
		if (n <= 0 || n > (long)PATH_COMPONENT_MAX)
			break;
		off += n;
		node = parent;
	}
	if (node && kernfs_parent(node))
		record->flags |= SENDER_CGROUP_TRUNCATED;
	record->cgroup_len = off;
}

/* Fills in a sender record, except its header and its flow. The task is the current one. */
static __always_inline void task_describe(struct task_struct *task, struct sender_record *record)
{
	task_identify(task, &record->task);
	record->cgroup_id = bpf_get_current_cgroup_id();
	record->sessionid =
		bpf_core_field_exists(task->sessionid) ? BPF_CORE_READ(task, sessionid) : 0;
	record->ns_pid = task_ns_pid(task);
	record->ns_mnt = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	record->ns_net = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	record->flags = (BPF_CORE_READ(task, flags) & PF_KTHREAD ? SENDER_KTHREAD : 0) |
			task_root_flag(task);
	record->vpid = record->ancestors_real = 0;
	task_exe(task, record);
	task_tty(task, record);
	__builtin_memset(record->ancestors, 0, sizeof(record->ancestors));
	record->ancestor_count = task_ancestors(task, record->ancestors);
	task_cgroup(task, record);
}

/* ---- Paths ----------------------------------------------------------------------------------- */

struct walk {
	struct dentry *dentry;
	struct vfsmount *vfsmount;
	/* the mount namespace whose root the walk reached; NULL if it did not reach one */
	struct mnt_namespace *root;
	bool detached; /* the file is in no tree: a memfd, a socket, a pipe */
};

static __always_inline struct mount *mount_of(struct vfsmount *vfsmount)
{
	return (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
}

/*
 * One step of the walk. True if walk->dentry now has a name that belongs to the path, false if the
 * walk is over. Each mount that is crossed costs a turn of the loop, and at most two are crossed
 * here: more mounts stacked on one point are rare enough to end the path.
 */
static __always_inline bool walk_named(struct walk *walk)
{
	int i;

	for (i = 0; i < 3; i++) {
		struct vfsmount *vfsmount = walk->vfsmount;
		struct mount *mount = mount_of(vfsmount), *parent;

		if (walk->dentry != BPF_CORE_READ(vfsmount, mnt_root))
			return true;
		parent = BPF_CORE_READ(mount, mnt_parent);
		if (!parent || parent == mount) {
			walk->root = BPF_CORE_READ(mount, mnt_ns);
			return false;
		}
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->vfsmount = (void *)parent + bpf_core_field_offset(struct mount, mnt);
	}
	return false;
}

/*
 * Writes the components of a path, leaf first, each with its NUL: at most `max` bytes and one more
 * component. Returns the bytes written. `out` has room for max + PATH_COMPONENT_MAX.
 */
static __always_inline __u32 path_write(struct path *path, char *out, const __u32 max,
					struct walk *walk)
{
	__u64 off = 0;
	long n;
	int i;

	walk->dentry = BPF_CORE_READ(path, dentry);
	walk->vfsmount = BPF_CORE_READ(path, mnt);
	walk->root = NULL;
	walk->detached = false;
	for (i = 0; i < (int)PATH_DEPTH_MAX; i++) {
		struct dentry *dentry, *parent;
		const unsigned char *name;

		if (!walk->dentry || !walk->vfsmount || !walk_named(walk))
			break;
		if (off > max)
			break;
		dentry = walk->dentry;
		name = BPF_CORE_READ(dentry, d_name.name);
		n = bpf_probe_read_kernel_str(bounded_at(out, off, max), PATH_COMPONENT_MAX, name);
		if (n <= 0 || n > (long)PATH_COMPONENT_MAX)
			break;
		off += n;
		parent = BPF_CORE_READ(dentry, d_parent);
		if (parent == dentry) {
			walk->detached = true;
			break;
		}
		walk->dentry = parent;
	}
	return off;
}

#endif
