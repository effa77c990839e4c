/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nodes of assembly.h, for the files that keep them, place them and make spans of them.
 */
#pragma once

#include "base/pool.h"
#include "pipeline/assembly.h"
#include "pipeline/id_table.h"
#include "pipeline/key_table.h"

enum wait { WAIT_PEER, WAIT_OPEN, WAIT_ORPHAN, WAIT_HEADER, WAIT_KEEP, N_WAITS };

/* What is kept of a root's span for on_trace. */
struct root_info {
	struct clew_trace_done done;
	struct clew_resource *resource; /* a reference: done.service points into it */
	char name[];
};

/* What is kept of an exchange that has ended, until its span is made. */
struct kept {
	struct clew_span_facts facts;
	struct clew_exchange *x; /* ours; only where the user named headers */
	size_t bytes;		 /* of this object */
	char text[];
};

/*
 * Twenty thousand requests a second leave a hundred thousand of these behind: they are kept small, and
 * a call's is given up as soon as nobody can ask for it any more.
 */
struct node {
	uint64_t id;	       /* the exchange's */
	struct clew_id128 key; /* wire key, or one made up where there is none */
	union {
		struct clew_exchange *x; /* the stream's, until it has ended */
		struct kept *kept;	 /* from then on, until the span is out */
	};
	struct node *parent; /* holds a reference; once the span is out: the root, or NULL */
	struct node *children,
		*next_sibling; /* that wait for this node to be resolved; hold references */
	union {
		struct clew_link *link; /* orphans: with candidates, until the span is out */
		struct root_info *info; /* roots: from then on, where traces are told */
	};
	struct clew_id128 trace_id;
	struct clew_id64 remote_parent; /* from a header */
	struct node *root; /* of its trace, once resolved; not counted: parents hold it */
	float confidence;
	uint32_t evidence;
	uint32_t n_spans; /* of a root: spans of its trace that are out */
	int refs;
	uint8_t role;
	uint8_t link_class;
	bool ended : 1, decided : 1, resolved : 1, out : 1;
	bool has_key : 1; /* to be found by wire key, until the other side has come */
	bool known : 1;	  /* to be found by id; the table holds a reference */
	bool by_header : 1, waits_for_candidates : 1;
};
_Static_assert(sizeof(struct node) <= 128, "two cache lines");

/* A queue of nodes that all wait equally long, so that the first is due first. */
struct timer {
	uint64_t due_ns;
	uint64_t id; /* the node's: it may have been given up before */
};
struct timer_queue {
	struct timer *ring;
	size_t head, len, cap; /* cap: a power of two */
};

struct clew_assembly {
	struct clew_assembly_opts opts;
	struct clew_assembly_stats stats;
	struct id_table by_id;
	struct key_table by_key; /* those whose other side has not come */
	struct timer_queue waits[N_WAITS];
	struct forwarded *forwarded; /* NULL until a header was seen */
	struct clew_pool pool;	     /* of nodes and of what is kept of exchanges */
	uint64_t newest;	     /* the highest id so far */
	uint64_t now_ns;
	int64_t real_offset_ns;
};

/* node.c: what is kept of the exchanges, found by id or key, waiting, and let go */

static inline struct node *node_ref(struct node *n)
{
	n->refs++;
	return n;
}

void node_unref(struct clew_assembly *a, struct node *n);
/* No longer to be found by id or key; the tables' reference is given back. */
void node_forget(struct clew_assembly *a, struct node *n);
struct node *node_find(struct clew_assembly *a, const struct clew_id128 *key);
void node_drop_key(struct clew_assembly *a, struct node *n);
/* For the table of keys: is the node of which this is the lower half of the id that key's? */
bool node_is_of_key(void *user, uint32_t id, const struct clew_id128 *key);
/* Keep what the span is made of, and no more; takes the exchange over. 0 or -ENOMEM. */
int node_keep(struct clew_assembly *a, struct node *n, struct clew_exchange *x);
void node_drop_kept(struct clew_assembly *a, struct node *n);
/* Wait for later. Without memory the wait is over at once: earlier than meant, never lost. */
bool node_wait(struct clew_assembly *a, enum wait w, struct node *n);
/* The next node that is due and was not given up; NULL if there is none. */
struct node *node_next_due(struct clew_assembly *a, enum wait w, uint64_t now_ns);
/* Forget those who wait as open no more. Most are answered long before they are due. */
void nodes_trim_open(struct clew_assembly *a);

/* forwarded.c: calls that carry the header of a request */

/* A request that came with a trace header, open or ended. */
void forwarded_note(struct clew_assembly *a, const struct node *n, const struct clew_span_facts *f,
		    bool open);
/* The request of the same process that came with the call's header and was open when it was made; NULL:
 * none, or not only one. */
struct node *forwarded_find(struct clew_assembly *a, const struct clew_span_facts *f);

/* node_span.c: a node whose place is final becomes a span */

static inline bool node_is_ready(const struct node *n)
{
	return n->resolved && n->ended && !n->out && !n->waits_for_candidates;
}

/* f: what the span is made of. n may be gone afterwards, unless the caller holds it. */
void node_hand_out(struct clew_assembly *a, struct node *n, const struct clew_span_facts *f);
void node_hand_out_if_ready(struct clew_assembly *a, struct node *n);
/* The span is out: of those above it only the root is still wanted. */
void node_let_go(struct clew_assembly *a, struct node *n);
/* The root's node is given up: its trace is over. */
void node_tell_trace(struct clew_assembly *a, struct node *n);
void root_info_free(struct root_info *i);
