/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop ── request ──► queue ──► worker: think, call, think ... ── puts the result down, then tells the loop
 *
 * What is put down and what is told are two steps, as in asyncio: two workers may swap in between.
 */
#include <stdlib.h>
#include <string.h>

#include "sim_relay.h"
#include "sim_threads.h"

#define MAX_RESULTS 4096u
#define IN	    701 /* the loop's end of the socket */
#define OUT	    702

enum what { ARRIVE = SIM_ARRIVE, STEP = SIM_OWN, RESPONSE, TELL, TAKE, HEAR, DIRECT };

struct sim {
	struct sim_threads t;
	const struct sim_relay *s;
	struct fab_thread loop;
	struct sim_request *results[MAX_RESULTS];
	uint32_t n_results;
	uint64_t told, heard;
	bool hears;
};

static void push(struct sim *s, uint64_t us, enum what what, uint32_t who)
{
	sim_later(&s->t, s->t.core.now + us * US, what, who);
}

static uint64_t up_to(struct sim *s, uint64_t us)
{
	return 1 + sim_below(&s->t.core, us + 1);
}

static void think(struct sim *s, uint32_t i)
{
	push(s, up_to(s, s->s->think_us ? s->s->think_us : 5000), STEP, i);
}

static void socket_end(struct sim *s, uint64_t cookie, uint64_t peer)
{
	struct clew_rec_conn r = {.hdr = {sizeof(r), CLEW_REC_CONN, 0},
				  .ts_ns = s->t.core.now,
				  .conn = cookie,
				  .peer_conn = peer,
				  .proc_start_ns = SIM_START_NS,
				  .tgid = 100,
				  .tid = s->loop.tid,
				  .hdr_bytes = sizeof(r),
				  .event = CLEW_CONN_ADOPTED,
				  .family = CLEW_AF_UNIX};

	clew_causality_record(s->t.core.c, &r.hdr);
}

static void bytes(struct sim *s, const struct fab_thread *t, uint64_t cookie, uint64_t at,
		  uint32_t n)
{
	struct clew_rec_io r = {.hdr = {sizeof(r), CLEW_REC_IO, 0},
				.begin_ns = s->t.core.now,
				.end_ns = s->t.core.now,
				.conn = cookie,
				.offset = at,
				.bytes = n,
				.proc_start_ns = SIM_START_NS,
				.tgid = t->tgid,
				.tid = t->tid,
				.hdr_bytes = sizeof(r),
				.dir = cookie == IN ? CLEW_DIR_RX : CLEW_DIR_TX};

	clew_causality_record(s->t.core.c, &r.hdr);
}

static uint32_t next(struct sim *s)
{
	switch (s->s->taking) {
	case TAKE_FIRST:
		return 0;
	case TAKE_LAST:
		return sim_queued(&s->t) - 1;
	case TAKE_ANY:
		break;
	}
	return (uint32_t)sim_below(&s->t.core, sim_queued(&s->t));
}

static void begin(struct sim *s, uint32_t i)
{
	if (s->t.w[i].busy || !sim_queued(&s->t))
		return;
	s->t.w[i].busy = true;
	s->t.w[i].task = sim_take(&s->t, next(s));
	think(s, i);
}

static void bring(struct sim *s, struct sim_request *r, uint64_t truth, bool silent)
{
	uint64_t calls = s->s->calls ? s->s->calls : sim_below(&s->t.core, s->s->calls_max + 1);

	sim_queue(&s->t, (struct sim_task){r, truth, (uint32_t)calls, r != NULL, silent});
	for (uint32_t i = 0; i < s->t.n_workers; i++)
		begin(s, i);
}

static void arrive(struct sim *s, uint32_t client)
{
	struct sim_request *r = sim_ask(&s->t, client, &s->loop);

	if (!r)
		return;
	if (sim_chance(&s->t.core, s->s->direct_pct)) {
		push(s, 100, DIRECT, client);
		return;
	}
	bring(s, r, r->f.x.id, false);
	if (sim_chance(&s->t.core, s->s->job_pct))
		bring(s, NULL, r->f.x.id, false);
	if (sim_chance(&s->t.core, s->s->silent_pct))
		bring(s, NULL, r->f.x.id, true);
}

static void answer(struct sim *s, struct sim_request *r)
{
	sim_io(&s->t, &r->f, CLEW_PART_RESPONSE, &s->loop);
	sim_answered(&s->t, r->client);
}

static void hear(struct sim *s)
{
	uint32_t n = s->n_results;

	s->hears = false;
	if (s->told > s->heard)
		bytes(s, &s->loop, IN, s->heard, (uint32_t)(s->told - s->heard));
	s->heard = s->told;
	for (; n; n--) {
		uint32_t i = s->s->any_answer ? (uint32_t)sim_below(&s->t.core, n) : 0;
		struct sim_request *r = s->results[i];

		s->n_results--;
		memmove(&s->results[i], &s->results[i + 1],
			(s->n_results - i) * sizeof(s->results[0]));
		answer(s, r);
	}
}

static void step(struct sim *s, uint32_t i)
{
	const struct sim_worker *w = &s->t.w[i];

	if (!w->task.calls) {
		if (w->task.r)
			s->results[s->n_results++] = w->task.r;
		push(s, up_to(s, s->s->late_us), w->task.silent ? TAKE : TELL, i);
		return;
	}
	sim_call(&s->t, i);
	push(s, 500 + sim_below(&s->t.core, 5000), RESPONSE, i);
}

static void tell(struct sim *s, uint32_t i)
{
	bytes(s, &s->t.w[i].th, OUT, s->told++, 1);
	if (!s->hears)
		push(s, up_to(s, 300), HEAR, 0);
	s->hears = true;
	push(s, up_to(s, s->s->take_us), TAKE, i);
}

static void handle(void *user, const struct sim_event *e)
{
	struct sim *s = user;
	struct sim_worker *w = &s->t.w[e->who];

	switch ((enum what)e->kind) {
	case ARRIVE:
		arrive(s, e->who);
		break;
	case STEP:
		step(s, e->who);
		break;
	case RESPONSE:
		sim_io(&s->t, &w->call, CLEW_PART_RESPONSE, &w->th);
		fab_end(s->t.core.c, &w->call, 0);
		think(s, e->who);
		break;
	case TELL:
		tell(s, e->who);
		break;
	case TAKE:
		w->busy = false;
		begin(s, e->who);
		break;
	case HEAR:
		hear(s);
		break;
	case DIRECT:
		answer(s, s->t.cur[e->who]);
		break;
	}
}

void sim_relay_run(const struct sim_relay *service, uint32_t in_flight, uint32_t requests,
		   uint64_t seed, struct sim_result *ret)
{
	struct sim *s = calloc(1, sizeof(*s));

	if (!s || in_flight > MAX_RESULTS)
		abort();
	s->s = service;
	s->loop = (struct fab_thread){.tgid = 100, .tid = 100, .start_ns = SIM_START_NS};
	sim_threads_begin(&s->t, service->workers, in_flight, requests, seed, ret);
	s->t.op_ns = 2 * US;
	socket_end(s, IN, OUT);
	socket_end(s, OUT, IN);
	sim_threads_run(&s->t, handle, s);
	free(s);
}
