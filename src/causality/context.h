/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who runs: processes, and execution contexts in them (a thread, or a runtime's task). See context.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/record.h"
#include "causality/group.h"
#include "causality/hash.h"

struct clew_causality;
struct group;
struct heap_rooms;
struct heap_thread;
struct latest;
struct led;
struct mark;
struct node;
struct pending;
struct take;
struct work;

#define N_TOLD	     4	/* calls whose makers woke one that waits */
#define MAX_MARKS    16 /* of a worker, the latest */
#define N_PAST	     4	/* works that a task had before: what it sent then may be taken only now */
#define MAX_CONTEXTS 65536 /* LRU beyond it */

#define LRU_TICKS     4096  /* a context that was used since is not moved again */
#define MAX_PROCESSES 32768 /* oldest first beyond it */

#define GAP_NS 1000000 /* between a read and what follows, where nothing tells whether it slept */

/* Of a process, the time that runs: see alone.c. */
struct alone_clock {
	uint64_t
		since_ns; /* when the number of open requests changed last; 0: there was none yet */
	uint64_t told_ns; /* what of it is counted */
};

#define MAX_LAG 256

/* Lags of the requests that loops answered when workers told them to: see relay.c. */
struct relay_lags {
	uint32_t lags[MAX_LAG]; /* [0]: none, or too long */
	uint32_t n;
	uint8_t usual;
};

struct proc {
	UT_hash_handle hh; /* by tgid */
	struct clew_causality *c;
	struct proc *prev, *next;
	uint32_t tgid;
	uint32_t refs;
	uint64_t start_ns;
	char comm[16];
	struct group *group;
	struct node *open; /* requests, oldest first */
	uint32_t n_open;
	uint64_t n_read, n_answered;  /* requests */
	uint32_t n_calls, most_calls; /* that wait for their responses: now, at any time */
	uint32_t n_timed;	      /* ... of these: after a sleep, or for no request */
	struct take *takes;	      /* when a worker took them: see order.c */
	struct latest *latest;	      /* ... at the latest: see taken.c */
	struct ctx *woken;	      /* the worker that was woken last: see lead.c */
	uint64_t woken_acts;	      /* ... what it had done before */
	bool gone;		      /* not listed any more */
	struct led *led;	      /* calls of goroutines: see told.c */
	struct heap_rooms *heap;      /* a JVM's: see heap.c */
	uint64_t n_told;	      /* ends that its workers told of: see relay.c */
	struct relay_lags relay;
	struct alone_clock clock;
	uint64_t tasks_ns; /* when its tasks were first read, if that took time (tokio); 0: not */
	struct node *inherited; /* the request that its parent served when it forked */
};

/* What a task works on; its calls wait here until it is known for whom: see task.c. */
struct work {
	uint32_t refs;
	uint32_t depth;
	uint64_t begun_ns; /* no earlier than this */
	uint64_t since_ns; /* surely the task's from then on */
	struct node *req;  /* the request, once it is known */
	bool answered;	   /* by this task: req is that request */
	bool called;
	struct sharers *with; /* requests whose work it may do too: a batch. NULL: none */
	struct work *up;      /* the work of the task that began this one, or gave it its work */
	struct work *kids;    /* those that it began; weak */
	struct work *kid_prev, *kid_next;
	struct node *calls; /* undecided ones, oldest first */
};

#define MAX_ASKERS 8 /* of one call; with more it stays an orphan, unless one of these is told */

/* Who woke a task, and what that one worked on then (NULL: not known). */
struct asker {
	struct ctx *ctx;
	struct work *work;
	uint64_t ns; /* when that was last */
};

struct askers {
	uint32_t n;
	bool more; /* than are remembered */
	struct asker by[MAX_ASKERS];
};

/* What a task keeps that other tasks wake: see asked.c. */
struct asks {
	struct askers now;  /* since its last call */
	uint64_t conn;	    /* that it makes its calls on; 0: none yet */
	bool several;	    /* it made some on others, too */
	bool serves_others; /* so it seems */
	struct node *read;  /* the call whose response it read last, until it calls again */
};

/* The end of a worker's task, as far as it was seen; or it was woken: see completion.c. */
struct mark {
	uint64_t seq; /* the last call before it */
	uint64_t key;
	uint64_t ns;
	uint64_t call_born_ns; /* of the last call before it */
	struct node *req;      /* whose owner it woke; NULL: it was woken itself */
	struct lead *lead;     /* ... and for whom it had been woken before */
	bool dirty; /* ... after a call that no completion had followed: idle, or at a lock? */
};

struct ctx_key {
	uint64_t proc_start_ns;
	uint64_t task;
	uint32_t tgid;
	uint32_t tid; /* 0 where task says who it is */
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
	bool read_several;     /* its last read holds what several requests wait for */
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
	uint64_t waits_at;	       /* an owner's: the futex that it is mostly told on */
	uint32_t waits_there;	       /* ... how sure that is; see lock.c */
	uint64_t woken_key, woken_seq; /* the futex that it was woken on last; todo_seq then */
	uint64_t n_ends;	       /* of its tasks, that were seen */
	uint64_t n_led;		       /* ... by the request that it had been woken for */
	struct lead *lead;	       /* for whom it was woken: see lead.c; NULL: not known */
	uint64_t n_marks;
	struct mark *marks;	    /* MAX_MARKS of them, or NULL */
	struct heap_thread *heap;   /* a Java thread's: see heap.c */
	struct relay_worker *relay; /* a thread's: see relay.c */
	struct relay_pipe *hears;   /* ... what it reads its workers' messages from */
	struct node *told[N_TOLD];  /* calls whose makers woke it: see coalesce.c */
	uint32_t n_told;
	uint64_t answered_ns;		 /* a task's last answer */
	struct asks *asks;		 /* ... who wakes it; NULL: nobody did. See asked.c */
	uint64_t used;			 /* c->ticks when it was moved to the end of the list */
	struct turn *turns[N_TURNS + 1]; /* first come first; see turn.c */
	struct turn *unsure[N_TURNS];	 /* hits since the last sleeps */
	uint8_t doubts[N_TURNS];	 /* hits that are still not believed */
	uint32_t spells[N_TURNS];	 /* times when somebody had a turn */
	uint32_t sleeps, rounds;	 /* of a loop */
	bool wrote;			 /* ... since it read */
	uint64_t reads;			 /* operations */
	uint64_t op_end_ns, op_nv;	 /* of its last operation */
	bool op_counted;
};

/* It makes calls for whoever asks: see asked.c. */
static inline bool ctx_serves_others(const struct ctx *ctx)
{
	return ctx->asks && ctx->asks->serves_others;
}

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
/* The request was open in contexts, and each is of a process. */
void context_forget_node(struct node *n);
