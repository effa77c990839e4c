/* SPDX-License-Identifier: Apache-2.0 */
/* What simulators of services with pools of threads share. */
#include <stdlib.h>

#include "sim_threads.h"

#define QUEUE 65536u

void sim_threads_begin(struct sim_threads *t, uint32_t workers, uint32_t clients, uint32_t requests,
		       uint64_t seed, struct sim_result *ret)
{
	*t = (struct sim_threads){
		.n_workers = workers, .n_clients = clients, .wanted = requests, .op_ns = 3 * US};
	sim_core_begin(&t->core, seed, ret);
	t->w = calloc(workers, sizeof(*t->w));
	t->cur = calloc(clients, sizeof(*t->cur));
	t->queue = calloc(QUEUE, sizeof(*t->queue));
	if (!t->w || !t->cur || !t->queue)
		abort();
	for (uint32_t i = 0; i < workers; i++)
		t->w[i].th =
			(struct fab_thread){.tgid = 100, .tid = 1000 + i, .start_ns = SIM_START_NS};
	for (uint32_t i = 0; i < clients; i++)
		sim_later(t, 1 * MS + sim_below(&t->core, 20000) * US, SIM_ARRIVE, i);
}

void sim_threads_run(struct sim_threads *t, void (*handle)(void *user, const struct sim_event *e),
		     void *user)
{
	while (t->heap.n) {
		struct sim_event e = sim_pop(&t->heap);

		if (e.ns > t->core.now)
			t->core.now = e.ns;
		clew_causality_advance(t->core.c, t->core.now);
		handle(user, &e);
	}
	sim_core_end(&t->core);
	free(t->heap.e);
	free(t->w);
	free(t->cur);
	free(t->queue);
}

void sim_later(struct sim_threads *t, uint64_t ns, int kind, uint32_t who)
{
	sim_push(&t->core, &t->heap, (struct sim_event){.ns = ns, .kind = kind, .who = who});
}

void sim_io(struct sim_threads *t, struct fab_exchange *f, enum clew_part part,
	    struct fab_thread *by)
{
	t->core.now += t->op_ns;
	t->core.res->ops++;
	by->nvcsw++;
	fab_io(t->core.c, f, part, by, t->core.now);
}

struct sim_request *sim_ask(struct sim_threads *t, uint32_t client, struct fab_thread *by)
{
	struct sim_request *r;

	if (t->started++ >= t->wanted)
		return NULL;
	r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	r->client = client;
	t->cur[client] = r;
	fab_init(&r->f, sim_new_id(&t->core, 0, SIM_REQUEST), CLEW_ROLE_SERVER, 1000000 + client);
	r->f.rx = r->f.tx = t->core.next_id * 1000;
	sim_io(t, &r->f, CLEW_PART_REQUEST, by);
	return r;
}

void sim_answered(struct sim_threads *t, uint32_t client)
{
	struct sim_request *r = t->cur[client];

	fab_end(t->core.c, &r->f, 0);
	t->cur[client] = NULL;
	free(r);
	t->finished++;
	sim_later(t, t->core.now + (50 + sim_below(&t->core, 1000)) * US, SIM_ARRIVE, client);
}

void sim_queue(struct sim_threads *t, struct sim_task task)
{
	if (sim_queued(t) == QUEUE)
		abort();
	t->queue[t->q_tail++ % QUEUE] = task;
}

uint32_t sim_queued(const struct sim_threads *t)
{
	return (uint32_t)(t->q_tail - t->q_head);
}

const struct sim_task *sim_next(const struct sim_threads *t)
{
	return &t->queue[t->q_head % QUEUE];
}

struct sim_task sim_take(struct sim_threads *t, uint32_t at)
{
	struct sim_task task = t->queue[(t->q_head + at) % QUEUE];

	for (uint64_t i = t->q_head + at; i > t->q_head; i--)
		t->queue[i % QUEUE] = t->queue[(i - 1) % QUEUE];
	t->q_head++;
	return task;
}

void sim_call(struct sim_threads *t, uint32_t worker)
{
	struct sim_worker *w = &t->w[worker];
	/* What a job or another's task calls may be anybody's who says so, or nobody's. */
	enum sim_id kind = w->task.waited_for ? SIM_CALL : SIM_AFTER;

	w->task.calls--;
	fab_init(&w->call, sim_new_id(&t->core, w->task.truth, kind), CLEW_ROLE_CLIENT,
		 5000 + worker);
	sim_io(t, &w->call, CLEW_PART_REQUEST, &w->th);
}
