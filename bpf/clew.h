/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the BPF object and its loader share beside the records: map values, limits, modes.
 *
 * Limits and where their overflow is counted:
 *	targets' process ids	CLEW_MAX_WANTED		the update fails, the loader says so
 *	cgroups, ports, netns	CLEW_MAX_TARGETS	refused by the loader
 *	globs			CLEW_MAX_GLOBS, CLEW_MAX_GLOB bytes each; refused by the loader
 *	sockets, threads	storage of their own; without memory CLEW_LOSS_{SOCK,TASK}_STATE
 *	the ring		--ring-size; CLEW_LOSS_RING, per connection and per thread
 *	chains to tasks		CLEW_MAX_CHAINS		the loader says so and counts (runtime.h)
 */
#pragma once

#ifndef __bpf__
#include <linux/types.h>
#endif

#define CLEW_MAX_WANTED	 65536
#define CLEW_MAX_TARGETS 1024
#define CLEW_MAX_GLOBS	 64
#define CLEW_MAX_GLOB	 128
#define CLEW_MAX_PATH	 256
#define CLEW_MAX_ARGS	 2048 /* of an exec record's tail: file name and arguments */
#define CLEW_MAX_IOV	 8    /* iovecs of one operation that are captured; more: CLEW_LOSS_PAYLOAD */
#define CLEW_LOSS_MAX	 9

/* A thread of a target has one of these; nobody else has. */
struct clew_task_state {
	__u32 in_scope;
	__u32 lost; /* records of this thread that the ring did not take, not told yet */
	__u64 room; /* a Java thread's that was told of last where a wake was seen: heap.bpf.h */
};

enum clew_sock_flags {
	CLEW_SOCK_LISTENER = 1, /* children are born with a copy of this */
	CLEW_SOCK_READY = 2,	/* its conn record is out, what follows is filled in */
	CLEW_SOCK_EOF = 4,	/* the end of the peer's bytes was told */
};

enum clew_sock_kind { CLEW_KIND_TCP = 1, CLEW_KIND_UNIX = 2, CLEW_KIND_MPTCP = 3 };

/* How much of one direction was told: clew_place() in pure.bpf.h. */
struct clew_told {
	__u64 next;	 /* bytes; in the highest bit: places are not known now (TCP) ... */
	__u64 astray_ns; /* ... since then */
};

/* A socket that a target used. Freed with the socket. */
struct clew_sock_state {
	__u64 cookie;
	__u64 owner;	   /* the thread that used it last (address) ... */
	__u64 owner_start; /* ... and when that began: known to be in scope */
	struct clew_told tx, rx;
	__u64 begin_ns;	 /* a long send began then; 0: none */
	__u32 begin_seq; /* write_seq at that moment */
	__u32 reader;	 /* TCP: the thread that received last */
	__u32 tx_seq0;
	__u32 rx_seq0;
	__u32 run_left; /* payload bytes still wanted in this direction */
	__u32 lost;	/* not told yet */
	__u32 lost_total;
	__u32 loss_seen; /* the value of loss_gen when this thread's losses were last told */
	__u8 flags;
	__u8 kind;
	__u8 role;
	__u8 run_dir; /* 1 + direction of the current run; 0: none yet */
	__u32 chain;  /* of the process that used it last: index in task_chains; 0: none */
	__u32 chain_tgid, chain_gen; /* what that is true for */
	__u64 task;		     /* that used it last */
	__u16 waited;	/* what a goroutine waited for before it sent: a flag of its record */
	__u16 heap;	/* its user is a Java thread that stands for itself: heap.bpf.h */
	__u32 task_tid; /* a worker thread of Python's whose work that task is; 0: none */
};

/* Hooks that cost something each time and are attached when a target first needs them. */
enum clew_lazy_hook {
	CLEW_LAZY_SPLICE = 1, /* bytes left a socket that no recv took */
	CLEW_LAZY_BEGIN = 2,  /* a send was long */
};

/*
 * The way to a process's current task, worked out by user space (src/capture/runtime/) and walked by
 * bpf/runtime.bpf.h at each socket operation:
 *
 *	at = fsbase of the thread, or addr
 *	n_steps times: at = *(u64 *)(at + step[i]); a 0 or an address that cannot be read: no task
 *	guards: words of the 64 bytes at `at + window` that must be what they are; else no task
 *	id = at, or *(u64 *)(at + id_off); 0, or more than max_id: no task
 *
 * Every read costs about 150 ns. "No task" means that the thread stands for itself.
 * Go alone: where the id is 0, `at` is the scheduler's g0, and the goroutine is found by
 * at = *(*(at + go_m) + go_curg).
 */
#define CLEW_MAX_CHAINS	   4096
#define CLEW_CHAIN_STEPS   6
#define CLEW_CHAIN_GUARDS  2
#define CLEW_CHAIN_SAMPLES 16 /* a power of two */

enum clew_chain_base { CLEW_CHAIN_FSBASE = 0, CLEW_CHAIN_ADDR = 1 };
enum clew_chain_id { CLEW_CHAIN_ID_WORD = 0, CLEW_CHAIN_ID_ADDRESS = 1 };
enum clew_chain_state {
	CLEW_CHAIN_OFF = 0,
	CLEW_CHAIN_LEARN = 1, /* samples are taken, records name no task */
	CLEW_CHAIN_TRUSTED = 2,
};

struct clew_chain_guard {
	__u64 mask;  /* 0: no guard */
	__u64 value; /* word & mask == value, or != if .differs */
	__u8 word;   /* of the window, 0 to 7 */
	__u8 differs;
	__u8 pad[6];
};

/* What is probed in a Go process. */
enum clew_go_flags { CLEW_GO_ROUND_TRIP = 1, CLEW_GO_CHANNELS = 2 };

/* A function in whose frame worker threads run work: found by its name, kept by its code object. */
struct clew_python_worker {
	__u64 code; /* 0: none was seen yet */
	__u64 at;   /* where its frame stands behind the beginning of a thread's stack of frames */
};
enum clew_python_work { CLEW_PYTHON_WORK_ITEM, CLEW_PYTHON_ANYIO, CLEW_PYTHON_WORKERS };

/* CPython alone: what bpf/python_task.bpf.h needs beside the chain. Offsets in bytes; 0: not to be looked at. */
struct clew_python {
	/* The greenlet extension: where its thread-local block is in the thread's vector of these; in that block */
	__s32 green_dtv, green_tls;
	__u8 queues; /* uvloop: what tasks write is sent later, and for all in one place */
	__u8 makers; /* who makes locks is noted */
	__u8 pad[2];
	/* Frames, since 3.11 */
	__u32 stack;			/* PyThreadState.datastack_chunk */
	__u16 frame_code, frame_locals; /* _PyInterpreterFrame: f_code, localsplus */
	__u16 code_size, code_more,
		code_header; /* frame = (size + more) * 8 + header; PyCodeObject */
	__u16 code_name;     /* co_qualname */
	__u16 text;	     /* behind which a str of ASCII has its characters */
	__u16 closure;	     /* PyFunctionObject.func_closure */
	__s16 values;	     /* where an instance's attributes are told */
	__u16 minor;	     /* version 3.minor */
	__u64 function_type; /* PyCFunction_Type */
	struct clew_python_worker worker[CLEW_PYTHON_WORKERS]; /* written by BPF without locks */
	__u32 looks; /* how often frames were searched for them */
	__u32 pad2;
};

/* tokio alone: what bpf/tokio.bpf.h needs beside the chain. */
#define CLEW_TOKIO_LOCKS 16
struct clew_tokio {
	struct {
		__u64 from, size;
	} lock[CLEW_TOKIO_LOCKS]; /* code that passes on locks and permits */
	__u32 on;		  /* all of its probes stand */
	/* Ids behind wakers, the latest, and how often one of them was then polled. Written by BPF without locks. */
	__u32 n_woken, matched;
	__u32 pad;
	__u64 woken[CLEW_CHAIN_SAMPLES];
};

/* A JVM's heap: see bpf/heap.bpf.h. bytes 0: it is not read. */
struct clew_heap {
	__u64 start, bytes;
	__u64 gc;		  /* address of 64 bytes with: */
	__u8 gc_count, gc_active; /* offsets: u32, how many there were; u8, is there one now? */
	__u8 room_start, room_top, room_end; /* in the 64 bytes at the thread's room */
	__u8 pad[3];
	__s32 thread; /* fsbase + this: address of the JavaThread */
	__s32 room;   /* in it */
	__s32 stack;  /* fsbase + this: the end of its stack */
	__u32 skip;   /* words below that where no object is named */
};

struct clew_task_chain {
	/* Whose: filled in by runtimes.c. A process after exec() has another image. */
	__u64 start_ns;
	__u64 image; /* mm->start_stack */
	__u32 tgid;
	__u8 state;	/* enum clew_chain_state */
	__u8 kind;	/* enum clew_task_kind; 0: no chain */
	__u8 base;	/* enum clew_chain_base */
	__u8 id;	/* enum clew_chain_id */
	__u64 addr;	/* of CLEW_CHAIN_ADDR */
	__u64 max_id;	/* of a word as id: beyond it is no task; 0: no limit */
	__u32 only_tid; /* the one thread that it holds for; 0: all */
	__u32 n_steps;
	__s32 step[CLEW_CHAIN_STEPS];
	__s32 id_off;
	__s32 window; /* where the guards' 64 bytes begin */
	struct clew_chain_guard guard[CLEW_CHAIN_GUARDS];
	__s32 go_m, go_curg; /* g.m, m.curg */
	__s32 go_parent;     /* g.parentGoid; 0: not known */
	__u32 go_flags;	     /* enum clew_go_flags */
	/*
	 * A JVM with our agent: at fsbase + this stands the address of a cell with the number of the
	 * thread's work. It counts where the chain finds no task. 0: none.
	 */
	__s32 cell;
	__u8 go_recvx;	    /* hchan.recvx; the element's type is 16 bytes in front of it */
	__u8 go_sudog_elem; /* sudog.elem */
	__u8 go_sched_bp;   /* g.sched.bp */
	__u8 go_select;	    /* the wait reason of a select; 0: reasons are not known */
	__u64 go_told;	    /* bits: the wait reasons that another goroutine ends */
	struct clew_heap heap;
	struct clew_python python;
	struct clew_tokio tokio;
	/* What the hooks read: for the self-test. Written by BPF without locks. */
	__u32 n_samples; /* how many were ever written; stops at 1024 */
	__u32 n_faults;	 /* addresses that could not be read */
	__u64 samples[CLEW_CHAIN_SAMPLES];
};

/* What walk_bases writes for each thread. */
struct clew_thread_base {
	__u64 fsbase;
	__u32 tgid, tid;
};

/* Where the kernel has all memory mapped: memory + ((page - first) << shift), see sent.bpf.h. */
struct clew_sent_pages {
	__u64 first;  /* struct page of frame 0 */
	__u64 memory; /* where frame 0 is mapped */
	__u32 shift;  /* from the size of a struct page to that of a page; 0: not known */
	__u32 pad;
};

#define CLEW_PAGE_SHIFT 12
#define CLEW_PAGE_WORDS 8
#define CLEW_PAGES_GIB	4096 /* memory that is looked through */

/* Two pages of ours, in a pipe. */
struct clew_pages_asked {
	__u64 frame[2];
	__u64 words[2][CLEW_PAGE_WORDS]; /* what they begin with */
	__u64 above;
	__u32 fd; /* the pipe */
	__u32 shift;
};

/* Bytes that were not told by then are somebody's who never tells. */
#define CLEW_ASTRAY_NS 1000000000ull

/* A send of more than this may block; when it began is worth a hook. */
#define CLEW_LONG_SEND 65536

struct clew_glob {
	__u32 len;
	__u32 has_slash; /* else it is matched against the last component */
	char pattern[CLEW_MAX_GLOB];
};

/* Chunks that a CPU may be ahead of its reader. */
#define CLEW_RING_AHEAD 64
/* Places for their numbers: a power of two, far more than AHEAD (claim.bpf.h says why). */
#define CLEW_RING_SLOTS 256
/* The longest record whose length does not depend on --payload: an exec with its arguments. */
#define CLEW_RING_FIXED (104 + CLEW_MAX_PATH + CLEW_MAX_ARGS + 8)
/* Type of a record that says nothing: skip it. Only in the rings. */
#define CLEW_RING_PAD 0xffff

/* One CPU's ring: claim.bpf.h. The kernel writes the first line, the reader the others. */
struct clew_ring_cpu {
	__u64 head;	    /* seq << 32 | offset: all before it is claimed */
	__u32 refused;	    /* changes when a claim found no room */
	__u32 threads;	    /* thread records that are about to be claimed, or were */
	__u32 threads_told; /* of them, those that are committed, or found no room */
	__u32 pad[11];
	__u32 avail; /* chunks given so far */
	__u32 pad2[15];
	__u16 chunk[CLEW_RING_SLOTS]; /* by seq */
};

/*
 * The distance of a processor's clock of the scheduler (bpf/cpu_time.bpf.h). What a program sees is
 * the distance plus the time since that clock was moved on; the least seen is nearest. It may rise a
 * little with time, as the two are slewed apart; when it is off by more than any tick, it is taken
 * anew (a machine that was stopped and went on).
 */
struct clock_gap {
	__s64 gap;
	__u64 at; /* when it was seen; 0: never */
};
#define CLOCK_CPUS	256
#define CLOCK_RISE_SHIFT 11		/* 2^-11: 488 ppm, what NTP slews at most */
#define CLOCK_REST_NS	 100000000	/* a rise for at most so long at a time */
#define CLOCK_NEAR_NS	 1000		/* nearer than that is looked at again */
#define CLOCK_LOST_NS	 4000000000ll  /* further off: anew */
