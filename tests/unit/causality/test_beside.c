/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that are made at once, of which the last one's response leads to the answer: the others are beside the path.
 * Each ROUNDS requests of a loop, with one thing more in some of them.
 */
#include "rig.h"

#define ROUNDS 400
#define EACH   50 /* rounds, of which one is different */

struct round {
	struct fab_exchange a, b, x, y, z, more;
	uint64_t id;
	bool odd;
};

/* A makes X and Y at once, while B waits for Z. */
static void begin(struct round *r, uint32_t i, struct fab_thread *t)
{
	r->id = 1 + 6 * i;
	r->odd = i % EACH == EACH / 2;
	request(&r->a, r->id, t);
	call(&r->x, r->id + 1, t);
	call(&r->y, r->id + 2, t);
}

static void end(struct round *r, struct fab_thread *t)
{
	request(&r->b, r->id + 3, t);
	call(&r->z, r->id + 4, t);
	response(&r->y, t);
	answer(&r->a, t);
}

static void end_other(struct round *r, struct fab_thread *t)
{
	response(&r->z, t);
	answer(&r->b, t);
}

/* Of the last rounds' X, how many are taken for A's; none for another one's. */
static uint32_t beside(void)
{
	uint32_t n = 0;

	for (uint32_t i = ROUNDS - EACH; i < ROUNDS; i++) {
		uint64_t id = 1 + 6 * i;

		assert_true(!got.link[id + 1].parent || got.link[id + 1].parent == id);
		n += got.link[id + 1].class == CLEW_LINK_PROBABLE;
		assert_link(id + 2, id, CLEW_LINK_CERTAIN);
	}
	return n;
}

/* One more call in some rounds: never, at once with X and Y and answered after A, after A's answer, or X once more. */
enum more { NEVER, AT_ONCE, AFTER_ANSWER, AGAIN };

static void run(enum more when)
{
	struct fab_thread t = thread(10, 10);
	struct round r;

	start(NULL);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		enum more more;

		begin(&r, i, &t);
		more = r.odd ? when : NEVER;
		if (more == AT_ONCE)
			call(&r.more, r.id + 5, &t);
		if (more == AGAIN)
			r.x.x.http.status = 503;
		response(&r.x, &t);
		if (more == AGAIN) {
			call(&r.more, r.id + 5, &t);
			response(&r.more, &t);
		}
		end(&r, &t);
		if (more == AT_ONCE)
			response(&r.more, &t);
		if (more == AFTER_ANSWER)
			call(&r.more, r.id + 5, &t);
		end_other(&r, &t);
		if (more == AFTER_ANSWER)
			response(&r.more, &t);
	}
	stop();
}

static void test_made_at_once(void **state)
{
	run(NEVER);
	assert_int_equal(beside(), EACH);
}

/* One more call of the same stretch is still out when A is answered: a timer's, so others may be a timer's, too. */
static void test_goes_on_after_the_answer(void **state)
{
	run(AT_ONCE);
	assert_int_equal(beside(), 0);
	for (uint32_t i = EACH / 2; i < ROUNDS; i += EACH)
		assert_link(1 + 6 * i + 5, 0, CLEW_LINK_ORPHAN);
}

/* A call after an answer, while the loop is awake: that timer may as well be due after a request was read. */
static void test_after_an_answer(void **state)
{
	run(AFTER_ANSWER);
	assert_int_equal(beside(), 0);
}

/* X fails and is made again, alone, and is not the last one that A waits for: that is no timer's. */
static void test_again(void **state)
{
	run(AGAIN);
	assert_int_equal(beside(), EACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made_at_once),
		cmocka_unit_test(test_goes_on_after_the_answer),
		cmocka_unit_test(test_after_an_answer),
		cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
