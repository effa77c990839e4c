/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who runs: processes, and execution contexts in them (a thread, or a runtime's task). See context.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/record.h"
#include "causality/alone.h"
#include "causality/coalesce.h"
#include "causality/hash.h"
#include "causality/relay.h"
#include "causality/task.h"
#include "causality/turn.h"

struct clew_causality;
struct group;
struct latest;
struct led;
struct mark;
struct node;
struct pending;
struct take;
struct work;

#define MAX_READERS   4	    /* contexts that one request is open in; more are not kept */
#define MAX_CONTEXTS  65536 /* LRU beyond it */
#define N_RECENT      1024
#define LRU_TICKS     4096  /* a context that was used since is not moved again */
#define MAX_PROCESSES 32768 /* oldest first beyond it */

#define GAP_NS 1000000 /* between a read and what follows, where nothing tells whether it slept */

struct proc {
	UT_hash_handle hh; /* by tgid */
	struct proc *prev, *next;
	uint32_t tgid;
	uint32_t refs;
	uint64_t start_ns;
	char comm[16];
	struct group *group;
	struct node *open; /* requests, oldest first */
	uint32_t n_open;
	uint64_t n_read;	      /* requests */
	uint32_t n_calls, most_calls; /* that wait for their responses: now, at any time */
	uint32_t n_timed;	      /* ... of these: after a sleep, or for no request */
	struct take *takes;	      /* when a worker took them: see order.c */
	struct latest *latest;	      /* ... at the latest: see taken.c */
	bool gone;		      /* not listed any more */
	struct led *led;	      /* calls of goroutines: see told.c */
	uint64_t n_told;	      /* ends that its workers told of: see relay.c */
	struct relay_lags relay;
	struct alone_clock clock;
	struct node *inherited; /* the request that its parent served when it forked */
};

struct ctx_key {
	uint64_t proc_start_ns;
	uint64_t task;
	uint32_t tgid;
	uint32_t tid; /* 0 where task says who it is */
};

/* A place in a context's list of open requests. */
struct reader {
	struct ctx *ctx;
	struct node *req;
	struct reader *prev, *next;
	bool on; /* still counted */
};

struct ctx {
	UT_hash_handle hh;
	struct ctx *prev, *next; /* least recently used first */
	struct ctx_key key;
	struct proc *proc;
	uint32_t refs;
	bool hashed;

	struct node *cur; /* what it read last; NULL: nothing, or several things in one read */
	uint64_t cur_ns;
	uint64_t cur_nv; /* voluntary switches when it did */
	uint32_t cur_tid;
	bool cur_counted;
	bool lost; /* records of it were lost since it last read a request */

	struct pending *unsettled; /* connects of which the next operation tells whether it slept */
	struct reader *open;	   /* oldest first */
	uint32_t n_open;
	uint64_t seq;	       /* calls born, requests read, answers begun: to see what overlaps */
	uint64_t hard_seq;     /* ... that was not just one more call in the same stretch */
	bool mux;	       /* it does several things at once: an event loop */
	bool serves;	       /* it has read a request */
	bool reads_for_others; /* an agent's task: it reads responses of calls that others made */
	bool is_told;	       /* a loop that other threads tell that it has work: see loop.c */
	bool called_told;      /* ... and that called then, before it read anything else */
	uint64_t told_ns;      /* when that was last */
	bool read_shared;      /* what it read last answers several requests' work */
	struct node *shared;   /* the last call of it that several requests share */
	uint64_t op_conn, op_offset, op_ns; /* the read that made cur */
	struct work *work;		    /* a task's: see task.c */
	struct work *past[N_PAST];	    /* before that, latest first */
	bool worked;			    /* it was begun, or given work, once */
	uint64_t answered_conn;		    /* where it wrote last, if that was an answer */
	uint64_t answer_ns, answer_nv;
	bool answer_counted;
	struct node *out;      /* its last call */
	uint32_t strays;       /* since its last answer */
	uint64_t stray_ns;     /* when the first of them was made */
	uint32_t between;      /* calls since its last answer, with no request open */
	uint64_t between_ns;   /* when the first of them was made */
	struct node *born_for; /* a thread's: what the one who began it had read last */
	/* A worker's: see completion.c */
	struct node *todo;	       /* calls without a request, oldest first */
	uint64_t todo_seq;	       /* of the last one */
	uint64_t woken_key, woken_seq; /* the futex that it was woken on last; todo_seq then */
	uint64_t n_marks;
	struct mark *marks;	    /* MAX_MARKS of them, or NULL */
	struct relay_worker *relay; /* a thread's: see relay.c */
	struct relay_pipe *hears;   /* ... what it reads its workers' messages from */
	struct node *told[N_TOLD];  /* calls whose makers woke it: see coalesce.c */
	uint32_t n_told;
	uint64_t answered_ns;		 /* a task's last answer */
	uint64_t used;			 /* c->ticks when it was moved to the end of the list */
	struct turn *turns[N_TURNS + 1]; /* first come first; see turn.c */
	struct turn *unsure[N_TURNS];	 /* hits since the last sleeps */
	uint8_t doubts[N_TURNS];	 /* hits that are still not believed */
	uint32_t spells[N_TURNS];	 /* times when somebody had a turn */
	uint32_t sleeps;
	uint64_t op_end_ns, op_nv; /* of its last operation */
	bool op_counted;
};

struct proc *proc_of(struct clew_causality *c, uint32_t tgid, uint64_t start_ns);
void proc_put(struct proc *p);
struct ctx *ctx_of(struct clew_causality *c, uint32_t tgid, uint64_t proc_start_ns, uint64_t task,
		   uint32_t tid);
void ctx_put(struct ctx *ctx);
void ctx_set_cur(struct ctx *ctx, struct node *n);
/* The request is open in this context from now on. */
void ctx_open(struct ctx *ctx, struct node *req);
void ctx_close(struct reader *r);
bool ctx_has_open(const struct ctx *ctx, const struct node *req);
/* Records of this context were lost: what it works on now is not known. */
void ctx_lose(struct ctx *ctx);
void context_record(struct clew_causality *c, const struct clew_rec_thread *t);
void context_done(struct clew_causality *c);
