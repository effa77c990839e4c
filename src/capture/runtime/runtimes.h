/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that finds out which runtimes processes run: for capture.c. See runtimes.c and, for how it is found out,
 * runtime.h.
 */
#pragma once

#include <stdbool.h>

#include "bpf/clew.h"
#include "capture/capture.h"

struct runtimes;

/** runtimes_new() - starts the thread. 0, -ENOMEM, -EAGAIN. */
int runtimes_new(struct clew_capture *c, const struct clew_runtime_opts *opts,
		 struct runtimes **ret);
/** runtimes_process() - a process was seen, has exec'd or was forked: look at it soon. Never blocks. */
void runtimes_process(struct runtimes *r, const struct clew_rec_thread *t);
/** runtimes_heap() - a heap record is handed out: was there a collection? Called by who takes records. Never blocks. */
void runtimes_heap(struct runtimes *r, const struct clew_rec_heap *h);
/** runtimes_settled() - was every process that we heard of looked at once? Any thread may ask. */
bool runtimes_settled(struct runtimes *r);
/** runtimes_take() - hand out records that became ready. Returns 0 or what fn returned below 0. */
int runtimes_take(struct runtimes *r, clew_record_fn fn, void *user);
/** runtimes_stop() - end the thread, detach the probes. */
void runtimes_stop(struct runtimes *r);
void runtimes_stats(struct runtimes *r, struct clew_capture_stats *ret);
/** runtimes_free() - takes NULL. */
void runtimes_free(struct runtimes *r);
