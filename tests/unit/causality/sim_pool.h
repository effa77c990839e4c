/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated services that hand each request to a pool of threads and wait: what their sockets and
 * futexes would show, with the true cause of each call known.
 */
#pragma once

#include "sim_core.h"

struct sim_pool {
	const char *name;
	uint32_t workers;
	uint32_t tasks;	   /* of a request, side by side; 0: 1 */
	uint32_t sequence; /* hand-overs of a request, one after the other; 0: 1 */
	uint32_t calls;	   /* of a task; 0: calls_max at most, at random */
	uint32_t calls_max;
	uint32_t job_pct;     /* requests that give the pool a task that nobody waits for */
	uint32_t other_us;    /* somebody else gives the pool a task so often; 0: never */
	uint32_t unseen_pct;  /* completions without a wake-up */
	uint32_t lock_pct;    /* steps of workers that wake somebody at a lock of all */
	uint32_t private_pct; /* ... at a futex of the one who is woken (the JVM's) */
	uint32_t batch_pct;   /* tasks that answer for the next one in the queue too */
	uint32_t direct_pct;  /* requests that the owner answers alone */
	uint32_t retry_pct;   /* calls that fail, and are made again at once */
	uint32_t
		give_up_pct; /* calls that fail, and end the task: its owner answers later, by itself */
	uint32_t rush_us;   /* a task's first step comes so much later at most; 0: 15 ms */
	uint32_t empty_pct; /* tasks without a call, whatever the others have */
	uint32_t
		waits_pct; /* steps before which the worker waits for a lock, and is woken as if it were idle */
	uint32_t
		passed_pct; /* ... before which it is given a lock that it then passes on to an owner */
	uint32_t late_us;  /* the end of an answer is written so much later than its first byte */
	bool last_answers; /* the worker writes the answer, nobody waits */
};

void sim_pool_run(const struct sim_pool *s, uint32_t in_flight, uint32_t requests, uint64_t seed,
		  struct sim_result *ret);
