/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assembly: exchanges and links become traces.
 *
 * Each exchange is a node. A server's node hangs from the client's node of the same wire key, a
 * client's node from the server's node that its link names; so a trace is a tree of alternating
 * roles:
 *
 *	S1 ── root: nobody that we saw asked it
 *	├── C1 ── link: S1          (causality)
 *	│   └── S2 ── same wire key (both ends of one exchange)
 *	└── C2
 *
 * A node is *resolved* when its place is final: then its trace's id is known. Roots resolve first,
 * the rest follows downwards. A node that is resolved and has ended is handed out as a span.
 *
 * A trace is told as a whole (on_trace) when its root's node is given up: then all links below it
 * are in.
 *
 * Waits, all in record time: a server's node waits PEER_WAIT_NS after its end for its other side,
 * and resolves as a root OPEN_WAIT_NS after its begin even if it is still open (streams, long
 * polls); an orphan's span waits ORPHAN_WAIT_NS so that the traces of its candidates are known; a call
 * that carries the header of a request is decided by it HEADER_WAIT_NS after its end, if nothing else did; a
 * node is kept KEEP_NS after its end, so that links which come late still find it.
 */
#pragma once

#include "causality/causality.h"
#include "identity/identity.h"
#include "model/span.h"
#include "pipeline/pipeline.h"
#include "span/span_build.h"

/* Nodes held at once; beyond it exchanges are not made into spans, and counted. */
#define CLEW_ASSEMBLY_MAX_NODES 1000000u

struct clew_assembly_opts {
	struct clew_identity *identity; /* borrowed */
	struct clew_span_build_opts build;
	void (*on_span)(void *user, struct clew_span *span);		   /* the callee owns it */
	void (*on_trace)(void *user, const struct clew_trace_done *trace); /* or NULL */
	void *user;
};

struct clew_assembly_stats {
	uint64_t spans, traces, incomplete;
	uint64_t dropped; /* exchanges without a span: limits, no memory */
	uint64_t late;	  /* links or other sides that came after a node's place was final */
};

struct clew_assembly;

int clew_assembly_new(const struct clew_assembly_opts *opts, struct clew_assembly **ret);
/** clew_assembly_free() - drops what is left; flush first to keep it. */
void clew_assembly_free(struct clew_assembly *a);

void clew_assembly_begin(struct clew_assembly *a, struct clew_exchange *x);
/** clew_assembly_begun() - soon after that: its other side is looked for, which had to be fetched from memory. */
void clew_assembly_begun(struct clew_assembly *a, struct clew_exchange *x);
/** clew_assembly_head() - the head of a request with a trace header was read. */
void clew_assembly_head(struct clew_assembly *a, const struct clew_exchange *x);
/**
 * clew_assembly_ends() - before its calls are decided for that: they may carry the header that came in
 * with it.
 */
void clew_assembly_ends(struct clew_assembly *a, const struct clew_exchange *x);
/** clew_assembly_end() - takes the exchange over. */
void clew_assembly_end(struct clew_assembly *a, struct clew_exchange *x);
void clew_assembly_decide(struct clew_assembly *a, uint64_t id, const struct clew_link *link);
/** clew_assembly_clock() - what must be added to record times to make Unix times, from now on. */
void clew_assembly_clock(struct clew_assembly *a, int64_t real_offset_ns);
void clew_assembly_advance(struct clew_assembly *a, uint64_t now_ns);
/** clew_assembly_flush() - every exchange has ended and every link is decided: hand out all. */
void clew_assembly_flush(struct clew_assembly *a);
const struct clew_assembly_stats *clew_assembly_stats(const struct clew_assembly *a);
