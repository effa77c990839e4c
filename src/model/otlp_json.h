/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans as OTLP/JSON (opentelemetry-proto 1.x, JSON mapping: hex ids, integer enums,
 * lowerCamelCase, 64-bit integers as strings).
 */
#pragma once

#include "base/buf.h"
#include "model/span.h"

/**
 * clew_otlp_json() - append one document, {"resourceSpans":[...]}: spans grouped by resource and
 * scope, in the order of their first span. Returns 0, -ENOMEM or the buffer's error.
 */
int clew_otlp_json(struct clew_buf *out, struct clew_span *const *spans, size_t n);

enum clew_otlp_json_style {
	CLEW_OTLP_JSON_OTLP,  /* as above */
	CLEW_OTLP_JSON_SHOWN, /* and a span's columns as attributes (clew_span_shown()) */
	CLEW_OTLP_JSON_PROTO, /* protobuf's own mapping: ids in base64, enums by name */
};

/** clew_otlp_json_list() - append only the elements of resourceSpans, with commas between them. */
int clew_otlp_json_list(struct clew_buf *out, struct clew_span *const *spans, size_t n,
			enum clew_otlp_json_style style);
/** clew_otlp_json_shown() - as clew_otlp_json(), of spans that are sent elsewhere. */
int clew_otlp_json_shown(struct clew_buf *out, struct clew_span *const *spans, size_t n);

/** clew_otlp_json_value() - append an attribute's value as an AnyValue object. */
int clew_otlp_json_value(struct clew_buf *out, const struct clew_attr *a);
