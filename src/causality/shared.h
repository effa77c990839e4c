/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that several requests share. See shared.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ctx;
struct node;
struct sharers;

/* The context makes this call; raw: messages are not told apart on its connection. */
void shared_born(struct ctx *ctx, struct node *call, bool raw);
/* More bytes of the call's request, on such a connection. */
void shared_written(struct ctx *ctx, struct node *call);
/* The call may be for one of these too, as far as they still wait for their answers. */
void shared_with(struct node *call, const struct sharers *with);
/* Its response is there: those that did not wait for it have no part in it. */
void shared_answered(struct node *call);
/* Adds the request, and what waits of those in from, to *s, which is made where it is needed. */
void sharers_add(struct sharers **s, struct node *req, const struct sharers *from);
void sharers_free(struct sharers *s);
void shared_forget_call(struct node *call);
void shared_forget_ctx(struct ctx *ctx);
