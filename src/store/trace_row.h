/* SPDX-License-Identifier: Apache-2.0 */
/* What a trace's line, its edges and its tree are made from: a span without its attributes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct trace_row {
	uint64_t span_id, parent_id; /* 0: none */
	int64_t start_ns, duration_ns;
	uint32_t service, operation;
	uint8_t kind, status, link_class;
	bool incomplete;
};
