/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: the runtime's task. See task.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/record.h"

struct clew_causality;
struct ctx;
struct node;
struct sharers;

#define MAX_DEPTH 64 /* tasks that begin tasks that ... */

/* What the context works on now: a reference to be given back. NULL where that says nothing. */
struct work *task_work(struct clew_causality *c, struct ctx *ctx);
struct work *task_work_get(struct work *w);
void task_work_put(struct work *w);
/* Its request, as far as it is known now; that may be over. NULL: none. */
struct node *task_request(const struct work *w);
/* Another context makes this call for who works on w (NULL: not known). */
void task_give(struct clew_causality *c, struct work *w, struct node *call);

struct ctx *task_ctx(struct clew_causality *c, const struct clew_rec_io *io, bool reads);
/* The thread, where it may be a loop: NULL for tasks that read for themselves. */
struct ctx *task_loop(struct clew_causality *c, uint32_t tgid, uint64_t proc_start_ns,
		      uint64_t task, uint32_t tid);
void task_call(struct clew_causality *c, struct ctx *ctx, struct node *call);
/* It is known who gave the task its work. */
bool task_handed(const struct ctx *ctx);
/* Another task's bytes are in the call too: it is nobody's alone. */
void task_written(struct ctx *ctx, struct node *call);
void task_answer(struct clew_causality *c, struct ctx *ctx, struct node *req);
void task_record(struct clew_causality *c, const struct clew_rec_handoff *h);
void task_forget_call(struct node *call);
/* The context's works, the one of now and those before. */
void task_forget(struct ctx *ctx);

/* Does this task's context have what it reads read for itself? A loop reads for its tasks. */
static inline bool task_reads(uint64_t task)
{
	uint32_t kind = CLEW_TASK_KIND(task);

	if (kind == CLEW_TASK_AGENT)
		return task & CLEW_TASK_AGENT_READS;
	return kind != CLEW_TASK_PYTHON;
}
