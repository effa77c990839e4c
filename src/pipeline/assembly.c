/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdlib.h>

#include "pipeline/assembly_internal.h"
#include "span/trace_context.h"

#define MS 1000000ll

static void resolve(struct clew_assembly *a, struct node *n);

int clew_assembly_new(const struct clew_assembly_opts *opts, struct clew_assembly **ret)
{
	struct clew_assembly *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->opts = *opts;
	a->by_key.is = node_is_of_key;
	a->by_key.user = a;
	if (clew_span_pool_new(&a->opts.build.pool) < 0) {
		free(a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

static void drop_children(struct clew_assembly *a, struct node *n)
{
	struct node *c, *next;

	for (c = n->children; c; c = next) {
		next = c->next_sibling;
		node_unref(a, c);
	}
	n->children = NULL;
}

void clew_assembly_free(struct clew_assembly *a)
{
	struct node *n;
	uint64_t id = 0;

	if (!a)
		return;
	for (int w = 0; w < N_WAITS; w++)
		free(a->waits[w].ring);
	while ((n = id_table_next(&a->by_id, &id))) {
		drop_children(a, n);
		node_forget(a, n);
	}
	id_table_done(&a->by_id);
	key_table_done(&a->by_key);
	free(a->forwarded);
	clew_pool_done(&a->pool);
	clew_span_pool_free(a->opts.build.pool);
	free(a);
}

/*
 * Where the request's place is unknown, an id all the same: the same on every replay, and another
 * one in every recording of a store. Cookies are of one boot, exchanges' ids of one session.
 */
static struct clew_id128 made_up_key(const struct clew_assembly *a, const struct clew_exchange *x)
{
	const struct clew_id128 boot = clew_identity_boot_id(a->opts.identity);
	uint64_t parts[] = {0,	     0,	    x->conn->cookie,   x->req.offset,
			    x->role, x->id, x->conn->first_ns, x->tgid};

	memcpy(parts, boot.b, sizeof(boot.b));
	return clew_hash128(parts, sizeof(parts), 1);
}

/* child's place is below parent: resolve it with its parent, or now. */
static void attach(struct clew_assembly *a, struct node *child, struct node *parent)
{
	child->parent = node_ref(parent);
	if (parent->resolved) {
		resolve(a, child);
		return;
	}
	child->next_sibling = parent->children;
	parent->children = node_ref(child);
}

/* Could child be an ancestor of n? Then hanging it below n would close a circle. */
static bool is_above(const struct node *child, const struct node *n)
{
	/* What is above a node that has its place has one, too; child has none. */
	for (; n && !n->resolved; n = n->parent)
		if (n == child)
			return true;
	return false;
}

static void join_wire(struct clew_assembly *a, struct node *server, struct node *client)
{
	if (server->resolved || server->parent || is_above(server, client)) {
		a->stats.late++;
		return;
	}
	server->evidence = CLEW_EV_WIRE;
	server->link_class = CLEW_LINK_CERTAIN;
	server->confidence = 1;
	attach(a, server, client);
}

void clew_assembly_begin(struct clew_assembly *a, struct clew_exchange *x)
{
	struct node *n = NULL;

	if (x->has_wire_key)
		key_table_fetch(&a->by_key, &x->wire_key);
	if (a->by_id.count < CLEW_ASSEMBLY_MAX_NODES)
		n = clew_pool_take0(&a->pool, sizeof(*n));
	if (!n || id_table_put(&a->by_id, x->id, n) < 0) {
		clew_pool_give(&a->pool, n, sizeof(*n));
		a->stats.dropped++;
		return;
	}
	n->id = x->id;
	n->known = true;
	if (n->id > a->newest)
		a->newest = n->id;
	n->x = x;
	n->role = x->role == CLEW_ROLE_SERVER ? CLEW_ROLE_SERVER : CLEW_ROLE_CLIENT;
	n->key = x->has_wire_key ? x->wire_key : made_up_key(a, x);
	n->refs = 1;
	x->user = n;
	if (n->role == CLEW_ROLE_SERVER)
		node_wait(a, WAIT_OPEN, n);
}

void clew_assembly_begun(struct clew_assembly *a, struct clew_exchange *x)
{
	enum clew_role other = x->role == CLEW_ROLE_SERVER ? CLEW_ROLE_CLIENT : CLEW_ROLE_SERVER;
	struct node *n = x->user, *peer;

	if (!n || !x->has_wire_key)
		return;
	peer = node_find(a, &n->key);
	if (peer && peer->role == other) {
		node_drop_key(a, peer);
		join_wire(a, n->role == CLEW_ROLE_SERVER ? n : peer,
			  n->role == CLEW_ROLE_SERVER ? peer : n);
	} else if (!peer) {
		n->has_key = key_table_add(&a->by_key, &n->key, (uint32_t)n->id) == 0;
	}
}

/* A header of a trace, if there is one: its trace and its parent are the node's. */
static void take_header(struct node *n, const struct clew_exchange *x)
{
	struct clew_trace_context c;

	if ((x->http.fields_known && !x->http.trace) || clew_trace_context(x, &c) < 0)
		return;
	n->by_header = true;
	n->trace_id = c.trace_id;
	n->remote_parent = c.span_id;
}

/* Every trace header names a parent that we did not see; take it where we know no better. */
static bool parent_from_header(struct node *n)
{
	if (!n->ended)
		take_header(n, n->x);
	if (!n->by_header)
		return false;
	n->evidence |= CLEW_EV_HEADER;
	/*
	 * The server's end: the sender wrote it. The client's end of a service that has no parent
	 * of its own: the SDK inside it, or a proxy that let the header pass, and then a hop lies
	 * between.
	 */
	n->link_class = n->role == CLEW_ROLE_SERVER ? CLEW_LINK_CERTAIN : CLEW_LINK_PROBABLE;
	n->confidence = n->role == CLEW_ROLE_SERVER ? 1.0f : 0.9f;
	free(n->link);
	n->link = NULL;
	return true;
}

static void resolve_one(struct node *n)
{
	n->resolved = true;
	if (n->parent) {
		n->trace_id = n->parent->trace_id;
		n->root = n->parent->root;
		n->remote_parent = (struct clew_id64){0};
		return;
	}
	n->root = n;
	if (!parent_from_header(n))
		n->trace_id = clew_trace_id_of(&n->key);
}

/*
 * n's place is final; so is, then, that of all that waits below it. The walk is a loop over an
 * explicit stack (the siblings' links), because a chain of proxies may be long.
 */
static void resolve(struct clew_assembly *a, struct node *n)
{
	struct node *todo = NULL, *done = NULL, *c;

	if (n->resolved)
		return;
	n->next_sibling = NULL;
	todo = node_ref(n);
	while (todo) {
		struct node *at = todo;

		todo = at->next_sibling;
		resolve_one(at);
		while ((c = at->children)) {
			at->children = c->next_sibling;
			c->next_sibling = todo;
			todo = c;
		}
		at->next_sibling = done;
		done = at;
	}
	while (done) {
		c = done;
		done = c->next_sibling;
		c->next_sibling = NULL;
		/* It has waited for long. */
		if (done && done->ended)
			__builtin_prefetch(done->kept);
		node_hand_out_if_ready(a, c);
		node_unref(a, c);
	}
}

/* The facts of the node's exchange; false where they are gone. */
static bool facts_of(const struct node *n, struct clew_span_facts *ret)
{
	if (n->out || (n->ended && !n->kept))
		return false;
	if (n->ended)
		*ret = n->kept->facts;
	else
		clew_span_facts_of(n->x, ret);
	return true;
}

/* A call that carries the header of a request: that request made it, whatever else speaks. */
static struct node *sent_on_by(struct clew_assembly *a, const struct node *n)
{
	struct clew_span_facts f;

	if (!a->forwarded || n->role != CLEW_ROLE_CLIENT || !facts_of(n, &f) ||
	    clew_id64_none(&f.header_span))
		return NULL;
	return forwarded_find(a, &f);
}

void clew_assembly_head(struct clew_assembly *a, const struct clew_exchange *x)
{
	const struct node *n = x->user;
	struct clew_span_facts f;

	if (!n)
		return;
	clew_span_facts_of(x, &f);
	if (!clew_id64_none(&f.header_span))
		forwarded_note(a, n, &f, true);
}

void clew_assembly_ends(struct clew_assembly *a, const struct clew_exchange *x)
{
	const struct node *n = x->user;
	struct clew_span_facts f;

	if (!n || n->role != CLEW_ROLE_SERVER || (x->http.fields_known && !x->http.trace))
		return;
	clew_span_facts_of(x, &f);
	if (!clew_id64_none(&f.header_span))
		forwarded_note(a, n, &f, false);
}

void clew_assembly_end(struct clew_assembly *a, struct clew_exchange *x)
{
	struct node *n = x->user;
	struct clew_span_facts f;

	if (!n) {
		clew_exchange_free(x);
		return;
	}
	if (!n->resolved)
		take_header(n, x);
	n->ended = true;
	n->kept = NULL;
	node_wait(a, WAIT_KEEP, n);
	if (!n->resolved && !n->decided && n->by_header && n->role == CLEW_ROLE_CLIENT)
		node_wait(a, WAIT_HEADER, n);
	if (!n->resolved && n->role == CLEW_ROLE_SERVER && !n->parent &&
	    !node_wait(a, WAIT_PEER, n))
		resolve(a, n);
	if (node_is_ready(n)) {
		clew_span_facts_of(x, &f);
		node_hand_out(a, n, &f);
		clew_exchange_free(x);
	} else if (node_keep(a, n, x) < 0) {
		a->stats.dropped++;
		node_let_go(a, n);
		clew_exchange_free(x);
	}
}

void clew_assembly_decide(struct clew_assembly *a, uint64_t id, const struct clew_link *link)
{
	struct node *n = id_table_get(&a->by_id, id), *parent;

	if (!n || n->decided)
		return;
	n->decided = true;
	n->evidence = link->evidence;
	n->link_class = link->class;
	n->confidence = link->confidence;
	parent = sent_on_by(a, n);
	if (parent) {
		n->evidence = CLEW_EV_HEADER | (link->parent == parent->id ? link->evidence : 0);
		n->link_class = CLEW_LINK_CERTAIN;
		n->confidence = 1;
	} else if (link->parent) {
		parent = id_table_get(&a->by_id, link->parent);
	}
	if (parent && !n->resolved && !is_above(n, parent)) {
		attach(a, n, parent);
		return;
	}
	if (link->parent) { /* it was kept too short, or the link would close a circle */
		a->stats.late++;
		n->link_class = CLEW_LINK_ORPHAN;
		n->confidence = 0;
	}
	if (link->n_candidates && !n->out) {
		size_t size = offsetof(struct clew_link, candidates) +
			      link->n_candidates * sizeof(*link->candidates);

		n->link = malloc(size);
		if (n->link) {
			memcpy(n->link, link, size);
			n->waits_for_candidates = node_wait(a, WAIT_ORPHAN, n);
		}
	}
	resolve(a, n);
}

/*
 * Whom evidence would decide waits for a request that goes on for long; the one whose header it carries is
 * forgotten by then.
 */
static void decide_by_header(struct clew_assembly *a, struct node *n)
{
	struct node *parent = n->decided || n->resolved ? NULL : sent_on_by(a, n);

	if (!parent || is_above(n, parent))
		return;
	n->decided = true;
	n->evidence = CLEW_EV_HEADER;
	n->link_class = CLEW_LINK_CERTAIN;
	n->confidence = 1;
	attach(a, n, parent);
}

void clew_assembly_clock(struct clew_assembly *a, int64_t real_offset_ns)
{
	int64_t d = real_offset_ns - a->real_offset_ns;

	/* Small corrections of the clock would only tear spans of one trace apart. */
	if (d > MS || d < -MS)
		a->real_offset_ns = real_offset_ns;
}

/* n cannot wait any longer for the place of what it hangs from. */
static void force_out(struct clew_assembly *a, struct node *n)
{
	struct node *top = n;

	while (top->parent && !top->resolved)
		top = top->parent;
	resolve(a, top);
	n->waits_for_candidates = false;
	node_hand_out_if_ready(a, n);
}

static void expire(struct clew_assembly *a, uint64_t now_ns)
{
	struct node *n;

	for (int w = WAIT_PEER; w <= WAIT_OPEN; w++)
		while ((n = node_next_due(a, (enum wait)w, now_ns)))
			if (!n->parent)
				resolve(a, n);
	while ((n = node_next_due(a, WAIT_ORPHAN, now_ns))) {
		n->waits_for_candidates = false;
		node_hand_out_if_ready(a, n);
	}
	while ((n = node_next_due(a, WAIT_HEADER, now_ns)))
		decide_by_header(a, n);
	while ((n = node_next_due(a, WAIT_KEEP, now_ns))) {
		/* One that is not out yet still waits for its parent: keep it a while longer. */
		if (!n->out && node_wait(a, WAIT_KEEP, n))
			continue;
		node_ref(n);
		force_out(a, n);
		node_tell_trace(a, n);
		node_forget(a, n);
		node_unref(a, n);
	}
	nodes_trim_open(a);
}

void clew_assembly_advance(struct clew_assembly *a, uint64_t now_ns)
{
	if (now_ns > a->now_ns)
		a->now_ns = now_ns;
	expire(a, a->now_ns);
}

void clew_assembly_flush(struct clew_assembly *a)
{
	struct node *n;
	uint64_t id;

	for (int w = WAIT_PEER; w <= WAIT_ORPHAN; w++)
		while ((n = node_next_due(a, (enum wait)w, UINT64_MAX)))
			force_out(a, n);
	/* What is left has a parent that never got its place: in the order of its begin. */
	for (id = 0; (n = id_table_next(&a->by_id, &id)); id++)
		force_out(a, n);
	a->waits[WAIT_KEEP].len = 0;
	for (id = 0; (n = id_table_next(&a->by_id, &id));) {
		node_tell_trace(a, n);
		node_forget(a, n);
	}
}

const struct clew_assembly_stats *clew_assembly_stats(const struct clew_assembly *a)
{
	return &a->stats;
}
