/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: a worker tells a loop that it is done.
 *
 *	loop L:      reads R1 R2 R3 ...        reads 3 bytes   answers Ra, Rb, Rc
 *	                                            ▲▲▲
 *	worker W:    ── tells │ calls X ── calls Y ── tells │ calls Z ── tells │
 *	                   taken                        end
 *
 * A loop that hands blocking work to a pool is told of each end by a message of the worker, on a
 * connection that both ends of are in the process (asyncio's socket to itself). Two orders then name
 * the request that W's calls in between were for, each without the other:
 *
 * - *taking*: a pool that is busy takes requests in the order in which they came. W took it right after
 *   it had told of the one before, as so-many-th; the request's place among those read less that number,
 *   the *lag*, is the number of workers, each time.
 * - *telling*: the loop answers in the order in which it was told: the k-th message, the k-th answer.
 *
 * Each fails now and then: two workers are done at nearly the same time and swap, a job that nobody
 * waits for is in between. A call is linked where the two agree. If the telling is wrong, the request
 * that it names is some other one that was in progress, whose lag is anything; how often that happens to
 * be the usual one is seen from the lags that are near it, but not the usual one. And where the lag is
 * the true request's, no other one can have it. So an error takes three things: the telling is wrong, the
 * taking is wrong, and the lag is the usual one all the same:
 *
 *	wrong = 2 * lags for each number near the usual one * min(1, 4 * share of other lags) / usual lags
 *
 * A pool that takes work in another order has no usual lag, and nothing is believed.
 *
 * Limits: MAX_PIPES connections (the oldest goes), MAX_TOLD ends and answers of each, MAX_RELAY_CALLS
 * calls of a worker between two ends; a stretch that had more is not charged.
 */
#include "causality/charge.h"
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/loop.h"
#include "causality/model.h"
#include "causality/relay.h"
#include "causality/todo.h"

#define MAX_PIPES	4096
#define MAX_TOLD	64 /* a power of two */
#define MAX_RELAY_CALLS 16
#define MAX_SHIFT	8 /* answers by which the telling may be off; looked at around each */
#define SAFETY		2.0
#define DEPENDENT	4.0 /* taking and telling may be wrong for one reason */
#define FEWEST		8   /* workers */
#define ENOUGH		100 /* ends */
#define FORGET		8192
#define LOOK_AGAIN	16 /* ends, after which the telling's shift is looked at */

/* What a thread without requests of its own has called since it last told of an end. */
struct relay_worker {
	struct node *calls[MAX_RELAY_CALLS];
	uint32_t n;
	bool more;	/* than are remembered */
	bool taken;	/* it took what it works on right after an end */
	uint64_t place; /* ... the so-many-th of the process */
};

struct told {
	struct node *calls[MAX_RELAY_CALLS];
	uint32_t n;
	bool taken;
	uint64_t place;
};

/* One end of a connection inside a process. */
struct relay_pipe {
	UT_hash_handle hh; /* by cookie */
	struct relay_pipe *prev, *next;
	uint64_t cookie, peer;
	uint32_t tgid;
	struct ctx *reader; /* who reads from it */
	uint64_t n_told, n_judged, n_answers;
	int64_t shift; /* the k-th that was told is the k + shift-th answer */
	uint32_t hits[2 * MAX_SHIFT + 1], n_hits;
	struct told told[MAX_TOLD];
	struct node *answers[MAX_TOLD];
};

static bool is_off(const struct clew_causality *c)
{
	return without(c, CLEW_SOURCE_COMPLETION) || without(c, CLEW_SOURCE_ORDER);
}

static struct relay_pipe *find(const struct clew_causality *c, uint64_t cookie)
{
	struct relay_pipe *p;

	HASH_FIND(hh, c->pipes, &cookie, sizeof(cookie), p);
	return p;
}

static void forget_calls(struct node **calls, uint32_t *n)
{
	for (uint32_t i = 0; i < *n; i++)
		node_put(calls[i]);
	*n = 0;
}

static void drop(struct clew_causality *c, struct relay_pipe *p)
{
	HASH_DELETE(hh, c->pipes, p);
	DL_DELETE(c->pipe_list, p);
	c->n_pipes--;
	for (uint32_t i = 0; i < MAX_TOLD; i++) {
		forget_calls(p->told[i].calls, &p->told[i].n);
		node_put(p->answers[i]);
	}
	if (p->reader) {
		p->reader->hears = NULL;
		ctx_put(p->reader);
	}
	free(p);
}

void relay_conn(struct clew_causality *c, const struct clew_rec_conn *rec)
{
	struct relay_pipe *p;

	if (rec->family != CLEW_AF_UNIX || is_off(c))
		return;
	p = find(c, rec->conn);
	if (rec->event == CLEW_CONN_CLOSED) {
		if (p)
			drop(c, p);
		return;
	}
	if (p || !rec->peer_conn || !rec->tgid)
		return;
	if (c->n_pipes >= MAX_PIPES) {
		c->stats.forced++;
		drop(c, c->pipe_list);
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return;
	p->cookie = rec->conn;
	p->peer = rec->peer_conn;
	p->tgid = rec->tgid;
	HASH_ADD(hh, c->pipes, cookie, sizeof(p->cookie), p);
	if (!p->hh.tbl) {
		free(p);
		return;
	}
	DL_APPEND(c->pipe_list, p);
	c->n_pipes++;
}

void relay_done(struct clew_causality *c)
{
	while (c->pipe_list)
		drop(c, c->pipe_list);
}

void relay_forget_ctx(struct ctx *ctx)
{
	if (!ctx->relay)
		return;
	forget_calls(ctx->relay->calls, &ctx->relay->n);
	free(ctx->relay);
	ctx->relay = NULL;
}

/* The thread, whatever task it runs: workers of a pool tell of their ends when the task is over. */
static struct ctx *thread_of(struct clew_causality *c, const struct clew_rec_io *io)
{
	return ctx_of(c, io->tgid, io->proc_start_ns, 0, io->tid);
}

bool relay_call(struct clew_causality *c, const struct clew_rec_io *io, struct node *call)
{
	struct ctx *w = c->n_pipes && !is_off(c) ? thread_of(c, io) : NULL;

	if (!w || w->serves || call->owner)
		return false;
	if (!w->relay)
		w->relay = calloc(1, sizeof(*w->relay));
	if (!w->relay)
		return false;
	if (w->relay->n < MAX_RELAY_CALLS)
		w->relay->calls[w->relay->n++] = node_get(call);
	else
		w->relay->more = true;
	return w->relay->taken;
}

/* Counted in answers: what the loop answers alone, and jobs' ends, do not change it for long. */
static int64_t lag_of(const struct relay_pipe *p, const struct told *t, const struct node *req)
{
	return (int64_t)req->place - ((int64_t)t->place + p->shift);
}

static const struct node *answer_at(const struct relay_pipe *p, int64_t k)
{
	if (k < 0 || (uint64_t)k >= p->n_answers || (uint64_t)k + MAX_TOLD < p->n_answers)
		return NULL;
	return p->answers[k % MAX_TOLD];
}

static void learn(struct relay_lags *l, int64_t lag)
{
	l->lags[lag > 0 && lag < MAX_LAG ? lag : 0]++;
	if (++l->n >= FORGET) {
		l->n = 0;
		for (int i = 0; i < MAX_LAG; i++)
			l->n += l->lags[i] /= 2;
	}
	if (l->n % 16)
		return;
	for (int i = l->usual = 1; i < MAX_LAG; i++)
		if (l->lags[i] > l->lags[l->usual])
			l->usual = (uint8_t)i;
}

/* Jobs that nobody waits for tell too: then the telling is off by one more. */
static void look_at_shift(struct relay_pipe *p, const struct relay_lags *lags)
{
	int best = MAX_SHIFT;

	if (++p->n_hits < LOOK_AGAIN)
		return;
	for (int i = 0; i <= 2 * MAX_SHIFT; i++)
		if (p->hits[i] > p->hits[best])
			best = i;
	if (lags->n >= ENOUGH && p->hits[MAX_SHIFT] < LOOK_AGAIN / 4 &&
	    p->hits[best] >= LOOK_AGAIN / 2)
		p->shift += best - MAX_SHIFT;
	memset(p->hits, 0, sizeof(p->hits));
	p->n_hits = 0;
}

static void judge(struct clew_causality *c, struct relay_pipe *p, struct told *t, int64_t k)
{
	struct relay_lags *lags = &p->reader->proc->relay;
	const struct node *req = answer_at(p, k);
	int64_t lag = req && t->taken ? lag_of(p, t, req) : 0;

	for (int i = -MAX_SHIFT; i <= MAX_SHIFT && t->taken; i++) {
		const struct node *a = answer_at(p, k + i);

		p->hits[i + MAX_SHIFT] += a && lags->usual && lag_of(p, t, a) == lags->usual;
	}
	if (req && t->taken)
		learn(lags, lag);
	for (uint32_t i = 0; i < t->n && lag > 0 && lag == lags->usual; i++) {
		struct node *n = t->calls[i];

		if (n->decided || n->owner || n->born_ns < req->born_ns)
			continue;
		n->done_by = DONE_RELAY;
		charge_call(c, n, p->answers[k % MAX_TOLD],
			    i + 1 == t->n ? CLAIM_DONE : CLAIM_DONE_BACK);
		todo_drop(n);
	}
	forget_calls(t->calls, &t->n);
	look_at_shift(p, lags);
}

/* Judged when the answers around the one that is named are known. */
static void judge_due(struct clew_causality *c, struct relay_pipe *p)
{
	while (p->n_judged < p->n_told &&
	       (int64_t)p->n_judged + p->shift + MAX_SHIFT < (int64_t)p->n_answers) {
		uint64_t k = p->n_judged++;

		judge(c, p, &p->told[k % MAX_TOLD], (int64_t)k + p->shift);
	}
}

static bool is_out(const struct relay_worker *w)
{
	const struct node *last = w->n ? w->calls[w->n - 1] : NULL;

	return last && !last->resp_seen && !last->ended;
}

/* W has written on the other end of p. */
static void told(struct clew_causality *c, struct relay_pipe *p, struct ctx *w)
{
	struct relay_worker *r = w->relay;
	struct told *t;

	if (!r &&
	    !w->serves) /* what it is done with had no call: it took the next one all the same */
		r = w->relay = calloc(1, sizeof(*r));
	if (!r || w->serves || is_out(r))
		return;
	if (!p->n_told)
		p->shift = (int64_t)p->n_answers;
	if (p->n_told - p->n_judged >= MAX_TOLD) { /* answers have stopped: begin again */
		while (p->n_judged < p->n_told) {
			t = &p->told[p->n_judged++ % MAX_TOLD];
			forget_calls(t->calls, &t->n);
		}
		p->shift = (int64_t)p->n_answers - (int64_t)p->n_told;
	}
	t = &p->told[p->n_told++ % MAX_TOLD];
	*t = (struct told){.n = r->n, .taken = r->taken && !r->more, .place = r->place};
	memcpy(t->calls, r->calls, sizeof(r->calls));
	r->n = 0; /* the references go along */
	r->more = false;
	r->taken = true;
	r->place = ++w->proc->n_told;
	judge_due(c, p);
}

void relay_io(struct clew_causality *c, const struct clew_rec_io *io)
{
	struct relay_pipe *p = c->n_pipes && io->bytes ? find(c, io->conn) : NULL, *to;
	struct ctx *ctx;

	if (!p || io->tgid != p->tgid || io->hdr.flags & CLEW_IO_PEEK)
		return;
	ctx = thread_of(c, io);
	if (!ctx)
		return;
	if (io->dir == CLEW_DIR_RX) {
		loop_heard(ctx, io->end_ns);
		if (!p->reader && !ctx->hears) {
			p->reader = ctx;
			ctx->refs++;
			ctx->hears = p;
		}
		return;
	}
	to = find(c, p->peer);
	if (to && to->tgid == p->tgid && to->reader && to->reader != ctx)
		told(c, to, ctx);
}

void relay_answer(struct clew_causality *c, const struct clew_rec_io *io, struct node *req)
{
	struct ctx *ctx = c->n_pipes ? thread_of(c, io) : NULL;
	struct relay_pipe *p = ctx ? ctx->hears : NULL;
	struct node **at;

	if (!p)
		return;
	at = &p->answers[p->n_answers++ % MAX_TOLD];
	node_put(*at);
	*at = node_get(req);
	judge_due(c, p);
}

enum verdict relay_verdict(const struct node *call, double *ret_wrong)
{
	const struct relay_lags *l = &call->birth.ctx->proc->relay;
	double near = 1, n = 0, others, usual = l->lags[l->usual];
	/* Closer ones are missed by a swap in the taking; those in progress are not farther away. */
	int from = 2 + l->usual / 8, to = 2 + l->usual / 2;

	*ret_wrong = 1;
	if (l->n < ENOUGH || l->usual < FEWEST || l->usual + to >= MAX_LAG)
		return VERDICT_WAIT;
	for (int i = from; i <= to; i++) {
		near += l->lags[l->usual + i];
		n++;
		if (l->usual - i > 0) {
			near += l->lags[l->usual - i];
			n++;
		}
	}
	others = DEPENDENT * (l->n - usual + 1) / l->n;
	*ret_wrong = SAFETY * near / n * (others < 1 ? others : 1) / (usual + 1);
	return *ret_wrong <= MAX_WRONG ? VERDICT_PASS : VERDICT_WAIT;
}
