/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of workers that are nobody's yet. See todo.c.
 */
#pragma once

struct ctx;
struct node;

/** todo_add() - the worker made this call, which is in no such list; it gets the worker's next number. */
void todo_add(struct ctx *worker, struct node *call);
/** todo_drop() - it is known for whom the call is. Nothing happens where it is in no list. */
void todo_drop(struct node *call);
