/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: who made what a thread works on. See heap.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/record.h"
#include "causality/model.h"

struct clew_causality;
struct clew_link;
struct ctx;
struct group;
struct heap_names;
struct heap_rooms;
struct heap_slots;
struct heap_thread;
struct node;
struct proc;

void heap_record(struct clew_causality *c, const struct clew_rec_heap *h);
void heap_moved(struct clew_causality *c, const struct clew_rec_moved *m);
/* ctx has read the request, calls, or begins the answer: io is the operation. */
void heap_read(struct clew_causality *c, struct ctx *ctx, struct node *req,
	       const struct clew_rec_io *io);
void heap_call(struct clew_causality *c, struct ctx *ctx, struct node *call,
	       const struct clew_rec_io *io);
void heap_answer(struct clew_causality *c, struct ctx *ctx, struct node *req,
		 const struct clew_rec_io *io);
/* The call's response is being read. */
void heap_response(struct node *call);
/*
 * The request that what it works on was made for, if that is believed; NULL if not. *ret_tested: answers, or other
 * evidence, tell so. VERDICT_WAIT: more will tell.
 */
enum verdict heap_verdict(struct node *call, struct node **ret_req, double *ret_wrong,
			  bool *ret_tested);
/* ... if it is not believed: the likely one. */
struct node *heap_guess(const struct node *call);
/* Other evidence names req: is it thought that it was made for another one? */
bool heap_speaks_against(struct node *call, const struct node *req);
/* Another source is certain that the call is for req. */
void heap_test(const struct node *call, const struct node *req);
void heap_forget_call(struct node *call);
void heap_forget_ctx(struct ctx *ctx);
