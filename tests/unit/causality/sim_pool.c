/* SPDX-License-Identifier: Apache-2.0 */
/*
 * owner (a thread for each client) ── task ──► queue ──► worker: think, call, think ... ── wakes owner
 *
 * A worker that is idle is woken by who brings a task; a busy one takes the next task without a wake. Whom a
 * lock wakes is anybody who waits: owners for their results, workers in a call.
 */
#include <stdlib.h>

#include "sim_pool.h"
#include "sim_threads.h"

#define GLOBAL 0x1000
#define PASSED 0x2000

enum what { ARRIVE = SIM_ARRIVE, STEP = SIM_OWN, RESPONSE, ANSWER, ANSWERED, OTHER };

struct sim {
	struct sim_threads t;
	const struct sim_pool *s;
	struct fab_thread *owner;
};

static uint64_t rnd(struct sim *s, uint64_t n)
{
	return sim_below(&s->t.core, n);
}

static bool chance(struct sim *s, uint32_t pct)
{
	return sim_chance(&s->t.core, pct);
}

static void push(struct sim *s, uint64_t us, enum what what, uint32_t who)
{
	sim_later(&s->t, s->t.core.now + us * US, what, who);
}

static void wake(struct sim *s, const struct fab_thread *from, const struct fab_thread *to,
		 uint64_t key)
{
	fab_handoff(s->t.core.c, from, to, CLEW_HANDOFF_FUTEX, key, s->t.core.now);
	s->t.core.now += 2 * US;
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
	to = chance(s, 50) ? &s->owner[rnd(s, s->t.n_clients)] : &s->t.w[rnd(s, s->t.n_workers)].th;
	if (to != from)
		wake(s, from, to, all ? GLOBAL : park(to));
}

/* The worker waits for a lock; one of the others has it. */
static void lock(struct sim *s, const struct sim_worker *w)
{
	const struct fab_thread *holder = &s->t.w[rnd(s, s->t.n_workers)].th;

	if (holder == &w->th)
		return;
	if (chance(s, s->s->waits_pct))
		wake(s, holder, &w->th, park(&w->th));
	if (chance(s, s->s->passed_pct)) {
		uint64_t key = PASSED + rnd(s, 4) * 64;

		wake(s, holder, &w->th, key);
		wake(s, &w->th, &s->owner[rnd(s, s->t.n_clients)], key);
	}
}

static void begin(struct sim *s, uint32_t i)
{
	struct sim_worker *w = &s->t.w[i];

	if (w->busy || !sim_queued(&s->t))
		return;
	w->busy = true;
	w->task = sim_take(&s->t, 0);
	push(s, 10 + rnd(s, s->s->rush_us ? s->s->rush_us : 15000), STEP, i);
}

static void bring(struct sim *s, const struct fab_thread *from, struct sim_request *r,
		  bool waited_for)
{
	struct sim_task t = {r, r ? r->f.x.id : 0, s->s->calls, waited_for, false};

	if (!t.calls)
		t.calls = rnd(s, s->s->calls_max + 1);
	if (chance(s, s->s->empty_pct))
		t.calls = 0;
	sim_queue(&s->t, t);
	for (uint32_t i = 0; i < s->t.n_workers; i++)
		if (!s->t.w[i].busy) {
			wake(s, from, &s->t.w[i].th, park(&s->t.w[i].th));
			begin(s, i);
			return;
		}
}

static void hand_over(struct sim *s, struct sim_request *r)
{
	r->rounds++;
	r->waiting = s->s->tasks ? s->s->tasks : 1;
	for (uint32_t i = r->waiting; i; i--)
		bring(s, &s->owner[r->client], r, true);
}

static void arrive(struct sim *s, uint32_t client)
{
	struct fab_thread *t = &s->owner[client];
	struct sim_request *r = sim_ask(&s->t, client, t);

	if (!r)
		return;
	if (chance(s, s->s->direct_pct)) {
		push(s, 100, ANSWER, client);
		return;
	}
	if (chance(s, s->s->job_pct))
		bring(s, t, r, false);
	hand_over(s, r);
}

static void answer(struct sim *s, uint32_t client, struct fab_thread *by)
{
	noise(s, by);
	sim_io(&s->t, &s->t.cur[client]->f, CLEW_PART_RESPONSE, by);
	if (s->s->late_us)
		push(s, s->s->late_us, ANSWERED, client);
	else
		sim_answered(&s->t, client);
}

/* The task is done: its request goes on when all of them are. */
static void done(struct sim *s, struct sim_worker *w, struct sim_request *r)
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
		push(s, 20 + rnd(s, 200), ANSWER, r->client);
}

static void finish(struct sim *s, uint32_t i)
{
	struct sim_worker *w = &s->t.w[i];

	if (w->task.waited_for) {
		done(s, w, w->task.r);
		if (chance(s, s->s->batch_pct) && sim_queued(&s->t) && sim_next(&s->t)->waited_for)
			done(s, w, sim_take(&s->t, 0).r);
	}
	w->busy = false;
	begin(s, i);
}

static void step(struct sim *s, uint32_t i)
{
	struct sim_worker *w = &s->t.w[i];

	noise(s, &w->th);
	lock(s, w);
	if (!w->task.calls) {
		finish(s, i);
		return;
	}
	sim_call(&s->t, i);
	noise(s, &w->th);
	push(s, 500 + rnd(s, 15000), RESPONSE, i);
}

static void give_up(struct sim *s, uint32_t i)
{
	struct sim_worker *w = &s->t.w[i];

	w->call.x.http.status = 503;
	fab_end(s->t.core.c, &w->call, 0);
	if (w->task.waited_for)
		push(s, 20000, ANSWER, w->task.r->client);
	w->busy = false;
	begin(s, i);
}

static void respond(struct sim *s, uint32_t i)
{
	struct sim_worker *w = &s->t.w[i];

	sim_io(&s->t, &w->call, CLEW_PART_RESPONSE, &w->th);
	if (chance(s, s->s->give_up_pct)) {
		give_up(s, i);
		return;
	}
	if (s->s->retry_pct && chance(s, s->s->retry_pct)) {
		w->call.x.http.status = 503;
		w->task.calls++;
	}
	fab_end(s->t.core.c, &w->call, 0);
	push(s, 10 + rnd(s, w->call.x.http.status ? 100 : 5000), STEP, i);
}

static void handle(void *user, const struct sim_event *e)
{
	struct sim *s = user;

	switch ((enum what)e->kind) {
	case ARRIVE:
		arrive(s, e->who);
		break;
	case STEP:
		step(s, e->who);
		break;
	case RESPONSE:
		respond(s, e->who);
		break;
	case ANSWER:
		answer(s, e->who, &s->owner[e->who]);
		break;
	case ANSWERED:
		sim_answered(&s->t, e->who);
		break;
	case OTHER:
		bring(s, &s->owner[s->t.n_clients], NULL, false);
		if (s->t.finished < s->t.wanted && s->t.started <= s->t.wanted)
			push(s, s->s->other_us, OTHER, 0);
		break;
	}
}

void sim_pool_run(const struct sim_pool *service, uint32_t in_flight, uint32_t requests,
		  uint64_t seed, struct sim_result *ret)
{
	struct sim s = {.s = service};

	s.owner = calloc(in_flight + 1, sizeof(*s.owner));
	if (!s.owner)
		abort();
	for (uint32_t i = 0; i <= in_flight; i++)
		s.owner[i] =
			(struct fab_thread){.tgid = 100, .tid = 2000 + i, .start_ns = SIM_START_NS};
	sim_threads_begin(&s.t, service->workers, in_flight, requests, seed, ret);
	if (service->other_us)
		sim_later(&s.t, 1 * MS, OTHER, 0);
	sim_threads_run(&s.t, handle, &s);
	free(s.owner);
}
