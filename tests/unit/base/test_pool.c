/* SPDX-License-Identifier: Apache-2.0 */
/* Pools: objects do not overlap, are aligned, and come back last first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"

#define N 600

static void objects_are_apart(void **state)
{
	struct clew_pool p = {0};
	unsigned char *obj[N];
	size_t size[N];

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < N; i++) {
			size[i] = i * 37 % (2 * CLEW_POOL_MAX);
			obj[i] = i % 2 ? clew_pool_take(&p, size[i]) : clew_pool_take0(&p, size[i]);
			assert_non_null(obj[i]);
			assert_true(clew_pool_room(size[i]) >= size[i]);
			for (size_t k = 0; !(i % 2) && k < size[i]; k++)
				assert_int_equal(obj[i][k], 0);
			memset(obj[i], (int)i & 255, size[i]);
		}
		for (size_t i = 0; i < N; i++) {
			for (size_t k = 0; k < size[i]; k++)
				assert_int_equal(obj[i][k], i & 255);
			clew_pool_give(&p, obj[i], size[i]);
		}
	}
	clew_pool_give(&p, NULL, 10);
	clew_pool_done(&p);
}

static void the_last_comes_back_first(void **state)
{
	struct clew_pool p = {0};
	void *a = clew_pool_take(&p, 100), *b = clew_pool_take(&p, 128);

	assert_int_equal((uintptr_t)a % 16, 0);
	clew_pool_give(&p, a, 100);
	clew_pool_give(&p, b, 128);
#ifndef __SANITIZE_ADDRESS__ /* with it nothing comes back */
	assert_int_equal((uintptr_t)a % CLEW_POOL_ALIGN, 0);
	assert_ptr_equal(clew_pool_take(&p, 65), b);
	assert_ptr_equal(clew_pool_take(&p, 128), a);
#endif
	clew_pool_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_apart),
		cmocka_unit_test(the_last_comes_back_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
