/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread works on after a collection: where its objects are now, and which words stand there from before.
 */
#include "heap_rig.h"

/* A collection moves what was made before it; and who is told of an older one says nothing. */
static void test_collection(void **state)
{
	for (int old = 0; old < 2; old++) {
		struct fab_thread s = thread(10, SERVER), w = thread(10, WORKER);
		struct fab_exchange a, b, x;
		uint64_t id, task;

		begin(0);
		id = learn(1, KNOWN, &s, &w, ROOM);
		task = take(&a, id, &s);
		take(&b, id + 1, &s);
		collections += old ? -1 : 1;
		server_room = top = 2 * ROOM;
		call_with(&x, id + 2, &w, &(struct word){TASK, task}, 1);
		response(&x, &w);
		keep(&a, &s);
		keep(&b, &s);
		finish();
		assert_link(id + 2, 0, CLEW_LINK_ORPHAN);
	}
}

/* The collection moved what was at from. */
static void moved(uint64_t from, uint64_t to)
{
	struct {
		struct clew_rec_moved m;
		uint32_t pair[2];
	} r = {.m = {.hdr = {sizeof(r), CLEW_REC_MOVED, 0},
		     .ts_ns = now,
		     .proc_start_ns = thread(10, SERVER).start_ns,
		     .base = ROOM,
		     .tgid = 10,
		     .collections = collections,
		     .n_moved = 1,
		     .hdr_bytes = sizeof(r.m)},
	       .pair = {(uint32_t)((from - ROOM) / 8), (uint32_t)((to - ROOM) / 8)}};

	clew_causality_record(c, &r.m.hdr);
}

/*
 * Where to is told: before the worker calls, after the answer, and then another collection follows before anything is
 * decided. What was made in no room that is known is nobody's there, too.
 */
static void test_moved(void **state)
{
	enum { BEFORE, AFTER, AND_AGAIN, ELSEWHERE };
	const uint64_t there = 90 * ROOM;

	for (int way = BEFORE; way <= ELSEWHERE; way++) {
		struct fab_thread s = thread(10, SERVER), w = thread(10, WORKER);
		struct fab_exchange a, b, x, next;
		uint64_t id, task;

		begin(0);
		id = learn(1, KNOWN, &s, &w, ROOM);
		task = take(&a, id, &s);
		take(&b, id + 1, &s);
		collections++;
		server_room = top = 2 * ROOM;
		if (way == BEFORE)
			moved(task, there);
		call_with(&x, id + 2, &w, &(struct word){TASK, there}, 1);
		response(&x, &w);
		keep(&a, &s);
		keep(&b, &s);
		if (way != BEFORE)
			moved(way == ELSEWHERE ? ROOM_END + 64 : task, there);
		if (way == AND_AGAIN) {
			collections++;
			take(&next, id + 3, &s);
			keep(&next, &s);
		}
		finish();
		assert_link(id + 2, way == ELSEWHERE ? 0 : id,
			    way == ELSEWHERE ? CLEW_LINK_ORPHAN : CLEW_LINK_CERTAIN);
	}
}

/*
 * Of more moves than are kept it is not known which words are of before. Whose the objects were is not asked: one table
 * was full, once.
 */
static void test_moved_too_many(void **state)
{
	struct fab_thread s = thread(10, SERVER), w = thread(10, WORKER);
	struct fab_exchange a, b, x;
	uint64_t id, task;

	begin(0);
	id = learn(1, KNOWN, &s, &w, ROOM);
	collections++;
	server_room = top = 2 * ROOM;
	task = take(&a, id, &s);
	take(&b, id + 1, &s);
	for (uint32_t i = 0; i < 70000; i++)
		moved(ROOM_END + 8ull * i, 90 * ROOM + 8ull * i);
	assert_int_equal(clew_causality_stats(c)->forced, 1);
	call_with(&x, id + 2, &w, &(struct word){TASK, task}, 1);
	response(&x, &w);
	keep(&a, &s);
	keep(&b, &s);
	finish();
	assert_link(id + 2, 0, CLEW_LINK_ORPHAN);
}

/*
 * A collection leaves a word alone that a frame needs no more. Then something is made for another request where it points
 * to: it is known that an object was moved from there (before the call, or after it), or that the word stood there before.
 */
static void test_of_before(void **state)
{
	enum { NOTHING, MOVED, MOVED_LATE, STOOD };

	for (int how = NOTHING; how <= STOOD; how++) {
		struct fab_thread s = thread(10, SERVER), w = thread(10, WORKER);
		struct fab_exchange a, b, d, x, y;
		uint64_t id, task;

		begin(0);
		id = learn(1, KNOWN, &s, &w, ROOM);
		task = take(&a, id, &s);
		call_with(&y, id + 3, &w, &(struct word){TASK, how == STOOD ? task : 0}, 1);
		response(&y, &w);
		keep(&a, &s);
		collections++;
		server_room = top = task - 128;
		if (how == MOVED)
			moved(task, 90 * ROOM);
		assert_true(take(&b, id + 1, &s) == task);
		take(&d, id + 4, &s);
		call_with(&x, id + 2, &w, &(struct word){TASK, task}, 1);
		if (how == MOVED_LATE)
			moved(task, 90 * ROOM);
		response(&x, &w);
		keep(&b, &s);
		keep(&d, &s);
		finish();
		assert_link(id + 2, how == NOTHING ? id + 1 : 0,
			    how == NOTHING ? CLEW_LINK_CERTAIN : CLEW_LINK_ORPHAN);
	}
}

/*
 * A word of before a collection is so at each later call, also where a call lies between at which its place told
 * nothing yet.
 */
static void test_of_before_still(void **state)
{
	struct fab_thread s = thread(10, SERVER), w = thread(10, WORKER), o = thread(10, OTHER);
	struct fab_exchange a, b, d, x;
	uint64_t id = 1, task = ROOM + 64 * 1024;
	const struct word stale = {TASK, task};

	begin(0);
	request(&a, id++, &s);
	for (int i = 0; i < 2; i++) {
		call_with(&x, id++, &w, &stale, 1);
		response(&x, &w);
		collections += !i;
	}
	keep(&a, &s);
	server_room = top = 3 * ROOM;
	id = learn(id, KNOWN, &s, &o, ROOM);
	server_room = top = task - 128;
	assert_true(take(&b, id, &s) == task);
	take(&d, id + 1, &s);
	call_with(&x, id + 2, &w, &stale, 1);
	response(&x, &w);
	keep(&b, &s);
	keep(&d, &s);
	finish();
	assert_link(id + 2, 0, CLEW_LINK_ORPHAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_collection),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_moved_too_many),
		cmocka_unit_test(test_of_before),
		cmocka_unit_test(test_of_before_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
