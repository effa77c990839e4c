/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: workers that tell a loop of their ends. See relay.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/record.h"
#include "causality/model.h"

struct clew_causality;
struct ctx;
struct node;

/* Connections inside a process are remembered. */
void relay_conn(struct clew_causality *c, const struct clew_rec_conn *rec);
void relay_io(struct clew_causality *c, const struct clew_rec_io *io);
/* Returns whether the thread tells of its ends: the task that it runs is a copy that answers nothing. */
bool relay_call(struct clew_causality *c, const struct clew_rec_io *io, struct node *call);
void relay_answer(struct clew_causality *c, const struct clew_rec_io *io, struct node *req);
void relay_done(struct clew_causality *c);
enum verdict relay_verdict(const struct node *call, double *ret_wrong);
void relay_forget_ctx(struct ctx *ctx);
