/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What simulators of services with pools of threads share:
 *
 *	clients ──► request ──► whoever reads it ──► queue ──► worker: think, call, think ... ── answer
 *
 * One heap of events for all. Each client asks for one thing at a time.
 */
#pragma once

#include "fab.h"
#include "sim_core.h"

#define SIM_START_NS 5 /* the process's */

struct sim_request {
	struct fab_exchange f;
	uint32_t client;
	uint32_t waiting, rounds; /* tasks that are not done; hand-overs so far */
};

struct sim_task {
	struct sim_request *r; /* NULL: a job's, or somebody else's */
	uint64_t truth;	       /* id of the request that brought it */
	uint32_t calls;
	bool waited_for;
	bool silent; /* tells nobody of its end */
};

struct sim_worker {
	struct fab_thread th;
	struct sim_task task;
	struct fab_exchange call;
	bool busy;
};

/* The first kind of event; simulators count on from it. */
enum { SIM_ARRIVE, SIM_OWN };

struct sim_threads {
	struct sim_core core;
	struct sim_heap heap;
	struct sim_worker *w;
	uint32_t n_workers, n_clients;
	struct sim_request **cur; /* of each client */
	uint32_t started, wanted, finished;
	uint64_t op_ns; /* what an operation takes */
	struct sim_task *queue;
	uint64_t q_head, q_tail;
};

/* Every client arrives within the first 20 ms. Clears *ret. */
void sim_threads_begin(struct sim_threads *t, uint32_t workers, uint32_t clients, uint32_t requests,
		       uint64_t seed, struct sim_result *ret);
/* Lets everything happen, until nothing is left to, and frees all. */
void sim_threads_run(struct sim_threads *t, void (*handle)(void *user, const struct sim_event *e),
		     void *user);

void sim_later(struct sim_threads *t, uint64_t ns, int kind, uint32_t who);
void sim_io(struct sim_threads *t, struct fab_exchange *f, enum clew_part part,
	    struct fab_thread *by);

/* The client's next request is read; NULL: there were enough. */
struct sim_request *sim_ask(struct sim_threads *t, uint32_t client, struct fab_thread *by);
/* Its answer is written to the end: it asks again soon. */
void sim_answered(struct sim_threads *t, uint32_t client);

void sim_queue(struct sim_threads *t, struct sim_task task);
uint32_t sim_queued(const struct sim_threads *t);
/* The first of those that wait, which must be there. */
const struct sim_task *sim_next(const struct sim_threads *t);
/* Takes the at-th of them. */
struct sim_task sim_take(struct sim_threads *t, uint32_t at);
/* The worker's task calls. */
void sim_call(struct sim_threads *t, uint32_t worker);
