/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of the store: spans and traces, by id or by what they are. A part of store.h, which says what errors mean.
 *
 * Any thread may ask; each answer is of one consistent state and is bounded by the store's timeout.
 * -ERESTART: a block was found to be damaged when some was given already; asked anew, the query does without it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/span.h"

struct clew_store;

/* Hours that are told of one answer. */
#define CLEW_STORE_LEFT_OUT 16u

/**
 * clew_store_left_out() - hours (since the epoch) whose sealed spans the queries of this thread were answered without
 * since it was asked last, as blocks of their files cannot be read. Returns how many.
 */
size_t clew_store_left_out(int64_t ret_hours[CLEW_STORE_LEFT_OUT]);

/* ---- spans and traces ---- */

enum clew_store_sort {
	CLEW_SORT_DEFAULT,  /* traces: newest first; spans: oldest first */
	CLEW_SORT_START,    /* newest first */
	CLEW_SORT_DURATION, /* longest first */
};

/* Where a condition looks. */
enum clew_filter_scope {
	CLEW_SCOPE_ANY,	     /* attributes of the span and of its resource */
	CLEW_SCOPE_SPAN,     /* the span's own only */
	CLEW_SCOPE_RESOURCE, /* its resource's only */
	CLEW_SCOPE_FIELD, /* of the span itself: "name", "status_message" (text), "status", "kind",
			      * "duration" (numbers) */
};

struct clew_filter_attr {
	struct slice key, value;      /* the value as text */
	enum clew_filter_scope scope; /* not FIELD */
};

#define CLEW_FILTER_MAX_ATTRS 16

/*
 * A condition on an attribute, the resource's included. All but ABSENT want the key to be there.
 * LT to GE compare numbers where the key's type is a number, else text.
 */
enum clew_where_op {
	CLEW_WHERE_EXISTS,
	CLEW_WHERE_ABSENT,
	CLEW_WHERE_NE,
	CLEW_WHERE_LT,
	CLEW_WHERE_LE,
	CLEW_WHERE_GT,
	CLEW_WHERE_GE,
	CLEW_WHERE_MATCH, /* a regular expression (RE2) somewhere in the value */
	CLEW_WHERE_NO_MATCH,
};

struct clew_filter_where {
	enum clew_where_op op;
	struct slice key, value;
	enum clew_filter_scope scope;
};

#define CLEW_FILTER_MAX_WHERE 16

/* The last row of a page; the next page is what comes behind it in the order that is asked for. */
struct clew_store_cursor {
	bool set;
	uint64_t start_ns;
	struct clew_id128 id; /* of the trace; of a span: its 8 bytes, then zeros */
};

struct clew_span_filter {
	struct slice service, name; /* p NULL: any */
	uint32_t kinds;		    /* a bit for each enum clew_span_kind; 0: any */
	uint32_t link_classes;	    /* a bit for each enum clew_link_class; 0: any */
	bool incomplete, root;	    /* only such spans; root: it is its trace's root */
	uint64_t min_duration_ns;
	uint64_t max_duration_ns; /* 0: none */
	uint64_t since_ns;
	uint64_t until_ns; /* 0: none */
	bool error;
	uint32_t n_attrs;
	struct clew_filter_attr attrs[CLEW_FILTER_MAX_ATTRS];
	uint32_t n_where;
	struct clew_filter_where where[CLEW_FILTER_MAX_WHERE];
	uint64_t limit; /* 0: none */
	enum clew_store_sort sort;
	struct clew_store_cursor after; /* not with CLEW_SORT_DURATION */
	/* Of clew_store_find_traces() alone: only traces whose root took [min, max); max 0: none. */
	uint64_t trace_min_ns, trace_max_ns;
};

/**
 * clew_span_fn - a span of an answer. The callee owns it; names and keys in it live as long as the
 * store. Returns 0 to go on, or a negative errno that ends the query and is returned.
 */
typedef int (*clew_span_fn)(void *user, struct clew_span *span);

/** clew_store_find_spans() - spans that match. -ETIMEDOUT, -EAGAIN (reader: a writer has come),
 * -ENOSPC. */
int clew_store_find_spans(struct clew_store *st, const struct clew_span_filter *f, clew_span_fn fn,
			  void *user, char **ret_error);

struct clew_trace_summary {
	struct clew_id128 trace_id;
	struct slice service, name; /* of the root */
	enum clew_span_kind kind;
	uint64_t start_ns, duration_ns; /* of the root */
	uint32_t spans, services, errors, orphans;
	bool incomplete;
};

typedef int (*clew_trace_fn)(void *user, const struct clew_trace_summary *t);

/** clew_store_find_traces() - traces that hold a span that matches. */
int clew_store_find_traces(struct clew_store *st, const struct clew_span_filter *f,
			   clew_trace_fn fn, void *user, char **ret_error);

/** clew_store_get_trace() - all spans of a trace, oldest first, aliases followed. -ENOENT. */
int clew_store_get_trace(struct clew_store *st, const struct clew_id128 *id, clew_span_fn fn,
			 void *user, char **ret_error);

/** clew_store_not_stored() - how many spans of a trace that is stored are not, because the store could not keep
 * up; 0: none that is known of. */
uint64_t clew_store_not_stored(struct clew_store *st, const struct clew_id128 *id);

/** clew_store_get_span() - one span of a trace. -ENOENT. */
int clew_store_get_span(struct clew_store *st, const struct clew_id128 *id,
			const struct clew_id64 *span_id, struct clew_span **ret, char **ret_error);

/* A span without its attributes: what a trace is drawn from. */
struct clew_trace_row {
	struct clew_id128 trace_id;
	struct clew_id64 span_id, parent_id; /* parent none: a root, or an orphan */
	uint64_t start_ns, duration_ns;
	struct slice service, name; /* live as long as the store */
	uint8_t kind, status, link_class;
	uint32_t incomplete; /* enum clew_incomplete */
	struct clew_span_times times;
	const struct clew_span_link *links; /* of an orphan: its candidates; live during the call */
	uint32_t n_links;
};

typedef int (*clew_trace_row_fn)(void *user, const struct clew_trace_row *row);

/** clew_store_trace_rows() - all spans of a trace, oldest first. -ENOENT. */
int clew_store_trace_rows(struct clew_store *st, const struct clew_id128 *id, clew_trace_row_fn fn,
			  void *user, char **ret_error);

/** clew_store_many_rows() - of some traces at once, all of them oldest first; those that are not there
 * are left out. */
int clew_store_many_rows(struct clew_store *st, const struct clew_id128 *ids, size_t n,
			 clew_trace_row_fn fn, void *user, char **ret_error);
/** clew_store_many_spans() - the same with attributes; canonical ids; a few spans of other traces may be
 * among them. */
int clew_store_many_spans(struct clew_store *st, const struct clew_id128 *ids, size_t n,
			  clew_span_fn fn, void *user, char **ret_error);

/** clew_store_match_spans() - of these traces' spans those that match @f, oldest first; its limit and order
 * are not looked at. */
int clew_store_match_spans(struct clew_store *st, const struct clew_id128 *ids, size_t n,
			   const struct clew_span_filter *f, clew_span_fn fn, void *user,
			   char **ret_error);

/**
 * clew_store_match_ids() - the (canonical) ids that begin with these hex digits, at most max.
 * Returns how many were found, or -EINVAL for what is not 1 to 32 hex digits.
 */
int clew_store_match_ids(struct clew_store *st, struct slice prefix, struct clew_id128 *ret_ids,
			 size_t max, char **ret_error);

/* ---- attributes ---- */

struct clew_attr_key {
	struct slice key;
	enum clew_attr_type type;
	uint64_t spans;	    /* that have it, the resource's included */
	uint64_t resources; /* ... of them by their resource */
};

typedef int (*clew_attr_key_fn)(void *user, const struct clew_attr_key *k);

/** clew_store_attr_keys() - whatever their time; p NULL: of any service. By key, then type. */
int clew_store_attr_keys(struct clew_store *st, struct slice service, struct slice prefix,
			 clew_attr_key_fn fn, void *user, char **ret_error);

/* Spans of the newest hours that clew_store_attr_values() looks at. */
#define CLEW_STORE_VALUE_SPANS 500000u

typedef int (*clew_attr_value_fn)(void *user, struct slice value, uint64_t spans);

/** clew_store_attr_values() - of the newest spans, the most frequent first; ret_more: there are others, or
 * older spans were not looked at. */
int clew_store_attr_values(struct clew_store *st, struct slice key, struct slice service,
			   struct slice prefix, uint64_t limit, clew_attr_value_fn fn, void *user,
			   bool *ret_more, char **ret_error);

/** clew_value_fn - a value as text; it lives during the call. As clew_span_fn. */
typedef int (*clew_value_fn)(void *user, struct slice value, enum clew_attr_type type);

/**
 * clew_store_values() - at most max different values of a key, in no order, of spans that match @f, newest
 * hours first (at most 300,000 spans of each type are looked at). Values of resources are given whether
 * or not @f matches spans of theirs. CLEW_SCOPE_FIELD: names of spans, whatever the key.
 */
int clew_store_values(struct clew_store *st, const struct clew_span_filter *f,
		      enum clew_filter_scope scope, struct slice key, uint64_t max,
		      clew_value_fn fn, void *user, char **ret_error);

/* ---- as tables ---- */

/** clew_store_parquet() - spans that match, as the view `spans` has them, in a file of the format Parquet.
 * ret_fd: the file, which has no name any more; the caller closes it. limit must be given. */
int clew_store_parquet(struct clew_store *st, const struct clew_span_filter *f, int *ret_fd,
		       char **ret_error);

/* The most rows that an SQL statement may answer. */
#define CLEW_SQL_MAX_ROWS 100000u

/**
 * clew_store_sql() - one read-only SQL statement over the views of docs/store.md, as one JSON
 * object:
 * {"columns":[{"name","type"}],"rows":[[...]],"truncated":true}. -EINVAL: the statement's fault.
 */
int clew_store_sql(struct clew_store *st, struct slice statement, struct clew_buf *out,
		   char **ret_error);
