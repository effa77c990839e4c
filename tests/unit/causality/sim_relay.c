/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop ── request ──► queue ──► worker: think, call, think ... ── puts the result down, then tells the loop
 *
 * What is put down and what is told are two steps, as in asyncio: two workers may swap in between.
 */
#include <stdlib.h>
#include <string.h>

#include "fab.h"
#include "sim_relay.h"

#define QUEUE 4096u
#define START 5
#define IN    701 /* the loop's end of the socket */
#define OUT   702

struct request {
	struct fab_exchange f;
	uint32_t client;
};

struct task {
	struct request *r; /* NULL: a job */
	uint64_t truth;
	uint32_t calls;
	bool silent;
};

struct worker {
	struct fab_thread th;
	struct task task;
	struct fab_exchange call;
	bool busy;
};

enum what { ARRIVE, STEP, RESPONSE, TELL, TAKE, HEAR, DIRECT };

struct sim {
	const struct sim_relay *s;
	struct sim_core core;
	struct sim_heap heap;
	struct worker *w;
	struct fab_thread loop;
	struct request **cur;
	uint32_t n_clients, started, wanted;
	struct task queue[QUEUE];
	uint32_t n_queue;
	struct request *results[QUEUE];
	uint32_t n_results, untold;
	uint64_t told, heard;
	bool hears;
};

static void push(struct sim *s, uint64_t ns, enum what what, uint32_t who)
{
	sim_push(&s->core, &s->heap, (struct sim_event){.ns = ns, .kind = what, .who = who});
}

static uint64_t up_to(struct sim *s, uint64_t us)
{
	return (1 + sim_below(&s->core, us + 1)) * US;
}

static void think(struct sim *s, uint32_t i)
{
	push(s, s->core.now + up_to(s, s->s->think_us ? s->s->think_us : 5000), STEP, i);
}

static void io(struct sim *s, struct fab_exchange *f, enum clew_part part, struct fab_thread *t)
{
	s->core.now += 2 * US;
	s->core.res->ops++;
	t->nvcsw++;
	fab_io(s->core.c, f, part, t, s->core.now);
}

static void socket_end(struct sim *s, uint64_t cookie, uint64_t peer)
{
	struct clew_rec_conn r = {.hdr = {sizeof(r), CLEW_REC_CONN, 0},
				  .ts_ns = s->core.now,
				  .conn = cookie,
				  .peer_conn = peer,
				  .proc_start_ns = START,
				  .tgid = 100,
				  .tid = s->loop.tid,
				  .hdr_bytes = sizeof(r),
				  .event = CLEW_CONN_ADOPTED,
				  .family = CLEW_AF_UNIX};

	clew_causality_record(s->core.c, &r.hdr);
}

static void bytes(struct sim *s, const struct fab_thread *t, uint64_t cookie, uint64_t at,
		  uint32_t n)
{
	struct clew_rec_io r = {.hdr = {sizeof(r), CLEW_REC_IO, 0},
				.begin_ns = s->core.now,
				.end_ns = s->core.now,
				.conn = cookie,
				.offset = at,
				.bytes = n,
				.proc_start_ns = START,
				.tgid = t->tgid,
				.tid = t->tid,
				.hdr_bytes = sizeof(r),
				.dir = cookie == IN ? CLEW_DIR_RX : CLEW_DIR_TX};

	clew_causality_record(s->core.c, &r.hdr);
}

static struct task take(struct sim *s)
{
	uint32_t i = s->s->taking == TAKE_FIRST	 ? 0
		     : s->s->taking == TAKE_LAST ? s->n_queue - 1
						 : (uint32_t)sim_below(&s->core, s->n_queue);
	struct task t = s->queue[i];

	s->n_queue--;
	memmove(&s->queue[i], &s->queue[i + 1], (s->n_queue - i) * sizeof(s->queue[0]));
	return t;
}

static void begin(struct sim *s, uint32_t i)
{
	if (s->w[i].busy || !s->n_queue)
		return;
	s->w[i].busy = true;
	s->w[i].task = take(s);
	think(s, i);
}

static void bring(struct sim *s, struct task t)
{
	if (s->n_queue == QUEUE)
		abort();
	s->queue[s->n_queue++] = t;
	for (uint32_t i = 0; i < s->s->workers; i++)
		begin(s, i);
}

static uint32_t calls(struct sim *s)
{
	return s->s->calls ? s->s->calls : (uint32_t)sim_below(&s->core, s->s->calls_max + 1);
}

static void arrive(struct sim *s, uint32_t client)
{
	struct request *r;
	uint64_t id;

	if (s->started++ >= s->wanted)
		return;
	r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	r->client = client;
	s->cur[client] = r;
	id = sim_new_id(&s->core, 0, SIM_REQUEST);
	fab_init(&r->f, id, CLEW_ROLE_SERVER, 1000000 + client);
	r->f.rx = r->f.tx = s->core.next_id * 1000;
	io(s, &r->f, CLEW_PART_REQUEST, &s->loop);
	if (sim_chance(&s->core, s->s->direct_pct)) {
		push(s, s->core.now + 100 * US, DIRECT, client);
		return;
	}
	bring(s, (struct task){r, id, calls(s), false});
	if (sim_chance(&s->core, s->s->job_pct))
		bring(s, (struct task){NULL, id, calls(s), false});
	if (sim_chance(&s->core, s->s->silent_pct))
		bring(s, (struct task){NULL, id, calls(s), true});
}

static void answer(struct sim *s, struct request *r)
{
	io(s, &r->f, CLEW_PART_RESPONSE, &s->loop);
	fab_end(s->core.c, &r->f, 0);
	s->cur[r->client] = NULL;
	push(s, s->core.now + (50 + sim_below(&s->core, 1000)) * US, ARRIVE, r->client);
	free(r);
}

static void hear(struct sim *s)
{
	uint32_t n = s->n_results;

	s->hears = false;
	if (s->told > s->heard)
		bytes(s, &s->loop, IN, s->heard, (uint32_t)(s->told - s->heard));
	s->heard = s->told;
	for (; n; n--) {
		uint32_t i = s->s->any_answer ? (uint32_t)sim_below(&s->core, n) : 0;
		struct request *r = s->results[i];

		s->n_results--;
		memmove(&s->results[i], &s->results[i + 1],
			(s->n_results - i) * sizeof(s->results[0]));
		answer(s, r);
	}
}

static void step(struct sim *s, uint32_t i)
{
	struct worker *w = &s->w[i];

	if (!w->task.calls) {
		if (w->task.r)
			s->results[s->n_results++] = w->task.r;
		push(s, s->core.now + up_to(s, s->s->late_us), w->task.silent ? TAKE : TELL, i);
		return;
	}
	w->task.calls--;
	fab_init(&w->call, sim_new_id(&s->core, w->task.truth, w->task.r ? SIM_CALL : SIM_AFTER),
		 CLEW_ROLE_CLIENT, 5000 + i);
	io(s, &w->call, CLEW_PART_REQUEST, &w->th);
	push(s, s->core.now + (500 + sim_below(&s->core, 5000)) * US, RESPONSE, i);
}

static void tell(struct sim *s, uint32_t i)
{
	bytes(s, &s->w[i].th, OUT, s->told++, 1);
	if (!s->hears)
		push(s, s->core.now + up_to(s, 300), HEAR, 0);
	s->hears = true;
	push(s, s->core.now + up_to(s, s->s->take_us), TAKE, i);
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
		fab_end(s->core.c, &w->call, 0);
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
		answer(s, s->cur[e->who]);
		break;
	}
}

void sim_relay_run(const struct sim_relay *service, uint32_t in_flight, uint32_t requests,
		   uint64_t seed, struct sim_result *ret)
{
	struct sim *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	sim_core_begin(&s->core, seed, ret);
	s->s = service;
	s->wanted = requests;
	s->w = calloc(service->workers, sizeof(*s->w));
	s->cur = calloc(in_flight, sizeof(*s->cur));
	if (!s->w || !s->cur)
		abort();
	s->loop = (struct fab_thread){.tgid = 100, .tid = 100, .start_ns = START};
	for (uint32_t i = 0; i < service->workers; i++)
		s->w[i].th = (struct fab_thread){.tgid = 100, .tid = 1000 + i, .start_ns = START};
	socket_end(s, IN, OUT);
	socket_end(s, OUT, IN);
	for (uint32_t i = 0; i < in_flight; i++)
		push(s, 1 * MS + sim_below(&s->core, 20000) * US, ARRIVE, i);
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
	free(s->cur);
	free(s);
}
