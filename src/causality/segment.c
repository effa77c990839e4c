/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One operation on a socket: what it does to the context that made it.
 *
 * A read makes its exchange the context's current node. The first byte of a call is its birth, the
 * first byte of an answer a checkpoint; other writes mean nothing (an event loop goes on writing
 * whenever a socket has room, whatever it was working on).
 */
#include "causality/alone.h"
#include "causality/asked.h"
#include "causality/birth.h"
#include "causality/charge.h"
#include "causality/checkpoint.h"
#include "causality/coalesce.h"
#include "causality/completion.h"
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/heap.h"
#include "causality/model.h"
#include "causality/relay.h"
#include "causality/segment.h"
#include "causality/shared.h"
#include "causality/task.h"
#include "causality/told.h"
#include "causality/turn.h"

#define FAILED 500 /* a status from here on */

/* A counter of the thread so far, where the record has it. */
static bool counter(const struct clew_rec_io *io, unsigned int which, uint64_t *ret)
{
	size_t at = io->hdr_bytes + sizeof(uint64_t) * which;

	if (io->n_counters <= which || at + sizeof(*ret) > io->hdr.len)
		return false;
	memcpy(ret, (const char *)io + at, sizeof(*ret));
	return true;
}

/* Voluntary switches. */
static bool switches(const struct clew_rec_io *io, uint64_t *ret)
{
	return counter(io, CLEW_CNT_NVCSW, ret);
}

/* Did the context sleep between its last read and this operation? A task sleeps when it likes. */
static bool slept_since_read(const struct ctx *ctx, const struct clew_rec_io *io)
{
	uint64_t nv, at = io->begin_ns ? io->begin_ns : io->end_ns;

	if (ctx->key.task)
		return false;
	if (ctx->cur_counted && ctx->cur_tid == io->tid && switches(io, &nv))
		return nv != ctx->cur_nv;
	return ctx->cur_ns && at > ctx->cur_ns + GAP_NS;
}

static void settle(struct ctx *ctx, const struct clew_rec_io *io)
{
	uint64_t nv = 0;
	bool counted = switches(io, &nv);

	birth_settle(ctx, counted, nv);
}

static void read_by(struct ctx *ctx, struct node *n, const struct clew_rec_io *io)
{
	bool same = ctx->op_conn == io->conn && ctx->op_offset == io->offset &&
		    ctx->op_ns == io->end_ns;
	bool several = same && (!ctx->cur || ctx->cur->owner != n->owner);

	if (ctx->mux && ctx->cur_ns)
		model_read(ctx->proc->group, slept_since_read(ctx, io),
			   io->end_ns > ctx->cur_ns + GAP_NS);
	/* One read that holds parts of several requests' work says nothing of what comes next. */
	ctx_set_cur(ctx, several ? NULL : n);
	ctx->read_several = several;
	ctx->read_shared = n->shared;
	if (n->shared)
		ctx_set_cur(ctx, NULL);
	ctx->answered_conn = 0;
	ctx->op_conn = io->conn;
	ctx->op_offset = io->offset;
	ctx->op_ns = io->end_ns;
	ctx->cur_ns = io->end_ns;
	ctx->cur_tid = io->tid;
	ctx->cur_counted = switches(io, &ctx->cur_nv);
}

/* A request comes while others are open here: those that were answered are over, or it is a loop.
 */
static void make_room(struct ctx *ctx, const struct node *req)
{
	struct reader *r, *tmp;

	DL_FOREACH_SAFE(ctx->open, r, tmp)
	{
		if (r->req->conn == req->conn)
			continue;
		if (!r->req->answered && !r->req->rest)
			ctx->mux = true;
		else if (!ctx->mux)
			ctx_close(r);
	}
}

/*
 * On a connection whose messages are not told apart, bytes that are read right after the answer may be
 * what the request left over (FastCGI's last record), which nobody answers. The connection may stay half
 * open while its reader goes on with another one.
 */
static bool is_rest(const struct ctx *ctx, const struct node *n, const struct clew_exchange *x,
		    const struct clew_rec_io *io)
{
	uint64_t nv;

	if (x->proto != CLEW_PROTO_RAW || ctx->answered_conn != n->conn)
		return false;
	if (ctx->answer_counted && switches(io, &nv))
		return nv == ctx->answer_nv; /* they were there already */
	return io->end_ns < ctx->answer_ns + GAP_NS;
}

static void request_read(struct clew_causality *c, struct ctx *ctx, struct node *n,
			 const struct clew_exchange *x, const struct clew_rec_io *io)
{
	if (!n->proc) {
		n->proc = ctx->proc;
		n->proc->refs++;
		alone_tick(n->proc, c->now_ns, true);
		DL_APPEND2(n->proc->open, n, open_prev, open_next);
		n->proc->n_open++;
		n->place = ++n->proc->n_read;
		n->read_tid = ctx->key.tid;
		n->read_counted = counter(io, CLEW_CNT_RUNQ_NS, &n->read_runq_ns);
	}
	if (!n->answered && !ctx_has_open(ctx, n)) {
		completion_serves(c, ctx);
		n->rest = is_rest(ctx, n, x, io);
		make_room(ctx, n);
		ctx_open(ctx, n);
		ctx->serves = true;
		ctx->lost = false;
		ctx->hard_seq = ++ctx->seq;
	}
	read_by(ctx, n, io);
	heap_read(c, ctx, n, io);
}

/* How long did its reader, who answers it, wait for a processor since? It may have queued it only then. */
static uint64_t reader_lag(const struct node *n, const struct clew_rec_io *io)
{
	uint64_t runq_ns;

	if (!n->read_counted || n->read_tid != io->tid || !counter(io, CLEW_CNT_RUNQ_NS, &runq_ns))
		return 0;
	return runq_ns - n->read_runq_ns;
}

static void answer_written(struct clew_causality *c, struct ctx *ctx, struct node *n, bool first,
			   const struct clew_rec_io *io)
{
	if (!first) {
		if (ctx->n_open && !ctx_has_open(ctx, n))
			ctx->mux = true; /* goes on with one while it has another */
		return;
	}
	if (n->answered)
		return;
	ctx->hard_seq = ++ctx->seq;
	n->lag_ns = reader_lag(n, io);
	task_answer(c, ctx, n);
	heap_answer(c, ctx, n, io);
	completion_answer(c, ctx, n);
	relay_answer(c, io, n);
	coalesce_answer(c, ctx, n);
	told_answer(c, ctx, n, io->hdr.flags);
	if (!ctx->key.task || ctx->n_open)
		checkpoint_answer(c, ctx, n, slept_since_read(ctx, io));
	n->answered = true;
	n->answered_ns = c->now_ns;
	if (n->proc)
		n->proc->n_answered++;
	ctx->answered_conn = n->conn;
	ctx->answer_ns = io->end_ns;
	ctx->answer_counted = switches(io, &ctx->answer_nv);
}

/*
 * A pool of connections that is exhausted keeps calls waiting, and writes the next one when a response
 * frees its connection: as if for that one's request. It may be so while a timer's call is out, or another
 * request's, and never more were.
 */
static void look_for_queue(const struct proc *p, struct birth *b)
{
	bool others = p->n_timed || p->n_calls > (b->owner ? b->owner->n_calls_open : 0);

	b->full = p->n_calls + 1 >= p->most_calls;
	b->queued = b->full && others;
}

static void calls_out(struct proc *p, struct node *n)
{
	n->proc = p;
	p->refs++;
	n->timed = n->birth.slept || !n->owner;
	p->n_timed += n->timed;
	if (++p->n_calls > p->most_calls)
		p->most_calls = p->n_calls;
}

static void call_written(struct clew_causality *c, struct ctx *ctx, struct ctx *loop,
			 struct node *n, const struct clew_exchange *x,
			 const struct clew_rec_io *io)
{
	bool asked = asked_call(ctx, n, x);
	struct birth write, connect;

	birth_make(ctx, slept_since_read(ctx, io), &write);
	if (ctx->serves && !write.n_proc && !write.lost && !write.parent &&
	    (write.slept || !ctx->cur))
		ctx->proc->group->self_calls++;
	n->post = write.closed || (ctx->cur && ctx->cur->post);
	if (ctx->serves && !write.n_ctx && write.n_proc && !write.lost && !write.fork &&
	    (write.slept || !n->post)) {
		ctx->proc->group->strays++;
		if (!ctx->strays++)
			ctx->stray_ns = c->now_ns;
	}
	if (ctx->mux && write.closed && !write.slept && !write.lost)
		ctx->proc->group->adrift++;
	if (ctx->serves && !write.n_ctx && !write.lost && !ctx->between++)
		ctx->between_ns = c->now_ns;
	n->born_seq = ++ctx->seq;
	ctx->answered_conn = 0;
	if (x->began_by_connect && birth_take_pending(c, x->conn->cookie, &connect, n->named)) {
		if (connect.ctx != ctx)
			n->born_seq = 0;
		/* A loop may have connected for the task: the task is the one to ask. */
		if (ctx->key.task && connect.ctx != ctx)
			birth_clear(&connect);
		else
			birth_choose(&write, &connect);
	}
	if (write.slept)
		ctx->hard_seq = ctx->seq;
	look_for_queue(ctx->proc, &write);
	if (loop)
		turn_born(loop, n);
	n->birth = write;
	n->owner = node_get(write.owner);
	n->born = true;
	calls_out(ctx->proc, n);
	alone_call(n);
	shared_born(ctx, n, x->proto == CLEW_PROTO_RAW);
	charge_born(c, n);
	if (io->hdr.flags & CLEW_IO_AWAITED || !relay_call(c, io, n) || task_handed(ctx)) {
		if (!asked)
			task_call(c, ctx, n);
	}
	coalesce_call(c, ctx, n);
	if (!asked)
		completion_call(ctx, n);
	heap_call(c, ctx, n, io);
}

static void response_read(struct clew_causality *c, struct ctx *ctx, struct node *n, bool raw,
			  const struct clew_rec_io *io)
{
	node_set_conn(c, n);
	asked_response(ctx, n, raw);
	if (!n->resp_seen && n->birth.ctx == ctx && n->born_seq && n->born_seq < ctx->hard_seq)
		ctx->mux = true; /* did other things while it waited for this */
	if (CLEW_TASK_KIND(ctx->key.task) == CLEW_TASK_AGENT && n->birth.ctx != ctx)
		ctx->reads_for_others = true;
	if (!n->resp_seen)
		shared_answered(n);
	told_response(ctx, n);
	if (!n->resp_seen)
		heap_response(n);
	n->resp_seen = true;
	n->ended_ns = c->now_ns;
	read_by(ctx, n, io);
}

/* A loop that sleeps has nothing left to do. */
static void look_for_sleep(struct ctx *loop, const struct clew_rec_io *io)
{
	uint64_t nv = 0, at = io->begin_ns ? io->begin_ns : io->end_ns;
	bool counted = switches(io, &nv);

	if (loop->op_end_ns &&
	    (counted && loop->op_counted ? nv != loop->op_nv : at > loop->op_end_ns + GAP_NS))
		turn_slept(loop, io->dir == CLEW_DIR_RX);
	loop->reads += io->dir == CLEW_DIR_RX && io->end_ns != loop->op_end_ns;
	loop->op_end_ns = io->end_ns;
	loop->op_nv = nv;
	loop->op_counted = counted;
}

/* task_loop(): a thread that stands for itself is its own. */
static struct ctx *loop_of(struct clew_causality *c, struct ctx *ctx, const struct clew_rec_io *io)
{
	if (ctx && !io->task)
		return without(c, CLEW_SOURCE_ORDER) ? NULL : ctx;
	return task_loop(c, io->tgid, io->proc_start_ns, io->task, io->tid);
}

void segment_io(struct clew_causality *c, struct node *n, const struct clew_exchange *x,
		enum clew_part part, bool first, const struct clew_rec_io *io)
{
	struct ctx *ctx = task_ctx(c, io, n->is_call == (part == CLEW_PART_RESPONSE));
	struct ctx *loop = loop_of(c, ctx, io);

	if (!ctx)
		return;
	if (CLEW_TASK_KIND(io->task) == CLEW_TASK_TOKIO && !ctx->proc->tasks_ns)
		ctx->proc->tasks_ns = c->now_ns;
	if (io->lost_thread)
		ctx_lose(ctx);
	if (loop)
		look_for_sleep(loop, io);
	if (ctx->unsettled)
		settle(ctx, io);
	if (n->is_call && part == CLEW_PART_REQUEST) {
		if (!n->born && !n->decided)
			call_written(c, ctx, loop, n, x, io);
		else if (x->proto == CLEW_PROTO_RAW && ctx->key.task)
			task_written(ctx, n);
		else if (x->proto == CLEW_PROTO_RAW)
			shared_written(ctx, n);
	} else if (n->is_call) {
		response_read(c, ctx, n, x->proto == CLEW_PROTO_RAW, io);
		if (loop)
			turn_response_read(loop, n, x->proto == CLEW_PROTO_RAW,
					   x->http.status >= FAILED);
	} else if (part == CLEW_PART_REQUEST) {
		request_read(c, ctx, n, x, io);
		if (loop)
			turn_request_read(c, loop, n);
	} else {
		if (loop && first && !n->answered)
			turn_answered(loop, n);
		answer_written(c, ctx, n, first, io);
	}
}

void segment_eof(struct clew_causality *c, const struct clew_rec_io *io)
{
	struct node *n = node_on_conn(c, io->conn);
	struct ctx *ctx = n ? task_ctx(c, io, true) : NULL;
	struct ctx *loop = loop_of(c, ctx, io);

	if (loop)
		look_for_sleep(loop, io);
	if (!ctx)
		return;
	if (ctx->unsettled)
		settle(ctx, io);
	response_read(c, ctx, n, false, io);
	if (loop)
		turn_response_read(loop, n, true, false);
}

/*
 * A call that got no response: who made it has just seen that (the end of file, a timeout), and
 * what follows, like a second attempt, is more of the same work.
 */
void segment_call_ended(struct clew_causality *c, struct node *n, const struct clew_exchange *x)
{
	struct ctx *ctx = n->birth.ctx;

	if (n->proc) {
		n->proc->n_calls--;
		n->proc->n_timed -= n->timed;
	}
	if (!(x->incomplete & CLEW_INC_NO_RESPONSE) || n->resp_seen || !ctx || !ctx->hashed)
		return;
	ctx_set_cur(ctx, n);
	ctx->cur_ns = c->now_ns;
	ctx->cur_counted = false;
	if (!ctx->key.task)
		turn_response_read(ctx, n, true, true);
}
