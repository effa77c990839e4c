/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the join share.
 *
 *	received.c  what SDKs sent: found by id, by connection, by trace
 *	traces.c    the kernel's spans while they wait, trace by trace
 *	match.c     which of the two are the same
 *	settle.c    what follows from it
 */
#pragma once

#include <pthread.h>

#include <uthash.h>

#include "join/join.h"

/* ---- received.c ---- */

/*
 * A received span, as far as it is compared. They lie in a ring, numbered from 1; chains lead from a
 * newer to an older one, and end where the number has left the ring.
 */
struct received {
	struct clew_id128 trace_id;
	struct clew_id64 span_id, parent_id;
	struct clew_id128 stored_trace_id; /* what it was given to the store as */
	uint64_t start_ns, end_ns;
	uint64_t peer; /* hash of the other end's address and port; 0: not said */
	uint64_t path; /* hash; 0: not said */
	uint64_t next_of_id, next_of_peer, next_of_trace;
	struct clew_resource *resource;
	uint32_t method; /* hash; 0: not said */
	uint16_t server_port;
	uint8_t kind;
	bool used; /* a span of the kernel is the same */
};

struct received_table {
	struct received *ring;
	uint64_t last;			      /* the newest's number */
	uint64_t *of_id, *of_peer, *of_trace; /* the newest of each hash; RECEIVED_BUCKETS */
};

int received_init(struct received_table *t);
void received_done(struct received_table *t);
/** received_add() - stored_as: the trace that the store has it in. */
void received_add(struct received_table *t, const struct clew_span *s,
		  const struct clew_id128 *stored_as);
/** received_by_id() - or NULL. */
struct received *received_by_id(const struct received_table *t, const struct clew_id128 *trace,
				const struct clew_id64 *span);
/* The newest of a connection's other end, of a trace; and the one before that. */
struct received *received_of_peer(const struct received_table *t, uint64_t peer);
struct received *received_before_of_peer(const struct received_table *t, const struct received *r);
struct received *received_of_trace(const struct received_table *t, const struct clew_id128 *trace);
struct received *received_before_of_trace(const struct received_table *t, const struct received *r);

/* What spans of both kinds say of an exchange. */
struct said {
	uint64_t peer, path;
	uint32_t method;
	uint16_t server_port;
};

void said_of(const struct clew_span *s, struct said *ret);

/* ---- traces.c ---- */

/* A span of the kernel; what is kept of it after it was handed out is little. */
struct seen {
	struct clew_span *span; /* ours while it waits; NULL once it is out */
	struct clew_id64 id, parent_id;
	struct clew_id64 header_span; /* none: no header on the wire */
	struct clew_id128 header_trace;
	struct clew_id128 as_trace; /* the received span that it is the same as, or hangs from */
	struct clew_id64 as_span;   /* none: it stands for itself */
	uint64_t start_ns, end_ns;
	int32_t parent; /* index in the trace; -1: none, or not here */
	uint8_t kind;
	bool nested; /* it hangs from as_span and is not left out */
};

/* Spans of one trace of the kernel's. In one of two queues, each in the order of its due times. */
struct trace {
	struct clew_id128 id;
	struct clew_id128 canonical; /* of its spans once it went on; none: not yet */
	struct seen *v;
	uint32_t n, cap, n_waiting;
	uint64_t due_ns;
	bool waiting; /* in which queue */
	struct trace *prev, *next;
	UT_hash_handle hh;
};

/* A process and the resource that its SDK sends. */
struct process {
	struct {
		uint64_t start_ns;
		uint32_t pid, pad;
	} key;
	struct clew_resource *resource;	    /* the SDK's */
	struct clew_resource *from, *named; /* the kernel's, and that with the SDK's names */
	UT_hash_handle hh;
};

/* A trace that was found to be another's. */
struct moved {
	struct clew_id128 from, to;
	UT_hash_handle hh;
};

struct clew_join {
	struct clew_join_opts opts;
	struct clew_join_stats stats;
	pthread_mutex_t lock; /* all of it */
	struct received_table received;
	struct trace *traces;		    /* by id */
	struct trace *waiting, *remembered; /* the queues */
	struct process *processes;
	struct moved *moved;
	uint16_t own_ports[2];
	uint64_t began_ns, active_ns;	 /* the first span; the last sign of an SDK */
	uint64_t late_ns, late_until_ns; /* how long after their end spans came lately */
	uint64_t last_due_ns;
	uint32_t depth;	 /* of traces that go on before their time, for another's links */
	uint32_t futile; /* headers of which no span was received, since one was */
};

/** traces_add() - a span into its trace, which waits from now on. -ENOMEM: it is still the caller's. */
int traces_add(struct clew_join *j, struct clew_span *span, uint64_t due_ns);
void trace_free(struct clew_join *j, struct trace *t);
/** traces_forget() - those that went on and are due. */
void traces_forget(struct clew_join *j, uint64_t now_ns);
struct trace *trace_find(struct clew_join *j, const struct clew_id128 *id);

/* ---- match.c ---- */
/** trace_match() - for each span that waits: as_trace, as_span, nested. */
void trace_match(struct clew_join *j, struct trace *t);

/* ---- settle.c ---- */
/** trace_settle() - its spans go on; it is remembered until due_ns. */
void trace_settle(struct clew_join *j, struct trace *t, uint64_t due_ns);
/** moved_to() - the trace that this one's spans belong to. */
struct clew_id128 moved_to(struct clew_join *j, struct clew_id128 id);
/** process_of() - NULL where no SDK is known in it. */
struct process *process_of(struct clew_join *j, const struct clew_span *s);
void processes_done(struct clew_join *j);
