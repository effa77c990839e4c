/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is learned of a service: the figures of each source, for a process and those that were forked from it without
 * an exec.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "causality/alone.h"
#include "causality/causality.h"
#include "causality/completion.h"
#include "causality/model.h"
#include "causality/order.h"
#include "causality/taken.h"
#include "causality/told.h"
#include "causality/turn.h"

struct group {
	uint32_t refs;
	struct tally *tally;  /* NULL: none of its calls is decided yet */
	uint64_t answers;     /* first bytes of answers written */
	uint64_t foreign;     /* ... by a context that did not read the request */
	uint64_t mux_answers; /* ... by a context that does several things at once */
	uint64_t kept, given; /* ... read by contexts that work for one request at a time: by their
				 readers; by others */
	uint64_t
		alongside; /* ... by their readers, while other requests were open in the process */
	uint64_t strays; /* calls by contexts that serve, but had no request open, while others had
			  */
	uint64_t strays_lone; /* ... and that did not answer another one next that was there */
	uint64_t
		between; /* ... and also if they go on from the answer before, or no other is open */
	uint64_t self_calls; /* calls without cause by contexts that serve requests: timers */
	/* Calls with one request open, of its chain: awake and on the path; after a sleep. */
	uint64_t alone_awake, alone_slept;
	uint64_t reads;		 /* of loops */
	uint64_t reads_slept[2]; /* ... after a sleep; [1]: and a pause of GAP_NS */
	uint64_t beside, lone;	 /* awake: made in one stretch with a call on the path; alone */
	uint64_t off_calls[2];	 /* calls of loops whose response led to no answer; [1]: with
				    connect() */
	uint64_t off_slept[2];	 /* ... made after a sleep: what a timer's own calls look like */
	uint64_t links[CLEW_LINK_ORPHAN + 1]; /* its calls, by enum clew_link_class */
	struct bucket buckets[N_BUCKETS];
	struct bucket done[N_DONE];		 /* completions: was the request there? */
	uint64_t done_one, done_many, done_none; /* requests, by who woke their owners */
	uint64_t wakes_one,
		wakes_two; /* tasks, by whether their worker woke two requests' owners */
	uint64_t idle_clean, idle_dirty; /* stretches of workers that then went idle */
	struct ends ends[2];		 /* [1]: where the worker writes the answer */
	struct order order;
	struct taken taken;
	struct alone alone;
	struct turn_score turns[N_TURNS];
	uint64_t coalesced; /* answers by who was told of another's call */
	struct told_stats told[N_SCALES];
	uint64_t far;	      /* answers that were told of no own response */
	struct bucket forked; /* threads that were begun for a request: did they answer it? */
	uint64_t
		task_mixed; /* answers by a task to a request that waited while it answered another */
	uint64_t task_answers; /* by a runtime's task that did not read the request itself */
	uint64_t task_hits;    /* calls of a task that then answered a request that was there */
	uint64_t task_misses;  /* ... a request that came after the call */
};

/* What came of a group's calls, for the report. */
struct tally {
	struct tally *prev, *next; /* all, oldest first */
	struct clew_causality *c;
	const struct group *group;
	uint32_t tgid; /* of the process that called last: the first may be forgotten by now */
	uint64_t proc_start_ns;
	uint64_t settled[CLEW_EV_N_FOR];
	uint64_t orphaned[CLEW_N_ORPHAN_WHY];
};

/* checkpoint.c */
void checkpoint_answer(struct clew_causality *c, struct ctx *ctx, struct node *req, bool slept);

/* report.c */
/* A call of a known context was decided so. */
void report_link(struct clew_causality *c, const struct node *call, const struct clew_link *l);
/* The group is about to be freed. */
void report_gone(struct group *g);
