/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is true of a context at the moment when it calls.
 *
 * A call is born when its first byte is written, or when connect() was called for it: a proxy on an
 * event loop writes to a new connection long after, in some other request's segment.
 *
 * Limits: MAX_PENDING connections, and stream_ns, between connect() and the first exchange.
 */
#include "causality/birth.h"
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/task.h"
#include "causality/turn.h"

static void add_near(struct birth *b, uint64_t id)
{
	if (b->n_near >= CLEW_MAX_NEAR)
		return;
	for (uint32_t i = 0; i < b->n_near; i++)
		if (b->near[i] == id)
			return;
	b->near[b->n_near++] = id;
}

/* The open requests that it may be for: of this context, then of the process, latest first. */
static void find_near(const struct ctx *ctx, struct birth *b)
{
	const struct reader *r = ctx->open ? ctx->open->prev : NULL;
	const struct node *n = ctx->proc->open ? ctx->proc->open->open_prev : NULL;
	uint32_t i;

	for (i = 0; r && i < CLEW_MAX_NEAR; i++) {
		add_near(b, r->req->id);
		r = r == ctx->open ? NULL : r->prev;
	}
	for (i = 0; n && i < CLEW_MAX_NEAR; i++) {
		add_near(b, n->id);
		n = n == ctx->proc->open ? NULL : n->open_prev;
	}
}

void birth_make(struct ctx *ctx, bool slept, struct birth *ret)
{
	struct node *owner = ctx->cur ? ctx->cur->owner : NULL;
	/* What a worker did for a request is over once that is answered, if its last byte is still to come. */
	bool over = owner && (owner->ended || ctx->cur->claim >= CLAIM_DONE);
	struct node *chain = over ? NULL : owner;
	struct node *sole = ctx->n_open == 1 ? ctx->open->req : NULL;
	struct birth b = {.n_ctx = ctx->n_open, .n_proc = ctx->proc->n_open, .slept = slept};

	b.lost = ctx->lost;
	b.told = ctx->told_ns > ctx->cur_ns;
	b.slept |= b.told;
	ctx->called_told |= b.told;
	b.read_ns = ctx->cur_ns;
	b.counted = ctx->cur_counted || ctx->key.task;
	ctx->refs++;
	b.ctx = ctx;
	b.owner = node_get(sole ? sole : chain);
	b.sole = sole;
	b.chain = chain && chain == b.owner;
	if (b.chain)
		b.parent = node_get(ctx->cur);
	else if (over)
		b.closed = node_get(owner);
	if (!b.owner && ctx->proc->inherited && !ctx->proc->inherited->ended) {
		b.owner = node_get(ctx->proc->inherited);
		b.fork = true;
	}
	if (b.owner && b.owner->proc != ctx->proc)
		add_near(&b, b.owner->id);
	if (!sole || ctx->mux) /* else it is the owner's or nobody's */
		find_near(ctx, &b);
	if (ctx->proc->n_open == 1)
		b.only = node_get(ctx->proc->open);
	*ret = b;
}

void birth_clear(struct birth *b)
{
	struct birth old = *b;

	/* What the decision still looks at stays; the references go. */
	b->ctx = NULL;
	b->parent = b->owner = b->only = b->closed = NULL;
	ctx_put(old.ctx);
	node_put(old.parent);
	node_put(old.owner);
	node_put(old.only);
	node_put(old.closed);
}

static void settled(struct pending *p)
{
	if (!p->unsettled)
		return;
	DL_DELETE2(p->birth.ctx->unsettled, p, uprev, unext);
	p->unsettled = false;
}

void birth_settle(struct ctx *ctx, bool counted, uint64_t nv)
{
	struct pending *p, *tmp;

	DL_FOREACH_SAFE2(ctx->unsettled, p, tmp, unext)
	{
		p->birth.slept = !counted || nv != p->base_nv;
		settled(p);
	}
}

static void pending_drop(struct clew_causality *c, struct pending *p)
{
	settled(p);
	HASH_DELETE(hh, c->pendings, p);
	DL_DELETE(c->pending_list, p);
	c->n_pending--;
	birth_clear(&p->birth);
	turn_names_clear(p->named);
	free(p);
}

static struct pending *pending_find(struct clew_causality *c, uint64_t cookie)
{
	struct pending *p;

	HASH_FIND(hh, c->pendings, &cookie, sizeof(cookie), p);
	return p;
}

void birth_connect(struct clew_causality *c, const struct clew_conn *conn)
{
	const struct clew_thread_ref *t = &conn->connector;
	struct ctx *ctx = ctx_of(c, t->tgid, t->proc_start_ns,
				 without(c, CLEW_SOURCE_TASK) ? 0 : t->task, t->tid);
	struct ctx *loop = task_loop(c, t->tgid, t->proc_start_ns, t->task, t->tid);
	struct pending *p;

	if (!ctx)
		return;
	p = pending_find(c, conn->cookie);
	if (p)
		pending_drop(c, p);
	if (c->n_pending >= MAX_PENDING) {
		c->stats.forced++;
		pending_drop(c, c->pending_list);
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return;
	p->cookie = conn->cookie;
	p->ns = c->now_ns;
	HASH_ADD(hh, c->pendings, cookie, sizeof(p->cookie), p);
	if (!p->hh.tbl) {
		free(p);
		return;
	}
	/*
	 * No counters with connect(). A pause before it may be a sleep, or a busy machine: the next
	 * operation's counters tell.
	 */
	birth_make(ctx, !ctx->key.task && ctx->cur_ns && conn->connect_ns > ctx->cur_ns + GAP_NS,
		   &p->birth);
	if (p->birth.slept && ctx->cur_counted) {
		p->base_nv = ctx->cur_nv;
		p->unsettled = true;
		DL_APPEND2(ctx->unsettled, p, uprev, unext);
	}
	p->birth.connect = true;
	if (loop)
		turn_connect(loop, p->named);
	DL_APPEND(c->pending_list, p);
	c->n_pending++;
}

bool birth_take_pending(struct clew_causality *c, uint64_t cookie, struct birth *ret,
			struct node *named[N_TURNS])
{
	struct pending *p = pending_find(c, cookie);

	if (!p)
		return false;
	settled(p);
	*ret = p->birth;
	memcpy(named, p->named, sizeof(p->named));
	memset(p->named, 0, sizeof(p->named));
	p->birth.ctx = NULL;
	p->birth.parent = p->birth.owner = p->birth.only = p->birth.closed = NULL;
	pending_drop(c, p);
	return true;
}

/* Into *write goes the one that counts; the other's references are given back. */
void birth_choose(struct birth *write, struct birth *connect)
{
	struct node *for_ = connect->owner;
	bool valid = for_ && !for_->ended;
	struct birth old = *write;

	/*
	 * Who connected is who works for the request, unless that is over: then the connection was
	 * made in advance. Another context that connects (a pool's) says less than the writer.
	 */
	if (!valid || (connect->ctx != write->ctx && write->owner)) {
		birth_clear(connect);
		return;
	}
	*write = *connect;
	birth_clear(&old);
}

void birth_conn_closed(struct clew_causality *c, uint64_t cookie)
{
	struct pending *p = pending_find(c, cookie);

	if (!p)
		return;
	if (p->birth.parent && p->birth.ctx->hashed) {
		ctx_set_cur(p->birth.ctx, p->birth.parent);
		p->birth.ctx->cur_ns = c->now_ns;
		p->birth.ctx->cur_counted = false;
	}
	pending_drop(c, p);
}

void birth_expire(struct clew_causality *c)
{
	while (c->pending_list && c->pending_list->ns + c->opts.stream_ns <= c->now_ns)
		pending_drop(c, c->pending_list);
}

void birth_done(struct clew_causality *c)
{
	while (c->pending_list)
		pending_drop(c, c->pending_list);
}

void birth_forget_call(struct node *call)
{
	birth_clear(&call->birth);
}
