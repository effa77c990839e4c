/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops that other threads give work. See loop.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/record.h"

struct clew_causality;
struct ctx;

#define MAX_TELLERS 4096 /* oldest first beyond it */

/** loop_woken() - a thread was woken by another one: was it a loop, by its eventfd or pipe? */
void loop_woken(struct clew_causality *c, const struct clew_rec_handoff *h);
/** loop_heard() - the loop has read what another thread of the process wrote to it. */
void loop_heard(struct ctx *ctx, uint64_t ns);
/** loop_takes_work() - it calls for those who tell it to, too. */
bool loop_takes_work(const struct ctx *ctx);
void loop_done(struct clew_causality *c);
