/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is worth knowing of many spans without looking at them again: who called whom, and a line for
 * each trace. Made when a run is sealed, and by queries of what is not sealed yet.
 *
 *	rows, in any order ─► by trace ─► forest ─► edges (minute, client, server or peer, latency)
 *	                                        └─► a line: root, times, counts, shape
 *
 * A trace may have spans in runs that were digested before. Its old rows are then given too: its line
 * is of all rows and takes the place of the older line, its edges are those of all rows less those of
 * the old ones.
 */
#pragma once

#include "store/forest.h"
#include "store/internal.h"
#include "store/latency.h"
#include "store/trace_row.h"

/* Names of peers that are not traced; more of one run are told as DIGEST_OTHER_PEERS. */
#define DIGEST_MAX_PEERS   4096u
#define DIGEST_OTHER_PEERS "(other)"
/* Attributes are counted of services and keys with ids below this; of the others it is not known. */
#define DIGEST_MAX_COUNTED 4096u
#define DIGEST_NO_ID	   UINT32_MAX

/* The columns that digest_add() takes, in order; the last two lists may be left out (with_attrs). */
#define DIGEST_COLUMNS                                                                            \
	"trace_id, span_id, parent_id, start_ns, duration_ns, service, operation, kind, status, " \
	"link_class, incomplete, attr_keys, attr_values"
#define DIGEST_N_COLUMNS 13

struct digest_edge {
	int32_t minute;
	uint32_t client; /* DIGEST_NO_ID: not traced */
	uint32_t server; /* DIGEST_NO_ID: not traced; then peer */
	uint32_t peer;
	uint8_t bucket;
	int32_t n, errors;
};

struct digest_trace {
	struct clew_id128 id;
	uint64_t root_span, shape, service_bits; /* bits: 1 << service % 64 */
	int64_t start_ns, duration_ns;		 /* of the root */
	int64_t last_ns;			 /* newest start */
	uint32_t service, operation;
	uint8_t kind, status; /* of the root */
	bool incomplete, continued;
	uint32_t spans, services, errors, orphans;
};

/* For each key with numbers: what a block holds of it. */
struct digest_range {
	uint32_t key, block;
	double lo, hi;
};

struct digest_count {
	uint32_t service, key, spans;
};

struct digest;

/** digest_new() - sealed: ranges and counts of attributes too. NULL: no memory. */
struct digest *digest_new(struct clew_store *st, bool sealed);
void digest_free(struct digest *d);
/**
 * digest_add() - rows of DIGEST_COLUMNS from column first on. old: they were digested before.
 * row: of the first one, for its block (sealed only).
 */
int digest_add(struct digest *d, duckdb_data_chunk chunk, idx_t first, idx_t rows, bool old,
	       const int64_t *row_ids);
/** digest_add_hot() - a row that is being sealed, at its place in span. */
int digest_add_hot(struct digest *d, const struct hot_row *row, uint64_t row_id);
/** digest_finish() - nothing is added after it. 0 or -ENOMEM. */
int digest_finish(struct digest *d);

/** digest_n_ids(), digest_id() - the traces of its rows. */
uint32_t digest_n_ids(const struct digest *d);
const struct clew_id128 *digest_id(const struct digest *d, uint32_t i);

/** digest_has() - is there a row of this trace? */
bool digest_has(const struct digest *d, const struct clew_id128 *id);

const struct digest_edge *digest_edges(const struct digest *d, size_t *ret_n);
const struct digest_trace *digest_traces(const struct digest *d, size_t *ret_n);
const struct digest_range *digest_ranges(const struct digest *d, size_t *ret_n);
const struct digest_count *digest_counts(const struct digest *d, size_t *ret_n);
struct slice digest_peer(const struct digest *d, uint32_t peer);
