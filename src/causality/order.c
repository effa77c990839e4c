/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: the order in which a pool takes its work.
 *
 *	requests read:      1 2 3 4 5 6 7 8 ...             R is the a-th
 *	requests done:          1   2 3   4 ...             the b-th is W's; W takes what is next
 *	worker W:    ── done │ calls X ── calls Y ── done with R │
 *	                   mark
 *
 * A pool that is busy takes requests in the order in which they came. When one is done the next is taken,
 * so a - b, the *lag*, is the number of workers, always the same. If W did something else before R (a job
 * that nobody waits for), R was taken later than the mark, when others had taken what came before it: its
 * lag is longer by as many as were done meanwhile. So, if X was not for R, the lag is longer by those that
 * were done from the mark to X's end. Where they are some, and the lag is not, X is for R.
 *
 * It takes two things for an error: work that makes lags longer by so many, and something else that makes
 * this one shorter by as many. Both are counted: P(wrong) is about P(longer) * P(shorter). Where the pool
 * is idle, takes work in another order, or is given a request several times, lags are anything, and nothing
 * is believed.
 */
#include "causality/internal.h"

#define SAFETY 2.0
#define FEWEST 8   /* workers: with less, hardly anything is done meanwhile */
#define ENOUGH 100 /* lags */
#define FORGET 8192

uint8_t order_lag(const struct mark *m, const struct node *req)
{
	if (!m->req || m->ns < req->born_ns || req->place <= m->n_done ||
	    req->place - m->n_done >= MAX_LAG)
		return 0;
	return (uint8_t)(req->place - m->n_done);
}

void order_learn(struct order *o, uint8_t lag)
{
	o->lags[lag]++; /* [0]: all that are not known */
	if (++o->n < FORGET)
		return;
	o->n = 0;
	for (int i = 0; i < MAX_LAG; i++)
		o->n += o->lags[i] /= 2;
	o->computed_at = 0;
}

/* Lags of i and more, into more[i]; of i and less, into less[i]. */
static void compute(struct order *o)
{
	uint32_t best = 1, sum = 0;

	if (o->computed_at && o->n - o->computed_at <= o->computed_at / 64)
		return;
	o->computed_at = o->n;
	for (uint32_t i = 1; i < MAX_LAG; i++) {
		if (o->lags[i] > o->lags[best])
			best = i;
		o->less[i] = sum += o->lags[i];
	}
	sum = o->lags[0]; /* what is not known may be long */
	for (uint32_t i = MAX_LAG; i-- > 1;)
		o->more[i] = sum += o->lags[i];
	o->usual = (uint8_t)best;
}

double order_wrong(struct order *o, const struct node *call)
{
	uint32_t known, longer, shorter;

	if (o->n - o->lags[0] < ENOUGH || !call->lag || !call->during)
		return 1;
	compute(o);
	/* Had it been for another one, the lag would be so long, but for what made it shorter. */
	longer = (uint32_t)o->usual + call->during;
	if (o->usual < FEWEST || call->lag >= longer || longer >= MAX_LAG)
		return 1;
	shorter = longer - call->lag; /* at least by this */
	known = o->n - o->lags[0];
	longer = o->more[longer > o->usual + 1u ? longer - 1 : longer];
	shorter = shorter < o->usual ? o->less[o->usual - shorter] : 0;
	return SAFETY * (longer + 1.0) / o->n * (shorter + 1.0) / known;
}
