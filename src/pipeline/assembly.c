/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/assembly.h"

#include <stdlib.h>

#include "base/pool.h"
#include "pipeline/id_table.h"
#include "pipeline/key_table.h"
#include "span/trace_context.h"

#define MS	       1000000ull
#define PEER_WAIT_NS   (250 * MS)
#define OPEN_WAIT_NS   (10000 * MS)
#define ORPHAN_WAIT_NS (1000 * MS)
#define KEEP_NS	       (3200 * MS)

enum wait { WAIT_PEER, WAIT_OPEN, WAIT_ORPHAN, WAIT_KEEP, N_WAITS };

static const uint64_t wait_ns[N_WAITS] = {PEER_WAIT_NS, OPEN_WAIT_NS, ORPHAN_WAIT_NS, KEEP_NS};

/* What is kept of a root's span for on_trace. */
struct root_info {
	struct clew_trace_done done;
	struct clew_resource *resource; /* a reference: done.service points into it */
	char name[];
};

/* What is kept of an exchange that has ended, until its span is made. */
struct kept {
	struct clew_span_facts facts;
	struct clew_exchange *x; /* ours; only where the user named headers */
	size_t bytes;		 /* of this object */
	char text[];
};

/*
 * Twenty thousand requests a second leave a hundred thousand of these behind: they are kept small, and
 * a call's is given up as soon as nobody can ask for it any more.
 */
struct node {
	uint64_t id;	       /* the exchange's */
	struct clew_id128 key; /* wire key, or one made up where there is none */
	union {
		struct clew_exchange *x; /* the stream's, until it has ended */
		struct kept *kept;	 /* from then on, until the span is out */
	};
	struct node *parent; /* holds a reference; once the span is out: the root, or NULL */
	struct node *children,
		*next_sibling; /* that wait for this node to be resolved; hold references */
	union {
		struct clew_link *link; /* orphans: with candidates, until the span is out */
		struct root_info *info; /* roots: from then on, where traces are told */
	};
	struct clew_id128 trace_id;
	struct clew_id64 remote_parent; /* from a header */
	struct node *root; /* of its trace, once resolved; not counted: parents hold it */
	float confidence;
	uint32_t evidence;
	uint32_t n_spans; /* of a root: spans of its trace that are out */
	int refs;
	uint8_t role;
	uint8_t link_class;
	bool ended : 1, decided : 1, resolved : 1, out : 1;
	bool has_key : 1; /* to be found by wire key, until the other side has come */
	bool known : 1;	  /* to be found by id; the table holds a reference */
	bool by_header : 1, waits_for_candidates : 1;
};
_Static_assert(sizeof(struct node) <= 128, "two cache lines");

/* A queue of nodes that all wait equally long, so that the first is due first. */
struct timer {
	uint64_t due_ns;
	uint64_t id; /* the node's: it may have been given up before */
};
struct timer_queue {
	struct timer *ring;
	size_t head, len, cap; /* cap: a power of two */
};

struct clew_assembly {
	struct clew_assembly_opts opts;
	struct clew_assembly_stats stats;
	struct id_table by_id;
	struct key_table by_key; /* those whose other side has not come */
	struct timer_queue waits[N_WAITS];
	struct clew_pool pool; /* of nodes and of what is kept of exchanges */
	uint64_t newest;       /* the highest id so far */
	uint64_t now_ns;
	int64_t real_offset_ns;
};

static void resolve(struct clew_assembly *a, struct node *n);
static void root_info_free(struct root_info *i);

static void drop_kept(struct clew_assembly *a, struct node *n)
{
	struct kept *k = n->ended ? n->kept : NULL;

	if (!k)
		return;
	n->kept = NULL;
	clew_exchange_free(k->x);
	clew_conn_unref((struct clew_conn *)k->facts.conn);
	clew_pool_give(&a->pool, k, k->bytes);
}

static void unref(struct clew_assembly *a, struct node *n)
{
	while (n && --n->refs == 0) {
		struct node *parent = n->parent;

		drop_kept(a, n);
		if (n->out)
			root_info_free(n->info);
		else
			free(n->link);
		clew_pool_give(&a->pool, n, sizeof(*n));
		n = parent;
	}
}

static struct node *ref(struct node *n)
{
	n->refs++;
	return n;
}

/* Wait for later. Without memory the wait is over at once: earlier than meant, never lost. */
static bool wait_for(struct clew_assembly *a, enum wait w, struct node *n)
{
	struct timer_queue *q = &a->waits[w];

	if (q->len == q->cap) {
		size_t cap = q->cap ? q->cap * 2 : 256;
		struct timer *ring = malloc(cap * sizeof(*ring));

		if (!ring)
			return false;
		for (size_t i = 0; i < q->len; i++)
			ring[i] = q->ring[(q->head + i) & (q->cap - 1)];
		free(q->ring);
		*q = (struct timer_queue){.ring = ring, .len = q->len, .cap = cap};
	}
	q->ring[(q->head + q->len++) & (q->cap - 1)] =
		(struct timer){.due_ns = a->now_ns + wait_ns[w], .id = n->id};
	return true;
}

/* The next node that is due and was not given up; NULL if there is none. */
static struct node *next_due(struct clew_assembly *a, enum wait w, uint64_t now_ns)
{
	struct timer_queue *q = &a->waits[w];
	struct node *n = NULL;

	while (!n && q->len && q->ring[q->head].due_ns <= now_ns) {
		n = id_table_get(&a->by_id, q->ring[q->head].id);
		q->head = (q->head + 1) & (q->cap - 1);
		q->len--;
	}
	return n;
}

/* Those at the front that do not wait any more. Most are answered long before they are due. */
static void trim_open(struct clew_assembly *a)
{
	struct timer_queue *q = &a->waits[WAIT_OPEN];

	while (q->len) {
		const struct node *n = id_table_get(&a->by_id, q->ring[q->head].id);

		if (n && !n->resolved)
			return;
		q->head = (q->head + 1) & (q->cap - 1);
		q->len--;
	}
}

/* The node of which this is the lower half of the id: it is not far behind the newest. */
static struct node *of_low_id(const struct clew_assembly *a, uint32_t low)
{
	return id_table_get(&a->by_id, a->newest - (uint32_t)((uint32_t)a->newest - low));
}

static bool is_of_key(void *user, uint32_t id, const struct clew_id128 *key)
{
	const struct node *n = of_low_id(user, id);

	return n && clew_id128_eq(&n->key, key);
}

static struct node *find_key(struct clew_assembly *a, const struct clew_id128 *key)
{
	uint32_t id;

	return key_table_get(&a->by_key, key, &id) ? of_low_id(a, id) : NULL;
}

int clew_assembly_new(const struct clew_assembly_opts *opts, struct clew_assembly **ret)
{
	struct clew_assembly *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->opts = *opts;
	a->by_key.is = is_of_key;
	a->by_key.user = a;
	if (clew_span_pool_new(&a->opts.build.pool) < 0) {
		free(a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

static void drop_key(struct clew_assembly *a, struct node *n)
{
	if (n->has_key)
		key_table_remove(&a->by_key, &n->key, (uint32_t)n->id);
	n->has_key = false;
}

/* No longer to be found by id or key; the tables' reference is given back. */
static void forget(struct clew_assembly *a, struct node *n)
{
	if (!n->known)
		return;
	drop_key(a, n);
	id_table_remove(&a->by_id, n->id);
	n->known = false;
	unref(a, n);
}

static void drop_children(struct clew_assembly *a, struct node *n)
{
	struct node *c, *next;

	for (c = n->children; c; c = next) {
		next = c->next_sibling;
		unref(a, c);
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
		forget(a, n);
	}
	id_table_done(&a->by_id);
	key_table_done(&a->by_key);
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
	child->parent = ref(parent);
	if (parent->resolved) {
		resolve(a, child);
		return;
	}
	child->next_sibling = parent->children;
	parent->children = ref(child);
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
	enum clew_role other = x->role == CLEW_ROLE_SERVER ? CLEW_ROLE_CLIENT : CLEW_ROLE_SERVER;
	struct node *n = NULL, *peer;

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
		wait_for(a, WAIT_OPEN, n);
	if (!x->has_wire_key)
		return;
	peer = find_key(a, &n->key);
	if (peer && peer->role == other) {
		drop_key(a, peer);
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

static void root_info_free(struct root_info *i)
{
	if (i)
		clew_resource_unref(i->resource);
	free(i);
}

/* The root's node is given up: its trace is over. */
static void tell_trace(struct clew_assembly *a, struct node *n)
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

/* The span is out: of those above it only the root is still wanted. */
static void let_go(struct clew_assembly *a, struct node *n)
{
	struct node *parent = n->parent;

	free(n->link);
	n->out = true;
	n->info = NULL;
	if (parent && n->resolved) {
		n->parent = ref(n->root);
		unref(a, parent);
	}
	if (nobody_asks(n))
		forget(a, n);
}

/* f: what the span is made of. n may be gone afterwards, unless the caller holds it. */
static void hand_out(struct clew_assembly *a, struct node *n, const struct clew_span_facts *f)
{
	struct clew_span *s = make_span(a, n, f);
	bool is_root;

	if (!s) {
		a->stats.dropped++;
		let_go(a, n);
		return;
	}
	a->stats.spans++;
	a->stats.incomplete += s->incomplete != 0;
	a->stats.traces += n->root == n;
	n->root->n_spans++;
	is_root = n->root == n;
	let_go(a, n);
	if (is_root && a->opts.on_trace)
		n->info = root_info_new(s);
	a->opts.on_span(a->opts.user, s);
}

static bool is_ready(const struct node *n)
{
	return n->resolved && n->ended && !n->out && !n->waits_for_candidates;
}

static void hand_out_if_ready(struct clew_assembly *a, struct node *n)
{
	if (!is_ready(n) || !n->kept)
		return;
	ref(n);
	hand_out(a, n, &n->kept->facts);
	drop_kept(a, n);
	unref(a, n);
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
	todo = ref(n);
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
		hand_out_if_ready(a, c);
		unref(a, c);
	}
}

/* Keep what the span is made of, and no more. */
static int keep(struct clew_assembly *a, struct node *n, struct clew_exchange *x)
{
	struct clew_span_facts f;
	struct kept *k;
	size_t bytes;

	clew_span_facts_of(x, &f);
	bytes = sizeof(*k) + clew_span_facts_text(&f);
	k = clew_pool_take(&a->pool, bytes);
	if (!k)
		return -ENOMEM;
	k->facts = f;
	k->bytes = bytes;
	k->x = NULL;
	clew_span_facts_move(&k->facts, k->text);
	clew_conn_ref(x->conn);
	if (a->opts.build.capture_headers) {
		k->x = x;
	} else {
		k->facts.x = NULL;
		clew_exchange_free(x);
	}
	n->kept = k;
	return 0;
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
	wait_for(a, WAIT_KEEP, n);
	if (!n->resolved && n->role == CLEW_ROLE_SERVER && !n->parent && !wait_for(a, WAIT_PEER, n))
		resolve(a, n);
	if (is_ready(n)) {
		clew_span_facts_of(x, &f);
		hand_out(a, n, &f);
		clew_exchange_free(x);
	} else if (keep(a, n, x) < 0) {
		a->stats.dropped++;
		let_go(a, n);
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
	parent = link->parent ? id_table_get(&a->by_id, link->parent) : NULL;
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
		n->link = malloc(sizeof(*link));
		if (n->link) {
			*n->link = *link;
			n->waits_for_candidates = wait_for(a, WAIT_ORPHAN, n);
		}
	}
	resolve(a, n);
}

void clew_assembly_clock(struct clew_assembly *a, int64_t real_offset_ns)
{
	int64_t d = real_offset_ns - a->real_offset_ns;

	/* Small corrections of the clock would only tear spans of one trace apart. */
	if (d > (int64_t)MS || d < -(int64_t)MS)
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
	hand_out_if_ready(a, n);
}

static void expire(struct clew_assembly *a, uint64_t now_ns)
{
	struct node *n;

	for (int w = WAIT_PEER; w <= WAIT_OPEN; w++)
		while ((n = next_due(a, (enum wait)w, now_ns)))
			if (!n->parent)
				resolve(a, n);
	while ((n = next_due(a, WAIT_ORPHAN, now_ns))) {
		n->waits_for_candidates = false;
		hand_out_if_ready(a, n);
	}
	while ((n = next_due(a, WAIT_KEEP, now_ns))) {
		/* One that is not out yet still waits for its parent: keep it a while longer. */
		if (!n->out && wait_for(a, WAIT_KEEP, n))
			continue;
		ref(n);
		force_out(a, n);
		tell_trace(a, n);
		forget(a, n);
		unref(a, n);
	}
	trim_open(a);
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
		while ((n = next_due(a, (enum wait)w, UINT64_MAX)))
			force_out(a, n);
	/* What is left has a parent that never got its place: in the order of its begin. */
	for (id = 0; (n = id_table_next(&a->by_id, &id)); id++)
		force_out(a, n);
	a->waits[WAIT_KEEP].len = 0;
	for (id = 0; (n = id_table_next(&a->by_id, &id));) {
		tell_trace(a, n);
		forget(a, n);
	}
}

const struct clew_assembly_stats *clew_assembly_stats(const struct clew_assembly *a)
{
	return &a->stats;
}
