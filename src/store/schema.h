/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded store's tables, as docs/store.md describes them. The lists below are the truth: the
 * statements that make tables, the appender and the reader are made from them, in this order.
 */
#pragma once

#include "base/buf.h"

/* A schema in memory with the tables of an hour, all empty. */
#define EMPTY_HOUR "empty_hour"

/*
 * Version of all of it. A store of a higher version is refused; of a lower one, migrated.
 *
 *	1	hot spans in a table `hot` of each partition
 *	2	hot spans in logs (hot.h)
 */
#define SCHEMA_VERSION 2

/* Columns of `span`, and of clew_hot(), that hold one value: C name, SQL name, type. */
#define SPAN_COLUMNS(X)                             \
	X(TRACE_ID, trace_id, UHUGEINT)             \
	X(SPAN_ID, span_id, UBIGINT)                \
	X(PARENT_ID, parent_id, UBIGINT)            \
	X(WIRE_KEY, wire_key, UHUGEINT)             \
	X(START_NS, start_ns, BIGINT)               \
	X(DURATION_NS, duration_ns, BIGINT)         \
	X(SERVICE, service, UINTEGER)               \
	X(OPERATION, operation, UINTEGER)           \
	X(RESOURCE, resource, UINTEGER)             \
	X(SCOPE, scope, UINTEGER)                   \
	X(KIND, kind, UTINYINT)                     \
	X(STATUS, status, UTINYINT)                 \
	X(LINK_CLASS, link_class, UTINYINT)         \
	X(IS_ROOT, is_root, BOOLEAN)                \
	X(EVIDENCE, evidence, UINTEGER)             \
	X(INCOMPLETE, incomplete, UINTEGER)         \
	X(CONFIDENCE, confidence, FLOAT)            \
	X(PID, pid, UINTEGER)                       \
	X(TID, tid, UINTEGER)                       \
	X(PROC_START_NS, proc_start_ns, BIGINT)     \
	X(SAMPLING, sampling_threshold, UBIGINT)    \
	X(CLOCK_OFFSET, clock_offset_ns, BIGINT)    \
	X(CPU_NS, cpu_ns, BIGINT)                   \
	X(RUNQ_NS, runq_ns, BIGINT)                 \
	X(FUTEX_NS, futex_ns, BIGINT)               \
	X(DISK_NS, disk_ns, BIGINT)                 \
	X(NET_NS, net_ns, BIGINT)                   \
	X(SLEEP_NS, sleep_ns, BIGINT)               \
	X(OTHER_NS, other_ns, BIGINT)               \
	X(DROPPED_ATTRS, dropped_attrs, UINTEGER)   \
	X(DROPPED_LINKS, dropped_links, UINTEGER)   \
	X(DROPPED_EVENTS, dropped_events, UINTEGER) \
	X(STATUS_MESSAGE, status_message, VARCHAR)  \
	X(TRACE_STATE, trace_state, VARCHAR)

/* Columns that hold lists; NULL for an empty one. */
#define SPAN_LISTS(X)                                \
	X(ATTR_KEYS, attr_keys, UINTEGER)            \
	X(ATTR_VALUES, attr_values, VARCHAR)         \
	X(LINK_TRACES, link_traces, UHUGEINT)        \
	X(LINK_SPANS, link_spans, UBIGINT)           \
	X(LINK_CONFIDENCES, link_confidences, FLOAT) \
	X(LINK_ATTRS, link_attrs, VARCHAR)           \
	X(EVENT_TIMES, event_times, BIGINT)          \
	X(EVENT_NAMES, event_names, VARCHAR)         \
	X(EVENT_ATTRS, event_attrs, VARCHAR)

enum span_column {
#define X(c, sql, type) COL_##c,
	SPAN_COLUMNS(X) SPAN_LISTS(X)
#undef X
		N_SPAN_COLUMNS
};

#define FIRST_LIST COL_ATTR_KEYS

/* Spans of one block of the index. A vector of DuckDB's, so that a block is read at once. */
#define BLOCK_SPANS 2048

/* The catalog's dictionaries, each a table of its own. */
enum dict_kind { DICT_KEY, DICT_SERVICE, DICT_OPERATION, DICT_SCOPE, DICT_HOST, N_DICTS };

extern const char *const dict_tables[N_DICTS];

/** schema_catalog() - the statements that make the catalog c. */
int schema_catalog(struct clew_buf *sql);
/* Tables that came later, without a new version: readers do without them, writers make them. */
extern const char schema_later[];
/** schema_partition() - the statements that make the partition's tables. */
int schema_partition(struct clew_buf *sql, const char *part);
/**
 * schema_rollups() - the statements that make what came later, without a new version: what sealed spans
 * add up to. Readers do without, writers make them.
 */
void schema_rollups(struct clew_buf *sql, const char *part);
/** schema_views() - the statements that make the views for users' SQL over the rows of partitions: what
 * stands behind FROM. */
int schema_views(struct clew_buf *sql, const char (*sealed)[64], const char (*hots)[32],
		 size_t n_parts);
/** schema_select() - the view `spans` of these rows: a statement that gives all their columns. */
int schema_select(struct clew_buf *sql, const char *source);
