/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ends of workers' tasks, as completion.c sees them and completion_claim.c uses them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct clew_causality;
struct ctx;
struct mark;
struct node;

/* Its last call waits for its response. */
bool mark_in_call(const struct ctx *ctx);
/* It calls for requests that others read. */
bool mark_is_worker(const struct ctx *ctx);
/* The request that this context read and waits to answer, or NULL. */
struct node *mark_owned(const struct ctx *ctx);
/* The worker woke req's owner (NULL: was woken itself), on this futex (0: by other means). false: no memory. */
bool mark_add(const struct clew_causality *c, struct ctx *w, struct node *req, uint64_t key);
/* Does it end a task? What has been learned to be a lock does not. */
bool mark_counts(struct clew_causality *c, const struct ctx *w, const struct mark *m);
/* If its last call was for another request, that was perhaps for both. */
void mark_several(struct ctx *w, const struct node *req);
