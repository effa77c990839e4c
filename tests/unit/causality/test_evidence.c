/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completions and locks, on a few exchanges each; what is reported of a service.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "fab.h"

#define MS   1000000ull
#define SEC  (1000 * MS)
#define MAX  8192
#define LOCK 0x5000

static struct clew_link got[MAX];
static struct clew_causality *c;
static uint64_t now;

static void on_decide(void *user, uint64_t id, const struct clew_link *l)
{
	assert_in_range(id, 1, MAX - 1);
	got[id] = *l;
}

static struct clew_service_report gone;

static void on_gone(void *user, const struct clew_service_report *r)
{
	gone = *r;
}

static void start(uint32_t without)
{
	const struct clew_causality_opts opts = {.without = without, .gone = on_gone};

	memset(got, 0, sizeof(got));
	now = SEC;
	assert_int_equal(clew_causality_new(on_decide, NULL, &opts, &c), 0);
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

static struct fab_thread python(uint32_t id)
{
	return (struct fab_thread){.tgid = 10,
				   .tid = 10,
				   .start_ns = 100,
				   .task = id ? CLEW_TASK(CLEW_TASK_PYTHON, id) : 0};
}

static struct fab_thread thread(uint32_t tid)
{
	return (struct fab_thread){.tgid = 10, .tid = tid, .start_ns = 100};
}

static void request(struct fab_exchange *f, uint64_t id, struct fab_thread *t)
{
	fab_init(f, id, CLEW_ROLE_SERVER, 10000 + id);
	fab_io(c, f, CLEW_PART_REQUEST, t, tick());
}

static void answer(struct fab_exchange *f, struct fab_thread *t)
{
	fab_io(c, f, CLEW_PART_RESPONSE, t, tick());
	fab_end(c, f, 0);
}

static void call(struct fab_exchange *f, uint64_t id, struct fab_thread *t)
{
	fab_init(f, id, CLEW_ROLE_CLIENT, 10000 + id);
	fab_io(c, f, CLEW_PART_REQUEST, t, tick());
}

static void response(struct fab_exchange *f, struct fab_thread *t)
{
	fab_io(c, f, CLEW_PART_RESPONSE, t, tick());
	fab_end(c, f, 0);
}

static void handoff(const struct fab_thread *from, const struct fab_thread *to,
		    enum clew_handoff_kind kind, uint64_t key)
{
	struct clew_rec_handoff h = {.hdr = {sizeof(h), CLEW_REC_HANDOFF, 0},
				     .ts_ns = tick(),
				     .key = key,
				     .from_task = kind == CLEW_HANDOFF_TASK ? from->task : 0,
				     .from_start_ns = from->start_ns,
				     .to_start_ns = to->start_ns,
				     .from_tgid = from->tgid,
				     .from_tid = from->tid,
				     .to_tgid = to->tgid,
				     .to_tid = to->tid,
				     .hdr_bytes = sizeof(h),
				     .kind = kind};

	clew_causality_record(c, &h.hdr);
}

static void assert_parent(uint64_t id, uint64_t parent, enum clew_link_class class)
{
	assert_int_equal(got[id].parent, parent);
	assert_int_equal(got[id].class, class);
}

static void on_report(void *user, const struct clew_service_report *r)
{
	struct clew_service_report *out = user;

	*out = *r;
}

static void test_report(void **state)
{
	struct fab_thread loop = python(0), t = python(1);
	struct clew_service_report r = {0};
	struct fab_exchange a, x;

	start(0);
	request(&a, 1, &loop);
	call(&x, 2, &t);
	response(&x, &loop);
	answer(&a, &t);
	clew_causality_advance(c, now + 3 * SEC);
	clew_causality_report(c, on_report, &r);
	stop();
	assert_int_equal(r.tgid, 10);
	assert_string_equal(r.model, "each request has a task");
	assert_int_equal(r.hits, 1);
	assert_int_equal(r.misses, 0);
	assert_int_equal(r.certain, 1);
	assert_int_equal(r.settled[__builtin_ctz(CLEW_EV_TASK)], 1);
	assert_int_equal(r.settled[__builtin_ctz(CLEW_EV_THREAD)], 0);
}

/* Workers come and go: a service is named by the one that called last. */
static void test_report_last(void **state)
{
	struct fab_thread first = thread(10), last = thread(20);
	struct clew_service_report r = {0};
	struct fab_exchange a, x;

	last.tgid = 20;
	last.start_ns = 77;
	start(0);
	request(&a, 1, &first);
	call(&x, 2, &first);
	response(&x, &first);
	answer(&a, &first);
	fab_thread_event(c, CLEW_THREAD_FORK, &last, 10, 10, tick());
	request(&a, 3, &last);
	call(&x, 4, &last);
	response(&x, &last);
	answer(&a, &last);
	clew_causality_advance(c, now + 3 * SEC);
	clew_causality_report(c, on_report, &r);
	assert_int_equal(r.certain + r.probable, 2);
	assert_int_equal(r.tgid, 20);
	assert_int_equal(r.proc_start_ns, 77);
	stop();
}

/* Orphans by what stood in the way; and the last word when the process is gone. */
static void test_report_orphans(void **state)
{
	struct fab_thread loop = thread(1), other = thread(2);
	struct clew_service_report r = {0};
	struct fab_exchange a, b, x;

	start(0);
	request(&a, 1, &loop);
	request(&b, 2, &loop);
	call(&x, 3, &other);
	response(&x, &other);
	answer(&a, &loop);
	answer(&b, &loop);
	clew_causality_advance(c, now + 3 * SEC);
	clew_causality_report(c, on_report, &r);
	assert_int_equal(r.orphans, 1);
	assert_int_equal(r.orphaned[CLEW_ORPHAN_UNNAMED], 1);
	for (int i = 0; i < CLEW_EV_N_FOR; i++)
		assert_int_equal(r.settled[i], 0);
	gone = (struct clew_service_report){0};
	stop();
	assert_int_equal(gone.orphans, 1);
	assert_int_equal(gone.orphaned[CLEW_ORPHAN_UNNAMED], 1);
}

struct pool {
	struct fab_thread owner[4], worker[2];
	struct fab_exchange req[4], call[2];
	uint64_t id;
	bool lock;
};

static void pool_init(struct pool *p)
{
	p->id = 1;
	for (uint32_t i = 0; i < 4; i++)
		p->owner[i] = thread(100 + i);
	for (uint32_t i = 0; i < 2; i++)
		p->worker[i] = thread(200 + i);
}

/* The worker's lock is given back to somebody who waits, in the middle of it all. */
static void unlock(struct pool *p, uint32_t w, uint32_t i)
{
	if (p->lock)
		handoff(&p->worker[w], &p->owner[(i + 1) % 4], CLEW_HANDOFF_FUTEX, LOCK);
}

/* Worker w ends its call for request i and wakes the owner, who answers and reads the next one. */
static void finish(struct pool *p, uint32_t i, uint32_t w)
{
	response(&p->call[w], &p->worker[w]);
	unlock(p, w, i);
	handoff(&p->worker[w], &p->owner[i], CLEW_HANDOFF_FUTEX, 0x9000 + i * 64);
	answer(&p->req[i], &p->owner[i]);
	request(&p->req[i], p->id++, &p->owner[i]);
}

/* n rounds of four requests; returns how many calls have the right parent, *ret_wrong the wrong ones. */
static uint32_t pool_run(uint32_t n, bool lock, uint32_t without, uint32_t *ret_wrong)
{
	uint64_t truth[MAX] = {0};
	uint32_t right = 0;
	struct pool p;

	start(without);
	pool_init(&p);
	for (uint32_t i = 0; i < 4; i++)
		request(&p.req[i], p.id++, &p.owner[i]);
	p.lock = lock;
	for (uint32_t i = 0; i < 4 * n; i++) {
		truth[p.id] = p.req[i % 4].x.id;
		call(&p.call[i % 2], p.id++, &p.worker[i % 2]);
		unlock(&p, i % 2, i % 4);
		if (i) /* while the other one's call is out */
			finish(&p, (i - 1) % 4, (i - 1) % 2);
	}
	clew_causality_advance(c, now + 5 * SEC);
	stop();
	*ret_wrong = 0;
	for (uint64_t id = 1; id < MAX; id++) {
		right += truth[id] && got[id].parent == truth[id];
		*ret_wrong += truth[id] && got[id].parent && got[id].parent != truth[id];
	}
	return right;
}

static void test_completion(void **state)
{
	uint32_t wrong;

	assert_true(pool_run(200, false, 0, &wrong) >= 780);
	assert_int_equal(wrong, 0);
	assert_int_equal(pool_run(200, false, CLEW_SOURCE_COMPLETION, &wrong), 0);
	assert_int_equal(wrong, 0);
	/* Too few to know the service. */
	assert_int_equal(pool_run(5, false, 0, &wrong), 0);
	assert_int_equal(wrong, 0);
}

/* Owners are woken at a lock all the time: learned from those woken while a call was out. */
static void test_lock(void **state)
{
	uint32_t wrong;

	assert_true(pool_run(200, true, 0, &wrong) >= 700);
	assert_int_equal(wrong, 0);
}

/* Three requests at a time, each read by a connection's thread that begins one to serve it. */
static uint32_t begun_run(uint32_t n, bool swapped)
{
	struct fab_exchange req[3], x;
	uint64_t id = 1, first;
	uint32_t right = 0;

	start(0);
	for (uint32_t i = 0; i < n; i++) {
		struct fab_thread reader[3], t[3];

		first = id;
		for (uint32_t k = 0; k < 3; k++) {
			reader[k] = thread(20 + k);
			t[k] = thread(1000 + i * 3 + k);
			request(&req[k], id++, &reader[k]);
			fab_thread_event(c, CLEW_THREAD_FORK, &t[k], 10, 20 + k, tick());
		}
		for (uint32_t k = 0; k < 3; k++) {
			call(&x, id++, &t[k]);
			response(&x, &t[k]);
			answer(&req[swapped ? (k + 1) % 3 : k], &t[k]);
			fab_thread_event(c, CLEW_THREAD_EXIT, &t[k], 10, 20 + k, tick());
		}
		clew_causality_advance(c, now += SEC);
		for (uint32_t k = 0; k < 3; k++) {
			uint64_t parent = got[first + 3 + k].parent;

			right += parent == first + (swapped ? (k + 1) % 3 : k);
		}
	}
	stop();
	return right;
}

static void test_thread_begun(void **state)
{
	assert_in_range(begun_run(60, false), 140, 180);
	/* They answer others than they were begun for; what is believed then is who answers. */
	begun_run(60, true);
	for (uint64_t first = 1; first < 360; first += 6)
		for (uint64_t k = 0; k < 3; k++)
			assert_true(!got[first + 3 + k].parent ||
				    got[first + 3 + k].parent == first + (k + 1) % 3);
}

/* FastCGI: after the answer the rest of the request is read; the next one comes while that is open. */
static void test_rest_of_request(void **state)
{
	struct fab_thread t = thread(10);
	struct fab_exchange a, b, rest, x;

	for (int waited = 0; waited < 2; waited++) {
		start(0);
		request(&a, 1, &t);
		a.x.proto = CLEW_PROTO_RAW;
		answer(&a, &t);
		fab_init(&rest, 2, CLEW_ROLE_SERVER, a.conn.cookie);
		rest.x.proto = CLEW_PROTO_RAW;
		t.nvcsw += (uint64_t)waited; /* then it is another request */
		fab_io(c, &rest, CLEW_PART_REQUEST, &t, tick());
		request(&b, 3, &t);
		call(&x, 4, &t);
		response(&x, &t);
		fab_end(c, &rest, CLEW_INC_NO_RESPONSE);
		answer(&b, &t);
		clew_causality_advance(c, now += 5 * SEC);
		if (!waited)
			assert_parent(4, 3, CLEW_LINK_PROBABLE);
		else
			assert_int_not_equal(got[4].class, CLEW_LINK_CERTAIN);
		stop();
	}
}

/*
 * A loop reads two requests at a time for a thread that also reads for itself. given: what it reads for
 * itself another one answers.
 */
static uint32_t reactor_run(uint32_t n, bool given)
{
	struct fab_thread loop = thread(10), t = thread(11), u = thread(12);
	struct fab_exchange a, b, own, x;
	uint32_t linked = 0;
	uint64_t id = 1;

	start(0);
	for (uint32_t i = 0; i < n; i++, id += 8) {
		request(&a, id, &loop);
		request(&b, id + 1, &loop);
		call(&x, id + 2, &t);
		response(&x, &t);
		answer(&a, &t);
		call(&x, id + 3, &t);
		response(&x, &t);
		answer(&b, &t);
		request(&own, id + 4, &t);
		call(&x, id + 5, &t);
		response(&x, &t);
		answer(&own, given ? &u : &t);
		clew_causality_advance(c, now += 3 * SEC);
		linked += got[id + 5].parent == id + 4;
	}
	stop();
	return linked;
}

static void test_loop_reads_for_others(void **state)
{
	assert_int_equal(reactor_run(100, false), 100);
	assert_int_equal(reactor_run(100, true), 0);
}

/* A worker that woke the owner is gone when that one answers. */
static void test_worker_gone(void **state)
{
	struct fab_thread owner = thread(10), w = thread(11);
	struct fab_exchange a, x;

	start(0);
	request(&a, 1, &owner);
	call(&x, 2, &w);
	response(&x, &w);
	handoff(&w, &owner, CLEW_HANDOFF_FUTEX, 0x7000);
	fab_thread_event(c, CLEW_THREAD_EXIT, &w, 10, 10, tick());
	answer(&a, &owner);
	stop();
	assert_true(got[2].class == CLEW_LINK_ORPHAN || got[2].parent == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_completion),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_report_last),
		cmocka_unit_test(test_report_orphans),
		cmocka_unit_test(test_thread_begun),
		cmocka_unit_test(test_rest_of_request),
		cmocka_unit_test(test_loop_reads_for_others),
		cmocka_unit_test(test_worker_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
