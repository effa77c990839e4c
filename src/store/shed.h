/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of captured spans when the store cannot keep up: whole traces are left out, drawn by the hash of
 * their id, so that those that are kept are whole.
 *
 *	kept: all ──the queue is 3/4 full──► 1/2 ──again──► 1/4 ...      what is not kept leaves the queue, too
 *	      all ◄──── more every second while it is less than 1/4 full
 *
 * A trace goes on as it began: those that were written and those that were left out lately are remembered (from
 * when the queue is 1/4 full). Only where nothing else is left the newest spans are dropped, of whatever trace: it is
 * cut, which is noted in the catalog (`shed`) and told with the trace.
 *
 * Spans that somebody waits for (clew_store_append_durable()) are never left out; they are refused when the queue
 * is full.
 *
 * Limits: SHED_TRACES in each of six sets, beyond which a trace may be counted twice, or be kept in part;
 * SHED_CUTS that wait for the catalog (stats: cut_untold).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"

/* The queue is so full when fewer traces are kept. */
#define SHED_PERMILLE 750u
#define SHED_TRACES   (1u << 16)
#define SHED_CUTS     4096u

/* Hashes of traces, open addressing; 0: empty. */
struct shed_set {
	uint32_t *slots;
	uint32_t n;
};

struct shed_cut {
	struct clew_id128 trace_id;
	uint32_t spans;
};

/* Under queue_lock. */
struct shed {
	uint32_t threshold; /* traces whose hash is less are left out; 0: none */
	bool watching;	    /* the sets are kept */
	struct shed_set written[2], left_out[2], cut[2]; /* the newer ones first */
	uint64_t turned_ns;				 /* when the newer ones were begun */
	uint64_t changed_ns;				 /* ... the threshold was changed */
	uint64_t busy_ns;		  /* when the queue was last more than a quarter full */
	uint64_t said_spans, said_traces; /* left out before this time of need */
	struct shed_cut *cuts;
	size_t n_cuts;
};

struct clew_store;
struct clew_span;

enum shed_fate {
	SHED_KEEP,
	SHED_NEW,   /* leave it out, the first one of its trace */
	SHED_AGAIN, /* ... not the first one */
};

/** shed_fate() - of a span of this trace. */
enum shed_fate shed_fate(struct shed *s, uint32_t hash);
/** shed_written() - a span of this trace is on its way to the disk. */
void shed_written(struct shed *s, uint32_t hash);
/** shed_cut() - a span of a trace that is kept is dropped; it is noted, unless told is false. True: the first one
 * of its trace. */
bool shed_cut(struct shed *s, const struct clew_id128 *trace_id, uint32_t hash, bool *ret_told);
/** shed_raise() - keep half as many traces. False: it was done just now, or there is no use any more. */
bool shed_raise(struct shed *s, uint64_t now, bool full);
/** shed_busy() - the queue is permille full: begin to watch, if it is time. True: it has begun just now. */
bool shed_busy(struct shed *s, uint64_t now, uint32_t permille);
/** shed_calm() - the queue is permille full: keep more, stop watching. True: all are kept again, just now. */
bool shed_calm(struct shed *s, uint64_t now, uint32_t permille);
/** shed_kept() - the part of traces that is kept, 0 to 1. */
double shed_kept(const struct shed *s);
void shed_done(struct shed *s);
