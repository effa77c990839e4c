/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: who made what a thread works on.
 *
 *	thread S:   reads R ── makes T, gives it to a pool ── answers R, or reads the next one
 *	              │  room:  [top ........ T ........ top']
 *	worker W:     └──────── has T in its oldest frames ── calls X
 *
 * A Java thread makes objects in a room of its own, one behind the other. So the room between its top when S
 * read R and its top at S's next operation holds what S made meanwhile: a *stretch* of its life, for R
 * (heap_stretch.h, heap_rooms.h). A pool's worker has what it works on (a Runnable, a CompletableFuture) in the oldest
 * frames of its stack. The words there that lie in a stretch name the request. What a worker makes itself while it
 * works on T is a stretch of the same request.
 *
 * That S made it is a fact, as long as it is known what a collection moved. That it
 * made it for R is not, and depends on how the stretch ended (enum heap_end):
 *
 *	kept	S answered R: it had nothing else to do meanwhile
 *	task	W's next operation is still T's
 *	left	S read another request: it may have done something else before
 *
 * So each of them is tested, for each group, before any link is made of it (heap_belief.h). An object that is used for
 * several requests, words that were left in a frame by what ran before, threads that serve and work for others: all
 * of these miss.
 *
 * Limits: MAX_OBJECTS words of a record are looked at.
 */
#include <stdlib.h>

#include "causality/context.h"
#include "causality/engine.h"
#include "causality/heap.h"
#include "causality/heap_belief.h"
#include "causality/heap_rooms.h"
#include "causality/heap_stretch.h"
#include "causality/model.h"
#include "causality/node.h"

#define MAX_OBJECTS 64 /* a bit each */
#define ADDRESS	    ((1ull << 48) - 1)

struct heap_thread {
	struct clew_rec_heap now; /* before the operation that follows */
	uint64_t object[MAX_OBJECTS];
	uint32_t n_objects;
	bool fresh;
	/* Since its last operation */
	struct heap_stretch *of; /* NULL: not known */
	uint64_t start, from;
	uint32_t collections;
	uint64_t task;		      /* the object that named the request then */
	struct heap_names *last;      /* at its last call */
	uint64_t before[MAX_OBJECTS]; /* ... all that stood there */
	uint64_t of_before; /* ... and what of it stood there before the last collection: a bit each */
	uint32_t n_before, before_collections;
};

struct node *heap_guess(const struct node *call)
{
	const struct heap_names *names = call->made;

	for (uint32_t i = 0; names && i < names->n; i++)
		if (names->name[i].in && names->name[i].in->req)
			return names->name[i].in->req;
	return NULL;
}

/*
 * What was not known yet: where a thread has filled a whole room since, or where a collection moved it. And what it moved
 * away from where a name stands.
 */
static void find_late(struct heap_rooms *r, struct heap_names *names)
{
	if (!r || heap_rooms_collections(r) != names->collections)
		return;
	for (uint32_t i = 0; i < names->n; i++) {
		struct heap_name *n = &names->name[i];
		struct heap_stretch *s = n->in ? NULL : heap_rooms_at(r, n->addr);

		/* A word that was left there by what ran before may point to where something is made later. */
		if (s && s->nth <= names->nth)
			heap_names_found(names, i, s);
		n->left_over |= heap_rooms_left(r, n->addr);
	}
}

bool heap_speaks_against(struct node *call, const struct node *req)
{
	struct proc *p = call->birth.ctx ? call->birth.ctx->proc : NULL;
	struct node *named;

	if (!call->made || !p)
		return false;
	find_late(p->heap, call->made);
	named = heap_believe(p->group, call->made).req;
	if (!named)
		named = heap_opinion(p->group, call->made);
	return named && named != req;
}

void heap_test(const struct node *call, const struct node *req)
{
	if (call->made)
		heap_learn_request(call->made, req);
}

void heap_response(struct node *call)
{
	if (call->made && call->birth.ctx)
		heap_learn_response(call->birth.ctx->proc, call->made);
}

/* ---- threads ---- */

void heap_forget_ctx(struct ctx *ctx)
{
	struct heap_thread *t = ctx->heap;

	ctx->heap = NULL;
	if (t) {
		heap_stretch_put(t->of);
		heap_names_put(t->last);
	}
	free(t);
}

void heap_forget_call(struct node *call)
{
	heap_names_put(call->made);
	call->made = NULL;
}

/* What the thread has filled since its last operation is its stretch's. */
static void fill(struct clew_causality *c, struct heap_rooms *r, struct heap_thread *t)
{
	const struct clew_rec_heap *h = &t->now;

	if (!r || !t->of)
		return;
	if (t->collections != h->collections || t->start != h->room_start) {
		heap_rooms_add(c, r, h->room_start, h->room_top, t->of);
		return;
	}
	heap_rooms_end(r, t->from, h->room_top, t->of);
}

/* Its last operation's stretch ends here. */
static void end_stretch(struct clew_causality *c, struct ctx *ctx, enum heap_end end)
{
	struct heap_thread *t = ctx->heap;
	struct heap_rooms *r = heap_rooms_of(c, ctx->proc, t->now.collections);

	if (!t->of)
		return;
	fill(c, r, t);
	t->of->end = end;
	heap_stretch_put(t->of);
	t->of = NULL;
}

/* From here on it makes things for s, whose reference is taken. */
static void begin_stretch(struct clew_causality *c, struct ctx *ctx, struct heap_stretch *s)
{
	struct heap_thread *t = ctx->heap;
	struct heap_rooms *r = heap_rooms_of(c, ctx->proc, t->now.collections);

	if (!r || !s) {
		heap_stretch_put(s);
		return;
	}
	t->of = s;
	t->start = t->now.room_start;
	t->from = t->now.room_top;
	t->collections = t->now.collections;
	heap_rooms_add(c, r, t->from, t->now.room_end, s);
}

/* How a stretch ends with something that has nothing to do with it. */
static enum heap_end gone_on(const struct heap_stretch *s)
{
	return s && s->by ? HEAP_MIXED : HEAP_LEFT;
}

/* It goes on with the same: what it makes from here on is the same stretch's. */
static void go_on(struct clew_causality *c, struct ctx *ctx)
{
	struct heap_thread *t = ctx->heap;
	struct heap_stretch *s;

	if (t->start == t->now.room_start && t->collections == t->now.collections)
		return; /* all that is left of the room is the stretch's already */
	s = heap_stretch_get(t->of);
	fill(c, heap_rooms_of(c, ctx->proc, t->now.collections), t);
	heap_stretch_put(t->of);
	t->of = NULL;
	begin_stretch(c, ctx, s);
}

/* There was a collection: what was known of the room before it is soon forgotten. */
static void find_all_late(struct clew_causality *c, struct proc *p)
{
	struct node *n;

	DL_FOREACH2(c->by_age, n, age_next)
	{
		if (n->made && n->birth.ctx && n->birth.ctx->proc == p)
			find_late(p->heap, n->made);
	}
}

void heap_record(struct clew_causality *c, const struct clew_rec_heap *h)
{
	struct ctx *ctx = ctx_of(c, h->tgid, h->proc_start_ns, 0, h->tid);
	struct heap_thread *t;

	if (!ctx)
		return;
	if (!ctx->heap)
		ctx->heap = calloc(1, sizeof(*ctx->heap));
	t = ctx->heap;
	if (!t || (!h->conn && (t->fresh || !t->of)))
		return;
	if (ctx->proc->heap &&
	    (int32_t)(h->collections - heap_rooms_collections(ctx->proc->heap)) > 0)
		find_all_late(c, ctx->proc);
	if (!h->conn) { /* between two operations, in a room that it has begun since the first */
		t->now = *h;
		go_on(c, ctx);
		return;
	}
	if (t->fresh) /* of an operation that nobody understood */
		end_stretch(c, ctx, gone_on(t->of));
	t->now = *h;
	t->n_objects = h->n_objects < MAX_OBJECTS ? h->n_objects : MAX_OBJECTS;
	memcpy(t->object, (const char *)h + h->hdr_bytes, t->n_objects * sizeof(*t->object));
	t->fresh = true;
}

void heap_moved(struct clew_causality *c, const struct clew_rec_moved *m)
{
	struct proc *p = proc_of(c, m->tgid, m->proc_start_ns);
	struct heap_rooms *r = p ? heap_rooms_of(c, p, m->collections) : NULL;

	for (uint32_t i = 0; r && i < m->n_moved; i++) {
		uint32_t at[2];

		memcpy(at, (const char *)m + m->hdr_bytes + i * sizeof(at), sizeof(at));
		heap_rooms_moved(c, r, m->base + 8ull * at[0], m->base + 8ull * at[1]);
	}
}

/* What was told before this operation; NULL: nothing. */
static struct heap_thread *told(struct ctx *ctx, const struct clew_rec_io *io)
{
	struct heap_thread *t = ctx->heap;

	if (!t || !t->fresh || t->now.conn != io->conn || t->now.ts_ns > io->end_ns)
		return NULL;
	t->fresh = false;
	return t;
}

static uint32_t slot_of(const struct heap_thread *t, uint32_t i)
{
	return (uint32_t)(t->object[i] >> 48);
}

/*
 * Those of its objects that lie in a stretch; NULL: none. Where a thread has filled a whole room since, that is
 * known at its next operation only: what stands where names stand is kept for that.
 */
static struct heap_names *find(struct clew_causality *c, struct ctx *ctx)
{
	const struct heap_thread *t = ctx->heap;
	struct heap_rooms *r = heap_rooms_of(c, ctx->proc, t->now.collections);
	struct heap_names *names = NULL;

	for (uint32_t i = 0; r && i < t->n_objects; i++) {
		struct heap_name n = {.addr = t->object[i] & ADDRESS,
				      .slot = slot_of(t, i),
				      .n_open = ctx->proc->n_open,
				      .gap = i ? slot_of(t, i) - slot_of(t, i - 1) : UINT32_MAX,
				      .n_answered = ctx->proc->n_answered};

		n.in = heap_rooms_at(r, n.addr);
		n.open = n.in && n.in->req && !n.in->req->answered;
		if (!n.in && !heap_place_known(ctx->proc->group, &n))
			continue;
		if (!heap_names_add(c, &names, &n))
			break;
	}
	if (names)
		names->collections = t->now.collections;
	return names;
}

enum verdict heap_verdict(struct node *call, struct node **ret_req, double *ret_wrong,
			  bool *ret_tested)
{
	struct proc *p = call->birth.ctx->proc;
	struct heap_belief b;

	*ret_req = NULL;
	if (!call->made)
		return VERDICT_FAIL;
	find_late(p->heap, call->made);
	b = heap_believe(p->group, call->made);
	*ret_req = b.req;
	*ret_wrong = b.wrong;
	*ret_tested = b.tested;
	if (b.req)
		return VERDICT_PASS;
	return b.wait ? VERDICT_WAIT : VERDICT_FAIL;
}

void heap_read(struct clew_causality *c, struct ctx *ctx, struct node *req,
	       const struct clew_rec_io *io)
{
	struct heap_thread *t = told(ctx, io);

	if (!t)
		return;
	end_stretch(c, ctx, gone_on(t->of));
	t->task = 0;
	begin_stretch(c, ctx, heap_stretch_new(c, req, NULL));
}

static bool serves_alone(const struct ctx *ctx, const struct node *req)
{
	return req && ctx->n_open == 1 && !ctx->mux && ctx->open->req == req;
}

/* What stands there, as at the thread's last call; NULL: something else. */
static struct heap_name *stands(struct heap_names *names, const struct heap_name *last)
{
	for (uint32_t i = 0; names && i < names->n; i++)
		if (names->name[i].slot == last->slot && names->name[i].addr == last->addr)
			return &names->name[i];
	return NULL;
}

static bool still_stands(const struct heap_thread *t, const struct heap_name *last)
{
	for (uint32_t i = 0; i < t->n_objects; i++)
		if (t->object[i] == (last->addr | (uint64_t)last->slot << 48))
			return true;
	return false;
}

/* Does what stands in that slot, and in the frames that called its one, stand as at the thread's last call? */
static bool same_callers(const struct heap_thread *t, uint32_t slot)
{
	for (uint32_t i = 0; i < t->n_objects && slot_of(t, i) <= slot; i++)
		if (i >= t->n_before || t->object[i] != t->before[i])
			return false;
	return true;
}

/*
 * Whatever was made or moved since a collection cannot have stood there before it: the word is of then, as long as it
 * stands there. Returns a bit for each such object.
 */
static uint64_t of_before_collection(const struct heap_thread *t)
{
	bool all = t->before_collections != t->now.collections;
	uint64_t bits = 0;

	for (uint32_t i = 0; i < t->n_objects; i++)
		for (uint32_t k = 0; k < t->n_before; k++)
			if (t->before[k] == t->object[i] && (all || t->of_before >> k & 1))
				bits |= 1ull << i;
	return bits;
}

static void mark_left_over(const struct heap_thread *t, uint64_t of_before,
			   struct heap_names *names)
{
	for (uint32_t i = 0; names && i < names->n; i++) {
		struct heap_name *n = &names->name[i];

		for (uint32_t k = 0; k < t->n_objects; k++)
			n->left_over |= (of_before >> k & 1) &&
					t->object[k] == (n->addr | (uint64_t)n->slot << 48);
	}
}

/* What became of what stood in the frames at the thread's last call: names stand there now. */
static void look_back(struct ctx *ctx, struct heap_names *names, uint64_t of_before)
{
	const struct heap_thread *t = ctx->heap;
	const struct heap_names *last = t->last;
	bool still[HEAP_MAX_NAMES] = {};

	mark_left_over(t, of_before, names);
	if (!last || last->collections != t->now.collections)
		return;
	for (uint32_t i = 0; i < last->n; i++) {
		struct heap_name *same = stands(names, &last->name[i]);

		still[i] = still_stands(t, &last->name[i]);
		if (same)
			heap_still_there(ctx->proc->group, last, i, same,
					 same_callers(t, same->slot));
	}
	heap_learn_next(ctx->proc->group, last, still);
}

/* Ends what the worker did before: is it still at the same task? Returns what it works on now. */
static struct heap_names *worker_op(struct clew_causality *c, struct ctx *ctx)
{
	struct heap_thread *t = ctx->heap;
	struct heap_names *names = find(c, ctx);
	uint64_t addr = 0;
	bool same;

	for (uint32_t i = 0; names && i < names->n && !addr; i++)
		if (heap_place_known(ctx->proc->group, &names->name[i]))
			addr = names->name[i].addr;
	same = addr && addr == t->task && t->collections == t->now.collections;
	end_stretch(c, ctx, same && t->of && t->of->by ? HEAP_TASK : gone_on(t->of));
	t->task = addr;
	return names;
}

void heap_call(struct clew_causality *c, struct ctx *ctx, struct node *call,
	       const struct clew_rec_io *io)
{
	struct heap_thread *t = told(ctx, io);
	uint64_t of_before;

	if (!t)
		return;
	if (t->of && serves_alone(ctx, t->of->req)) {
		go_on(c, ctx);
		return;
	}
	of_before = of_before_collection(t);
	call->made = worker_op(c, ctx);
	look_back(ctx, call->made, of_before);
	heap_names_put(t->last);
	t->last = heap_names_get(call->made);
	memcpy(t->before, t->object, t->n_objects * sizeof(*t->object));
	t->n_before = t->n_objects;
	t->of_before = of_before;
	t->before_collections = t->now.collections;
	if (call->made)
		begin_stretch(c, ctx, heap_stretch_new(c, NULL, call->made));
}

void heap_answer(struct clew_causality *c, struct ctx *ctx, struct node *req,
		 const struct clew_rec_io *io)
{
	struct heap_thread *t = told(ctx, io);
	struct heap_names *names;

	if (!t)
		return;
	if (ctx_has_open(ctx, req)) {
		bool kept = t->of && t->of->req == req && serves_alone(ctx, req);

		end_stretch(c, ctx, kept ? HEAP_KEPT : gone_on(t->of));
		return;
	}
	names = worker_op(c, ctx);
	if (names)
		heap_learn_request(names, req);
	heap_names_put(names);
}
