/* SPDX-License-Identifier: Apache-2.0 */
/* What is found out later about spans that are stored, or that come while it waits. */
#include "util.h"

#include "base/units.h"

static void keep_first(void *user, const struct clew_store_alias *a)
{
	struct clew_store_alias *first = user;

	if (clew_id128_none(&first->trace_id))
		*first = *a;
}

static void test_amend(void **state)
{
	char *dir = tmp_dir(), *error = NULL;
	struct clew_store_alias aliases[2000];
	struct clew_amendment v[2] = {
		{.trace_id = trace_id(2),
		 .to_trace_id = trace_id(1),
		 .parent_span_id = clew_id64_from(11),
		 .link = true,
		 .facts = {.link_class = CLEW_LINK_CERTAIN,
			   .evidence = CLEW_EV_WIRE,
			   .confidence = 1,
			   .wire_key = trace_id(77),
			   .pid = 4,
			   .tid = 5,
			   .times = {1, -1, 3, 4, 5, 6, 7}}},
		{.trace_id = trace_id(9), .to_trace_id = trace_id(1)}, /* never comes */
	};
	struct clew_store_alias first = {0};
	struct clew_span *spans[2], *found = NULL;
	struct clew_store *st = open_store(dir, NULL);
	struct clew_store_stats stats;
	struct clew_id64 id = clew_id64_from(21);
	struct clew_id128 want = trace_id(1), two = trace_id(2);

	v[0].span_id = clew_id64_from(21);
	v[1].span_id = clew_id64_from(91);
	for (uint64_t i = 0; i < 2000; i++)
		aliases[i] = (struct clew_store_alias){.trace_id = trace_id(i ? 1000 + i : 2),
						       .canonical = trace_id(i ? 5 : 1)};
	/* closes a circle, and is believed neither now nor when it is loaded */
	aliases[1999] =
		(struct clew_store_alias){.trace_id = trace_id(1), .canonical = trace_id(2)};
	spans[0] = make_span(1, 11, 0, "a", "GET", CLEW_KIND_SERVER, T0, 10 * MS);
	spans[1] = make_span(2, 22, 21, "c", "inner", CLEW_KIND_INTERNAL, T0 + 2 * MS, 3 * MS);
	clew_store_append(st, spans, 2);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_amend(st, v, 2, aliases, 2000);
	assert_int_equal(clew_store_flush(st), 0);
	spans[0] = make_span(2, 21, 0, "c", "GET", CLEW_KIND_SERVER, T0 + MS, 5 * MS);
	clew_store_append(st, spans, 1); /* comes when the change waits already */
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_close(st);
	st = open_store(dir, NULL);
	assert_int_equal(clew_store_get_span(st, &two, &id, &found, &error), 0);
	assert_memory_equal(&found->trace_id, &want, sizeof(want));
	assert_memory_equal(&found->parent_span_id, &v[0].parent_span_id, 8);
	assert_int_equal(found->evidence, CLEW_EV_WIRE);
	assert_int_equal(found->times.cpu_ns, 1);
	assert_int_equal(found->times.runq_ns, -1);
	assert_int_equal(found->pid, 4);
	assert_memory_equal(&found->wire_key, &v[0].facts.wire_key, sizeof(want));
	/* those that came before it was known moved, too */
	id = clew_id64_from(22);
	clew_span_free(clew_steal(found));
	assert_int_equal(clew_store_get_span(st, &want, &id, &found, &error), 0);
	/* stored under its new id, it is known when it is sent again */
	spans[0] = make_span(1, 21, 0, "c", "GET", CLEW_KIND_SERVER, T0 + MS, 5 * MS);
	clew_store_append(st, spans, 1);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_stats(st, &stats);
	assert_int_equal(stats.duplicates, 1);
	clew_span_free(found);
	assert_int_equal(clew_store_aliases(st, 0, keep_first, &first, &error), 0);
	assert_memory_equal(&first.trace_id, &two, sizeof(two));
	assert_memory_equal(&first.canonical, &want, sizeof(want));
	first = (struct clew_store_alias){0};
	assert_int_equal(
		clew_store_aliases(st, clew_now_ns() + 60 * 1000 * MS, keep_first, &first, &error),
		0);
	assert_true(clew_id128_none(&first.trace_id));
	clew_store_close(st);
	rm_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_amend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
