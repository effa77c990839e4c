/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer tells whether what was thought of the calls before it is right. See checkpoint.c.
 */
#pragma once

#include <stdbool.h>

struct clew_causality;
struct ctx;
struct node;

/* The context begins the answer; slept: since it read last. */
void checkpoint_answer(struct clew_causality *c, struct ctx *ctx, struct node *req, bool slept);
