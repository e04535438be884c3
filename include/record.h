/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The records that the kernel side passes to user space through the ring buffer, and nothing else.
 *
 * One ring buffer carries all records of all CPUs, in the order in which they were reserved. A
 * recording is a file of the same records. User space makes some records of its own
 * (RECORD_USER_FIRST and up): what it read from /proc at the start, names, hashes. They enter the
 * pipeline in the same way, so a replay needs nothing from the host that was recorded.
 *
 * Every record starts with struct record. Its `len` is the number of bytes in use; the slot in the
 * ring may be longer, but the bytes after `len` are never written and never read. No struct has
 * holes, so its data begins at sizeof. Integers are in host order. Times are CLOCK_BOOTTIME in ns.
 * Paths are as the kernel walks them: components from the leaf to the root, each ended by a NUL
 * ("msmtp\0bin\0usr\0").
 */
#ifndef SMTPSNOOP_RECORD_H
#define SMTPSNOOP_RECORD_H

/* The including file provides __u8 to __u64: <linux/types.h>, or the kernel side's own header. */

#define RECORD_VERSION 2U

enum record_type {
	RECORD_EXEC = 1,   /* struct exec_record: a process executed a file */
	RECORD_FORK,	   /* struct fork_record: a process was created */
	RECORD_EXIT,	   /* struct exit_record: the last thread of a process ended */
	RECORD_SENDER,	   /* struct sender_record: who sends on a socket, in detail */
	RECORD_SEND,	   /* struct send_record: a task sends these bytes */
	RECORD_SEGMENT,	   /* struct segment_record: bytes on the wire, in either direction */
	RECORD_CLOSE,	   /* struct close_record: the socket is closed */
	RECORD_URGENT,	   /* struct urgent_record: a byte that is sent is urgent data */
	RECORD_DIRECTORY,  /* struct directory_record: where a sender stands */
	RECORD_TLS,	   /* struct tls_record: the plaintext of a TLS session follows */
	RECORD_SUBMISSION, /* struct sender_record: a program that hands mail to an MTA executes */
	RECORD_COUNT,	   /* struct count_record: how much a TLS session has sent */

	RECORD_USER_FIRST = 64,
	RECORD_HOST = RECORD_USER_FIRST, /* struct host_record: the first record of every watch */
	RECORD_CLOCK,			 /* struct clock_record */
	RECORD_LOSS,	    /* struct loss_record: the kernel side's counters changed */
	RECORD_NAME,	    /* struct name_record: the name of a user or group id */
	RECORD_HASH,	    /* struct hash_record: the SHA-256 of an executable */
	RECORD_CGROUP,	    /* struct cgroup_record: the cgroup path of a process */
	RECORD_RELAY,	    /* struct relay_record: the addresses of a host name */
	RECORD_ACTIVATION,  /* struct activation_record: what started the processes of a unit */
	RECORD_HEALTH = 72, /* struct health_record: what a self-check of the capture found */
	RECORD_RUN = 73,    /* struct run_record: how the previous run of the daemon ended */
	RECORD_CONNECTION, /* struct connection_record: a connection that is older than the watch */
	RECORD_DROPPED,	   /* struct dropped_record: whose payload was left out */
	RECORD_ACCOUNTS = 80, /* struct accounts_record: names that a process's own root gives */
};

struct record {
	__u32 type; /* enum record_type */
	__u32 len;  /* bytes of the record, this header included */
	__u64 time_ns;
};

/* ---- Processes ------------------------------------------------------------------------------- */

#define COMM_LEN 16U

/*
 * A task at one moment. A process is identified by (pid, start_ns), because pids are reused. The
 * ids are those of the initial namespaces; ns_user is the user namespace of the task.
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
	EXEC_MEMFD = 1 << 0,	      /* the executable has no name in any file system */
	EXEC_DELETED = 1 << 1,	      /* its last link was removed before it was executed */
	EXEC_SNAPSHOT = 1 << 2,	      /* from /proc at the start: the link may have changed since */
	EXEC_ARGS_TRUNCATED = 1 << 3, /* more arguments than EXEC_ARGS_MAX bytes */
	EXEC_PATH_TRUNCATED = 1 << 4, /* the part nearest the root is missing or hidden */
	EXEC_ARGS_UNREAD = 1 << 5,    /* the arguments could not be read */
	EXEC_SECURE = 1 << 6, /* the exec raised privileges (setuid, setgid, file capabilities) */
	EXEC_ARGS_COUNTED = 1 << 7, /* args_count is set; older recordings do not have it */
};

#define EXEC_ARGS_MAX	   4096U
#define EXEC_DATA_MAX	   12288U
#define PATH_DEPTH_MAX	   32U
#define PATH_COMPONENT_MAX 256U /* NAME_MAX and a NUL */

/*
 * The data, one after the other: the path of the executable; the file name passed to the exec (of
 * the script, if an interpreter was run for it; possibly relative); the interpreter that the kernel
 * ran instead; the path of the working directory; the arguments. The paths of a snapshot have the
 * same form.
 */
struct exec_record {
	struct record h;
	__u64 start_ns;
	__u64 exec_ns; /* of a snapshot: when the process started */
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
	__u16 pad;
	__u32 args_count; /* of all arguments, also those beyond args_len; EXEC_ARGS_COUNTED */
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
	__u32 uid; /* real uid at the send */
};

enum sender_flag {
	SENDER_OPENER = 1 << 0,	 /* the task that connected (first state change of the socket) */
	SENDER_KTHREAD = 1 << 1, /* a kernel thread */
	SENDER_CGROUP_TRUNCATED = 1 << 2,
	SENDER_EXE_DELETED = 1 << 3, /* the file behind the exe link has no link left */
	/* Its root directory is the watch's own, or another one; neither: not known. */
	SENDER_ROOT_OWN = 1 << 8,
	SENDER_ROOT_OTHER = 1 << 9,
};

/*
 * Who sends on a socket. One record per new combination of task, credentials and directory on it.
 * RECORD_SUBMISSION has the same form: the task is as it was just after the exec.
 */
struct sender_record {
	struct record h;
	__u64 flow; /* flow_id.cookie; 0 of a submission */
	struct task_id task;
	__u64 cgroup_id;
	__u64 exe_inode; /* of the file behind the exe link now, not always the executed one */
	__u32 exe_dev;	 /* kernel encoding */
	__u32 sessionid;
	__u32 ns_pid;
	__u32 ns_mnt;
	__u32 ns_net;
	__u32 tty_major; /* both 0: no controlling terminal */
	__u32 tty_minor;
	__u32 flags; /* enum sender_flag */
	__u32 ancestor_count;
	__u32 vpid; /* of a submission: the pid in the task's own pid namespace; otherwise 0 */
	struct ancestor_id ancestors[ANCESTORS_MAX]; /* the parent first */
	__u32 cgroup_len;
	/* of a submission: bit i is set if ancestors[i] has the same real and effective user */
	__u32 ancestors_real;
	char cgroup[]; /* path in the cgroup v2 hierarchy, leaf first */
};

/* Bytes of a path. Of a longer one, what is nearest the root is missing. */
#define DIRECTORY_DATA_MAX 1280U

enum directory_flag {
	DIRECTORY_TRUNCATED = 1 << 0, /* the part nearest the root is missing or hidden */
};

/*
 * The working directory of a task at a send. It precedes the sender record of that send. Both are
 * written again when the task sends from another directory.
 */
struct directory_record {
	struct record h;
	__u64 flow; /* flow_id.cookie */
	__u64 start_ns;
	__u32 pid;
	__u32 tid;
	__u32 flags; /* enum directory_flag */
	__u32 path_len;
	char path[]; /* leaf first, each component with its NUL */
};

/* ---- Flows ----------------------------------------------------------------------------------- */

enum flow_flag {
	FLOW_FROM_START = 1 << 0, /* the socket was seen before it was connected */
	FLOW_SKIPPED = 1 << 1,	  /* bytes were not copied before the flow looked like SMTP */
	FLOW_ACCEPTED = 1 << 2,	  /* a passive open: this host accepted the connection */
	FLOW_MPTCP = 1 << 3,	  /* a subflow of Multipath TCP */
	FLOW_FASTOPEN = 1 << 4,	  /* data was sent in the SYN */
	FLOW_TLS = 1 << 5,	  /* the client switched to TLS: copying has stopped */
	FLOW_UNWIRED = 1 << 6,	  /* does not pass the wire hook as TCP (IPsec, segment routing) */
};

/*
 * The plaintext of a TLS session (in the kernel, or in a library) is passed next to the flow of
 * what leaves the socket. Its records have the key of the socket with bit 62 inverted. (In a cookie
 * the upper two bits are 0, in the address of a socket they are 1.) Positions count bytes of
 * plaintext.
 */
#define FLOW_KEY_PLAINTEXT (1ULL << 62)

static inline int flow_key_is_plaintext(__u64 key)
{
	return (int)((key >> 62 ^ key >> 63) & 1);
}

/* A TCP socket of this host, seen from its own side. IPv4 addresses are v4-mapped. */
struct flow_id {
	__u64 cookie; /* the key: the socket's cookie, or without one its address; never 0 */
	__u8 local_addr[16];
	__u8 remote_addr[16];
	__u16 local_port;
	__u16 remote_port;
	__u32 netns; /* inode number */
	__u32 flags; /* enum flow_flag */
	__u32 owner; /* who opened it: the same number for all flows of a user; 0: unknown */
};

enum send_flag {
	SEND_ENTRY = 1 << 0,	   /* at the start of the call: `len` is the requested length */
	SEND_EXIT = 1 << 1,	   /* at the end of the call: `len` is the accepted length */
	SEND_SEQ_UNKNOWN = 1 << 2, /* the position in the stream is unknown (MPTCP) */
	SEND_UNREADABLE = 1 << 3,  /* the bytes could not be read (cold page, kernel pages) */
	SEND_PARTIAL = 1 << 4,	   /* `data` is only the first part of the `len` bytes */
};

#define SEND_PREFIX_MAX 256U  /* bytes of a send that are compared with the wire */
#define SEND_PIECE_MAX	4096U /* bytes of a piece, without a wire hook */

/*
 * A task sends the bytes [seq, seq + len) of the flow. With the wire hook, `data` is a prefix to
 * compare with what leaves the host. Without it, the send is split into pieces, and `data` is all
 * of a piece.
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
	SEGMENT_OUTBOUND = 1 << 0, /* it left this socket; otherwise it arrived */
};

#define SEGMENT_DATA_MAX 16384U

/* The payload of a TCP segment on the wire: bytes [seq, seq + len) of its direction. */
struct segment_record {
	struct record h;
	struct flow_id flow;
	__u32 seq;
	__u32 len; /* payload bytes that this record represents; at least data_len */
	__u32 data_len;
	__u32 flags; /* enum segment_flag */
	char data[];
};

/*
 * The byte at `seq` of the sent stream is urgent data (MSG_OOB): the peer's application may read
 * the stream without it. This record precedes the one with the byte, and may be repeated.
 */
struct urgent_record {
	struct record h;
	struct flow_id flow;
	__u32 seq;
	__u32 pad;
};

/*
 * `sent` and `received` are the bytes of the connection, as TCP counts them: payload, repeated
 * bytes once. Both are 0 if they are not known. Older recordings do not have them.
 */
struct close_record {
	struct record h;
	struct flow_id flow;
	__u64 sent;
	__u64 received;
};

#define CLOSE_RECORD_OLD (sizeof(struct close_record) - 2 * sizeof(__u64))

enum tls_flag {
	TLS_LATE = 1 << 0, /* the session is older than the watch, or its beginning was not seen */
};

#define TLS_CLIENT_MAX 512U
#define TLS_SERVER_MAX 256U

/*
 * The plaintext of a TLS session is joined to a socket. It follows as send records (what the
 * library was given) and inbound segment records (what it returned), all with the key of the
 * plaintext. Written once for each session, before them.
 */
struct tls_record {
	struct record h;
	struct flow_id flow; /* `cookie` is the key of the plaintext */
	__u32 layer;	     /* enum tls_layer */
	__u32 flags;	     /* enum tls_flag */
	__u32 client_len;
	__u32 server_len;
	/* what began the TLS session: the first bytes of the ClientHello's TLS record, then of the
	   ServerHello's */
	char data[];
};

enum count_step {
	COUNT_ON = 1, /* all that was sent since the session was noted is counted */
	COUNT_LOST,   /* up to here: what follows could not be walked */
	COUNT_ODD,    /* up to here: what follows is no TLS */
};

/*
 * What a TLS session has sent: the text that its library was given, and the records on the wire.
 * Written before what the library returns, and when the socket closes.
 */
struct count_record {
	struct record h;
	struct flow_id flow; /* `cookie` is the key of the plaintext */
	__u64 plain;	     /* bytes of text that the library took */
	__u64 offered;	     /* likewise, with what was passed to calls that have not ended */
	__u64 bytes;	     /* of the records of data, without their headers */
	__u32 records;	     /* how many */
	__u32 step;	     /* enum count_step */
};

/* ---- Losses ---------------------------------------------------------------------------------- */

/* Counters of the kernel side, one slot per CPU. counter_name() gives the name shown to users. */
enum counter {
	COUNTER_PROCESS_LOST,	   /* exec, fork and exit records that did not fit into the ring */
	COUNTER_SENDER_LOST,	   /* sender and send records, likewise */
	COUNTER_SEGMENT_LOST,	   /* segment records, likewise */
	COUNTER_SEGMENT_BYTES,	   /* payload bytes in those segment records */
	COUNTER_PRESSURE_BYTES,	   /* payload bytes beyond the share of their user or socket */
	COUNTER_CLOSE_LOST,	   /* close records, likewise */
	COUNTER_STATE_FAILED,	   /* sockets whose state could not be kept */
	COUNTER_SEND_UNREADABLE,   /* sends whose bytes could not be read */
	COUNTER_SEND_PENDING_FULL, /* sends in progress that could not be kept until their end */
	COUNTER_MISSED,		   /* program runs that the kernel skipped (recursion) */
	COUNTER_MAX,
};

#define DROPPED_USER_NS	  1U
#define DROPPED_USERS_MAX 256U /* users whose losses are counted at a time */

/* Whose payload was left out (COUNTER_PRESSURE_BYTES) since the last such record. */
struct dropped_user {
	__u32 uid;    /* effective; of a user namespace: who made the outermost one */
	__u32 ns_pid; /* inode number of the pid namespace; DROPPED_USER_NS: a user namespace */
	__u64 bytes;
};

struct dropped_record {
	struct record h;
	__u32 count;
	__u32 pad;
	struct dropped_user users[]; /* those who lost most first */
};

/* ---- Records made by user space -------------------------------------------------------------- */

enum host_wire {
	HOST_WIRE = 1 << 0,  /* the wire hook is attached */
	HOST_PAGES = 1 << 1, /* data sent as pages can be read at the send */
	HOST_TLS = 1 << 2,   /* probes in TLS libraries are attached, or will be when one appears */
};

/*
 * The host and its hooks. The namespaces are those of the watch: names are resolved only for ids in
 * them.
 */
struct host_record {
	struct record h;
	__u32 version; /* RECORD_VERSION */
	__u32 hook;    /* enum hook */
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
	NAME_USER = 1, /* a user id in the user namespace of the watch */
	NAME_GROUP,
};

struct name_record {
	struct record h;
	__u32 kind; /* enum name_kind */
	__u32 id;
	__u32 name_len; /* 0: it has no name */
	__u32 pad;
	char name[];
};

struct hash_record {
	struct record h;
	__u64 inode;
	__u64 ctime_ns;
	__u64 size;
	__u32 dev;   /* kernel encoding */
	__u32 valid; /* 0: no hash can be given, because the file may be another one */
	__u8 sha256[32];
};

/* The path in systemd's own hierarchy, on a host where that is not the cgroup v2 hierarchy. */
struct cgroup_record {
	struct record h;
	__u64 start_ns;
	__u32 pid;
	__u32 path_len;
	char path[]; /* "/system.slice/cron.service" */
};

/*
 * The names of a user and a group in the root directory of a process. `text`: "own:USER:GROUP",
 * with empty names for ids that have none; "host": that root has no accounts of its own; "": not
 * known.
 */
struct accounts_record {
	struct record h;
	__u64 start_ns;
	__u32 pid;
	__u32 uid;
	__u32 gid;
	__u32 text_len;
	char text[];
};

#define RELAY_ADDRESSES_MAX 64U /* of one name */

/* The result of looking up the name of a relay. */
struct relay_record {
	struct record h;
	__u32 name_len;
	__u32 count; /* addresses, 16 bytes each, IPv4 ones v4-mapped; 0: the lookup failed */
	__u8 data[]; /* the addresses, then the name */
};

enum activation {
	ACTIVATION_UNKNOWN, /* systemd is not in charge, did not answer, or no longer knows */
	ACTIVATION_OTHER,
	ACTIVATION_TIMER, /* a timer started the unit */
};

/* How the daemon's previous run ended, as its state file has it. */
enum run_end {
	RUN_NONE,    /* there was none: this is the first one */
	RUN_STOPPED, /* in order */
	RUN_KILLED,  /* without a mark: it was killed, it crashed, or the host went down */
	RUN_UNKNOWN, /* the state file cannot be used */
	RUN_END_COUNT,
};

enum run_flag {
	RUN_REBOOTED = 1 << 0,	 /* the host was started since */
	RUN_CLOCK_BACK = 1 << 1, /* and its wall clock is behind the end of that run */
};

/* Passed before the host record, by the daemon alone. */
struct run_record {
	struct record h;
	__u32 end;	    /* enum run_end */
	__u32 flags;	    /* enum run_flag */
	__s64 ended_ns;	    /* CLOCK_REALTIME; of a killed one, when it last ran; 0: unknown */
	__u64 unwatched_ns; /* from then on until this record; 0: unknown */
};

/*
 * A connection to a port for mail, from before the watch, on which much was being sent when it
 * began.
 */
struct connection_record {
	struct record h;
	struct flow_id flow;
	struct task_id
		task; /* that holds the socket; pid 0: not known. Its start is rounded down */
	__u64 queued; /* bytes that the peer has not acknowledged */
};

/* What made systemd start a system unit. */
struct activation_record {
	struct record h;
	__u64 start_ns; /* of the process in question */
	__u32 pid;
	__u32 by; /* enum activation */
};

/* The bits of the wire hook are those of the send hook, shifted by one. */
#define HEALTH_WIRE 2U

/*
 * `send` stands for every hook but the wire hook: also those of processes and of the life of
 * sockets.
 */
enum health_flag {
	/* How it is now. */
	HEALTH_SEND_DETACHED = 1 << 0, /* it was removed and could not be attached again */
	HEALTH_WIRE_DETACHED = 1 << 1,
	HEALTH_SEND_MISSED = 1 << 2, /* it did not see the last canary */
	HEALTH_WIRE_MISSED = 1 << 3,
	HEALTH_UNSENT = 1 << 4, /* the last canary could not be sent: nothing is known */
	HEALTH_STATES = (1 << 5) - 1,

	/* What was found since the last such record. */
	HEALTH_SEND_REMOVED = 1 << 8, /* and attached again, unless it is detached now */
	HEALTH_WIRE_REMOVED = 1 << 9,
	HEALTH_SEND_REPLACED = 1 << 10, /* another program was in its place */
	HEALTH_WIRE_REPLACED = 1 << 11,
	HEALTH_RING_MOVED = 1 << 12, /* another process moved our place in the ring */
	HEALTH_SEEN = 1 << 13,	     /* every hook has seen a canary completely */
	HEALTH_FLAGS = HEALTH_STATES | ((1 << 14) - (1 << 8)),
};

/* What a self-check of the capture found. */
struct health_record {
	struct record h;
	__u64 good_ns; /* the last time before at which what is wrong now was as it should be */
	__u32 flags;   /* enum health_flag */
	__s32 error;   /* of HEALTH_UNSENT: an errno; otherwise 0 */
};

#endif
