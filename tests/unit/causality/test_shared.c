/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that several requests share.
 */
#include "rig.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_shared_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
