/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The record stream, version 1: what the kernel observed, in the order in which it was observed.
 *
 * The same bytes are the ring's, the recording's and the pipeline's input:
 *
 *	+--------+------+-------+------------------------------+---- - -
 *	| len    | type | flags | fixed part of this type ...  | tail
 *	| u32    | u16  | u16   |                              |
 *	+--------+------+-------+------------------------------+---- - -
 *
 * - len counts the whole record and is a multiple of 8; a reader skips types that it does not know
 * and the bytes of a fixed part that is longer than the one that it knows (hdr_bytes says where a
 * tail begins). Fields are little endian, as the machine has them (x86-64, arm64).
 * - Times are CLOCK_MONOTONIC ns; a clock record ties them to Unix time. 0 means "not known".
 * - A connection is its socket cookie, unique until the next boot. A process is (tgid,
 * proc_start_ns) and a thread (tid, proc_start_ns): never a bare id. Ids are those of the initial
 * pid namespace.
 * - Addresses are IPv6, with IPv4 mapped into ::ffff:0:0/96. Ports are in host order.
 * - Fields grow only at the end of a fixed part; enums grow only at their end.
 */
#pragma once

#ifndef __bpf__
#include <linux/types.h>
#include <stddef.h>
#endif

#define CLEW_ABI_VERSION 1

/* Room for one operation's captured prefix, whatever --payload says; a power of two. */
#define CLEW_MAX_PAYLOAD 16384u

enum clew_rec_type {
	CLEW_REC_META = 1,
	CLEW_REC_CLOCK = 2,
	CLEW_REC_IO = 3,
	CLEW_REC_CONN = 4,
	CLEW_REC_HANDOFF = 5,
	CLEW_REC_THREAD = 6,
	CLEW_REC_PROCESS = 7,
	CLEW_REC_EVENT = 8,
	CLEW_REC_LOSS = 9,
	CLEW_REC_HEAP = 10,
	CLEW_REC_MOVED = 11,
};

struct clew_rec {
	__u32 len;
	__u16 type;  /* enum clew_rec_type */
	__u16 flags; /* by type */
};

/* Thread counters, cumulative since the thread began: the order of an io record's tail. */
enum clew_counter {
	CLEW_CNT_CPU_NS,  /* on a CPU, brought up to this moment */
	CLEW_CNT_RUNQ_NS, /* runnable, waiting for a CPU */
	CLEW_CNT_MIN_FLT,
	CLEW_CNT_MAJ_FLT,
	CLEW_CNT_NVCSW, /* voluntary switches: it waited for something */
	CLEW_CNT_NIVCSW,
	CLEW_CNT_FUTEX_NS, /* blocked, by kind: filled when the switch hook is on */
	CLEW_CNT_DISK_NS,
	CLEW_CNT_NET_NS,
	CLEW_CNT_SLEEP_NS,
	CLEW_CNT_OTHER_NS,
	CLEW_CNT_BLK_BYTES,
	CLEW_CNT_MAX
};

enum clew_dir { CLEW_DIR_RX = 0, CLEW_DIR_TX = 1 };

enum clew_io_flags {
	CLEW_IO_BEGIN_BOUND = 1 << 0, /* begin is not known: not later than begin_ns == end_ns */
	CLEW_IO_PEEK = 1 << 1,	      /* looked at, not consumed (only sent when it is wanted) */
	CLEW_IO_TRUNC = 1 << 2,	      /* consumed, never copied to the program (MSG_TRUNC) */
	CLEW_IO_SPLICED = 1 << 3,     /* sendfile, splice: no user memory to read */
	CLEW_IO_TLS = 1 << 4,	      /* the prefix is plaintext seen in a TLS library */
	CLEW_IO_EOF = 1 << 5,	      /* rx of 0 bytes: the peer closed its side */
	CLEW_IO_URING = 1 << 6,	      /* submitted by io_uring: byte count only */
	CLEW_IO_NOCAP =
		1 << 7, /* payload was wanted here and could not be read, or not all of it */
	CLEW_IO_NEWRUN = 1 << 8, /* first operation after a change of direction */
	CLEW_IO_TOLD =
		1 << 9, /* Go, a server's answer: the goroutine was last let go on by another one */
	CLEW_IO_SELECTED =
		1 << 10, /* ... or by what ended a select: another one, a timer, its own call */
	CLEW_IO_AWAITED = 1 << 11, /* task is not the thread's own: it waits for what this does */
	CLEW_IO_ASTRAY =
		1 << 12, /* TCP: others sent, or received, at the same time, and where between
			  * theirs these bytes stand is not known: not before offset */
};

/* One operation that moved bytes. Tail: n_counters u64 counters, then cap_len bytes of prefix. */
struct clew_rec_io {
	struct clew_rec hdr;
	__u64 begin_ns;
	__u64 end_ns;
	__u64 conn;
	__u64 offset; /* of its first byte: in this direction, since the connection began (TCP)
		       * or since it was first seen (unix) */
	__u64 task;   /* the runtime's task: CLEW_TASK(), 0 if none */
	__u64 proc_start_ns;
	__u32 tgid;
	__u32 tid;
	__u32 bytes;	 /* moved */
	__u32 cap_len;	 /* of them captured, in the tail */
	__u16 hdr_bytes; /* size of this fixed part */
	__u8 dir;	 /* enum clew_dir */
	__u8 n_counters;
	__u16 lost_conn; /* operations of this connection lost since its last record (saturates) */
	__u16 lost_thread; /* records of this thread lost since its last record (saturates) */
};

enum clew_conn_event {
	CLEW_CONN_CONNECT = 1,	   /* connect() was called; the ports may not be known yet */
	CLEW_CONN_ESTABLISHED = 2, /* this side connected */
	CLEW_CONN_ACCEPTED = 3,	   /* the other side connected to us (handshake done) */
	CLEW_CONN_CLOSED = 4,
	CLEW_CONN_ADOPTED = 5, /* was open before tracing began, or first seen by an operation */
};

enum clew_role { CLEW_ROLE_UNKNOWN = 0, CLEW_ROLE_CLIENT = 1, CLEW_ROLE_SERVER = 2 };

enum clew_family { CLEW_AF_UNIX = 1, CLEW_AF_INET = 2, CLEW_AF_INET6 = 10 };

/* Tail: path_len bytes of the unix listener's path (as in the kernel; abstract ones begin with
 * NUL). */
struct clew_rec_conn {
	struct clew_rec hdr;
	__u64 ts_ns;
	__u64 conn;
	__u64 peer_conn; /* unix: the other end's cookie; else 0 */
	__u64 tx_offset; /* bytes that went by before this record */
	__u64 rx_offset;
	__u64 task;
	__u64 proc_start_ns;
	__u32 tx_seq0; /* TCP sequence number of byte 0 (initial sequence number + 1) */
	__u32 rx_seq0;
	__u32 tgid; /* who called; 0 where it happened in an interrupt */
	__u32 tid;
	__u32 netns; /* inode of the network namespace */
	__u32 lost;  /* closed: operations of this connection that were lost, in all */
	__u16 hdr_bytes;
	__u8 event;   /* enum clew_conn_event */
	__u8 role;    /* enum clew_role */
	__u16 family; /* enum clew_family */
	__u16 lport;
	__u16 rport;
	__u16 path_len;
	__u32 pad;
	__u8 laddr[16];
	__u8 raddr[16];
};

enum clew_handoff_kind {
	CLEW_HANDOFF_FUTEX = 1,	  /* key: the futex's address in the waker's memory */
	CLEW_HANDOFF_EVENTFD = 2, /* key: the file's inode or address, the same for both */
	CLEW_HANDOFF_PIPE = 3,
	CLEW_HANDOFF_WAKE = 4,	/* another wake between two targets, in process context */
	CLEW_HANDOFF_SLEEP = 5, /* from goes to sleep on the futex at key; to is 0 */
	CLEW_HANDOFF_TASK = 6,	/* the task from_task began, or gave work to, the task key */
	CLEW_HANDOFF_WOKEN = 7, /* the task from_task woke the task key */
};

/*
 * A runtime's own unit of work, read from its memory at the hook. Above the 56 low bits, which tell
 * one task of a process from the others, stands what kind it is.
 */
enum clew_task_kind {
	CLEW_TASK_NONE = 0,
	CLEW_TASK_GO = 1,     /* goroutine id */
	CLEW_TASK_PYTHON = 2, /* address of the contextvars Context that is entered */
	CLEW_TASK_JVM = 3,    /* id of the mounted virtual thread */
	CLEW_TASK_AGENT = 4,  /* number that an agent inside the runtime gave to a request */
	CLEW_TASK_GREENLET =
		5,	     /* address of the greenlet that runs, if not the thread's main one */
	CLEW_TASK_WORK = 6,  /* number of the work that one of Python's worker threads does */
	CLEW_TASK_TOKIO = 7, /* id of the tokio task (Rust) that is polled */
};

/*
 * Of an AGENT id: whoever does this work reads its own requests and responses (a Java thread), as opposed
 * to a loop that reads for all of its tasks (Node).
 */
#define CLEW_TASK_AGENT_READS (1ull << 55)

#define CLEW_TASK_ID_BITS 56
#define CLEW_TASK(kind, id) \
	((__u64)(kind) << CLEW_TASK_ID_BITS | ((__u64)(id) & ((1ull << CLEW_TASK_ID_BITS) - 1)))
#define CLEW_TASK_KIND(task) ((__u32)((task) >> CLEW_TASK_ID_BITS))

/* hdr.flags: the task key has sent something to another one since it was given work last. */
#define CLEW_HANDOFF_REPLIED 1
/* ... it was woken to take a lock, a permit or a notification: that passes on no work. */
#define CLEW_HANDOFF_LOCK 2

/* A task's birth is not known: it began before it was seen. */
#define CLEW_AGE_UNKNOWN 0xffffffffu

struct clew_rec_handoff {
	struct clew_rec hdr;
	__u64 ts_ns;
	__u64 key;
	__u64 from_task;
	__u64 from_start_ns;
	__u64 to_start_ns;
	__u32 from_tgid, from_tid;
	__u32 to_tgid, to_tid;
	__u16 hdr_bytes;
	__u16 kind;   /* enum clew_handoff_kind */
	__u32 age_us; /* task: it happened up to so long before ts_ns; CLEW_AGE_UNKNOWN; else 0 */
};

enum clew_thread_event {
	CLEW_THREAD_FORK = 1, /* tid was made by (ptgid, ptid) */
	CLEW_THREAD_EXEC = 2, /* tail: the file name, then the arguments, each ended by NUL */
	CLEW_THREAD_EXIT = 3,
	CLEW_THREAD_SEEN = 4, /* ran already when tracing began */
};

struct clew_rec_thread {
	struct clew_rec hdr;
	__u64 ts_ns;
	__u64 start_ns;	     /* the thread's */
	__u64 proc_start_ns; /* its process's */
	__u64 cgroup;	     /* id in the v2 hierarchy */
	__u32 tgid, tid;
	__u32 ptgid, ptid; /* fork: the thread that called; else the parent process, 0 */
	__u32 nspid;	   /* the process's id in its own pid namespace */
	__u32 netns, pidns, mntns;
	__u32 uid;
	__u32 exit_code;
	__u16 hdr_bytes;
	__u16 event; /* enum clew_thread_event */
	__u32 tail_len;
	char comm[16];
};

/* Strings of process and meta records: each {u16 tag, u16 len, bytes}, unpadded, until tail_len. */
enum clew_tag {
	CLEW_TAG_EXE = 1,	/* process: path of the executable */
	CLEW_TAG_ARG = 2,	/* one for each argument, in order, redacted */
	CLEW_TAG_CGROUP = 3,	/* path in the hierarchy that names containers and units best */
	CLEW_TAG_CONTAINER = 4, /* container id */
	CLEW_TAG_CWD = 5,
	CLEW_TAG_COMM = 6,
	CLEW_TAG_RUNTIME = 7, /* NAME/VERSION/TASK, as in "cpython/3.11.2/context"; TASK is "thread"
			       * where no task of the runtime is read. A process record that comes
			       * later, of no earlier time, replaces what was known */
	CLEW_TAG_HOST = 16,   /* meta */
	CLEW_TAG_BOOT_ID = 17, /* meta: as in /proc/sys/kernel/random/boot_id */
	CLEW_TAG_KERNEL = 18,
	CLEW_TAG_VERSION = 19, /* of clew */
	CLEW_TAG_OPTION = 20,  /* NAME=VALUE, one each */
	CLEW_TAG_MACHINE_ID = 21,
};

/* Written by user space when it sees an exec or a first thread: all that naming needs. */
struct clew_rec_process {
	struct clew_rec hdr;
	__u64 ts_ns;
	__u64 proc_start_ns;
	__u32 tgid, nspid;
	__u32 ppid, uid;
	__u16 hdr_bytes;
	__u16 pad;
	__u32 tail_len;
};

struct clew_rec_event {
	struct clew_rec hdr;
	__u64 ts_ns;
	__u64 count;
	__u64 proc_start_ns;
	__u32 tgid, tid;
	__u32 event_id;
	__u16 hdr_bytes;
	__u16 pad;
	__u32 tail_len;
	__u32 pad2;
};

/*
 * What a Java thread has to do with objects, just before its io record on the same connection: the room in
 * which it makes its own, and, where it begins to write, those that the oldest frames of its stack name.
 * Tail: n_objects u64, the oldest first: the object's address in the low 48 bits, above it how many words
 * below the end of its stack it stands. Addresses hold while collections is the same: then nothing moves.
 * conn 0: there is no operation; the room of a thread that wakes another one, or is woken, is a new one.
 */
struct clew_rec_heap {
	struct clew_rec hdr;
	__u64 ts_ns;
	__u64 conn;
	__u64 proc_start_ns;
	__u64 room_start, room_top, room_end; /* it is used up to top */
	__u32 tgid, tid;
	__u32 collections;
	__u16 hdr_bytes;
	__u16 n_objects;
};

/*
 * Objects that a collection moved, of those in rooms that heap records told of since the one before: where each was, and
 * where it is now. Tail: n_moved pairs of u32, in words of 8 bytes above base.
 */
struct clew_rec_moved {
	struct clew_rec hdr;
	__u64 ts_ns;
	__u64 proc_start_ns;
	__u64 base;
	__u32 tgid;
	__u32 collections; /* with this one */
	__u32 n_moved;
	__u16 hdr_bytes;
	__u16 pad;
};

enum clew_loss_where {
	CLEW_LOSS_RING = 1,	  /* the ring was full */
	CLEW_LOSS_TASK_STATE = 2, /* no memory for a thread's state */
	CLEW_LOSS_SOCK_STATE = 3, /* no memory for a socket's state */
	CLEW_LOSS_PAYLOAD = 4,	  /* user memory could not be read */
	CLEW_LOSS_PIPELINE = 5,	  /* user space shed records */
	CLEW_LOSS_STORE = 6,	  /* spans that were not kept */
	CLEW_LOSS_STREAM = 7,	  /* a table in user space was full */
	CLEW_LOSS_NOT_RUN = 8,	  /* the kernel left a hook out that ran on that CPU already */
};

struct clew_rec_loss {
	struct clew_rec hdr;
	__u64 ts_ns;
	__u64 count; /* since the last such record */
	__u64 conn;  /* 0: not known */
	__u32 tgid, tid;
	__u32 where; /* enum clew_loss_where */
	__u16 hdr_bytes;
	__u16 what; /* enum clew_rec_type of what was lost, 0: mixed */
};

struct clew_rec_clock {
	struct clew_rec hdr;
	__u64 mono_ns;
	__u64 real_ns; /* Unix time at mono_ns */
	__u64 boot_ns; /* CLOCK_BOOTTIME at mono_ns */
};

struct clew_rec_meta {
	struct clew_rec hdr;
	__u32 abi_version;
	__u32 payload_bytes;
	__u64 mono_ns;
	__u16 hdr_bytes;
	__u16 pad;
	__u32 tail_len;
};

#ifndef __cplusplus
_Static_assert(sizeof(struct clew_rec) == 8, "record header");
_Static_assert(sizeof(struct clew_rec_io) == 80, "io");
_Static_assert(sizeof(struct clew_rec_conn) == 136, "conn");
_Static_assert(sizeof(struct clew_rec_handoff) == 72, "handoff");
_Static_assert(sizeof(struct clew_rec_thread) == 104, "thread");
_Static_assert(sizeof(struct clew_rec_process) == 48, "process");
_Static_assert(sizeof(struct clew_rec_event) == 56, "event");
_Static_assert(sizeof(struct clew_rec_loss) == 48, "loss");
_Static_assert(sizeof(struct clew_rec_heap) == 72, "heap");
_Static_assert(sizeof(struct clew_rec_moved) == 48, "moved");
_Static_assert(sizeof(struct clew_rec_clock) == 32, "clock");
_Static_assert(sizeof(struct clew_rec_meta) == 32, "meta");
#endif
