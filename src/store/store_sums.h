/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What many spans and traces come to: services, times and errors, who calls whom, shapes of traces. A part of store.h;
 * as in store_find.h, any thread may ask.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "model/span.h"
#include "store/store_find.h"

struct clew_service_model;
struct clew_store;

/* ---- services ---- */

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

/* ---- spans ---- */

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

/* ---- who calls whom ---- */

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

/* ---- traces ---- */

/* Which traces. */
struct clew_trace_query {
	/* What the trace's root must be; its times are of the root's begin. limit, sort and after are not
	 * looked at. */
	struct clew_span_filter f;
	bool any;		 /* f is about any of its spans instead */
	uint64_t shape;		 /* only traces of this shape (forest.h); 0: any */
	uint64_t min_ns, max_ns; /* only roots that took so long: [min, max); max 0: none */
	bool outside;		 /* only those that did not, instead */
	/* Only traces none of whose spans are so; its times are f's. NULL: no matter. */
	const struct clew_span_filter *except;
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

/* Traces of one step in time and one bucket of latency.h. */
struct clew_heat_cell {
	uint32_t column;
	uint8_t bucket;
	uint64_t n, errors; /* errors: traces with some */
};

#define CLEW_HEAT_MAX_COLUMNS 400u

typedef int (*clew_heat_fn)(void *user, const struct clew_heat_cell *c);

/**
 * clew_store_trace_heat() - when traces began and how long their roots took. tq->f.since_ns and until_ns must be
 * given, and are cut into so many columns (1 to CLEW_HEAT_MAX_COLUMNS). Only cells with traces, by bucket,
 * then column.
 */
int clew_store_trace_heat(struct clew_store *st, const struct clew_trace_query *tq,
			  uint32_t columns, clew_heat_fn fn, void *user, char **ret_error);

struct clew_picked_trace {
	struct clew_id128 id;
	uint64_t start_ns, duration_ns;
};

typedef int (*clew_pick_fn)(void *user, const struct clew_picked_trace *t);

/** clew_store_pick_traces() - at most max of them, as if drawn by lot, the same ones each time. */
int clew_store_pick_traces(struct clew_store *st, const struct clew_trace_query *tq, uint64_t max,
			   clew_pick_fn fn, void *user, char **ret_error);

/** clew_store_sample_traces() - clew_store_trace_latency() and clew_store_pick_traces(), of one look at the traces. */
int clew_store_sample_traces(struct clew_store *st, const struct clew_trace_query *tq, uint64_t max,
			     clew_latency_fn latency, void *latency_user, clew_pick_fn pick,
			     void *pick_user, char **ret_error);
