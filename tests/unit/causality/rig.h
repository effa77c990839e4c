/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of single rules share: an engine, a clock that goes on by itself, and what was decided.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "fab.h"

#define MS  1000000ull
#define SEC (1000 * MS)
#define MAX 4096 /* ids are less */

struct rig_got {
	struct clew_link link[MAX];
	uint32_t times[MAX];
	uint64_t order[MAX];
	uint32_t n;
};

extern struct rig_got got;
extern struct clew_causality *c;
extern uint64_t now;

void start(const struct clew_causality_opts *opts);
void stop(void);
uint64_t tick(void);

struct fab_thread thread(uint32_t tgid, uint32_t tid);
/* The task id of process 10's loop; 0: the loop itself. */
struct fab_thread python(uint32_t id);
/* A goroutine of process 10, which may be on any thread; 0: none. */
struct fab_thread goroutine(uint32_t id);
/* from wakes to, which waits on a futex. */
void wakes(const struct fab_thread *from, const struct fab_thread *to, uint64_t key);
void request(struct fab_exchange *f, uint64_t id, struct fab_thread *t);
void answer(struct fab_exchange *f, struct fab_thread *t);
void call(struct fab_exchange *f, uint64_t id, struct fab_thread *t);
/* Read after a sleep. */
void response(struct fab_exchange *f, struct fab_thread *t);
/* The thread finds the end of the connection. */
void eof(const struct fab_exchange *f, const struct fab_thread *t);
/* n requests that a loop serves two at a time, each with a call: the service becomes known. */
void warm_up(struct fab_thread *t, uint64_t first_id, uint32_t n);

#define assert_link(id, p, k)                             \
	do {                                              \
		assert_int_equal(got.times[id], 1);       \
		assert_int_equal(got.link[id].parent, p); \
		assert_int_equal(got.link[id].class, k);  \
	} while (0)
