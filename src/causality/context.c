/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who runs: groups of processes, processes, execution contexts; and what thread records say of
 * them.
 *
 * A process made by fork and not by exec is a sibling of its parent: workers of one program share a
 * group, and so what was learned about it. Limits: MAX_CONTEXTS (least recently used goes),
 * MAX_PROCESSES (oldest goes).
 */
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/forget.h"
#include "causality/node.h"

static void group_put(const struct clew_causality *c, struct group *g)
{
	if (!g || --g->refs)
		return;
	FORGET_ALL(c, group, g);
	free(g);
}

static void proc_unlist(struct clew_causality *c, struct proc *p)
{
	p->gone = true;
	FORGET_ALL(c, proc, p);
	HASH_DELETE(hh, c->procs, p);
	DL_DELETE(c->proc_list, p);
	c->n_procs--;
	node_put(p->inherited);
	p->inherited = NULL;
	proc_put(p);
}

void proc_put(struct proc *p)
{
	if (!p || --p->refs)
		return;
	group_put(p->c, p->group);
	free(p->takes);
	free(p->latest);
	free(p);
}

static struct proc *proc_new(struct clew_causality *c, uint32_t tgid, uint64_t start_ns,
			     struct group *group)
{
	struct proc *p;

	if (c->n_procs >= MAX_PROCESSES) {
		c->stats.forced++;
		proc_unlist(c, c->proc_list);
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->c = c;
	p->tgid = tgid;
	p->start_ns = start_ns;
	p->group = group ? group : calloc(1, sizeof(*p->group));
	HASH_ADD(hh, c->procs, tgid, sizeof(p->tgid), p);
	if (!p->group || !p->hh.tbl) {
		if (p->hh.tbl)
			HASH_DELETE(hh, c->procs, p);
		if (!group)
			free(p->group);
		free(p);
		return NULL;
	}
	p->group->refs++;
	p->refs = 1;
	DL_APPEND(c->proc_list, p);
	c->n_procs++;
	return p;
}

struct proc *proc_of(struct clew_causality *c, uint32_t tgid, uint64_t start_ns)
{
	struct proc *p;

	HASH_FIND(hh, c->procs, &tgid, sizeof(tgid), p);
	if (p && p->start_ns != start_ns) {
		if (!p->start_ns)
			p->start_ns = start_ns;
		else if (start_ns) { /* the id was used again */
			proc_unlist(c, p);
			p = NULL;
		}
	}
	return p ? p : proc_new(c, tgid, start_ns, NULL);
}

void ctx_close(struct reader *r)
{
	struct ctx *ctx = r->ctx;

	if (!ctx)
		return;
	if (r->on) {
		DL_DELETE(ctx->open, r);
		ctx->n_open--;
		r->on = false;
	}
	r->ctx = NULL;
	ctx_put(ctx);
}

bool ctx_has_open(const struct ctx *ctx, const struct node *req)
{
	for (uint32_t i = 0; i < req->n_readers; i++)
		if (req->readers[i].ctx == ctx && req->readers[i].on)
			return true;
	return false;
}

void ctx_open(struct ctx *ctx, struct node *req)
{
	struct reader *r;

	if (req->n_readers >= MAX_READERS)
		return;
	r = &req->readers[req->n_readers++];
	r->ctx = ctx;
	r->req = req;
	r->on = true;
	ctx->refs++;
	DL_APPEND(ctx->open, r);
	ctx->n_open++;
}

void ctx_put(struct ctx *ctx)
{
	if (!ctx || --ctx->refs)
		return;
	node_put(ctx->cur);
	FORGET_ALL(ctx->proc->c, ctx, ctx);
	proc_put(ctx->proc);
	free(ctx);
}

void ctx_set_cur(struct ctx *ctx, struct node *n)
{
	struct node *old = ctx->cur;

	ctx->cur = node_get(n);
	node_put(old);
}

void ctx_lose(struct ctx *ctx)
{
	ctx->lost = true;
	ctx_set_cur(ctx, NULL);
	FORGET_ALL(ctx->proc->c, lost, ctx);
}

static uint32_t recent_slot(const struct ctx_key *key)
{
	return (key->tid * 2654435761u ^ (uint32_t)(key->task >> 4) * 2246822519u ^ key->tgid) %
	       N_RECENT;
}

/* The context is no more: it serves nothing, and nothing that comes may be charged to what it did.
 */
static void ctx_unlist(struct clew_causality *c, struct ctx *ctx)
{
	struct reader *r, *tmp;

	if (!ctx->hashed)
		return;
	ctx->refs++;
	DL_FOREACH_SAFE(ctx->open, r, tmp)
	ctx_close(r);
	ctx_set_cur(ctx, NULL);
	FORGET_ALL(c, ctx, ctx);
	FORGET_ALL(c, lost, ctx);
	if (c->recent[recent_slot(&ctx->key)] == ctx)
		c->recent[recent_slot(&ctx->key)] = NULL;
	HASH_DELETE(hh, c->ctxs, ctx);
	DL_DELETE(c->lru, ctx);
	c->n_ctxs--;
	ctx->hashed = false;
	ctx_put(ctx);
	ctx_put(ctx);
}

static struct ctx *ctx_find(struct clew_causality *c, const struct ctx_key *key)
{
	struct ctx *ctx;

	HASH_FIND(hh, c->ctxs, key, sizeof(*key), ctx);
	return ctx;
}

static struct ctx *ctx_new(struct clew_causality *c, const struct ctx_key *key)
{
	struct proc *p = proc_of(c, key->tgid, key->proc_start_ns);
	struct ctx *ctx;

	if (!p)
		return NULL;
	if (c->n_ctxs >= MAX_CONTEXTS) {
		/* A task that is over is never announced: it just gets old. */
		c->stats.forced += c->lru->open || (c->lru->work && c->lru->work->calls);
		ctx_unlist(c, c->lru);
	}
	ctx = calloc(1, sizeof(*ctx));
	if (!ctx)
		return NULL;
	ctx->key = *key;
	HASH_ADD(hh, c->ctxs, key, sizeof(ctx->key), ctx);
	if (!ctx->hh.tbl) {
		free(ctx);
		return NULL;
	}
	ctx->hashed = true;
	ctx->used = c->ticks;
	ctx->refs = 1;
	ctx->proc = p;
	p->refs++;
	DL_APPEND(c->lru, ctx);
	c->n_ctxs++;
	return ctx;
}

struct ctx *ctx_of(struct clew_causality *c, uint32_t tgid, uint64_t proc_start_ns, uint64_t task,
		   uint32_t tid)
{
	struct ctx_key key = {proc_start_ns, task, tgid, task ? 0 : tid};
	struct ctx **recent = &c->recent[recent_slot(&key)], *ctx = *recent;

	if (!ctx || memcmp(&ctx->key, &key, sizeof(key)) != 0) {
		ctx = ctx_find(c, &key);
		if (!ctx)
			ctx = ctx_new(c, &key);
		if (!ctx)
			return NULL;
		*recent = ctx;
	}
	if (++c->ticks - ctx->used > LRU_TICKS && ctx->next) {
		DL_DELETE(c->lru, ctx);
		DL_APPEND(c->lru, ctx);
		ctx->used = c->ticks;
	}
	return ctx;
}

static void drop_thread(struct clew_causality *c, uint32_t tgid, uint64_t start_ns, uint32_t tid)
{
	struct ctx_key key = {start_ns, 0, tgid, tid};
	struct ctx *ctx = ctx_find(c, &key);

	if (ctx)
		ctx_unlist(c, ctx);
}

/* A new process: sibling of its parent, and, while that serves one request only, working for it. */
static void forked(struct clew_causality *c, const struct clew_rec_thread *t)
{
	struct proc *parent, *child;
	struct node *req = NULL;

	HASH_FIND(hh, c->procs, &t->ptgid, sizeof(t->ptgid), parent);
	if (!parent)
		parent = proc_new(c, t->ptgid, 0, NULL);
	HASH_FIND(hh, c->procs, &t->tgid, sizeof(t->tgid), child);
	if (child) /* its first operation was seen before its fork, or the id was used again */
		proc_unlist(c, child);
	if (!parent)
		return;
	if (parent->start_ns) {
		struct ctx_key key = {parent->start_ns, 0, t->ptgid, t->ptid};
		struct ctx *ctx = ctx_find(c, &key);

		if (ctx && ctx->n_open == 1 && !ctx->mux)
			req = ctx->open->req;
	}
	if (without(c, CLEW_SOURCE_FORK))
		req = NULL;
	else if (!req && parent->inherited && !parent->inherited->ended)
		req = parent->inherited;
	child = proc_new(c, t->tgid, t->proc_start_ns, parent->group);
	if (child)
		child->inherited = node_get(req);
}

/* A new thread may have been begun for what its maker read last. */
static void thread_begun(struct clew_causality *c, const struct clew_rec_thread *t)
{
	struct ctx_key maker = {t->proc_start_ns, 0, t->ptgid, t->ptid};
	struct ctx *parent = ctx_find(c, &maker), *ctx;
	struct node *req;

	if (!parent || without(c, CLEW_SOURCE_FORK))
		return;
	req = parent->cur ? parent->cur->owner : NULL;
	if (!req || req->ended || req->answered)
		return;
	req = node_get(req);
	ctx = ctx_of(c, t->tgid, t->proc_start_ns, 0, t->tid);
	if (ctx && !ctx->born_for)
		ctx->born_for = req;
	else
		node_put(req);
}

static void execed(struct clew_causality *c, const struct clew_rec_thread *t)
{
	struct proc *p = proc_of(c, t->tgid, t->proc_start_ns);
	struct group *g;

	drop_thread(c, t->tgid, t->proc_start_ns, t->tid);
	if (!p)
		return;
	g = calloc(1, sizeof(*g));
	if (!g)
		return;
	g->refs = 1;
	group_put(c, p->group);
	p->group = g;
}

/* Ran before tracing began: a child of the same name as its parent is a worker of it. */
static void seen(struct clew_causality *c, const struct clew_rec_thread *t)
{
	struct proc *p, *parent;

	if (t->tid != t->tgid)
		return;
	p = proc_of(c, t->tgid, t->proc_start_ns);
	if (!p)
		return;
	memcpy(p->comm, t->comm, sizeof(p->comm));
	HASH_FIND(hh, c->procs, &t->ptgid, sizeof(t->ptgid), parent);
	if (!parent || parent == p || memcmp(parent->comm, p->comm, sizeof(p->comm)))
		return;
	parent->group->refs++;
	group_put(c, p->group);
	p->group = parent->group;
}

void context_record(struct clew_causality *c, const struct clew_rec_thread *t)
{
	switch (t->event) {
	case CLEW_THREAD_FORK:
		drop_thread(c, t->tgid, t->proc_start_ns, t->tid);
		if (t->tgid != t->ptgid)
			forked(c, t);
		else
			thread_begun(c, t);
		break;
	case CLEW_THREAD_EXEC:
		execed(c, t);
		break;
	case CLEW_THREAD_SEEN:
		seen(c, t);
		break;
	case CLEW_THREAD_EXIT:
		drop_thread(c, t->tgid, t->proc_start_ns, t->tid);
		if (t->tid == t->tgid) {
			struct proc *p;

			HASH_FIND(hh, c->procs, &t->tgid, sizeof(t->tgid), p);
			if (p && (p->start_ns == t->proc_start_ns || !p->start_ns))
				proc_unlist(c, p);
		}
		break;
	default:
		break;
	}
}

void context_done(struct clew_causality *c)
{
	while (c->lru)
		ctx_unlist(c, c->lru);
	while (c->proc_list)
		proc_unlist(c, c->proc_list);
}

void context_forget_node(struct node *n)
{
	for (uint32_t i = 0; i < n->n_readers; i++)
		ctx_close(&n->readers[i]);
	proc_put(n->proc);
}
