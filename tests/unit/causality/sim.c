/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator: workers (loops or blocking threads), each with a heap of events; what they do is in
 * sim_work.c.
 *
 * A loop takes what is ready (a round), handles each with some CPU time, and sleeps when nothing
 * is; a sleep shows as a voluntary switch. A blocking worker has one event at a time.
 */
#include <stdlib.h>
#include <time.h>

#include "sim_work.h"

static void handle(struct sim *s, struct worker *w, const struct sim_event *e)
{
	struct request *r = e->what;

	work_cpu(s);
	switch ((enum ev_kind)e->kind) {
	case EV_REQUEST:
		fab_init(&r->f, sim_new_id(&s->core, 0, SIM_REQUEST), CLEW_ROLE_SERVER,
			 1000000 + r->client);
		r->f.rx = r->f.tx = s->core.next_id * 1000;
		r->home = w;
		r->task = work_task_new(s);
		work_task_io(s, &r->f, CLEW_PART_REQUEST, w, r->task);
		if (s->s->tasks == TASKS_LOOP && s->s->child_pct)
			work_task_begun(s, w, 0, r->task); /* as any other */
		if (chance(s, s->s->job_pct))
			work_job(s, r, w);
		if (chance(s, s->s->stream_pct))
			work_task_io(s, &r->f, CLEW_PART_RESPONSE, w, r->task);
		work_proceed(s, r, w);
		break;
	case EV_RESPONSE:
		work_respond(s, e->what);
		break;
	case EV_WRITABLE:
		work_write(s, e->what);
		break;
	case EV_TIMER:
		work_step(s, r, w);
		break;
	case EV_BACKGROUND:
		work_call(s, NULL, w, SIM_BACKGROUND);
		if (s->finished < s->wanted)
			push(s, w,
			     s->core.now +
				     (s->s->background_us ? s->s->background_us : s->s->thread_us) *
					     US,
			     EV_BACKGROUND, NULL);
		break;
	case EV_LOOKUP:
		work_connect(s, e->what);
		break;
	case EV_REFUSED:
		work_refused(s, e->what);
		break;
	case EV_PUSH: /* an endless answer goes on */
		work_io(s, e->what, CLEW_PART_RESPONSE, w);
		if (s->finished < s->wanted)
			push(s, w, s->core.now + 10 * MS, EV_PUSH, e->what);
		break;
	case EV_JOB: {
		struct call *k = e->what;

		fab_init(&k->f, sim_new_id(&s->core, k->r->f.x.id, SIM_AFTER), CLEW_ROLE_CLIENT,
			 ++s->next_conn);
		work_write(s, k);
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
		work_step(s, s->deferred[i].what, w);
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
		work_request(s, i, 1 * MS + between(s, 0, 20000) * US);
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
