/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans as an OTLP request in protobuf (ExportTraceServiceRequest of opentelemetry-proto 1.x).
 *
 *	span ─► its message ─► spans of a scope ─► resource, scope, spans ─► the request
 *
 * Written straight from struct clew_span: 1.5 us a span of 35 attributes. Packing alone takes 2.1 with
 * protobuf-c, which wants a tree of its own structs first.
 */
#pragma once

#include "base/buf.h"
#include "model/span.h"

/* Memory that is used again from request to request. All zeros: empty. */
struct clew_otlp_out {
	struct clew_buf span, spans, part, text[2];
	uint32_t *chains;
	size_t cap;
};

/**
 * clew_otlp_proto() - append one request: spans grouped by resource and scope, in the order of their
 * first span. A span's columns become attributes (clew_span_shown()). Text that is not UTF-8 is mended
 * (U+FFFD), as protobuf asks.
 *
 * Returns 0, -ENOMEM or the buffer's error. Spans are only read.
 */
int clew_otlp_proto(struct clew_otlp_out *w, struct clew_buf *out, struct clew_span *const *spans,
		    size_t n);
void clew_otlp_out_done(struct clew_otlp_out *w);

/**
 * clew_otlp_pack() - the same without the columns, once: of spans of which they are shown already, and
 * of those of others. The bytes are an opentelemetry.proto.trace.v1.TracesData too.
 */
int clew_otlp_pack(struct clew_buf *out, struct clew_span *const *spans, size_t n);
