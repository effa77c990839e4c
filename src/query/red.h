/* SPDX-License-Identifier: Apache-2.0 */
/* What rates, errors and durations of different calls share. */
#pragma once

#include "query/call.h"
#include "store/latency.h"

#define RED_REQUESTS (1u << CLEW_KIND_SERVER | 1u << CLEW_KIND_CONSUMER)
/* Rows of an answer; the most deviating services, the most frequent operations. */
#define RED_DEFAULT_ROWS 200

/** red_buckets() - the parameter of that name as the step of a query whose times are set. */
int red_buckets(struct call *c, struct clew_red_query *rq);
/**
 * red_steps() - how many steps a query's answer has. Rounding to minutes makes them longer and the window a
 * little: never two more than before.
 */
uint32_t red_steps(const struct clew_red_query *rq);
/** red_rate() - a second. */
double red_rate(uint64_t n, uint64_t since_ns, uint64_t until_ns);
/** red_quantile() - of counts by latency. */
uint64_t red_quantile(const uint32_t *counts, double q);
/** red_put_number() - four digits are enough for people and for sorting. */
void red_put_number(struct clew_buf *b, const char *before, double v);
/** red_put_window() - "{", the times and the step. */
void red_put_window(struct clew_buf *b, const struct clew_red_query *rq);
