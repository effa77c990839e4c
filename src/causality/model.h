/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hypotheses are scored with, and the one that a call belongs to what its context read last: model.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct group;

/* The longest share of wrong links that a rule may be expected to make. */
#define MAX_WRONG 0.001

/* What is known of a hypothesis: it is believed, more will tell, it is wrong. */
enum verdict { VERDICT_PASS, VERDICT_WAIT, VERDICT_FAIL };

/* One hypothesis for one kind of stretch: how often did it name the request that was then answered? */
struct bucket {
	uint64_t hits, misses;
	uint32_t bits; /* how unlikely the hits since the last miss are, if they are accidents */
	double chance; /* sum over all checkpoints: how likely a random name would have been a hit
			*/
	double false_hits; /* sum over the misses of the hits by accident that go with a miss */
	double info;	   /* bits against the hits being accidents all of them */
};

/* How a stretch of work was: kept apart, because each is right or wrong in its own measure. */
enum stretch {
	STRETCH_SLEPT =
		1 << 0, /* the context slept somewhere between a read and what it did next */
	STRETCH_CONNECT = 1 << 1, /* a call in it was born with connect() */
};
#define N_BUCKETS 4

void model_hit(struct bucket *b, uint32_t n);
void model_miss(struct bucket *b, uint32_t n);
/* The share of wrong links among hits that are borne out by nothing else. */
double model_wrong(const struct bucket *b);
/* Both: expected share of wrong links in *ret_wrong. */
enum verdict model_on_path(const struct group *g, uint8_t stretch, double *ret_wrong);
enum verdict model_off_path(const struct group *g, uint8_t stretch, double *ret_wrong);
enum verdict model_sequential(const struct group *g, bool *ret_mature);
/* Something speaks against that: where it has to be decided now, it fails. */
bool model_in_doubt(const struct group *g);
void model_read(struct group *g, bool slept, bool paused);
void model_off_call(struct group *g, uint8_t stretch, bool beside);
enum verdict model_beside(const struct group *g, uint8_t stretch, double *ret_wrong);
/* Work is done by contexts that did not read its request. */
bool model_moves(const struct group *g);
bool model_no_timers(const struct group *g);
/** model_may_be_timers() - too many of the loops' calls that led to no answer may be timers' own. */
bool model_may_be_timers(const struct group *g, uint8_t stretch);
/** model_calls_awake() - whether calls that follow what was read without a sleep are no rarity. */
bool model_calls_awake(const struct group *g);
/* Contexts that seem to work for one request at a time may be loops, whose timers call. */
bool model_maybe_loop(const struct group *g);
