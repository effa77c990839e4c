/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated services for the causality engine: the exchanges and operations that their sockets
 * would show, with the true cause of each call known. Deterministic: time and chance are the
 * simulator's own.
 */
#pragma once

#include "sim_core.h"

/* How work runs in the service. */
enum sim_kind {
	SIM_LOOP,  /* event loop, work goes on at once in the handler of what was read (nginx, Node)
		    */
	SIM_BATCH, /* event loop, reads of a round first, then the work (asyncio) */
	SIM_THREADS, /* a thread a request, blocking, one process */
	SIM_PREFORK, /* a process a request at a time, blocking */
	SIM_MOVING,  /* every step on another thread (goroutines without their ids) */
	SIM_NETTY,   /* home loop for the request, any loop for the calls' sockets, timers' too */
	SIM_HANDOFF, /* one thread reads, a pool calls, the reader answers */
};

/* What the records say of the runtime's tasks; each request has one. */
enum sim_tasks {
	TASKS_NONE,
	TASKS_LOOP,   /* the loop reads for them; ids are used again (asyncio) */
	TASKS_NUMBER, /* the loop reads for them; each has a number of its own (an agent) */
	TASKS_OWN,    /* they read for themselves (goroutines, virtual threads) */
};

struct sim_service {
	const char *name;
	enum sim_kind kind;
	uint32_t workers;  /* loops, threads, processes; 0: as many as are in flight */
	uint32_t stages;   /* sequential steps of calls; 0: 1 to 3 */
	uint32_t parallel; /* calls in each */
	bool connects;	   /* a connection a call: connect() now, written when it is established */
	bool timers;	   /* 1 to 20 ms of waiting between steps */
	bool some_timers;  /* ... in 5 % of the requests only */
	uint32_t max_sockets;	/* calls out at once; more wait for a response; 0: no limit */
	uint32_t background_us; /* a timer's own call so often, 0: never */
	uint32_t cache_pct;	/* requests answered without a call */
	uint32_t retry_pct;	/* calls whose connection is found closed, made again */
	uint32_t skip_pct;	/* steps left out */
	uint32_t post_pct;	/* requests that call once more after the answer */
	uint32_t timer_us;	/* exactly so long instead */
	uint32_t latency_us;	/* exactly so long is a response away */
	uint32_t stream_pct;	/* answers that begin before the calls */
	uint32_t thread_us;	/* a thread of its own in the process calls so often, 0: none */
	uint32_t refuse_pct;	/* connections that are refused, made again */
	uint32_t streams;	/* answers that never end, on each loop */
	bool agent;		/* keeps connections; a new one looks its name up first (Node) */
	bool no_counters;	/* records without thread counters */
	enum sim_tasks tasks;
	uint32_t child_pct; /* calls that a task of their own makes, begun by the request's */
	bool child_silent;  /* ... and no record tells that */
	uint32_t job_pct;   /* requests that begin a task that calls later, and answers nobody */
	uint32_t clients;   /* idle time between requests, us; 0: 50 to 500 */
};

void sim_run(const struct sim_service *s, uint32_t in_flight, uint32_t requests, uint64_t seed,
	     struct sim_result *ret);
