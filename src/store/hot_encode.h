/* SPDX-License-Identifier: Apache-2.0 */
/* Spans as rows of hot.h. */
#pragma once

#include "store/hot.h"

struct clew_buf;
struct clew_span;

/* The names of a span as numbers. */
struct span_ids {
	uint32_t service, operation, scope, resource; /* resource UINT32_MAX: none */
	const uint32_t *keys;			      /* of its attributes */
};

/** hot_encode() - append a span as a row. scratch, json: for it to use. 0, -ENOMEM, -EFBIG. */
int hot_encode(struct clew_buf *out, const struct clew_span *s, const struct span_ids *ids,
	       struct clew_buf *scratch, struct clew_buf *json);
