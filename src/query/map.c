/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls whom, and how it goes. */
#include <inttypes.h>

#include "query/call.h"

struct node {
	struct slice service; /* copied */
	uint64_t requests, errors;
	bool external;
};

struct map {
	struct call *c;
	struct node *nodes;
	size_t n, cap;
	struct clew_buf edges;
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
			     ",\"calls\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"p50_ns\":%" PRIu64
			     ",\"p95_ns\":%" PRIu64 ",\"p99_ns\":%" PRIu64 "}",
			     e->calls, e->errors, e->p50_ns, e->p95_ns, e->p99_ns);
}

int call_map(struct call *c)
{
	struct clew_span_filter f = {0};
	struct map m = {.c = c};
	int r = call_times(c, &f);

	if (r == 0)
		r = clew_store_map(c->st, f.since_ns, f.until_ns, put_edge, &m, c->ret_error);
	clew_buf_adds(&c->out, "{\"nodes\":[");
	for (size_t i = 0; i < m.n; i++) {
		clew_buf_adds(&c->out, i ? ",{\"service\":" : "{\"service\":");
		clew_json_str(&c->out, m.nodes[i].service);
		clew_buf_addf(&c->out, ",\"requests\":%" PRIu64 ",\"errors\":%" PRIu64 "%s}",
			      m.nodes[i].requests, m.nodes[i].errors,
			      m.nodes[i].external ? ",\"external\":true" : "");
		free((char *)(uintptr_t)m.nodes[i].service.p);
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
