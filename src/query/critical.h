/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The critical path: whose time it was, from the root's begin to its end.
 *
 *	root   |==================================|     from the end backwards: the child that ended
 *	  A      |=======|                              last before where we are; what lies between is
 *	  B             |=====|                         the span's own time. A child that went on when
 *	  C                       |==========|          its follower had begun was not waited for: B
 *	path   rr|=======|rrrrrrrr|==========|r         (it began before A's end) is left out
 *
 * Both ends of a call bound each other's clocks: a server's span that does not fit into its client's is
 * moved into its middle, and all that is under it by as much; one that is longer (its client did not
 * wait for its end) is cut.
 */
#pragma once

#include "query/trace_rows.h"

enum piece_kind {
	PIECE_SELF,    /* the span's own time */
	PIECE_NETWORK, /* of a client whose server was seen: on the way there and back */
	PIECE_GAP,     /* own time of a server's span whose thread was seen to run, or to wait for a
			* processor, for less than half of it: it slept, and no call was open */
};

struct piece {
	uint32_t node; /* in preorder */
	enum piece_kind kind;
	int64_t from_ns, to_ns; /* from the trace's start */
};

struct critical {
	struct piece *v; /* in the order of time, without holes from the root's begin to its end */
	size_t n, cap;
	int64_t *start; /* of each node, moved as above; from the trace's start */
	int64_t *end;
	bool *asleep; /* its own time is a gap */
};

/** critical_path() - 0 or -ENOMEM. The memory of @ret is used again; all zeros at first. */
int critical_path(const struct trace_rows *t, struct critical *ret);
void critical_done(struct critical *c);
const char *piece_name(enum piece_kind k);

/** network_ns() - client's time minus its server's, -1 where the other end was not seen. */
int64_t network_ns(const struct trace_rows *t, uint32_t node);
/** self_ns() - what is left of a span when its children are taken out; what overlaps counts once. After
 * critical_path(). */
int64_t self_ns(const struct trace_rows *t, const struct critical *c, uint32_t node);
