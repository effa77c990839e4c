/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: what it holds, and how records become decisions. The rules are in docs/causality.md.
 *
 *	process ──► group (siblings: one program's workers; their statistics are pooled)
 *	   │ requests that are open in it
 *	   ▼
 *	context (thread or runtime task) ── cur ──► node that it read last
 *	                                             │ owner
 *	node (exchange): call ── parent ──► node ──► request
 *
 * A node is an exchange. Reading a request, or the response of a call, makes its node the context's
 * current one: that stretch of the context's life is a segment, and all segments of one node share
 * its owner, so the node stands for them. A call hangs from the node that was current when it was
 * born.
 *
 * Files include and call only such as are below them:
 *
 *	causality                                     events in, decisions out
 *	segment, decide, report                       one operation; when a link is decided; what came of it
 *	judge, checkpoint, completion_verdict, model  what a link is, by hypotheses that answers bear out
 *	alone asked coalesce completion heap lead     one source of evidence each
 *	lock loop order relay shared taken task told turn
 *	birth, charge, todo                           whose a call is thought to be
 *	node, context, group                          what is kept, and references to it
 *	engine, forget, hash
 *
 * Invariants: a request is its own owner; owner, parent and cur hold references; a decided call has
 * no parent, so chains never grow without bound. Lists are in the order of the records and hash
 * tables are never walked, so the same records give the same decisions.
 */
#pragma once

#include "base/pool.h"
#include "causality/causality.h"

struct ctx;
struct forget;
struct futex;
struct node;
struct pending;
struct proc;
struct relay_pipe;
struct tally;
struct teller;

#define N_RECENT 1024

/* After an answer: what follows may tell that it was not the only one. */
#define SETTLE_NS 100000000

/* Calls by connection: open addressing, a power of two of which at most half is in use. */
struct conn_table {
	struct node **slots;
	uint32_t cap, n;
};

struct clew_causality {
	const struct forget *forget;
	clew_decide_fn decide;
	void *user;
	struct clew_causality_opts opts;
	struct clew_causality_stats stats;
	uint64_t now_ns;

	struct clew_pool pool;
	struct ctx *recent[N_RECENT]; /* contexts by a hash of their key */
	uint64_t ticks;
	struct node *all;	   /* nodes that are open or undecided */
	struct conn_table by_conn; /* calls whose response is being read */
	struct proc *procs, *proc_list;
	uint32_t n_procs;
	struct ctx *ctxs, *lru;
	uint32_t n_ctxs;
	struct pending *pendings, *pending_list;
	uint32_t n_pending;

	struct relay_pipe *pipes, *pipe_list;
	uint32_t n_pipes;

	struct futex *futexes, *futex_list;
	uint32_t n_futexes;

	struct teller *tellers, *teller_list;
	uint32_t n_tellers;

	struct node *by_age; /* undecided calls, oldest first */
	uint32_t n_undecided;
	struct node *loose; /* undecided calls without an owner, first due first */
	struct node *fresh; /* requests that are over since SETTLE_NS at most, the same */
	struct node *done;  /* requests that are over and have undecided calls */

	struct tally *tallies;
	uint64_t n_stretches; /* so far */
};

static inline bool without(const struct clew_causality *c, enum clew_source source)
{
	return c->opts.without & source;
}
