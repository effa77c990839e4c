/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capture to spans, joined: records in, finished spans out by a callback.
 *
 *	record ─► identity, stream ─► exchanges ─► causality ─► links
 *	                                  └───────────┬───────────┘
 *	                                        assembly: both ends joined by wire key, trace ids
 * from roots └─► spans ─► on_span
 *
 * One thread drives it. Time is the records' own (a clock record moves it when nothing else does).
 */
#pragma once

#include <stdint.h>

#include "abi/record.h"
#include "causality/causality.h"
#include "identity/identity.h"
#include "model/span.h"
#include "stream/stream.h"

/* A trace that is over, as far as it was seen here. */
struct clew_trace_done {
	struct clew_id128 trace_id;
	uint64_t start_ns, duration_ns; /* of its root; Unix */
	struct slice service, name;	/* of its root */
	bool error;			/* the root's status */
	uint32_t n_spans;
};

struct clew_pipeline_opts {
	char *const *name_rules;      /* --name, NULL-terminated or NULL */
	uint32_t without;	      /* enum clew_source: evidence that is not used */
	char *const *capture_headers; /* --capture-header, lower case, NULL-terminated or NULL */
	/* A span is final; the callee owns it. */
	void (*on_span)(void *user, struct clew_span *span);
	/* A trace is over and its spans were handed out (for --live). May be NULL. */
	void (*on_trace)(void *user, const struct clew_trace_done *trace);
	void *user;
};

struct clew_pipeline_stats {
	struct clew_stream_stats stream;
	struct clew_causality_stats causality;
	uint64_t records, bytes;
	uint64_t spans, traces, incomplete_spans;
	uint64_t lost_ring, lost_not_run, lost_state, lost_payload,
		lost_limit; /* from loss records and our own limits */
};

/* A service by its name, with all its processes: how its calls were linked. */
struct clew_service_known {
	struct slice service;
	struct slice runtime, version, task; /* as CLEW_TAG_RUNTIME has them; empty: not known */
	uint64_t groups; /* of processes that share what was learned: workers of one program */
	struct clew_service_report report; /* sums; tgid and model: of the group that calls most */
};

typedef void (*clew_service_known_fn)(void *user, const struct clew_service_known *k);

struct clew_pipeline;

/** clew_pipeline_new() - 0; -EINVAL for a malformed name rule (ret_bad names it); -ENOMEM. */
int clew_pipeline_new(const struct clew_pipeline_opts *opts, struct clew_pipeline **ret,
		      const char **ret_bad);
/** clew_pipeline_free() - drops what is open; flush first to keep it. */
void clew_pipeline_free(struct clew_pipeline *p);
/** clew_pipeline_feed() - one record, of any type. Returns 0 or -ENOMEM. */
int clew_pipeline_feed(struct clew_pipeline *p, const struct clew_rec *rec);
/** clew_pipeline_flush() - tracing ends: everything open is ended, decided and handed out. */
void clew_pipeline_flush(struct clew_pipeline *p);
/**
 * clew_pipeline_services() - what is known of each service that made calls, also of those that have
 * ended, by name. 0 or -ENOMEM.
 */
int clew_pipeline_services(const struct clew_pipeline *p, clew_service_known_fn fn, void *user);
/**
 * clew_pipeline_options() - of what the records' tracer was asked to do with runtimes, "NAME=VALUE"
 * with blanks between; "" if nothing or not known.
 */
const char *clew_pipeline_options(const struct clew_pipeline *p);
void clew_pipeline_stats(const struct clew_pipeline *p, struct clew_pipeline_stats *ret);
