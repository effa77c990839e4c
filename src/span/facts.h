/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a span is made from: the part of a finished exchange that is still wanted when its place in a
 * trace is known. An exchange is four times as large, and many wait for their place.
 */
#pragma once

#include "model/span.h"
#include "stream/stream.h"

struct clew_span_facts {
	const struct clew_conn *conn; /* its facts at the time of the building */
	uint64_t start_ns;	      /* record time */
	uint64_t duration_ns;
	uint64_t proc_start_ns;
	uint64_t req_bytes, resp_bytes; /* of bodies; of all, where the protocol is raw */
	uint32_t tgid, tid;
	uint32_t incomplete; /* enum clew_incomplete */
	uint16_t status;     /* HTTP: 0: not seen */
	uint8_t minor;	     /* HTTP/1.minor */
	uint8_t role;	     /* enum clew_role */
	uint8_t proto;	     /* enum clew_proto */
	bool has_wire_key, answered;
	bool cut_off; /* the connection went away under it, as far as every byte of it was seen */
	struct clew_span_times times;
	struct clew_id128 wire_key;
	struct clew_id128 header_trace; /* what a trace header named; none: there was none */
	struct clew_id64 header_span;
	struct slice method, target, host, user_agent; /* HTTP */
	const struct clew_exchange *x; /* for headers that the user named; NULL if there are none */
};

/** clew_span_facts_of() - of a finished exchange; slices, conn and x are borrowed from it. */
void clew_span_facts_of(const struct clew_exchange *x, struct clew_span_facts *ret);
/** clew_span_facts_text() - how many bytes the text of the slices is. */
size_t clew_span_facts_text(const struct clew_span_facts *f);
/** clew_span_facts_move() - copy the text to @to (clew_span_facts_text() bytes) and point there. */
void clew_span_facts_move(struct clew_span_facts *f, char *to);
