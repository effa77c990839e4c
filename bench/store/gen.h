/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans of a realistic shape, the same for the same seed: traces of a shop of twelve services, 10
 * spans each on average, both ends of each call, about 8 attributes a span; some values common,
 * some rare, one unique to each request.
 */
#pragma once

#include "store/store.h"

struct gen {
	uint64_t state;	   /* of the random numbers */
	uint64_t start_ns; /* of the first trace */
	uint64_t step_ns;  /* between traces, on average */
	uint64_t traces;   /* made so far */
	struct clew_resource *resources[36];
};

#define GEN_SERVICES  12
#define GEN_INSTANCES 3
#define GEN_MAX_SPANS 64

void gen_init(struct gen *g, uint64_t seed, uint64_t start_ns, uint64_t step_ns);
void gen_done(struct gen *g);
/** gen_trace() - the next trace's spans, at most GEN_MAX_SPANS. Returns how many; 0 without memory.
 */
size_t gen_trace(struct gen *g, struct clew_span **spans);
/** gen_trace_id() - of the nth trace, n from 0. */
struct clew_id128 gen_trace_id(uint64_t n);
/** gen_order() - the value of shop.order.id in the nth trace; unique. out takes 24 bytes. */
const char *gen_order(uint64_t n, char *out);
