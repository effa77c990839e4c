/* SPDX-License-Identifier: Apache-2.0 */
/* One span, one summary as flat JSON. */
#pragma once

#include "base/buf.h"
#include "store/store.h"

/** span_json() - append the flat object of docs/native-api.md, without a newline. */
int span_json(struct clew_buf *out, struct clew_span *s);
/** span_json_whole() - the same, with the attributes of links. */
int span_json_whole(struct clew_buf *out, struct clew_span *s);
/** attrs_json() - an object. */
int attrs_json(struct clew_buf *out, const struct clew_attr *attrs, uint32_t n);
/** trace_json() - the same for a trace's summary. */
int trace_json(struct clew_buf *out, const struct clew_trace_summary *t);
