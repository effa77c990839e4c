/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: others wait for a call. See coalesce.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct clew_causality;
struct ctx;
struct node;

void coalesce_wake(struct clew_causality *c, struct ctx *from, struct ctx *to, uint64_t key);
/* The context answers its request, or calls: what it waited for is over. */
void coalesce_answer(struct clew_causality *c, struct ctx *ctx, struct node *req);
void coalesce_call(struct clew_causality *c, struct ctx *ctx, const struct node *next);
/* Others may still turn out to share the call. */
bool coalesce_waits(const struct node *call, bool settled);
void coalesce_forget_call(struct node *call);
void coalesce_forget_ctx(struct ctx *ctx);
