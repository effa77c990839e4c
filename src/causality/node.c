/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes: the exchanges that are known, with reference counts.
 *
 * A node stays in the list while it is open or undecided; after that it lives as long as a context
 * or an undecided call points at it.
 */
#include "causality/engine.h"
#include "causality/forget.h"
#include "causality/node.h"

#define MIN_CONNS 64u

struct node *node_new(struct clew_causality *c, uint64_t id, bool is_call)
{
	struct node *n = clew_pool_take0(&c->pool, sizeof(*n));

	if (!n)
		return NULL;
	n->c = c;
	n->id = id;
	n->is_call = is_call;
	if (!is_call)
		n->owner = n;
	n->born_ns = c->now_ns;
	DL_APPEND2(c->all, n, all_prev, all_next);
	n->hashed = true;
	n->refs = 1;
	return n;
}

static uint32_t conn_slot(const struct conn_table *t, uint64_t conn)
{
	return (uint32_t)((conn * 0x9e3779b97f4a7c15ull) >> 32) & (t->cap - 1);
}

static void conn_put(struct conn_table *t, struct node *n)
{
	uint32_t i = conn_slot(t, n->conn);

	while (t->slots[i])
		i = (i + 1) & (t->cap - 1);
	t->slots[i] = n;
}

static bool conn_grow(struct conn_table *t)
{
	struct conn_table old = *t;

	if (t->cap > UINT32_MAX / 4)
		return false;
	t->cap = old.cap ? old.cap * 2 : MIN_CONNS;
	t->slots = calloc(t->cap, sizeof(struct node *));
	if (!t->slots) {
		*t = old;
		return false;
	}
	for (uint32_t i = 0; i < old.cap; i++)
		if (old.slots[i])
			conn_put(t, old.slots[i]);
	free(old.slots);
	return true;
}

/* Without a mark that it was deleted: whoever was pushed past the hole moves back into it. */
static void conn_remove(struct conn_table *t, const struct node *n)
{
	uint32_t mask = t->cap - 1, i = conn_slot(t, n->conn);

	while (t->slots[i] != n)
		i = (i + 1) & mask;
	for (uint32_t k = (i + 1) & mask; t->slots[k]; k = (k + 1) & mask) {
		if (((k - conn_slot(t, t->slots[k]->conn)) & mask) < ((k - i) & mask))
			continue;
		t->slots[i] = t->slots[k];
		i = k;
	}
	t->slots[i] = NULL;
	t->n--;
}

void node_set_conn(struct clew_causality *c, struct node *n)
{
	struct conn_table *t = &c->by_conn;
	struct node *old;

	if (!n->hashed || n->ended || n->on_conn)
		return;
	old = node_on_conn(c, n->conn);
	if (old)
		node_clear_conn(c, old);
	if ((t->n + 1) * 2 > t->cap && !conn_grow(t))
		return;
	conn_put(t, n);
	t->n++;
	n->on_conn = true;
}

void node_clear_conn(struct clew_causality *c, struct node *n)
{
	if (!n->on_conn)
		return;
	conn_remove(&c->by_conn, n);
	n->on_conn = false;
}

struct node *node_on_conn(struct clew_causality *c, uint64_t conn)
{
	const struct conn_table *t = &c->by_conn;
	struct node *n;

	if (!t->cap)
		return NULL;
	for (uint32_t i = conn_slot(t, conn); (n = t->slots[i]); i = (i + 1) & (t->cap - 1))
		if (n->conn == conn)
			return n;
	return NULL;
}

void node_unhash(struct clew_causality *c, struct node *n)
{
	node_clear_conn(c, n);
	if (!n->hashed)
		return;
	DL_DELETE2(c->all, n, all_prev, all_next);
	n->hashed = false;
	node_put(n);
}

void node_put(struct node *n)
{
	while (n && !--n->refs) {
		struct node *owner = n->is_call ? n->owner : NULL;

		FORGET_ALL(n->c, node, n);
		clew_pool_give(&n->c->pool, n, sizeof(*n));
		n = owner;
	}
}

void node_done(struct clew_causality *c)
{
	struct node *n, *tmp;

	DL_FOREACH_SAFE2(c->all, n, tmp, all_next)
	node_unhash(c, n);
	free(c->by_conn.slots);
	c->by_conn = (struct conn_table){0};
}
