/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each service's checkpoints say of the hypothesis "a call belongs to what its context read
 * last".
 *
 * A checkpoint is an answer that a context writes while several requests are open: the hypothesis
 * names a request (the owner of what was read last), the socket says which one it is. A hit can be
 * an accident. With n requests to choose from, each miss stands for 1 / (n - 1) hits by accident, so
 *
 *	wrong links among those that end in a hit  =  sum over misses of 1 / (n - 1)  /  hits
 *
 * which is used twice over (SAFETY), with a part of a miss that was never seen (UNSEEN). Where
 * nothing but the hypothesis speaks for a call, the share of misses itself is the expected share of
 * wrong links.
 *
 * Stretches in which the context slept are counted apart: what comes after a sleep on an event loop
 * was a timer or another thread, not what was read.
 */
#include <math.h>

#include "causality/model.h"
#include "causality/node.h"

#define SAFETY	     2.0
#define UNSEEN	     0.05
#define UNSEEN_OFF   0.2 /* the same where the misses' share itself counts */
#define MIN_HITS     20
#define FEW	     2
#define FORGET	     100000 /* checkpoints, after which old ones count half */
#define FORGET_READS 1000000
#define SURE_BITS    20
#define MAX_REST     10
#define HOPELESS     0.02 /* expected share of wrong links at which waiting for more is vain */

static void forget(struct bucket *b)
{
	if (b->hits + b->misses < FORGET)
		return;
	b->hits /= 2;
	b->misses /= 2;
	b->chance /= 2;
	b->false_hits /= 2;
}

void model_hit(struct bucket *b, uint32_t n)
{
	b->hits++;
	if (n > 3 && b->bits < SURE_BITS)
		b->bits += 31 - (uint32_t)__builtin_clz(n - 1);
	b->chance += 1.0 / (n - 1);
	forget(b);
}

void model_miss(struct bucket *b, uint32_t n)
{
	b->misses++;
	b->bits = 0;
	b->chance += 1.0 / (n - 1);
	b->false_hits += 1.0 / (n - 1);
	forget(b);
}

void model_read(struct group *g, bool slept, bool paused)
{
	g->reads++;
	g->reads_slept[0] += slept;
	g->reads_slept[1] += slept && paused;
	if (g->reads >= FORGET_READS) {
		g->reads /= 2;
		g->beside /= 2;
		g->lone /= 2;
		g->adrift /= 2;
		g->late /= 2;
		for (int i = 0; i < 2; i++) {
			g->reads_slept[i] /= 2;
			g->off_calls[i] /= 2;
			g->off_slept[i] /= 2;
		}
	}
}

void model_off_call(struct group *g, uint8_t stretch, bool beside, bool explained)
{
	int i = !!(stretch & STRETCH_CONNECT);

	if (beside)
		g->beside++;
	else if (!(stretch & STRETCH_SLEPT) && !explained)
		g->lone++;
	g->off_calls[i]++;
	g->off_slept[i] += !!(stretch & STRETCH_SLEPT);
}

/*
 * Who waits for several calls at once answers when the last of them is over: a call that goes on is none of these.
 * A timer's that was made in the same stretch goes on for longer than one other call as often as not, half as often
 * for longer than two in a row. So each that is seen to stands for 2^rest - 1 that are not.
 */
void model_late(struct group *g, uint32_t rest)
{
	g->late += ldexp(1, (int)(rest < MAX_REST ? rest : MAX_REST)) - 1;
}

static enum verdict judge(const struct bucket *b, double wrong, double *ret_wrong)
{
	*ret_wrong = wrong < 1 ? wrong : 1;
	if (b->hits >= MIN_HITS && wrong <= MAX_WRONG)
		return VERDICT_PASS;
	if (b->hits + b->misses >= MIN_HITS && wrong > HOPELESS && b->misses > b->hits / 4)
		return VERDICT_FAIL;
	return VERDICT_WAIT;
}

double model_wrong(const struct bucket *b)
{
	uint64_t all = b->hits + b->misses;
	double mean = all ? b->chance / (double)all : 1;

	return (SAFETY * b->false_hits + UNSEEN * mean) / (double)(b->hits ? b->hits : 1);
}

enum verdict model_on_path(const struct group *g, uint8_t stretch, double *ret_wrong)
{
	const struct bucket *b = &g->buckets[stretch];
	double wrong = model_wrong(b);

	/*
	 * A pool connects a few times and never again: fewer hits do where they are as unlikely by
	 * accident as elsewhere and the service's other stretches pass.
	 */
	if (stretch == STRETCH_CONNECT && b->hits < MIN_HITS && b->bits >= SURE_BITS &&
	    wrong <= MAX_WRONG && model_on_path(g, 0, ret_wrong) == VERDICT_PASS) {
		*ret_wrong = wrong > *ret_wrong ? wrong : *ret_wrong;
		return VERDICT_PASS;
	}
	if (!(stretch & STRETCH_SLEPT))
		return judge(b, wrong, ret_wrong);
	/*
	 * After a sleep a loop does not go on with what it read last, but threads sleep for other
	 * reasons too (a collector, a lock). A timer's hits would be accidents, and few requests in
	 * step with each other make the same accident again and again: only hits among many count.
	 */
	if (b->bits < SURE_BITS || SAFETY * b->false_hits > MAX_WRONG * (double)b->hits) {
		*ret_wrong = 1;
		return b->misses > b->hits ? VERDICT_FAIL : VERDICT_WAIT;
	}
	return model_on_path(g, stretch & ~STRETCH_SLEPT, ret_wrong);
}

/* Calls of a loop that was awake that were no request's, as far as it shows. */
static double stray_calls(const struct group *g)
{
	return (double)g->adrift + g->late;
}

/*
 * One of several calls at once: their last response leads to the answer, which confirms the stretch
 * in which all were made. What does not belong there (timers, a freed socket's next call) is found in other
 * stretches too, after answers, or is still out when the request is answered.
 */
enum verdict model_beside(const struct group *g, uint8_t stretch, double *ret_wrong)
{
	double wrong = (SAFETY * ((double)g->lone + stray_calls(g)) + UNSEEN_OFF) /
		       (double)(g->beside ? g->beside : 1);
	enum verdict v;

	if (stretch & STRETCH_SLEPT)
		return VERDICT_FAIL;
	v = model_on_path(g, stretch, ret_wrong);
	if (wrong > *ret_wrong)
		*ret_wrong = wrong;
	if (v == VERDICT_PASS && wrong > MAX_WRONG)
		return wrong > 0.5 && g->lone > MIN_HITS ? VERDICT_FAIL : VERDICT_WAIT;
	return v;
}

/*
 * A loop's timers make calls that no checkpoint tells of. Those that come after a sleep are seen;
 * that none is says the more the more often the loop sleeps at all.
 */
static double timers_share(const struct group *g, uint8_t stretch)
{
	int i = !!(stretch & STRETCH_CONNECT);
	double slept;

	if (!g->off_calls[i] || !g->reads_slept[i])
		return 1;
	slept = (double)g->reads_slept[i] / (double)g->reads;
	return (((double)g->off_slept[i] + UNSEEN_OFF) / slept + stray_calls(g)) /
	       (double)g->off_calls[i];
}

bool model_may_be_timers(const struct group *g, uint8_t stretch)
{
	/* A loop that never sleeps has no timers that one could see: it does what it reads. */
	return g->reads_slept[!!(stretch & STRETCH_CONNECT)] &&
	       timers_share(g, stretch) > MAX_WRONG;
}

enum verdict model_off_path(const struct group *g, uint8_t stretch, double *ret_wrong)
{
	const struct bucket *b = &g->buckets[stretch];
	double wrong = (SAFETY * (double)b->misses + UNSEEN_OFF) / (double)(b->hits ? b->hits : 1);
	double timers = timers_share(g, stretch);

	return judge(b, wrong > timers ? wrong : timers, ret_wrong);
}

/* More often than the links may be wrong, with room for what was not seen. */
static bool often(uint64_t n, const struct group *g)
{
	return n * 200 > g->answers;
}

bool model_moves(const struct group *g)
{
	return often(g->foreign, g) || often(g->strays, g);
}

bool model_in_doubt(const struct group *g)
{
	uint64_t all = g->kept + g->given;

	return g->given * 200 > all || g->strays_lone * 200 > all || g->mux_answers * 200 > all;
}

/*
 * "A context works for the one request that it has open": fails where what such a context reads is
 * answered by others (work moves between threads), where it works for others and does not answer them,
 * or where contexts that do several things at once answer. What a loop read for the others (Puma's
 * reactor) and these then work on and answer says nothing against it.
 */
enum verdict model_sequential(const struct group *g, bool *ret_mature)
{
	uint64_t all = g->kept + g->given;
	uint64_t against = g->given > g->strays_lone ? g->given : g->strays_lone;

	if (g->mux_answers > against)
		against = g->mux_answers;
	*ret_mature = g->kept >= 64;
	if (against * 200 > all) /* one or two in the first moments: more will tell */
		return against <= FEW ? VERDICT_WAIT : VERDICT_FAIL;
	return *ret_mature ? VERDICT_PASS : VERDICT_WAIT;
}

/*
 * Contexts that serve requests call while none is open, and they were not seen to serve one each beside
 * others: what looks like threads may be a loop that has one request at a time.
 */
bool model_maybe_loop(const struct group *g)
{
	return g->alongside < 64 && g->self_calls * 200 > g->kept;
}

/*
 * Contexts that serve requests were hardly ever seen to begin work by themselves, nor to go on with
 * something else than what they read.
 */
bool model_no_timers(const struct group *g)
{
	uint64_t hits = 0, misses = 0;

	for (int i = 0; i < N_BUCKETS; i++) {
		hits += g->buckets[i].hits;
		misses += g->buckets[i].misses;
	}
	return g->self_calls * 2000 <= g->answers && misses * 500 <= hits;
}

/*
 * A timer that is due while the loop is awake calls as if for the request that was just read. Where the
 * service's own calls come after sleeps, the few that do not are such.
 */
bool model_calls_awake(const struct group *g)
{
	return g->alone_awake * 50 >= g->alone_slept;
}
