/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node whose place is final becomes a span: its ids, its parent, the candidates of an orphan; and what is
 * told of a trace when its root is given up.
 */
#include <stdlib.h>

#include "pipeline/assembly_internal.h"

static void add_candidates(struct clew_assembly *a, const struct node *n, struct clew_span *s)
{
	float each;

	if (!n->link)
		return;
	each = 1.0f / (float)n->link->n_candidates;
	for (uint32_t i = 0; i < n->link->n_candidates; i++) {
		struct node *c = id_table_get(&a->by_id, n->link->candidates[i]);
		struct clew_id64 id;

		if (!c || !c->resolved) {
			s->dropped_links++;
			continue;
		}
		id = clew_span_id_of(&c->key, c->role);
		clew_span_add_link(s, &c->trace_id, &id, each);
	}
}

static struct clew_span *make_span(struct clew_assembly *a, struct node *n,
				   const struct clew_span_facts *f)
{
	struct clew_resource *r =
		clew_identity_resource(a->opts.identity, f->tgid, f->proc_start_ns);
	struct clew_span *s = clew_span_build(f, r, a->real_offset_ns, &a->opts.build);

	if (!s)
		return NULL;
	s->trace_id = n->trace_id;
	s->span_id = clew_span_id_of(&n->key, n->role);
	if (n->parent)
		s->parent_span_id = clew_span_id_of(&n->parent->key, n->parent->role);
	else
		s->parent_span_id = n->remote_parent;
	s->is_root = n->root == n && clew_id64_none(&n->remote_parent);
	s->evidence = n->evidence;
	s->link_class = n->link_class;
	s->confidence = n->confidence;
	add_candidates(a, n, s);
	return s;
}

static struct root_info *root_info_new(const struct clew_span *s)
{
	struct root_info *i = malloc(sizeof(*i) + s->name.n);

	if (!i)
		return NULL;
	memcpy(i->name, s->name.p, s->name.n);
	i->resource = clew_resource_ref(s->resource);
	i->done = (struct clew_trace_done){
		.trace_id = s->trace_id,
		.start_ns = s->start_ns,
		.duration_ns = s->duration_ns,
		.service = i->resource ? i->resource->service : SLICE(""),
		.name = slice_of(i->name, s->name.n),
		.error = s->status == CLEW_STATUS_ERROR,
	};
	return i;
}

void root_info_free(struct root_info *i)
{
	if (i)
		clew_resource_unref(i->resource);
	free(i);
}

void node_tell_trace(struct clew_assembly *a, struct node *n)
{
	if (!n->out || !n->info)
		return;
	n->info->done.n_spans = n->n_spans;
	a->opts.on_trace(a->opts.user, &n->info->done);
	root_info_free(clew_steal(n->info));
}

/* A call whose other side was found, or cannot be: no link names it, and nobody looks for it. */
static bool nobody_asks(const struct node *n)
{
	return n->role == CLEW_ROLE_CLIENT && n->resolved && n->decided && !n->has_key &&
	       n->root != n;
}

void node_let_go(struct clew_assembly *a, struct node *n)
{
	struct node *parent = n->parent;

	free(n->link);
	n->out = true;
	n->info = NULL;
	if (parent && n->resolved) {
		n->parent = node_ref(n->root);
		node_unref(a, parent);
	}
	if (nobody_asks(n))
		node_forget(a, n);
}

void node_hand_out(struct clew_assembly *a, struct node *n, const struct clew_span_facts *f)
{
	struct clew_span *s = make_span(a, n, f);
	bool is_root;

	if (!s) {
		a->stats.dropped++;
		node_let_go(a, n);
		return;
	}
	a->stats.spans++;
	a->stats.incomplete += s->incomplete != 0;
	a->stats.traces += n->root == n;
	n->root->n_spans++;
	is_root = n->root == n;
	node_let_go(a, n);
	if (is_root && a->opts.on_trace)
		n->info = root_info_new(s);
	a->opts.on_span(a->opts.user, s);
}

void node_hand_out_if_ready(struct clew_assembly *a, struct node *n)
{
	if (!node_is_ready(n) || !n->kept)
		return;
	node_ref(n);
	node_hand_out(a, n, &n->kept->facts);
	node_drop_kept(a, n);
	node_unref(a, n);
}
