/* SPDX-License-Identifier: Apache-2.0 */
#include "store/shed.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS (SHED_TRACES * 2)

#define RAISE_NS (200ull * 1000 * 1000)
#define LOWER_NS (1000ull * 1000 * 1000)
#define TURN_NS	 (10ull * 1000 * 1000 * 1000)
#define CALM_NS	 (10ull * 1000 * 1000 * 1000)

/* Of a queue, in permille. */
#define LITTLE	62u
#define QUARTER 250u

/* Fewer traces than one of so many are not kept: what comes then is dropped one by one. */
#define LEAST_KEPT (UINT32_MAX / 65536u)

/* ---- sets ---- */

static uint32_t *slot_of(const struct shed_set *s, uint32_t hash)
{
	uint32_t i = (hash * 0x9e3779b1u) & (SLOTS - 1);

	while (s->slots[i] && s->slots[i] != hash)
		i = (i + 1) & (SLOTS - 1);
	return &s->slots[i];
}

static bool has(const struct shed_set *s, uint32_t hash)
{
	return s->slots && *slot_of(s, hash | 1);
}

/* True: it is new. Without memory, or beyond the limit, nothing is remembered. */
static bool add(struct shed_set *s, uint32_t hash)
{
	uint32_t *slot;

	if (!s->slots)
		s->slots = calloc(SLOTS, sizeof(*s->slots));
	if (!s->slots)
		return true;
	slot = slot_of(s, hash | 1);
	if (*slot)
		return false;
	if (s->n < SHED_TRACES) {
		*slot = hash | 1;
		s->n++;
	}
	return true;
}

static void set_done(struct shed_set *s)
{
	free(s->slots);
	*s = (struct shed_set){0};
}

static void turn(struct shed_set v[2])
{
	struct shed_set old = v[1];

	v[1] = v[0];
	if (old.slots)
		memset(old.slots, 0, SLOTS * sizeof(*old.slots));
	v[0] = (struct shed_set){.slots = old.slots};
}

static void turn_if_due(struct shed *s, uint64_t now)
{
	if (now - s->turned_ns < TURN_NS)
		return;
	turn(s->written);
	turn(s->left_out);
	turn(s->cut);
	s->turned_ns = now;
}

/* What is known of a trace is renewed by each span of it. */
static bool knows(struct shed_set v[2], uint32_t hash)
{
	if (has(&v[0], hash))
		return true;
	if (!has(&v[1], hash))
		return false;
	(void)add(&v[0], hash);
	return true;
}

/* ---- spans ---- */

enum shed_fate shed_fate(struct shed *s, uint32_t hash)
{
	if (!s->watching)
		return SHED_KEEP;
	if (knows(s->left_out, hash))
		return SHED_AGAIN;
	if (hash >= s->threshold || knows(s->written, hash))
		return SHED_KEEP;
	(void)add(&s->left_out[0], hash);
	return SHED_NEW;
}

void shed_written(struct shed *s, uint32_t hash)
{
	if (s->watching)
		(void)add(&s->written[0], hash);
}

bool shed_cut(struct shed *s, const struct clew_id128 *trace_id, uint32_t hash, bool *ret_told)
{
	bool first = !knows(s->cut, hash) && add(&s->cut[0], hash);

	*ret_told = true;
	/* Spans of one trace mostly come together. */
	if (s->n_cuts && clew_id128_eq(&s->cuts[s->n_cuts - 1].trace_id, trace_id)) {
		s->cuts[s->n_cuts - 1].spans++;
		return first;
	}
	if (!s->cuts)
		s->cuts = malloc(SHED_CUTS * sizeof(*s->cuts));
	*ret_told = s->cuts && s->n_cuts < SHED_CUTS;
	if (*ret_told)
		s->cuts[s->n_cuts++] = (struct shed_cut){*trace_id, 1};
	return first;
}

/* ---- how much ---- */

bool shed_raise(struct shed *s, uint64_t now, bool full)
{
	uint32_t kept = UINT32_MAX - s->threshold;

	if (kept / 2 < LEAST_KEPT || (!full && now - s->changed_ns < RAISE_NS))
		return false;
	s->threshold = UINT32_MAX - kept / 2;
	s->changed_ns = now;
	return true;
}

bool shed_busy(struct shed *s, uint64_t now, uint32_t permille)
{
	if (permille < QUARTER)
		return false;
	s->busy_ns = now;
	turn_if_due(s, now);
	if (s->watching)
		return false;
	s->watching = true;
	s->turned_ns = now;
	return true;
}

bool shed_calm(struct shed *s, uint64_t now, uint32_t permille)
{
	uint32_t kept = UINT32_MAX - s->threshold;

	if (!s->watching || permille >= QUARTER)
		return false;
	turn_if_due(s, now);
	if (!s->threshold && now - s->busy_ns > CALM_NS) {
		for (int i = 0; i < 2; i++) {
			set_done(&s->written[i]);
			set_done(&s->left_out[i]);
			set_done(&s->cut[i]);
		}
		s->watching = false;
		return false;
	}
	if (!s->threshold || now - s->changed_ns < LOWER_NS)
		return false;
	s->changed_ns = now;
	if (kept > UINT32_MAX / 3 * 2)
		kept = UINT32_MAX;
	else if (permille < LITTLE && kept < UINT32_MAX / 4)
		kept *= 4;
	else
		kept += kept / 2;
	s->threshold = UINT32_MAX - kept;
	return !s->threshold;
}

double shed_kept(const struct shed *s)
{
	return 1 - (double)s->threshold / (double)UINT32_MAX;
}

void shed_done(struct shed *s)
{
	for (int i = 0; i < 2; i++) {
		set_done(&s->written[i]);
		set_done(&s->left_out[i]);
		set_done(&s->cut[i]);
	}
	free(s->cuts);
	*s = (struct shed){0};
}
