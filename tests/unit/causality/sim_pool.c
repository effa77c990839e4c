/* SPDX-License-Identifier: Apache-2.0 */
/*
 * owner (a thread for each client) ── task ──► queue ──► worker: think, call, think ... ── wakes owner
 *
 * One heap of events for all. A worker that is idle is woken by who brings a task; a busy one takes the
 * next task without a wake. Whom a lock wakes is anybody who waits: owners for their results, workers
 * in a call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fab.h"
#include "sim_pool.h"

#define US     1000ull
#define MS     1000000ull
#define QUEUE  65536u
#define GLOBAL 0x1000
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

enum what { ARRIVE, STEP, RESPONSE, ANSWER, OTHER };

struct event {
	uint64_t ns, seq;
	enum what what;
	uint32_t who;
};

struct sim {
	const struct sim_pool *s;
	struct clew_causality *c;
	struct sim_result *res;
	uint64_t now, seq, rng, next_id;
	struct event *heap;
	uint32_t n, cap;
	struct worker *w;
	struct fab_thread *owner;
	struct request **cur;
	uint32_t n_clients, started, wanted, finished;
	struct task queue[QUEUE];
	uint32_t q_head, q_tail;
	uint64_t *truth;
	uint8_t *kind, *decided;
	uint64_t cap_ids;
};

static uint64_t rnd(struct sim *s, uint64_t n)
{
	s->rng ^= s->rng << 13;
	s->rng ^= s->rng >> 7;
	s->rng ^= s->rng << 17;
	return ((s->rng * 0x2545f4914f6cdd1dull) >> 11) % n;
}

static bool chance(struct sim *s, uint32_t pct)
{
	return pct && rnd(s, 100) < pct;
}

static bool before(const struct event *a, const struct event *b)
{
	return a->ns != b->ns ? a->ns < b->ns : a->seq < b->seq;
}

static void push(struct sim *s, uint64_t ns, enum what what, uint32_t who)
{
	struct event e = {ns, ++s->seq, what, who};
	uint32_t i;

	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 64;
		s->heap = realloc(s->heap, s->cap * sizeof(*s->heap));
		if (!s->heap)
			abort();
	}
	for (i = s->n++; i && before(&e, &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = e;
}

static struct event pop(struct sim *s)
{
	struct event top = s->heap[0], e = s->heap[--s->n];
	uint32_t i = 0, k;

	while ((k = 2 * i + 1) < s->n) {
		if (k + 1 < s->n && before(&s->heap[k + 1], &s->heap[k]))
			k++;
		if (!before(&s->heap[k], &e))
			break;
		s->heap[i] = s->heap[k];
		i = k;
	}
	s->heap[i] = e;
	return top;
}

static uint64_t new_id(struct sim *s, uint64_t truth, uint8_t kind)
{
	uint64_t id = ++s->next_id, old = s->cap_ids;

	if (id >= s->cap_ids) {
		s->cap_ids = old ? old * 2 : 65536;
		s->truth = realloc(s->truth, s->cap_ids * sizeof(*s->truth));
		s->kind = realloc(s->kind, s->cap_ids);
		s->decided = realloc(s->decided, s->cap_ids);
		if (!s->truth || !s->kind || !s->decided)
			abort();
		memset(s->kind + old, 0, s->cap_ids - old);
		memset(s->decided + old, 0, s->cap_ids - old);
	}
	s->truth[id] = truth;
	s->kind[id] = kind;
	return id;
}

static void wake(struct sim *s, const struct fab_thread *from, const struct fab_thread *to,
		 uint64_t key)
{
	struct clew_rec_handoff h = {.hdr = {sizeof(h), CLEW_REC_HANDOFF, 0},
				     .ts_ns = s->now,
				     .key = key,
				     .from_start_ns = START,
				     .to_start_ns = START,
				     .from_tgid = from->tgid,
				     .from_tid = from->tid,
				     .to_tgid = to->tgid,
				     .to_tid = to->tid,
				     .hdr_bytes = sizeof(h),
				     .kind = CLEW_HANDOFF_FUTEX};

	s->now += 2 * US;
	clew_causality_record(s->c, &h.hdr);
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

static void io(struct sim *s, struct fab_exchange *f, enum clew_part part, struct fab_thread *t)
{
	s->now += 3 * US;
	s->res->ops++;
	t->nvcsw++;
	fab_io(s->c, f, part, t, s->now);
}

static void begin(struct sim *s, uint32_t i)
{
	struct worker *w = &s->w[i];

	if (w->busy || s->q_head == s->q_tail)
		return;
	w->busy = true;
	w->task = s->queue[s->q_head++ % QUEUE];
	push(s, s->now + (10 + rnd(s, 15000)) * US, STEP, i);
}

static void bring(struct sim *s, const struct fab_thread *from, struct request *r, bool waited_for)
{
	struct task t = {r, r ? r->f.x.id : 0, s->s->calls, waited_for};

	if (!t.calls)
		t.calls = rnd(s, s->s->calls_max + 1);
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
	fab_init(&r->f, new_id(s, 0, 0), CLEW_ROLE_SERVER, 1000000 + client);
	r->f.rx = r->f.tx = s->next_id * 1000;
	io(s, &r->f, CLEW_PART_REQUEST, t);
	if (chance(s, s->s->direct_pct)) {
		push(s, s->now + 100 * US, ANSWER, client);
		return;
	}
	if (chance(s, s->s->job_pct))
		bring(s, t, r, false);
	hand_over(s, r);
}

static void answer(struct sim *s, uint32_t client, struct fab_thread *by)
{
	struct request *r = s->cur[client];

	noise(s, by);
	io(s, &r->f, CLEW_PART_RESPONSE, by);
	fab_end(s->c, &r->f, 0);
	s->cur[client] = NULL;
	free(r);
	s->finished++;
	push(s, s->now + (50 + rnd(s, 1000)) * US, ARRIVE, client);
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
		push(s, s->now + (20 + rnd(s, 200)) * US, ANSWER, r->client);
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
	if (!w->task.calls) {
		finish(s, i);
		return;
	}
	w->task.calls--;
	/* What a job or another's task calls may be anybody's who says so, or nobody's. */
	fab_init(&w->call, new_id(s, w->task.truth, w->task.waited_for ? 1 : 3), CLEW_ROLE_CLIENT,
		 5000 + i);
	io(s, &w->call, CLEW_PART_REQUEST, &w->th);
	noise(s, &w->th);
	push(s, s->now + (500 + rnd(s, 15000)) * US, RESPONSE, i);
}

static void handle(struct sim *s, const struct event *e)
{
	struct worker *w = &s->w[e->who];

	switch (e->what) {
	case ARRIVE:
		arrive(s, e->who);
		break;
	case STEP:
		step(s, e->who);
		break;
	case RESPONSE:
		io(s, &w->call, CLEW_PART_RESPONSE, &w->th);
		if (s->s->retry_pct && chance(s, s->s->retry_pct)) {
			w->call.x.http.status = 503;
			w->task.calls++;
		}
		fab_end(s->c, &w->call, 0);
		push(s, s->now + (10 + rnd(s, w->call.x.http.status ? 100 : 5000)) * US, STEP,
		     e->who);
		break;
	case ANSWER:
		answer(s, e->who, &s->owner[e->who]);
		break;
	case OTHER:
		bring(s, &s->owner[s->n_clients], NULL, false);
		if (s->finished < s->wanted && s->started <= s->wanted)
			push(s, s->now + s->s->other_us * US, OTHER, 0);
		break;
	}
}

static void decided(void *user, uint64_t id, const struct clew_link *l)
{
	struct sim *s = user;
	struct sim_result *r = s->res;
	bool ok = l->parent && l->parent == s->truth[id];

	r->order = (r->order ^ id ^ l->parent << 32 ^ (uint64_t)l->class << 60) * 0x100000001b3ull;
	r->decided_twice += s->decided[id]++ != 0;
	if (s->kind[id] == 1) {
		r->calls++;
		r->right += ok;
		r->wrong += l->parent && !ok;
		r->root += !l->parent && l->class == CLEW_LINK_ROOT;
		r->orphan += !l->parent && l->class != CLEW_LINK_ROOT;
	} else {
		r->background++;
		r->background_linked += l->parent && !ok;
	}
}

void sim_pool_run(const struct sim_pool *service, uint32_t in_flight, uint32_t requests,
		  uint64_t seed, struct sim_result *ret)
{
	struct sim *s = calloc(1, sizeof(*s));

	memset(ret, 0, sizeof(*ret));
	if (!s || clew_causality_new(decided, s, NULL, &s->c))
		abort();
	s->s = service;
	s->res = ret;
	s->rng = seed * 0x9e3779b97f4a7c15ull + 1;
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
	while (s->n) {
		struct event e = pop(s);

		if (e.ns > s->now)
			s->now = e.ns;
		clew_causality_advance(s->c, s->now);
		handle(s, &e);
	}
	clew_causality_flush(s->c);
	ret->stats = *clew_causality_stats(s->c);
	for (uint64_t id = 1; id <= s->next_id; id++)
		ret->undecided += s->kind[id] && !s->decided[id];
	clew_causality_free(s->c);
	free(s->heap);
	free(s->w);
	free(s->owner);
	free(s->cur);
	free(s->truth);
	free(s->kind);
	free(s->decided);
	free(s);
}
