/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: the order in which a pool takes its work. See order.c.
 */
#pragma once

#include <stdint.h>

struct mark;
struct node;

#define MAX_SCORE 64
#define N_CLEAR	  2

/* What the order in which requests were taken tells. */
struct order {
	uint32_t trials[MAX_SCORE], n; /* by their score; all */
	uint32_t first, first_bad;     /* first calls; those that seem to be other work */
	uint64_t in_favour, against;   /* takes in trials */
	/* First calls while somebody took something; [1]: two. Those that are other work. */
	uint32_t clear[N_CLEAR], clear_bad[N_CLEAR];
};

/* A request was taken by a worker. */
struct take {
	uint64_t place, ns;
	uint64_t born_ns, done_ns; /* the request was read; its worker was done */
	uint32_t doubts;	   /* earlier ones that were taken later */
};

/* The worker that took the request had finished what it did before at m, or was woken then. */
void order_taken(struct node *req, const struct mark *m, uint64_t done_ns);
/* The request was answered long enough ago: to be called before its calls are decided. */
void order_settle(struct node *req);
/* The share of stretches that begin with work that nobody waits for, an upper bound. */
double order_others(const struct order *o);
/* The expected share of wrong links among calls like this one. */
double order_wrong(const struct order *o, const struct node *call);
