/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel types that smtpsnoop reads: only those, and of each only the fields it reads. Offsets
 * are relocated when a program is loaded (CO-RE), so one header serves every architecture and
 * version. Where a field changed its name or its shape, the other form is a flavour (a name that
 * ends in ___something), beside the change that made it; the accessor that chooses between them
 * stands in bpf/.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#include <linux/bpf.h>
#include <stdbool.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef unsigned long size_t;

struct list_head {
	struct list_head *next, *prev;
};

/* ---- Tasks -------------------------------------------------------------------------------- */

typedef struct {
	unsigned int val;
} kuid_t;

typedef struct {
	unsigned int val;
} kgid_t;

struct ns_common {
	unsigned int inum;
};

struct user_namespace {
	struct user_namespace *parent;
	int level;
	kuid_t owner;
	struct ns_common ns;
};

struct pid_namespace {
	struct ns_common ns;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct net {
	struct ns_common ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
};

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t euid;
	kgid_t egid;
	struct user_namespace *user_ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct tty_driver {
	int major;
	int minor_start;
};

struct tty_struct {
	int index;
	struct tty_driver *driver;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
	struct tty_struct *tty;
};

struct kernfs_node {
	const char *name;
	struct kernfs_node *parent;
};

/* 6.15, 633488947ef6 ("kernfs: Use RCU to access kernfs_node::parent.") */
struct kernfs_node___rcu {
	struct kernfs_node___rcu *__parent;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct file;

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	struct file *exe_file;
};

struct path;
struct fs_struct;

struct task_struct {
	unsigned int flags;
	struct mm_struct *mm;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_boottime;
	const struct cred *real_cred;
	const struct cred *cred;
	char comm[16];
	struct fs_struct *fs;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	kuid_t loginuid;
	unsigned int sessionid;
	struct css_set *cgroups;
	struct files_struct *files;
};

/* ---- Files -------------------------------------------------------------------------------- */

struct qstr {
	const unsigned char *name;
};

struct super_block {
	unsigned int s_dev;
};

typedef long long time64_t;

struct inode {
	unsigned short i_mode;
	unsigned int i_nlink;
	struct super_block *i_sb;
	unsigned long i_ino;
	long long i_size;
	/* 6.11, 3aa63a569c64 ("fs: switch timespec64 fields in inode to discrete integers") */
	time64_t i_ctime_sec;
	unsigned int i_ctime_nsec;
};

struct timespec64 {
	time64_t tv_sec;
	long tv_nsec;
};

/* 6.6, 13bc24457850 ("fs: rename i_ctime field to __i_ctime") */
struct inode___renamed {
	struct timespec64 __i_ctime;
};

struct inode___timespec {
	struct timespec64 i_ctime;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct fs_struct {
	struct path root;
	struct path pwd;
};

struct file {
	struct inode *f_inode;
	struct path f_path;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct linux_binprm {
	struct file *file;
	const char *filename;
	const char *interp;
	unsigned int secureexec : 1;
	int argc;
};

/* ---- Sockets ------------------------------------------------------------------------------ */

struct in6_addr {
	__u8 s6_addr[16];
};

typedef struct {
	struct net *net;
} possible_net_t;

typedef struct {
	long long counter;
} atomic64_t;

struct proto {
	void *sendmsg;
};

struct sock_common {
	struct proto *skc_prot;
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	unsigned long skc_flags;
	atomic64_t skc_cookie;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
};

struct socket {
	struct sock *sk;
};

struct tcp_ulp_ops {
	char name[16];
};

struct inet_connection_sock {
	const struct tcp_ulp_ops *icsk_ulp_ops;
};

struct tcp_fastopen_request;

struct tcp_sock {
	__u32 write_seq;
	__u32 snd_nxt;
	__u32 snd_una;
	__u64 bytes_acked;
	__u64 bytes_received;
	bool is_mptcp;
	__u8 repair : 1;
	struct tcp_fastopen_request *fastopen_req;
};

struct mptcp_sock {
	struct sock *first;
};

struct iovec {
	void *iov_base;
	size_t iov_len;
};

/* The kinds of vector; their numbers changed between versions, so they are read from BTF. */
enum iter_type {
	ITER_IOVEC,
	ITER_KVEC,
	ITER_BVEC,
	ITER_UBUF,
};

struct page {
	unsigned long flags;
};

struct bio_vec {
	struct page *bv_page;
	unsigned int bv_len;
	unsigned int bv_offset;
};

struct iov_iter {
	__u8 iter_type;
	size_t iov_offset;
	const struct iovec *__iov; /* 6.4, de4f5fed3f23 ("iov_iter: add iter_iovec() helper") */
	const struct iovec *kvec;
	const struct bio_vec *bvec;
	void *ubuf; /* 6.0, fcb14cb1bdac ("new iov_iter flavour - ITER_UBUF") */
	size_t count;
	unsigned long nr_segs;
};

struct iov_iter___iov {
	const struct iovec *iov;
};

/* 5.14, 8cd54c1c8480 ("iov_iter: separate direction from flavour"): before it, bits of `type`. */
struct iov_iter___bits {
	unsigned int type;
};

struct msghdr {
	struct iov_iter msg_iter;
	unsigned int msg_flags;
};

struct sk_buff;

/* ---- Registers, for kprobes --------------------------------------------------------------- */

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r14;
	unsigned long bx;
	unsigned long bp;
	unsigned long r8;
	unsigned long r9;
	unsigned long ax;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long ip;
	unsigned long flags;
	unsigned long sp;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};
struct pt_regs {
	struct user_pt_regs user_regs;
};
#endif

#pragma clang attribute pop

#endif
