/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans out of OTLP requests (opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest), as
 * protobuf or as JSON.
 *
 *	bytes ─► message (an arena that lives for the call) ─► struct clew_span, one each
 *
 * Attributes that are lists, maps or bytes become text that says what it stands for (otlp_value.h). What
 * the model has no place for: a scope's version becomes the attribute otel.scope.version; a scope's
 * other attributes, schema URLs and the flags of spans and links are left out. Unknown fields are
 * ignored.
 *
 * A span is rejected, alone, when its trace id or span id is not one (length, all zeros) or its start
 * lies outside the times that are taken.
 */
#pragma once

#include "model/span.h"

/* Longest name of a span, a service, a scope or an attribute: the store keeps names in memory. */
#define CLEW_OTLP_MAX_NAME 1024u
/* The message in memory is at most so many times as large as its bytes (and 1 MiB more). */
#define CLEW_OTLP_MEMORY_FACTOR 12u
/* Bytes of a resource's attributes; beyond it they are left out (dropped_resource). */
#define CLEW_OTLP_MAX_RESOURCE 65536u

struct clew_otlp_in {
	/* To be set before; all may be 0. */
	struct clew_span_pool *pool;
	uint64_t oldest_ns, newest_ns; /* starts that are taken; 0: any */
	size_t max_spans;	       /* 0: any */

	/* The result. */
	struct clew_span *
		*spans; /* the caller's, with clew_otlp_in_done(), or taken (set n to 0) */
	size_t n, cap;
	uint64_t rejected_ids, rejected_times;
	uint64_t reversed;	   /* kept with no duration: they end before they begin */
	uint64_t cut_names;	   /* kept, a name cut to CLEW_OTLP_MAX_NAME */
	uint64_t dropped_resource; /* attributes of resources */
	char error[160]; /* of what returned not 0, or of the first span that was rejected */
};

/**
 * clew_otlp_read() - the spans of a request in protobuf. @in: all zeros but for what is set.
 * Returns 0; -EBADMSG: this is no such message; -E2BIG: more spans than max_spans, or it would take
 * too much memory; -ENOMEM. @in->error says it; there are no spans then.
 */
int clew_otlp_read(struct slice bytes, struct clew_otlp_in *in);
/** clew_otlp_read_json() - the same, of OTLP/JSON. */
int clew_otlp_read_json(struct slice text, struct clew_otlp_in *in);
/** clew_otlp_in_done() - frees the spans that are left in it. */
void clew_otlp_in_done(struct clew_otlp_in *in);
