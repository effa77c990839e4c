/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated services at 1, 10, 50 and 200 requests in flight: at most 0.1 % of the links are wrong,
 * everywhere, and where the answer can be known it is found. Prints the table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim.h"

#define REQUESTS 3000

static const uint32_t loads[] = {1, 2, 10, 50, 200};

struct row {
	struct sim_service s;
	double min_right; /* %, at every load */
};

static const struct row rows[] = {
	{{"threads", SIM_THREADS, 0}, 99},
	{{"threads, timers", SIM_THREADS, 0, .timers = true}, 99},
	{{"threads, pool of 8", SIM_THREADS, 8}, 99},
	{{"threads, connect", SIM_THREADS, 0, .connects = true, .cache_pct = 20, .skip_pct = 10},
	 99},
	{{"threads, call after answer", SIM_THREADS, 16, .post_pct = 30}, 99},
	{{"threads, a thread of its own", SIM_THREADS, 0, .thread_us = 7000, .post_pct = 5}, 99},
	{{"threads, two calls at once", SIM_THREADS, 0, .parallel = 2}, 95},
	{{"threads, streaming", SIM_THREADS, 16, .stream_pct = 50}, 99},
	{{"prefork 8", SIM_PREFORK, 8}, 99},
	{{"prefork 2, timers", SIM_PREFORK, 2, .timers = true}, 99},
	{{"nginx 1, connect", SIM_LOOP, 1, 1, .connects = true}, 99},
	{{"nginx 2, connect", SIM_LOOP, 2, 1, .connects = true}, 99},
	{{"nginx 2, connect, cache", SIM_LOOP, 2, 0, .connects = true, .cache_pct = 30}, 99},
	{{"nginx 1, keep-alive", SIM_LOOP, 1, 1}, 99},
	{{"nginx 2, keep-alive", SIM_LOOP, 2, 1}, 99},
	{{"nginx 2, keep-alive, retry", SIM_LOOP, 2, 1, .retry_pct = 2}, 98},
	{{"nginx, no counters", SIM_LOOP, 2, 1, .no_counters = true, .connects = true}, 99},
	{{"nginx 2, connect, refused", SIM_LOOP, 2, 1, .connects = true, .refuse_pct = 3}, 98},
	{{"nginx 2, connect, streams", SIM_LOOP, 2, 1, .connects = true, .streams = 5}, 98},
	{{"nginx 4, fixed latency", SIM_LOOP, 4, 1, .latency_us = 5000}, 99},
	{{"node", SIM_LOOP, 1, .cache_pct = 10, .skip_pct = 10}, 99},
	{{"node, connect", SIM_LOOP, 1, .connects = true}, 99},
	{{"node, Promise.all of 3", SIM_LOOP, 1, .parallel = 3}, 0},
	{{"node, maxSockets 8", SIM_LOOP, 1, .max_sockets = 8}, 99},
	{{"node, maxSockets 45", SIM_LOOP, 1, .max_sockets = 45}, 99},
	{{"node, maxSockets 8, seq 2", SIM_LOOP, 1, 2, .max_sockets = 8, .cache_pct = 10}, 99},
	{{"node, maxSockets 8, 2 at once", SIM_LOOP, 1, 2, 2, .max_sockets = 8}, 0},
	{{"node, maxSockets 8, background", SIM_LOOP, 1, .max_sockets = 8, .background_us = 50000},
	 0},
	{{"node, timers", SIM_LOOP, 1, .timers = true}, 0},
	{{"node, agent with look-up", SIM_LOOP, 1, .agent = true}, 0},
	{{"node, fan-out of 2, then 2", SIM_LOOP, 1, 2, 2, .agent = true}, 0},
	{{"node, streaming", SIM_LOOP, 1, .stream_pct = 50}, 0},
	{{"node, fast backend", SIM_LOOP, 1, .latency_us = 200}, 0},
	{{"node, timers of 300 us", SIM_LOOP, 1, .timers = true, .timer_us = 300}, 0},
	{{"node, timers of 5 ms, fixed", SIM_LOOP, 1, 1, .timers = true, .timer_us = 5000,
	  .latency_us = 5000},
	 0},
	{{"node, the same, 2 calls", SIM_LOOP, 1, 2, .timers = true, .timer_us = 5000,
	  .latency_us = 8000},
	 0},
	{{"node, the same, no counters", SIM_LOOP, 1, 1, .timers = true, .timer_us = 400,
	  .latency_us = 5000, .no_counters = true},
	 0},
	{{"node, timers, pool of 8", SIM_LOOP, 1, .timers = true, .max_sockets = 8}, 0},
	{{"node, 5 % timers", SIM_LOOP, 1, .some_timers = true}, 0},
	{{"node, 5 % timers, no counters", SIM_LOOP, 1, .some_timers = true, .no_counters = true},
	 0},
	{{"node, timers, background", SIM_LOOP, 1, .timers = true, .background_us = 50000}, 0},
	{{"node, timers, background, idle", SIM_LOOP, 1, .timers = true, .background_us = 50000,
	  .clients = 20000},
	 0},
	{{"node, background", SIM_LOOP, 1, .background_us = 20000}, 0},
	{{"node, background, no counters", SIM_LOOP, 1, .background_us = 20000,
	  .no_counters = true},
	 0},
	{{"node, call after answer", SIM_LOOP, 1, .post_pct = 30}, 0},
	{{"node, cluster of 4", SIM_LOOP, 4}, 0},
	{{"asyncio", SIM_BATCH, 1}, 99},
	{{"asyncio, idle", SIM_BATCH, 1, .clients = 50000}, 95},
	{{"asyncio, pool of 8", SIM_BATCH, 1, .max_sockets = 8}, 99},
	{{"asyncio, pool of 8, connect", SIM_BATCH, 1, .connects = true, .cache_pct = 10}, 95},
	{{"asyncio, timers", SIM_BATCH, 1, .timers = true}, 0},
	{{"asyncio, 5 % timers", SIM_BATCH, 1, .some_timers = true}, 0},
	{{"asyncio, 5 % timers, pool of 8", SIM_BATCH, 1, .some_timers = true, .max_sockets = 8},
	 0},
	{{"asyncio, timers of 5 ms, fixed", SIM_BATCH, 1, 1, .timers = true, .timer_us = 5000,
	  .latency_us = 5000},
	 0},
	{{"asyncio, the same, background", SIM_BATCH, 1, 1, .timers = true, .timer_us = 5000,
	  .latency_us = 5000, .background_us = 20000},
	 0},
	{{"asyncio, background", SIM_BATCH, 1, .background_us = 20000}, 0},
	{{"asyncio, background, pool of 8", SIM_BATCH, 1, .background_us = 50000, .max_sockets = 8},
	 0},
	{{"asyncio, two calls at once", SIM_BATCH, 1, .parallel = 2}, 0},
	{{"asyncio, streaming", SIM_BATCH, 1, .stream_pct = 30, .max_sockets = 8}, 0},
	{{"proxy, reads first", SIM_BATCH, 2, 1, .cache_pct = 15}, 95},
	{{"proxy, reads first, queue", SIM_BATCH, 2, 1, .cache_pct = 15, .max_sockets = 8}, 95},
	{{"proxy, the same, checks", SIM_BATCH, 2, 1, .cache_pct = 15, .max_sockets = 8,
	  .background_us = 20000},
	 0},
	{{"proxy, checks, fixed latency", SIM_BATCH, 2, 1, .background_us = 20000,
	  .latency_us = 5000},
	 0},
	{{"proxy, checks, queue, fixed", SIM_BATCH, 1, 1, .background_us = 20000, .max_sockets = 8,
	  .latency_us = 1000},
	 0},
	{{"proxy, streaming, fixed latency", SIM_BATCH, 1, 1, .stream_pct = 20, .max_sockets = 5,
	  .latency_us = 3000},
	 0},
	{{"moving threads", SIM_MOVING, 8}, 0},
	{{"moving threads, idle", SIM_MOVING, 8, .clients = 50000}, 0},
	{{"loops, calls on another", SIM_NETTY, 4}, 0},
	{{"loops, calls on another, idle", SIM_NETTY, 4, .clients = 50000}, 0},
	{{"loops, timers call on another", SIM_NETTY, 2, .timers = true, .background_us = 20000},
	 0},
	{{"loops, the same, no other timers", SIM_NETTY, 2, .background_us = 50000}, 0},
	{{"loops, the same, connect", SIM_NETTY, 3, .connects = true, .background_us = 30000}, 0},
	{{"loops, timers, fixed latency", SIM_NETTY, 2, 1, .timers = true, .background_us = 20000,
	  .latency_us = 3000},
	 0},
	{{"hand-off to a pool", SIM_HANDOFF, 4}, 0},
	{{"asyncio, tasks", SIM_BATCH, 1, .tasks = TASKS_LOOP}, 99},
	{{"asyncio, tasks, timers", SIM_BATCH, 1, .timers = true, .tasks = TASKS_LOOP}, 99},
	{{"asyncio, tasks, gather", SIM_BATCH, 2, .parallel = 3, .timers = true,
	  .tasks = TASKS_LOOP, .child_pct = 100, .job_pct = 20},
	 99},
	{{"asyncio, gather unseen", SIM_BATCH, 1, .parallel = 3, .timers = true,
	  .tasks = TASKS_LOOP, .child_pct = 50, .child_silent = true, .job_pct = 20},
	 0},
	{{"node, agent, timers", SIM_LOOP, 1, .timers = true, .background_us = 50000,
	  .max_sockets = 20, .tasks = TASKS_NUMBER},
	 99},
	{{"node, agent, fan-out", SIM_LOOP, 1, 2, 2, .agent = true, .tasks = TASKS_NUMBER}, 99},
	{{"goroutines", SIM_MOVING, 8, .timers = true, .tasks = TASKS_OWN}, 99},
	{{"goroutines, others call", SIM_MOVING, 8, .parallel = 2, .timers = true,
	  .tasks = TASKS_OWN, .child_pct = 50, .job_pct = 20},
	 99},
	{{"goroutines, pool unseen", SIM_MOVING, 8, .timers = true, .tasks = TASKS_OWN,
	  .child_pct = 100, .child_silent = true},
	 0},
};

static void test_services(void **state)
{
	int failures = 0;
	double cost = 0;

	printf("%-32s  right / orphan+root / wrong %% at 1, 2, 10, 50, 200 in flight\n", "service");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		printf("%-32s", rows[i].s.name);
		for (size_t k = 0; k < 5; k++) {
			struct sim_result r;

			sim_run(&rows[i].s, loads[k], REQUESTS, 1 + i * 5 + k, &r);
			printf("  %5.1f/%5.1f/%4.2f", sim_pct(r.right, r.calls),
			       sim_pct(r.orphan + r.root, r.calls), sim_wrong_pct(&r));
			if (getenv("CLEW_TEST_COST"))
				printf(" %.0f ns", r.ns_per_op);
			if (rows[i].s.kind == SIM_LOOP && r.ns_per_op > cost)
				cost = r.ns_per_op;
			failures += sim_wrong_pct(&r) > 0.1 || r.undecided || r.decided_twice ||
				    sim_pct(r.right, r.calls) < rows[i].min_right;
		}
		printf("\n");
	}
	printf("CPU an operation, loops, simulator included: at most %.0f ns\n", cost);
	assert_int_equal(failures, 0);
}

/* The first moments of a service, when little is known: summed over many short runs. */
static void test_short_runs(void **state)
{
	int failures = 0;

	printf("%-32s  the same, 25 runs of 100 requests each\n", "service");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		printf("%-32s", rows[i].s.name);
		for (size_t k = 0; k < 5; k++) {
			struct sim_result sum = {0}, r;

			for (uint64_t seed = 1; seed <= 25; seed++) {
				sim_run(&rows[i].s, loads[k], 100, seed * 7919 + k, &r);
				sim_add(&sum, &r);
			}
			printf("  %5.1f/%5.1f/%4.2f", sim_pct(sum.right, sum.calls),
			       sim_pct(sum.orphan + sum.root, sum.calls), sim_wrong_pct(&sum));
			failures += sim_wrong_pct(&sum) > 0.1;
		}
		printf("\n");
	}
	assert_int_equal(failures, 0);
}

static uint64_t dice_state = 88172645463325252ull;

static uint32_t dice(uint32_t n)
{
	return sim_dice(&dice_state, n);
}

/* One in four gets n or less of it, but not nothing. */
static uint32_t some(uint32_t n)
{
	return dice(4) ? 0 : 1 + dice(n);
}

static struct sim_service random_service(void)
{
	static const enum sim_kind kinds[] = {SIM_LOOP,	   SIM_LOOP,	SIM_LOOP,   SIM_BATCH,
					      SIM_THREADS, SIM_PREFORK, SIM_MOVING, SIM_NETTY,
					      SIM_HANDOFF, SIM_LOOP};
	struct sim_service s = {.name = "random", .kind = kinds[dice(10)]};
	bool loop = s.kind == SIM_LOOP || s.kind == SIM_BATCH;

	if (loop)
		s.workers = 1 + dice(3);
	else if (s.kind == SIM_THREADS || s.kind == SIM_PREFORK)
		s.workers = dice(2) ? 0 : 1 + dice(20);
	else
		s.workers = 2 + dice(6);
	s.stages = dice(4);
	s.parallel = dice(3) ? 0 : 1 + dice(3);
	s.connects = !dice(3);
	s.timers = !dice(4);
	s.some_timers = !dice(4);
	s.timer_us = some(8000);
	s.latency_us = some(8000);
	s.stream_pct = some(60);
	s.cache_pct = some(80);
	s.skip_pct = some(50);
	s.post_pct = some(40);
	if (s.kind == SIM_NETTY)
		s.background_us = some(60) * 1000;
	if (s.kind == SIM_THREADS)
		s.thread_us = some(60) * 1000;
	if (loop) {
		s.background_us = some(60) * 1000;
		s.retry_pct = some(5);
		s.refuse_pct = some(5);
		s.streams = some(5);
		s.max_sockets = s.post_pct ? 0 : some(40);
		s.agent = !dice(4) && !s.connects && !s.max_sockets;
	}
	s.clients = dice(2) ? 0 : 100 + dice(50000);
	s.tasks = dice(2) || s.kind == SIM_PREFORK ? TASKS_NONE : (enum sim_tasks)dice(4);
	if (!loop && s.tasks && s.tasks != TASKS_OWN)
		s.tasks = TASKS_OWN;
	s.child_pct = some(100);
	s.child_silent = !dice(2);
	if (loop || s.kind == SIM_MOVING)
		s.job_pct = s.tasks ? some(50) : 0;
	return s;
}

/* Services that nobody thought of. One run may have a few wrong, all together not. */
static void test_random_services(void **state)
{
	static const uint32_t in_flight[] = {1, 2, 3, 5, 10, 30, 100};
	struct sim_result sum = {0};
	uint64_t worst = 0;

	for (uint32_t i = 0; i < 100; i++) {
		struct sim_service s = random_service();
		struct sim_result r;

		sim_run(&s, in_flight[i % 7], 1500, i + 1, &r);
		sim_add(&sum, &r);
		if (r.wrong + r.background_linked > worst)
			worst = r.wrong + r.background_linked;
		assert_int_equal(r.undecided + r.decided_twice, 0);
	}
	printf("100 random services: %.1f %% right, %.3f %% wrong, %llu at most in one\n",
	       sim_pct(sum.right, sum.calls + sum.background), sim_wrong_pct(&sum),
	       (unsigned long long)worst);
	assert_true(sum.calls + sum.background > 100000);
	assert_true(sim_wrong_pct(&sum) <= 0.02);
}

static void test_deterministic(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i += 5) {
		struct sim_result a, b;

		sim_run(&rows[i].s, 20, 500, 7, &a);
		sim_run(&rows[i].s, 20, 500, 7, &b);
		assert_true(a.order == b.order);
		assert_true(a.calls > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_short_runs),
		cmocka_unit_test(test_random_services),
		cmocka_unit_test(test_deterministic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
