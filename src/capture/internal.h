/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of src/capture share; not for other folders.
 */
#pragma once

#include <stdatomic.h>

#include "base/buf.h"
#include "bpf/clew.h"
#include "capture/capture.h"

struct clew_bpf; /* the skeleton, clew.skel.h */
struct ring;
struct runtimes;

struct clew_capture {
	struct clew_bpf *skel;
	struct ring *ring;
	void *ring_cpus, *ring_chunks; /* mapped */
	size_t cpus_bytes, chunks_bytes;
	struct runtimes *runtimes;	   /* NULL: not wanted */
	struct clew_capture_opts opts;	   /* scalars only: pointers were the caller's */
	struct clew_buf meta;		   /* the meta record, until it was handed out */
	struct clew_rec_clock first_clock; /* behind it, before all that the hooks saw */
	struct clew_capture_stats stats;
	struct clew_buf scratch; /* a record that user space makes */
	uint64_t losses_told[CLEW_LOSS_MAX];
	uint64_t losses_seen; /* what the counters added up to when they were last read */
	uint64_t misses;      /* runs of our hooks that the kernel left out */
	uint64_t next_clock_ns;
	uint64_t next_count_ns; /* when the living are counted again */
	atomic_bool polled;	/* once at least: who ran at the start is known */
	uint32_t rescan_done, lazy_done;
	uint32_t spawned;	  /* its image is ours until it execs; 0: none */
	uint64_t spawned_exec_ns; /* when it did; 0: not yet */
	uint64_t dropped;	  /* records of our own for which there was no memory */
	bool stopped;

	/* Of whoever takes. */
	clew_record_fn fn;
	void *user;
};

/** errorf() - ret_error gets the text (if wanted), err comes back: return errorf(...). */
int errorf(char **ret_error, int err, const char *fmt, ...) CLEW_PRINTF(3, 4);

/* check.c */

struct btf;
/** capture_has_tracepoint() - is there one for our programs to attach to in a kernel of this BTF? */
bool capture_has_tracepoint(const struct btf *btf, const char *point);
/** capture_needs() - 0; -ENOTSUP, in words: this kernel lacks something that no capture can do without. */
int capture_needs(const struct btf *btf, char **ret_error);

/* targets.c */

/** targets_fill() - resolve the options into the maps. 0 or -errno with *ret_error in words. */
int targets_fill(struct clew_capture *c, const struct clew_target_opts *t, char **ret_error);
/** targets_prepare() - the options that must be set before the object is loaded. 0, or -errno. */
int targets_prepare(struct clew_bpf *skel, const struct clew_target_opts *t, char **ret_error);
/** targets_walk() - mark what is wanted, until nothing new is found; adopt open sockets. */
int targets_walk(struct clew_capture *c);
/** targets_walk_tasks() - the first half of it. */
int targets_walk_tasks(struct clew_capture *c);
struct bpf_program;
/** targets_walk_self() - run a walk over tasks for the calling thread alone. 0 or -errno. */
int targets_walk_self(struct bpf_program *prog);

/* procinfo.c */

/**
 * procinfo_record() - make the process record that belongs to a thread record (exec, or first seen)
 * in out. What /proc does not tell any more is taken from the thread record. runtime: the text of
 * CLEW_TAG_RUNTIME, or NULL. 0 or -ENOMEM.
 */
int procinfo_record(const struct clew_rec_thread *t, const char *runtime, struct clew_buf *out);
/** procinfo_redact_exec() - a copy of an exec record, its arguments redacted. 0 or -ENOMEM. */
int procinfo_redact_exec(const struct clew_rec_thread *t, struct clew_buf *out);

/* redact.c */

/**
 * redact_args() - copy arguments (each ended by NUL; the last one may be cut) and replace the
 * values of those that look secret by "***": --password=x, --token x, API_KEY=x,
 * http://user:x@host, ?key=x.
 */
int redact_args(const char *args, size_t n, struct clew_buf *out);
