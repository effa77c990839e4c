/* SPDX-License-Identifier: Apache-2.0 */
/* The table of wire keys against a plain list: keys that meet in one place, both roles, growth. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/key_table.h"

#define N 3000

struct thing {
	struct clew_id128 key;
	uint8_t role;
	bool in;
};

static struct thing things[N];

/* Few values in the first bytes: many meet, and probes wrap round the end. */
static void fill(void)
{
	for (size_t i = 0; i < N; i++) {
		things[i] = (struct thing){.role = (uint8_t)(1 + i % 2)};
		things[i].key.b[0] = (uint8_t)(250 + i % 6);
		things[i].key.b[1] = 255;
		things[i].key.b[8] = (uint8_t)(i / 2 >> 8);
		things[i].key.b[9] = (uint8_t)(i / 2);
	}
}

static void check(const struct key_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < N; i++) {
		void *p = key_table_get(t, &things[i].key, things[i].role);

		assert_ptr_equal(p, things[i].in ? &things[i] : NULL);
		n += things[i].in;
	}
	assert_int_equal(t->count, n);
}

static void what_is_in_is_found(void **state)
{
	struct key_table t = {0};
	uint32_t seed = 1;

	fill();
	check(&t);
	for (int step = 0; step < 20000; step++) {
		struct thing *x;

		seed = seed * 1664525 + 1013904223;
		x = &things[(seed >> 8) % (step < 10000 ? N : 20)];
		if (x->in)
			key_table_remove(&t, &x->key, x->role, x);
		else
			assert_int_equal(key_table_add(&t, &x->key, x->role, x), 0);
		x->in = !x->in;
		if (step % 500 == 0)
			check(&t);
	}
	check(&t);
	key_table_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_in_is_found)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
