/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes: the exchanges that are known, with reference counts (node.c); and what was true of a context when it called
 * (birth.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "causality/causality.h"
#include "causality/group.h"
#include "causality/hash.h"

struct askers;
struct clew_causality;
struct ctx;
struct heap_names;
struct lead;
struct proc;
struct work;

#define MAX_READERS 4	  /* contexts that one request is open in; more are not kept */
#define MAX_DONE    8	  /* wake-ups of a request's owner, the latest */
#define MAX_PENDING 65536 /* connects without an exchange, oldest first beyond it */

/* What was true of a context when it called, or called connect(). */
struct birth {
	struct ctx *ctx;
	struct node *parent;	/* current node; NULL unless its owner was open */
	struct node *owner;	/* the request that it is charged to, NULL: none */
	struct node *only;	/* the only request that was open in the process, or NULL */
	struct node *closed;	/* the chain's owner where that was over already */
	uint32_t n_ctx, n_proc; /* requests open */
	bool sole;		/* owner is the only one open in the context */
	bool chain;		/* owner is the one of the node read last */
	bool fork;		/* owner was inherited */
	uint64_t read_ns;	/* when it read last: the same for all that one stretch begets */
	bool counted;		/* its last read told its voluntary switches */
	bool slept;		/* the context waited between its last read and this */
	bool told;		/* ... and another thread ended that: see loop.c */
	bool lost;
	bool full; /* as many calls were out then as ever: others may have waited for a connection */
	bool queued; /* ... and this one, perhaps, for the one that it was made on */
	bool connect;
	uint64_t near[CLEW_MAX_NEAR]; /* open requests, best first */
	uint32_t n_near;
};

/* Evidence of other contexts that charged a call to its request after its birth. */
enum claim {
	CLAIM_NONE,
	CLAIM_TASK,	 /* the task that called wrote the answer */
	CLAIM_HANDED,	 /* a task of the request began the one that called, or gave it its work */
	CLAIM_DONE,	 /* the worker that called then woke the one who answers, or answered */
	CLAIM_DONE_BACK, /* ... but called again before that */
};

/* A place in a context's list of open requests. */
struct reader {
	struct ctx *ctx;
	struct node *req;
	struct reader *prev, *next;
	bool on; /* still counted */
};

/* A worker woke the owner of a request. */
struct done {
	struct ctx *by;
	uint64_t mark; /* the worker's */
	uint64_t key;
	bool counts;
};

#define MAX_SHARERS 256 /* requests that are remembered to share an exchange */

/* Requests that wrote into one exchange of a connection whose messages are not told apart. */
struct sharers {
	uint32_t n;
	bool more; /* than are remembered */
	struct node *reqs[MAX_SHARERS];
};

/* A request has something to do, by one of the rules. */
struct turn {
	struct turn *prev, *next;
	struct turn **in;	/* the context's list that it stands in; NULL: none */
	struct node *req;	/* whose it is */
	struct node *passed_by; /* while it waits: the request that was answered before it */
	uint64_t call;		/* id of the call that took it last; 0: none, or not known yet */
	bool called;
	bool resp;  /* that call's response was read */
	bool again; /* ... and said that it had failed */
	bool whole; /* ... to its end */
	bool waits; /* it was passed over */
	bool done;  /* the answer was written */
	bool hit, bad, out_of_order;
	uint64_t read;	/* the context's read that gave it */
	uint32_t given; /* ... its rounds then */
	uint32_t slept; /* the context's sleeps when it was hit */
	uint32_t spell; /* the context's, when it was taken */
};

struct turns {
	struct turn by[N_TURNS];
};

struct node {
	struct clew_causality *c; /* that it is of */
	struct node *all_prev, *all_next;
	uint64_t id;
	uint32_t refs;
	bool is_call;
	bool ended;
	bool hashed;
	uint64_t conn;	    /* cookie */
	struct node *owner; /* NULL: none known. A request's is itself, not referenced */

	/* a call's */
	struct birth birth;
	bool born, decided;
	bool timed;	   /* after a sleep or for no request: counted in proc's n_timed */
	bool looked_at;	   /* counted in the group's off_calls, if it is one */
	bool looked_alone; /* ... for a timer's */
	bool looked_pace;  /* ... in its alone_awake or alone_slept */
	bool on_path;	   /* its response led to the answer of its owner */
	uint8_t stretch;   /* of that path: enum stretch */
	uint64_t sink;	   /* its response led to the answer of another request: that one's id */
	uint64_t born_ns, born_seq;
	bool resp_seen;
	bool beside;	/* off the path, but made in one stretch with a call that is on it */
	bool late;	/* ... and still not over when their request was answered */
	bool made_room; /* on the path, but what followed may have waited for its connection only */
	bool post;	/* what its context went on with after the answer */
	bool on_conn;	/* is in the table by conn */
	bool shared;	/* several requests' messages are in it */
	bool maybe_shared; /* ... if these wait for its response: shared_answered() */
	struct sharers *sharers;
	uint32_t n_told,
		n_sharing; /* owners that its maker woke and that did nothing yet; that answered then */
	bool told;	   /* goroutines that may have waited for it answered */
	struct node *turn; /* ... one that called, instead */
	enum claim claim;
	struct work *work; /* the task's, when it was born */
	struct node *work_prev, *work_next;
	struct askers *askers;	    /* who may have asked for it; NULL: not known. See asked.c */
	bool asker_told;	    /* ... one was told, or another one first */
	uint64_t asked_ns, told_ns; /* when it asked, and was told; 0: not known */
	struct ctx *todo_of;	    /* the worker in whose list it is */
	uint64_t todo_seq;
	struct node *todo_prev, *todo_next;
	struct lead *lead; /* for whom its worker had been woken: see lead.c */
	struct node *lead_prev, *lead_next;
	bool lead_kept; /* ... and had been woken by others since */
	bool led; /* ... and that was confirmed at the end; a request's: so it was for a call of it */
	struct node *named[N_TURNS]; /* whose turn it was, by each rule */
	struct heap_names *made;     /* what its context worked on: see heap.c */
	uint8_t stretch_calls;
	bool over_wake;	 /* its worker was woken between it and the end: see completion.c */
	bool again;	 /* it, or one after it in its task, failed and was made again at once */
	bool again_only; /* ... and so till the end */
	enum done_by done_by;
	uint64_t failed_ns; /* when a response came that said so (5xx); 0: it did not */
	bool loose;
	uint64_t due_ns;		  /* loose: looked at then */
	struct node *sib_prev, *sib_next; /* owner's undecided calls, or the loose ones */
	struct node *age_prev, *age_next; /* all undecided calls, oldest first */

	struct proc *proc; /* that serves it, or that calls */

	/* a request's */
	struct node *calls;
	uint32_t n_calls_open; /* of its undecided calls, those that have not ended */
	bool answered;
	uint64_t answered_ns; /* when its first byte was written */
	uint64_t place;	      /* a request's: its number among the process's */
	uint32_t read_tid;    /* ... the thread that read it; 0: a task */
	bool read_counted;    /* ... with its time in run queues */
	uint64_t read_runq_ns, lag_ns; /* then; since then, when that thread answered: see order_queued() */
	uint64_t taken_ns;    /* ... when a worker took it; 0: not known */
	uint64_t trial_ns;    /* see order.c; 0: none */
	bool order_known;     /* its calls have their scores */
	uint8_t score;	      /* a call's: see order.c */
	bool in_turn;	      /* ... none that came before its request was taken while it went on */
	bool taken[N_TAKEN_BOUNDS]; /* ... its request had been taken by its end: see taken.c */
	bool given;		    /* ... by a context that did not read it */
	bool rest;		    /* perhaps only bytes that the request before left over */
	bool sink_elsewhere; /* its answer was written where another request's work was expected */
	bool confirmed;	     /* some call of it is on the path */
	struct node **queue; /* the list that it is in: over, with undecided calls */
	uint64_t ended_ns;   /* a call's: when its response was read last */
	struct node *open_prev, *open_next; /* of the process */
	struct node *done_prev, *done_next;
	struct reader readers[MAX_READERS];
	uint32_t n_readers;
	struct done *done; /* MAX_DONE of them, or NULL */
	uint32_t n_done;
	struct turns *turns;
	bool done_lost; /* there were more */
	/* Workers that had been woken for it: see lead.c */
	uint8_t led_calls;	     /* calls that they made */
	bool swapped;		     /* another one took its work, and it that one's */
	uint32_t led_tid, rival_tid; /* the first of them; who was woken at the same time */
};

/* connect() was called; the first exchange of the connection was born then. */
struct pending {
	UT_hash_handle hh; /* by cookie */
	struct pending *prev, *next;
	uint64_t cookie;
	uint64_t ns;
	uint64_t base_nv;	       /* voluntary switches at the read before */
	struct pending *uprev, *unext; /* of the context's unsettled ones */
	bool unsettled;
	struct birth birth;
	struct node *named[N_TURNS];
};

struct node *node_new(struct clew_causality *c, uint64_t id, bool is_call);
void node_unhash(struct clew_causality *c, struct node *n);
void node_put(struct node *n);
void node_done(struct clew_causality *c);
/* The call's response is being read: node_on_conn() finds it until it has ended. */
void node_set_conn(struct clew_causality *c, struct node *n);
void node_clear_conn(struct clew_causality *c, struct node *n);
struct node *node_on_conn(struct clew_causality *c, uint64_t conn);

static inline struct node *node_get(struct node *n)
{
	if (n)
		n->refs++;
	return n;
}
