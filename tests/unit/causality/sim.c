/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator: workers (loops or blocking threads), each with a heap of events.
 *
 *	clients ──► request arrives ──► worker: read, steps of calls, answer ──► next request
 *	                                   └──► backend: response 1 to 20 ms later
 *
 * A loop takes what is ready (a round), handles each with some CPU time, and sleeps when nothing
 * is; a sleep shows as a voluntary switch. A blocking worker has one event at a time.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fab.h"
#include "sim.h"

#define MAX_ROUND      64
#define MAX_FREE_TASKS 4096

enum ev_kind {
	EV_REQUEST,
	EV_RESPONSE,
	EV_WRITABLE,
	EV_TIMER,
	EV_BACKGROUND,
	EV_STEP,
	EV_LOOKUP,
	EV_REFUSED,
	EV_PUSH,
	EV_JOB
};

struct request {
	struct fab_exchange f;
	struct worker *home;
	uint32_t client, stage, stages, waiting;
	bool timed, slept, done;
	uint64_t task;
	uint32_t refs;
};

struct call {
	struct fab_exchange f;
	struct request *r; /* NULL: background */
	struct worker *w;
	bool closed; /* the connection will be found closed */
	bool pooled, agent, child, job;
	uint64_t task;
	struct call *next; /* waits for a socket */
};

struct worker {
	struct fab_thread th;
	struct sim_heap heap;
	uint64_t free_ns;
	bool busy;
};

struct sim {
	const struct sim_service *s;
	struct sim_core core;
	struct worker *workers, *running;
	uint32_t n_workers;
	uint64_t next_conn;
	uint32_t started, wanted, finished;
	struct request **queue; /* blocking: waiting for a worker */
	uint32_t q_head, q_tail, q_cap;
	struct call *pool_head, *pool_tail;
	uint32_t out, free_sockets;
	struct sim_event deferred[MAX_ROUND];
	uint32_t n_deferred;
	uint64_t next_task, free_tasks[MAX_FREE_TASKS];
	uint32_t n_free_tasks;
	struct fab_exchange *endless[64];
	uint32_t n_endless;
};

static uint64_t between(struct sim *s, uint64_t lo, uint64_t hi)
{
	return sim_between(&s->core, lo, hi);
}

static bool chance(struct sim *s, uint32_t pct)
{
	return sim_chance(&s->core, pct);
}

static void push(struct sim *s, struct worker *w, uint64_t ns, enum ev_kind kind, void *what)
{
	sim_push(&s->core, &w->heap, (struct sim_event){.ns = ns, .kind = kind, .what = what});
}

static bool blocking(const struct sim *s)
{
	return s->s->kind == SIM_THREADS || s->s->kind == SIM_PREFORK;
}

static void cpu(struct sim *s)
{
	s->core.now += between(s, 10, 60) * US;
}

static void io(struct sim *s, struct fab_exchange *f, enum clew_part part, struct worker *w)
{
	/* A loop that is woken to do a thing for another one slept before. */
	if (w != s->running && w->free_ns < s->core.now)
		w->th.nvcsw++;
	s->core.res->ops++;
	fab_io(s->core.c, f, part, &w->th, s->core.now);
	s->core.now += 2 * US;
}

static uint64_t task_new(struct sim *s)
{
	static const enum clew_task_kind kinds[] = {0, CLEW_TASK_PYTHON, CLEW_TASK_AGENT,
						    CLEW_TASK_GO};

	if (s->s->tasks == TASKS_NONE)
		return 0;
	if (s->s->tasks == TASKS_LOOP && s->n_free_tasks)
		return s->free_tasks[--s->n_free_tasks];
	return CLEW_TASK(kinds[s->s->tasks], ++s->next_task);
}

static void task_free(struct sim *s, uint64_t task)
{
	if (task && s->n_free_tasks < MAX_FREE_TASKS)
		s->free_tasks[s->n_free_tasks++] = task;
}

static void task_begun(struct sim *s, const struct worker *w, uint64_t from, uint64_t to)
{
	struct clew_rec_handoff h = {.hdr = {sizeof(h), CLEW_REC_HANDOFF, 0},
				     .ts_ns = s->core.now,
				     .key = to,
				     .from_task = from,
				     .from_start_ns = w->th.start_ns,
				     .to_start_ns = w->th.start_ns,
				     .from_tgid = w->th.tgid,
				     .from_tid = w->th.tid,
				     .to_tgid = w->th.tgid,
				     .to_tid = w->th.tid,
				     .hdr_bytes = sizeof(h),
				     .kind = CLEW_HANDOFF_TASK};

	if (!s->s->child_silent)
		clew_causality_record(s->core.c, &h.hdr);
}

/* An operation of a task: what a loop reads, it reads for itself. */
static void task_io(struct sim *s, struct fab_exchange *f, enum clew_part part, struct worker *w,
		    uint64_t task)
{
	bool reads = (f->x.role == CLEW_ROLE_CLIENT) == (part == CLEW_PART_RESPONSE);

	w->th.task = reads && s->s->tasks != TASKS_OWN ? 0 : task;
	io(s, f, part, w);
	w->th.task = 0;
}

static void new_request(struct sim *s, uint32_t client, uint64_t at)
{
	struct request *r;

	if (s->started >= s->wanted)
		return;
	s->started++;
	r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	r->client = client;
	r->refs = 1;
	r->stages = chance(s, s->s->cache_pct) ? 0 : s->s->stages ? s->s->stages : between(s, 1, 3);
	r->timed = s->s->timers || (s->s->some_timers && chance(s, 5));
	if (blocking(s)) /* any idle worker takes it: the first one keeps the queue's time */
		push(s, &s->workers[s->n_workers], at, EV_REQUEST, r);
	else
		push(s,
		     &s->workers[s->s->kind == SIM_MOVING ? between(s, 0, s->n_workers - 1)
							  : client % s->n_workers],
		     at, EV_REQUEST, r);
}

static void put_request(struct request *r)
{
	if (r && !--r->refs)
		free(r);
}

static struct worker *other(struct sim *s, struct worker *w)
{
	if (s->s->kind == SIM_MOVING || s->s->kind == SIM_NETTY)
		return &s->workers[between(s, 0, s->n_workers - 1)];
	if (s->s->kind == SIM_HANDOFF) /* workers after the first are the pool */
		return &s->workers[s->n_workers + 1 + between(s, 0, 7)];
	return w;
}

static void write_call(struct sim *s, struct call *k)
{
	struct worker *w = k->w;

	task_io(s, &k->f, CLEW_PART_REQUEST, w, k->task);
	push(s, w,
	     s->core.now + (s->s->latency_us ? s->s->latency_us : between(s, 1000, 20000)) * US,
	     EV_RESPONSE, k);
}

static void connect_call(struct sim *s, struct call *k)
{
	k->w->th.task = k->task;
	fab_connect(s->core.c, &k->f, &k->w->th, s->core.now);
	k->w->th.task = 0;
	push(s, k->w, s->core.now + between(s, 50, 3000) * US,
	     chance(s, s->s->refuse_pct) ? EV_REFUSED : EV_WRITABLE, k);
}

static void make_call(struct sim *s, struct request *r, struct worker *w, enum sim_id kind)
{
	struct call *k = calloc(1, sizeof(*k));

	if (!k)
		abort();
	k->r = r;
	if (r)
		r->refs++;
	k->w = kind == SIM_CALL ? other(s, w) : w;
	k->task = r && kind == SIM_CALL ? r->task : task_new(s);
	k->child = kind != SIM_CALL;
	if (r && s->s->tasks && (kind == SIM_AFTER || chance(s, s->s->child_pct))) {
		k->task = task_new(s);
		k->child = true;
		if (!r->done)
			task_begun(s, k->w, r->task, k->task);
	}
	fab_init(&k->f, sim_new_id(&s->core, r ? r->f.x.id : 0, kind), CLEW_ROLE_CLIENT,
		 ++s->next_conn);
	k->closed = kind == SIM_CALL && !s->s->connects && chance(s, s->s->retry_pct);
	if (kind == SIM_CALL && s->s->max_sockets && !blocking(s)) {
		k->pooled = true;
		if (s->out >= s->s->max_sockets) {
			*(s->pool_head ? &s->pool_tail->next : &s->pool_head) = k;
			s->pool_tail = k;
			return;
		}
		s->out++;
	}
	if (s->s->agent && kind == SIM_CALL) {
		k->agent = true;
		if (!s->free_sockets) {
			push(s, k->w, s->core.now + between(s, 100, 1500) * US, EV_LOOKUP, k);
			return;
		}
		s->free_sockets--;
	}
	if (s->s->connects) {
		if (!blocking(s)) {
			connect_call(s, k);
			return;
		}
		fab_connect(s->core.c, &k->f, &k->w->th, s->core.now);
		s->core.now += 100 * US;
		k->w->th.nvcsw++;
	}
	write_call(s, k);
}

static void answer(struct sim *s, struct request *r, struct worker *w)
{
	uint64_t idle = s->s->clients ? between(s, s->s->clients / 2, s->s->clients * 3 / 2)
				      : between(s, 50, 500);
	struct worker *by = s->s->kind == SIM_MOVING ? other(s, w) : r->home;

	task_io(s, &r->f, CLEW_PART_RESPONSE, by, r->task);
	if (chance(s, 20)) {
		cpu(s);
		task_io(s, &r->f, CLEW_PART_RESPONSE, by, r->task);
	}
	fab_end(s->core.c, &r->f, 0);
	r->done = true;
	task_free(s, r->task);
	s->finished++;
	new_request(s, r->client, s->core.now + idle * US);
	if (chance(s, s->s->post_pct)) {
		make_call(s, r, w, SIM_AFTER);
	} else if (blocking(s)) {
		w->busy = false;
	}
	put_request(r);
}

/* The next step of a request; blocking workers and loops alike. */
static void step(struct sim *s, struct request *r, struct worker *w)
{
	if (r->timed && !r->slept) {
		r->slept = true;
		push(s, w,
		     s->core.now + (s->s->timer_us ? s->s->timer_us : between(s, 1000, 20000)) * US,
		     EV_TIMER, r);
		return;
	}
	r->slept = false;
	cpu(s);
	while (r->stage < r->stages && chance(s, s->s->skip_pct))
		r->stage++;
	if (r->stage >= r->stages) {
		answer(s, r, w);
		return;
	}
	r->stage++;
	r->waiting = s->s->parallel ? s->s->parallel : 1;
	for (uint32_t i = r->waiting; i; i--)
		make_call(s, r, w, SIM_CALL);
}

static void proceed(struct sim *s, struct request *r, struct worker *w)
{
	if (s->s->kind == SIM_BATCH)
		s->deferred[s->n_deferred++] = (struct sim_event){.kind = EV_STEP, .what = r};
	else
		step(s, r, w);
}

static void free_socket(struct sim *s, struct call *k)
{
	struct call *next = s->pool_head;

	if (!k->pooled)
		return;
	if (!next) {
		s->out--;
		return;
	}
	s->pool_head = next->next;
	write_call(s, next);
}

static void respond(struct sim *s, struct call *k)
{
	struct request *r = k->r;
	struct worker *w = k->w;

	if (k->closed) { /* end of file instead of a response: made again on a new connection */
		struct call *again = calloc(1, sizeof(*again));

		if (!again)
			abort();
		fab_end(s->core.c, &k->f, CLEW_INC_NO_RESPONSE);
		again->r = r;
		again->w = w;
		again->pooled = k->pooled;
		fab_init(&again->f, sim_new_id(&s->core, r->f.x.id, SIM_CALL), CLEW_ROLE_CLIENT,
			 ++s->next_conn);
		again->agent = k->agent;
		again->task = k->task;
		again->child = k->child;
		connect_call(s, again);
		free(k);
		return;
	}
	task_io(s, &k->f, CLEW_PART_RESPONSE, w, k->task);
	if (chance(s, 20))
		task_io(s, &k->f, CLEW_PART_RESPONSE, w, k->task);
	fab_end(s->core.c, &k->f, 0);
	if (k->child)
		task_free(s, k->task);
	free_socket(s, k);
	s->free_sockets += k->agent;
	if (k->job) {
	} else if (r && !r->done) {
		if (!--r->waiting)
			proceed(s, r, s->s->kind == SIM_HANDOFF ? w : r->home);
	} else if (r && blocking(s)) {
		w->busy = false;
	}
	put_request(r);
	free(k);
}

/* The connection closes unused; its request is tried on another. */
static void refused(struct sim *s, struct call *k)
{
	struct clew_rec_conn r = {.hdr = {sizeof(r), CLEW_REC_CONN, 0},
				  .ts_ns = s->core.now,
				  .conn = k->f.conn.cookie,
				  .hdr_bytes = sizeof(r),
				  .event = CLEW_CONN_CLOSED};

	clew_causality_record(s->core.c, &r.hdr);
	k->f.conn.cookie = ++s->next_conn;
	connect_call(s, k);
}

/* A task that the request begins and that calls later, perhaps when the request is over. */
static void start_job(struct sim *s, struct request *r, struct worker *w)
{
	struct call *k = calloc(1, sizeof(*k));

	if (!k)
		abort();
	k->r = r;
	r->refs++;
	k->w = w;
	k->job = k->child = true;
	k->task = task_new(s);
	task_begun(s, w, r->task, k->task);
	push(s, w, s->core.now + between(s, 1, 60) * MS, EV_JOB, k);
}

static void handle(struct sim *s, struct worker *w, const struct sim_event *e)
{
	struct request *r = e->what;

	cpu(s);
	switch ((enum ev_kind)e->kind) {
	case EV_REQUEST:
		fab_init(&r->f, sim_new_id(&s->core, 0, SIM_REQUEST), CLEW_ROLE_SERVER,
			 1000000 + r->client);
		r->f.rx = r->f.tx = s->core.next_id * 1000;
		r->home = w;
		r->task = task_new(s);
		task_io(s, &r->f, CLEW_PART_REQUEST, w, r->task);
		if (s->s->tasks == TASKS_LOOP && s->s->child_pct)
			task_begun(s, w, 0, r->task); /* as any other */
		if (chance(s, s->s->job_pct))
			start_job(s, r, w);
		if (chance(s, s->s->stream_pct))
			task_io(s, &r->f, CLEW_PART_RESPONSE, w, r->task);
		proceed(s, r, w);
		break;
	case EV_RESPONSE:
		respond(s, e->what);
		break;
	case EV_WRITABLE:
		write_call(s, e->what);
		break;
	case EV_TIMER:
		step(s, r, w);
		break;
	case EV_BACKGROUND:
		make_call(s, NULL, w, SIM_BACKGROUND);
		if (s->finished < s->wanted)
			push(s, w,
			     s->core.now +
				     (s->s->background_us ? s->s->background_us : s->s->thread_us) *
					     US,
			     EV_BACKGROUND, NULL);
		break;
	case EV_LOOKUP:
		connect_call(s, e->what);
		break;
	case EV_REFUSED:
		refused(s, e->what);
		break;
	case EV_PUSH: /* an endless answer goes on */
		io(s, e->what, CLEW_PART_RESPONSE, w);
		if (s->finished < s->wanted)
			push(s, w, s->core.now + 10 * MS, EV_PUSH, e->what);
		break;
	case EV_JOB: {
		struct call *k = e->what;

		fab_init(&k->f, sim_new_id(&s->core, k->r->f.x.id, SIM_AFTER), CLEW_ROLE_CLIENT,
			 ++s->next_conn);
		write_call(s, k);
		break;
	}
	case EV_STEP:
		break;
	}
}

/* One round of a loop: what is ready now, else sleep until something is. */
static void loop_round(struct sim *s, struct worker *w)
{
	struct sim_event round[MAX_ROUND];
	uint32_t n = 0;

	s->core.now = w->free_ns;
	if (w->heap.e[0].ns > s->core.now) {
		s->core.now = w->heap.e[0].ns;
		w->th.nvcsw++;
	}
	while (w->heap.n && w->heap.e[0].ns <= s->core.now && n < MAX_ROUND)
		round[n++] = sim_pop(&w->heap);
	s->n_deferred = 0;
	for (uint32_t i = 0; i < n; i++)
		handle(s, w, &round[i]);
	for (uint32_t i = 0; i < s->n_deferred; i++)
		step(s, s->deferred[i].what, w);
	w->free_ns = s->core.now;
}

/* A blocking worker always sleeps between two events; requests wait until one is free. */
static void blocking_event(struct sim *s, struct worker *w)
{
	struct worker *q = &s->workers[s->n_workers];
	struct sim_event e = sim_pop(&w->heap);

	if (w == q) {
		w = NULL;
		for (uint32_t i = 0; i < s->n_workers && !w; i++)
			if (!s->workers[i].busy)
				w = &s->workers[i];
		if (!w) {
			push(s, q, e.ns + between(s, 50, 500) * US, e.kind, e.what);
			return;
		}
		w->busy = true;
	}
	s->running = w;
	s->core.now = e.ns > w->free_ns ? e.ns : w->free_ns;
	w->th.nvcsw++;
	handle(s, w, &e);
	w->free_ns = s->core.now;
}

static void set_up(struct sim *s, uint32_t in_flight)
{
	bool fork = s->s->kind == SIM_PREFORK || (s->s->kind == SIM_LOOP && s->s->workers > 1);

	s->n_workers = s->s->workers ? s->s->workers : in_flight;
	s->workers = calloc(s->n_workers + 9, sizeof(*s->workers));
	if (!s->workers)
		abort();
	for (uint32_t i = 0; i < s->n_workers + 9; i++) {
		struct fab_thread *t = &s->workers[i].th;

		*t = (struct fab_thread){fork ? 101 + i : 100, 101 + i, 5, 0, 1000,
					 s->s->no_counters,    0};
		if (fork)
			t->tid = t->tgid;
		if (i < s->n_workers)
			fab_thread_event(s->core.c, CLEW_THREAD_FORK, t, 100, 100, 1);
	}
	for (uint32_t i = 0; i < s->n_workers * s->s->streams; i++) {
		struct fab_exchange *f = calloc(1, sizeof(*f));

		if (!f)
			abort();
		fab_init(f, sim_new_id(&s->core, 0, SIM_REQUEST), CLEW_ROLE_SERVER, 2000000 + i);
		fab_io(s->core.c, f, CLEW_PART_REQUEST, &s->workers[i % s->n_workers].th, 1000 + i);
		push(s, &s->workers[i % s->n_workers], 1 * MS + i * 100 * US, EV_PUSH, f);
		s->endless[s->n_endless++ % 64] = f;
	}
	if (s->s->thread_us)
		push(s, &s->workers[s->n_workers + 1], 1 * MS, EV_BACKGROUND, NULL);
	for (uint32_t i = 0; i < in_flight; i++)
		new_request(s, i, 1 * MS + between(s, 0, 20000) * US);
	for (uint32_t i = 0; s->s->background_us && i < s->n_workers; i++)
		push(s, &s->workers[i], between(s, 1, s->s->background_us) * US, EV_BACKGROUND,
		     NULL);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

void sim_run(const struct sim_service *service, uint32_t in_flight, uint32_t requests,
	     uint64_t seed, struct sim_result *ret)
{
	struct sim s = {.s = service, .wanted = requests};
	double t0 = seconds();

	sim_core_begin(&s.core, seed, ret);
	set_up(&s, in_flight);
	for (;;) {
		struct worker *w = NULL;
		uint64_t at = UINT64_MAX;

		for (uint32_t i = 0; i < s.n_workers + 9; i++) {
			struct worker *k = &s.workers[i];
			uint64_t t;

			if (!k->heap.n)
				continue;
			t = k->heap.e[0].ns > k->free_ns ? k->heap.e[0].ns : k->free_ns;
			if (t < at) {
				at = t;
				w = k;
			}
		}
		if (!w)
			break;
		clew_causality_advance(s.core.c, at);
		s.running = w;
		if (blocking(&s))
			blocking_event(&s, w);
		else
			loop_round(&s, w);
	}
	clew_causality_flush(s.core.c);
	ret->ns_per_op = (seconds() - t0) * 1e9 / (double)ret->ops;
	sim_core_end(&s.core);
	for (uint32_t i = 0; i < s.n_endless; i++)
		free(s.endless[i]);
	for (uint32_t i = 0; i < s.n_workers + 9; i++)
		free(s.workers[i].heap.e);
	free(s.workers);
}
