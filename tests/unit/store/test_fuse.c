/* SPDX-License-Identifier: Apache-2.0 */
/* A filter says yes to all that is in it and to hardly anything else, also after it was kept as bytes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/fuse.h"

/* Different numbers without an order: an odd factor is one to one. */
static uint32_t key(uint32_t i)
{
	return i * 2654435761u + 12345;
}

static struct fuse *make(uint32_t n)
{
	uint32_t *keys = malloc((n + 1) * sizeof(*keys));
	struct fuse *f = NULL;

	assert_non_null(keys);
	for (uint32_t i = 0; i < n; i++)
		keys[i] = key(i);
	assert_int_equal(fuse_new(keys, n, &f), 0);
	free(keys);
	return f;
}

static void assert_holds(const struct fuse *f, uint32_t n)
{
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < n; i++)
		assert_true(fuse_has(f, key(i)));
	for (uint32_t i = n; i < n + 1000000; i++)
		wrong += fuse_has(f, key(i));
	/* One of 65,536: 15 are to be expected. */
	assert_true(wrong < 60);
}

static void test_sizes(void **state)
{
	static const uint32_t sizes[] = {0, 1, 2, 3, 7, 64, 1000, 22345, 245760};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct fuse *f = make(sizes[i]);

		assert_holds(f, sizes[i]);
		if (sizes[i] > 20000)
			assert_true((double)fuse_bytes(f).n / sizes[i] < 2.6);
		free(f);
	}
}

static void test_bytes(void **state)
{
	struct fuse *f = make(5000), *again = NULL;
	struct slice bytes = fuse_bytes(f);
	char *copy = malloc(bytes.n + 1);
	struct fuse head;

	assert_non_null(copy);
	memcpy(copy, bytes.p, bytes.n);
	assert_int_equal(fuse_load(slice_of(copy, bytes.n), &again), 0);
	assert_holds(again, 5000);
	free(again);
	again = NULL;
	assert_int_equal(fuse_load(slice_of(copy, bytes.n - 1), &again), -EBADMSG);
	assert_int_equal(fuse_load(slice_of(copy, bytes.n + 1), &again), -EBADMSG);
	assert_int_equal(fuse_load(slice_of(copy, 3), &again), -EBADMSG);
	memcpy(&head, copy, sizeof(head));
	head.segment = 3;
	memcpy(copy, &head, sizeof(head));
	assert_int_equal(fuse_load(slice_of(copy, bytes.n), &again), -EBADMSG);
	head = *f;
	head.starts = UINT32_MAX;
	memcpy(copy, &head, sizeof(head));
	assert_int_equal(fuse_load(slice_of(copy, bytes.n), &again), -EBADMSG);
	head = *f;
	head.starts += 1;
	memcpy(copy, &head, sizeof(head));
	assert_int_equal(fuse_load(slice_of(copy, bytes.n), &again), -EBADMSG);
	assert_null(again);
	free(copy);
	free(f);
}

static void test_twice(void **state)
{
	const uint32_t keys[] = {1, 2, 3, 2};
	struct fuse *f = NULL;

	assert_int_equal(fuse_new(keys, 4, &f), -EINVAL);
	assert_null(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
