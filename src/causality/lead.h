/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: who woke an idle worker. See lead.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "causality/model.h"

struct clew_causality;
struct ctx;
struct done;
struct group;
struct lead;
struct node;
struct proc;

#define MAX_HOPS 64 /* workers that wake workers that ... */

/* from wakes to, which may be idle. */
void lead_wake(struct clew_causality *c, const struct ctx *from, struct ctx *to);
/* The worker's task is over. */
void lead_over(struct ctx *w);
/* The worker makes this call: it has the worker's lead. */
void lead_call(struct ctx *w, struct node *call);
/* References; both take NULL. */
struct lead *lead_get(struct lead *l);
void lead_put(struct lead *l);
/* The worker was woken for this request when it called. */
bool lead_is(const struct node *call, const struct node *req);
/* A task of n calls has ended that is claimed for req. */
void lead_ended(const struct done *d, const struct node *first, uint32_t n, struct node *req);
/*
 * It ended with this lead, after call seq: all that had the lead, and what those called who had woken the worker, and
 * were woken for req, is for req too.
 */
void lead_follow(struct clew_causality *c, struct lead *l, uint64_t seq, struct node *req);
/* All tasks that are known of an answered request are claimed. */
void lead_answered(struct node *req);
/* The worker with this lead writes the answer; called: it is one of those that call, too. */
void lead_answers(const struct lead *l, bool called, const struct node *req);
/* Tasks of this service usually begin with a wake-up by their request, and never did any of who called. */
bool lead_stranger(const struct node *call);
/* PASS: the call is for the request that its worker was woken for, and that its task's end named, too. */
enum verdict lead_verdict(const struct node *call, double *ret_wrong);
void lead_forget_call(struct node *call);
void lead_forget_ctx(struct ctx *ctx);
void lead_forget_woken(struct proc *p);
