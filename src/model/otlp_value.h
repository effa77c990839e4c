/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values that are lists, maps or bytes. In memory and in the store they are text: JSON as a reader wants
 * to see it, base64 of bytes. Nothing is lost by it:
 *
 *	a double always has a point or an exponent, a whole number never
 *	null is a value that was not set
 *	what JSON has no word for is a string that begins with a NUL and says what it is: "\0double:NaN",
 *	"\0bytes:AAEC", "\0string:..." for one that begins with a NUL itself
 */
#pragma once

#include "base/buf.h"
#include "model/span.h"

/** otlp_text_str(), _double(), _bytes() - a value within a list or a map, as text. */
void otlp_text_str(struct clew_buf *b, struct slice s);
void otlp_text_double(struct clew_buf *b, double v);
void otlp_text_bytes(struct clew_buf *b, struct slice s);
void otlp_text_base64(struct clew_buf *b, struct slice base64);

/** otlp_value_json() - such an attribute as an AnyValue in OTLP/JSON. */
void otlp_value_json(struct clew_buf *b, const struct clew_attr *a);
/** otlp_value_proto() - ... in protobuf: the bytes of the message. */
void otlp_value_proto(struct clew_buf *b, const struct clew_attr *a);
