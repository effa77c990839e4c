/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who made what a thread works on: rooms, stretches, places in the stack, and when they are believed.
 */
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/heap_belief.h"
#include "causality/heap_stretch.h"
#include "heap_rig.h"

/* Two requests are open, id and the next; a worker has what was made for the first and makes a call, id + 2. */
static void one_of_two(uint64_t id, struct fab_thread *s, struct fab_thread *w)
{
	struct fab_exchange a, b, x;
	uint64_t task = take(&a, id, s);

	take(&b, id + 1, s);
	call_with(&x, id + 2, w, &(struct word){TASK, task}, 1);
	response(&x, w);
	keep(&a, s);
	keep(&b, s);
	finish();
}

static void test_worker(void **state)
{
	for (int off = 0; off < 2; off++) {
		struct fab_thread s = thread(10, SERVER), w = thread(10, WORKER);
		uint64_t id;

		begin(off ? CLEW_SOURCE_HEAP : 0);
		id = learn(1, KNOWN, &s, &w, ROOM);
		one_of_two(id, &s, &w);
		if (off) {
			assert_link(id + 2, 0, CLEW_LINK_ORPHAN);
			continue;
		}
		assert_link(id + 2, id, CLEW_LINK_CERTAIN);
		assert_int_equal(got.link[id + 2].evidence, CLEW_EV_HEAP | CLEW_EV_MODEL);
		assert_true(got.link[id + 2].confidence > 0.999f);
	}
}

/* A few tests are not enough; and the first that failed counts for long. */
static void test_not_known(void **state)
{
	struct fab_thread s = thread(10, SERVER), w = thread(10, WORKER);
	struct fab_exchange a, b;
	uint64_t id, task;

	for (int miss = 0; miss < 2; miss++) {
		begin(0);
		id = learn(1, miss ? KNOWN : 50, &s, &w, ROOM);
		if (miss) {
			task = take(&a, id, &s);
			take(&b, id + 1, &s);
			answer_with(&b, &w, &(struct word){TASK, task}, 1);
			keep(&a, &s);
			id += 2;
		}
		one_of_two(id, &s, &w);
		assert_link(id + 2, 0, CLEW_LINK_ORPHAN);
		/* The likely one is the first candidate all the same. */
		assert_int_equal(got.link[id + 2].candidates[0], id);
	}
}

/* What a frame does not hold any more will tell nothing later either: nobody waits for it. */
static void test_left_over_is_not_waited_for(void **state)
{
	for (int left_over = 0; left_over < 2; left_over++) {
		struct fab_thread s = thread(10, SERVER), w = thread(10, WORKER);
		struct heap_name n = {.slot = DEEPER, .left_over = left_over};
		struct heap_names *names = NULL;
		struct proc *p;

		begin(0);
		learn(1, 1, &s, &w, ROOM);
		p = proc_of(c, s.tgid, s.start_ns);
		n.in = heap_stretch_new(c, NULL, NULL);
		assert_true(heap_names_add(c, &names, &n));
		assert_int_equal(heap_believe(p->group, names).wait, !left_over);
		heap_stretch_put(n.in);
		heap_names_put(names);
		finish();
	}
}

/* What was made by whom is known late, each time: the way up is bounded all the same. */
static void test_long_way_up(void **state)
{
	struct heap_names *names[100];
	struct heap_stretch *last = NULL, *s;
	uint32_t n = 0, longest = 0;

	begin(0);
	for (; n < 100; n++) {
		struct heap_name unknown = {.slot = TASK};
		uint32_t up = 0;

		names[n] = NULL;
		assert_true(heap_names_add(c, &names[n], &unknown));
		s = heap_stretch_new(c, NULL, names[n]);
		if (last)
			heap_names_found(names[n], 0, last);
		heap_stretch_put(last);
		last = s;
		for (; s->by->name[0].in; s = s->by->name[0].in)
			up++;
		longest = up > longest ? up : longest;
	}
	assert_in_range(longest, 8, 16);
	heap_stretch_put(last);
	while (n)
		heap_names_put(names[--n]);
	finish();
}

/* What the thread keeps of itself names the request that it was begun for, which is still open. */
static void test_itself(void **state)
{
	struct fab_thread s = thread(10, SERVER), w = thread(10, WORKER);
	struct fab_exchange a, first, x;
	uint64_t id, itself;

	begin(0);
	itself = take(&first, 1, &s);
	id = learn(2, KNOWN, &s, &w, itself);
	take(&a, id, &s);
	/* Its task was made in room that is not known. */
	call_with(&x, id + 1, &w, (struct word[]){{ITSELF, itself}, {TASK, ROOM_END + 64}}, 2);
	response(&x, &w);
	keep(&a, &s);
	keep(&first, &s);
	finish();
	assert_link(id + 1, 0, CLEW_LINK_ORPHAN);
	/* Nor did it stand in the way of the others. */
	assert_link(id - 1, id - 2, CLEW_LINK_CERTAIN);
}

/* Two places, both believed, and not of one mind. */
static void test_two(void **state)
{
	struct fab_thread s = thread(10, SERVER), w = thread(10, WORKER);
	struct fab_exchange a, b, x, y;
	uint64_t id = 1, one, two;

	begin(0);
	for (uint32_t i = 0; i < KNOWN; i++, id += 2) {
		uint64_t task = take(&a, id, &s);
		struct word v[] = {{TASK, task}, {DEEPER, task + 32}};

		call_with(&x, id + 1, &w, v, 2);
		response(&x, &w);
		answer_with(&a, &w, v, 2);
	}
	one = take(&a, id, &s);
	two = take(&b, id + 1, &s);
	call_with(&x, id + 2, &w, (struct word[]){{TASK, one}, {DEEPER, two}}, 2);
	response(&x, &w);
	call_with(&y, id + 3, &w, (struct word[]){{TASK, two}, {DEEPER, two + 32}}, 2);
	response(&y, &w);
	keep(&a, &s);
	keep(&b, &s);
	finish();
	assert_link(id + 2, 0, CLEW_LINK_ORPHAN);
	assert_link(id + 3, id + 1, CLEW_LINK_CERTAIN);
}

/* A job that a request left behind: it was made for a request, but that is over. */
static void test_over(void **state)
{
	struct fab_thread s = thread(10, SERVER), w = thread(10, WORKER);
	struct fab_exchange a, b, x;
	uint64_t id, task;

	begin(0);
	id = learn(1, KNOWN, &s, &w, ROOM);
	task = take(&a, id, &s);
	keep(&a, &s);
	take(&b, id + 1, &s);
	call_with(&x, id + 2, &w, &(struct word){TASK, task}, 1);
	response(&x, &w);
	keep(&b, &s);
	finish();
	assert_link(id + 2, 0, CLEW_LINK_ORPHAN);
}

/*
 * A worker makes work for another one: for the same request, if it is still at the same task at its next call. Else
 * nobody knows when it went on.
 */
static void test_worker_gives(void **state)
{
	for (int other = 0; other < 2; other++) {
		struct fab_thread s = thread(10, SERVER), w = thread(10, WORKER),
				  v = thread(10, OTHER);
		struct fab_exchange a, b, x, y, z;
		uint64_t id, task, next;

		begin(0);
		id = learn(1, 2 * KNOWN, &s, &w, ROOM);
		for (uint32_t i = 0; i <= 2 * KNOWN; i++, id += 5) {
			uint64_t used = room_of(&w) + 1024 * (i + 1);
			struct word first = {TASK, take(&a, id, &s)},
				    then = {TASK, take(&b, id + 1, &s)};

			task = other && i == 2 * KNOWN ? then.addr : first.addr;
			next = used + 256;
			tell(&w, id + 2, room_of(&w), used, &first, 1);
			call(&x, id + 2, &w);
			response(&x, &w);
			call_with(&y, id + 3, &v, &(struct word){TASK, next}, 1);
			response(&y, &v);
			tell(&w, id + 4, room_of(&w), used + 512, &(struct word){TASK, task}, 1);
			call(&z, id + 4, &w);
			response(&z, &w);
			answer_with(&a, &v, &(struct word){TASK, next}, 1);
			keep(&b, &s);
		}
		finish();
		assert_link(id - 2, other ? 0 : id - 5,
			    other ? CLEW_LINK_ORPHAN : CLEW_LINK_CERTAIN);
	}
}

/* A word that was left in the stack points to where something is made later: that did not make it. */
static void test_made_later(void **state)
{
	struct fab_thread s = thread(10, SERVER), w = thread(10, WORKER);
	struct fab_exchange a, b, x;
	uint64_t id, later = 50 * ROOM + 128;

	begin(0);
	id = learn(1, KNOWN, &s, &w, ROOM);
	take(&a, id, &s);
	call_with(&x, id + 1, &w, &(struct word){TASK, later}, 1);
	response(&x, &w);
	server_room = top = 50 * ROOM;
	assert_int_equal(take(&b, id + 2, &s), later);
	keep(&b, &s);
	answer_with(&a, &w, NULL, 0);
	finish();
	assert_link(id + 1, id, CLEW_LINK_PROBABLE);
}

/*
 * Who waits and answers itself made it for that request, and what stands there is always of now: that is believed
 * without a test.
 */
static void test_kept(void **state)
{
	for (int stale = 0; stale < 2; stale++) {
		struct fab_thread s = thread(10, SERVER), o = thread(10, OTHER),
				  w = thread(10, WORKER);
		struct fab_exchange a, b, x;
		uint64_t id = 1, task = 0;

		begin(0);
		request(&b, id++, &o); /* so that two are open */
		for (uint32_t i = 0; i < KNOWN; i++, id += 2) {
			task = stale && i % 2 ? task : take(&a, id, &s);
			if (stale && i % 2)
				take(&a, id, &s);
			call_with(&x, id + 1, &w, &(struct word){TASK, task}, 1);
			response(&x, &w);
			keep(&a, &s);
		}
		answer(&b, &o);
		finish();
		assert_link(id - 1, stale ? 0 : id - 2,
			    stale ? CLEW_LINK_ORPHAN : CLEW_LINK_PROBABLE);
	}
}

/*
 * The server fills a room that it is in at neither operation: what it made there is known where it was seen in it,
 * when it woke somebody, or was woken.
 */
static void test_room_between(void **state)
{
	for (int seen = 0; seen < 2; seen++) {
		struct fab_thread s = thread(10, SERVER), w = thread(10, WORKER);
		const uint64_t between = 50 * ROOM, task = between + 64;
		struct fab_exchange a, b, x;
		uint64_t id;

		begin(0);
		id = learn(1, KNOWN, &s, &w, ROOM);
		take(&a, id, &s);
		if (seen)
			tell_room(&s, between, between + 32);
		server_room = top = 60 * ROOM;
		take(&b, id + 1, &s);
		call_with(&x, id + 2, &w, &(struct word){TASK, task}, 1);
		response(&x, &w);
		keep(&a, &s);
		keep(&b, &s);
		finish();
		assert_link(id + 2, seen ? id : 0, seen ? CLEW_LINK_CERTAIN : CLEW_LINK_ORPHAN);
	}
}

/*
 * Two places, each always of now, of which one names who gave back a connection, say: they never agree. Where it stands
 * alone then, it is not believed without a test.
 */
static void test_apart(void **state)
{
	for (int agree = 0; agree < 2; agree++) {
		struct fab_thread s = thread(10, SERVER), o = thread(10, OTHER),
				  w = thread(10, WORKER);
		struct fab_exchange a, b, x;
		uint64_t id = 1;

		begin(0);
		for (uint32_t i = 0; i <= KNOWN; i++, id += 3) {
			uint64_t task = take(&a, id, &s), other = take(&b, id + 1, &o);
			struct word v[] = {{TASK, task}, {DEEPER, agree ? task + 32 : other}};

			if (i < KNOWN)
				call_with(&x, id + 2, &w, v, 2);
			else
				call_with(&x, id + 2, &w, v + 1, 1);
			response(&x, &w);
			keep(&a, &s);
			keep(&b, &o);
		}
		finish();
		assert_link(id - 1, agree ? id - 3 : 0,
			    agree ? CLEW_LINK_PROBABLE : CLEW_LINK_ORPHAN);
	}
}

/* Requests that are named are answered while the call is out: now and then (a job), or often (another's request). */
static void test_early(void **state)
{
	for (uint32_t often = 0; often < 2; often++) {
		struct fab_thread s = thread(10, SERVER), o = thread(10, OTHER),
				  w = thread(10, WORKER);
		struct fab_exchange a, b, x;
		uint64_t id = 1;

		begin(0);
		for (uint32_t i = 0; i <= KNOWN; i++, id += 3) {
			bool early = i < KNOWN && i % (often ? 3 : 50) == 0;
			uint64_t task = take(&a, id, &s);

			request(&b, id + 1, &o);
			call_with(&x, id + 2, &w, &(struct word){TASK, task}, 1);
			if (early)
				keep(&a, &s);
			else
				answer(&b, &o);
			response(&x, &w);
			if (early)
				answer(&b, &o);
			else
				keep(&a, &s);
		}
		finish();
		assert_link(id - 1, often ? 0 : id - 3,
			    often ? CLEW_LINK_ORPHAN : CLEW_LINK_PROBABLE);
	}
}

/*
 * A frame of another shape has the same place for something else, or does not write it: there stands what an earlier
 * one left. It shows by another place that names another request; by the callers' frames, which hold other objects, or
 * one less, though it still stands; and by where the object before it stands.
 */
static void test_left_over(void **state)
{
	enum { ELSE, STILL, CALLERS, GONE, SHAPE };

	for (int how = ELSE; how <= SHAPE; how++) {
		struct fab_thread s = thread(10, SERVER), o = thread(10, OTHER),
				  w = thread(10, WORKER);
		struct fab_exchange a, b, x, y;
		uint64_t id, task, other;
		struct word alone, both[2];

		begin(0);
		id = learn(1, KNOWN, &s, &w, ROOM);
		task = take(&a, id, &s);
		other = take(&b, id + 1, &o);
		alone = (struct word){TASK, task};
		both[0] = (struct word){TASK - 1, ROOM_END + 8};
		both[1] = alone;
		if (how == ELSE || how == STILL)
			both[0] = (struct word){TASK - 40, other};
		if (how == CALLERS || how == GONE)
			both[0] = (struct word){ITSELF, ROOM_END + 64};
		if (how == CALLERS)
			call_with(&x, id + 2, &w, &alone, 1);
		else
			call_with(&x, id + 2, &w, both, 2);
		response(&x, &w);
		if (how == CALLERS)
			call_with(&y, id + 3, &w, both, 2);
		else if (how != ELSE && how != SHAPE)
			call_with(&y, id + 3, &w, &alone, 1);
		if (how != ELSE && how != SHAPE)
			response(&y, &w);
		keep(&a, &s);
		keep(&b, &o);
		finish();
		if (how == CALLERS || how == GONE)
			assert_link(id + 2, id, CLEW_LINK_PROBABLE);
		else
			assert_link(id + 2, 0, CLEW_LINK_ORPHAN);
		if (how != ELSE && how != SHAPE)
			assert_link(id + 3, 0, CLEW_LINK_ORPHAN);
	}
}

/*
 * What is not tested often enough for a link still speaks against one: a lock that was taken for the end of work, say.
 * But not a word that an earlier frame left there.
 */
static void test_speaks_against(void **state)
{
	enum { NOTHING, OTHER_TASK, LEFT_OVER };

	for (int how = NOTHING; how <= LEFT_OVER; how++) {
		struct fab_thread owner[4], worker[2];
		struct fab_exchange req[4], x[2];
		struct fab_thread waits = thread(10, 99);
		struct fab_exchange long_one;
		uint64_t id = 1, task[4], left, last = 0, want = 0;

		begin(0);
		left = take(&long_one, id++, &waits);
		for (uint32_t i = 0; i < 2; i++)
			worker[i] = thread(10, WORKER + i);
		for (uint32_t i = 0; i < 4; i++) {
			owner[i] = thread(10, 100 + i);
			task[i] = take(&req[i], id++, &owner[i]);
		}
		for (uint32_t i = 0; i < ROUNDS; i++) {
			uint32_t w = i % 2, was = (i - 1) % 4;
			bool end = i == ROUNDS - 2;
			struct word words[] = {{ITSELF, ROOM_END + 64}, {TASK, task[i % 4]}};

			if (end)
				last = id, want = req[i % 4].x.id;
			if (end && how == OTHER_TASK)
				words[1].addr = task[(i + 1) % 4];
			if (how == LEFT_OVER && (end || i == ROUNDS - 4))
				words[1].addr = left;
			if (end && how == LEFT_OVER)
				call_with(&x[w], id++, &worker[w], words, 2);
			else
				call_with(&x[w], id++, &worker[w], words + 1, 1);
			if (!i)
				continue;
			response(&x[!w], &worker[!w]);
			wakes(&worker[!w], &owner[was], 0x9000 + was * 64);
			keep(&req[was], &owner[was]);
			task[was] = take(&req[was], id++, &owner[was]);
		}
		keep(&long_one, &waits);
		finish();
		assert_link(last, how == OTHER_TASK ? 0 : want,
			    how == OTHER_TASK ? CLEW_LINK_ORPHAN : CLEW_LINK_CERTAIN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worker),
		cmocka_unit_test(test_not_known),
		cmocka_unit_test(test_left_over_is_not_waited_for),
		cmocka_unit_test(test_long_way_up),
		cmocka_unit_test(test_itself),
		cmocka_unit_test(test_two),
		cmocka_unit_test(test_over),
		cmocka_unit_test(test_worker_gives),
		cmocka_unit_test(test_made_later),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_room_between),
		cmocka_unit_test(test_apart),
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_left_over),
		cmocka_unit_test(test_speaks_against),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
