/* SPDX-License-Identifier: Apache-2.0 */
/* One trace of a digest: who called whom in it, and its line. */
#include "store/digest_internal.h"

#define MINUTE_NS (60ll * 1000 * 1000 * 1000)

static int by_start(const void *a, const void *b)
{
	const struct digest_row *x = a, *y = b;

	if (x->t.start_ns != y->t.start_ns)
		return x->t.start_ns < y->t.start_ns ? -1 : 1;
	return x->t.span_id < y->t.span_id ? -1 : x->t.span_id > y->t.span_id;
}

static int reserve_sorted(struct digest *d, uint32_t n)
{
	uint32_t cap = d->cap_sorted ? d->cap_sorted : 64;

	if (n <= d->cap_sorted)
		return 0;
	while (cap < n)
		cap *= 2;
	free(d->sorted);
	free(d->ids);
	free(d->parents);
	free(d->labels);
	d->cap_sorted = 0;
	d->sorted = malloc(cap * sizeof(*d->sorted));
	d->ids = malloc(cap * sizeof(*d->ids));
	d->parents = malloc(cap * sizeof(*d->parents));
	d->labels = malloc(cap * sizeof(*d->labels));
	if (!d->sorted || !d->ids || !d->parents || !d->labels)
		return -ENOMEM;
	d->cap_sorted = cap;
	return 0;
}

/* The trace's rows, oldest first, as a forest. Returns how many, or -ENOMEM. */
static ssize_t gather(struct digest *d, const struct digest_group *g, bool old_only)
{
	uint32_t n = 0;

	if (reserve_sorted(d, g->n) < 0)
		return -ENOMEM;
	for (uint32_t i = g->first; i != NO_ROW; i = d->rows[i].next)
		if (!old_only || d->rows[i].old)
			d->sorted[n++] = d->rows[i];
	/* Linked backwards; turned round they are nearly sorted. */
	for (uint32_t i = 1; n <= 64 && i < n; i++) {
		struct digest_row x = d->sorted[i];
		uint32_t k = i;

		for (; k && by_start(&d->sorted[k - 1], &x) > 0; k--)
			d->sorted[k] = d->sorted[k - 1];
		d->sorted[k] = x;
	}
	if (n > 64)
		qsort(d->sorted, n, sizeof(*d->sorted), by_start);
	for (uint32_t i = 0; i < n; i++) {
		d->ids[i] = d->sorted[i].t.span_id;
		d->parents[i] = d->sorted[i].t.parent_id;
	}
	return clew_forest_build(&d->forest, d->ids, d->parents, n) < 0 ? -ENOMEM : (ssize_t)n;
}

static uint32_t edge_slot(const struct digest_edge *e, uint32_t slots)
{
	uint64_t h = (uint64_t)(uint32_t)e->minute * 0x9e3779b97f4a7c15u;

	h = (h ^ e->client) * 0xbf58476d1ce4e5b9u;
	h = (h ^ e->server) * 0x94d049bb133111ebu;
	h = (h ^ e->peer ^ (uint64_t)e->bucket << 32) * 0x9e3779b97f4a7c15u;
	return (uint32_t)(h >> 32) & (slots - 1);
}

static bool same_edge(const struct digest_edge *a, const struct digest_edge *b)
{
	return a->minute == b->minute && a->client == b->client && a->server == b->server &&
	       a->peer == b->peer && a->bucket == b->bucket;
}

static int grow_edges(struct digest *d)
{
	uint32_t cap = d->cap_edges ? d->cap_edges * 2 : 1024;
	struct digest_edge *edges = realloc(d->edges, cap * sizeof(*edges));

	if (!edges)
		return -ENOMEM;
	d->edges = edges;
	d->cap_edges = cap;
	free(d->edge_slots);
	d->n_edge_slots = cap * 2;
	d->edge_slots = malloc(d->n_edge_slots * sizeof(*d->edge_slots));
	if (!d->edge_slots)
		return -ENOMEM;
	memset(d->edge_slots, 0xff, d->n_edge_slots * sizeof(*d->edge_slots));
	for (uint32_t i = 0; i < d->n_edges; i++) {
		uint32_t s = edge_slot(&edges[i], d->n_edge_slots);

		while (d->edge_slots[s] != NO_ROW)
			s = (s + 1) & (d->n_edge_slots - 1);
		d->edge_slots[s] = i;
	}
	return 0;
}

static int add_edge(struct digest *d, struct digest_edge e)
{
	uint32_t s;

	if (d->n_edges == d->cap_edges && grow_edges(d) < 0)
		return -ENOMEM;
	s = edge_slot(&e, d->n_edge_slots);
	while (d->edge_slots[s] != NO_ROW && !same_edge(&d->edges[d->edge_slots[s]], &e))
		s = (s + 1) & (d->n_edge_slots - 1);
	if (d->edge_slots[s] == NO_ROW) {
		d->edge_slots[s] = d->n_edges;
		d->edges[d->n_edges++] = e;
		return 0;
	}
	d->edges[d->edge_slots[s]].n += e.n;
	d->edges[d->edge_slots[s]].errors += e.errors;
	return 0;
}

static bool is_caller(const struct digest_row *r)
{
	return r->t.kind == CLEW_KIND_CLIENT || r->t.kind == CLEW_KIND_PRODUCER;
}

static bool is_called(const struct digest_row *r)
{
	return r->t.kind == CLEW_KIND_SERVER || r->t.kind == CLEW_KIND_CONSUMER;
}

static const struct digest_row *node(const struct digest *d, uint32_t i)
{
	return &d->sorted[d->forest.order[i]];
}

/* Both ends of a call are one edge where both were seen; the caller's time is what counts. */
static int edge_of(struct digest *d, const struct digest_row *client,
		   const struct digest_row *server, int sign)
{
	const struct digest_row *timed = client ? client : server;
	struct digest_edge e = {
		.minute = (int32_t)(timed->t.start_ns / MINUTE_NS),
		.client = client ? client->t.service : DIGEST_NO_ID,
		.server = server ? server->t.service : DIGEST_NO_ID,
		.peer = server ? DIGEST_NO_ID : client->peer,
		.bucket = clew_latency_bucket((uint64_t)timed->t.duration_ns),
		.n = sign,
	};

	if ((client && client->t.status == CLEW_STATUS_ERROR) ||
	    (server && server->t.status == CLEW_STATUS_ERROR))
		e.errors = sign;
	return add_edge(d, e);
}

static int add_edges(struct digest *d, uint32_t n, int sign)
{
	const struct clew_forest *f = &d->forest;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const struct digest_row *row = node(d, i);

		if (is_called(row)) {
			const struct digest_row *up =
				f->parent[i] == CLEW_FOREST_NONE ? NULL : node(d, f->parent[i]);

			r = edge_of(d, up && is_caller(up) ? up : NULL, row, sign);
		} else if (is_caller(row)) {
			bool seen = false;

			for (uint32_t k = i + 1; !seen && k <= i + f->below[i];
			     k += f->below[k] + 1)
				seen = is_called(node(d, k));
			if (!seen)
				r = edge_of(d, row, NULL, sign);
		}
	}
	return r;
}

static uint64_t name_hash(const struct clew_store *st, enum dict_kind kind, uint32_t id)
{
	const struct dict_entry *e = dict_get(&st->dicts[kind], id);

	return e ? e->hash : 0;
}

static void add_line(struct digest *d, const struct digest_group *g, uint32_t n)
{
	const struct digest_row *root = node(d, 0);
	struct digest_trace *t = &d->traces[d->n_traces++];

	*t = (struct digest_trace){
		.id = g->id,
		.root_span = root->t.span_id,
		.start_ns = root->t.start_ns,
		.duration_ns = root->t.duration_ns,
		.last_ns = d->sorted[n - 1].t.start_ns,
		.service = root->t.service,
		.operation = root->t.operation,
		.kind = root->t.kind,
		.status = root->t.status,
		.spans = n,
		.continued = g->n_old > 0,
	};
	for (uint32_t i = 0; i < n; i++) {
		const struct digest_row *row = &d->sorted[i];
		uint64_t bit = UINT64_C(1) << (row->t.service % 64);

		t->errors += row->t.status == CLEW_STATUS_ERROR;
		t->orphans += row->t.link_class == CLEW_LINK_ORPHAN;
		t->incomplete |= row->t.incomplete;
		d->labels[i] = clew_shape_label(row->t.kind,
						name_hash(d->st, DICT_SERVICE, row->t.service),
						name_hash(d->st, DICT_OPERATION, row->t.operation));
		if (t->service_bits & bit) { /* most likely seen: look */
			uint32_t k = 0;

			while (k < i && d->sorted[k].t.service != row->t.service)
				k++;
			if (k < i)
				continue;
		}
		t->service_bits |= bit;
		t->services++;
	}
	t->shape = clew_forest_shape(&d->forest, d->labels);
}

int digest_one_trace(struct digest *d, const struct digest_group *g)
{
	ssize_t n;
	int r;

	if (g->n == g->n_old) /* nothing new */
		return 0;
	n = gather(d, g, false);
	if (n < 0)
		return (int)n;
	add_line(d, g, (uint32_t)n);
	r = add_edges(d, (uint32_t)n, 1);
	if (r < 0 || !g->n_old)
		return r;
	n = gather(d, g, true);
	return n < 0 ? (int)n : add_edges(d, (uint32_t)n, -1);
}
