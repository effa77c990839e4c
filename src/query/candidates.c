/* SPDX-License-Identifier: Apache-2.0 */
#include "query/candidates.h"

#include <stdlib.h>

#include "base/marks.h"

#define N_ATTRS 5

struct wanted {
	struct clew_span *orphan; /* which owns the link */
	struct clew_span_link *link;
	bool asked;
};

struct search {
	struct wanted w[CANDIDATES_MAX_LINKS];
	size_t n;
	const struct clew_id128 *trace; /* that is read now */
};

static void collect(struct search *s, struct clew_span *span)
{
	for (uint32_t i = 0; i < span->n_links && s->n < CANDIDATES_MAX_LINKS; i++)
		if (!clew_id128_eq(&span->links[i].trace_id, &span->trace_id) &&
		    !span->links[i].n_attrs)
			s->w[s->n++] = (struct wanted){.orphan = span, .link = &span->links[i]};
}

static struct clew_attr number(const char *key, uint64_t v)
{
	return (struct clew_attr){.key = slice_str(key), .type = CLEW_ATTR_INT, .i = (int64_t)v};
}

/* Without memory the link keeps its ids. */
static void describe(const struct wanted *w, const struct clew_span *c)
{
	struct slice none = SLICE("");
	struct slice service = clew_span_copy(w->orphan, c->resource ? c->resource->service : none);
	struct slice name = clew_span_copy(w->orphan, c->name);
	size_t bytes = N_ATTRS * sizeof(struct clew_attr);
	char *raw = clew_span_alloc(w->orphan, bytes + _Alignof(struct clew_attr));
	struct clew_attr *a;

	if (!raw || !service.p || !name.p)
		return;
	raw += -(uintptr_t)raw % _Alignof(struct clew_attr);
	a = (struct clew_attr *)(void *)raw;
	a[0] = (struct clew_attr){.key = SLICE("clew.link.confidence"),
				  .type = CLEW_ATTR_DOUBLE,
				  .d = (double)w->link->confidence};
	a[1] = (struct clew_attr){
		.key = SLICE("clew.candidate.service"), .type = CLEW_ATTR_STR, .str = service};
	a[2] = (struct clew_attr){
		.key = SLICE("clew.candidate.name"), .type = CLEW_ATTR_STR, .str = name};
	a[3] = number("clew.candidate.start_ns", c->start_ns);
	a[4] = number("clew.candidate.end_ns", c->start_ns + c->duration_ns);
	w->link->attrs = a;
	w->link->n_attrs = N_ATTRS;
}

static int on_span(void *user, struct clew_span *span)
{
	const struct search *s = user;

	for (size_t i = 0; i < s->n; i++)
		if (!s->w[i].link->n_attrs && clew_id128_eq(&s->w[i].link->trace_id, s->trace) &&
		    clew_id64_eq(&s->w[i].link->span_id, &span->span_id))
			describe(&s->w[i], span);
	clew_span_free(span);
	return 0;
}

static int ask(struct clew_store *st, struct search *s, char **ret_error)
{
	size_t traces = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n && traces < CANDIDATES_MAX_TRACES; i++) {
		if (s->w[i].asked)
			continue;
		s->trace = &s->w[i].link->trace_id;
		for (size_t k = i; k < s->n; k++)
			s->w[k].asked |= clew_id128_eq(&s->w[k].link->trace_id, s->trace);
		traces++;
		r = clew_store_get_trace(st, s->trace, on_span, s, ret_error);
		if (r == -ENOENT) /* lost, or not stored yet */
			r = 0;
	}
	return r;
}

int candidates_describe(struct clew_store *st, struct clew_span *const *v, size_t n,
			char **ret_error)
{
	struct search *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (v[i]->link_class == CLEW_LINK_ORPHAN)
			collect(s, v[i]);
	r = ask(st, s, ret_error);
	free(s);
	return r;
}
