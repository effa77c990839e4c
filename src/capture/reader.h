/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capture followed on a thread of its own, so that a busy machine does not make the rings overflow.
 *
 *	rings ◄─ reader thread (real-time priority: follows them, gives chunks, copies what waits too long)
 *	  └────► whoever reasons takes the records from the chunks
 *
 * On a machine with more to do than processors, a thread that reads and reasons got a twentieth of
 * one and the ring overflowed in two seconds; niceness does not help, because the scheduler shares
 * by group first. Following alone is under 1 % of a processor, so it may go before everything else.
 */
#pragma once

#include "capture/capture.h"

struct clew_reader;

/**
 * clew_reader_start() - begin; nobody else may look, poll or stop the capture from then on.
 * Returns 0, -ENOMEM, -EAGAIN (no thread).
 */
int clew_reader_start(struct clew_capture *c, struct clew_reader **ret);
/**
 * clew_reader_take() - clew_capture_take(), also the reader's own failure.
 * Returns the number of records, a negative errno from fn, or one that ended the reading.
 */
int clew_reader_take(struct clew_reader *r, int max, clew_record_fn fn, void *user);
/** clew_reader_targets_alive() - clew_capture_targets_alive(), a few milliseconds ago. */
uint64_t clew_reader_targets_alive(const struct clew_reader *r);
/** clew_reader_stop() - detach the capture and read what is left; take it then. */
void clew_reader_stop(struct clew_reader *r);
/** clew_reader_free() - stops if need be; the capture stays its owner's. Takes NULL. */
void clew_reader_free(struct clew_reader *r);
