/* SPDX-License-Identifier: Apache-2.0 */
/* Tempo's tags and their values: what Grafana's search form and TraceQL editor offer. */
#include <stdlib.h>

#include "server/tempo.h"

/* Values of an answer, by default and at most. */
#define DEFAULT_VALUES 1000u
#define MAX_VALUES     10000u

/* ---- names ---- */

enum scope_bit { OF_RESOURCE = 1, OF_SPAN = 2, INTRINSIC = 4 };

static const char *const intrinsics[] = {
	"duration",	      "kind",	       "name",		"nestedSetParent", "rootName",
	"rootServiceName",    "span:duration", "span:kind",	"span:name",	   "span:status",
	"span:statusMessage", "status",	       "statusMessage", "trace:duration",  "trace:rootName",
	"trace:rootService",  "traceDuration",
};

struct tag {
	struct slice key; /* lives as long as the store */
	unsigned scopes;
};

struct tags {
	struct tag *v;
	size_t n, cap;
};

/* By key: one that has two types comes twice, in a row. */
static int keep_tag(void *user, const struct clew_attr_key *k)
{
	struct tags *t = user;
	unsigned scopes =
		(k->resources ? OF_RESOURCE : 0u) | (k->spans > k->resources ? OF_SPAN : 0u);

	if (t->n && slice_eq(t->v[t->n - 1].key, k->key)) {
		t->v[t->n - 1].scopes |= scopes;
		return 0;
	}
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		struct tag *v = realloc(t->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		t->v = v;
		t->cap = cap;
	}
	t->v[t->n++] = (struct tag){k->key, scopes};
	return 0;
}

/* Which scopes are wanted; without any: all. */
static int get_scope(struct api_call *c, unsigned *ret)
{
	static const struct {
		const char *name;
		unsigned bits;
	} names[] = {{"resource", OF_RESOURCE},
		     {"span", OF_SPAN},
		     {"intrinsic", INTRINSIC},
		     {"all", 7},
		     {"event", 0},
		     {"link", 0},
		     {"instrumentation", 0},
		     {"none", 7}};
	struct slice v;

	*ret = 7;
	if (!api_get(c, "scope", &v))
		return 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (slice_eq(v, slice_str(names[i].name))) {
			*ret = names[i].bits;
			return 0;
		}
	return api_fail(c, 400, -EINVAL,
			"invalid scope: '%.*s' is none of resource, span, intrinsic",
			(int)(v.n < 64 ? v.n : 64), v.p);
}

static int get_tags(struct api_call *c, struct tags *ret, unsigned *ret_scopes)
{
	struct clew_span_filter times = {0}; /* checked; the store knows keys of all times */
	int r = get_scope(c, ret_scopes);

	*ret = (struct tags){0};
	if (r == 0)
		r = tempo_times(c, &times);
	if (r == 0)
		r = clew_store_attr_keys(c->st, slice_of(NULL, 0), SLICE(""), keep_tag, ret,
					 &c->error);
	if (r < 0)
		free(ret->v);
	return r;
}

int tempo_tags(struct api_call *c)
{
	unsigned scopes;
	struct tags t;
	size_t n = 0;
	int r = get_tags(c, &t, &scopes);

	if (r < 0)
		return r;
	clew_buf_adds(&c->out, "{\"tagNames\":[");
	for (size_t i = 0; i < t.n; i++)
		if (t.v[i].scopes & scopes) {
			clew_buf_adds(&c->out, n++ ? "," : "");
			clew_json_str(&c->out, t.v[i].key);
		}
	for (size_t i = 0; scopes == INTRINSIC && i < sizeof(intrinsics) / sizeof(*intrinsics);
	     i++) {
		clew_buf_adds(&c->out, n++ ? "," : "");
		clew_json_str(&c->out, slice_str(intrinsics[i]));
	}
	free(t.v);
	return clew_buf_adds(&c->out, "],\"metrics\":{}}");
}

int tempo_tags_v2(struct api_call *c)
{
	static const struct {
		const char *name;
		unsigned bit;
	} groups[] = {{"resource", OF_RESOURCE}, {"span", OF_SPAN}};
	unsigned scopes, n_groups = 0;
	struct tags t;
	int r = get_tags(c, &t, &scopes);

	if (r < 0)
		return r;
	clew_buf_adds(&c->out, "{\"scopes\":[");
	for (size_t g = 0; g < 2; g++) {
		size_t n = 0;

		if (!(scopes & groups[g].bit))
			continue;
		clew_buf_addf(&c->out, "%s{\"name\":\"%s\",\"tags\":[", n_groups++ ? "," : "",
			      groups[g].name);
		for (size_t i = 0; i < t.n; i++)
			if (t.v[i].scopes & groups[g].bit) {
				clew_buf_adds(&c->out, n++ ? "," : "");
				clew_json_str(&c->out, t.v[i].key);
			}
		clew_buf_adds(&c->out, "]}");
	}
	if (scopes & INTRINSIC) {
		clew_buf_addf(&c->out, "%s{\"name\":\"intrinsic\",\"tags\":[", n_groups ? "," : "");
		for (size_t i = 0; i < sizeof(intrinsics) / sizeof(*intrinsics); i++)
			clew_buf_addf(&c->out, "%s\"%s\"", i ? "," : "", intrinsics[i]);
		clew_buf_adds(&c->out, "]}");
	}
	free(t.v);
	return clew_buf_adds(&c->out, "],\"metrics\":{}}");
}

/* ---- values ---- */

struct values {
	struct api_call *c;
	bool v2;
	uint64_t n;
};

static int put_value(struct values *v, struct slice value, const char *type)
{
	struct clew_buf *b = &v->c->out;

	clew_buf_adds(b, v->n++ ? "," : "");
	if (v->v2)
		clew_buf_addf(b, "{\"type\":\"%s\",\"value\":", type);
	clew_json_str(b, value);
	clew_buf_adds(b, v->v2 ? "}" : "");
	return api_hand_on(v->c);
}

static int take_value(void *user, struct slice value, enum clew_attr_type type)
{
	static const char *const types[] = {[CLEW_ATTR_STR] = "string",
					    [CLEW_ATTR_INT] = "int",
					    [CLEW_ATTR_DOUBLE] = "float",
					    [CLEW_ATTR_BOOL] = "bool"};

	return put_value(user, value, types[type]);
}

static int put_services(struct values *v, uint64_t max)
{
	struct api_names names;
	int r = api_services(v->c, max, &names);

	for (size_t i = 0; r == 0 && i < names.n; i++)
		r = put_value(v, names.v[i].name, "string");
	if (r == 0)
		api_names_done(&names);
	return r;
}

/* Words rather than text. */
static int put_words(struct values *v, const char *(*name)(unsigned), unsigned n)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n; i++)
		r = put_value(v, slice_str(name(i)), "keyword");
	return r;
}

static const char *status_word(unsigned i)
{
	return clew_status_name((enum clew_status)i);
}

static const char *kind_word(unsigned i)
{
	return clew_kind_name((enum clew_span_kind)i);
}

/* A filter that is not whole, or not understood, is left out: so does Tempo. So is one of several cases. */
static void get_filter(struct api_call *c, struct traceql *q)
{
	struct slice text;

	if (!api_get(c, "q", &text) || (traceql_parse(c, text, q) == 0 && q->n == 1))
		return;
	q->cases[0] = (struct traceql_case){0};
	free(c->error);
	c->error = NULL;
	c->status = 0;
}

static int put_values(struct values *v, struct slice tag, uint64_t max)
{
	struct api_call *c = v->c;
	enum clew_filter_scope scope = CLEW_SCOPE_ANY;
	struct traceql q = {0};
	int r;

	if (traceql_field(tag, &scope, &tag) < 0) {
		if (slice_eq(tag, SLICE("rootServiceName")) ||
		    slice_eq(tag, SLICE("trace:rootService")))
			return put_services(v, max);
		if (slice_eq(tag, SLICE("rootName")) || slice_eq(tag, SLICE("trace:rootName")))
			scope = CLEW_SCOPE_FIELD;
		else if (v->v2)
			return 0; /* a field that has no values to choose from */
	} else if (scope == CLEW_SCOPE_FIELD) {
		if (slice_eq(tag, SLICE("status")))
			return put_words(v, status_word, CLEW_STATUS_ERROR + 1);
		if (slice_eq(tag, SLICE("kind")))
			return put_words(v, kind_word, CLEW_KIND_CONSUMER + 1);
		if (!slice_eq(tag, SLICE("name")))
			return 0;
	}
	get_filter(c, &q);
	r = tempo_times(c, &q.cases[0].filter);
	if (r == 0 && !q.cases[0].never)
		r = clew_store_values(c->st, &q.cases[0].filter, scope, tag, max, take_value, v,
				      &c->error);
	traceql_done(&q);
	return r;
}

static int values(struct api_call *c, bool v2)
{
	struct values v = {.c = c, .v2 = v2};
	uint64_t max = DEFAULT_VALUES;
	int r = api_number(c, "limit", 1, &max);

	max = max && max < MAX_VALUES ? max : MAX_VALUES;
	clew_buf_adds(&c->out, "{\"tagValues\":[");
	if (r == 0)
		r = put_values(&v, clew_buf_slice(&c->arg), max);
	return r < 0 ? r : clew_buf_adds(&c->out, "],\"metrics\":{}}");
}

int tempo_values(struct api_call *c)
{
	return values(c, false);
}

int tempo_values_v2(struct api_call *c)
{
	return values(c, true);
}
