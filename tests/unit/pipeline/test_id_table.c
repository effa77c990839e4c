/* SPDX-License-Identifier: Apache-2.0 */
/* The table of ids that count up: entries at page borders, gaps, old ids, memory given back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/id_table.h"

static void *p(uint64_t id)
{
	return (void *)(uintptr_t)(id + 1);
}

static size_t pages(const struct id_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->len; i++)
		n += t->dir[(t->head + i) % t->cap] != NULL;
	return n;
}

static void an_empty_table_has_nothing(void **state)
{
	struct id_table t = {0};
	uint64_t id = 0;

	assert_null(id_table_get(&t, 0));
	assert_null(id_table_get(&t, UINT64_MAX));
	assert_null(id_table_next(&t, &id));
	id_table_remove(&t, 5);
	id_table_done(&t);
}

static void finds_what_was_put(void **state)
{
	static const uint64_t ids[] = {1, 2, 4095, 4096, 8191, 12288, 1000000};
	const size_t n = sizeof(ids) / sizeof(*ids);
	struct id_table t = {0};
	uint64_t id = 0;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(id_table_put(&t, ids[i], p(ids[i])), 0);
	assert_int_equal(t.count, n);
	for (size_t i = 0; i < n; i++, id++) {
		assert_ptr_equal(id_table_get(&t, ids[i]), p(ids[i]));
		assert_null(id_table_get(&t, ids[i] + 2));
		assert_ptr_equal(id_table_next(&t, &id), p(ids[i]));
		assert_int_equal(id, ids[i]);
	}
	assert_null(id_table_next(&t, &id));
	/* put again: replaced, counted once; removed twice: once */
	assert_int_equal(id_table_put(&t, 4096, p(7)), 0);
	assert_int_equal(t.count, n);
	assert_ptr_equal(id_table_get(&t, 4096), p(7));
	id_table_remove(&t, 4096);
	id_table_remove(&t, 4096);
	assert_int_equal(t.count, n - 1);
	assert_null(id_table_get(&t, 4096));
	id_table_done(&t);
}

static void an_id_before_the_oldest_page_is_refused(void **state)
{
	struct id_table t = {0};

	assert_int_equal(id_table_put(&t, 3 * ID_PAGE_SLOTS, p(1)), 0);
	assert_int_equal(id_table_put(&t, 3 * ID_PAGE_SLOTS - 1, p(2)), -EINVAL);
	assert_null(id_table_get(&t, 3 * ID_PAGE_SLOTS - 1));
	id_table_done(&t);
}

/* Some live shortly, one lives on and on: pages held are few, however far the ids have come. */
static void memory_follows_what_lives(void **state)
{
	const uint64_t end = 100 * ID_PAGE_SLOTS;
	struct id_table t = {0};

	for (uint64_t id = 0; id < end; id++) {
		assert_int_equal(id_table_put(&t, id, p(id)), 0);
		if (id >= 100 && id - 100 != 10)
			id_table_remove(&t, id - 100);
	}
	assert_in_range(pages(&t), 1, 3);
	assert_int_equal(t.len, 100);
	id_table_remove(&t, 10);
	assert_in_range(t.len, 1, 2);
	assert_int_equal(t.count, 100);
	id_table_done(&t);
}

/* The newest page is kept when it becomes empty; it must not stay for ever once it is not. */
static void a_page_that_was_empty_when_the_next_began_is_freed(void **state)
{
	struct id_table t = {0};

	for (uint64_t id = 0; id < 50 * ID_PAGE_SLOTS; id++) {
		assert_int_equal(id_table_put(&t, id, p(id)), 0);
		id_table_remove(&t, id);
	}
	assert_int_equal(t.count, 0);
	assert_int_equal(pages(&t), 1);
	assert_int_equal(t.len, 1);
	id_table_done(&t);
}

/* A far jump is bounded: refused, and what was there is still found. */
static void a_jump_beyond_the_limit_is_refused(void **state)
{
	struct id_table t = {0};

	assert_int_equal(id_table_put(&t, 1, p(1)), 0);
	assert_int_equal(id_table_put(&t, UINT64_MAX, p(2)), -ENOMEM);
	assert_ptr_equal(id_table_get(&t, 1), p(1));
	assert_int_equal(t.count, 1);
	id_table_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_table_has_nothing),
		cmocka_unit_test(finds_what_was_put),
		cmocka_unit_test(an_id_before_the_oldest_page_is_refused),
		cmocka_unit_test(memory_follows_what_lives),
		cmocka_unit_test(a_page_that_was_empty_when_the_next_began_is_freed),
		cmocka_unit_test(a_jump_beyond_the_limit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
