/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker called while it was not known for whom: its calls wait in a list until somebody claims them
 * (completion_claim.c, lead.c, relay.c), or they are decided.
 */
#include "causality/context.h"
#include "causality/node.h"
#include "causality/todo.h"

void todo_add(struct ctx *worker, struct node *call)
{
	call->todo_of = worker;
	worker->refs++;
	call->todo_seq = ++worker->todo_seq;
	DL_APPEND2(worker->todo, call, todo_prev, todo_next);
}

void todo_drop(struct node *call)
{
	struct ctx *worker = call->todo_of;

	if (!worker)
		return;
	DL_DELETE2(worker->todo, call, todo_prev, todo_next);
	call->todo_of = NULL;
	ctx_put(worker);
}
