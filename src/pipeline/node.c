/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a node: found by id or by wire key, waiting for its time, let go when nobody asks any more.
 * The queues of those who wait hold ids, no references: a node may be given up before it is due.
 */
#include <stdlib.h>

#include "pipeline/assembly_internal.h"

#define MS	       1000000ull
#define PEER_WAIT_NS   (250 * MS)
#define OPEN_WAIT_NS   (10000 * MS)
#define ORPHAN_WAIT_NS (1000 * MS)
#define HEADER_WAIT_NS (1000 * MS)
#define KEEP_NS	       (3200 * MS)

/* Places in a queue of those who wait; bytes of what is kept of an exchange. */
#define FETCH_FAR  6
#define FETCH_NEAR 2
#define FETCH_KEPT 384

static const uint64_t wait_ns[N_WAITS] = {PEER_WAIT_NS, OPEN_WAIT_NS, ORPHAN_WAIT_NS,
					  HEADER_WAIT_NS, KEEP_NS};

void node_drop_kept(struct clew_assembly *a, struct node *n)
{
	struct kept *k = n->ended ? n->kept : NULL;

	if (!k)
		return;
	n->kept = NULL;
	clew_exchange_free(k->x);
	clew_conn_unref((struct clew_conn *)k->facts.conn);
	clew_pool_give(&a->pool, k, k->bytes);
}

void node_unref(struct clew_assembly *a, struct node *n)
{
	while (n && --n->refs == 0) {
		struct node *parent = n->parent;

		node_drop_kept(a, n);
		if (n->out)
			root_info_free(n->info);
		else
			free(n->link);
		clew_pool_give(&a->pool, n, sizeof(*n));
		n = parent;
	}
}

bool node_wait(struct clew_assembly *a, enum wait w, struct node *n)
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

static struct node *waiting(const struct clew_assembly *a, const struct timer_queue *q, size_t i)
{
	return i < q->len ? id_table_get(&a->by_id, q->ring[(q->head + i) & (q->cap - 1)].id)
			  : NULL;
}

/*
 * Those that are due soon have waited for long, and are in no cache any more: they are fetched while others
 * are worked on, what they point to a little later.
 */
static void fetch_soon_due(const struct clew_assembly *a, const struct timer_queue *q)
{
	const struct node *n = waiting(a, q, FETCH_FAR);

	if (n) {
		__builtin_prefetch(n, 1);
		__builtin_prefetch((const char *)n + 64, 1);
	}
	n = waiting(a, q, FETCH_NEAR);
	if (!n)
		return;
	__builtin_prefetch(n->parent, 1);
	__builtin_prefetch(n->children, 1);
	if (n->has_key)
		key_table_fetch(&a->by_key, &n->key);
	for (size_t i = 0; n->ended && n->kept && i < FETCH_KEPT; i += 64)
		__builtin_prefetch((const char *)n->kept + i);
}

struct node *node_next_due(struct clew_assembly *a, enum wait w, uint64_t now_ns)
{
	struct timer_queue *q = &a->waits[w];
	struct node *n = NULL;

	while (!n && q->len && q->ring[q->head].due_ns <= now_ns) {
		n = id_table_get(&a->by_id, q->ring[q->head].id);
		fetch_soon_due(a, q);
		q->head = (q->head + 1) & (q->cap - 1);
		q->len--;
	}
	return n;
}

void nodes_trim_open(struct clew_assembly *a)
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

bool node_is_of_key(void *user, uint32_t id, const struct clew_id128 *key)
{
	const struct node *n = of_low_id(user, id);

	return n && clew_id128_eq(&n->key, key);
}

struct node *node_find(struct clew_assembly *a, const struct clew_id128 *key)
{
	uint32_t id;

	return key_table_get(&a->by_key, key, &id) ? of_low_id(a, id) : NULL;
}

void node_drop_key(struct clew_assembly *a, struct node *n)
{
	if (n->has_key)
		key_table_remove(&a->by_key, &n->key, (uint32_t)n->id);
	n->has_key = false;
}

void node_forget(struct clew_assembly *a, struct node *n)
{
	if (!n->known)
		return;
	node_drop_key(a, n);
	id_table_remove(&a->by_id, n->id);
	n->known = false;
	node_unref(a, n);
}

int node_keep(struct clew_assembly *a, struct node *n, struct clew_exchange *x)
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
