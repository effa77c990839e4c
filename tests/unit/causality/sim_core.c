/* SPDX-License-Identifier: Apache-2.0 */
/* What the simulators share. */
#include <stdlib.h>
#include <string.h>

#include "sim_core.h"

static void decided(void *user, uint64_t id, const struct clew_link *l)
{
	struct sim_core *core = user;
	struct sim_result *r = core->res;
	bool ok = l->parent && l->parent == core->truth[id];

	r->order = (r->order ^ id ^ l->parent << 32 ^ (uint64_t)l->class << 60) * 0x100000001b3ull;
	if (core->decided[id]++) {
		r->decided_twice++;
		return;
	}
	switch ((enum sim_id)core->kind[id]) {
	case SIM_REQUEST:
		break;
	case SIM_CALL:
		r->calls++;
		if (ok)
			r->right++;
		else if (l->parent)
			r->wrong++;
		else if (l->class == CLEW_LINK_ROOT)
			r->root++;
		else
			r->orphan++;
		break;
	case SIM_BACKGROUND:
		r->background++;
		r->background_linked += l->parent != 0;
		break;
	case SIM_AFTER:
		r->background++;
		r->background_linked += l->parent && !ok;
		break;
	}
}

void sim_core_begin(struct sim_core *core, uint64_t seed, struct sim_result *res)
{
	memset(res, 0, sizeof(*res));
	core->res = res;
	core->rng = seed * 0x9e3779b97f4a7c15ull + 1;
	if (clew_causality_new(decided, core, NULL, &core->c))
		abort();
}

void sim_core_end(struct sim_core *core)
{
	clew_causality_flush(core->c);
	core->res->stats = *clew_causality_stats(core->c);
	for (uint64_t id = 1; id <= core->next_id; id++)
		core->res->undecided += core->kind[id] != SIM_REQUEST && !core->decided[id];
	clew_causality_free(core->c);
	free(core->truth);
	free(core->kind);
	free(core->decided);
}

static uint64_t shift(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t rnd(struct sim_core *core)
{
	return shift(&core->rng) * 0x2545f4914f6cdd1dull;
}

uint64_t sim_below(struct sim_core *core, uint64_t n)
{
	return (rnd(core) >> 11) % n;
}

uint64_t sim_between(struct sim_core *core, uint64_t lo, uint64_t hi)
{
	return lo + sim_below(core, hi - lo + 1);
}

bool sim_chance(struct sim_core *core, uint32_t pct)
{
	return pct && sim_below(core, 100) < pct;
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->ns != b->ns ? a->ns < b->ns : a->seq < b->seq;
}

void sim_push(struct sim_core *core, struct sim_heap *heap, struct sim_event e)
{
	uint32_t i;

	e.seq = ++core->seq;
	if (heap->n == heap->cap) {
		heap->cap = heap->cap ? heap->cap * 2 : 16;
		heap->e = realloc(heap->e, heap->cap * sizeof(*heap->e));
		if (!heap->e)
			abort();
	}
	for (i = heap->n++; i && before(&e, &heap->e[(i - 1) / 2]); i = (i - 1) / 2)
		heap->e[i] = heap->e[(i - 1) / 2];
	heap->e[i] = e;
}

struct sim_event sim_pop(struct sim_heap *heap)
{
	struct sim_event top = heap->e[0], e = heap->e[--heap->n];
	uint32_t i = 0, k;

	while ((k = 2 * i + 1) < heap->n) {
		if (k + 1 < heap->n && before(&heap->e[k + 1], &heap->e[k]))
			k++;
		if (!before(&heap->e[k], &e))
			break;
		heap->e[i] = heap->e[k];
		i = k;
	}
	heap->e[i] = e;
	return top;
}

uint64_t sim_new_id(struct sim_core *core, uint64_t truth, enum sim_id kind)
{
	uint64_t id = ++core->next_id, old = core->cap_ids;

	if (id >= core->cap_ids) {
		core->cap_ids = old ? old * 2 : 65536;
		core->truth = realloc(core->truth, core->cap_ids * sizeof(*core->truth));
		core->kind = realloc(core->kind, core->cap_ids);
		core->decided = realloc(core->decided, core->cap_ids);
		if (!core->truth || !core->kind || !core->decided)
			abort();
		memset(core->kind + old, 0, core->cap_ids - old);
		memset(core->decided + old, 0, core->cap_ids - old);
	}
	core->truth[id] = truth;
	core->kind[id] = (uint8_t)kind;
	return id;
}

double sim_pct(uint64_t part, uint64_t all)
{
	return all ? 100.0 * (double)part / (double)all : 0;
}

double sim_wrong_pct(const struct sim_result *r)
{
	return sim_pct(r->wrong + r->background_linked, r->calls + r->background);
}

void sim_add(struct sim_result *sum, const struct sim_result *r)
{
	sum->calls += r->calls;
	sum->right += r->right;
	sum->wrong += r->wrong;
	sum->orphan += r->orphan;
	sum->root += r->root;
	sum->background += r->background;
	sum->background_linked += r->background_linked;
	sum->undecided += r->undecided;
	sum->decided_twice += r->decided_twice;
}

uint32_t sim_dice(uint64_t *state, uint32_t n)
{
	return (uint32_t)((shift(state) >> 11) % n);
}
