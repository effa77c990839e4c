/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's entry points: events of the stream layer and of threads in, decisions out.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "causality/alone.h"
#include "causality/asked.h"
#include "causality/birth.h"
#include "causality/causality.h"
#include "causality/coalesce.h"
#include "causality/completion.h"
#include "causality/context.h"
#include "causality/decide.h"
#include "causality/engine.h"
#include "causality/forget.h"
#include "causality/heap.h"
#include "causality/heap_belief.h"
#include "causality/heap_rooms.h"
#include "causality/lead.h"
#include "causality/lock.h"
#include "causality/loop.h"
#include "causality/relay.h"
#include "causality/report.h"
#include "causality/segment.h"
#include "causality/shared.h"
#include "causality/task.h"
#include "causality/todo.h"
#include "causality/told.h"
#include "causality/turn.h"

#define DECIDE_NS (2ull * 1000 * 1000 * 1000)
#define STREAM_NS (30ull * 1000 * 1000 * 1000)
#define MAX_OPEN  262144

/* In this order. */
static const struct forget forget = {
	.decided = {birth_forget_call, task_forget_call, heap_forget_call, todo_drop,
		    lead_forget_call, asked_forget_call},
	.node = {completion_forget_request, shared_forget_call, coalesce_forget_call, turn_forget,
		 context_forget_node},
	.ctx = {shared_forget_ctx, task_forget, completion_forget_ctx, lead_forget_ctx,
		relay_forget_ctx, coalesce_forget_ctx, asked_forget_ctx, heap_forget_ctx},
	.lost = {turn_lose},
	.proc = {told_forget, lead_forget_woken, heap_forget_proc},
	.group = {report_gone, heap_forget_group},
};

int clew_causality_new(clew_decide_fn decide, void *user, const struct clew_causality_opts *opts,
		       struct clew_causality **ret)
{
	struct clew_causality *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->forget = &forget;
	c->decide = decide;
	c->user = user;
	if (opts)
		c->opts = *opts;
	if (!c->opts.decide_ns)
		c->opts.decide_ns = DECIDE_NS;
	if (!c->opts.stream_ns)
		c->opts.stream_ns = STREAM_NS;
	if (!c->opts.max_open)
		c->opts.max_open = MAX_OPEN;
	*ret = c;
	return 0;
}

static void close_request(struct node *req)
{
	DL_DELETE2(req->proc->open, req, open_prev, open_next);
	req->proc->n_open--;
}

/* Nothing is decided of what is still open. */
static void end_all(struct clew_causality *c)
{
	struct node *n;

	DL_FOREACH2(c->all, n, all_next)
	{
		if (!n->is_call && !n->ended && n->proc)
			close_request(n);
		n->ended = true;
		turn_request_ended(n);
	}
}

void clew_causality_free(struct clew_causality *c)
{
	if (!c)
		return;
	decide_all(c);
	relay_done(c);
	birth_done(c);
	context_done(c);
	end_all(c);
	node_done(c);
	lock_done(c);
	loop_done(c);
	clew_pool_done(&c->pool);
	free(c);
}

static void reached(struct clew_causality *c, uint64_t ns)
{
	if (ns > c->now_ns)
		c->now_ns = ns;
}

/* Not tracked for want of memory: the promise of one decision for each call still holds. */
static void refuse(struct clew_causality *c, const struct clew_exchange *x)
{
	struct clew_link link = {.class = CLEW_LINK_ORPHAN, .evidence = CLEW_EV_UNCONFIRMED};

	c->stats.forced++;
	if (x->role == CLEW_ROLE_SERVER)
		return;
	c->stats.calls++;
	c->stats.orphans++;
	c->decide(c->user, x->id, &link);
}

void clew_causality_begin(struct clew_causality *c, struct clew_exchange *x)
{
	bool is_call = x->role == CLEW_ROLE_CLIENT;
	struct node *n;

	x->cause = NULL;
	if (!is_call && x->role != CLEW_ROLE_SERVER)
		return;
	reached(c, x->req.first_ns);
	n = node_new(c, x->id, is_call);
	if (!n) {
		refuse(c, x);
		return;
	}
	x->cause = n;
	n->conn = x->conn ? x->conn->cookie : 0;
	if (is_call)
		decide_begun(c, n);
}

void clew_causality_io(struct clew_causality *c, const struct clew_exchange *x, enum clew_part part,
		       bool first, const struct clew_rec_io *io)
{
	struct node *n = x->cause;

	reached(c, io->end_ns);
	if (n)
		segment_io(c, n, x, part, first, io);
}

void clew_causality_end(struct clew_causality *c, const struct clew_exchange *x)
{
	struct node *n = x->cause;

	reached(c, x->resp.last_ns);
	if (!n || n->ended)
		return;
	n->ended = true;
	node_clear_conn(c, n);
	if (n->is_call) {
		n->failed_ns = x->http.status >= 500 ? x->resp.last_ns : 0;
		segment_call_ended(c, n, x);
		turn_call_ended(n);
		decide_call_ended(c, n);
		return;
	}
	if (n->proc) {
		alone_tick(n->proc, c->now_ns, true);
		close_request(n);
	}
	for (uint32_t i = 0; i < n->n_readers; i++)
		ctx_close(&n->readers[i]);
	turn_request_ended(n);
	decide_request_ended(c, n);
}

void clew_causality_connect(struct clew_causality *c, const struct clew_conn *conn)
{
	reached(c, conn->connect_ns);
	if (conn->connector.tgid && !without(c, CLEW_SOURCE_CONNECT))
		birth_connect(c, conn);
}

static void io_record(struct clew_causality *c, const struct clew_rec_io *io)
{
	if (io->lost_thread) {
		struct ctx *ctx = task_ctx(c, io, false);

		if (ctx)
			ctx_lose(ctx);
	}
	if (io->hdr.flags & CLEW_IO_EOF && !io->bytes) {
		reached(c, io->end_ns);
		segment_eof(c, io);
	}
}

void clew_causality_record(struct clew_causality *c, const struct clew_rec *rec)
{
	const struct clew_rec_thread *t = (const void *)rec;
	const struct clew_rec_conn *conn = (const void *)rec;
	const struct clew_rec_io *io = (const void *)rec;
	const struct clew_rec_handoff *h = (const void *)rec;

	if (rec->type == CLEW_REC_THREAD && rec->len >= sizeof(*t)) {
		reached(c, t->ts_ns);
		context_record(c, t);
	} else if (rec->type == CLEW_REC_CONN && rec->len >= sizeof(*conn)) {
		reached(c, conn->ts_ns);
		relay_conn(c, conn);
		if (conn->event == CLEW_CONN_CLOSED)
			birth_conn_closed(c, conn->conn);
	} else if (rec->type == CLEW_REC_HANDOFF && rec->len >= sizeof(*h)) {
		reached(c, h->ts_ns);
		loop_woken(c, h);
		if (h->kind == CLEW_HANDOFF_TASK && !without(c, CLEW_SOURCE_TASK))
			task_record(c, h);
		else if (h->kind == CLEW_HANDOFF_WOKEN && !without(c, CLEW_SOURCE_TASK))
			asked_woken(c, h);
		else if (h->kind != CLEW_HANDOFF_TASK && h->kind != CLEW_HANDOFF_SLEEP &&
			 h->kind != CLEW_HANDOFF_WOKEN && !without(c, CLEW_SOURCE_COMPLETION))
			completion_wake(c, h);
	} else if (rec->type == CLEW_REC_HEAP && rec->len >= sizeof(struct clew_rec_heap)) {
		if (!without(c, CLEW_SOURCE_HEAP))
			heap_record(c, (const void *)rec);
	} else if (rec->type == CLEW_REC_MOVED && rec->len >= sizeof(struct clew_rec_moved)) {
		if (!without(c, CLEW_SOURCE_HEAP))
			heap_moved(c, (const void *)rec);
	} else if (rec->type == CLEW_REC_IO && rec->len >= sizeof(*io)) {
		io_record(c, io);
		relay_io(c, io);
	}
}

void clew_causality_advance(struct clew_causality *c, uint64_t now_ns)
{
	reached(c, now_ns);
	birth_expire(c);
	decide_due(c);
}

void clew_causality_flush(struct clew_causality *c)
{
	decide_all(c);
}

const struct clew_causality_stats *clew_causality_stats(const struct clew_causality *c)
{
	return &c->stats;
}
