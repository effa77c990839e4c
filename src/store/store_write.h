/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Into the store: spans, and what is found out about them later. A part of store.h, which says what errors mean.
 *
 *	clew_store_append() ─► queue ─► writer thread ─► batches, one transaction each ─► disk
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "model/amendment.h"

struct clew_store;

/**
 * clew_store_append() - queue spans; never blocks on the disk. Any thread.
 * Takes ownership of every span in @spans, also of those that do not fit (counted: whole traces where that
 * is possible).
 * A span that is stored already (same trace and span id) changes nothing: the first one stays.
 */
void clew_store_append(struct clew_store *st, struct clew_span *const *spans, size_t n);
/**
 * clew_store_done_fn - all spans of a clew_store_append_durable() are on disk (r 0), or some could
 * not be stored (-errno). From the writer's thread: it must not block.
 */
typedef void (*clew_store_done_fn)(void *user, int r);

/**
 * clew_store_append_durable() - queue spans, all or none, and call back once when they are on disk
 * (those that were stored before count as stored). Any thread; never blocks on the disk.
 *
 * Returns 0: the spans are taken, done will be called, or was for n 0. -ENOBUFS: the queue has no
 * room for them; -EIO: the store cannot be written now; -ENOMEM: nothing was taken then. After
 * done(-errno) they may still be stored later: sending them again does no harm.
 */
int clew_store_append_durable(struct clew_store *st, struct clew_span *const *spans, size_t n,
			      clew_store_done_fn done, void *user);
/** clew_store_stored_fn - a span that was just committed and was not there before; borrowed. */
typedef void (*clew_store_stored_fn)(void *user, const struct clew_span *span);

/**
 * clew_store_on_stored() - have fn called for each span from now on, on the writer's thread: it must
 * be quick and not call the store. NULL: no more; when it returns, none runs any more.
 */
void clew_store_on_stored(struct clew_store *st, clew_store_stored_fn fn, void *user);
/**
 * clew_store_flush() - wait until everything appended before is on disk, and amended as far as known.
 * -ETIMEDOUT after 60 s, or when it was tried five more times, a second apart, and failed: the disk does
 * not take it (stats say why).
 */
int clew_store_flush(struct clew_store *st);

/* A trace that was found to be a fragment of another. Queries answer for both under the second id.
 */
struct clew_store_alias {
	struct clew_id128 trace_id;  /* of the fragment */
	struct clew_id128 canonical; /* the id that stays */
	uint32_t evidence;	     /* enum clew_evidence */
	float confidence;
};

/* Amendments and aliases that wait for the writer, each; beyond it they are dropped and counted. */
#define CLEW_STORE_MAX_AMENDMENTS 65536u

/**
 * clew_store_amend() - change stored spans, hot or sealed, and add aliases: after what was appended before. A
 * span that is not there yet is waited for, some seconds, then counted (amend_missed). What was counted when
 * it was stored (clew_store_on_stored()) stays counted. Copies. Any thread.
 */
void clew_store_amend(struct clew_store *st, const struct clew_amendment *v, size_t n,
		      const struct clew_store_alias *aliases, size_t n_aliases);

/** clew_store_add_alias() - durable when it returns 0. -EINVAL for a cycle. */
int clew_store_add_alias(struct clew_store *st, const struct clew_store_alias *alias,
			 char **ret_error);

/** clew_store_aliases() - those that were added since then (Unix), the oldest first. */
int clew_store_aliases(struct clew_store *st, uint64_t since_ns,
		       void (*fn)(void *user, const struct clew_store_alias *a), void *user,
		       char **ret_error);

/* A part of a trace as one host has seen it, kept for the join with other hosts' parts. */
struct clew_store_fragment {
	struct clew_id128 trace_id;
	struct clew_id128 boot_id; /* of the host */
	struct clew_id64 root_span_id;
	struct clew_id128 wire_key; /* of its root's exchange; none: it began on this host */
	uint64_t start_ns, end_ns;
	uint32_t spans;
	bool complete;
};

/** clew_store_add_fragment() - durable when it returns 0. */
int clew_store_add_fragment(struct clew_store *st, const struct clew_store_fragment *fragment,
			    char **ret_error);

/* How a service's calls were linked in the recording that saw it last: clew_pipeline_services(). */
struct clew_service_model {
	struct slice service;
	uint64_t time_ns;		     /* Unix: when the figures were taken */
	struct slice runtime, version, task; /* "nodejs", "20.19.2", "thread"; empty: not known */
	struct slice model;		     /* how it is thought to work, in words */
	uint64_t groups;		     /* of processes that share what was learned */
	uint64_t answers;
	uint64_t hits, misses; /* the model's checkpoints, before any link was made of them */
	uint64_t roots, certain, probable, orphans; /* its calls */
	struct slice settled;  /* JSON: {"thread":12,...}: certain and probable, by evidence */
	struct slice orphaned; /* JSON: {"conflict":2,...}: orphans, by what stood in the way */
	struct slice options;  /* of the tracer, about runtimes: "agent=node go-channels=true" */
};

/**
 * clew_store_put_service_models() - each takes the place of the row of its service. Durable when it
 * returns 0. Any thread, one at a time.
 */
int clew_store_put_service_models(struct clew_store *st, const struct clew_service_model *v,
				  size_t n, char **ret_error);
