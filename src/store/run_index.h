/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of a run: for each block of BLOCK_SPANS rows the 32-bit hashes of everything that can be asked for: key
 * = value, key, service, operation, resource. Two things with one hash cost a block that is read in vain, nothing
 * else: what the index finds is always checked against the spans.
 *
 * What is common (a service, a method) is in nearly all blocks, so that it narrows nothing. Of a block's common
 * things the index has which two of them are said of one span: index_hash_pair(), and, since of others it is not
 * known, index_hash_told() for each. Only of blocks all of whose rows are of one run; of the newest run's last block,
 * which is not full, that is index_hash_told_part().
 */
#pragma once

#include "store/digest.h"
#include "store/fuse.h"
#include "store/internal.h"

struct seen;
struct said;

struct trace_entry {
	uint32_t hash, first_row, spans;
};

struct entries {
	struct digest *digest; /* NULL: rows before these are not digested */
	struct trace_entry *traces;
	size_t n_traces, cap_traces;
	struct fuse *filter;	 /* of their hashes; NULL: queries do without */
	struct clew_id128 trace; /* the last one */
	uint64_t *v;		 /* hash << 32 | block */
	size_t n, cap;
	uint32_t block;
	uint32_t block_rows; /* that were read of it */
	bool from_start;     /* ... from its first one on */
	uint16_t round;
	uint32_t n_seen;
	struct seen *seen;
	struct said *said;
};

int entries_init(struct entries *e, struct clew_store *st, bool digests);
void entries_done(struct entries *e);
/** entries_index() - all of h's rows, which are or will be in span from row on. */
int entries_index(struct entries *e, const struct hot *h, uint64_t row);
/** entries_store() - into the tables of a partition; source: rollup_store(). The transaction is open. */
int entries_store(duckdb_connection conn, struct part *p, struct entries *e, const char *source,
		  uint64_t from, uint64_t to, char **ret_error);
