/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is in an event loop: what contexts, calls and requests keep for it. See turn.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "causality/group.h"
#include "causality/model.h"

struct clew_causality;
struct ctx;
struct group;
struct node;

/* In all of these the context is a thread's. */
void turn_request_read(struct clew_causality *c, struct ctx *ctx, struct node *req);
/* whole: what was read is all of the response, as far as can be told; failed: it says so (5xx). */
void turn_response_read(struct ctx *ctx, struct node *call, bool whole, bool failed);
void turn_call_ended(struct node *call);
/* A call is born: it has the names that were taken at its connect(), or those of now. */
void turn_born(struct ctx *ctx, struct node *call);
/* connect() was called: takes references to those whose turn it is. */
void turn_connect(struct ctx *ctx, struct node *named[N_TURNS]);
void turn_names_clear(struct node *named[N_TURNS]);
void turn_answered(struct ctx *ctx, struct node *req);
/* The context has slept before this operation, which reads or writes. */
void turn_slept(struct ctx *ctx, bool reads);
void turn_request_ended(struct node *req);
void turn_forget(struct node *n);
/* Records of the context were lost, or it is gone. */
void turn_lose(struct ctx *ctx);
/* Whom the call is for, whether the answers' order says so too, and the expected share of wrong links. */
enum verdict turn_verdict(const struct node *call, struct node **ret_req, bool *ret_order,
			  double *ret_wrong);

/* The rule that passes, if one does, in words. */
const char *turn_model(const struct group *g, const struct turn_score **ret_score);
