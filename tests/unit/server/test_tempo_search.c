/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tempo's search over a store that goes on: between the searches of two cases ("||") a span that began earlier comes to a
 * trace, which so has another place in the second one's order. This file stands in for the store and for the query.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/tempo.h"
#include "server/traceql.h"

#define N_OTHERS 40 /* between the two places; more than a batch */

static uint32_t n_others, asked[2], matched[2];

int traceql_parse(struct api_call *c, struct slice query, struct traceql *ret)
{
	ret->n = 2;
	for (uint32_t i = 0; i < ret->n; i++)
		ret->cases[i].filter.kinds = 1u << i;
	return 0;
}

int traceql_tags(struct api_call *c, struct slice tags, struct traceql *ret)
{
	return -EINVAL;
}

void traceql_done(struct traceql *q)
{
}

static void add(struct api_traces *t, uint8_t id, uint64_t start_ns)
{
	t->v = realloc(t->v, (t->n + 1) * sizeof(*t->v));
	assert_non_null(t->v);
	t->v[t->n++] = (struct clew_trace_summary){.trace_id.b[15] = id, .start_ns = start_ns};
}

/* The first case finds the trace 1, at 1000; the second one others, and then the trace 1, which began at 10 by now. */
int api_find_traces(struct api_call *c, const struct clew_span_filter *f, struct api_traces *ret)
{
	if (asked[f->kinds == 2]++)
		return 0;
	if (f->kinds == 1) {
		add(ret, 1, 1000);
		return 0;
	}
	for (uint32_t i = 0; i < n_others; i++)
		add(ret, (uint8_t)(2 + i), 900 - i);
	add(ret, 1, 10);
	return 0;
}

void api_traces_done(struct api_traces *t)
{
	free(t->v);
}

int api_sum_traces(struct api_call *c, const struct clew_trace_summary *t, size_t n,
		   struct api_sum ret[API_SUM_TRACES], api_row_fn fn, void *user)
{
	for (size_t i = 0; i < n; i++)
		ret[i] = (struct api_sum){.id = t[i].trace_id, .spans = 1};
	return 0;
}

void api_sums_done(struct api_sum *s, size_t n)
{
}

int clew_store_match_spans(struct clew_store *st, const struct clew_id128 *ids, size_t n,
			   const struct clew_span_filter *f, clew_span_fn fn, void *user, char **ret_error)
{
	for (size_t i = 0; i < n; i++)
		matched[f->kinds == 2] += ids[i].b[15] == 1;
	return 0;
}

int api_hand_on(struct api_call *c)
{
	return 0;
}

bool api_get(struct api_call *c, const char *key, struct slice *ret)
{
	return false;
}

int api_limit(struct api_call *c, const char *key, uint64_t *ret)
{
	*ret = 100;
	return 0;
}

int api_number(struct api_call *c, const char *key, uint64_t scale, uint64_t *ret)
{
	return 0;
}

int api_duration(struct api_call *c, const char *key, uint64_t *ret_ns)
{
	return 0;
}

int api_check_window(struct api_call *c, const struct clew_span_filter *f)
{
	return 0;
}

int api_fail(struct api_call *c, int status, int err, const char *fmt, ...)
{
	return err;
}

int tempo_times(struct api_call *c, struct clew_span_filter *f)
{
	return 0;
}

static void test_each_trace_once(void **state)
{
	for (n_others = 0; n_others <= N_OTHERS; n_others += N_OTHERS) {
		struct api_call c = {0};
		uint32_t found = 0;

		memset(asked, 0, sizeof(asked));
		memset(matched, 0, sizeof(matched));
		assert_int_equal(tempo_search(&c), 0);
		for (const char *at = c.out.data; (at = strstr(at, "\"traceID\":\"1\"")); at++)
			found++;
		assert_int_equal(found, 1);
		/* As long as it is not written, it is what both cases found. */
		assert_int_equal(matched[0], 1);
		assert_int_equal(matched[1], n_others ? 0 : 1);
		clew_buf_done(&c.out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_trace_once)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
