/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the simulators share: chance, events in the order of their time, and the true cause of each
 * call, which the engine's decisions are held against. Deterministic: a seed gives one run.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "causality/causality.h"

#define US 1000ull
#define MS 1000000ull

struct sim_result {
	uint64_t calls; /* made for a request */
	uint64_t right, wrong, orphan, root;
	uint64_t background, background_linked;
	uint64_t decided_twice, undecided;
	uint64_t ops;
	double ns_per_op;
	uint64_t order; /* hash over the decisions in their order */
	struct clew_causality_stats stats;
};

struct sim_event {
	uint64_t ns, seq;
	int kind;
	uint32_t who;
	void *what;
};

/* The earliest first; those of the same time in the order in which they were pushed. */
struct sim_heap {
	struct sim_event *e;
	uint32_t n, cap;
};

/* What an id stands for. */
enum sim_id {
	SIM_REQUEST,
	SIM_CALL,	/* made for the request that is its truth */
	SIM_BACKGROUND, /* for no request: any link is wrong */
	SIM_AFTER, /* for a request that need not wait for it: that one, an orphan or a root are all true */
};

struct sim_core {
	struct clew_causality *c;
	struct sim_result *res;
	uint64_t now, rng, seq, next_id;
	uint64_t *truth; /* by id */
	uint8_t *kind;	 /* enum sim_id */
	uint8_t *decided;
	uint64_t cap_ids;
};

/* Makes the engine too; clears *res, which must live as long as core. */
void sim_core_begin(struct sim_core *core, uint64_t seed, struct sim_result *res);
/* Ends what is open, completes the result, frees the engine and the tables. */
void sim_core_end(struct sim_core *core);

uint64_t sim_below(struct sim_core *core, uint64_t n);
uint64_t sim_between(struct sim_core *core, uint64_t lo, uint64_t hi);
bool sim_chance(struct sim_core *core, uint32_t pct);

void sim_push(struct sim_core *core, struct sim_heap *heap, struct sim_event e);
struct sim_event sim_pop(struct sim_heap *heap);

uint64_t sim_new_id(struct sim_core *core, uint64_t truth, enum sim_id kind);

/* ---- what tests make of results ---- */

double sim_pct(uint64_t part, uint64_t all);
/* Of all calls, the background's included. */
double sim_wrong_pct(const struct sim_result *r);
/* Calls, links and mistakes of r are added. */
void sim_add(struct sim_result *sum, const struct sim_result *r);
/* 0 to n - 1; *state begins as anything but 0. */
uint32_t sim_dice(uint64_t *state, uint32_t n);
