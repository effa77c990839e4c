/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: completion, what contexts, calls and requests keep for it. See completion.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/record.h"
#include "causality/model.h"

struct clew_causality;
struct ctx;
struct node;

#define N_STRETCH 16 /* calls in a stretch, the last one: so many or more */
#define N_LATE	  4
#define MAX_MARKS 16 /* of a worker, the latest */
#define MAX_DONE  8  /* wake-ups of a request's owner, the latest */

/* How a task was seen to end. */
enum done_by {
	DONE_ONE,   /* one worker woke the one who answered */
	DONE_MANY,  /* several did */
	DONE_SELF,  /* the worker answered */
	DONE_BORN,  /* ... a thread that was begun for that request */
	DONE_RELAY, /* the worker told a loop of it, which answered: see relay.c */
	N_DONE,
};

/* Stretches of workers up to such an end: see completion.c. */
struct ends {
	uint64_t stretches[N_STRETCH]; /* by their calls */
	uint64_t n, merged_at;	       /* all; when the next ones were computed */
	double merged;
	uint32_t merged_k;
	uint64_t over, same;
	uint64_t begun, begun_empty; /* those after an end that was seen; ... without a call */
	uint64_t woken, woken_empty; /* those after a wake-up that followed a call */
	struct bucket over_there;    /* was the request there before the call before that? */
	/* Where the end before was seen, what calls came after: see again_wrong(). */
	uint64_t calls[2];   /* [1]: that failed */
	uint64_t at_once[2]; /* ... and that another one followed at once, in the stretch */
	uint64_t late
		[N_LATE]; /* ... that failed, and that one followed later than 2, 4, 8, 16 ms after */
	uint64_t first_late[N_LATE], quick; /* first calls, so late after that end; at once */
};

/* The end of a worker's task, as far as it was seen; or it was woken. */
struct mark {
	uint64_t seq; /* the last call before it */
	uint64_t key;
	uint64_t ns;
	uint64_t call_born_ns; /* of the last call before it */
	struct node *req;      /* whose owner it woke; NULL: it was woken itself */
	bool dirty; /* ... after a call that no completion had followed: idle, or at a lock? */
};

/* A worker woke the owner of a request. */
struct done {
	struct ctx *by;
	uint64_t mark; /* the worker's */
	uint64_t key;
	bool counts;
};

void completion_call(struct ctx *ctx, struct node *call);
void completion_wake(struct clew_causality *c, const struct clew_rec_handoff *h);
void completion_answer(struct clew_causality *c, struct ctx *ctx, struct node *req);
/* The context has read a request: what it did for others is over. */
void completion_serves(struct clew_causality *c, struct ctx *ctx);
void completion_forget_call(struct node *call);
void completion_forget_ctx(struct ctx *ctx);
void completion_forget_request(struct node *req);

/* completion_verdict.c: are completions believed in this service? */
enum verdict completion_verdict(const struct node *call, double *ret_wrong);
