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
#define N_PAST	  4  /* works that a task had before: what it sent then may be taken only now */

/* What a task works on; its calls wait here until it is known for whom. */
struct work {
	uint32_t refs;
	uint32_t depth;
	uint64_t begun_ns; /* no earlier than this */
	uint64_t since_ns; /* surely the task's from then on */
	struct node *req;  /* the request, once it is known */
	bool answered;	   /* by this task: req is that request */
	bool called;
	struct sharers *with; /* requests whose work it may do too: a batch. NULL: none */
	struct work *up;      /* the work of the task that began this one, or gave it its work */
	struct work *kids;    /* those that it began; weak */
	struct work *kid_prev, *kid_next;
	struct node *calls; /* undecided ones, oldest first */
};

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
