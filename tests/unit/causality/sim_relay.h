/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated event loops that give blocking work to a pool of threads, whose workers tell the loop of
 * each end with a byte on a socket inside the process; then the loop answers.
 */
#pragma once

#include "sim_core.h"

enum sim_taking { TAKE_FIRST, TAKE_LAST, TAKE_ANY };

struct sim_relay {
	const char *name;
	uint32_t workers;
	uint32_t calls; /* of a request; 0: calls_max at most, at random */
	uint32_t calls_max;
	enum sim_taking taking; /* which of the requests that wait a worker takes next */
	bool any_answer;	/* the loop answers those that it was told of in any order */
	uint32_t late_us;	/* up to so long after it was put down an end is told */
	uint32_t take_us;	/* ... and up to so long after that the next one is taken */
	uint32_t job_pct;	/* requests that give the pool a job, which tells of its end too */
	uint32_t silent_pct;	/* ... one that tells nothing */
	uint32_t direct_pct;	/* requests that the loop answers alone */
	uint32_t think_us;	/* at most, between calls; 0: 5 ms */
};

void sim_relay_run(const struct sim_relay *s, uint32_t in_flight, uint32_t requests, uint64_t seed,
		   struct sim_result *ret);
