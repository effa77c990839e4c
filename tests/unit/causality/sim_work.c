/* SPDX-License-Identifier: Apache-2.0 */
/*
 *	clients ──► request arrives ──► worker: read, steps of calls, answer ──► next request
 *	                                   └──► backend: response 1 to 20 ms later
 */
#include <stdlib.h>

#include "sim_work.h"

void work_cpu(struct sim *s)
{
	s->core.now += between(s, 10, 60) * US;
}

/* A loop that waits is told by another one that there is something to do: it slept before. */
static void run_on(struct sim *s, struct worker *w)
{
	if (w == s->running || w->free_ns >= s->core.now)
		return;
	w->th.nvcsw++;
	if (s->s->kind == SIM_NETTY)
		fab_handoff(s->core.c, &s->running->th, &w->th, CLEW_HANDOFF_EVENTFD, w->th.tid,
			    s->core.now);
}

void work_io(struct sim *s, struct fab_exchange *f, enum clew_part part, struct worker *w)
{
	run_on(s, w);
	s->core.res->ops++;
	fab_io(s->core.c, f, part, &w->th, s->core.now);
	s->core.now += 2 * US;
}

uint64_t work_task_new(struct sim *s)
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

void work_task_begun(struct sim *s, const struct worker *w, uint64_t from, uint64_t to)
{
	struct fab_thread maker = w->th;

	maker.task = from;
	if (!s->s->child_silent)
		fab_handoff(s->core.c, &maker, &w->th, CLEW_HANDOFF_TASK, to, s->core.now);
}

void work_task_io(struct sim *s, struct fab_exchange *f, enum clew_part part, struct worker *w,
		  uint64_t task)
{
	bool reads = (f->x.role == CLEW_ROLE_CLIENT) == (part == CLEW_PART_RESPONSE);

	w->th.task = reads && s->s->tasks != TASKS_OWN ? 0 : task;
	work_io(s, f, part, w);
	w->th.task = 0;
}

void work_request(struct sim *s, uint32_t client, uint64_t at)
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

void work_write(struct sim *s, struct call *k)
{
	struct worker *w = k->w;

	work_task_io(s, &k->f, CLEW_PART_REQUEST, w, k->task);
	push(s, w,
	     s->core.now + (s->s->latency_us ? s->s->latency_us : between(s, 1000, 20000)) * US,
	     EV_RESPONSE, k);
}

void work_connect(struct sim *s, struct call *k)
{
	run_on(s, k->w);
	k->w->th.task = k->task;
	fab_connect(s->core.c, &k->f, &k->w->th, s->core.now);
	k->w->th.task = 0;
	push(s, k->w, s->core.now + between(s, 50, 3000) * US,
	     chance(s, s->s->refuse_pct) ? EV_REFUSED : EV_WRITABLE, k);
}

void work_call(struct sim *s, struct request *r, struct worker *w, enum sim_id kind)
{
	struct call *k = calloc(1, sizeof(*k));

	if (!k)
		abort();
	k->r = r;
	if (r)
		r->refs++;
	k->w = kind == SIM_CALL || s->s->kind == SIM_NETTY ? other(s, w) : w;
	k->task = r && kind == SIM_CALL ? r->task : work_task_new(s);
	k->child = kind != SIM_CALL;
	if (r && s->s->tasks && (kind == SIM_AFTER || chance(s, s->s->child_pct))) {
		k->task = work_task_new(s);
		k->child = true;
		if (!r->done)
			work_task_begun(s, k->w, r->task, k->task);
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
			work_connect(s, k);
			return;
		}
		fab_connect(s->core.c, &k->f, &k->w->th, s->core.now);
		s->core.now += 100 * US;
		k->w->th.nvcsw++;
	}
	work_write(s, k);
}

static void answer(struct sim *s, struct request *r, struct worker *w)
{
	uint64_t idle = s->s->clients ? between(s, s->s->clients / 2, s->s->clients * 3 / 2)
				      : between(s, 50, 500);
	struct worker *by = s->s->kind == SIM_MOVING ? other(s, w) : r->home;

	work_task_io(s, &r->f, CLEW_PART_RESPONSE, by, r->task);
	if (chance(s, 20)) {
		work_cpu(s);
		work_task_io(s, &r->f, CLEW_PART_RESPONSE, by, r->task);
	}
	fab_end(s->core.c, &r->f, 0);
	r->done = true;
	task_free(s, r->task);
	s->finished++;
	work_request(s, r->client, s->core.now + idle * US);
	if (chance(s, s->s->post_pct)) {
		work_call(s, r, w, SIM_AFTER);
	} else if (blocking(s)) {
		w->busy = false;
	}
	put_request(r);
}

/* The next step of a request; blocking workers and loops alike. */
void work_step(struct sim *s, struct request *r, struct worker *w)
{
	if (r->timed && !r->slept) {
		r->slept = true;
		push(s, w,
		     s->core.now + (s->s->timer_us ? s->s->timer_us : between(s, 1000, 20000)) * US,
		     EV_TIMER, r);
		return;
	}
	r->slept = false;
	work_cpu(s);
	while (r->stage < r->stages && chance(s, s->s->skip_pct))
		r->stage++;
	if (r->stage >= r->stages) {
		answer(s, r, w);
		return;
	}
	r->stage++;
	r->waiting = s->s->parallel ? s->s->parallel : 1;
	for (uint32_t i = r->waiting; i; i--)
		work_call(s, r, w, SIM_CALL);
}

void work_proceed(struct sim *s, struct request *r, struct worker *w)
{
	if (s->s->kind == SIM_BATCH)
		s->deferred[s->n_deferred++] = (struct sim_event){.kind = EV_STEP, .what = r};
	else
		work_step(s, r, w);
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
	work_write(s, next);
}

void work_respond(struct sim *s, struct call *k)
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
		work_connect(s, again);
		free(k);
		return;
	}
	work_task_io(s, &k->f, CLEW_PART_RESPONSE, w, k->task);
	if (chance(s, 20))
		work_task_io(s, &k->f, CLEW_PART_RESPONSE, w, k->task);
	fab_end(s->core.c, &k->f, 0);
	if (k->child)
		task_free(s, k->task);
	free_socket(s, k);
	s->free_sockets += k->agent;
	if (k->job) {
	} else if (r && !r->done) {
		if (!--r->waiting)
			work_proceed(s, r, s->s->kind == SIM_HANDOFF ? w : r->home);
	} else if (r && blocking(s)) {
		w->busy = false;
	}
	put_request(r);
	free(k);
}

/* The connection closes unused; its request is tried on another. */
void work_refused(struct sim *s, struct call *k)
{
	struct clew_rec_conn r = {.hdr = {sizeof(r), CLEW_REC_CONN, 0},
				  .ts_ns = s->core.now,
				  .conn = k->f.conn.cookie,
				  .hdr_bytes = sizeof(r),
				  .event = CLEW_CONN_CLOSED};

	clew_causality_record(s->core.c, &r.hdr);
	k->f.conn.cookie = ++s->next_conn;
	work_connect(s, k);
}

void work_job(struct sim *s, struct request *r, struct worker *w)
{
	struct call *k = calloc(1, sizeof(*k));

	if (!k)
		abort();
	k->r = r;
	r->refs++;
	k->w = w;
	k->job = k->child = true;
	k->task = work_task_new(s);
	work_task_begun(s, w, r->task, k->task);
	push(s, w, s->core.now + between(s, 1, 60) * MS, EV_JOB, k);
}
