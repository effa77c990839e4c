/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: goroutines that were let go on by another one. See told.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct clew_causality;
struct ctx;
struct node;
struct proc;

/* To be called before the call's resp_seen is set. */
void told_response(struct ctx *ctx, struct node *call);
/* flags: the record's. */
void told_answer(struct clew_causality *c, struct ctx *ctx, struct node *req, uint16_t flags);
/* The call is about to be decided: is it shared? */
void told_decide(struct node *call);
/* ... or may it still turn out to be? */
bool told_waits(const struct node *call);
void told_forget(struct proc *p);
