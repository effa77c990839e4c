/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: a goroutine that answers was last let go on by another one (CLEW_IO_TOLD). By whom is not seen.
 *
 *	leader A:   reads A ── calls X ─────── reads X's response, tells ── answers A
 *	follower B: reads B ── calls Y ── Y's response ── waits ········· told ── answers B
 *
 * B waited for X, if X's response was read before B's answer, and none of B's own calls explains it (net/http's
 * handlers are told of the end of their own responses, too: those are answered within FAR_NS, mostly). With
 * many requests in flight some response nearly always comes shortly before. So the service is asked: of
 * answers that are told of no own response, are there more responses of others' calls right before than in
 * as long a time a little earlier? One that shares calls has one more each; where goroutines wait for
 * something else, and where all is late because the machine is busy, there are as many. How long it takes
 * until who was told answers is the machine's affair, so it is asked at three scales.
 *
 * Where calls are shared, and until it is known that none are (of MIN_FAR such answers at least, and for LONG_NS), every
 * call may be for the answered request, too, whose response was read since that did something itself, and whose own request goes on in the
 * same way: it is answered with no other call. Where calls are shared these wait for their decision as long
 * as they can.
 *
 * Limits: N_LED responses of a process, the latest.
 */
#include <math.h>
#include <stdlib.h>

#include "causality/context.h"
#include "causality/engine.h"
#include "causality/node.h"
#include "causality/shared.h"
#include "causality/task.h"
#include "causality/told.h"

#define N_LED	256
#define FAR_NS	2000000ull
#define NEAR_NS 500000ull /* the first scale; each is four times the one before */
#define MIN_FAR 256
#define LONG_NS 1000000000ull
#define SOME	64
#define SHARES	0.25 /* so many more responses for each answer */
#define SIGMAS	3.0
#define FORGET	100000

struct led {
	struct node *calls[N_LED]; /* for requests, in the order of their responses */
	uint64_t n;
};

void told_forget(struct proc *p)
{
	for (uint32_t i = 0; p->led && i < N_LED; i++)
		node_put(p->led->calls[i]);
	free(p->led);
	p->led = NULL;
}

void told_response(struct ctx *ctx, struct node *call)
{
	struct proc *p = ctx->proc;
	struct node **at;

	if (CLEW_TASK_KIND(ctx->key.task) != CLEW_TASK_GO || call->resp_seen || !call->owner)
		return;
	if (!p->led && !p->gone)
		p->led = calloc(1, sizeof(*p->led));
	if (!p->led)
		return;
	at = &p->led->calls[p->led->n++ % N_LED];
	node_put(*at);
	*at = node_get(call);
}

/* When the request, or the response of its last call, was read. */
static uint64_t last_own(const struct node *req)
{
	uint64_t last = req->born_ns;
	const struct node *n;

	DL_FOREACH2(req->calls, n, sib_next)
	if (n->resp_seen && n->ended_ns > last)
		last = n->ended_ns;
	return last;
}

/* Responses of others between from and to before now. */
static uint64_t count(const struct led *led, const struct node *req, uint64_t from, uint64_t to)
{
	uint64_t found = 0;

	for (uint64_t i = led->n; i-- > 0 && i + N_LED >= led->n;) {
		const struct node *n = led->calls[i % N_LED];

		if (n->ended_ns <= from)
			break;
		found += n->ended_ns <= to && n->owner != req;
	}
	return found;
}

static void look(struct group *g, const struct led *led, const struct node *req, uint64_t own,
		 uint64_t now)
{
	uint64_t scale = NEAR_NS;

	if (!g->far++)
		g->far_since_ns = now;
	for (int i = 0; i < N_SCALES && own + 4 * scale <= now; i++, scale *= 4) {
		struct told_stats *t = &g->told[i];

		t->far++;
		t->near += count(led, req, now - scale, now);
		t->earlier += count(led, req, now - 3 * scale, now - 2 * scale);
		if (t->far < FORGET)
			continue;
		t->far /= 2;
		t->near /= 2;
		t->earlier /= 2;
	}
}

/* Calls of the group are shared. */
static bool shares(const struct group *g)
{
	for (int i = 0; i < N_SCALES; i++) {
		const struct told_stats *t = &g->told[i];
		double more = (double)t->near - (double)t->earlier;

		if (t->far >= SOME && more >= SHARES * (double)t->far &&
		    more >= SIGMAS * sqrt((double)(t->near + t->earlier)))
			return true;
	}
	return false;
}

/*
 * Calls of the group are not shared. Requests that began together go on together for a while: what is seen
 * of their responses then says nothing.
 */
static bool shares_none(const struct group *g, uint64_t now)
{
	if (g->far < MIN_FAR || now < g->far_since_ns + LONG_NS)
		return false;
	for (int i = 0; i < N_SCALES; i++) {
		const struct told_stats *t = &g->told[i];
		double more = (double)t->near - (double)t->earlier;

		if (t->far >= SOME &&
		    more + SIGMAS * sqrt((double)(t->near + t->earlier)) >= SHARES * (double)t->far)
			return false;
	}
	return true;
}

/* Its request was answered after it with no other call, or is not answered yet. */
static bool goes_straight(const struct node *call)
{
	const struct node *req = call->owner;

	for (const struct node *n = call->sib_next; n; n = n->sib_next)
		if (n->born_ns > call->ended_ns && (!req->ended || n->born_ns < req->ended_ns))
			return false;
	return true;
}

bool told_waits(const struct node *call)
{
	return call->owner && CLEW_TASK_KIND(call->birth.ctx->key.task) == CLEW_TASK_GO &&
	       call->birth.ctx->proc->group->far && shares(call->birth.ctx->proc->group) &&
	       goes_straight(call);
}

void told_decide(struct node *call)
{
	if (!call->told || !call->owner || call->shared || !goes_straight(call))
		return;
	call->shared = true;
	call->n_sharing++;
}

void told_answer(struct clew_causality *c, struct ctx *ctx, struct node *req, uint16_t flags)
{
	struct group *g = ctx->proc->group;
	const struct led *led = ctx->proc->led;
	uint64_t own;
	bool far;

	if (CLEW_TASK_KIND(ctx->key.task) != CLEW_TASK_GO || !led)
		return;
	/* A select with calls of its own waits for their responses. */
	if (!(flags & CLEW_IO_TOLD) && (!(flags & CLEW_IO_SELECTED) || req->calls))
		return;
	own = last_own(req);
	far = own + FAR_NS < c->now_ns;
	if (far)
		look(g, led, req, own, c->now_ns);
	if (!shares(g) && (!far || shares_none(g, c->now_ns)))
		return;
	for (uint64_t i = led->n; i-- > 0 && i + N_LED >= led->n;) {
		struct node *n = led->calls[i % N_LED];

		if (n->ended_ns <= own)
			break;
		if (n->owner == req)
			continue;
		c->stats.late += n->decided;
		sharers_add(&n->sharers, req, NULL);
		n->told = true;
	}
	g->coalesced++;
}
