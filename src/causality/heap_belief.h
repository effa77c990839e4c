/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is believed of the places in the stacks where objects stand. See heap_belief.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct group;
struct heap_name;
struct heap_names;
struct node;
struct proc;

/* What names told, as far as it is believed. */
struct heap_belief {
	struct node *req; /* NULL: nothing. Borrowed */
	double wrong;	  /* the share of such links that is */
	bool tested;	  /* answers, or other evidence, bear it out */
	bool wait;	  /* more will tell */
};

/* All that stand in places which are believed have to name the same request. */
struct heap_belief heap_believe(struct group *g, const struct heap_names *names);
/*
 * What stood there at the thread's call before still does. same_callers: so does all that stands nearer to the stack's
 * end; else the frame is another call's, and what it did not write itself is of before.
 */
void heap_still_there(struct group *g, const struct heap_names *last, uint32_t which,
		      struct heap_name *now, bool same_callers);
/* Does what stands in that place name requests often? */
bool heap_place_known(struct group *g, const struct heap_name *n);
/* The request that is named where names were nearly always right, if it is one; NULL if not. It makes no link. */
struct node *heap_opinion(struct group *g, const struct heap_names *names);

/* It is known that what they tell of is for req: did they name that? */
void heap_learn_request(const struct heap_names *names, const struct node *req);
/* The response has come: requests that are named are open, at the latest until now. */
void heap_learn_response(const struct proc *p, struct heap_names *names);
/*
 * What stood there at a thread's call before, at its next: still says of each whether it is there again. If it is, and
 * its request is over, it is the thread's own, or was left there by what ran before.
 */
void heap_learn_next(struct group *g, const struct heap_names *before, const bool *still);
void heap_forget_group(struct group *g);
