/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: the order in which a pool takes its work. See order.c.
 */
#pragma once

#include <stdint.h>

struct mark;
struct node;
struct order;

/* A request was taken by a worker. */
struct take {
	uint64_t place, ns;
	uint64_t born_ns, done_ns; /* the request was read; its worker was done */
	uint64_t queued_ns;	   /* it was queued by then */
	uint32_t read_tid;	   /* by this thread; 0: a task */
	uint32_t doubts;	   /* earlier ones that were taken later */
};

/* By when the request had been queued by who read it, surely. */
uint64_t order_queued(const struct node *req);
/* The worker that took the request had finished what it did before at m, or was woken then. */
void order_taken(struct node *req, const struct mark *m, uint64_t done_ns);
/* The request was answered long enough ago: to be called before its calls are decided. */
void order_settle(struct node *req);
/* The share of stretches that begin with work that nobody waits for, an upper bound. */
double order_others(const struct order *o);
/* The expected share of wrong links among calls like this one. */
double order_wrong(const struct order *o, const struct node *call);
