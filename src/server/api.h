/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the APIs of other systems share (Jaeger's two, Tempo's, Zipkin's): a table of paths each, the
 * parameters of a call, its answer while it is written, and whole traces out of the store.
 *
 *	route ─► api_answer() ─► a path of the API's table ─► its call writes ─► answer, or the API's
 *	                                                                         own shape of an error
 *
 * Parameters that a call does not know are left alone, as those systems do.
 */
#pragma once

#include "base/buf.h"
#include "base/json.h"
#include "query/params.h"
#include "server/internal.h"
#include "server/spool.h"
#include "store/store.h"

/* Traces of one answer, and spans of all of them together; more is refused with 400 and 413. */
#define API_MAX_TRACES 10000u
#define API_MAX_SPANS  1000000u
/* Answers grow in memory to this before they are handed to the spool. */
#define API_WRITE_BYTES 65536u

struct api_call {
	struct request *rq;
	struct clew_store *st;
	struct params params;
	struct clew_buf arg; /* what stands for the '*' of the path, decoded */
	struct clew_buf out;
	struct spool spool;
	const char *type; /* of the answer; "application/json" */
	int status;	  /* of an error, where the errno does not say; 0: clew_query_status() */
	char *error;
};

struct api_path {
	const char *path; /* behind the API's prefix; one '*' stands for a part without '/' */
	int (*run)(struct api_call *c);
};

struct api {
	const char *prefix;
	const struct api_path *paths; /* up to one without a path */
	const char *error_type;
	void (*put_error)(struct clew_buf *out, int status, const char *text);
};

/** api_answer() - find the call and run it. */
enum MHD_Result api_answer(struct request *rq, const struct api *api);

/** api_fail() - the call fails with this status (0: as the errno says) and text. Returns err. */
int api_fail(struct api_call *c, int status, int err, const char *fmt, ...) CLEW_PRINTF(4, 5);
/** api_hand_on() - between parts of a long answer: 0, or why it cannot go on. */
int api_hand_on(struct api_call *c);

/* ---- parameters: 0 and *ret as it was where they are absent or empty; -EINVAL with a text ---- */
/** api_get() - the text; false where it is absent or empty. */
bool api_get(struct api_call *c, const char *key, struct slice *ret);
/** api_text() - as api_get(), as a string of at most 63 bytes; -ENOENT where it is absent. */
int api_text(struct api_call *c, const char *key, char out[64]);
/** api_number() - a whole number, times scale. */
int api_number(struct api_call *c, const char *key, uint64_t scale, uint64_t *ret);
/** api_duration() - "1.5ms". */
int api_duration(struct api_call *c, const char *key, uint64_t *ret_ns);
/** api_limit() - 1 to API_MAX_TRACES. */
int api_limit(struct api_call *c, const char *key, uint64_t *ret);
/** api_trace_id() - 1 to 32 hex digits; -EINVAL without a text. */
int api_trace_id(struct slice text, struct clew_id128 *ret);
/** api_add_attr() - key=value, as another condition of the filter. */
int api_add_attr(struct api_call *c, struct clew_span_filter *f, struct slice key,
		 struct slice value);
/** api_add_tag() - the same of Jaeger's tags: error, span.kind and the like stand for what a span is. */
int api_add_tag(struct api_call *c, struct clew_span_filter *f, struct slice key,
		struct slice value);
/** api_add_where() - any other condition. */
int api_add_where(struct api_call *c, struct clew_span_filter *f,
		  const struct clew_filter_where *w);
/** api_check_window() - conditions that no index serves want a window of 24 h. */
int api_check_window(struct api_call *c, const struct clew_span_filter *f);

/* ---- whole traces ---- */
struct api_spans {
	struct clew_span **v; /* oldest first; fields shown as attributes */
	size_t n, cap;
};

/** api_load_trace() - -ENOENT; -EFBIG with a text. */
int api_load_trace(struct api_call *c, const struct clew_id128 *id, struct api_spans *ret);
void api_spans_done(struct api_spans *s);
/** api_too_many() - the error for more than API_MAX_SPANS in one answer; lower: what makes it less. */
int api_too_many(struct api_call *c, const char *lower);

struct api_traces {
	struct clew_trace_summary *v;
	size_t n, cap;
};

/** api_find_traces() - what the filter finds, as f->sort orders it. */
int api_find_traces(struct api_call *c, const struct clew_span_filter *f, struct api_traces *ret);
void api_traces_done(struct api_traces *t);

/** api_trace_fn - a trace with its spans (one at least); they live during the call. */
typedef int (*api_trace_fn)(void *user, struct api_call *c, const struct api_spans *spans);

/**
 * api_each_trace() - fn for those of the traces found that are still there, in their order. Many are loaded
 * with one statement. -EFBIG with a text, beyond API_MAX_SPANS together; lower: what makes them fewer.
 */
int api_each_trace(struct api_call *c, const struct api_traces *found, const char *lower,
		   api_trace_fn fn, void *user);

/* What a trace's spans add up to. */
struct api_sum {
	struct clew_id128 id;
	uint64_t first_ns, end_ns; /* first start, last end */
	uint32_t spans, errors;
	struct api_sum_service {
		struct slice name; /* lives as long as the store */
		uint32_t spans, errors;
	} *services; /* in the order of their first span */
	uint32_t n, cap;
};

/* Traces that are summed up at once, at most. */
#define API_SUM_TRACES 32u

/** api_row_fn - a span of the trace with this index, oldest first. */
typedef int (*api_row_fn)(void *user, size_t trace, const struct clew_trace_row *row);

/** api_sum_traces() - n of them; one that has gone has no spans. fn may be NULL. */
int api_sum_traces(struct api_call *c, const struct clew_trace_summary *t, size_t n,
		   struct api_sum ret[API_SUM_TRACES], api_row_fn fn, void *user);
void api_sums_done(struct api_sum *s, size_t n);

/* ---- lists of names, sorted; each once ---- */
struct api_name {
	struct slice name; /* lives as long as the store */
	uint8_t kind;
};

struct api_names {
	struct api_name *v;
	size_t n, cap;
	uint64_t total; /* how many there are; of services n may be fewer */
};

/** api_services() - of all spans; the limit busiest, at most API_MAX_SERVICES. */
int api_services(struct api_call *c, uint64_t limit, struct api_names *ret);
#define API_MAX_SERVICES CLEW_STORE_MAX_SERVICES
/** api_operations() - of a service (p NULL: of all), with the kinds of their spans (a bit each; 0: all). */
int api_operations(struct api_call *c, struct slice service, uint32_t kinds, struct api_names *ret);
void api_names_done(struct api_names *n);
/** api_put_operations() - append {"name","spanKind"},... as both of Jaeger's APIs have them. */
void api_put_operations(struct clew_buf *out, const struct api_names *names);

/** api_kind() - a kind's number by its name ("server"); -EINVAL. */
int api_kind(struct slice name);

/* ---- the APIs: routes ---- */
enum MHD_Result jaeger_v1_answer(struct request *rq);
enum MHD_Result jaeger_v3_answer(struct request *rq);
enum MHD_Result tempo_answer(struct request *rq);
