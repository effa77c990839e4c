/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of amendments share.
 *
 *	amend.c         the queue, and when it is the writer's turn
 *	amend_want.c    of which rows, and what becomes of one
 *	amend_hot.c     rows in memory and in their log
 *	amend_sealed.c  rows of span
 */
#pragma once

#include "store/internal.h"

/* What is looked for, by hash; open addressing, index + 1. Of one key the first one leads to the next. */
struct amend_want {
	struct clew_store *st;
	const struct amend_queue *q;
	struct clew_id128 *canonical; /* of each amendment's trace */
	uint32_t *spans, *next,
		*moves;	  /* amendments by span; of each the next of its span; aliases by trace */
	uint32_t *traces; /* hashes of all traces; 0: none */
	uint32_t n_slots, n_traces, trace_slots;
	bool *found; /* amendment i was done */
};

/** amend_want_init() - found has a place for each amendment. amend_want_done() in any case. */
int amend_want_init(struct amend_want *w, struct clew_store *st, const struct amend_queue *q,
		    bool *found);
void amend_want_done(struct amend_want *w);
/** amend_wants_trace() - hash: hot_trace_hash(). */
bool amend_wants_trace(const struct amend_want *w, uint32_t hash);

/* What becomes of a row. */
struct amend_change {
	const struct clew_amendment *joined; /* NULL: not its fields */
	duckdb_uhugeint trace_id;
	uint64_t parent_id;
	bool gone, is_moved, has_parent; /* which of them are new */
	bool must_go;			 /* it would be gone, but may not */
};

/** amend_decide() - false: it stays as it is. may_go false: what has to go is not done (found) yet. */
bool amend_decide(const struct amend_want *w, duckdb_uhugeint trace_id, uint64_t span_id,
		  uint64_t parent_id, bool may_go, struct amend_change *ret);

/** amend_hot() - hot spans of p; nothing is being sealed. */
int amend_hot(struct amend_want *w, struct part *p, char **ret_error);
/** amend_sealed() - what is about sealed spans, of all partitions; nothing is being sealed. */
int amend_sealed(struct amend_want *w, char **ret_error);
