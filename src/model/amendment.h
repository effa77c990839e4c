/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is found out about a span after it was stored, or when it is on its way there: by the join (join/join.h), for
 * the store (store/store.h).
 */
#pragma once

#include "model/span.h"

/* What only a kernel knows of an exchange; of a span's own fields. */
struct clew_seen_facts {
	struct clew_id128 wire_key;
	struct clew_span_times times;
	uint64_t proc_start_ns;
	uint32_t pid, tid, evidence, incomplete;
	float confidence;
	uint8_t link_class;
};

static inline struct clew_seen_facts clew_seen_facts_of(const struct clew_span *s)
{
	return (struct clew_seen_facts){
		.wire_key = s->wire_key,
		.times = s->times,
		.proc_start_ns = s->proc_start_ns,
		.pid = s->pid,
		.tid = s->tid,
		.evidence = s->evidence,
		.incomplete = s->incomplete,
		.confidence = s->confidence,
		.link_class = s->link_class,
	};
}

enum clew_amend_what {
	/* A received span gets its place, and what the kernel knows. */
	CLEW_AMEND_JOINED,
	/* A span of the kernel is told by a received one, which takes its place: what hangs from it. */
	CLEW_AMEND_REPLACED,
	/* It hangs from another parent, nothing else. */
	CLEW_AMEND_PARENT,
};

struct clew_amendment {
	enum clew_amend_what what;
	struct clew_id128 trace_id; /* as it is stored, or another id of that trace */
	struct clew_id64 span_id;
	uint64_t start_ns; /* of the span: where it is */
	struct clew_id128 to_trace_id;
	struct clew_id64 parent_span_id; /* from now on; REPLACED: who takes its place */
	bool children_only;		 /* REPLACED: it is not stored itself */
	bool link;			 /* JOINED: the link to the parent is the kernel's, too */
	struct clew_seen_facts facts;	 /* JOINED */
};
