/* SPDX-License-Identifier: Apache-2.0 */
/* The table of wire keys against a plain list: keys that meet in one place, growth. */
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
	bool in;
};

static struct thing things[N];

static bool is_thing(void *user, uint32_t id, const struct clew_id128 *key)
{
	return clew_id128_eq(&things[id].key, key);
}

/* Few values in the first bytes: many meet, and probes wrap round the end. */
static void fill(void)
{
	for (size_t i = 0; i < N; i++) {
		things[i] = (struct thing){.in = false};
		things[i].key.b[0] = (uint8_t)(250 + i % 6);
		things[i].key.b[1] = 255;
		things[i].key.b[8] = (uint8_t)(i >> 8);
		things[i].key.b[9] = (uint8_t)i;
	}
}

static void check(const struct key_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < N; i++) {
		uint32_t id = N;

		assert_int_equal(key_table_get(t, &things[i].key, &id), things[i].in);
		assert_int_equal(id, things[i].in ? i : N);
		n += things[i].in;
	}
	assert_int_equal(t->count, n);
}

static void what_is_in_is_found(void **state)
{
	struct key_table t = {.is = is_thing};
	uint32_t seed = 1;

	fill();
	check(&t);
	for (int step = 0; step < 20000; step++) {
		struct thing *x;
		uint32_t id;

		seed = seed * 1664525 + 1013904223;
		id = (seed >> 8) % (step < 10000 ? N : 20);
		x = &things[id];
		if (x->in)
			key_table_remove(&t, &x->key, id);
		else
			assert_int_equal(key_table_add(&t, &x->key, id), 0);
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
