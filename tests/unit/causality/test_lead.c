/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who woke an idle worker: one request at a time, jobs, swaps, stages.
 */
#include "rig.h"

#define QUEUE 0x5000

struct service {
	struct fab_thread owner[2], w[2];
	uint64_t id;
	uint64_t truth[MAX]; /* by call: its request */
};

static void begin(struct service *s)
{
	*s = (struct service){.id = 1};
	for (uint32_t i = 0; i < 2; i++) {
		s->owner[i] = thread(10, 100 + i);
		s->w[i] = thread(10, 200 + i);
	}
	start(NULL);
}

static void calls(struct service *s, struct fab_thread *w, uint64_t truth)
{
	struct fab_exchange x;

	s->truth[s->id] = truth;
	call(&x, s->id++, w);
	response(&x, w);
	fab_end(c, &x, 0);
}

/* How many calls were linked, all of them right. */
static uint32_t end(const struct service *s)
{
	uint32_t right = 0;

	stop();
	for (uint64_t id = 1; id < s->id; id++) {
		uint64_t parent = s->truth[id] ? got.link[id].parent : 0;

		assert_true(!parent || parent == s->truth[id]);
		right += parent != 0;
	}
	return right;
}

static void wake_worker(const struct fab_thread *from, const struct fab_thread *w)
{
	wakes(from, w, QUEUE);
}

static void wake_owner(const struct fab_thread *w, const struct fab_thread *owner)
{
	wakes(w, owner, 0x9000 + owner->tid * 64);
}

static void answered(struct fab_exchange *r, struct fab_thread *by)
{
	answer(r, by);
	fab_end(c, r, 0);
}

/* One request at a time, given to one worker or the other in turn; every third begins a job. */
static uint32_t one_at_a_time(uint32_t n)
{
	struct service s;
	struct fab_exchange r;

	begin(&s);
	for (uint32_t i = 0; i < n; i++) {
		struct fab_thread *o = &s.owner[0], *w = &s.w[i % 2];
		uint64_t a = s.id++;

		request(&r, a, o);
		wake_worker(o, w);
		calls(&s, w, a);
		if (i % 2)
			calls(&s, w, a);
		wake_owner(w, o);
		if (i % 3 == 0) {
			wake_worker(o, &s.w[(i + 1) % 2]);
			calls(&s, &s.w[(i + 1) % 2], a);
		}
		answered(&r, o);
	}
	return end(&s);
}

static void test_one(void **state)
{
	assert_true(one_at_a_time(200) >= 250); /* of 367, jobs' among them */
	assert_true(one_at_a_time(60) == 0);	/* it is not known well enough */
}

/* Busy: the worker does a job, of which nobody saw the begin, and then the request. */
static void test_job_before(void **state)
{
	struct service s;
	struct fab_exchange r;
	uint64_t job[64], n = 0;

	begin(&s);
	for (uint32_t i = 0; i < 60; i++) {
		struct fab_thread *o = &s.owner[0], *w = &s.w[0];
		uint64_t a = s.id++;

		request(&r, a, o);
		if (i % 5) {
			wake_worker(o, w);
		} else { /* it was woken for the one before, and still at that one's job */
			job[n++] = s.id;
			calls(&s, w, a - 1);
		}
		calls(&s, w, a);
		wake_owner(w, o);
		if (i % 5 == 4)
			wake_worker(o, w);
		answered(&r, o);
	}
	stop();
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(got.link[job[i]].parent, 0);
	assert_true(n == 12);
}

/* Two requests, and workers that take each other's now and then: nothing is believed because of leads. */
static void test_swapped(void **state)
{
	struct service s;
	struct fab_exchange r[2];

	begin(&s);
	for (uint32_t i = 0; i < 60; i++) {
		uint64_t a[2];
		bool swap = i % 4 == 0;

		for (uint32_t k = 0; k < 2; k++) {
			a[k] = s.id++;
			request(&r[k], a[k], &s.owner[k]);
			wake_worker(&s.owner[k], &s.w[k]);
		}
		for (uint32_t k = 0; k < 2; k++)
			calls(&s, &s.w[k], a[k ^ swap]);
		if (swap) { /* the one takes both in the end */
			calls(&s, &s.w[0], a[0]);
			wake_owner(&s.w[0], &s.owner[0]);
			wake_owner(&s.w[1], &s.owner[1]);
		} else {
			wake_owner(&s.w[0], &s.owner[0]);
			wake_owner(&s.w[1], &s.owner[1]);
		}
		for (uint32_t k = 0; k < 2; k++)
			answered(&r[k], &s.owner[k]);
	}
	stop();
	for (uint64_t id = 1; id < s.id; id++)
		if (s.truth[id])
			assert_true(!got.link[id].parent);
}

/* Two stages, on two workers: the second one answers. */
static uint32_t stages(uint32_t n, bool stale)
{
	struct service s;
	struct fab_exchange r;

	begin(&s);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t a = s.id++;

		request(&r, a, &s.owner[0]);
		wake_worker(&s.owner[0], &s.w[0]);
		calls(&s, &s.w[0], a);
		wake_worker(&s.w[0], &s.w[1]);
		if (stale) /* the first one goes on with somebody else's */
			calls(&s, &s.w[0], 1);
		calls(&s, &s.w[1], a);
		answered(&r, &s.w[1]);
	}
	return end(&s);
}

/* Of three threads one reads, one calls, and tells the third one to answer, which never calls. */
static uint32_t told(uint32_t n, bool other)
{
	struct service s;
	struct fab_exchange r;

	begin(&s);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t a = s.id++;

		request(&r, a, &s.owner[i % 2]);
		wake_worker(&s.owner[i % 2], &s.w[0]);
		calls(&s, &s.w[0], a);
		if (other) /* who answers was woken by nobody */
			wake_worker(&s.w[0], &s.w[1]);
		else
			wakes(&s.w[0], &s.owner[(i + 1) % 2], 0x7000 + i % 2 * 64);
		answered(&r, &s.owner[(i + 1) % 2]);
	}
	return end(&s);
}

static void test_told(void **state)
{
	assert_true(told(200, false) >= 190);
	assert_int_equal(told(200, true), 0);
}

static void test_stages(void **state)
{
	assert_true(stages(200, false) >= 350);
	assert_true(stages(200, true) >= 350);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),	cmocka_unit_test(test_job_before),
		cmocka_unit_test(test_swapped), cmocka_unit_test(test_stages),
		cmocka_unit_test(test_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
