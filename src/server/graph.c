/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traces_service_graph_*: an edge is counted when both spans of a call are there.
 *
 *	client span (its id) ─┐
 *			      ├─ same trace, same key ─► edge (client's service, server's)
 *	server span (parent) ─┘
 *
 * The first half waits for the other. When it waits in vain, a client span that names its peer makes
 * an edge to it (a database, a service that is not traced); what names nobody counts as unpaired. A
 * server span without a parent is called by "user". Names as Grafana Tempo's generator has them.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/hash.h"
#include "server/halves.h"
#include "server/watch.h"

#define SERVICES   4096u
#define EDGE_SLOTS 2048u /* a power of two, at least twice the edges */
#define OTHER	   "(other)"

enum edge_type { EDGE_CALL, EDGE_MESSAGE, EDGE_DATABASE, EDGE_VIRTUAL };

/* A name, once. */
struct service {
	struct slice name;
	UT_hash_handle hh;
};

struct edge {
	const struct service *client, *server; /* NULL: free */
	enum edge_type type;
	uint64_t failed;
	struct watch_histogram client_h, server_h;
	uint64_t total;
};

struct graph {
	pthread_mutex_t lock;
	struct service *services;
	uint32_t n_services;
	const struct service *other, *user;
	struct halves halves;
	uint32_t n_edges;
	struct edge edges[EDGE_SLOTS];
	struct edge *overflow_edge;
	uint64_t unpaired, evicted, overflow;
};

/* The service of this name; beyond SERVICES, "(other)". */
static const struct service *intern(struct graph *g, struct slice name)
{
	struct service *s;

	HASH_FIND(hh, g->services, name.p ? name.p : "", name.n, s);
	if (s)
		return s;
	if (g->n_services >= SERVICES) {
		g->overflow++;
		return g->other;
	}
	s = malloc(sizeof(*s) + name.n + 1);
	if (!s)
		return g->other;
	if (name.n)
		memcpy((char *)(s + 1), name.p, name.n);
	s->name = slice_of(s + 1, name.n);
	HASH_ADD_KEYPTR(hh, g->services, s->name.p, s->name.n, s);
	if (!s->hh.tbl) {
		free(s);
		return g->other;
	}
	g->n_services++;
	return s;
}

struct graph *graph_new(void)
{
	struct graph *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	pthread_mutex_init(&g->lock, NULL);
	g->other = intern(g, SLICE(OTHER));
	g->user = intern(g, SLICE("user"));
	if (!g->other || !g->user || halves_init(&g->halves, GRAPH_HALVES) < 0) {
		graph_free(g);
		return NULL;
	}
	return g;
}

void graph_free(struct graph *g)
{
	struct service *s, *s_next;

	if (!g)
		return;
	halves_done(&g->halves);
	HASH_ITER (hh, g->services, s, s_next) {
		HASH_DEL(g->services, s);
		free(s);
	}
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static struct edge *find_edge(struct graph *g, const struct service *client,
			      const struct service *server, enum edge_type type)
{
	const uint64_t key[] = {(uintptr_t)client, (uintptr_t)server, type};

	for (uint64_t i = clew_hash64(key, sizeof(key), 0);; i++) {
		struct edge *e = &g->edges[i & (EDGE_SLOTS - 1)];

		if (e->client == client && e->server == server && e->type == type)
			return e;
		if (e->client)
			continue;
		if (g->n_edges >= GRAPH_EDGES && client != g->other) {
			g->overflow++;
			return find_edge(g, g->other, g->other, EDGE_CALL);
		}
		g->n_edges++;
		e->client = client;
		e->server = server;
		e->type = type;
		return e;
	}
}

/* A client that nobody answered. */
static void give_up(struct graph *g, struct half *h)
{
	halves_remove(&g->halves, h);
	if (!h->server && h->peer) {
		struct edge *e = find_edge(g, h->service, h->peer, (enum edge_type)h->type);

		e->total++;
		e->failed += h->failed;
		watch_observe(&e->client_h, h->duration_ns);
	} else {
		g->unpaired++;
	}
}

static void expire(struct graph *g, uint64_t now)
{
	struct half *oldest;

	while ((oldest = halves_oldest(&g->halves)) && oldest->due_ns <= now)
		give_up(g, oldest);
	while (g->halves.n >= GRAPH_HALVES) {
		g->evicted++;
		give_up(g, halves_oldest(&g->halves));
	}
}

/* Whom a client span names, if it waits in vain. What comes first is believed first. */
static const struct service *peer_of(struct graph *g, const struct clew_span *s, uint8_t *ret_type)
{
	static const struct slice keys[] = {SLICE("db.namespace"),   SLICE("db.name"),
					    SLICE("db.system.name"), SLICE("db.system"),
					    SLICE("peer.service"),   SLICE("server.address"),
					    SLICE("net.peer.name")};
	const uint32_t databases = 4, n = sizeof(keys) / sizeof(*keys);
	const struct clew_attr *best = NULL;
	uint32_t rank = n;

	for (uint32_t i = 0; i < s->n_attrs; i++) {
		const struct clew_attr *a = &s->attrs[i];

		for (uint32_t k = 0; k < rank; k++)
			if (slice_eq(a->key, keys[k]) && a->type == CLEW_ATTR_STR && a->str.n) {
				best = a;
				rank = k;
			}
	}
	if (!best)
		return NULL;
	*ret_type = rank < databases ? EDGE_DATABASE : EDGE_VIRTUAL;
	return intern(g, best->str);
}

static void pair(struct graph *g, const struct half *client, const struct half *server)
{
	enum edge_type type = server->type == EDGE_MESSAGE ? EDGE_MESSAGE : EDGE_CALL;
	struct edge *e = find_edge(g, client->service, server->service, type);

	e->total++;
	e->failed += client->failed || server->failed;
	watch_observe(&e->client_h, client->duration_ns);
	watch_observe(&e->server_h, server->duration_ns);
}

static void called_by_user(struct graph *g, const struct half *server)
{
	struct edge *e = find_edge(g, g->user, server->service, EDGE_VIRTUAL);

	e->total++;
	e->failed += server->failed;
	watch_observe(&e->server_h, server->duration_ns);
}

static void take(struct graph *g, struct half *new, const struct clew_span *s)
{
	struct half *other = halves_find(&g->halves, new->key);

	if (other && other->server == new->server)
		return; /* a second server for one call: a retry inside the transport */
	if (other) {
		pair(g, new->server ? other : new, new->server ? new : other);
		halves_remove(&g->halves, other);
		return;
	}
	if (!new->server)
		new->peer = peer_of(g, s, &new->type);
	halves_add(&g->halves, new);
}

void graph_add(struct graph *g, const struct clew_span *s)
{
	bool client = s->kind == CLEW_KIND_CLIENT || s->kind == CLEW_KIND_PRODUCER;
	bool server = s->kind == CLEW_KIND_SERVER || s->kind == CLEW_KIND_CONSUMER;
	bool message = s->kind == CLEW_KIND_PRODUCER || s->kind == CLEW_KIND_CONSUMER;
	const struct clew_id64 *id = client ? &s->span_id : &s->parent_span_id;
	uint64_t now = clew_mono_ns();
	struct half half;

	if (!client && !server)
		return;
	pthread_mutex_lock(&g->lock);
	expire(g, now);
	half = (struct half){
		.service = intern(g, s->resource ? s->resource->service : SLICE("")),
		.duration_ns = s->duration_ns,
		.due_ns = now + GRAPH_WAIT_NS,
		.server = server,
		.failed = s->status == CLEW_STATUS_ERROR,
		.type = message ? EDGE_MESSAGE : EDGE_CALL,
		.key = clew_hash64(&s->trace_id, sizeof(s->trace_id), 0),
	};
	half.key = clew_hash64(id, sizeof(*id), half.key) | 1;
	if (server && clew_id64_none(&s->parent_span_id))
		called_by_user(g, &half);
	else
		take(g, &half, s);
	pthread_mutex_unlock(&g->lock);
}

/* ---- text ---- */

static void labels_of(const struct edge *e, struct clew_buf *out)
{
	static const char *const types[] = {"", "messaging_system", "database", "virtual_node"};

	clew_buf_clear(out);
	watch_label(out, "client", e->client->name);
	clew_buf_addc(out, ',');
	watch_label(out, "server", e->server->name);
	clew_buf_addf(out, ",connection_type=\"%s\"", types[e->type]);
}

static void put_edges(const struct edge *v, size_t n, struct clew_buf *out)
{
	static const char *const names[] = {"traces_service_graph_request_total",
					    "traces_service_graph_request_failed_total",
					    "traces_service_graph_request_client_seconds",
					    "traces_service_graph_request_server_seconds"};
	struct clew_buf labels = {0};

	for (int what = 0; what < 4; what++) {
		clew_buf_addf(out, "# TYPE %s %s\n", names[what],
			      what < 2 ? "counter" : "histogram");
		for (size_t i = 0; i < n; i++) {
			const struct edge *e = &v[i];

			labels_of(e, &labels);
			if (what < 2)
				clew_buf_addf(out, "%s{%s} %" PRIu64 "\n", names[what], labels.data,
					      what ? e->failed : e->total);
			else
				watch_histogram_text(out, names[what], clew_buf_slice(&labels),
						     what == 2 ? &e->client_h : &e->server_h);
		}
	}
	clew_buf_done(&labels);
}

int graph_text(struct graph *g, struct clew_buf *out)
{
	_cleanup_(freep) struct edge *v = malloc(EDGE_SLOTS * sizeof(*v));
	uint64_t unpaired, evicted, overflow;
	size_t n = 0, waiting;

	if (!v)
		return -ENOMEM;
	pthread_mutex_lock(&g->lock);
	expire(g, clew_mono_ns());
	for (size_t i = 0; i < EDGE_SLOTS; i++)
		if (g->edges[i].client)
			v[n++] = g->edges[i];
	unpaired = g->unpaired;
	evicted = g->evicted;
	overflow = g->overflow;
	waiting = g->halves.n;
	pthread_mutex_unlock(&g->lock);
	put_edges(v, n, out);
	clew_buf_addf(out,
		      "# TYPE traces_service_graph_unpaired_spans_total counter\n"
		      "traces_service_graph_unpaired_spans_total %" PRIu64 "\n"
		      "# TYPE clew_service_graph_evicted_total counter\n"
		      "clew_service_graph_evicted_total %" PRIu64 "\n"
		      "# TYPE clew_service_graph_overflow_total counter\n"
		      "clew_service_graph_overflow_total %" PRIu64 "\n"
		      "# TYPE clew_service_graph_waiting gauge\nclew_service_graph_waiting %zu\n",
		      unpaired, evicted, overflow, waiting);
	return out->err;
}
