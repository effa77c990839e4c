/* SPDX-License-Identifier: Apache-2.0 */
/* What a store answered, kept for a look. */
#pragma once

#include "util.h"

struct got {
	struct clew_span *v[20000];
	size_t n;
};

static inline int get(void *user, struct clew_span *s)
{
	struct got *g = user;

	assert_true(g->n < 20000);
	g->v[g->n++] = s;
	return 0;
}

static inline void forget(struct got *g)
{
	for (size_t i = 0; i < g->n; i++)
		clew_span_free(g->v[i]);
	g->n = 0;
}

static struct got got;

static inline size_t find(struct clew_store *st, const struct clew_span_filter *f)
{
	char *error = NULL;
	int r;

	forget(&got);
	r = clew_store_find_spans(st, f, get, &got, &error);
	if (r < 0)
		fail_msg("find: %d %s", r, error ? error : "");
	return got.n;
}

struct summaries {
	struct clew_trace_summary v[100];
	size_t n;
};

static inline int get_summary(void *user, const struct clew_trace_summary *t)
{
	struct summaries *s = user;

	assert_true(s->n < 100);
	s->v[s->n++] = *t;
	return 0;
}

static inline struct summaries traces(struct clew_store *st, const struct clew_span_filter *f)
{
	struct summaries s = {.n = 0};
	char *error = NULL;
	int r = clew_store_find_traces(st, f, get_summary, &s, &error);

	if (r < 0)
		fail_msg("traces: %d %s", r, error ? error : "");
	return s;
}
