/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace/ID/tree: a trace in columns, for drawing.
 *
 * Where a trace has more spans than the limit, those that failed are given, then the longest, each with
 * all that is above it: what is left out is what would be drawn smallest. Of each span it is said how many below it are
 * not in the answer; `under` makes a span the root, so that these can be asked for.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "query/call.h"
#include "query/critical.h"
#include "query/name_set.h"

#define DEFAULT_LIMIT 5000
/* Candidates of orphans in one answer. */
#define MAX_CANDIDATES 10000u

#define NONE CLEW_FOREST_NONE

struct tree {
	struct call *c;
	struct trace_rows rows;
	struct critical critical;
	uint32_t root, end; /* the nodes [root, end) are looked at */
	uint32_t limit;
	uint32_t *shown; /* of each node: its index in the answer, or NONE */
	uint32_t *list;	 /* the nodes of the answer, in preorder */
	uint32_t n;
	uint32_t *left_out;	  /* of each node: how many below it are not in the answer */
	bool *fails;		  /* of each node: it, or one below it, has an error */
	int64_t begin_ns, end_ns; /* of all spans, clocks bounded; from the trace's start */
	struct name_set services, names;
	uint32_t *service, *name; /* of each of the list */
};

/* ---- which spans ---- */

/* What leads to an error comes first, then what is longer. */
static bool sooner(const struct tree *t, uint32_t a, uint32_t b)
{
	uint64_t x = trace_row(&t->rows, a)->duration_ns, y = trace_row(&t->rows, b)->duration_ns;

	if (t->fails[a] != t->fails[b])
		return t->fails[a];
	return x != y ? x > y : a < b;
}

/* A heap with the one that is taken next on top. */
static void heap_add(const struct tree *t, uint32_t *heap, uint32_t *n, uint32_t node)
{
	uint32_t i = (*n)++;

	for (; i && sooner(t, node, heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = node;
}

static uint32_t heap_take(const struct tree *t, uint32_t *heap, uint32_t *n)
{
	uint32_t top = heap[0], last = heap[--*n], i = 0;

	while (2 * i + 1 < *n) {
		uint32_t k = 2 * i + 1;

		if (k + 1 < *n && sooner(t, heap[k + 1], heap[k]))
			k++;
		if (!sooner(t, heap[k], last))
			break;
		heap[i] = heap[k];
		i = k;
	}
	heap[i] = last;
	return top;
}

static void find_failures(struct tree *t)
{
	for (uint32_t i = t->end; i-- > t->root;) {
		uint32_t up = t->rows.forest.parent[i];

		t->fails[i] |= trace_row(&t->rows, i)->status == CLEW_STATUS_ERROR;
		if (up != NONE && up >= t->root)
			t->fails[up] |= t->fails[i];
	}
}

/* A span comes after its parent. shown becomes 0 for those that are taken. */
static int choose(struct tree *t)
{
	const struct clew_forest *f = &t->rows.forest;
	uint32_t n = 0, taken = 0;
	uint32_t *heap = malloc((t->end - t->root + 1) * sizeof(*heap));

	if (!heap)
		return -ENOMEM;
	find_failures(t);
	for (uint32_t i = t->root; i < t->end; i += f->below[i] + 1)
		heap_add(t, heap, &n, i);
	while (n && taken < t->limit) {
		uint32_t node = heap_take(t, heap, &n);

		t->shown[node] = 0;
		taken++;
		for (uint32_t k = node + 1; k <= node + f->below[node]; k += f->below[k] + 1)
			heap_add(t, heap, &n, k);
	}
	free(heap);
	return 0;
}

static int list_shown(struct tree *t)
{
	const struct clew_forest *f = &t->rows.forest;
	int r = 0;

	for (uint32_t i = t->root; r == 0 && i < t->end; i++) {
		const struct clew_trace_row *row = trace_row(&t->rows, i);

		if (t->shown[i] == NONE)
			continue;
		r = name_set_id(&t->services, row->service, &t->service[t->n]);
		if (r == 0)
			r = name_set_id(&t->names, row->name, &t->name[t->n]);
		t->shown[i] = t->n;
		t->list[t->n++] = i;
	}
	for (uint32_t i = t->end; i-- > t->root;) {
		uint32_t up = f->parent[i];

		if (up != NONE && up >= t->root)
			t->left_out[up] += t->left_out[i] + (t->shown[i] == NONE);
	}
	return r;
}

static int prepare(struct tree *t)
{
	size_t n = t->rows.n;

	t->shown = malloc(n * sizeof(*t->shown));
	t->list = malloc(n * sizeof(*t->list));
	t->left_out = calloc(n, sizeof(*t->left_out));
	t->fails = calloc(n, sizeof(*t->fails));
	t->service = malloc(n * sizeof(*t->service));
	t->name = malloc(n * sizeof(*t->name));
	if (!t->shown || !t->list || !t->left_out || !t->fails || !t->service || !t->name)
		return -ENOMEM;
	memset(t->shown, 0xff, n * sizeof(*t->shown));
	return 0;
}

static void tree_done(struct tree *t)
{
	free(t->shown);
	free(t->list);
	free(t->left_out);
	free(t->fails);
	free(t->service);
	free(t->name);
	name_set_done(&t->services);
	name_set_done(&t->names);
	trace_rows_done(&t->rows);
	critical_done(&t->critical);
}

/* ---- writing ---- */

static const struct clew_trace_row *shown_row(const struct tree *t, uint32_t i)
{
	return trace_row(&t->rows, t->list[i]);
}

/* printf would be most of what a large trace costs. */
static void put_int(struct clew_buf *b, int64_t v, bool first)
{
	char text[24], *p = text + sizeof(text);
	uint64_t rest = v < 0 ? -(uint64_t)v : (uint64_t)v;

	do
		*--p = (char)('0' + rest % 10);
	while (rest /= 10);
	if (v < 0)
		*--p = '-';
	if (!first)
		*--p = ',';
	clew_buf_add(b, p, (size_t)(text + sizeof(text) - p));
}

typedef int64_t (*column_fn)(const struct tree *t, uint32_t i);

static void put_column(struct tree *t, const char *before, column_fn value)
{
	struct clew_buf *b = &t->c->out;

	clew_buf_adds(b, before);
	clew_buf_addc(b, '[');
	for (uint32_t i = 0; i < t->n; i++)
		put_int(b, value(t, i), i == 0);
	clew_buf_addc(b, ']');
}

static void put_names(struct clew_buf *b, const char *before, const struct name_set *s)
{
	clew_buf_adds(b, before);
	for (uint32_t i = 0; i < s->n; i++)
		put_str(b, i ? "," : "", s->v[i]);
	clew_buf_addc(b, ']');
}

static int64_t get_parent(const struct tree *t, uint32_t i)
{
	uint32_t up = t->rows.forest.parent[t->list[i]];

	return up == NONE || up < t->root ? -1 : (int64_t)t->shown[up];
}

static int64_t get_service(const struct tree *t, uint32_t i)
{
	return t->service[i];
}

static int64_t get_name(const struct tree *t, uint32_t i)
{
	return t->name[i];
}

static int64_t get_kind(const struct tree *t, uint32_t i)
{
	return shown_row(t, i)->kind;
}

static int64_t get_status(const struct tree *t, uint32_t i)
{
	return shown_row(t, i)->status;
}

static int64_t get_start(const struct tree *t, uint32_t i)
{
	return t->critical.start[t->list[i]] - t->begin_ns;
}

/* How much later it is drawn than its own clock says. */
static int64_t moved_ns(const struct tree *t, uint32_t i)
{
	return t->critical.start[t->list[i]] -
	       (int64_t)(shown_row(t, i)->start_ns - t->rows.start_ns);
}

static int64_t get_duration(const struct tree *t, uint32_t i)
{
	return (int64_t)shown_row(t, i)->duration_ns;
}

static int64_t get_class(const struct tree *t, uint32_t i)
{
	return shown_row(t, i)->link_class;
}

static int64_t get_incomplete(const struct tree *t, uint32_t i)
{
	return shown_row(t, i)->incomplete;
}

static int64_t get_network(const struct tree *t, uint32_t i)
{
	return network_ns(&t->rows, t->list[i]);
}

static int64_t get_below(const struct tree *t, uint32_t i)
{
	return t->rows.forest.below[t->list[i]];
}

static int64_t get_folded(const struct tree *t, uint32_t i)
{
	return t->left_out[t->list[i]];
}

#define TIME(name)                                                  \
	static int64_t get_##name(const struct tree *t, uint32_t i) \
	{                                                           \
		return shown_row(t, i)->times.name##_ns;            \
	}
TIME(cpu)
TIME(runq)
TIME(futex)
TIME(disk)
TIME(net)
TIME(sleep)
TIME(other)
#undef TIME

static void put_ids(struct tree *t)
{
	struct clew_buf *b = &t->c->out;
	char hex[33];

	clew_buf_adds(b, ",\"id\":[");
	for (uint32_t i = 0; i < t->n; i++) {
		clew_hex(shown_row(t, i)->span_id.b, 8, hex);
		clew_buf_adds(b, i ? ",\"" : "\"");
		clew_buf_add(b, hex, 16);
		clew_buf_addc(b, '"');
	}
	clew_buf_addc(b, ']');
}

/* A piece as it is written: whose time (a shown span), and whether it slept. */
struct stretch {
	int64_t whose; /* -1: of nobody that is shown */
	bool gap;
	int64_t from_ns, to_ns;
};

static void put_stretch(struct clew_buf *b, const struct stretch *s, bool *first)
{
	if (s->to_ns < s->from_ns)
		return;
	clew_buf_addc(b, *first ? '[' : ',');
	*first = false;
	clew_buf_addc(b, '[');
	put_int(b, s->gap ? -1 : s->whose, true);
	put_int(b, s->from_ns, false);
	put_int(b, s->to_ns, false);
	if (s->gap && s->whose >= 0)
		put_int(b, s->whose, false);
	clew_buf_addc(b, ']');
}

/*
 * Pieces of spans that are not in the answer count for the nearest above that is; what follows one another
 * of one span is one piece.
 */
static void put_critical(struct tree *t)
{
	struct clew_buf *b = &t->c->out;
	struct stretch now = {.whose = -2,
			      .from_ns = 1}; /* nobody's, and empty: it is not written */
	bool first = true;

	clew_buf_adds(b, ",\"critical\":");
	for (size_t i = 0; i < t->critical.n; i++) {
		const struct piece *p = &t->critical.v[i];
		uint32_t node = p->node;
		struct stretch s = {.gap = p->kind == PIECE_GAP,
				    .from_ns = p->from_ns - t->begin_ns,
				    .to_ns = p->to_ns - t->begin_ns};

		if (node < t->root || node >= t->end)
			continue;
		while (node != NONE && t->shown[node] == NONE)
			node = t->rows.forest.parent[node];
		s.whose = node == NONE ? -1 : (int64_t)t->shown[node];
		if (s.whose == now.whose && s.gap == now.gap && s.from_ns == now.to_ns) {
			now.to_ns = s.to_ns;
			continue;
		}
		put_stretch(b, &now, &first);
		now = s;
	}
	put_stretch(b, &now, &first);
	clew_buf_adds(b, first ? "[]" : "]");
}

static void put_candidates(struct tree *t)
{
	struct clew_buf *b = &t->c->out;
	uint32_t n = 0;

	clew_buf_adds(b, ",\"candidates\":[");
	for (uint32_t i = 0; i < t->n; i++) {
		uint32_t row = t->rows.forest.order[t->list[i]];

		for (uint32_t k = t->rows.link_from[row];
		     k < t->rows.link_from[row + 1] && n < MAX_CANDIDATES; k++) {
			const struct clew_span_link *l = &t->rows.links[k];

			clew_buf_addf(b, "%s[%u", n++ ? "," : "", i);
			put_hex(b, ",", l->trace_id.b, 16);
			put_hex(b, ",", l->span_id.b, 8);
			if (l->confidence < 0)
				clew_buf_adds(b, ",null]");
			else
				clew_buf_addf(b, ",%.4g]", (double)l->confidence);
		}
	}
	clew_buf_addc(b, ']');
}

/* Clocks that were not right are few. */
static void put_moved(struct tree *t)
{
	struct clew_buf *b = &t->c->out;
	bool first = true;

	clew_buf_adds(b, ",\"moved\":[");
	for (uint32_t i = 0; i < t->n; i++) {
		if (!moved_ns(t, i))
			continue;
		clew_buf_addf(b, "%s[%u,%" PRId64 "]", first ? "" : ",", i, moved_ns(t, i));
		first = false;
	}
	clew_buf_addc(b, ']');
}

static void put_columns(struct tree *t)
{
	static const struct {
		const char *before;
		column_fn value;
	} columns[] = {
		{",\"parent\":", get_parent},
		{",\"service\":", get_service},
		{",\"name\":", get_name},
		{",\"kind\":", get_kind},
		{",\"status\":", get_status},
		{",\"start\":", get_start},
		{",\"duration\":", get_duration},
		{",\"class\":", get_class},
		{",\"incomplete\":", get_incomplete},
		{",\"times\":{\"cpu\":", get_cpu},
		{",\"runq\":", get_runq},
		{",\"futex\":", get_futex},
		{",\"disk\":", get_disk},
		{",\"net\":", get_net},
		{",\"sleep\":", get_sleep},
		{",\"other\":", get_other},
		{"},\"network\":", get_network},
		{",\"below\":", get_below},
		{",\"folded\":", get_folded},
	};

	put_ids(t);
	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++)
		put_column(t, columns[i].before, columns[i].value);
}

/* Of the whole trace, whatever part of it is in the answer. */
static int put_totals(struct tree *t, const struct clew_id128 *trace)
{
	struct name_set all = {0};
	uint32_t errors = 0, orphans = 0, incomplete = 0, id;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < t->rows.n; i++) {
		const struct clew_trace_row *row = trace_row(&t->rows, i);

		r = name_set_id(&all, row->service, &id);
		errors += row->status == CLEW_STATUS_ERROR;
		orphans += row->link_class == CLEW_LINK_ORPHAN;
		incomplete += row->incomplete != 0;
	}
	clew_buf_addf(&t->c->out,
		      ",\"totals\":{\"services\":%u,\"errors\":%u,\"orphans\":%u,\"incomplete\":%u,"
		      "\"not_stored\":%" PRIu64 "}",
		      all.n, errors, orphans, incomplete, clew_store_not_stored(t->c->st, trace));
	name_set_done(&all);
	return r;
}

static int put_tree(struct tree *t, const struct clew_id128 *id)
{
	int r;

	struct clew_buf *b = &t->c->out;

	put_hex(b, "{\"trace_id\":", id->b, 16);
	clew_buf_addf(b,
		      ",\"start_ns\":%" PRIu64 ",\"duration_ns\":%" PRIu64
		      ",\"spans_total\":%u,\"complete\":%s",
		      t->rows.start_ns + (uint64_t)t->begin_ns, (uint64_t)(t->end_ns - t->begin_ns),
		      t->rows.n, t->n == t->end - t->root ? "true" : "false");
	r = put_totals(t, id);
	if (r < 0)
		return r;
	put_names(b, ",\"services\":[", &t->services);
	put_names(b, ",\"names\":[", &t->names);
	put_columns(t);
	put_moved(t);
	put_critical(t);
	put_candidates(t);
	clew_buf_addc(b, '}');
	return 0;
}

/* The root of the answer: the whole trace, or one span. */
static int find_under(struct tree *t, struct slice under)
{
	struct clew_id64 id;
	uint32_t node;

	t->root = 0;
	t->end = t->rows.n;
	if (!under.p)
		return 0;
	if (clew_unhex(under.p, under.n, id.b, sizeof(id.b)) < 0)
		return call_fail(t->c, -EINVAL, "under: not the id of a span (16 hex digits)");
	node = trace_node(&t->rows, &id);
	if (node == NONE)
		return call_fail(t->c, -ENOENT, "under: there is no span %.*s in this trace",
				 (int)under.n, under.p);
	t->root = node;
	t->end = node + t->rows.forest.below[node] + 1;
	return 0;
}

/* From the first begin to the last end, clocks bounded: a host whose clock is off makes no trace longer. */
static void find_bounds(struct tree *t)
{
	t->begin_ns = INT64_MAX;
	t->end_ns = INT64_MIN;
	for (uint32_t i = 0; i < t->rows.n; i++) {
		int64_t from = t->critical.start[i];
		int64_t to = from + (int64_t)trace_row(&t->rows, i)->duration_ns;

		t->begin_ns = from < t->begin_ns ? from : t->begin_ns;
		t->end_ns = to > t->end_ns ? to : t->end_ns;
	}
}

int call_trace_tree(struct call *c, const struct clew_id128 *id)
{
	struct tree t = {.c = c};
	struct slice under = {0};
	uint64_t limit = DEFAULT_LIMIT;
	int r = params_u64(&c->params, "limit", &limit, c->ret_error);

	params_get(&c->params, "under", &under);
	if (r == 0)
		r = call_no_params(c);
	if (r < 0)
		return r;
	t.limit = limit && limit < TRACE_MAX_SPANS ? (uint32_t)limit : TRACE_MAX_SPANS;
	r = trace_rows_load(c->st, id, &t.rows, c->ret_error);
	if (r == 0)
		r = prepare(&t);
	if (r == 0)
		r = find_under(&t, under);
	if (r == 0)
		r = choose(&t);
	if (r == 0)
		r = list_shown(&t);
	if (r == 0)
		r = critical_path(&t.rows, &t.critical);
	if (r == 0) {
		find_bounds(&t);
		r = put_tree(&t, id);
	}
	tree_done(&t);
	return r < 0 ? r : call_end_line(c);
}
