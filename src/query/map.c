/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls whom, and how it goes: the edges with the most calls, and what stands at their ends. */
#include <inttypes.h>

#include "query/call.h"
#include "store/latency.h"
#include "base/hash.h"

#define DEFAULT_EDGES 2000u

struct node {
	UT_hash_handle hh; /* by key */
	char *key;	   /* 's', or 'e' of an external one, and the name */
	struct slice service;
	uint64_t requests, errors;
	uint64_t p95_ns; /* of an external one: of the slowest of its callers */
	uint32_t *counts;
	bool external;
};

struct map {
	struct call *c;
	struct node *nodes; /* in the order in which they came */
	struct clew_buf edges;
	double seconds;
	uint64_t total;
};

static struct node *find_node(const struct map *m, const char *key, size_t n)
{
	struct node *node = NULL;

	HASH_FIND(hh, m->nodes, key, (unsigned)n, node);
	return node;
}

static int make_key(struct clew_buf *key, struct slice service, bool external)
{
	clew_buf_clear(key);
	clew_buf_addc(key, external ? 'e' : 's');
	return clew_buf_add(key, service.p ? service.p : "", service.n);
}

/* NULL: no memory. */
static struct node *map_node(struct map *m, struct slice service, bool external)
{
	struct clew_buf key = {0};
	struct node *n = NULL;

	if (make_key(&key, service, external) == 0 && !(n = find_node(m, key.data, key.len))) {
		n = calloc(1, sizeof(*n));
		if (n)
			n->key = malloc(key.len);
		if (n && n->key) {
			memcpy(n->key, key.data, key.len);
			n->service = slice_of(n->key + 1, key.len - 1);
			n->external = external;
			HASH_ADD_KEYPTR(hh, m->nodes, n->key, (unsigned)key.len, n);
		}
		if (n && (!n->key || !n->hh.tbl)) {
			free(n->key);
			free(n);
			n = NULL;
		}
	}
	clew_buf_done(&key);
	return n;
}

static void map_done(struct map *m)
{
	struct node *n, *next;

	HASH_ITER (hh, m->nodes, n, next) {
		HASH_DEL(m->nodes, n);
		free(n->key);
		free(n->counts);
		free(n);
	}
	clew_buf_done(&m->edges);
}

static int put_edge(void *user, const struct clew_edge_stats *e)
{
	struct map *m = user;
	struct node *n;

	if (e->client.p && !map_node(m, e->client, false))
		return -ENOMEM;
	n = map_node(m, e->server, e->external);
	if (!n)
		return -ENOMEM;
	n->requests += e->calls;
	n->errors += e->errors;
	if (e->external && e->p95_ns > n->p95_ns)
		n->p95_ns = e->p95_ns;
	clew_buf_adds(&m->edges, m->edges.len ? ",{\"client\":" : "{\"client\":");
	if (e->client.p)
		clew_json_str(&m->edges, e->client);
	else
		clew_buf_adds(&m->edges, "null");
	clew_buf_adds(&m->edges, ",\"server\":");
	clew_json_str(&m->edges, e->server);
	if (e->external)
		clew_buf_adds(&m->edges, ",\"external\":true");
	return clew_buf_addf(&m->edges,
			     ",\"calls\":%" PRIu64 ",\"errors\":%" PRIu64
			     ",\"rate\":%.4g,\"p50_ns\":%" PRIu64 ",\"p95_ns\":%" PRIu64
			     ",\"p99_ns\":%" PRIu64 "}",
			     e->calls, e->errors, (double)e->calls / m->seconds, e->p50_ns,
			     e->p95_ns, e->p99_ns);
}

/* How long a service takes to answer, whoever calls. */
static int add_latency(void *user, const struct clew_red_row *row)
{
	struct clew_buf key = {0};
	struct map *m = user;
	struct node *n;
	int r = make_key(&key, row->service, false);

	n = r == 0 ? find_node(m, key.data, key.len) : NULL;
	clew_buf_done(&key);
	if (n && !n->counts)
		n->counts = calloc(CLEW_LATENCY_BUCKETS, sizeof(*n->counts));
	if (n && !n->counts)
		return -ENOMEM;
	if (n)
		n->counts[row->bucket] += (uint32_t)row->n;
	return r;
}

static void put_node(struct call *c, const struct node *n, bool first)
{
	uint64_t counts[CLEW_LATENCY_BUCKETS], p95 = n->p95_ns;

	for (unsigned i = 0; n->counts && i < CLEW_LATENCY_BUCKETS; i++)
		counts[i] = n->counts[i];
	if (n->counts)
		p95 = clew_latency_quantile(counts, 0.95);
	put_str(&c->out, first ? "{\"service\":" : ",{\"service\":", n->service);
	clew_buf_addf(&c->out,
		      ",\"requests\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"p95_ns\":%" PRIu64 "%s}",
		      n->requests, n->errors, p95, n->external ? ",\"external\":true" : "");
}

static int ask_map(struct map *m, uint64_t since, uint64_t until, uint64_t limit)
{
	struct clew_red_query rq = {.since_ns = since,
				    .until_ns = until,
				    .by_service = true,
				    .kinds = 1u << CLEW_KIND_SERVER | 1u << CLEW_KIND_CONSUMER};
	_cleanup_(freep) struct slice *names = NULL;
	struct call *c = m->c;
	struct node *n, *next;
	int r = clew_store_map(c->st, since, until, limit, &m->total, put_edge, m, c->ret_error);

	if (r == 0 && !(names = calloc(HASH_COUNT(m->nodes) + 1, sizeof(*names))))
		r = -ENOMEM;
	if (r < 0)
		return r;
	HASH_ITER (hh, m->nodes, n, next)
		if (!n->external)
			names[rq.n_services++] = n->service;
	rq.services = names;
	return clew_store_red(c->st, &rq, add_latency, m, c->ret_error);
}

int call_map(struct call *c)
{
	struct map m = {.c = c};
	uint64_t since = 0, until = 0, limit = DEFAULT_EDGES;
	struct node *n, *next;
	int r = call_window(c, &since, &until);

	if (r == 0)
		r = params_u64(&c->params, "limit", &limit, c->ret_error);
	if (r == 0)
		r = call_no_params(c);
	m.seconds = (double)(until - since) / 1e9;
	if (r == 0)
		r = ask_map(&m, since, until, limit);
	clew_buf_addf(&c->out,
		      "{\"since_ns\":%" PRIu64 ",\"until_ns\":%" PRIu64 ",\"edges_total\":%" PRIu64
		      ",\"nodes\":[",
		      since, until, m.total);
	HASH_ITER (hh, m.nodes, n, next)
		put_node(c, n, n == m.nodes);
	clew_buf_adds(&c->out, "],\"edges\":[");
	clew_buf_add(&c->out, m.edges.data, m.edges.len);
	clew_buf_adds(&c->out, "]}");
	if (r == 0)
		r = m.edges.err;
	map_done(&m);
	return r < 0 ? r : call_end_line(c);
}
