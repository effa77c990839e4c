/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: by when a pool had taken a request, at the latest. See taken.c.
 */
#pragma once

#include <stdint.h>

#include "causality/group.h"

struct group;
struct node;

#define N_SPANS 4 /* calls of a request that are remembered here, the first ones */

/* By when a request was taken. */
struct latest {
	uint64_t place;
	uint64_t by_ns[N_TAKEN_BOUNDS];
	uint64_t born_ns;   /* it was read */
	uint64_t queued_ns; /* ... and queued by then */
	uint64_t taken_ns;  /* by its worker, at the earliest */
	uint32_t n_spans;
	struct {
		uint64_t born_ns, ended_ns;
	} spans[N_SPANS];
};

/* A worker was done with the request at done_ns; its calls are charged. order_taken() knows of it. */
void taken_over(struct node *req, uint64_t done_ns);
/* The request was answered long enough ago: to be called before order_settle(). */
void taken_settle(struct node *req);
/* The expected share of wrong links among calls that ended, as this one, after their request was taken at the latest. */
double taken_wrong(const struct group *g, const struct node *call);
