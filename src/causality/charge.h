/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request that a call is charged to. See charge.c.
 */
#pragma once

#include "causality/node.h"

/** charge_born() - the call is born: it waits with its owner's others, or, without one, with the loose ones. */
void charge_born(struct clew_causality *c, struct node *call);
/** charge_call() - a call without an owner is the request's; nothing happens where it has one, or is decided. */
void charge_call(struct clew_causality *c, struct node *call, struct node *req, enum claim how);
/** charge_enqueue() - the request is over and has undecided calls: the queue that it waits in; NULL: none any more. */
void charge_enqueue(struct node *req, struct node **queue);
