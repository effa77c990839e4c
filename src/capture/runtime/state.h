/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the thread that finds runtimes keeps: for runtimes.c, inbox.c, chains.c, probes.c and agents.c alone.
 *
 *	inbox (lock)    what the reader has seen: processes, and rooms that a collection has emptied
 *	procs           one for each process that lives; with what was found, its chain and probes
 *	active          those that are to be looked at again, at next_ns
 *	out (lock)      finished process records, for the reader
 *
 * All but inbox and out belongs to that thread alone.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "capture/internal.h"
#include "capture/runtime/proc.h"

#define MS 1000000ull

#define RUNTIME_OUT_BYTES (8u << 20)

struct proc {
	UT_hash_handle hh;
	struct proc *prev, *next; /* in active */
	uint32_t tgid;
	struct clew_rec_thread t; /* what it was first heard by */
	uint64_t image, born_ns, next_ns;
	size_t tries; /* done; TRIES: no more */
	size_t later; /* looks after it was found: which is next */
	bool active;
	struct runtime_info *info; /* NULL: no runtime is known */
	uint32_t slot;		   /* of its chain; 0: none */
	bool trusted;
	uint32_t checked; /* samples that were looked at */
	uint64_t check_ns;
	uint64_t renew_ns; /* when its agent is to hear of us; 0: it has none */
	struct bpf_link *links[RUNTIME_MAX_PROBES];
};

struct moved_watch;
struct moved_rooms;

struct event {
	struct event *next;
	struct clew_rec_thread t;
	struct moved_rooms *moved; /* NULL: a process was seen; else a collection */
};

struct slot {
	bool used;
	uint64_t free_ns; /* became free then */
};

struct runtimes {
	struct clew_capture *capture;
	struct clew_runtime_opts opts;
	pthread_t thread;
	bool joined;
	pthread_mutex_t lock; /* of those up to busy */
	pthread_cond_t more;
	struct event *inbox, **inbox_end;
	size_t n_inbox;
	uint64_t agents, agents_failed;
	char agent_why[240]; /* of the last one that failed */
	bool busy;	     /* a process is not looked at yet */
	struct clew_buf out;
	bool stop;

	struct moved_watch *watched; /* who takes records: heap records came by */

	struct proc *procs, *active;
	struct slot slots[CLEW_MAX_CHAINS];
	uint32_t next_slot;
	uint64_t next_sweep_ns;
	struct runtime_proc_data *data;
	struct clew_buf scratch;
	atomic_ullong found, tasks, dropped, distrusted, rooms_unread;
};

/* inbox.c */

void event_free(struct event *e);
/** inbox_done() - nobody took what is left in it. */
void inbox_done(struct runtimes *r);

/* chains.c: a process's chain in the hooks' tables. */

/** chain_install() - give p->info's chain a slot. 0, -ENOSPC, or the update's -errno. */
int chain_install(struct runtimes *r, struct proc *p);
/** chain_remove() - nothing is read from p any more. */
void chain_remove(struct runtimes *r, struct proc *p);
/** chain_read() - what stands in p's slot now; chain_write() - replaces it. */
int chain_read(struct runtimes *r, const struct proc *p, struct clew_task_chain *ret);
void chain_write(struct runtimes *r, const struct proc *p, const struct clew_task_chain *chain);

/* probes.c */

/** probes_attach() - p->info's. What cannot be attached is left out, and said where it matters. */
void probes_attach(struct runtimes *r, struct proc *p);
void probes_detach(struct proc *p);

/* agents.c: the agents inside processes. */

/** agents_found() - p->info was filled in: is there an agent, or should there be one? */
void agents_found(struct runtimes *r, struct proc *p);
/** agents_done() - p's agent, if it has one, is given up. */
void agents_done(struct proc *p);
/** agents_renew() - tell them that we live. Returns when the next one is due. */
uint64_t agents_renew(struct runtimes *r, uint64_t now);
void agents_stats(struct runtimes *r, struct clew_capture_stats *ret);

/** runtime_emit() - a process record with what is known of p's runtime. runtimes.c. */
void runtime_emit(struct runtimes *r, struct proc *p);
