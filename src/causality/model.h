/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hypotheses are scored with, and the one that a call belongs to what its context read last: model.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bucket;
struct group;

/* The longest share of wrong links that a rule may be expected to make. */
#define MAX_WRONG 0.001

/* What is known of a hypothesis: it is believed, more will tell, it is wrong. */
enum verdict { VERDICT_PASS, VERDICT_WAIT, VERDICT_FAIL };

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
/* A call of a loop that led to no answer. explained: it does not stand alone, or is another attempt. */
void model_off_call(struct group *g, uint8_t stretch, bool beside, bool explained);
/*
 * A call that was made in one stretch with one on the path was answered only after their request, which made so many
 * calls on the path from then on.
 */
void model_late(struct group *g, uint32_t rest);
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
