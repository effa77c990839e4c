/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capture read on a thread of its own, so that a busy machine does not make the ring overflow.
 *
 *	ring ─► reader thread (real-time priority, only copies) ─► chunks, bounded ─► whoever
 * reasons
 *
 * On a machine with more to do than processors, a thread that reads and reasons got a twentieth of
 * one and the ring overflowed in two seconds; niceness does not help, because the scheduler shares
 * by group first. Copying alone is about 1 % of a processor, so it may go before everything else.
 */
#pragma once

#include "capture/capture.h"

/* Bytes that wait to be taken; beyond it the newest records are shed and counted. */
#define CLEW_READER_QUEUE_BYTES (256u << 20)

struct clew_reader;

/**
 * clew_reader_start() - begin to read; nobody else may poll or stop the capture from then on.
 * Returns 0, -ENOMEM, -EAGAIN (no thread).
 */
int clew_reader_start(struct clew_capture *c, struct clew_reader **ret);
/**
 * clew_reader_take() - hand over what has been read, in order; never blocks.
 * Returns the number of records, a negative errno from fn, or one that ended the reading.
 */
int clew_reader_take(struct clew_reader *r, clew_record_fn fn, void *user);
/** clew_reader_targets_alive() - clew_capture_targets_alive(), a few milliseconds ago. */
uint64_t clew_reader_targets_alive(const struct clew_reader *r);
/** clew_reader_stop() - detach the capture and read what is left; take it then. */
void clew_reader_stop(struct clew_reader *r);
/** clew_reader_shed() - records that were not handed over because the queue was full. */
uint64_t clew_reader_shed(const struct clew_reader *r);
/** clew_reader_free() - stops if need be; the capture stays its owner's. Takes NULL. */
void clew_reader_free(struct clew_reader *r);
