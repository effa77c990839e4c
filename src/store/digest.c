/* SPDX-License-Identifier: Apache-2.0 */
#include "store/digest.h"

#define MINUTE_NS (60ll * 1000 * 1000 * 1000)
#define NO_ROW	  UINT32_MAX
/* "host:port"; what is longer is cut. */
#define PEER_TEXT 256

struct row {
	struct trace_row t;
	uint32_t peer, next;
	bool old;
};

/* Of one span. */
struct attr_list {
	uint32_t n;
	uint32_t keys[HOT_MAX_LISTS];
	struct slice values[HOT_MAX_LISTS];
};

/* The rows of one trace, linked by next. */
struct group {
	struct clew_id128 id;
	uint32_t first, n, n_old;
};

struct counter {
	uint32_t *spans; /* by key */
	uint32_t n;
};

struct digest {
	struct clew_store *st;
	bool sealed;
	struct row *rows;
	uint32_t n_rows, cap_rows;
	struct group *groups;
	uint32_t n_groups, cap_groups, *group_slots, n_group_slots;
	uint32_t last_group;
	struct dict peers;
	bool peers_ready;
	uint32_t address_keys[4], port_keys[4]; /* in the order in which they are believed */
	uint32_t n_address, n_port;

	struct digest_edge *edges;
	uint32_t n_edges, cap_edges, *edge_slots, n_edge_slots;
	struct digest_trace *traces;
	size_t n_traces;

	struct digest_range *ranges;
	size_t n_ranges, cap_ranges, block_ranges; /* of the block that is read: from there on */
	uint32_t block;
	struct counter *counters; /* by service */
	uint32_t n_counters;
	struct digest_count *counts;
	size_t n_counts;

	/* of one trace */
	struct clew_forest forest;
	struct row *sorted;
	uint64_t *ids, *parents, *labels;
	uint32_t cap_sorted;
};

static void find_keys(struct clew_store *st, const char *const *names, uint32_t *ids, uint32_t *n)
{
	for (*n = 0; *names; names++)
		for (uint8_t type = CLEW_ATTR_STR; type <= CLEW_ATTR_INT; type++)
			if (!dict_find(&st->dicts[DICT_KEY], slice_str(*names), type, &ids[*n]))
				++*n;
}

struct digest *digest_new(struct clew_store *st, bool sealed)
{
	static const char *const address[] = {"server.address", "network.peer.address", NULL};
	static const char *const port[] = {"server.port", "network.peer.port", NULL};
	struct digest *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->st = st;
	d->sealed = sealed;
	d->block = UINT32_MAX;
	d->last_group = NO_ROW;
	if (dict_init(&d->peers) < 0) {
		free(d);
		return NULL;
	}
	find_keys(st, address, d->address_keys, &d->n_address);
	find_keys(st, port, d->port_keys, &d->n_port);
	return d;
}

void digest_free(struct digest *d)
{
	if (!d)
		return;
	for (uint32_t i = 0; i < d->n_counters; i++)
		free(d->counters[i].spans);
	free(d->counters);
	free(d->counts);
	free(d->ranges);
	free(d->rows);
	free(d->groups);
	free(d->group_slots);
	free(d->edges);
	free(d->edge_slots);
	free(d->traces);
	free(d->sorted);
	free(d->ids);
	free(d->parents);
	free(d->labels);
	clew_forest_done(&d->forest);
	dict_done(&d->peers);
	free(d);
}

/* ---- rows by trace ---- */

static uint32_t id_slot(const struct clew_id128 *id, uint32_t slots)
{
	/* Ours are hashes; a sender may count. */
	return (uint32_t)clew_hash64(id->b, sizeof(id->b), 0) & (slots - 1);
}

static int grow_groups(struct digest *d)
{
	uint32_t cap = d->cap_groups ? d->cap_groups * 2 : 1024;
	struct group *groups = realloc(d->groups, cap * sizeof(*groups));

	if (!groups)
		return -ENOMEM;
	d->groups = groups;
	d->cap_groups = cap;
	free(d->group_slots);
	d->n_group_slots = cap * 2;
	d->group_slots = malloc(d->n_group_slots * sizeof(*d->group_slots));
	if (!d->group_slots)
		return -ENOMEM;
	memset(d->group_slots, 0xff, d->n_group_slots * sizeof(*d->group_slots));
	for (uint32_t i = 0; i < d->n_groups; i++) {
		uint32_t s = id_slot(&groups[i].id, d->n_group_slots);

		while (d->group_slots[s] != NO_ROW)
			s = (s + 1) & (d->n_group_slots - 1);
		d->group_slots[s] = i;
	}
	return 0;
}

static uint32_t find_slot(const struct digest *d, const struct clew_id128 *id)
{
	uint32_t s = id_slot(id, d->n_group_slots);

	while (d->group_slots[s] != NO_ROW && !clew_id128_eq(&d->groups[d->group_slots[s]].id, id))
		s = (s + 1) & (d->n_group_slots - 1);
	return s;
}

bool digest_has(const struct digest *d, const struct clew_id128 *id)
{
	return d->n_groups && d->group_slots[find_slot(d, id)] != NO_ROW;
}

static struct group *get_group(struct digest *d, const struct clew_id128 *id)
{
	uint32_t s;

	/* Sealed rows come trace by trace. */
	if (d->last_group != NO_ROW && clew_id128_eq(&d->groups[d->last_group].id, id))
		return &d->groups[d->last_group];
	if (d->n_groups == d->cap_groups && grow_groups(d) < 0)
		return NULL;
	s = find_slot(d, id);
	if (d->group_slots[s] == NO_ROW) {
		d->groups[d->n_groups] = (struct group){.id = *id, .first = NO_ROW};
		d->group_slots[s] = d->n_groups++;
	}
	d->last_group = d->group_slots[s];
	return &d->groups[d->last_group];
}

static struct row *add_row(struct digest *d)
{
	if (d->n_rows == d->cap_rows) {
		uint32_t cap = d->cap_rows ? d->cap_rows * 2 : 8192;
		struct row *rows = realloc(d->rows, cap * sizeof(*rows));

		if (!rows)
			return NULL;
		d->rows = rows;
		d->cap_rows = cap;
	}
	return &d->rows[d->n_rows++];
}

/* ---- attributes ---- */

static bool pick(const uint32_t *wanted, uint32_t n, const struct attr_list *attrs,
		 struct slice *ret)
{
	for (uint32_t k = 0; k < n; k++)
		for (uint32_t i = 0; i < attrs->n; i++)
			if (attrs->keys[i] == wanted[k]) {
				*ret = attrs->values[i];
				return true;
			}
	return false;
}

/* Whom a call went to, where its other end is not seen: "address:port". */
static uint32_t find_peer(struct digest *d, const struct attr_list *attrs)
{
	struct slice address, port;
	char text[PEER_TEXT];
	uint32_t id = DIGEST_NO_ID;
	int n;

	if (!pick(d->address_keys, d->n_address, attrs, &address))
		return DIGEST_NO_ID;
	if (pick(d->port_keys, d->n_port, attrs, &port))
		n = snprintf(text, sizeof(text), "%.*s:%.*s",
			     (int)(address.n < 200 ? address.n : 200), address.p,
			     (int)(port.n < 20 ? port.n : 20), port.p);
	else
		n = snprintf(text, sizeof(text), "%.*s", (int)(address.n < 200 ? address.n : 200),
			     address.p);
	if (atomic_load(&d->peers.n) >= DIGEST_MAX_PEERS &&
	    dict_find(&d->peers, slice_of(text, (size_t)n), 0, &id) < 0)
		n = snprintf(text, sizeof(text), DIGEST_OTHER_PEERS);
	if (dict_add(&d->peers, slice_of(text, (size_t)n), 0, &id) < 0)
		return DIGEST_NO_ID;
	return id;
}

static int count_key(struct digest *d, uint32_t service, uint32_t key)
{
	struct counter *c;

	if (service >= DIGEST_MAX_COUNTED || key >= DIGEST_MAX_COUNTED)
		return 0;
	if (service >= d->n_counters) {
		uint32_t n = service * 2 + 16;
		struct counter *counters = realloc(d->counters, n * sizeof(*counters));

		if (!counters)
			return -ENOMEM;
		memset(counters + d->n_counters, 0, (n - d->n_counters) * sizeof(*counters));
		d->counters = counters;
		d->n_counters = n;
	}
	c = &d->counters[service];
	if (key >= c->n) {
		uint32_t n = key + 32;
		uint32_t *spans = realloc(c->spans, n * sizeof(*spans));

		if (!spans)
			return -ENOMEM;
		memset(spans + c->n, 0, (n - c->n) * sizeof(*spans));
		c->spans = spans;
		c->n = n;
	}
	c->spans[key]++;
	return 0;
}

static int add_range(struct digest *d, uint32_t key, struct slice text, uint8_t type)
{
	char buf[64];
	double v;

	if (!text.n || text.n >= sizeof(buf))
		return 0;
	memcpy(buf, text.p, text.n);
	buf[text.n] = '\0';
	v = type == CLEW_ATTR_INT ? (double)strtoll(buf, NULL, 10) : strtod(buf, NULL);
	for (size_t i = d->block_ranges; i < d->n_ranges; i++) {
		struct digest_range *r = &d->ranges[i];

		if (r->key != key)
			continue;
		r->lo = v < r->lo ? v : r->lo;
		r->hi = v > r->hi ? v : r->hi;
		return 0;
	}
	if (d->n_ranges == d->cap_ranges) {
		size_t cap = d->cap_ranges ? d->cap_ranges * 2 : 1024;
		struct digest_range *ranges = realloc(d->ranges, cap * sizeof(*ranges));

		if (!ranges)
			return -ENOMEM;
		d->ranges = ranges;
		d->cap_ranges = cap;
	}
	d->ranges[d->n_ranges++] = (struct digest_range){key, d->block, v, v};
	return 0;
}

static int add_attrs(struct digest *d, uint32_t service, uint32_t block,
		     const struct attr_list *attrs)
{
	int r = 0;

	if (block != d->block) {
		d->block = block;
		d->block_ranges = d->n_ranges;
	}
	for (uint32_t i = 0; r == 0 && i < attrs->n; i++) {
		uint32_t key = attrs->keys[i];
		const struct dict_entry *e = dict_get(&d->st->dicts[DICT_KEY], key);

		r = count_key(d, service, key);
		if (r == 0 && e && (e->type == CLEW_ATTR_INT || e->type == CLEW_ATTR_DOUBLE))
			r = add_range(d, key, attrs->values[i], e->type);
	}
	return r;
}

/* A row of a trace; block: of its place, UINT32_MAX: its attributes are not summed up. */
static int add(struct digest *d, const struct clew_id128 *id, const struct trace_row *t, bool old,
	       uint32_t block, const struct attr_list *attrs)
{
	struct group *g = get_group(d, id);
	struct row *row = g ? add_row(d) : NULL;

	if (!row)
		return -ENOMEM;
	*row = (struct row){.t = *t, .old = old, .peer = DIGEST_NO_ID, .next = g->first};
	if (t->kind == CLEW_KIND_CLIENT || t->kind == CLEW_KIND_PRODUCER)
		row->peer = find_peer(d, attrs);
	g->first = d->n_rows - 1;
	g->n++;
	g->n_old += old;
	return block == UINT32_MAX ? 0 : add_attrs(d, t->service, block, attrs);
}

static void list_attrs(struct attr_list *attrs, const duckdb_list_entry *list, const uint32_t *keys,
		       const struct duck_col *values)
{
	attrs->n = list->length < HOT_MAX_LISTS ? (uint32_t)list->length : HOT_MAX_LISTS;
	for (uint32_t i = 0; i < attrs->n; i++) {
		attrs->keys[i] = keys[list->offset + i];
		attrs->values[i] = duck_str(values, list->offset + i);
	}
}

int digest_add(struct digest *d, duckdb_data_chunk chunk, idx_t first, idx_t rows, bool old,
	       const int64_t *row_ids)
{
	struct duck_col c[DIGEST_N_COLUMNS], text;
	struct attr_list attrs;
	const uint32_t *keys;
	duckdb_vector values;
	int r = 0;

	for (idx_t i = 0; i < DIGEST_N_COLUMNS; i++)
		c[i] = duck_col(chunk, first + i);
	keys = duckdb_vector_get_data(duckdb_list_vector_get_child(c[11].vector));
	values = duckdb_list_vector_get_child(c[12].vector);
	text = (struct duck_col){duckdb_vector_get_data(values), NULL, values};
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct clew_id128 id = huge_id128(((duckdb_uhugeint *)c[0].data)[i]);
		struct trace_row t = {
			.span_id = ((uint64_t *)c[1].data)[i],
			.parent_id = duck_null(&c[2], i) ? 0 : ((uint64_t *)c[2].data)[i],
			.start_ns = ((int64_t *)c[3].data)[i],
			.duration_ns = ((int64_t *)c[4].data)[i],
			.service = ((uint32_t *)c[5].data)[i],
			.operation = ((uint32_t *)c[6].data)[i],
			.kind = ((uint8_t *)c[7].data)[i],
			.status = ((uint8_t *)c[8].data)[i],
			.link_class = ((uint8_t *)c[9].data)[i],
			.incomplete = ((uint32_t *)c[10].data)[i] != 0,
		};

		attrs.n = 0;
		if (!duck_null(&c[11], i))
			list_attrs(&attrs, (duckdb_list_entry *)c[11].data + i, keys, &text);
		r = add(d, &id, &t, old,
			d->sealed && !old ? (uint32_t)(row_ids[i] / BLOCK_SPANS) : UINT32_MAX,
			&attrs);
	}
	return r;
}

int digest_add_hot(struct digest *d, const struct hot_row *row, uint64_t row_id)
{
	struct clew_id128 id = huge_id128(row->trace_id);
	const struct hot_text *t = hot_attrs(row);
	const char *p = hot_values(row);
	struct attr_list attrs;
	struct trace_row tr = {
		.span_id = row->span_id,
		.parent_id = row->parent_id,
		.start_ns = row->start_ns,
		.duration_ns = row->duration_ns,
		.service = row->service,
		.operation = row->operation,
		.kind = row->kind,
		.status = row->status,
		.link_class = row->link_class,
		.incomplete = row->incomplete != 0,
	};

	attrs.n = row->n_attrs;
	for (uint32_t i = 0; i < attrs.n; p += t[i++].len) {
		attrs.keys[i] = t[i].key;
		attrs.values[i] = slice_of(p, t[i].len);
	}
	return add(d, &id, &tr, false, (uint32_t)(row_id / BLOCK_SPANS), &attrs);
}

/* ---- one trace ---- */

static int by_start(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

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
static ssize_t gather(struct digest *d, const struct group *g, bool old_only)
{
	uint32_t n = 0;

	if (reserve_sorted(d, g->n) < 0)
		return -ENOMEM;
	for (uint32_t i = g->first; i != NO_ROW; i = d->rows[i].next)
		if (!old_only || d->rows[i].old)
			d->sorted[n++] = d->rows[i];
	/* Linked backwards; turned round they are nearly sorted. */
	for (uint32_t i = 1; n <= 64 && i < n; i++) {
		struct row x = d->sorted[i];
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

static bool is_caller(const struct row *r)
{
	return r->t.kind == CLEW_KIND_CLIENT || r->t.kind == CLEW_KIND_PRODUCER;
}

static bool is_called(const struct row *r)
{
	return r->t.kind == CLEW_KIND_SERVER || r->t.kind == CLEW_KIND_CONSUMER;
}

static const struct row *node(const struct digest *d, uint32_t i)
{
	return &d->sorted[d->forest.order[i]];
}

/* Both ends of a call are one edge where both were seen; the caller's time is what counts. */
static int edge_of(struct digest *d, const struct row *client, const struct row *server, int sign)
{
	const struct row *timed = client ? client : server;
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
		const struct row *row = node(d, i);

		if (is_called(row)) {
			const struct row *up =
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

static void add_line(struct digest *d, const struct group *g, uint32_t n)
{
	const struct row *root = node(d, 0);
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
		const struct row *row = &d->sorted[i];
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

static int digest_group(struct digest *d, const struct group *g)
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

static int finish_counts(struct digest *d)
{
	size_t n = 0;

	for (uint32_t s = 0; s < d->n_counters; s++)
		for (uint32_t k = 0; k < d->counters[s].n; k++)
			n += d->counters[s].spans[k] != 0;
	d->counts = malloc((n + 1) * sizeof(*d->counts));
	if (!d->counts)
		return -ENOMEM;
	for (uint32_t s = 0; s < d->n_counters; s++)
		for (uint32_t k = 0; k < d->counters[s].n; k++)
			if (d->counters[s].spans[k])
				d->counts[d->n_counts++] =
					(struct digest_count){s, k, d->counters[s].spans[k]};
	return 0;
}

int digest_finish(struct digest *d)
{
	int r = 0;

	d->traces = malloc(((size_t)d->n_groups + 1) * sizeof(*d->traces));
	if (!d->traces)
		return -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < d->n_groups; i++)
		r = digest_group(d, &d->groups[i]);
	return r < 0 ? r : finish_counts(d);
}

const struct digest_edge *digest_edges(const struct digest *d, size_t *ret_n)
{
	*ret_n = d->n_edges;
	return d->edges;
}

const struct digest_trace *digest_traces(const struct digest *d, size_t *ret_n)
{
	*ret_n = d->n_traces;
	return d->traces;
}

const struct digest_range *digest_ranges(const struct digest *d, size_t *ret_n)
{
	*ret_n = d->n_ranges;
	return d->ranges;
}

const struct digest_count *digest_counts(const struct digest *d, size_t *ret_n)
{
	*ret_n = d->n_counts;
	return d->counts;
}

struct slice digest_peer(const struct digest *d, uint32_t peer)
{
	const struct dict_entry *e = peer == DIGEST_NO_ID ? NULL : dict_get(&d->peers, peer);

	return e ? e->name : slice_of(NULL, 0);
}
