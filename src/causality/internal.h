/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share. The rules are in docs/causality.md.
 *
 *	process ──► group (siblings: one program's workers; their statistics are pooled)
 *	   │ requests that are open in it
 *	   ▼
 *	context (thread or runtime task) ── cur ──► node that it read last
 *	                                             │ owner
 *	node (exchange): call ── parent ──► node ──► request
 *
 * A node is an exchange. Reading a request, or the response of a call, makes its node the context's
 * current one: that stretch of the context's life is a segment, and all segments of one node share
 * its owner, so the node stands for them. A call hangs from the node that was current when it was
 * born.
 *
 * Invariants: a request is its own owner; owner, parent and cur hold references; a decided call has
 * no parent, so chains never grow without bound. Lists are in the order of the records and hash
 * tables are never walked, so the same records give the same decisions.
 */
#pragma once

#include "base/pool.h"
#include "causality/causality.h"
#include "causality/turn.h"

#include <string.h>

static inline uint64_t hash_words(const void *key, size_t len)
{
	uint64_t h = len, w;

	for (size_t i = 0; i < len; i += sizeof(w)) {
		w = 0;
		memcpy(&w, (const char *)key + i, len - i < sizeof(w) ? len - i : sizeof(w));
		h = (h ^ w) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 32;
	}
	return h;
}

#define HASH_NONFATAL_OOM 1
/* Keys are a few words: multiply and fold. */
#define HASH_FUNCTION(key, len, hashv)                        \
	do {                                                  \
		(hashv) = (unsigned)hash_words((key), (len)); \
	} while (0)
#include <uthash.h>
#include <utlist.h>

#define MAX_READERS   4	    /* contexts that one request is open in; more are not kept */
#define MAX_CONTEXTS  65536 /* LRU beyond it */
#define N_RECENT      1024
#define LRU_TICKS     4096  /* a context that was used since is not moved again */
#define MAX_PROCESSES 32768 /* oldest first beyond it */
#define MAX_PENDING   65536 /* connects without an exchange, oldest first beyond it */
#define MAX_FUTEXES   65536 /* oldest first beyond it */
#define MAX_PATH      4096  /* calls in one chain that are marked */
#define MAX_SHARERS   64    /* requests that are remembered to share an exchange */
#define N_SCALES      3
#define N_TOLD	      4 /* calls whose makers woke one that waits */

/* The longest share of wrong links that a rule may be expected to make. */
#define MAX_WRONG 0.001

#define SETTLE_NS \
	100000000    /* after an answer: what follows may tell that it was not the only one */
#define MAX_DEPTH 64 /* tasks that begin tasks that ... */
#define N_PAST	  4  /* works that a task had before: what it sent then may be taken only now */

#define GAP_NS 1000000 /* between a read and what follows, where nothing tells whether it slept */

struct node;
struct ctx;
struct proc;
struct work;

/* One hypothesis for one kind of stretch: how often did it name the request that was then answered?
 */
struct bucket {
	uint64_t hits, misses;
	uint32_t bits; /* how unlikely the hits since the last miss are, if they are accidents */
	double chance; /* sum over all checkpoints: how likely a random name would have been a hit
			*/
	double false_hits; /* sum over the misses of the hits by accident that go with a miss */
	double info;	   /* bits against the hits being accidents all of them */
};

/* How a stretch of work was: kept apart, because each is right or wrong in its own measure. */
enum stretch {
	STRETCH_SLEPT =
		1 << 0, /* the context slept somewhere between a read and what it did next */
	STRETCH_CONNECT = 1 << 1, /* a call in it was born with connect() */
};
#define N_BUCKETS 4
#define MAX_SCORE 64
#define MAX_LAG	  256
#define N_STRETCH 16 /* calls in a stretch, the last one: so many or more */
#define N_LATE	  4
#define MAX_MARKS 16 /* of a worker, the latest */
#define MAX_DONE  8  /* wake-ups of a request's owner, the latest */

/* How a task was seen to end. */
enum done_by {
	DONE_ONE,   /* one worker woke the one who answered */
	DONE_MANY,  /* several did */
	DONE_SELF,  /* the worker answered */
	DONE_BORN,  /* ... a thread that was begun for that request */
	DONE_RELAY, /* the worker told a loop of it, which answered: see relay.c */
	N_DONE,
};

/* Stretches of workers up to such an end: see completion.c. */
struct ends {
	uint64_t stretches[N_STRETCH]; /* by their calls */
	uint64_t n, merged_at;	       /* all; when the next ones were computed */
	double merged;
	uint32_t merged_k;
	uint64_t over, same;
	uint64_t begun, begun_empty; /* those after an end that was seen; ... without a call */
	uint64_t woken, woken_empty; /* those after a wake-up that followed a call */
	struct bucket over_there;    /* was the request there before the call before that? */
	/* Where the end before was seen, what calls came after: see again_wrong(). */
	uint64_t calls[2];   /* [1]: that failed */
	uint64_t at_once[2]; /* ... and that another one followed at once, in the stretch */
	uint64_t late
		[N_LATE]; /* ... that failed, and that one followed later than 2, 4, 8, 16 ms after */
	uint64_t first_late[N_LATE], quick; /* first calls, so late after that end; at once */
};

/* What the order in which requests were taken tells: see order.c. */
struct order {
	uint32_t trials[MAX_SCORE], n; /* by their score; all */
	uint32_t first, first_bad;     /* first calls; those that seem to be other work */
	uint64_t in_favour, against;   /* takes in trials */
};

struct take {
	uint64_t place, ns;
	uint32_t doubts; /* earlier ones that were taken later */
};

/* Lags of the requests that loops answered when workers told them to: see relay.c. */
struct relay_lags {
	uint32_t lags[MAX_LAG]; /* [0]: none, or too long */
	uint32_t n;
	uint8_t usual;
};

/* Answers by who was told to go on: see told.c. */
struct told_stats {
	uint64_t far;		/* not of an own response */
	uint64_t near, earlier; /* responses of others right before them; a little earlier */
};

struct group {
	uint32_t refs;
	struct tally *tally;  /* NULL: none of its calls is decided yet */
	uint64_t answers;     /* first bytes of answers written */
	uint64_t foreign;     /* ... by a context that did not read the request */
	uint64_t mux_answers; /* ... by a context that does several things at once */
	uint64_t kept, given; /* ... read by contexts that work for one request at a time: by their
				 readers; by others */
	uint64_t
		alongside; /* ... by their readers, while other requests were open in the process */
	uint64_t strays; /* calls by contexts that serve, but had no request open, while others had
			  */
	uint64_t strays_lone; /* ... and that did not answer another one next that was there */
	uint64_t self_calls;  /* calls without cause by contexts that serve requests: timers */
	/* Calls with one request open, of its chain: awake and on the path; after a sleep. */
	uint64_t alone_awake, alone_slept;
	uint64_t reads;		 /* of loops */
	uint64_t reads_slept[2]; /* ... after a sleep; [1]: and a pause of GAP_NS */
	uint64_t beside, lone;	 /* awake: made in one stretch with a call on the path; alone */
	uint64_t off_calls[2];	 /* calls of loops whose response led to no answer; [1]: with
				    connect() */
	uint64_t off_slept[2];	 /* ... made after a sleep: what a timer's own calls look like */
	uint64_t links[CLEW_LINK_ORPHAN + 1]; /* its calls, by enum clew_link_class */
	struct bucket buckets[N_BUCKETS];
	struct bucket done[N_DONE];		 /* completions: was the request there? */
	uint64_t done_one, done_many, done_none; /* requests, by who woke their owners */
	uint64_t wakes_one,
		wakes_two; /* tasks, by whether their worker woke two requests' owners */
	uint64_t idle_clean, idle_dirty; /* stretches of workers that then went idle */
	struct ends ends[2];		 /* [1]: where the worker writes the answer */
	struct order order;
	struct turn_score turns[N_TURNS];
	uint64_t coalesced; /* answers by who was told of another's call */
	struct told_stats told[N_SCALES];
	uint64_t far;	      /* answers that were told of no own response */
	struct bucket forked; /* threads that were begun for a request: did they answer it? */
	uint64_t
		task_mixed; /* answers by a task to a request that waited while it answered another */
	uint64_t task_answers; /* by a runtime's task that did not read the request itself */
	uint64_t task_hits;    /* calls of a task that then answered a request that was there */
	uint64_t task_misses;  /* ... a request that came after the call */
};

/* What came of a group's calls, for the report. */
struct tally {
	struct tally *prev, *next; /* all, oldest first */
	struct clew_causality *c;
	const struct group *group;
	uint32_t tgid; /* of the process that called last: the first may be forgotten by now */
	uint64_t proc_start_ns;
	uint64_t settled[CLEW_EV_N_FOR];
	uint64_t orphaned[CLEW_N_ORPHAN_WHY];
};

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
	uint64_t n_read;    /* requests */
	struct take *takes; /* when a worker took them: see order.c */
	bool gone;	    /* not listed any more */
	struct led *led;    /* calls of goroutines: see told.c */
	uint64_t n_told;    /* ends that its workers told of: see relay.c */
	struct relay_lags relay;
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
	uint64_t seq;	     /* calls born, requests read, answers begun: to see what overlaps */
	uint64_t hard_seq;   /* ... that was not just one more call in the same stretch */
	bool mux;	     /* it does several things at once: an event loop */
	bool serves;	     /* it has read a request */
	bool read_shared;    /* what it read last answers several requests' work */
	struct node *shared; /* the last call of it that several requests share */
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
	struct node *born_for; /* a thread's: what the one who began it had read last */
	/* A worker's: see completion.c */
	struct node *todo;	       /* calls without a request, oldest first */
	uint64_t todo_seq;	       /* of the last one */
	uint64_t woken_key, woken_seq; /* the futex that it was woken on last; todo_seq then */
	uint64_t n_marks;
	struct mark {
		uint64_t seq; /* the last call before it */
		uint64_t key;
		uint64_t ns;
		uint64_t call_born_ns; /* of the last call before it */
		struct node *req;      /* whose owner it woke; NULL: it was woken itself */
		bool dirty; /* ... after a call that no completion had followed: idle, or at a lock? */
	} *marks;	    /* MAX_MARKS of them, or NULL */
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

/* A worker woke the owner of a request. */
struct done {
	struct ctx *by;
	uint64_t mark; /* the worker's */
	uint64_t key;
	bool counts;
};

struct futex_key {
	uint64_t proc_start_ns;
	uint64_t key;
	uint64_t tgid;
};

struct futex {
	UT_hash_handle hh;
	struct futex *prev, *next; /* oldest first */
	struct futex_key key;
	uint32_t wakes, held;
	uint32_t tells,
		others; /* wake-ups of owners by who had read a response later than they; other ones */
};

/* What a task works on; its calls wait here until it is known for whom. */
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

/* What was true of a context when it called, or called connect(). */
struct birth {
	struct ctx *ctx;
	struct node *parent;	/* current node; NULL unless its owner was open */
	struct node *owner;	/* the request that it is charged to, NULL: none */
	struct node *closed;	/* the chain's owner where that was over already */
	uint32_t n_ctx, n_proc; /* requests open */
	bool sole;		/* owner is the only one open in the context */
	bool chain;		/* owner is the one of the node read last */
	bool fork;		/* owner was inherited */
	uint64_t read_ns;	/* when it read last: the same for all that one stretch begets */
	bool counted;		/* its last read told its voluntary switches */
	bool slept;		/* the context waited between its last read and this */
	bool lost;
	bool connect;
	uint64_t near[CLEW_MAX_NEAR]; /* open requests, best first */
	uint32_t n_near;
};

/* Requests that wrote into one exchange of a connection whose messages are not told apart. */
struct sharers {
	uint32_t n;
	bool more; /* than are remembered */
	struct node *reqs[MAX_SHARERS];
};

/* Evidence of other contexts that charged a call to its request after its birth. */
enum claim {
	CLAIM_NONE,
	CLAIM_TASK,	 /* the task that called wrote the answer */
	CLAIM_HANDED,	 /* a task of the request began the one that called, or gave it its work */
	CLAIM_DONE,	 /* the worker that called then woke the one who answers, or answered */
	CLAIM_DONE_BACK, /* ... but called again before that */
};

struct node {
	struct clew_pool *pool; /* that it is from */
	struct node *all_prev, *all_next;
	UT_hash_handle hc; /* a call whose response is being read: by conn */
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
	bool looked_at;	   /* counted in the group's off_calls, if it is one */
	bool looked_alone; /* ... for a timer's */
	bool looked_pace;  /* ... in its alone_awake or alone_slept */
	bool on_path;	   /* its response led to the answer of its owner */
	uint8_t stretch;   /* of that path: enum stretch */
	uint64_t sink;	   /* its response led to the answer of another request: that one's id */
	uint64_t born_ns, born_seq;
	bool resp_seen;
	bool beside;	   /* off the path, but made in one stretch with a call that is on it */
	bool post;	   /* what its context went on with after the answer */
	bool on_conn;	   /* is in the table by conn */
	bool shared;	   /* several requests' messages are in it */
	bool maybe_shared; /* ... if these wait for its response: shared_answered() */
	struct sharers *sharers;
	uint32_t n_told,
		n_sharing; /* owners that its maker woke and that did nothing yet; that answered then */
	bool told;	   /* goroutines that may have waited for it answered */
	struct node *turn; /* ... one that called, instead */
	enum claim claim;
	struct work *work; /* the task's, when it was born */
	struct node *work_prev, *work_next;
	struct ctx *todo_of; /* the worker in whose list it is */
	uint64_t todo_seq;
	struct node *todo_prev, *todo_next;
	struct node *named[N_TURNS]; /* whose turn it was, by each rule */
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

	/* a request's */
	struct proc *proc;
	struct node *calls;
	uint32_t n_calls_open; /* of its undecided calls, those that have not ended */
	bool answered;
	uint64_t place;	     /* a request's: its number among the process's */
	uint64_t taken_ns;   /* ... when a worker took it; 0: not known */
	uint64_t trial_ns;   /* see order.c; 0: none */
	bool order_known;    /* its calls have their scores */
	uint8_t score;	     /* a call's: see order.c */
	bool given;	     /* ... by a context that did not read it */
	bool rest;	     /* perhaps only bytes that the request before left over */
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

struct clew_causality {
	clew_decide_fn decide;
	void *user;
	struct clew_causality_opts opts;
	struct clew_causality_stats stats;
	uint64_t now_ns;

	struct clew_pool pool;
	struct ctx *recent[N_RECENT]; /* contexts by a hash of their key */
	uint64_t ticks;
	struct node *all;     /* nodes that are open or undecided */
	struct node *by_conn; /* calls whose response is being read */
	struct proc *procs, *proc_list;
	uint32_t n_procs;
	struct ctx *ctxs, *lru;
	uint32_t n_ctxs;
	struct pending *pendings, *pending_list;
	uint32_t n_pending;

	struct relay_pipe *pipes, *pipe_list;
	uint32_t n_pipes;

	struct futex *futexes, *futex_list;
	uint32_t n_futexes;

	struct node *by_age; /* undecided calls, oldest first */
	uint32_t n_undecided;
	struct node *loose; /* undecided calls without an owner, first due first */
	struct node *fresh; /* requests that are over since SETTLE_NS at most, the same */
	struct node *done;  /* requests that are over and have undecided calls */

	struct tally *tallies;
};

static inline bool without(const struct clew_causality *c, enum clew_source source)
{
	return c->opts.without & source;
}

/* node.c */
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

/* context.c */
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

/* birth.c */
static inline uint8_t birth_stretch(const struct birth *b)
{
	return (b->slept ? STRETCH_SLEPT : 0) | (b->connect ? STRETCH_CONNECT : 0);
}
void birth_make(struct ctx *ctx, bool slept, struct birth *ret);
void birth_clear(struct birth *b);
/* The context's first operation after a connect(): nv are its voluntary switches, if counted. */
void birth_settle(struct ctx *ctx, bool counted, uint64_t nv);
void birth_connect(struct clew_causality *c, const struct clew_conn *conn);
/* What connect() knew of this connection goes to ret, which takes the references; false if nothing.
 */
bool birth_take_pending(struct clew_causality *c, uint64_t cookie, struct birth *ret,
			struct node *named[N_TURNS]);
void birth_choose(struct birth *write, struct birth *connect);
/* The connection is gone unused: its connector works on what it connected for. */
void birth_conn_closed(struct clew_causality *c, uint64_t cookie);
void birth_expire(struct clew_causality *c);
void birth_done(struct clew_causality *c);

/* segment.c */
void segment_io(struct clew_causality *c, struct node *n, const struct clew_exchange *x,
		enum clew_part part, bool first, const struct clew_rec_io *io);
/* A read that found the end of the connection: where the response ends with it, that is read then.
 */
void segment_eof(struct clew_causality *c, const struct clew_rec_io *io);
void segment_call_ended(struct clew_causality *c, struct node *n, const struct clew_exchange *x);

/* shared.c */
void shared_born(struct ctx *ctx, struct node *call, bool raw);
void shared_written(struct ctx *ctx, struct node *call);
/* The call may be for one of these too, as far as they still wait for their answers. */
void shared_with(struct node *call, const struct sharers *with);
/* Its response is there: those that did not wait for it have no part in it. */
void shared_answered(struct node *call);
/* Adds the request, and what waits of those in from, to *s, which is made where it is needed. */
void sharers_add(struct sharers **s, struct node *req, const struct sharers *from);
void sharers_free(struct sharers *s);
void shared_free(struct node *call);

/* task.c */
struct ctx *task_ctx(struct clew_causality *c, const struct clew_rec_io *io, bool reads);
/* The thread, where it may be a loop: NULL for tasks that read for themselves. */
struct ctx *task_loop(struct clew_causality *c, uint32_t tgid, uint64_t proc_start_ns,
		      uint64_t task, uint32_t tid);
void task_call(struct clew_causality *c, struct ctx *ctx, struct node *call);
/* It is known who gave the task its work. */
bool task_handed(const struct ctx *ctx);
/* Another task's bytes are in the call too: it is nobody's alone. */
void task_written(struct ctx *ctx, struct node *call);
void task_answer(struct clew_causality *c, struct ctx *ctx, struct node *req);
void task_record(struct clew_causality *c, const struct clew_rec_handoff *h);
void task_forget_call(struct node *call);
/* The context's works, the one of now and those before. */
void task_forget(struct ctx *ctx);

/* Does this task's context have what it reads read for itself? A loop reads for its tasks. */
static inline bool task_reads(uint64_t task)
{
	uint32_t kind = CLEW_TASK_KIND(task);

	if (kind == CLEW_TASK_AGENT)
		return task & CLEW_TASK_AGENT_READS;
	return kind != CLEW_TASK_PYTHON;
}

/* lock.c */
/* A context of p was woken on the futex at key; held: while a call of it, or of its waker, was out. */
void lock_learn(struct clew_causality *c, const struct proc *p, uint64_t key, bool held);
bool lock_is(struct clew_causality *c, const struct proc *p, uint64_t key);
/* An owner was woken on it; tells: as it is when another's call has ended. Is it such a futex? */
bool lock_tells(struct clew_causality *c, const struct proc *p, uint64_t key, bool tells);
/* One lock, or one condition variable. */
bool lock_same(uint64_t key, uint64_t other);
void lock_done(struct clew_causality *c);

/* coalesce.c */
void coalesce_wake(struct clew_causality *c, struct ctx *from, struct ctx *to, uint64_t key);
/* The context answers its request, or calls: what it waited for is over. */
void coalesce_answer(struct clew_causality *c, struct ctx *ctx, struct node *req);
void coalesce_call(struct clew_causality *c, struct ctx *ctx, const struct node *next);
/* The request waited for the call, too; so for its attempts that failed. */
void coalesce_with(struct clew_causality *c, struct node *call, struct node *req);
/* Others may still turn out to share the call. */
bool coalesce_waits(const struct node *call, bool settled);
void coalesce_forget_ctx(struct ctx *ctx);

/* told.c */
/* To be called before the call's resp_seen is set. */
void told_response(struct ctx *ctx, struct node *call);
/* flags: the record's. */
void told_answer(struct clew_causality *c, struct ctx *ctx, struct node *req, uint16_t flags);
/* The call is about to be decided: is it shared? */
void told_decide(struct node *call);
/* ... or may it still turn out to be? */
bool told_waits(const struct node *call);
void told_forget(struct proc *p);

/* completion.c */
void completion_call(struct ctx *ctx, struct node *call);
void completion_wake(struct clew_causality *c, const struct clew_rec_handoff *h);
void completion_answer(struct clew_causality *c, struct ctx *ctx, struct node *req);
/* The context has read a request: what it did for others is over. */
void completion_serves(struct clew_causality *c, struct ctx *ctx);
void completion_forget_call(struct node *call);
void completion_forget_ctx(struct ctx *ctx);
void completion_forget_request(struct node *req);

/* completion_verdict.c */
enum verdict completion_verdict(const struct node *call, double *ret_wrong);

/* order.c */
/* The worker that took the request had finished what it did before at m, or was woken then. */
void order_taken(struct node *req, const struct mark *m);
/* The request was answered long enough ago: to be called before its calls are decided. */
void order_settle(struct node *req);
/* The expected share of wrong links among calls like this one. */
double order_wrong(const struct order *o, const struct node *call);

/* relay.c */
/* Connections inside a process are remembered. */
void relay_conn(struct clew_causality *c, const struct clew_rec_conn *rec);
void relay_io(struct clew_causality *c, const struct clew_rec_io *io);
/* Returns whether the thread tells of its ends: the task that it runs is a copy that answers nothing. */
bool relay_call(struct clew_causality *c, const struct clew_rec_io *io, struct node *call);
void relay_answer(struct clew_causality *c, const struct clew_rec_io *io, struct node *req);
void relay_forget_ctx(struct ctx *ctx);
void relay_done(struct clew_causality *c);
enum verdict relay_verdict(const struct node *call, double *ret_wrong);
/* model.c */
void model_hit(struct bucket *b, uint32_t n);
void model_miss(struct bucket *b, uint32_t n);
/* The share of wrong links among hits that are borne out by nothing else. */
double model_wrong(const struct bucket *b);
/* Both: expected share of wrong links in *ret_wrong. */
enum verdict model_on_path(const struct group *g, uint8_t stretch, double *ret_wrong);
enum verdict model_off_path(const struct group *g, uint8_t stretch, double *ret_wrong);
enum verdict model_sequential(const struct group *g, bool *ret_mature);
/* Something speaks against that: where it has to be decided now, it fails. */
bool model_in_doubt(const struct group *g);
void model_read(struct group *g, bool slept, bool paused);
void model_off_call(struct group *g, uint8_t stretch, bool beside);
enum verdict model_beside(const struct group *g, uint8_t stretch, double *ret_wrong);
/* Work is done by contexts that did not read its request. */
bool model_moves(const struct group *g);
bool model_no_timers(const struct group *g);
/** model_calls_awake() - whether calls that follow what was read without a sleep are no rarity. */
bool model_calls_awake(const struct group *g);
/* Contexts that seem to work for one request at a time may be loops, whose timers call. */
bool model_maybe_loop(const struct group *g);

/* checkpoint.c */
void checkpoint_answer(struct clew_causality *c, struct ctx *ctx, struct node *req, bool slept);

/* report.c */
/* A call of a known context was decided so. */
void report_link(struct clew_causality *c, const struct node *call, const struct clew_link *l);
/* The group is about to be freed. */
void report_gone(struct group *g);

/* decide.c */
void decide_begun(struct clew_causality *c, struct node *call);
void decide_born(struct clew_causality *c, struct node *call);
/* A call without an owner is the request's. */
void decide_charge(struct clew_causality *c, struct node *call, struct node *req, enum claim how);
void decide_call_ended(struct clew_causality *c, struct node *call);
void decide_request_ended(struct clew_causality *c, struct node *req);
void decide_due(struct clew_causality *c);
void decide_all(struct clew_causality *c);
