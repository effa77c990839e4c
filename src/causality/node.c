/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes: the exchanges that are known, with reference counts.
 *
 * A node stays in the list while it is open or undecided; after that it lives as long as a context
 * or an undecided call points at it.
 */
#include "causality/completion.h"
#include "causality/engine.h"
#include "causality/shared.h"
#include "causality/task.h"
#include "causality/turn.h"

struct node *node_new(struct clew_causality *c, uint64_t id, bool is_call)
{
	struct node *n = clew_pool_take0(&c->pool, sizeof(*n));

	if (!n)
		return NULL;
	n->pool = &c->pool;
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

void node_set_conn(struct clew_causality *c, struct node *n)
{
	struct node *old = node_on_conn(c, n->conn);

	if (!n->hashed || n->ended || old == n)
		return;
	if (old)
		node_clear_conn(c, old);
	HASH_ADD(hc, c->by_conn, conn, sizeof(n->conn), n);
	n->on_conn = n->hc.tbl;
}

void node_clear_conn(struct clew_causality *c, struct node *n)
{
	if (!n->on_conn)
		return;
	HASH_DELETE(hc, c->by_conn, n);
	n->on_conn = false;
}

struct node *node_on_conn(struct clew_causality *c, uint64_t conn)
{
	struct node *n;

	HASH_FIND(hc, c->by_conn, &conn, sizeof(conn), n);
	return n;
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

		birth_clear(&n->birth);
		task_forget_call(n);
		completion_forget_call(n);
		completion_forget_request(n);
		shared_free(n);
		node_put(n->turn);
		turn_forget(n);
		for (uint32_t i = 0; i < n->n_readers; i++)
			ctx_close(&n->readers[i]);
		if (n->proc)
			proc_put(n->proc);
		clew_pool_give(n->pool, n, sizeof(*n));
		n = owner;
	}
}

void node_done(struct clew_causality *c)
{
	struct node *n, *tmp;

	DL_FOREACH_SAFE2(c->all, n, tmp, all_next)
	{
		if (!n->is_call && !n->ended && n->proc) {
			DL_DELETE2(n->proc->open, n, open_prev, open_next);
			n->proc->n_open--;
		}
		for (uint32_t i = 0; i < n->n_readers; i++)
			ctx_close(&n->readers[i]);
		n->ended = true;
		turn_request_ended(n);
		node_unhash(c, n);
	}
}
