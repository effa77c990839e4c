/* SPDX-License-Identifier: Apache-2.0 */
/* The services: what each of them does, and how its calls were linked. */
#include <inttypes.h>

#include "query/advice.h"
#include "query/call.h"

#define DEFAULT_SERVICES 1000u
#define MAX_SERVICES	 5000u
_Static_assert(MAX_SERVICES < CLEW_STORE_MAX_SERVICES, "one more than is given is asked for");

struct listing {
	struct call *c;
	uint64_t left;
	bool more;
	struct slice last; /* the name that was given last */
};

static int put_service(void *user, const struct clew_service_stats *s)
{
	struct listing *l = user;
	struct call *c = l->c;

	if (!l->left) {
		l->more = true;
		return 0;
	}
	l->left--;
	l->last = s->service;
	clew_buf_adds(&c->out, "{\"service\":");
	clew_json_str(&c->out, s->service);
	clew_buf_addf(&c->out,
		      ",\"instances\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"requests\":%" PRIu64
		      ",\"errors\":%" PRIu64 ",\"p50_ns\":%" PRIu64 ",\"p95_ns\":%" PRIu64
		      ",\"p99_ns\":%" PRIu64 ",\"first_ns\":%" PRIu64 ",\"last_ns\":%" PRIu64 "}",
		      s->instances, s->spans, s->requests, s->errors, s->p50_ns, s->p95_ns,
		      s->p99_ns, s->first_ns, s->last_ns);
	return call_end_line(c);
}

static int get_sort(struct call *c, struct clew_service_query *sq)
{
	static const char *const names[] = {[CLEW_SERVICES_BUSIEST] = "spans",
					    [CLEW_SERVICES_NEWEST] = "newest",
					    [CLEW_SERVICES_BY_NAME] = "name"};
	struct slice sort = SLICE("spans");
	unsigned i = 0;

	params_get(&c->params, "sort", &sort);
	while (i <= CLEW_SERVICES_BY_NAME && !slice_eq(sort, slice_str(names[i])))
		i++;
	if (i > CLEW_SERVICES_BY_NAME)
		return call_fail(c, -EINVAL, "sort: spans (the busiest first), newest or name");
	sq->sort = (enum clew_service_sort)i;
	if (params_get(&c->params, "after", &sq->after) && sq->sort != CLEW_SERVICES_BY_NAME)
		return call_fail(c, -EINVAL, "after takes sort=name");
	return 0;
}

static int get_services(struct call *c, struct clew_service_query *sq)
{
	struct clew_span_filter times = {0};
	int r = get_sort(c, sq);

	sq->limit = DEFAULT_SERVICES;
	params_get(&c->params, "prefix", &sq->prefix);
	if (r == 0)
		r = params_u64(&c->params, "limit", &sq->limit, c->ret_error);
	if (r == 0)
		r = call_times(c, &times);
	sq->since_ns = times.since_ns;
	sq->until_ns = times.until_ns;
	if (!sq->limit || sq->limit > MAX_SERVICES)
		sq->limit = MAX_SERVICES;
	return r;
}

/* Where that is not all of them, a last line says how many there are. */
int call_services(struct call *c)
{
	struct clew_service_query sq = {0};
	struct listing l = {.c = c};
	uint64_t total = 0;
	int r = get_services(c, &sq);

	l.left = sq.limit++;
	if (r == 0)
		r = clew_store_services(c->st, &sq, &total, put_service, &l, c->ret_error);
	if (r < 0 || !l.more)
		return r;
	clew_buf_addf(&c->out, "{\"total\":%" PRIu64, total);
	if (sq.sort == CLEW_SERVICES_BY_NAME)
		put_str(&c->out, ",\"next\":", l.last);
	clew_buf_addc(&c->out, '}');
	return call_end_line(c);
}

/* ---- why ---- */

static void put_text(struct call *c, const char *name, struct slice text)
{
	clew_buf_addf(&c->out, ",\"%s\":", name);
	if (text.n)
		clew_json_str(&c->out, text);
	else
		clew_buf_adds(&c->out, "null");
}

/* An object that we have written; nothing else gets into the answer. */
static void put_object(struct call *c, const char *name, struct slice json)
{
	clew_buf_addf(&c->out, ",\"%s\":", name);
	if (json.n >= 2 && json.p[0] == '{' && json.p[json.n - 1] == '}')
		clew_buf_add(&c->out, json.p, json.n);
	else
		clew_buf_adds(&c->out, "{}");
}

static int put_model(void *user, const struct clew_service_model *m)
{
	struct call *c = user;
	struct advice a;

	advice_make(m, &a);
	clew_buf_adds(&c->out, "{\"service\":");
	clew_json_str(&c->out, m->service);
	clew_buf_addf(&c->out, ",\"time_ns\":%" PRIu64, m->time_ns);
	put_text(c, "runtime", m->runtime);
	put_text(c, "runtime_version", m->version);
	put_text(c, "task", m->task);
	put_text(c, "model", m->model);
	clew_buf_addf(&c->out,
		      ",\"groups\":%" PRIu64 ",\"answers\":%" PRIu64 ",\"hits\":%" PRIu64
		      ",\"misses\":%" PRIu64 ",\"roots\":%" PRIu64 ",\"certain\":%" PRIu64
		      ",\"probable\":%" PRIu64 ",\"orphans\":%" PRIu64,
		      m->groups, m->answers, m->hits, m->misses, m->roots, m->certain, m->probable,
		      m->orphans);
	put_object(c, "settled", m->settled);
	put_object(c, "orphaned", m->orphaned);
	put_text(c, "options", m->options);
	clew_buf_adds(&c->out, ",\"advice\":{\"option\":");
	if (a.option)
		clew_json_str(&c->out, slice_str(a.option));
	else
		clew_buf_adds(&c->out, "null");
	clew_buf_adds(&c->out, ",\"up_to\":");
	clew_json_double(&c->out, a.up_to);
	put_text(c, "text", slice_str(a.text));
	clew_buf_adds(&c->out, "}}");
	return call_end_line(c);
}

int call_services_why(struct call *c)
{
	if (c->params.n)
		return call_fail(c, -EINVAL, "this call takes no parameters");
	return clew_store_service_models(c->st, put_model, c, c->ret_error);
}
