/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: spans in, spans and summaries out. Nothing here says which engine keeps them; the
 * embedded one (DuckDB, docs/store.md) is behind it.
 *
 * One writer owns a directory; it may be read through the same handle by any number of threads
 * while it writes. Without a writer the directory can be opened read-only, by several processes.
 *
 *	clew_store_append() ─► queue ─► writer thread ─► batches, one transaction each ─► disk
 *
 * Errors: functions return 0 or -errno; where there is a ret_error, it is a text for the user that
 * the caller frees, set on failure only (it may stay NULL when memory is short).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/span.h"

struct clew_store;

struct clew_store_opts {
	bool read_only;
	const char *command;   /* writer: what the lock file says of us; NULL: "clew" */
	uint64_t flush_ns;     /* 0: CLEW_STORE_FLUSH_NS */
	uint32_t batch_spans;  /* 0: CLEW_STORE_BATCH_SPANS */
	uint32_t queue_spans;  /* 0: CLEW_STORE_QUEUE_SPANS */
	uint64_t queue_bytes;  /* 0: CLEW_STORE_QUEUE_BYTES */
	uint32_t hot_spans;    /* 0: CLEW_STORE_HOT_SPANS */
	uint32_t max_hours;    /* 0: CLEW_STORE_MAX_HOURS */
	uint64_t memory_bytes; /* 0: as below; of the engine, a part of our own */
	uint32_t threads;      /* 0: 1 for a writer, else 2; of the engine */
	uint64_t timeout_ns;   /* 0: CLEW_STORE_TIMEOUT_NS; of one query */
	uint64_t exact_spans;  /* 0: CLEW_STORE_EXACT_SPANS */
	uint64_t filter_bytes; /* 0: CLEW_STORE_FILTER_BYTES */
};

/* A span is on disk at the latest this long after clew_store_append(), plus one commit. */
#define CLEW_STORE_FLUSH_NS (1000u * 1000 * 1000)
/* A commit holds at most this many spans; a full batch does not wait for the interval. */
#define CLEW_STORE_BATCH_SPANS 10000u
/* Spans that wait for the writer; beyond it the newest are dropped (stats: dropped_queue). */
#define CLEW_STORE_QUEUE_SPANS 65536u
/* ... and their bytes in memory. */
#define CLEW_STORE_QUEUE_BYTES (256ull << 20)
/* While somebody waits for a span to be on disk, a batch begins this long after that span came. */
#define CLEW_STORE_GROUP_NS (5u * 1000 * 1000)
/* Rows of one of the engine's row groups: what it compresses and writes at once. */
#define CLEW_STORE_GROUP_SPANS 122880u
/* Spans of a partition that are not sorted and indexed yet; more of them are sealed into a run. */
#define CLEW_STORE_HOT_SPANS (2 * CLEW_STORE_GROUP_SPANS)
/* Hours that a store has (two descriptors each); beyond it the oldest go, or new ones are refused. */
#define CLEW_STORE_MAX_HOURS	       400u
#define CLEW_STORE_MEMORY_BYTES	       (256ull << 20)
#define CLEW_STORE_READER_MEMORY_BYTES (512ull << 20)
/* Sums over at most so many spans are made from the spans themselves; over more, from what was summed
 * up by the minute when they were sealed: then percentiles are within a bucket (latency.h), and times
 * are rounded to minutes. */
#define CLEW_STORE_EXACT_SPANS 300000u
/* What says which hours cannot hold a trace, in memory: about 2.3 bytes a trace. Hours for which there is no
 * room are asked themselves. */
#define CLEW_STORE_FILTER_BYTES (32ull << 20)
#define CLEW_STORE_TIMEOUT_NS	(30ull * 1000 * 1000 * 1000)

/**
 * clew_store_open() - open the store in a directory; a writer makes it (0700, files 0600).
 *
 * -EBUSY: another writer lives (writer: the error names it; reader: ask its socket).
 * -ENOENT: reader: there is no store. -EPROTO: the store is of a newer version than we read.
 * -EUCLEAN: the store cannot be read. Others from the file system, -ENOMEM.
 */
int clew_store_open(const char *dir, const struct clew_store_opts *opts, struct clew_store **ret,
		    char **ret_error);
/** clew_store_close() - commit what is queued, write a checkpoint, give the directory back. Takes
 * NULL. */
void clew_store_close(struct clew_store *st);
CLEW_DEFINE_CLEANUP(struct clew_store *, clew_store_close)

/**
 * clew_store_append() - queue spans; never blocks on the disk. Any thread.
 * Takes ownership of every span in @spans, also of those that do not fit (dropped and counted).
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
 * -ETIMEDOUT after 60 s: the disk does not take it (stats say why).
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

/*
 * What is found out about a span after it was stored: its place, and what a kernel saw of its
 * exchange.
 */
struct clew_store_amendment {
	struct clew_id128 trace_id; /* as it is stored */
	struct clew_id64 span_id;
	struct clew_id128 to_trace_id;
	struct clew_id64 parent_span_id;
	struct clew_id128 wire_key;
	bool link; /* the next three are known */
	uint8_t link_class;
	uint32_t evidence;
	float confidence;
	uint32_t incomplete, pid, tid;
	uint64_t proc_start_ns;
	struct clew_span_times times;
};

/* Amendments and aliases that wait for the writer, each; beyond it they are dropped and counted. */
#define CLEW_STORE_MAX_AMENDMENTS 65536u

/**
 * clew_store_amend() - change stored spans, and add aliases, with the next batch. A span that is not
 * there yet is waited for, some seconds; one that was sealed stays as it is: both are counted
 * (amend_missed). Copies. Any thread.
 */
void clew_store_amend(struct clew_store *st, const struct clew_store_amendment *v, size_t n,
		      const struct clew_store_alias *aliases, size_t n_aliases);

/** clew_store_add_alias() - durable when it returns 0. -EINVAL for a cycle. */
int clew_store_add_alias(struct clew_store *st, const struct clew_store_alias *alias,
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

/* Hours (by the starts of their spans) that are dropped whole. */
struct clew_store_retention {
	uint64_t max_age_ns; /* those that ended so long ago; 0: any age */
	uint64_t max_bytes;  /* the oldest, while the files are larger; 0: any size */
	bool rolling; /* the oldest, when a newer one has no room (max_hours); else it is refused */
};

/** clew_store_set_retention() - from now on; looked at every 10 s. Any thread. */
void clew_store_set_retention(struct clew_store *st, const struct clew_store_retention *r);

struct clew_store_stats {
	uint64_t appended;	/* spans given to clew_store_append() */
	uint64_t stored;	/* committed */
	uint64_t duplicates;	/* were stored already */
	uint64_t dropped_queue; /* the queue was full */
	uint64_t refused;	/* not taken by clew_store_append_durable() */
	uint64_t dropped_error; /* could not be stored: see last_error */
	uint64_t queued;	/* now */
	uint64_t amended, amend_missed, amend_dropped; /* amendments; the last with aliases */
	uint64_t batches, seals, failures, recoveries;
	uint64_t write_ns;     /* time of the writer thread in batches, seals and checkpoints */
	uint64_t write_cpu_ns; /* ... its processor time (the engine's own threads not counted) */
	uint64_t retention_partitions, retention_spans, retention_bytes; /* dropped by it */
	bool failing; /* the last attempt to write failed */
	char last_error[256];
};

void clew_store_stats(struct clew_store *st, struct clew_store_stats *ret);
/** clew_store_dir() - the directory that was opened. */
const char *clew_store_dir(const struct clew_store *st);
/** clew_store_fd() - a descriptor of the directory, owned by the store. */
int clew_store_fd(const struct clew_store *st);

/* ---- queries: any thread; each sees one consistent state and is bounded by the timeout ---- */

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

struct clew_service_stats {
	struct slice service;
	uint64_t instances, spans, requests, errors;
	uint64_t p50_ns, p95_ns, p99_ns; /* 0 without requests */
	uint64_t first_ns, last_ns;
};

typedef int (*clew_service_fn)(void *user, const struct clew_service_stats *s);

enum clew_service_sort {
	CLEW_SERVICES_BUSIEST, /* by their spans */
	CLEW_SERVICES_NEWEST,  /* by their newest span, to the minute in large windows */
	CLEW_SERVICES_BY_NAME,
};

/* Services of one answer, at most: where there is no limit, or a larger one. */
#define CLEW_STORE_MAX_SERVICES 10000u

/* Which services. */
struct clew_service_query {
	uint64_t since_ns, until_ns; /* of their spans; 0, 0: all */
	struct slice prefix;	     /* of the name */
	struct slice after;	     /* p not NULL: those behind this name; BY_NAME only */
	const struct slice *only;    /* NULL: any; else these */
	size_t n_only;
	enum clew_service_sort sort;
	uint64_t limit;	 /* 0: CLEW_STORE_MAX_SERVICES */
	bool names_only; /* of the others spans, and last_ns about */
};

/**
 * clew_store_services() - the first of them in the order that is asked for. ret_total (may be NULL): how many
 * there are, whatever limit and after. Memory goes with the limit.
 */
int clew_store_services(struct clew_store *st, const struct clew_service_query *sq,
			uint64_t *ret_total, clew_service_fn fn, void *user, char **ret_error);

/** clew_service_model_fn - a row; its texts live during the call. As clew_span_fn. */
typedef int (*clew_service_model_fn)(void *user, const struct clew_service_model *m);

/** clew_store_service_models() - all, by service; none in a store that was written before. */
int clew_store_service_models(struct clew_store *st, clew_service_model_fn fn, void *user,
			      char **ret_error);

/* How many spans there are of each kind, over time and by latency. */
struct clew_red_query {
	uint64_t since_ns, until_ns;  /* as asked for; 0, 0: all. Rounded as the answer is. */
	uint64_t step_ns;	      /* of the answer's steps in time; 0: one for all */
	uint64_t split_ns;	      /* not 0: two steps, what is before this time and the rest */
	struct slice service, name;   /* p NULL: any */
	uint32_t kinds;		      /* a bit each; 0: any */
	bool by_service, by_name;     /* else services, names (and kinds) are added up */
	const struct slice *services; /* NULL: any; else these, beside service */
	size_t n_services;
	bool grouped; /* with by_service: all of one service together, by step; else in no order */
};

struct clew_red_row {
	uint32_t step;		    /* the spans that began in since + step * step_ns on */
	struct slice service, name; /* p NULL where they are added up */
	uint8_t kind;		    /* 0 where they are added up */
	uint8_t bucket;		    /* of the duration: latency.h */
	uint64_t n, errors;
};

typedef int (*clew_red_fn)(void *user, const struct clew_red_row *row);

/**
 * clew_store_red() - sums; combinations without spans are left out. The times of @q become
 * what was counted: since to until, whole steps.
 */
int clew_store_red(struct clew_store *st, struct clew_red_query *q, clew_red_fn fn, void *user,
		   char **ret_error);

/** clew_store_bounds() - when the first and the last span began; 0, 0 in an empty store. */
int clew_store_bounds(struct clew_store *st, uint64_t *ret_first_ns, uint64_t *ret_last_ns,
		      char **ret_error);

/* Which traces. */
struct clew_trace_query {
	/* What the trace's root must be; its times are of the root's begin. limit, sort and after are not
	 * looked at. */
	struct clew_span_filter f;
	bool any;		 /* f is about any of its spans instead */
	uint64_t shape;		 /* only traces of this shape (forest.h); 0: any */
	uint64_t min_ns, max_ns; /* only roots that took so long: [min, max); max 0: none */
	bool outside;		 /* only those that did not, instead */
};

/* Traces of one shape. */
struct clew_pattern_stats {
	uint64_t shape, n, errors; /* errors: traces with some */
	double time_ns;		   /* their roots' durations together */
	struct slice service, name;
	uint8_t kind;
	uint32_t spans, services; /* of the largest of them */
	uint64_t counts[192];	  /* by the root's latency (latency.h) */
	struct clew_id128
		examples[3]; /* one of about the median, the 95th percentile, and of the longest;
					* none where there are fewer */
};

struct clew_pattern_totals {
	uint64_t n, patterns;
	double time_ns;
};

typedef int (*clew_pattern_fn)(void *user, const struct clew_pattern_stats *p);

/** clew_store_patterns() - the limit patterns that took most time together, that first. */
int clew_store_patterns(struct clew_store *st, const struct clew_trace_query *tq, uint64_t limit,
			struct clew_pattern_totals *ret_totals, clew_pattern_fn fn, void *user,
			char **ret_error);

struct clew_latency_bucket {
	uint8_t bucket;
	uint64_t n, errors;
	struct clew_id128 examples[2]; /* none where there are fewer */
};

typedef int (*clew_latency_fn)(void *user, const struct clew_latency_bucket *b);

/** clew_store_trace_latency() - of roots, by bucket. errors: traces with some. */
int clew_store_trace_latency(struct clew_store *st, const struct clew_trace_query *tq,
			     clew_latency_fn fn, void *user, char **ret_error);
/** clew_store_span_latency() - of spans that match; examples are of the newest hours. */
int clew_store_span_latency(struct clew_store *st, const struct clew_span_filter *f,
			    clew_latency_fn fn, void *user, char **ret_error);

struct clew_picked_trace {
	struct clew_id128 id;
	uint64_t start_ns, duration_ns;
};

typedef int (*clew_pick_fn)(void *user, const struct clew_picked_trace *t);

/** clew_store_pick_traces() - at most max of them, as if drawn by lot, the same ones each time. */
int clew_store_pick_traces(struct clew_store *st, const struct clew_trace_query *tq, uint64_t max,
			   clew_pick_fn fn, void *user, char **ret_error);

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

/** clew_store_parquet() - spans that match, as the view `spans` has them, in a file of the format Parquet.
 * ret_fd: the file, which has no name any more; the caller closes it. limit must be given. */
int clew_store_parquet(struct clew_store *st, const struct clew_span_filter *f, int *ret_fd,
		       char **ret_error);

struct clew_store_size {
	uint64_t spans, traces; /* traces: sealed ones */
	uint64_t bytes;		/* of all files */
	uint64_t partitions;
	bool read_only;
};

int clew_store_size(struct clew_store *st, struct clew_store_size *ret, char **ret_error);

struct clew_edge_stats {
	struct slice client; /* p NULL: callers that are not traced */
	struct slice server; /* a service, or an external peer's name */
	bool external;	     /* the server is not traced */
	uint64_t calls, errors;
	uint64_t p50_ns, p95_ns, p99_ns;
};

typedef int (*clew_edge_fn)(void *user, const struct clew_edge_stats *e);

/* Edges of one answer, at most: where there is no limit, or a larger one. */
#define CLEW_STORE_MAX_EDGES 10000u

/**
 * clew_store_map() - who calls whom, and how it goes: the edges with the most calls, callers that are not
 * traced first, peers that are not last. ret_total (may be NULL): how many there are. limit 0:
 * CLEW_STORE_MAX_EDGES.
 */
int clew_store_map(struct clew_store *st, uint64_t since_ns, uint64_t until_ns, uint64_t limit,
		   uint64_t *ret_total, clew_edge_fn fn, void *user, char **ret_error);

/* The most rows that an SQL statement may answer. */
#define CLEW_SQL_MAX_ROWS 100000u

/**
 * clew_store_sql() - one read-only SQL statement over the views of docs/store.md, as one JSON
 * object:
 * {"columns":[{"name","type"}],"rows":[[...]],"truncated":true}. -EINVAL: the statement's fault.
 */
int clew_store_sql(struct clew_store *st, struct slice statement, struct clew_buf *out,
		   char **ret_error);
