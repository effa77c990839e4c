/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls whom, and how it goes. */
#include <inttypes.h>

#include "query/call.h"
#include "store/latency.h"

struct node {
	struct slice service; /* copied */
	uint64_t requests, errors;
	uint64_t p95_ns; /* of an external one: of the slowest of its callers */
	uint32_t *counts;
	bool external;
};

struct map {
	struct call *c;
	struct node *nodes;
	size_t n, cap;
	struct clew_buf edges;
	double seconds;
};

static struct node *map_node(struct map *m, struct slice service, bool external)
{
	char *copy;

	for (size_t i = 0; i < m->n; i++)
		if (m->nodes[i].external == external && slice_eq(m->nodes[i].service, service))
			return &m->nodes[i];
	if (m->n == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 32;
		struct node *nodes = realloc(m->nodes, cap * sizeof(*nodes));

		if (!nodes)
			return NULL;
		m->nodes = nodes;
		m->cap = cap;
	}
	copy = strndup(service.p ? service.p : "", service.n);
	if (!copy)
		return NULL;
	m->nodes[m->n] = (struct node){.service = {copy, service.n}, .external = external};
	return &m->nodes[m->n++];
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
	struct map *m = user;
	struct node *n = NULL;

	for (size_t i = 0; i < m->n && !n; i++)
		if (!m->nodes[i].external && slice_eq(m->nodes[i].service, row->service))
			n = &m->nodes[i];
	if (n && !n->counts)
		n->counts = calloc(CLEW_LATENCY_BUCKETS, sizeof(*n->counts));
	if (n && !n->counts)
		return -ENOMEM;
	if (n)
		n->counts[row->bucket] += (uint32_t)row->n;
	return 0;
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

static int ask_map(struct map *m, uint64_t since, uint64_t until)
{
	struct clew_red_query rq = {.since_ns = since,
				    .until_ns = until,
				    .by_service = true,
				    .kinds = 1u << CLEW_KIND_SERVER | 1u << CLEW_KIND_CONSUMER};
	struct call *c = m->c;
	int r = clew_store_map(c->st, since, until, put_edge, m, c->ret_error);

	return r < 0 ? r : clew_store_red(c->st, &rq, add_latency, m, c->ret_error);
}

int call_map(struct call *c)
{
	struct map m = {.c = c};
	uint64_t since = 0, until = 0;
	int r = call_window(c, &since, &until);

	if (r == 0)
		r = call_no_params(c);
	m.seconds = (double)(until - since) / 1e9;
	if (r == 0)
		r = ask_map(&m, since, until);
	clew_buf_addf(&c->out, "{\"since_ns\":%" PRIu64 ",\"until_ns\":%" PRIu64 ",\"nodes\":[",
		      since, until);
	for (size_t i = 0; i < m.n; i++) {
		put_node(c, &m.nodes[i], i == 0);
		free((char *)(uintptr_t)m.nodes[i].service.p);
		free(m.nodes[i].counts);
	}
	clew_buf_adds(&c->out, "],\"edges\":[");
	clew_buf_add(&c->out, m.edges.data, m.edges.len);
	clew_buf_adds(&c->out, "]}");
	if (r == 0)
		r = m.edges.err;
	free(m.nodes);
	clew_buf_done(&m.edges);
	return r < 0 ? r : call_end_line(c);
}
