/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a call's link is decided. See decide.c.
 */
#pragma once

struct clew_causality;
struct node;

/* A call is known: from now on its link will be decided, once. */
void decide_begun(struct clew_causality *c, struct node *call);
/* It is over: it may have been the last that its request waited for. */
void decide_call_ended(struct clew_causality *c, struct node *call);
/* Its answer is written: what its calls led to is known. */
void decide_request_ended(struct clew_causality *c, struct node *req);
/* All that has waited long enough till now. */
void decide_due(struct clew_causality *c);
/* Tracing ends: all as things stand. */
void decide_all(struct clew_causality *c);
