/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What follows from the matches: whose trace it is, which spans are left out, what becomes of the
 * received ones and who hangs from whom.
 *
 * The trace keeps the id of the received span that is nearest to its root: that id stands in the
 * logs of the service where the request came in. Traces that other SDKs began further down become
 * aliases of it.
 */
#include <utlist.h>

#include "join/internal.h"

#define MAX_DEPTH 4096u
/* A candidate of a candidate of a candidate ... */
#define MAX_AHEAD 32u

/* ---- traces that are another's ---- */

bool moved_once(struct clew_join *j, struct clew_id128 *id)
{
	struct moved *m;

	HASH_FIND(hh, j->moved, id, sizeof(*id), m);
	if (m)
		*id = m->to;
	return m != NULL;
}

struct clew_id128 moved_to(struct clew_join *j, struct clew_id128 id)
{
	for (uint32_t i = 0; i < MAX_MOVES && moved_once(j, &id); i++)
		;
	return id;
}

struct received *received_find(struct clew_join *j, const struct clew_id128 *trace,
			       const struct clew_id64 *span)
{
	struct clew_id128 id = *trace;
	struct received *r;
	uint32_t i = 0;

	do
		r = received_by_id(&j->received, &id, span);
	while (!r && i++ < MAX_MOVES && moved_once(j, &id));
	return r;
}

static bool add_moved(struct clew_join *j, const struct clew_id128 *from,
		      const struct clew_id128 *to)
{
	struct moved *m =
		HASH_COUNT(j->moved) < CLEW_JOIN_MAX_MOVED ? calloc(1, sizeof(*m)) : j->moved;

	if (!m)
		return false;
	if (m == j->moved) /* the oldest */
		HASH_DEL(j->moved, m);
	*m = (struct moved){.from = *from, .to = *to};
	HASH_ADD(hh, j->moved, from, sizeof(m->from), m);
	if (!m->hh.tbl) {
		free(m);
		return false;
	}
	return true;
}

void join_moved_note(struct clew_join *j, const struct clew_id128 *from,
		     const struct clew_id128 *to)
{
	struct clew_id128 now = moved_to(j, *from), end = moved_to(j, *to);

	if (clew_id128_eq(&now, from) && !clew_id128_eq(&end, from))
		(void)add_moved(j, from, to);
}

static void move(struct clew_join *j, const struct clew_id128 *from, const struct clew_id128 *to)
{
	struct clew_id128 now = moved_to(j, *from);

	if (clew_id128_eq(&now, to))
		return;
	if (!clew_id128_eq(&now, from)) { /* it is said to be of two traces: the first stays */
		j->stats.conflicts++;
		return;
	}
	if (!add_moved(j, from, to))
		return;
	j->stats.aliases++;
	j->opts.on_alias(j->opts.user, from, to);
}

/* ---- processes ---- */

static void process_free(struct process *p)
{
	clew_resource_unref(p->resource);
	clew_resource_unref(p->from);
	clew_resource_unref(p->named);
	free(p);
}

void processes_done(struct clew_join *j)
{
	struct process *p, *p_next;
	struct moved *m, *m_next;

	HASH_ITER (hh, j->processes, p, p_next) {
		HASH_DEL(j->processes, p);
		process_free(p);
	}
	HASH_ITER (hh, j->moved, m, m_next) {
		HASH_DEL(j->moved, m);
		free(m);
	}
}

struct process *process_of(struct clew_join *j, const struct clew_seen_facts *f)
{
	struct process *p, key = {.key = {.start_ns = f->proc_start_ns, .pid = f->pid}};

	HASH_FIND(hh, j->processes, &key.key, sizeof(key.key), p);
	return p;
}

/* The connection says it. */
void learn_process(struct clew_join *j, const struct clew_seen_facts *f, struct clew_resource *r)
{
	struct process *p = process_of(j, f);

	if (!r || (p && p->resource->id == r->id))
		return;
	if (p || HASH_COUNT(j->processes) >= CLEW_JOIN_MAX_KNOWN) {
		p = p ? p : j->processes;
		HASH_DEL(j->processes, p);
		process_free(p);
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return;
	p->key.start_ns = f->proc_start_ns;
	p->key.pid = f->pid;
	p->resource = clew_resource_ref(r);
	HASH_ADD(hh, j->processes, key, sizeof(p->key), p);
	if (!p->hh.tbl)
		process_free(p);
}

/* The kernel's attributes, with the SDK's before them: one service has one name. */
static struct clew_resource *resource_named(const struct clew_resource *kernel,
					    const struct clew_resource *sdk)
{
	_cleanup_(freep) struct clew_attr *v =
		malloc((kernel->n_attrs + sdk->n_attrs + 1) * sizeof(*v));
	size_t n = sdk->n_attrs;

	if (!v)
		return NULL;
	if (n)
		memcpy(v, sdk->attrs, n * sizeof(*v));
	for (uint32_t i = 0; i < kernel->n_attrs; i++) {
		bool there = false;

		for (uint32_t k = 0; !there && k < sdk->n_attrs; k++)
			there = slice_eq(sdk->attrs[k].key, kernel->attrs[i].key);
		if (!there)
			v[n++] = kernel->attrs[i];
	}
	return clew_resource_new(v, n, &kernel->boot_id);
}

void name_process(struct clew_join *j, struct clew_span *s)
{
	const struct clew_seen_facts f = {.proc_start_ns = s->proc_start_ns, .pid = s->pid};
	struct process *p = j->processes ? process_of(j, &f) : NULL;

	if (!p || !s->resource)
		return;
	if (!p->from || p->from->id != s->resource->id) {
		clew_resource_unref(p->from);
		clew_resource_unref(p->named);
		p->from = clew_resource_ref(s->resource);
		p->named = resource_named(s->resource, p->resource);
	}
	if (!p->named)
		return;
	clew_resource_unref(s->resource);
	s->resource = clew_resource_ref(p->named);
}

/* ---- one trace ---- */

static uint32_t depth_of(const struct trace *t, const struct seen *k)
{
	uint32_t depth = 0;

	for (; k->parent >= 0 && depth < MAX_DEPTH; depth++)
		k = &t->v[k->parent];
	return depth;
}

static bool is_matched(const struct seen *k)
{
	return !clew_id64_none(&k->as_span);
}

/* Spans that went on under another id are that trace's from then on, as if they had waited. */
static void choose_id(struct clew_join *j, struct trace *t)
{
	uint32_t best_depth = UINT32_MAX;
	const struct seen *best = NULL;
	struct clew_id128 id;

	for (uint32_t i = 0; i < t->n; i++) {
		const struct seen *k = &t->v[i];
		uint32_t depth = is_matched(k) ? depth_of(t, k) : UINT32_MAX;

		if (depth > best_depth || !is_matched(k) ||
		    (depth == best_depth && k->start_ns >= best->start_ns))
			continue;
		best_depth = depth;
		best = k;
	}
	if (clew_id128_none(&t->canonical) && t->n_waiting < t->n)
		t->canonical = t->id;
	id = moved_to(j, best ? best->as_trace : t->id);
	if (!clew_id128_none(&t->canonical)) {
		t->canonical = moved_to(j, t->canonical);
		if (best)
			move(j, &t->canonical, &id);
		id = moved_to(j, t->canonical);
	}
	t->canonical = id;
}

/* From which span k hangs, now that some are others. None: as it says itself. */
static struct clew_id64 parent_in(const struct trace *t, const struct seen *k)
{
	const struct seen *p = k->parent < 0 ? NULL : &t->v[k->parent];

	if (k->nested)
		return k->as_span;
	if (!p)
		return k->parent_id;
	return is_matched(p) && !p->nested ? p->as_span : p->id;
}

/*
 * Its SDK's parent has not come, and perhaps never will (a service that was killed): the kernel knows the request. If
 * that is told later it takes the kernel's place.
 */
static bool lacks_parent(struct clew_join *j, const struct trace *t, const struct seen *k,
			 const struct received *r)
{
	const struct seen *p = k->parent < 0 ? NULL : &t->v[k->parent];

	return k->kind == CLEW_KIND_CLIENT && p && p->kind == CLEW_KIND_SERVER && !is_matched(p) &&
	       !clew_id64_none(&r->parent_id) && !received_find(j, &r->trace_id, &r->parent_id);
}

static void amend(struct clew_join *j, const struct trace *t, struct seen *k)
{
	const struct received *r = received_find(j, &k->as_trace, &k->as_span);
	struct clew_id64 parent = parent_in(t, k);
	struct clew_amendment a = {.what = CLEW_AMEND_JOINED, .facts = k->facts};

	if (!r) /* it left the ring meanwhile */
		return;
	a.trace_id = r->stored_trace_id;
	a.span_id = r->span_id;
	a.start_ns = r->start_ns;
	a.to_trace_id = t->canonical;
	a.parent_span_id = r->parent_id;
	/*
	 * Between services the wire is exact, and knows the hops that no SDK saw. Inside one, the
	 * SDK knows better what it called for.
	 */
	k->adopted = lacks_parent(j, t, k, r);
	if (k->kind == CLEW_KIND_SERVER ? k->parent >= 0
					: clew_id64_none(&r->parent_id) || k->adopted)
		a.parent_span_id = parent;
	if (clew_id64_none(&a.parent_span_id))
		a.parent_span_id = parent;
	a.link = !clew_id64_none(&parent) && clew_id64_eq(&a.parent_span_id, &parent);
	/* Two that know nothing of each other say the same. */
	if (a.link && clew_id64_eq(&r->parent_id, &parent)) {
		a.facts.link_class = CLEW_LINK_CERTAIN;
		a.facts.confidence = 1;
	}
	j->stats.joined += !k->settled;
	j->opts.on_amend(j->opts.user, &a);
	if (k->kind == CLEW_KIND_SERVER)
		learn_process(j, &k->facts, r->resource);
}

/* What was stored of the kernel's, before it was known that k is told by a received span. */
static void amend_kernels(struct clew_join *j, const struct trace *t, const struct seen *k)
{
	struct clew_amendment a = {
		.what = k->nested ? CLEW_AMEND_PARENT : CLEW_AMEND_REPLACED,
		.trace_id = t->canonical,
		.to_trace_id = t->canonical,
		.span_id = k->id,
		.start_ns = k->start_ns,
		.parent_span_id = k->as_span,
		.children_only = k->span != NULL,
	};
	bool children = false, some_out = t->n_waiting < t->n;

	for (uint32_t i = 0; some_out && !children && !k->nested && i < t->n; i++)
		children = !t->v[i].span && t->v[i].parent == (int32_t)(k - t->v);
	if (!k->span || children)
		j->opts.on_amend(j->opts.user, &a);
	j->stats.late += !k->span;
	j->stats.nested += !k->span && k->nested;
}

/* Candidates of an orphan lie in other traces: those go on first, so that their places are known. */
static void map_links(struct clew_join *j, struct clew_span *s, uint64_t due_ns)
{
	for (uint32_t i = 0; i < s->n_links; i++) {
		struct clew_span_link *l = &s->links[i];
		struct trace *t = trace_find(j, &l->trace_id);

		if (t && t->queue == TRACE_WAITING && j->depth < MAX_AHEAD) {
			j->depth++;
			trace_settle(j, t, due_ns);
			j->depth--;
		}
		for (uint32_t k = 0; t && k < t->n; k++)
			if (clew_id64_eq(&t->v[k].id, &l->span_id) && is_matched(&t->v[k]) &&
			    !t->v[k].nested)
				l->span_id = t->v[k].as_span;
		if (t && !clew_id128_none(&t->canonical))
			l->trace_id = t->canonical;
	}
}

static void hand_out(struct clew_join *j, struct trace *t, struct seen *k, uint64_t due_ns)
{
	struct clew_span *s = clew_steal(k->span);

	j->stats.held--;
	if (is_matched(k) && !k->nested) {
		clew_span_free(s);
		return;
	}
	j->stats.nested += k->nested;
	map_links(j, s, due_ns);
	name_process(j, s);
	s->is_root = s->is_root && clew_id128_eq(&s->trace_id, &t->canonical);
	s->trace_id = t->canonical;
	header_keep(s);
	j->opts.on_span(j->opts.user, s);
}

/* What follows from a match that is new. */
static void settle_span(struct clew_join *j, struct trace *t, struct seen *k)
{
	if (!k->nested)
		amend(j, t, k);
	amend_kernels(j, t, k);
	late_note_trace(j, t, &k->as_trace);
	k->settled = true;
	t->n_matched++;
}

/* What is remembered takes no more room than it must. */
static void give_back_room(struct trace *t)
{
	struct seen *v = t->cap > t->n ? realloc(t->v, t->n * sizeof(*v)) : NULL;

	if (!v)
		return;
	t->v = v;
	t->cap = t->n;
}

void trace_settle(struct clew_join *j, struct trace *t, uint64_t due_ns)
{
	if (t->queue == TRACE_REMEMBERED)
		return;
	trace_move(j, t, TRACE_REMEMBERED, due_ns);
	trace_match(j, t);
	choose_id(j, t);
	for (uint32_t i = 0; i < t->n; i++)
		if (is_matched(&t->v[i]) && !t->v[i].settled)
			move(j, &t->v[i].as_trace, &t->canonical);
	for (uint32_t i = 0; i < t->n; i++)
		if (is_matched(&t->v[i]) && !t->v[i].settled)
			settle_span(j, t, &t->v[i]);
		else if (t->v[i].adopted)
			amend(j, t, &t->v[i]);
	/* All parents first: handing out lets go of what they are read from. */
	for (uint32_t i = 0; i < t->n; i++)
		if (t->v[i].span)
			t->v[i].span->parent_span_id = parent_in(t, &t->v[i]);
	for (uint32_t i = 0; i < t->n; i++)
		if (t->v[i].span)
			hand_out(j, t, &t->v[i], due_ns);
	t->n_waiting = 0;
	give_back_room(t);
}
