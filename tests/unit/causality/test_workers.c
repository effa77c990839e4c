/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that work for others' tasks: the record names the task that waits, or the work by its number.
 */
#include "rig.h"

#define LOOP_END   900
#define WORKER_END 901

static void socket_end(uint64_t cookie, uint64_t peer, const struct fab_thread *t)
{
	struct clew_rec_conn r = {.hdr = {sizeof(r), CLEW_REC_CONN, 0},
				  .ts_ns = tick(),
				  .conn = cookie,
				  .peer_conn = peer,
				  .proc_start_ns = t->start_ns,
				  .tgid = t->tgid,
				  .tid = t->tid,
				  .hdr_bytes = sizeof(r),
				  .event = CLEW_CONN_ADOPTED,
				  .family = CLEW_AF_UNIX};

	clew_causality_record(c, &r.hdr);
}

static void byte(const struct fab_thread *t, uint64_t cookie, uint64_t at)
{
	struct clew_rec_io r = {.hdr = {sizeof(r), CLEW_REC_IO, 0},
				.begin_ns = tick(),
				.end_ns = now,
				.conn = cookie,
				.offset = at,
				.bytes = 1,
				.proc_start_ns = t->start_ns,
				.tgid = t->tgid,
				.tid = t->tid,
				.hdr_bytes = sizeof(r),
				.dir = cookie == LOOP_END ? CLEW_DIR_RX : CLEW_DIR_TX};

	clew_causality_record(c, &r.hdr);
}

/*
 * A worker that tells the loop of its ends runs a copy of a context, which may be anybody's by the time of an
 * answer. But the task that waits for it is told to be that.
 */
static void test_awaited(void **state)
{
	for (int awaited = 0; awaited < 2; awaited++) {
		struct fab_thread loop = python(0), t = python(1), u = python(2),
				  worker = thread(loop.tgid, 77);
		struct fab_exchange a, b, x;

		worker.start_ns = loop.start_ns;
		start(NULL);
		socket_end(LOOP_END, WORKER_END, &loop);
		socket_end(WORKER_END, LOOP_END, &loop);
		byte(&loop, LOOP_END, 0);
		byte(&worker, WORKER_END, 0); /* from now on it is known to tell */
		request(&a, 1, &loop);
		request(&b, 2, &loop);
		worker.task = t.task;
		worker.flags = awaited ? CLEW_IO_AWAITED : 0;
		call(&x, 3, &worker);
		response(&x, &loop);
		answer(&b, &u);
		answer(&a, &t);
		clew_causality_advance(c, now + SEC);
		stop();
		assert_link(3, awaited ? 1 : 0, awaited ? CLEW_LINK_CERTAIN : CLEW_LINK_ORPHAN);
	}
}

/* from made the future of this work age_us ago. */
static void gave(const struct fab_thread *from, const struct fab_thread *worker, uint32_t age_us)
{
	struct clew_rec_handoff h = fab_handoff_record(from, worker, CLEW_HANDOFF_TASK, tick());

	h.from_task = 0;
	h.age_us = age_us;
	clew_causality_record(c, &h.hdr);
}

/* A worker's calls are for whom the thread served that made the future, and for nobody once it serves another. */
static void test_work(void **state)
{
	struct fab_thread ta = thread(10, 11), tb = thread(10, 12), worker = thread(10, 77);
	struct fab_exchange a, b, d, x, y;

	start(NULL);
	request(&a, 1, &ta);
	request(&b, 2, &tb);
	now += MS;
	worker.task = CLEW_TASK(CLEW_TASK_WORK, 1);
	gave(&ta, &worker, 100);
	call(&x, 3, &worker);
	response(&x, &worker);
	answer(&a, &ta);
	request(&d, 5, &ta);
	/* Made while ta served the first one. */
	worker.task = CLEW_TASK(CLEW_TASK_WORK, 2);
	gave(&ta, &worker, 1000);
	call(&y, 4, &worker);
	response(&y, &worker);
	answer(&b, &tb);
	answer(&d, &ta);
	clew_causality_advance(c, now + SEC);
	stop();
	assert_link(3, 1, CLEW_LINK_CERTAIN);
	assert_true(got.link[3].evidence & CLEW_EV_HANDED);
	assert_link(4, 0, CLEW_LINK_ORPHAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_awaited),
		cmocka_unit_test(test_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
