/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the simulated services do: requests, their steps, calls. When each thing happens is in sim.c.
 */
#pragma once

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
	struct call *pool_head, *pool_tail;
	uint32_t out, free_sockets;
	struct sim_event deferred[MAX_ROUND];
	uint32_t n_deferred;
	uint64_t next_task, free_tasks[MAX_FREE_TASKS];
	uint32_t n_free_tasks;
	struct fab_exchange *endless[64];
	uint32_t n_endless;
};

static inline uint64_t between(struct sim *s, uint64_t lo, uint64_t hi)
{
	return sim_between(&s->core, lo, hi);
}

static inline bool chance(struct sim *s, uint32_t pct)
{
	return sim_chance(&s->core, pct);
}

static inline void push(struct sim *s, struct worker *w, uint64_t ns, enum ev_kind kind, void *what)
{
	sim_push(&s->core, &w->heap, (struct sim_event){.ns = ns, .kind = kind, .what = what});
}

static inline bool blocking(const struct sim *s)
{
	return s->s->kind == SIM_THREADS || s->s->kind == SIM_PREFORK;
}

/* Some CPU time passes. */
void work_cpu(struct sim *s);
/* An operation; of a task: what a loop reads, it reads for itself. */
void work_io(struct sim *s, struct fab_exchange *f, enum clew_part part, struct worker *w);
void work_task_io(struct sim *s, struct fab_exchange *f, enum clew_part part, struct worker *w,
		  uint64_t task);
/* The runtime's tasks: a new one; one begins another. */
uint64_t work_task_new(struct sim *s);
void work_task_begun(struct sim *s, const struct worker *w, uint64_t from, uint64_t to);
/* The client asks at that time, if it still may. */
void work_request(struct sim *s, uint32_t client, uint64_t at);
/* The request's next step; at once, or after what else is ready. */
void work_step(struct sim *s, struct request *r, struct worker *w);
void work_proceed(struct sim *s, struct request *r, struct worker *w);
/* A call: made; its bytes go out; its connection is made first. */
void work_call(struct sim *s, struct request *r, struct worker *w, enum sim_id kind);
void work_write(struct sim *s, struct call *k);
void work_connect(struct sim *s, struct call *k);
/* What comes back: a response, or no connection. */
void work_respond(struct sim *s, struct call *k);
void work_refused(struct sim *s, struct call *k);
/* A task that the request begins and that calls later, perhaps when the request is over. */
void work_job(struct sim *s, struct request *r, struct worker *w);
