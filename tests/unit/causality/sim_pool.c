/* SPDX-License-Identifier: Apache-2.0 */
/*
 * owner (a thread for each client) ── task ──► queue ──► worker: think, call, think ... ── wakes owner
 *
 * One heap of events for all. A worker that is idle is woken by who brings a task; a busy one takes the
 * next task without a wake. Whom a lock wakes is anybody who waits: owners for their results, workers
 * in a call.
 */
#include <stdlib.h>

#include "fab.h"
#include "sim_pool.h"

#define QUEUE  65536u
#define GLOBAL 0x1000
#define PASSED 0x2000
#define START  5

struct request {
	struct fab_exchange f;
	uint32_t client, waiting, rounds;
	struct request *also; /* answered by the same task */
};

struct task {
	struct request *r; /* NULL: somebody else's */
	uint64_t truth;	   /* id of the request that brought it */
	uint32_t calls;
	bool waited_for;
};

struct worker {
	struct fab_thread th;
	struct task task;
	struct fab_exchange call;
	bool busy, out;
};

enum what { ARRIVE, STEP, RESPONSE, ANSWER, ANSWERED, OTHER };

struct sim {
	const struct sim_pool *s;
	struct sim_core core;
	struct sim_heap heap;
	struct worker *w;
	struct fab_thread *owner;
	struct request **cur;
	uint32_t n_clients, started, wanted, finished;
	struct task queue[QUEUE];
	uint32_t q_head, q_tail;
};

static uint64_t rnd(struct sim *s, uint64_t n)
{
	return sim_below(&s->core, n);
}

static bool chance(struct sim *s, uint32_t pct)
{
	return sim_chance(&s->core, pct);
}

static void push(struct sim *s, uint64_t ns, enum what what, uint32_t who)
{
	sim_push(&s->core, &s->heap, (struct sim_event){.ns = ns, .kind = what, .who = who});
}

static void wake(struct sim *s, const struct fab_thread *from, const struct fab_thread *to,
		 uint64_t key)
{
	struct clew_rec_handoff h = {.hdr = {sizeof(h), CLEW_REC_HANDOFF, 0},
				     .ts_ns = s->core.now,
				     .key = key,
				     .from_start_ns = START,
				     .to_start_ns = START,
				     .from_tgid = from->tgid,
				     .from_tid = from->tid,
				     .to_tgid = to->tgid,
				     .to_tid = to->tid,
				     .hdr_bytes = sizeof(h),
				     .kind = CLEW_HANDOFF_FUTEX};

	s->core.now += 2 * US;
	clew_causality_record(s->core.c, &h.hdr);
}

static uint64_t park(const struct fab_thread *t)
{
	return 0x100000 + t->tid * 64ull;
}

/* A lock is given back: whoever waits for it, or seems to, is woken. */
static void noise(struct sim *s, const struct fab_thread *from)
{
	bool all = chance(s, s->s->lock_pct), own = chance(s, s->s->private_pct);
	const struct fab_thread *to;

	if (!all && !own)
		return;
	to = chance(s, 50) ? &s->owner[rnd(s, s->n_clients)] : &s->w[rnd(s, s->s->workers)].th;
	if (to != from)
		wake(s, from, to, all ? GLOBAL : park(to));
}

/* The worker waits for a lock; one of the others has it. */
static void lock(struct sim *s, const struct worker *w)
{
	const struct fab_thread *holder = &s->w[rnd(s, s->s->workers)].th;

	if (holder == &w->th)
		return;
	if (chance(s, s->s->waits_pct))
		wake(s, holder, &w->th, park(&w->th));
	if (chance(s, s->s->passed_pct)) {
		uint64_t key = PASSED + rnd(s, 4) * 64;

		wake(s, holder, &w->th, key);
		wake(s, &w->th, &s->owner[rnd(s, s->n_clients)], key);
	}
}

static void io(struct sim *s, struct fab_exchange *f, enum clew_part part, struct fab_thread *t)
{
	s->core.now += 3 * US;
	s->core.res->ops++;
	t->nvcsw++;
	fab_io(s->core.c, f, part, t, s->core.now);
}

static void begin(struct sim *s, uint32_t i)
{
	struct worker *w = &s->w[i];

	if (w->busy || s->q_head == s->q_tail)
		return;
	w->busy = true;
	w->task = s->queue[s->q_head++ % QUEUE];
	push(s, s->core.now + (10 + rnd(s, s->s->rush_us ? s->s->rush_us : 15000)) * US, STEP, i);
}

static void bring(struct sim *s, const struct fab_thread *from, struct request *r, bool waited_for)
{
	struct task t = {r, r ? r->f.x.id : 0, s->s->calls, waited_for};

	if (!t.calls)
		t.calls = rnd(s, s->s->calls_max + 1);
	if (chance(s, s->s->empty_pct))
		t.calls = 0;
	s->queue[s->q_tail++ % QUEUE] = t;
	for (uint32_t i = 0; i < s->s->workers; i++)
		if (!s->w[i].busy) {
			wake(s, from, &s->w[i].th, park(&s->w[i].th));
			begin(s, i);
			return;
		}
}

static void hand_over(struct sim *s, struct request *r)
{
	r->rounds++;
	r->waiting = s->s->tasks ? s->s->tasks : 1;
	for (uint32_t i = r->waiting; i; i--)
		bring(s, &s->owner[r->client], r, true);
}

static void arrive(struct sim *s, uint32_t client)
{
	struct request *r = calloc(1, sizeof(*r));
	struct fab_thread *t = &s->owner[client];

	if (!r)
		abort();
	if (s->started++ >= s->wanted) {
		free(r);
		return;
	}
	r->client = client;
	s->cur[client] = r;
	fab_init(&r->f, sim_new_id(&s->core, 0, SIM_REQUEST), CLEW_ROLE_SERVER, 1000000 + client);
	r->f.rx = r->f.tx = s->core.next_id * 1000;
	io(s, &r->f, CLEW_PART_REQUEST, t);
	if (chance(s, s->s->direct_pct)) {
		push(s, s->core.now + 100 * US, ANSWER, client);
		return;
	}
	if (chance(s, s->s->job_pct))
		bring(s, t, r, false);
	hand_over(s, r);
}

static void answered(struct sim *s, uint32_t client)
{
	struct request *r = s->cur[client];

	fab_end(s->core.c, &r->f, 0);
	s->cur[client] = NULL;
	free(r);
	s->finished++;
	push(s, s->core.now + (50 + rnd(s, 1000)) * US, ARRIVE, client);
}

static void answer(struct sim *s, uint32_t client, struct fab_thread *by)
{
	struct request *r = s->cur[client];

	noise(s, by);
	io(s, &r->f, CLEW_PART_RESPONSE, by);
	if (s->s->late_us)
		push(s, s->core.now + s->s->late_us * US, ANSWERED, client);
	else
		answered(s, client);
}

/* The task is done: its request goes on when all of them are. */
static void done(struct sim *s, struct worker *w, struct request *r)
{
	struct fab_thread *t = &s->owner[r->client];

	if (--r->waiting)
		return;
	if (s->s->last_answers) {
		answer(s, r->client, &w->th);
		return;
	}
	if (!chance(s, s->s->unseen_pct))
		wake(s, &w->th, t, park(t) + 32);
	if (r->rounds < s->s->sequence)
		hand_over(s, r);
	else
		push(s, s->core.now + (20 + rnd(s, 200)) * US, ANSWER, r->client);
}

static void finish(struct sim *s, uint32_t i)
{
	struct worker *w = &s->w[i];

	if (w->task.waited_for) {
		done(s, w, w->task.r);
		if (chance(s, s->s->batch_pct) && s->q_head != s->q_tail &&
		    s->queue[s->q_head % QUEUE].waited_for) {
			struct task also = s->queue[s->q_head++ % QUEUE];

			done(s, w, also.r);
		}
	}
	w->busy = false;
	begin(s, i);
}

static void step(struct sim *s, uint32_t i)
{
	struct worker *w = &s->w[i];

	noise(s, &w->th);
	lock(s, w);
	if (!w->task.calls) {
		finish(s, i);
		return;
	}
	w->task.calls--;
	/* What a job or another's task calls may be anybody's who says so, or nobody's. */
	fab_init(&w->call,
		 sim_new_id(&s->core, w->task.truth, w->task.waited_for ? SIM_CALL : SIM_AFTER),
		 CLEW_ROLE_CLIENT, 5000 + i);
	io(s, &w->call, CLEW_PART_REQUEST, &w->th);
	noise(s, &w->th);
	push(s, s->core.now + (500 + rnd(s, 15000)) * US, RESPONSE, i);
}

static void give_up(struct sim *s, uint32_t i)
{
	struct worker *w = &s->w[i];

	w->call.x.http.status = 503;
	fab_end(s->core.c, &w->call, 0);
	if (w->task.waited_for)
		push(s, s->core.now + 20 * MS, ANSWER, w->task.r->client);
	w->busy = false;
	begin(s, i);
}

static void handle(struct sim *s, const struct sim_event *e)
{
	struct worker *w = &s->w[e->who];

	switch ((enum what)e->kind) {
	case ARRIVE:
		arrive(s, e->who);
		break;
	case STEP:
		step(s, e->who);
		break;
	case RESPONSE:
		io(s, &w->call, CLEW_PART_RESPONSE, &w->th);
		if (chance(s, s->s->give_up_pct)) {
			give_up(s, e->who);
			break;
		}
		if (s->s->retry_pct && chance(s, s->s->retry_pct)) {
			w->call.x.http.status = 503;
			w->task.calls++;
		}
		fab_end(s->core.c, &w->call, 0);
		push(s, s->core.now + (10 + rnd(s, w->call.x.http.status ? 100 : 5000)) * US, STEP,
		     e->who);
		break;
	case ANSWER:
		answer(s, e->who, &s->owner[e->who]);
		break;
	case ANSWERED:
		answered(s, e->who);
		break;
	case OTHER:
		bring(s, &s->owner[s->n_clients], NULL, false);
		if (s->finished < s->wanted && s->started <= s->wanted)
			push(s, s->core.now + s->s->other_us * US, OTHER, 0);
		break;
	}
}

void sim_pool_run(const struct sim_pool *service, uint32_t in_flight, uint32_t requests,
		  uint64_t seed, struct sim_result *ret)
{
	struct sim *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	sim_core_begin(&s->core, seed, ret);
	s->s = service;
	s->wanted = requests;
	s->n_clients = in_flight;
	s->w = calloc(service->workers, sizeof(*s->w));
	s->owner = calloc(in_flight + 1, sizeof(*s->owner));
	s->cur = calloc(in_flight, sizeof(*s->cur));
	if (!s->w || !s->owner || !s->cur)
		abort();
	for (uint32_t i = 0; i < service->workers; i++)
		s->w[i].th = (struct fab_thread){.tgid = 100, .tid = 1000 + i, .start_ns = START};
	for (uint32_t i = 0; i <= in_flight; i++)
		s->owner[i] = (struct fab_thread){.tgid = 100, .tid = 2000 + i, .start_ns = START};
	for (uint32_t i = 0; i < in_flight; i++)
		push(s, 1 * MS + rnd(s, 20000) * US, ARRIVE, i);
	if (service->other_us)
		push(s, 1 * MS, OTHER, 0);
	while (s->heap.n) {
		struct sim_event e = sim_pop(&s->heap);

		if (e.ns > s->core.now)
			s->core.now = e.ns;
		clew_causality_advance(s->core.c, s->core.now);
		handle(s, &e);
	}
	sim_core_end(&s->core);
	free(s->heap.e);
	free(s->w);
	free(s->owner);
	free(s->cur);
	free(s);
}
