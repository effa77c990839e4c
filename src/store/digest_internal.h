/* SPDX-License-Identifier: Apache-2.0 */
/* A digest, inside: digest.c has its rows by trace, digest_attrs.c their attributes, digest_trace.c the traces. */
#pragma once

#include "store/digest.h"

#define NO_ROW UINT32_MAX

/* A block that has more ranges of numbers tells of all services together only. */
#define DIGEST_MAX_RANGES  256u
#define DIGEST_RANGE_BITS  10
#define DIGEST_RANGE_SLOTS (1u << DIGEST_RANGE_BITS)

struct digest_row {
	struct trace_row t;
	uint32_t peer, next;
	bool old;
};

/* Of one span. */
struct digest_attrs {
	uint32_t n;
	uint32_t keys[HOT_MAX_LISTS];
	struct slice values[HOT_MAX_LISTS];
};

/* The rows of one trace, linked by next. */
struct digest_group {
	struct clew_id128 id;
	uint32_t first, n, n_old;
};

struct digest_counter {
	uint32_t *spans; /* by key */
	uint32_t n;
};

struct digest {
	struct clew_store *st;
	bool sealed;
	struct digest_row *rows;
	uint32_t n_rows, cap_rows;
	struct digest_group *groups;
	uint32_t n_groups, cap_groups, *group_slots, n_group_slots;
	uint32_t last_group;
	struct dict peers;
	uint32_t address_keys[4], port_keys[4]; /* in the order in which they are believed */
	uint32_t n_address, n_port;

	struct digest_edge *edges;
	uint32_t n_edges, cap_edges, *edge_slots, n_edge_slots;
	struct digest_trace *traces;
	size_t n_traces;

	struct digest_range *ranges;
	size_t n_ranges, cap_ranges, block_ranges; /* of the block that is read: from there on */
	uint32_t block, block_rows, range_slots[DIGEST_RANGE_SLOTS];
	struct digest_counter *counters; /* by service */
	uint32_t n_counters;
	struct digest_count *counts;
	size_t n_counts;

	/* of one trace */
	struct clew_forest forest;
	struct digest_row *sorted;
	uint64_t *ids, *parents, *labels;
	uint32_t cap_sorted;
};

/* ---- digest_attrs.c ---- */
/** digest_find_peer() - "address:port" where the other end of a call is not seen; DIGEST_NO_ID: not told. */
uint32_t digest_find_peer(struct digest *d, const struct digest_attrs *attrs);
/** digest_sum_attrs() - counts and ranges of a row's attributes; block: of its place. 0 or -ENOMEM. */
int digest_sum_attrs(struct digest *d, uint32_t service, uint32_t block,
		     const struct digest_attrs *attrs);
/** digest_finish_attrs() - make counts. 0 or -ENOMEM. */
int digest_finish_attrs(struct digest *d);

/* ---- digest_trace.c ---- */
/** digest_one_trace() - its line, and its edges. 0 or -ENOMEM. */
int digest_one_trace(struct digest *d, const struct digest_group *g);
