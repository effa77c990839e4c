/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: completion, what contexts, calls and requests keep for it. See completion.c.
 */
#pragma once

#include <stdbool.h>

#include "abi/record.h"
#include "causality/model.h"

struct clew_causality;
struct ctx;
struct node;

/* The context makes this call; a worker's without an owner waits to be claimed. */
void completion_call(struct ctx *ctx, struct node *call);
/* One task woke another (asked.c). */
void completion_told(struct clew_causality *c, struct ctx *from, struct ctx *to);
/* One thread woke another: a worker's task may be over. */
void completion_wake(struct clew_causality *c, const struct clew_rec_handoff *h);
/* The context begins the answer: what workers did for it is claimed (completion_claim.c). */
void completion_answer(struct clew_causality *c, struct ctx *ctx, struct node *req);
/* The context has read a request: what it did for others is over. */
void completion_serves(struct clew_causality *c, struct ctx *ctx);
/* The ends of its tasks have been claimed, or it goes. */
void completion_forget_request(struct node *req);

/* completion_verdict.c: are completions believed in this service? The expected share of wrong links in *ret_wrong. */
enum verdict completion_verdict(const struct node *call, double *ret_wrong);
void completion_forget_ctx(struct ctx *ctx);
