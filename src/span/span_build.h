/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exchange, its link and its process become a span: name, kind, status, attributes.
 *
 * Attributes follow OpenTelemetry's semantic conventions for HTTP spans (CLEW_SCHEMA_URL); what is
 * ours begins with "clew.". Secrets are left out here (span/redact.h), before anything is stored or
 * shown.
 */
#pragma once

#include "causality/causality.h"
#include "model/span.h"
#include "span/facts.h"
#include "stream/stream.h"

struct clew_span_build_opts {
	struct clew_span_pool *pool;  /* where spans are made, or NULL */
	char *const *capture_headers; /* lower case, NULL-terminated or NULL */
};

/**
 * clew_span_build() - the span of a finished exchange, without its ids and its place in a trace.
 * @real_offset_ns: added to record times to make Unix times.
 * Returns NULL without memory. The caller owns it.
 */
struct clew_span *clew_span_build(const struct clew_span_facts *f, struct clew_resource *resource,
				  int64_t real_offset_ns, const struct clew_span_build_opts *opts);

/** clew_span_id_of() - the id of an exchange's span: a hash of wire key and role. */
struct clew_id64 clew_span_id_of(const struct clew_id128 *wire_key, enum clew_role role);
/** clew_trace_id_of() - the id of a trace whose root has this wire key. */
struct clew_id128 clew_trace_id_of(const struct clew_id128 *wire_key);
