/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that are made while one request is open in the process, in a service that is idle most of the time: alone.c. */
#pragma once

#include "causality/model.h"

struct clew_causality;
struct node;
struct proc;

#define ALONE_GAP_NS 1000000000ull

/** alone_tick() - the time till now is counted; before the number of open requests changes, too. */
void alone_tick(struct proc *p, uint64_t now_ns, bool changes);
/** alone_call() - a call was born. */
void alone_call(const struct node *call);
/**
 * alone_verdict() - was it made for the only request that was open? To be asked when nothing more is waited for.
 * PASS, with the expected share of wrong links in *ret_wrong, or FAIL.
 */
enum verdict alone_verdict(struct clew_causality *c, const struct node *call, double *ret_wrong);
