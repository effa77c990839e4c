/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks that have a connection to themselves and call for whoever asks, on a few exchanges each.
 */
#include "rig.h"

#define KNOWN 40 /* rounds after which the service is known */

static struct fab_thread tokio(uint32_t id)
{
	struct fab_thread t = thread(10, 10 + id % 4);

	t.task = CLEW_TASK(CLEW_TASK_TOKIO, id);
	return t;
}

static void tells(const struct fab_thread *from, const struct fab_thread *to,
		  enum clew_handoff_kind kind, uint16_t flags)
{
	struct clew_rec_handoff h = fab_handoff_record(from, to, kind, tick());

	h.hdr.flags = flags;
	h.to_tid = from->tid;
	clew_causality_record(c, &h.hdr);
}

static void rouses(const struct fab_thread *from, const struct fab_thread *to)
{
	tells(from, to, CLEW_HANDOFF_WOKEN, 0);
}

static void unlocks(const struct fab_thread *from, const struct fab_thread *to)
{
	tells(from, to, CLEW_HANDOFF_WOKEN, CLEW_HANDOFF_LOCK);
}

static void begins(const struct fab_thread *from, const struct fab_thread *to)
{
	tells(from, to, CLEW_HANDOFF_TASK, 0);
}

/* A connection that task `by` made. */
static struct clew_conn connection(uint64_t cookie, const struct fab_thread *by)
{
	return (struct clew_conn){.cookie = cookie,
				  .role = CLEW_ROLE_CLIENT,
				  .connector = {by->start_ns, by->task, by->tgid, by->tid}};
}

static void call_on(struct fab_exchange *f, uint64_t id, struct fab_thread *t,
		    struct clew_conn *conn)
{
	fab_init(f, id, CLEW_ROLE_CLIENT, conn->cookie);
	f->x.conn = conn;
	f->x.began_by_connect = !conn->n_exchanges++;
	fab_io(c, f, CLEW_PART_REQUEST, t, tick());
}

/* Two requests at a time, a call for each over two connections, to and fro; 5 ids a round. Returns the next. */
static uint64_t rounds(uint32_t n, uint64_t id, struct clew_conn conns[2],
		       struct fab_thread clients[2])
{
	for (uint32_t i = 0; i < n; i++, id += 4) {
		struct fab_thread h[2] = {tokio(1), tokio(2)};
		struct fab_exchange r[2], x[2];

		for (int k = 0; k < 2; k++)
			request(&r[k], id + k, &h[k]);
		for (int k = 0; k < 2; k++) {
			rouses(&h[k], &clients[k ^ (i & 1)]);
			call_on(&x[k], id + 2 + k, &clients[k ^ (i & 1)], &conns[k ^ (i & 1)]);
		}
		for (int k = 0; k < 2; k++) {
			response(&x[k], &clients[k ^ (i & 1)]);
			rouses(&clients[k ^ (i & 1)], &h[k]);
		}
		for (int k = 0; k < 2; k++)
			answer(&r[k], &h[k]);
	}
	return id;
}

struct client {
	struct fab_thread maker, task[2];
	struct clew_conn conn[2];
	uint64_t id;
};

static struct client known(void)
{
	struct client cl = {.maker = tokio(99), .task = {tokio(100), tokio(101)}};

	cl.conn[0] = connection(7000, &cl.maker);
	cl.conn[1] = connection(7001, &cl.maker);
	start(NULL);
	cl.id = rounds(KNOWN, 10, cl.conn, cl.task);
	return cl;
}

/* Who asked, and was told. */
static void test_asked(void **state)
{
	struct client cl = known();

	stop();
	for (uint64_t id = 10; id < cl.id; id += 4) {
		assert_link(id + 2, id, CLEW_LINK_CERTAIN);
		assert_link(id + 3, id + 1, CLEW_LINK_CERTAIN);
		assert_true(got.link[id + 2].evidence & CLEW_EV_HANDED);
	}
}

/* Few of them are not known well enough. */
static void test_few(void **state)
{
	struct fab_thread maker = tokio(99), task[2] = {tokio(100), tokio(101)};
	struct clew_conn conn[2] = {connection(7000, &maker), connection(7001, &maker)};

	start(NULL);
	rounds(5, 10, conn, task);
	stop();
	assert_link(12, 0, CLEW_LINK_ORPHAN);
}

/* Who was served before reads on in its response, and wakes the connection's task for that. */
static void test_late_reader(void **state)
{
	struct client cl = known();
	struct fab_thread a = tokio(1), b = tokio(2);
	struct fab_exchange ra, rb, x, y;

	request(&ra, 1, &a);
	request(&rb, 2, &b);
	rouses(&a, &cl.task[0]);
	call_on(&x, 3, &cl.task[0], &cl.conn[0]);
	response(&x, &cl.task[0]);
	rouses(&cl.task[0], &a);
	rouses(&b, &cl.task[0]);
	rouses(&a, &cl.task[0]);
	call_on(&y, 4, &cl.task[0], &cl.conn[0]);
	response(&y, &cl.task[0]);
	rouses(&cl.task[0], &b);
	answer(&ra, &a);
	answer(&rb, &b);
	stop();
	assert_link(3, 1, CLEW_LINK_CERTAIN);
	assert_link(4, 2, CLEW_LINK_CERTAIN);
}

/* One who did not ask is told first; nobody is told; and who asked only let go of a lock. */
static void test_ends_differ(void **state)
{
	for (int how = 0; how < 3; how++) {
		struct client cl = known();
		struct fab_thread a = tokio(1), b = tokio(2);
		struct fab_exchange ra, rb, x;

		request(&ra, 1, &a);
		request(&rb, 2, &b);
		if (how == 2)
			unlocks(&a, &cl.task[0]);
		else
			rouses(&a, &cl.task[0]);
		call_on(&x, 3, &cl.task[0], &cl.conn[0]);
		response(&x, &cl.task[0]);
		if (how != 1)
			rouses(&cl.task[0], how ? &a : &b);
		if (how == 0)
			rouses(&cl.task[0], &a);
		answer(&ra, &a);
		answer(&rb, &b);
		stop();
		assert_link(3, 0, CLEW_LINK_ORPHAN);
		assert_int_equal(got.link[12].parent, how ? 10 : 0); /* a miss in so few */
	}
}

/* What the connection's task was begun for is not what it calls for. */
static void test_begun_for_another(void **state)
{
	struct client cl = known();
	struct fab_thread a = tokio(1), b = tokio(2), task = tokio(200);
	struct clew_conn conn = connection(7100, &a);
	struct fab_exchange ra, rb, x, y, z;

	request(&ra, 1, &a);
	request(&rb, 2, &b);
	begins(&a, &task);
	rouses(&b, &task);
	call_on(&x, 3, &task, &conn);
	response(&x, &task);
	rouses(&task, &b);
	call_on(&y, 4, &task, &conn); /* asked by nobody */
	response(&y, &task);
	rouses(&a, &task);
	call_on(&z, 5, &task, &conn);
	response(&z, &task);
	rouses(&task, &a);
	answer(&ra, &a);
	answer(&rb, &b);
	stop();
	assert_link(3, 2, CLEW_LINK_CERTAIN);
	assert_link(4, 0, CLEW_LINK_ORPHAN);
	assert_link(5, 1, CLEW_LINK_CERTAIN);
	(void)cl;
}

/* A task that was begun for a request calls by itself, whoever lets it: on sockets that others use, too. */
static void test_own_sockets(void **state)
{
	struct client cl = known();
	struct fab_thread a = tokio(1), b = tokio(2), t = tokio(200), u = tokio(201);
	struct clew_conn mine = connection(7100, &t), free = connection(7101, &b);
	struct fab_exchange ra, rb, x, w, y, z;

	request(&ra, 1, &a);
	request(&rb, 2, &b);
	call_on(&x, 3, &b, &free);
	response(&x, &b);
	call_on(&w, 6, &a, &free);
	response(&w, &a);
	begins(&a, &t);
	begins(&b, &u);
	rouses(&b, &t);
	call_on(&y, 4, &t, &mine);
	response(&y, &t);
	rouses(&t, &b);
	rouses(&a, &u);
	call_on(&z, 5, &u, &free);
	response(&z, &u);
	rouses(&u, &a);
	answer(&ra, &a);
	answer(&rb, &b);
	stop();
	assert_link(3, 2, CLEW_LINK_CERTAIN);
	assert_link(4, 1, CLEW_LINK_CERTAIN);
	assert_link(5, 2, CLEW_LINK_CERTAIN);
	assert_link(6, 1, CLEW_LINK_CERTAIN);
	(void)cl;
}

/* Two who ask have their commands in one exchange of a protocol that is not known. */
static void test_commands(void **state)
{
	struct client cl = known();
	struct fab_thread a = tokio(1), b = tokio(2);
	struct fab_exchange ra, rb, x, y;

	request(&ra, 1, &a);
	request(&rb, 2, &b);
	rouses(&a, &cl.task[0]);
	call_on(&x, 3, &cl.task[0], &cl.conn[0]);
	rouses(&b, &cl.task[0]);
	x.x.proto = CLEW_PROTO_RAW;
	fab_io(c, &x, CLEW_PART_REQUEST, &cl.task[0], tick());
	response(&x, &cl.task[0]);
	rouses(&cl.task[0], &a);
	rouses(&cl.task[0], &b);
	rouses(&b, &cl.task[0]);
	call_on(&y, 4, &cl.task[0], &cl.conn[0]);
	y.x.proto = CLEW_PROTO_RAW;
	response(&y, &cl.task[0]);
	rouses(&cl.task[0], &b);
	answer(&ra, &a);
	answer(&rb, &b);
	stop();
	assert_link(3, 0, CLEW_LINK_ORPHAN);
	assert_int_equal(got.link[3].n_candidates, 2);
	assert_link(4, 2, CLEW_LINK_CERTAIN);
}

/* Workers behind a queue: who they tell in the end is who they worked for. */
static void test_workers(void **state)
{
	struct fab_thread w[2] = {tokio(50), tokio(51)};
	struct clew_conn conn[2] = {connection(7000, &w[0]), connection(7001, &w[1])};
	uint64_t id = 10;

	start(NULL);
	for (uint32_t i = 0; i < 200; i++, id += 6) {
		struct fab_thread h[3] = {tokio(1000 + 2 * i), tokio(1001 + 2 * i), tokio(60)};
		struct fab_exchange r[3], x[2];

		for (int k = 0; k < 2; k++)
			request(&r[k], id + k, &h[k]);
		rouses(&w[0], &w[1]); /* the queue's lock, of a kind that is not known */
		for (int k = 0; k < 2; k++)
			call_on(&x[k], id + 2 + k, &w[k ^ (i & 1)], &conn[k ^ (i & 1)]);
		request(&r[2], id + 4, &h[2]); /* came too late for these */
		for (int k = 0; k < 2; k++)
			response(&x[k], &w[k ^ (i & 1)]);
		for (int k = 0; k < 2; k++)
			rouses(&w[k ^ (i & 1)], &h[k]);
		for (int k = 0; k < 3; k++)
			answer(&r[k], &h[k]);
	}
	stop();
	for (uint64_t at = 10; at < id; at += 6) {
		assert_link(at + 2, at, CLEW_LINK_CERTAIN);
		assert_link(at + 3, at + 1, CLEW_LINK_CERTAIN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asked),	    cmocka_unit_test(test_few),
		cmocka_unit_test(test_late_reader), cmocka_unit_test(test_ends_differ),
		cmocka_unit_test(test_commands),    cmocka_unit_test(test_begun_for_another),
		cmocka_unit_test(test_own_sockets), cmocka_unit_test(test_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
