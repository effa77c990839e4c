/* SPDX-License-Identifier: Apache-2.0 */
/* Spans as OTLP in protobuf. */
#pragma once

#include "base/buf.h"
#include "model/span.h"

/**
 * clew_otlp_pack() - append one opentelemetry.proto.trace.v1.TracesData (the same bytes are an
 * ExportTraceServiceRequest): spans grouped by resource and scope, in the order of their first span.
 * Text must be UTF-8, as what comes from the store is. Returns 0, -ENOMEM or the buffer's error.
 */
int clew_otlp_pack(struct clew_buf *out, struct clew_span *const *spans, size_t n);
