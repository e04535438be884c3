/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel side delivers to user space: the records of the ring buffer, and nothing else.
 *
 * One ring buffer carries every record, so that their order is the order in which they were
 * reserved, on all CPUs. A recording is a file of the same records. User space makes some of its
 * own (RECORD_USER_FIRST and up): what it learnt of /proc at start, names, hashes. They enter the
 * pipeline the same way, and so a replay needs nothing of the host it was recorded on.
 *
 * Every record starts with struct record; `len` is the number of bytes that carry something. The
 * slot in the ring may be longer: what lies behind `len` was never written and is never read.
 * No struct has holes: sizeof is where its data begins. Integers are in host order, times are
 * CLOCK_BOOTTIME in ns. Paths come as the kernel walks them: components from the leaf to the root,
 * each ended by a NUL ("msmtp\0bin\0usr\0").
 */
#ifndef SMTPSNOOP_RECORD_H
#define SMTPSNOOP_RECORD_H

/* The including side provides __u8 to __u64: <linux/types.h>, or the kernel side's own header. */

#define RECORD_VERSION 2U

enum record_type {
	RECORD_EXEC = 1, /* struct exec_record: a process took on an executable */
	RECORD_FORK,	 /* struct fork_record: a process was made */
	RECORD_EXIT,	 /* struct exit_record: its last thread is gone */
	RECORD_SENDER,	 /* struct sender_record: who sends on a socket, in full */
	RECORD_SEND,	 /* struct send_record: a task sends these bytes */
	RECORD_SEGMENT,	 /* struct segment_record: bytes on the wire, either way */
	RECORD_CLOSE,	 /* struct close_record: the socket left its last state */
	RECORD_URGENT,	 /* struct urgent_record: a byte of what is sent is urgent data */

	RECORD_USER_FIRST = 64,
	RECORD_HOST = RECORD_USER_FIRST, /* struct host_record: the first one of every watch */
	RECORD_CLOCK,			 /* struct clock_record */
	RECORD_LOSS,	   /* struct loss_record: counters of the kernel side, when they changed */
	RECORD_NAME,	   /* struct name_record: a name for a number */
	RECORD_HASH,	   /* struct hash_record: the SHA-256 of an executable */
	RECORD_CGROUP,	   /* struct cgroup_record: the cgroup path of a process */
	RECORD_RELAY,	   /* struct relay_record: the addresses of a name */
	RECORD_ACTIVATION, /* struct activation_record: what started a unit's processes */
};

struct record {
	__u32 type; /* enum record_type */
	__u32 len;  /* bytes of the record, this header included */
	__u64 time_ns;
};

/* ---- Processes ------------------------------------------------------------------------------- */

#define COMM_LEN 16U

/*
 * A task at one moment. A process is named by (pid, start_ns): the pid alone is reused. Ids are
 * those of the initial namespaces; which user namespace the task lives in is told by ns_user.
 */
struct task_id {
	__u64 start_ns; /* start of the process (thread group leader), CLOCK_BOOTTIME */
	__u32 pid;	/* thread group id */
	__u32 tid;
	__u32 uid;
	__u32 euid;
	__u32 gid;
	__u32 egid;
	__u32 loginuid; /* LOGINUID_NONE if never set */
	__u32 ns_user;	/* inode number of the user namespace */
	char comm[COMM_LEN];
};

#define LOGINUID_NONE 0xffffffffU

enum exec_flag {
	EXEC_MEMFD = 1 << 0,   /* the executable has no name in any file system */
	EXEC_DELETED = 1 << 1, /* its last link was gone when it was executed */
	EXEC_SNAPSHOT =
		1 << 2, /* from /proc at start: the link may have been changed since the exec */
	EXEC_ARGS_TRUNCATED = 1 << 3, /* more arguments than EXEC_ARGS_MAX bytes */
	EXEC_PATH_TRUNCATED =
		1 << 4, /* the part nearest the root is missing, or another mount namespace's */
	EXEC_ARGS_UNREAD = 1 << 5, /* the arguments could not be read */
	EXEC_SECURE = 1 << 6, /* the exec raised privilege (setuid, setgid, file capabilities) */
};

#define EXEC_ARGS_MAX	   4096U
#define EXEC_DATA_MAX	   12288U
#define PATH_DEPTH_MAX	   32U
#define PATH_COMPONENT_MAX 256U /* NAME_MAX and its NUL */

/*
 * The data holds, one behind the other: the executable's path, the file name that was asked for
 * (the script, where an interpreter was run for it; as it was passed, so perhaps relative), the
 * interpreter that the kernel took in its place, the working directory's path, the arguments.
 * A snapshot's paths are written in the same form.
 */
struct exec_record {
	struct record h;
	__u64 start_ns;
	__u64 exec_ns; /* of a snapshot: the start of the process */
	__u32 pid;
	__u32 flags; /* enum exec_flag */
	__u64 inode;
	__u64 ctime_ns;
	__u64 size;
	__u32 dev; /* kernel encoding: major << 20 | minor */
	__u32 parent_pid;
	__u64 parent_start_ns;
	__u16 exe_len;
	__u16 filename_len; /* with its NUL */
	__u16 interp_len;   /* with its NUL */
	__u16 cwd_len;
	__u16 args_len; /* NUL-separated, as in /proc/PID/cmdline */
	__u16 pad[3];
	char data[];
};

struct fork_record {
	struct record h;
	__u64 parent_start_ns;
	__u64 start_ns;
	__u32 parent_pid;
	__u32 pid;
};

struct exit_record {
	struct record h;
	__u64 start_ns;
	__u32 pid;
	__u32 pad;
};

#define ANCESTORS_MAX	8U
#define CGROUP_DATA_MAX 512U

struct ancestor_id {
	__u64 start_ns;
	__u32 pid;
	__u32 uid; /* real, at the send */
};

enum sender_flag {
	SENDER_OPENER = 1 << 0,	 /* who connected: the task of the socket's first state change */
	SENDER_KTHREAD = 1 << 1, /* a kernel thread */
	SENDER_CGROUP_TRUNCATED = 1 << 2,
	SENDER_EXE_DELETED = 1 << 3, /* the file that its exe link names has no link left */
};

/* Who sends on a socket: once for each new (task, credentials) on it. */
struct sender_record {
	struct record h;
	__u64 flow; /* flow_id.cookie */
	struct task_id task;
	__u64 cgroup_id;
	__u64 exe_inode; /* of the file that its exe link names now: not always what it executed */
	__u32 exe_dev;	 /* kernel encoding */
	__u32 sessionid;
	__u32 ns_pid;
	__u32 ns_mnt;
	__u32 ns_net;
	__u32 tty_major; /* 0 and 0: no controlling terminal */
	__u32 tty_minor;
	__u32 flags; /* enum sender_flag */
	__u32 ancestor_count;
	__u32 pad;
	struct ancestor_id ancestors[ANCESTORS_MAX]; /* the parent first */
	__u32 cgroup_len;
	__u32 pad2;
	char cgroup[]; /* path in the cgroup v2 hierarchy, leaf first */
};

/* ---- Flows ----------------------------------------------------------------------------------- */

enum flow_flag {
	FLOW_FROM_START = 1 << 0, /* the socket was seen before it was connected */
	FLOW_SKIPPED =
		1 << 1, /* bytes of this flow were let pass uncopied, before it looked like SMTP */
	FLOW_ACCEPTED = 1 << 2, /* a passive open: the connection was accepted here */
	FLOW_MPTCP = 1 << 3,	/* a subflow of Multipath TCP */
	FLOW_FASTOPEN = 1 << 4, /* data went out in the SYN */
	FLOW_TLS = 1 << 5,	/* the client's side went over to TLS: copying has stopped */
	/* what it sends does not pass the wire hook as TCP (IPsec, segment routing) */
	FLOW_UNWIRED = 1 << 6,
};

/*
 * What a process hands to TLS in the kernel (kTLS) is a flow of its own, beside that of what leaves
 * the socket: its key is the socket's with bit 62 turned round. (A cookie has neither of the upper
 * two bits, a socket's address has both.)
 */
#define FLOW_KEY_PLAINTEXT (1ULL << 62)

static inline int flow_key_is_plaintext(__u64 key)
{
	return (int)((key >> 62 ^ key >> 63) & 1);
}

/* A TCP socket of this host, as seen from its own side. IPv4 addresses are v4-mapped. */
struct flow_id {
	__u64 cookie; /* its key: the socket's cookie, or where it has none its address; never 0 */
	__u8 local_addr[16];
	__u8 remote_addr[16];
	__u16 local_port;
	__u16 remote_port;
	__u32 netns; /* inode number */
	__u32 flags; /* enum flow_flag */
	__u32 pad;
};

enum send_flag {
	SEND_ENTRY = 1 << 0,	   /* made as the call began: `len` is what was asked for */
	SEND_EXIT = 1 << 1,	   /* made as it ended: `len` is what was accepted */
	SEND_SEQ_UNKNOWN = 1 << 2, /* the stream position could not be told (MPTCP) */
	SEND_UNREADABLE = 1 << 3,  /* the bytes could not be read (cold page, kernel pages) */
	SEND_PARTIAL = 1 << 4,	   /* `data` is only the first part of `len` */
};

#define SEND_PREFIX_MAX 256U  /* bytes of a send that are compared with the wire */
#define SEND_PIECE_MAX	4096U /* bytes of a piece, where there is no wire hook */

/*
 * A task sends: bytes [seq, seq + len) of the flow are its. With the wire hook, `data` is a prefix
 * to compare with what left; without it, the pieces of a send follow each other, whole.
 */
struct send_record {
	struct record h;
	struct flow_id flow;
	struct task_id task;
	__u32 seq;
	__u32 len;
	__u32 data_len;
	__u32 flags; /* enum send_flag */
	char data[];
};

enum segment_flag {
	SEGMENT_OUTBOUND = 1 << 0, /* left this socket; else it arrived for it */
};

#define SEGMENT_DATA_MAX 16384U

/* Payload of a TCP segment on the wire: bytes [seq, seq + len) of its direction. */
struct segment_record {
	struct record h;
	struct flow_id flow;
	__u32 seq;
	__u32 len; /* payload bytes that this record stands for; at least data_len */
	__u32 data_len;
	__u32 flags; /* enum segment_flag */
	char data[];
};

/*
 * The byte at `seq` of what leaves is urgent data (MSG_OOB): the peer's application may read the
 * stream without it. It comes before the record that has the byte, and may be told more than once.
 */
struct urgent_record {
	struct record h;
	struct flow_id flow;
	__u32 seq;
	__u32 pad;
};

struct close_record {
	struct record h;
	struct flow_id flow;
};

/* ---- Losses ---------------------------------------------------------------------------------- */

/* Counters of the kernel side, one slot each a CPU. Names for people: loss_name() in user space. */
enum counter {
	COUNTER_PROCESS_LOST,	   /* exec, fork and exit records for which the ring had no room */
	COUNTER_SENDER_LOST,	   /* sender and send records, likewise */
	COUNTER_SEGMENT_LOST,	   /* segment records, likewise */
	COUNTER_SEGMENT_BYTES,	   /* payload bytes of them */
	COUNTER_PRESSURE_BYTES,	   /* payload bytes left out because the ring was half full */
	COUNTER_CLOSE_LOST,	   /* close records, likewise */
	COUNTER_STATE_FAILED,	   /* sockets for which no state could be kept */
	COUNTER_SEND_UNREADABLE,   /* sends whose bytes could not be read */
	COUNTER_SEND_PENDING_FULL, /* sends under way that could not be kept until their end */
	COUNTER_MISSED,		   /* programs that the kernel did not run (recursion) */
	COUNTER_MAX,
};

/* ---- Made by user space ---------------------------------------------------------------------- */

enum host_wire {
	HOST_WIRE = 1 << 0,  /* the wire hook is attached */
	HOST_PAGES = 1 << 1, /* what is sent as pages can be read at the send */
};

/*
 * Which host, which hooks. The namespaces are the watch's own: names are given for ids of these
 * alone.
 */
struct host_record {
	struct record h;
	__u32 version; /* RECORD_VERSION */
	__u32 hook;    /* enum capture_hook */
	__u32 wire;    /* enum host_wire */
	__u32 ns_user;
	__u32 ns_pid;
	__u32 ns_mnt;
	__u32 ns_net;
	__u32 name_len;
	__u8 boot_id[16];
	char name[]; /* host name */
};

struct clock_record {
	struct record h;
	__s64 realtime_offset_ns; /* CLOCK_REALTIME minus CLOCK_BOOTTIME */
};

struct loss_record {
	struct record h;
	__u64 counters[COUNTER_MAX]; /* totals since the start */
};

enum name_kind {
	NAME_USER = 1, /* a user id of the watch's own user namespace */
	NAME_GROUP,
};

struct name_record {
	struct record h;
	__u32 kind; /* enum name_kind */
	__u32 id;
	__u32 name_len; /* 0: there is none */
	__u32 pad;
	char name[];
};

struct hash_record {
	struct record h;
	__u64 inode;
	__u64 ctime_ns;
	__u64 size;
	__u32 dev;   /* kernel encoding */
	__u32 valid; /* 0: no hash can be given; it may be another file's */
	__u8 sha256[32];
};

/* The path in the host's systemd hierarchy, where that is not the cgroup v2 one. */
struct cgroup_record {
	struct record h;
	__u64 start_ns;
	__u32 pid;
	__u32 path_len;
	char path[]; /* "/system.slice/cron.service" */
};

/* What a forward lookup of a relay's name gave. */
struct relay_record {
	struct record h;
	__u32 name_len;
	__u32 count; /* addresses of 16 bytes, v4-mapped ones of IPv4; 0: the lookup failed */
	__u8 data[]; /* the addresses, then the name */
};

enum activation {
	ACTIVATION_UNKNOWN, /* systemd is not the manager here, did not answer, or has forgotten */
	ACTIVATION_OTHER,
	ACTIVATION_TIMER, /* a timer of the unit elapsed, and so it was started */
};

/* What made systemd start a system unit. */
struct activation_record {
	struct record h;
	__u64 start_ns; /* of the process that was asked for */
	__u32 pid;
	__u32 by; /* enum activation */
};

#endif
