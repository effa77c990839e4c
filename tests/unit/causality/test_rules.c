/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's rules one by one, on a few exchanges each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "fab.h"

#define MS  1000000ull
#define SEC (1000 * MS)
#define MAX 4096

static struct {
	struct clew_link link[MAX];
	uint32_t times[MAX];
	uint64_t order[MAX];
	uint32_t n;
} got;

static struct clew_causality *c;
static uint64_t now;

static void on_decide(void *user, uint64_t id, const struct clew_link *l)
{
	assert_in_range(id, 1, MAX - 1);
	got.link[id] = *l;
	got.times[id]++;
	got.order[got.n++] = id;
}

static void start(const struct clew_causality_opts *opts)
{
	memset(&got, 0, sizeof(got));
	now = SEC;
	assert_int_equal(clew_causality_new(on_decide, NULL, opts, &c), 0);
}

static void stop(void)
{
	clew_causality_free(c);
	c = NULL;
}

static uint64_t tick(void)
{
	return now += MS / 10;
}

static struct fab_thread thread(uint32_t tgid, uint32_t tid)
{
	return (struct fab_thread){.tgid = tgid, .tid = tid, .start_ns = tgid * 10ull};
}

static void request(struct fab_exchange *f, uint64_t id, struct fab_thread *t)
{
	fab_init(f, id, CLEW_ROLE_SERVER, 1000 + id);
	fab_io(c, f, CLEW_PART_REQUEST, t, tick());
}

static void answer(struct fab_exchange *f, struct fab_thread *t)
{
	fab_io(c, f, CLEW_PART_RESPONSE, t, tick());
	fab_end(c, f, 0);
}

static void call(struct fab_exchange *f, uint64_t id, struct fab_thread *t)
{
	fab_init(f, id, CLEW_ROLE_CLIENT, 1000 + id);
	fab_io(c, f, CLEW_PART_REQUEST, t, tick());
}

static void response(struct fab_exchange *f, struct fab_thread *t)
{
	t->nvcsw++;
	fab_io(c, f, CLEW_PART_RESPONSE, t, tick());
	fab_end(c, f, 0);
}

/* n requests that a loop serves two at a time, each with a call: the service becomes known. */
static void warm_up(struct fab_thread *t, uint64_t first_id, uint32_t n)
{
	struct fab_exchange a, b, x, y;
	uint64_t id = first_id;

	for (uint32_t i = 0; i < n; i++) {
		request(&a, id++, t);
		call(&x, id++, t);
		request(&b, id++, t);
		call(&y, id++, t);
		response(&x, t);
		answer(&a, t);
		response(&y, t);
		answer(&b, t);
	}
}

#define assert_link(id, p, k)                             \
	do {                                              \
		assert_int_equal(got.times[id], 1);       \
		assert_int_equal(got.link[id].parent, p); \
		assert_int_equal(got.link[id].class, k);  \
	} while (0)

static void test_thread(void **state)
{
	struct fab_thread t = thread(10, 11);
	struct fab_exchange a, x, y;

	start(NULL);
	request(&a, 1, &t);
	call(&x, 2, &t);
	response(&x, &t);
	call(&y, 3, &t);
	response(&y, &t);
	answer(&a, &t);
	assert_int_equal(got.n, 0); /* the service is new: contrary evidence may still come */
	clew_causality_advance(c, now + SEC);
	assert_int_equal(got.n, 0);
	clew_causality_advance(c, now + 3 * SEC);
	assert_link(2, 1, CLEW_LINK_PROBABLE);
	assert_link(3, 1, CLEW_LINK_PROBABLE);
	assert_true(got.link[2].evidence & CLEW_EV_EXCLUSIVE);
	assert_true(got.link[2].evidence & CLEW_EV_THREAD);
	assert_true(got.link[2].evidence & CLEW_EV_COMPLETION);
	assert_true(got.link[2].confidence > 0.9 && got.link[2].confidence < 1);
	assert_int_equal(got.order[0], 2);
	for (uint64_t id = 10; id < 210; id += 2) {
		request(&a, id, &t);
		call(&x, id + 1, &t);
		response(&x, &t);
		answer(&a, &t);
	}
	assert_link(209, 208, CLEW_LINK_CERTAIN); /* known by now: decided with the answer */
	stop();
	assert_int_equal(got.times[209], 1);
}

static void test_root_and_after_answer(void **state)
{
	struct fab_thread t = thread(10, 11), u = thread(10, 12);
	struct fab_exchange a, b, x, y, z;

	start(NULL);
	call(&x, 1, &t);
	response(&x, &t);
	assert_link(1, 0, CLEW_LINK_ROOT);
	assert_true(got.link[1].evidence & CLEW_EV_NONE_OPEN);
	request(&a, 2, &t);
	answer(&a, &t);
	call(&y, 3, &t); /* after the answer, nothing open */
	response(&y, &t);
	assert_link(3, 0, CLEW_LINK_ROOT);
	request(&a, 6, &t);
	request(&b, 4, &u);
	answer(&a, &t);
	call(&z, 5, &t); /* after the answer, another thread serves */
	response(&z, &t);
	answer(&b, &u);
	stop();
	assert_link(5, 0, CLEW_LINK_ORPHAN);
	assert_int_equal(got.link[5].n_candidates, 2);
	assert_int_equal(got.link[5].candidates[0], 6);
	assert_int_equal(got.link[5].candidates[1], 4);
}

static void test_streaming_answer(void **state)
{
	struct fab_thread t = thread(10, 11);
	struct fab_exchange a, x;

	start(NULL);
	request(&a, 1, &t);
	fab_io(c, &a, CLEW_PART_RESPONSE, &t, tick()); /* the head goes out first */
	call(&x, 2, &t);
	response(&x, &t);
	answer(&a, &t);
	stop();
	assert_link(2, 1, CLEW_LINK_PROBABLE);
}

static void test_other_thread(void **state)
{
	struct fab_thread t = thread(10, 11), w = thread(10, 12);
	struct fab_exchange req[12], x;

	start(NULL);
	for (uint64_t i = 0; i < 12; i++) {
		struct fab_thread own = thread(10, 20 + (uint32_t)i);

		request(&req[i], i + 1, &own);
	}
	call(&x, 100, &w);
	response(&x, &w);
	stop();
	assert_link(100, 0, CLEW_LINK_ORPHAN);
	assert_true(got.link[100].evidence & CLEW_EV_UNCONFIRMED);
	assert_int_equal(got.link[100].n_candidates, CLEW_MAX_CANDIDATES);
	assert_int_equal(got.link[100].candidates[0], 12);
	(void)t;
}

/* nginx's default: connect() in A's segment, the write in B's. */
static void test_connect(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x, y;
	uint64_t id = 1;

	start(NULL);
	for (int i = 0; i < 100; i++, id += 4) {
		request(&a, id, &t);
		fab_init(&x, id + 1, CLEW_ROLE_CLIENT, 1001 + id);
		fab_connect(c, &x, &t, tick());
		request(&b, id + 2, &t);
		fab_init(&y, id + 3, CLEW_ROLE_CLIENT, 1003 + id);
		fab_connect(c, &y, &t, tick());
		t.nvcsw++;
		fab_io(c, &x, CLEW_PART_REQUEST, &t, tick());
		fab_io(c, &y, CLEW_PART_REQUEST, &t, tick());
		response(&x, &t);
		answer(&a, &t);
		response(&y, &t);
		answer(&b, &t);
	}
	stop();
	for (uint64_t i = 1; i < id; i += 2) {
		assert_link(i + 1, i, CLEW_LINK_CERTAIN);
		assert_true(got.link[i + 1].evidence & CLEW_EV_CONNECT);
	}
}

static void test_conflict(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x;

	start(NULL);
	warm_up(&t, 1, 100);
	request(&a, 1001, &t);
	request(&b, 1002, &t);
	call(&x, 1003, &t); /* after B was read ... */
	response(&x, &t);
	answer(&a, &t); /* ... but A is answered */
	answer(&b, &t);
	stop();
	assert_link(1003, 0, CLEW_LINK_ORPHAN);
	assert_true(got.link[1003].evidence & CLEW_EV_CONFLICT);
	assert_int_equal(got.link[1003].n_candidates, 2);
	assert_int_equal(got.link[1003].candidates[0], 1002);
	assert_int_equal(got.link[1003].candidates[1], 1001);
	assert_link(2, 1, CLEW_LINK_CERTAIN);
}

static void test_slept(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x;

	start(NULL);
	warm_up(&t, 1, 200);
	request(&a, 1001, &t);
	request(&b, 1002, &t);
	t.nvcsw++; /* the loop slept: a timer */
	call(&x, 1003, &t);
	response(&x, &t);
	answer(&b, &t);
	answer(&a, &t);
	stop();
	assert_link(1003, 0, CLEW_LINK_ORPHAN);
}

/* Two requests in one read: what comes next may be for either. */
static void test_pipelined(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x;

	start(NULL);
	warm_up(&t, 1, 100);
	fab_init(&a, 1001, CLEW_ROLE_SERVER, 77);
	fab_init(&b, 1002, CLEW_ROLE_SERVER, 77);
	tick();
	fab_io(c, &a, CLEW_PART_REQUEST, &t, now);
	fab_io(c, &b, CLEW_PART_REQUEST, &t, now);
	call(&x, 1003, &t);
	response(&x, &t);
	answer(&a, &t);
	answer(&b, &t);
	stop();
	assert_link(1003, 0, CLEW_LINK_ORPHAN);
	assert_int_equal(got.link[1003].n_candidates, 2);
}

static void test_retry(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x, y;

	start(NULL);
	warm_up(&t, 1, 100);
	request(&a, 1001, &t);
	call(&x, 1002, &t);
	request(&b, 1003, &t);
	fab_end(c, &x, CLEW_INC_NO_RESPONSE); /* the connection was stale */
	fab_init(&y, 1004, CLEW_ROLE_CLIENT, 5004);
	fab_connect(c, &y, &t, tick());
	answer(&b, &t);
	fab_io(c, &y, CLEW_PART_REQUEST, &t, tick());
	response(&y, &t);
	answer(&a, &t);
	stop();
	assert_int_not_equal(got.link[1004].class, CLEW_LINK_ROOT);
	assert_true(got.link[1004].parent == 1001 || got.link[1004].candidates[0] == 1001);
}

static void test_lost_records(void **state)
{
	struct fab_thread t = thread(10, 11);
	struct fab_exchange a, x, y;

	start(NULL);
	request(&a, 1, &t);
	t.lost = 3;
	call(&x, 2, &t);
	response(&x, &t);
	answer(&a, &t);
	t.lost = 1;
	call(&y, 3, &t); /* a request may have been among what was lost: not a root */
	response(&y, &t);
	stop();
	assert_link(2, 0, CLEW_LINK_ORPHAN);
	assert_link(3, 0, CLEW_LINK_ORPHAN);
}

static void test_task(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x, y;

	start(NULL);
	t.task = CLEW_TASK(CLEW_TASK_GO, 1);
	request(&a, 1, &t);
	t.task = CLEW_TASK(CLEW_TASK_GO, 2);
	request(&b, 2, &t);
	t.task = CLEW_TASK(CLEW_TASK_GO, 1);
	call(&x, 3, &t);
	t.task = CLEW_TASK(CLEW_TASK_GO, 2);
	call(&y, 4, &t);
	t.tid = 99; /* a task may move to another thread */
	response(&y, &t);
	answer(&b, &t);
	t.task = CLEW_TASK(CLEW_TASK_GO, 1);
	response(&x, &t);
	answer(&a, &t);
	stop();
	assert_link(3, 1, CLEW_LINK_CERTAIN);
	assert_link(4, 2, CLEW_LINK_CERTAIN);
	assert_true(got.link[3].evidence & CLEW_EV_TASK);
}

/* A goroutine that is first seen now may have been begun for the request before this one. */
static void test_task_told_late(void **state)
{
	struct fab_thread t = thread(10, 10), job = thread(10, 11);
	struct clew_rec_handoff h = {.hdr = {sizeof(h), CLEW_REC_HANDOFF, 0},
				     .from_task = CLEW_TASK(CLEW_TASK_GO, 1),
				     .from_start_ns = t.start_ns,
				     .to_start_ns = t.start_ns,
				     .from_tgid = 10,
				     .from_tid = 11,
				     .to_tgid = 10,
				     .to_tid = 11,
				     .hdr_bytes = sizeof(h),
				     .kind = CLEW_HANDOFF_TASK};
	struct fab_exchange a, b, x[3];
	uint64_t begun;

	start(NULL);
	t.task = CLEW_TASK(CLEW_TASK_GO, 1);
	request(&a, 1, &t);
	begun = tick();
	answer(&a, &t);
	request(&b, 2, &t);
	for (unsigned i = 0; i < 3; i++) {
		job.task = h.key = CLEW_TASK(CLEW_TASK_GO, 2 + i);
		h.ts_ns = tick();
		/* begun in the first request; nobody knows when; begun in this one */
		h.age_us = i == 0 ? (h.ts_ns - begun + 999) / 1000 : i == 1 ? CLEW_AGE_UNKNOWN : 1;
		clew_causality_record(c, &h.hdr);
		call(&x[i], 3 + i, &job);
		response(&x[i], &job);
	}
	answer(&b, &t);
	stop();
	assert_int_not_equal(got.link[3].parent, 2);
	assert_int_not_equal(got.link[4].parent, 2);
	assert_link(5, 2, CLEW_LINK_CERTAIN);
}

static void test_fork_per_request(void **state)
{
	struct fab_thread t = thread(10, 10), child = thread(20, 20), grand = thread(30, 30);
	struct fab_exchange a, b, x, y, z;

	start(NULL);
	request(&a, 1, &t);
	fab_thread_event(c, CLEW_THREAD_FORK, &child, 10, 10, tick());
	fab_thread_event(c, CLEW_THREAD_EXEC, &child, 0, 0, tick());
	fab_thread_event(c, CLEW_THREAD_FORK, &grand, 20, 20, tick());
	call(&x, 2, &child);
	response(&x, &child);
	call(&y, 3, &grand);
	response(&y, &grand);
	answer(&a, &t);
	request(&b, 4, &t);
	call(&z, 5, &child); /* lives on: must not keep the request */
	response(&z, &child);
	answer(&b, &t);
	stop();
	assert_link(2, 1, CLEW_LINK_PROBABLE);
	assert_true(got.link[2].evidence & CLEW_EV_FORK);
	assert_link(3, 1, CLEW_LINK_PROBABLE);
	assert_link(5, 0, CLEW_LINK_ROOT);
}

static void test_thread_exit(void **state)
{
	struct fab_thread t = thread(10, 11), other = thread(10, 12);
	struct fab_exchange a, b, x;

	start(NULL);
	request(&a, 1, &t);
	request(&b, 2, &other);
	fab_thread_event(c, CLEW_THREAD_EXIT, &t, 0, 0, tick());
	call(&x, 3, &t); /* the same id, another thread */
	response(&x, &t);
	answer(&a, &t);
	answer(&b, &other);
	stop();
	assert_link(3, 0, CLEW_LINK_ORPHAN);
}

/* Workers that a master forked know what their siblings learned. */
static void test_siblings(void **state)
{
	struct fab_thread w = thread(20, 20), v = thread(21, 21);
	struct fab_exchange a, b, x, y;

	start(NULL);
	fab_thread_event(c, CLEW_THREAD_FORK, &w, 10, 10, tick());
	fab_thread_event(c, CLEW_THREAD_FORK, &v, 10, 10, tick());
	warm_up(&w, 1, 100);
	request(&a, 1001, &v);
	call(&x, 1002, &v);
	request(&b, 1003, &v);
	call(&y, 1004, &v);
	response(&y, &v);
	answer(&b, &v);
	assert_link(1004, 1003, CLEW_LINK_CERTAIN);
	response(&x, &v);
	answer(&a, &v);
	assert_link(1002, 1001, CLEW_LINK_CERTAIN);
	stop();
}

static void test_bounds(void **state)
{
	struct clew_causality_opts opts = {.stream_ns = 5 * SEC, .max_open = 10};
	struct fab_thread t = thread(10, 11);
	struct fab_exchange a, x[40];

	start(&opts);
	request(&a, 1, &t);
	for (uint64_t i = 0; i < 40; i++)
		call(&x[i], 100 + i, &t);
	assert_int_equal(got.n, 30); /* the oldest had to go */
	assert_int_equal(got.order[0], 100);
	assert_int_equal(clew_causality_stats(c)->forced, 30);
	clew_causality_advance(c, now + 6 * SEC); /* the answer never comes */
	assert_int_equal(got.n, 40);
	for (uint64_t i = 0; i < 40; i++)
		response(&x[i], &t);
	answer(&a, &t);
	stop();
	assert_int_equal(got.n, 40);
}

static void test_never_ends(void **state)
{
	struct fab_thread t = thread(10, 11), w = thread(10, 12);
	struct fab_exchange a, x, y;

	start(NULL);
	request(&a, 1, &t);
	call(&x, 2, &t); /* no response */
	call(&y, 3, &w);
	answer(&a, &t);
	clew_causality_advance(c, now + 3 * SEC);
	assert_link(2, 1, CLEW_LINK_PROBABLE);
	assert_link(3, 0, CLEW_LINK_ORPHAN);
	clew_causality_flush(c);
	fab_end(c, &x, CLEW_INC_NO_RESPONSE);
	stop();
	assert_int_equal(got.n, 2);
}

/* A connection that was made in advance belongs to the one who uses it. */
static void test_connect_in_advance(void **state)
{
	struct fab_thread t = thread(10, 11), pool = thread(10, 12);
	struct fab_exchange a, b, x, y;

	start(NULL);
	request(&a, 1, &t);
	fab_init(&x, 3, CLEW_ROLE_CLIENT, 1003);
	fab_connect(c, &x, &t, tick());
	answer(&a, &t);
	request(&b, 2, &t);
	fab_io(c, &x, CLEW_PART_REQUEST, &t, tick());
	response(&x, &t);
	fab_init(&y, 4, CLEW_ROLE_CLIENT, 1004);
	fab_connect(c, &y, &pool, tick());
	fab_io(c, &y, CLEW_PART_REQUEST, &t, tick());
	response(&y, &t);
	answer(&b, &t);
	stop();
	assert_link(3, 2, CLEW_LINK_PROBABLE);
	assert_link(4, 2, CLEW_LINK_PROBABLE);
}

static void raw_call(struct fab_exchange *f, uint64_t id, uint64_t cookie, struct fab_thread *t)
{
	fab_init(f, id, CLEW_ROLE_CLIENT, cookie);
	f->x.proto = CLEW_PROTO_RAW;
	fab_io(c, f, CLEW_PART_REQUEST, t, tick());
}

static bool is_candidate(uint64_t id, uint64_t req)
{
	for (uint32_t i = 0; i < got.link[id].n_candidates; i++)
		if (got.link[id].candidates[i] == req)
			return true;
	return false;
}

/* Commands of two requests in one run of bytes are nobody's alone, and say nothing of the service.
 */
static void test_shared(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, d, x, y, z;

	start(NULL);
	warm_up(&t, 100, 100);
	request(&a, 1, &t);
	raw_call(&x, 2, 9000, &t);
	request(&b, 3, &t);
	fab_io(c, &x, CLEW_PART_REQUEST, &t, tick());
	response(&x, &t);
	answer(&a, &t);
	answer(&b, &t);
	/* The next command is alone again. */
	request(&d, 4, &t);
	raw_call(&y, 5, 9000, &t);
	response(&y, &t);
	answer(&d, &t);
	/* And the answers after the shared response were no misses. */
	request(&a, 6, &t);
	request(&b, 7, &t);
	call(&z, 8, &t);
	response(&z, &t);
	answer(&b, &t);
	answer(&a, &t);
	stop();
	assert_link(2, 0, CLEW_LINK_ORPHAN);
	assert_true(got.link[2].evidence & CLEW_EV_CONFLICT);
	assert_true(is_candidate(2, 1));
	assert_true(is_candidate(2, 3));
	assert_link(5, 4, CLEW_LINK_CERTAIN);
	assert_link(8, 7, CLEW_LINK_CERTAIN);
}

/* While one that wrote into a shared run still waits, the next run may hold its answer. */
static void test_shared_goes_on(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, d, x, y;

	start(NULL);
	warm_up(&t, 100, 100);
	request(&a, 1, &t);
	raw_call(&x, 2, 9000, &t);
	request(&b, 3, &t);
	fab_io(c, &x, CLEW_PART_REQUEST, &t, tick());
	response(&x, &t);
	answer(&a, &t);
	request(&d, 4, &t);
	raw_call(&y, 5, 9000, &t);
	response(&y, &t);
	answer(&b, &t);
	answer(&d, &t);
	stop();
	assert_link(2, 0, CLEW_LINK_ORPHAN);
	assert_link(5, 0, CLEW_LINK_ORPHAN);
	assert_true(is_candidate(5, 3));
	assert_true(is_candidate(5, 4));
}

static void eof(const struct fab_exchange *f, const struct fab_thread *t)
{
	struct {
		struct clew_rec_io io;
		uint64_t cnt[FAB_COUNTERS];
	} r = {.io = {.hdr = {sizeof(r), CLEW_REC_IO, CLEW_IO_EOF},
		      .begin_ns = now,
		      .end_ns = now,
		      .conn = f->conn.cookie,
		      .offset = f->rx,
		      .proc_start_ns = t->start_ns,
		      .tgid = t->tgid,
		      .tid = t->tid,
		      .hdr_bytes = sizeof(struct clew_rec_io),
		      .dir = CLEW_DIR_RX,
		      .n_counters = FAB_COUNTERS}};

	r.cnt[CLEW_CNT_NVCSW] = t->nvcsw;
	clew_causality_record(c, &r.io.hdr);
}

/* A response that ends with its connection is read when that end is. */
static void test_response_ends_by_eof(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x;

	start(NULL);
	warm_up(&t, 100, 100);
	request(&a, 1, &t);
	call(&x, 2, &t);
	t.nvcsw++;
	fab_io(c, &x, CLEW_PART_RESPONSE, &t, tick());
	request(&b, 3, &t);
	t.nvcsw++;
	tick();
	eof(&x, &t);
	fab_end(c, &x, 0);
	answer(&a, &t);
	answer(&b, &t);
	stop();
	assert_link(2, 1, CLEW_LINK_CERTAIN);
}

/* A pool connects for the first requests and never again: the calls that follow speak for those. */
static void test_pool_fills(void **state)
{
	enum { N = 14 };
	struct fab_thread t = thread(10, 10);
	struct fab_exchange req[N], x[N];

	start(NULL);
	for (uint32_t i = 0; i < N; i++) {
		request(&req[i], 1 + i, &t);
		fab_init(&x[i], 1 + N + i, CLEW_ROLE_CLIENT, 5000 + i);
		fab_connect(c, &x[i], &t, tick());
		fab_io(c, &x[i], CLEW_PART_REQUEST, &t, tick());
	}
	for (uint32_t i = 0; i < N; i++) {
		response(&x[i], &t);
		answer(&req[i], &t);
	}
	for (uint32_t i = 1; i < N; i++) /* the first one was alone */
		assert_int_equal(got.times[1 + N + i], 0);
	warm_up(&t, 100, 100);
	stop();
	for (uint32_t i = 0; i < N; i++)
		assert_link(1 + N + i, 1 + i, CLEW_LINK_CERTAIN);
}

static uint64_t rnd(uint64_t *state, uint64_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state >> 11) % n;
}

/*
 * Anything in any order: reads of answers that nobody asked for, threads that exit in between, ids
 * that are used again. Every call is decided exactly once, and (under a sanitizer) no memory is
 * misused.
 */
static void test_anything(void **state)
{
	enum { N = 300 };
	static struct fab_exchange f[N];
	struct clew_causality_opts opts = {.max_open = 50};
	uint64_t seed = 42, calls = 0;

	for (int round = 0; round < 60; round++) {
		bool begun[N] = {0}, ended[N] = {0};

		start(&opts);
		for (uint32_t i = 0; i < N; i++)
			fab_init(&f[i], i + 1, 1 + (enum clew_role)rnd(&seed, 2),
				 1 + rnd(&seed, 90));
		for (uint32_t i = 0; i < N; i += 3)
			f[i].x.proto = CLEW_PROTO_RAW;
		for (int step = 0; step < 3000; step++) {
			uint32_t i = (uint32_t)rnd(&seed, N);
			uint32_t tgid = 10 + (uint32_t)rnd(&seed, 4);
			struct fab_thread t = thread(tgid, tgid * 10 + (uint32_t)rnd(&seed, 3));

			t.nvcsw = rnd(&seed, 3);
			t.lost = !rnd(&seed, 50);
			t.task = rnd(&seed, 10) ? 0 : 1 + rnd(&seed, 3);
			t.start_ns += !rnd(&seed, 100);
			if (!rnd(&seed, 20))
				eof(&f[i], &t);
			switch (rnd(&seed, 10)) {
			case 0:
				fab_thread_event(c, 1 + (enum clew_thread_event)rnd(&seed, 4), &t,
						 10 + (uint32_t)rnd(&seed, 4),
						 100 + (uint32_t)rnd(&seed, 30), tick());
				break;
			case 1:
				if (f[i].x.role == CLEW_ROLE_CLIENT && !begun[i])
					fab_connect(c, &f[i], &t, tick());
				break;
			case 2:
				clew_causality_advance(c, now += rnd(&seed, 300) * MS);
				break;
			case 3:
				if (begun[i] && !ended[i])
					fab_end(c, &f[i], rnd(&seed, 2) ? CLEW_INC_NO_RESPONSE : 0);
				ended[i] |= begun[i];
				break;
			default:
				if (ended[i])
					break;
				fab_io(c, &f[i],
				       begun[i] ? (enum clew_part)rnd(&seed, 2) : CLEW_PART_REQUEST,
				       &t, tick());
				begun[i] = true;
				break;
			}
		}
		if (rnd(&seed, 2))
			clew_causality_flush(c);
		stop();
		for (uint32_t i = 0; i < N; i++) {
			bool call = begun[i] && f[i].x.role == CLEW_ROLE_CLIENT;

			calls += call;
			assert_int_equal(got.times[i + 1], call);
		}
	}
	assert_true(calls > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thread),
		cmocka_unit_test(test_root_and_after_answer),
		cmocka_unit_test(test_streaming_answer),
		cmocka_unit_test(test_other_thread),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_conflict),
		cmocka_unit_test(test_slept),
		cmocka_unit_test(test_pipelined),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_lost_records),
		cmocka_unit_test(test_task),
		cmocka_unit_test(test_task_told_late),
		cmocka_unit_test(test_fork_per_request),
		cmocka_unit_test(test_thread_exit),
		cmocka_unit_test(test_siblings),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_never_ends),
		cmocka_unit_test(test_connect_in_advance),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_shared_goes_on),
		cmocka_unit_test(test_response_ends_by_eof),
		cmocka_unit_test(test_pool_fills),
		cmocka_unit_test(test_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
