/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries: their view of the partitions, conditions as SQL, and rows as spans again.
 */
#pragma once

#include "store/ids.h"
#include "store/state.h"
#include "store/store_sums.h"

struct digest;

/* ---- red.c: sums of spans ---- */
/** spans_between() - about how many spans began then; until 0: no end. */
uint64_t spans_between(const struct query *q, uint64_t since_ns, uint64_t until_ns);
/** beside_rollups() - append "SELECT cols FROM ... WHERE ..." of a partition's rows that are in no
 * rollup, after *sep, which becomes " UNION ALL ". Nothing if there are none. */
void beside_rollups(const struct part_ref *p, const char *cols, const char *where,
		    struct clew_buf *out, const char **sep);
/** minute_window() - hours [from, to) whose rollups may have minutes of these times, for spans that
 * were counted with a later run as well. */
void minute_window(const struct query *q, uint64_t since_ns, uint64_t until_ns, size_t *ret_from,
		   size_t *ret_to);

/** rollup_rows() - append "SELECT cols FROM table WHERE where UNION ALL ..." of the partitions [from, to), with
 * what is in no rollup: "SELECT beside FROM spans WHERE spans_where". After query_digested(). */
void rollup_rows(struct query *q, size_t from, size_t to, const char *table, const char *cols,
		 const char *where, const char *beside, const char *spans_where,
		 struct clew_buf *out);

/* ---- map.c ---- */
/** spans_of() - append "SELECT cols FROM all spans that began in [since, until] WHERE where". */
void spans_of(struct query *q, uint64_t since_ns, uint64_t until_ns, const char *cols,
	      const char *where, struct clew_buf *out);

#define NO_SERVICE UINT32_MAX

struct map_edge {
	uint32_t client, server; /* NO_SERVICE: not traced */
	struct clew_edge_stats s;
};

/* The edges with the most calls, limit of them (and some more while they are collected). */
struct map_edges {
	struct clew_store *st;
	struct map_edge *v;
	size_t n, cap, limit;
	uint64_t total;
};
/** map_add() - an edge with its figures; ends as in struct map_edge, peer where the server is not traced. */
int map_add(struct map_edges *l, uint32_t client, uint32_t server, struct slice peer,
	    const struct clew_edge_stats *figures);

/* ---- rollup_ask.c: the map from rollups ---- */
int rollup_map(struct query *q, uint64_t since_ns, uint64_t until_ns, struct map_edges *edges,
	       char **ret_error);
/** digest_beside() - a digest of the rows of [from, to) that are in no rollup, with the old rows of their
 * traces. The caller frees it. */
int digest_beside(struct query *q, size_t from, size_t to, struct digest **ret, char **ret_error);

/* ---- query.c: a query's connection, limits and snapshot of the partitions ---- */
struct query {
	struct clew_store *st;
	uint64_t seq;
	duckdb_connection conn;
	idx_t connection;	/* its number; 0: not of query_begin() */
	struct part_ref *parts; /* by hour, ascending */
	size_t n_parts;
	struct {
		size_t from,
			to; /* of parts, that are looked through one by one; from == to: none are */
		bool oldest_first;
	} hours;
	size_t n_left_out; /* of parts */
	bool has_damage; /* some hour is known to have: nothing is given of an answer that fails */
	struct hour_answer *answers; /* hour_ask.h */
	_Atomic uint64_t deadline_ns;
	_Atomic int stop; /* the errno for which it was interrupted, or 0 */
	struct query *next;
};

/** query_connection() - the number of a connection. */
idx_t query_connection(duckdb_connection conn);
int query_begin(struct clew_store *st, struct query *q, char **ret_error);
void query_end(struct query *q);
/** query_snapshot() - fill q->parts from q->st; under state_lock, or by the writer's thread. */
int query_snapshot(struct query *q);
void query_snapshot_done(struct query *q);
/**
 * query_digested() - of partitions [from, to): what the query's transaction sees of digested, which may
 * have grown since the snapshot. Before rollups and the rows beside them are added up.
 */
int query_digested(struct query *q, size_t from, size_t to, char **ret_error);
/**
 * query_each() - duck_each() with the query's limits; says why it was stopped. Where a block of an hour cannot be read,
 * the statement is asked once more without that hour's tables (their names begin with part_ref.name and a dot), as
 * all after it; -ERESTART: rows were given already, or something was sealed meanwhile, so that it must all be asked again.
 */
int query_each(struct query *q, const char *sql, duck_chunk_fn fn, void *user, char **ret_error);
int watchdog_start(struct clew_store *st);
void watchdog_stop(struct clew_store *st);
/** queries_interrupt() - stop all that run, with this errno as the reason. */
void queries_interrupt(struct clew_store *st, int reason);

/* ---- read.c ---- */
/** read_span() - row i of a chunk with all span columns, in order. NULL: no memory. */
struct clew_span *read_span(struct clew_store *st, duckdb_data_chunk chunk, idx_t row);

/* ---- filter.c ---- */
/** filter_bounds() - append the conditions on duration, start and error: columns of spans and of traces. */
void filter_bounds(const struct clew_span_filter *f, struct clew_buf *out);
/** filter_where() - the condition over span or hot. -ENODATA: nothing can match. */
int filter_where(struct clew_store *st, const struct clew_span_filter *f, struct clew_buf *out,
		 char **ret_error);
/** filter_after() - append the condition for what comes behind a cursor; ret: the filter with its times
 * narrowed. */
void filter_after(const struct clew_span_filter *f, struct clew_buf *out,
		  struct clew_span_filter *ret);
/** filter_column() - "tid = 7" for a column that is shown as an attribute; false if there is none or
 * it cannot have this value. */
bool filter_column(const struct clew_filter_attr *a, struct clew_buf *out);
/** filter_look_through() - set query.hours for a filter, and where it begins and ends. */
void filter_look_through(struct query *q, const struct clew_span_filter *f, bool oldest_first,
			 size_t *ret_from, size_t *ret_to);
enum much {
	MUCH_FEW,
	MUCH_BROAD, /* a good part of the partition */
	MUCH_NONE,  /* no row: what is appended gives none */
};
/**
 * filter_source() - append "SELECT cols, hot FROM ... WHERE ..." over the partition's hot and span,
 * by the block index where that helps. hot says which of the two a row is from. ret_much (may be
 * NULL): how much of the partition may match, as far as the filter asks for attributes.
 */
int filter_source(struct query *q, const struct part_ref *p, const struct clew_span_filter *f,
		  const char *cols, const char *where, struct clew_buf *out, enum much *ret_much,
		  char **ret_error);

/* ---- where.c: conditions other than equality ---- */
/** where_condition() - over span or hot. -ENODATA: nothing can match; -EINVAL: says why. */
int where_condition(struct clew_store *st, const struct clew_filter_where *w, struct clew_buf *out,
		    char **ret_error);
/** where_hashes() - "1,2,3": entries of the block index one of which a match must have. False: the
 * index does not help. */
bool where_hashes(struct clew_store *st, const struct clew_filter_where *w, struct clew_buf *out);
/* What attr_range is asked. */
struct number_range {
	uint32_t keys[KEY_TYPE_LAST + 1];
	uint32_t n_keys;
	char condition[48]; /* "hi >= 500" */
};
/** where_range() - for blocks_in_range(). False: it does not help. */
bool where_range(struct clew_store *st, const struct clew_filter_where *w,
		 struct number_range *ret);

/* ---- by_id.c ---- */

/* Ids of traces as SQL wants them. */
struct trace_list {
	struct clew_buf ids; /* "1,2,3" */
	uint32_t *hashes;    /* of the traces' index */
	size_t n, cap;
};
/** trace_list_add() - a canonical id with all its aliases. */
int trace_list_add(struct trace_list *l, struct clew_store *st, struct clew_id128 canonical);
void trace_list_done(struct trace_list *l);
/**
 * filter_traces() - append "SELECT cols FROM ..." for the spans of these traces in partitions [from, to);
 * a few of other traces may be among them. Nothing is appended where there can be none. out is empty.
 */
int filter_traces(struct query *q, size_t from, size_t to, const struct trace_list *l,
		  const char *cols, struct clew_buf *out, char **ret_error);
/** filter_hours() - the partitions that a filter's times may touch: [*ret_from, *ret_to). */
void filter_hours(const struct query *q, uint64_t since_ns, uint64_t until_ns, size_t *ret_from,
		  size_t *ret_to);
