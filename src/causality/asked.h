/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: tasks that have a connection to themselves, who asks them and whom they tell. See asked.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/record.h"

struct clew_causality;
struct clew_exchange;
struct ctx;
struct node;
struct work;

/* One task woke another. */
void asked_woken(struct clew_causality *c, const struct clew_rec_handoff *h);
/**
 * asked_call() - the context is about to make this call. True: on a connection that may be all it is for. Then
 * the call is for whoever asked for it, and not for what the context read or was begun for.
 */
bool asked_call(struct ctx *ctx, struct node *call, const struct clew_exchange *x);
/* The context read the first of the call's response. raw: messages are not told apart on its connection. */
void asked_response(struct ctx *ctx, struct node *call, bool raw);
/* Is this evidence believed in the service of this call? */
bool asked_passes(const struct node *call);
void asked_forget_call(struct node *call);
void asked_forget_ctx(struct ctx *ctx);
