/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traces and spans as lines, page by page where that is asked for.
 *
 * A page is followed by {"next":"CURSOR"} if there is more. To know that, one row more than the
 * page is asked for.
 */
#include "query/call.h"
#include "query/span_json.h"

#define DEFAULT_TRACES 20

struct listing {
	struct call *c;
	uint64_t left; /* rows of this page; UINT64_MAX: not paged */
	bool more;
	uint64_t start_ns; /* of the last row that was given */
	struct clew_id128 id;
};

static int end_list(struct listing *l)
{
	char cursor[64];

	if (!l->more)
		return 0;
	params_cursor(l->start_ns, &l->id, cursor);
	clew_buf_addf(&l->c->out, "{\"next\":\"%s\"}", cursor);
	return call_end_line(l->c);
}

/* False: this row is beyond the page. */
static bool take_row(struct listing *l, uint64_t start_ns, const void *id, size_t n)
{
	if (!l->left) {
		l->more = true;
		return false;
	}
	if (l->left != UINT64_MAX)
		l->left--;
	l->start_ns = start_ns;
	memset(&l->id, 0, sizeof(l->id));
	memcpy(l->id.b, id, n);
	return true;
}

static int begin_list(struct listing *l, struct call *c, struct clew_span_filter *f)
{
	bool paged = false;
	int r = params_flag(&c->params, "paged", &paged, c->ret_error);

	*l = (struct listing){.c = c, .left = UINT64_MAX};
	if (r == 0)
		r = call_filter(c, f);
	if (r < 0 || !paged)
		return r;
	if (!f->limit || f->limit > UINT32_MAX || f->sort == CLEW_SORT_DURATION)
		return call_fail(c, -EINVAL,
				 "paged=1 takes a limit (the size of a page), and no sort by "
				 "duration");
	l->left = f->limit++;
	return 0;
}

static int put_trace(void *user, const struct clew_trace_summary *t)
{
	struct listing *l = user;

	if (!take_row(l, t->start_ns, t->trace_id.b, sizeof(t->trace_id.b)))
		return 0;
	trace_json(&l->c->out, t);
	return call_end_line(l->c);
}

int call_traces(struct call *c)
{
	struct clew_span_filter f = {.limit = DEFAULT_TRACES, .sort = CLEW_SORT_START};
	struct listing l = {0};
	int r = params_u64(&c->params, "from_ns", &f.trace_min_ns, c->ret_error);

	if (r == 0)
		r = params_u64(&c->params, "to_ns", &f.trace_max_ns, c->ret_error);
	if (r == 0)
		r = begin_list(&l, c, &f);
	if (r == 0)
		r = clew_store_find_traces(c->st, &f, put_trace, &l, c->ret_error);
	return r < 0 ? r : end_list(&l);
}

static int put_span(void *user, struct clew_span *s)
{
	_cleanup_(clew_span_freep) struct clew_span *own = s;
	struct listing *l = user;
	int r;

	if (!take_row(l, s->start_ns, s->span_id.b, sizeof(s->span_id.b)))
		return 0;
	r = span_json(&l->c->out, own);
	return r < 0 ? r : call_end_line(l->c);
}

int call_spans(struct call *c)
{
	struct clew_span_filter f = {0};
	struct listing l;
	int r = begin_list(&l, c, &f);

	if (r == 0)
		r = clew_store_find_spans(c->st, &f, put_span, &l, c->ret_error);
	return r < 0 ? r : end_list(&l);
}
