/* SPDX-License-Identifier: Apache-2.0 */
/* One span, one summary as flat JSON. */
#pragma once

#include "base/buf.h"
#include "store/store.h"

/** span_json() - append the flat object of docs/native-api.md, without a newline. */
int span_json(struct clew_buf *out, struct clew_span *s);
/** trace_json() - the same for a trace's summary. */
int trace_json(struct clew_buf *out, const struct clew_trace_summary *t);
