/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trace headers that an instrumented sender wrote: W3C traceparent and B3, single and multiple.
 */
#pragma once

#include "base/id.h"
#include "stream/stream.h"

struct clew_trace_context {
	struct clew_id128 trace_id;
	struct clew_id64 span_id;
	struct slice trace_state; /* borrowed from the exchange; empty if none */
};

/**
 * clew_trace_context() - what the request's headers say; traceparent before b3 before X-B3-*.
 * Returns 0; -ENOENT without such a header; -EBADMSG if it is there and malformed (it must then be
 * ignored: W3C Trace Context, section 3.2.2; openzipkin/b3-propagation).
 */
int clew_trace_context(const struct clew_exchange *x, struct clew_trace_context *ret);

/** clew_traceparent_parse() - one traceparent value. 0 or -EBADMSG. */
int clew_traceparent_parse(struct slice value, struct clew_trace_context *ret);
/** clew_b3_parse() - one b3 value; -ENOENT for a bare sampling state such as "0". */
int clew_b3_parse(struct slice value, struct clew_trace_context *ret);
