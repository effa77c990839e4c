/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the join share.
 *
 *	received.c  what SDKs sent: found by id, by connection, by trace
 *	said.c      what both kinds say of an exchange
 *	traces.c    the kernel's spans while they wait and after, trace by trace
 *	late.c      which of these a received span may be about that comes after they went on
 *	match.c     which of the two are the same
 *	settle.c    what follows from it
 */
#pragma once

#include <pthread.h>

#include "join/join.h"
#include "base/hash.h"

/* A trace that was found to be another's, which was found to be another's ... */
#define MAX_MOVES 8u

/* ---- received.c ---- */

/*
 * A received span, as far as it is compared. They lie in a ring, numbered from 1; chains lead from a
 * newer to an older one, and end where the number has left the ring. They are found under the trace that they
 * were stored as: who has the id that the SDK gave it goes from that one by way of what it was found to be
 * (received_find(), received_each()).
 */
struct received {
	struct clew_id128 trace_id; /* as the SDK sent it; recalled: as it is stored */
	struct clew_id64 span_id, parent_id;
	struct clew_id128 stored_trace_id; /* what it was given to the store as */
	uint64_t start_ns, end_ns;
	uint64_t said_peer; /* of the other end of a server's; 0: not said */
	uint64_t peer;	    /* its peer_key() */
	uint64_t path;	    /* hash; 0: not said */
	uint64_t next_of_id, next_of_peer, next_of_trace;
	struct clew_resource *resource;
	uint32_t method; /* hash; 0: not said */
	uint16_t server_port;
	uint8_t kind;
	bool shares; /* said.shares */
	bool used;   /* a span of the kernel is the same */
};

struct received_table {
	struct received *ring;
	uint64_t last;			      /* the newest's number */
	uint64_t *of_id, *of_peer, *of_trace; /* the newest of each hash; RECEIVED_BUCKETS */
};

int received_init(struct received_table *t);
void received_done(struct received_table *t);
/** received_add() - stored_as: the trace that the store has it in; s was not there before. */
struct received *received_add(struct received_table *t, const struct clew_span *s,
			      const struct clew_id128 *stored_as);
/** received_by_id() - trace: as it was stored. NULL: not there. */
struct received *received_by_id(const struct received_table *t, const struct clew_id128 *trace,
				const struct clew_id64 *span);
/* The newest of a connection's other end (peer_key()), of a trace; and the one before that. */
struct received *received_of_peer(const struct received_table *t, uint64_t peer);
struct received *received_before_of_peer(const struct received_table *t, const struct received *r);
struct received *received_of_trace(const struct received_table *t, const struct clew_id128 *trace);
struct received *received_before_of_trace(const struct received_table *t, const struct received *r);

/* ---- said.c ---- */

/* What spans of both kinds say of an exchange: hashes, 0 where it is not said. */
struct said {
	uint64_t peer, path; /* peer: of the other end's address and port */
	uint32_t method;
	uint16_t server_port;
	bool shares; /* its connection has several at once: HTTP/2, gRPC */
};

void said_of(const struct clew_span *s, struct said *ret);

/*
 * A trace header is nothing that a store keeps of a span: what one session needs of it to tell the next goes
 * into an attribute, "TRACE-SPAN" in hex, unless it is the parent already.
 */
#define HEADER_ATTR "clew.trace_header"
/** header_keep() - before the span goes on; span: as it will be stored. */
void header_keep(struct clew_span *s);
/** header_recall() - the header of a stored span of the kernel. */
void header_recall(struct clew_span *s);

/* On one connection requests come for hours: it is looked for by when they began, too. */
#define PEER_STEP_NS (4ull * 1000 * 1000 * 1000)
/* A server's span may begin so many steps after its request's first byte came, or, as SDKs have clocks of
 * their own, so long before. */
#define PEER_STEPS    8u
#define PEER_EARLY_NS (1000ull * 1000 * 1000)

/** peer_key() - 0 for peer 0. */
uint64_t peer_key(uint64_t peer, uint64_t start_ns);

/* ---- traces.c ---- */

/* A span of the kernel. What is compared is kept after it was handed out. */
struct seen {
	struct clew_span *span; /* ours while it waits; NULL once it is out */
	struct clew_id64 id, parent_id;
	struct clew_id64 header_span; /* none: no header on the wire */
	struct clew_id128 header_trace;
	struct clew_id128 as_trace; /* the received span that it is the same as, or hangs from */
	struct clew_id64 as_span;   /* none: it stands for itself */
	uint64_t start_ns, end_ns;
	struct said said;
	struct clew_seen_facts facts;
	int32_t parent; /* index in the trace; -1: none, or not here */
	uint8_t kind;
	bool open;    /* its end is not known, only that it was not before end_ns */
	bool nested;  /* it hangs from as_span and is not left out */
	bool adopted; /* the SDK's parent of as_span has not come: it hangs from the kernel's */
	bool settled; /* what follows from as_span was done */
};

/*
 * Where a trace is; in each queue in the order of the due times.
 *
 *	waiting ── due ─► remembered ── a received span may be about it ─► again ── due ─► remembered
 *	   ▲                  │ due: forgotten                               │
 *	   └── a span of it ──┴──────────────────────────────────────────────┘
 */
enum trace_queue { TRACE_WAITING, TRACE_AGAIN, TRACE_REMEMBERED, N_TRACE_QUEUES };

/* Spans of one trace of the kernel's. */
struct trace {
	struct clew_id128 id;
	struct clew_id128 canonical; /* of its spans once it went on; none: its id */
	struct seen *v;
	uint32_t n, cap, n_waiting, n_matched;
	uint64_t due_ns;
	enum trace_queue queue;
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

/* ---- late.c ---- */

/* Where a received span that comes late may belong: kernel's traces by what both know. In a ring, as the
 * received ones are. */
struct hints {
	struct hint *ring;
	uint64_t last, *heads;
};

int hints_init(struct hints *h);
void hints_done(struct hints *h);

struct clew_join {
	struct clew_join_opts opts;
	struct clew_join_stats stats;
	pthread_mutex_t lock; /* all of it */
	struct received_table received;
	struct hints hints;
	struct trace *traces; /* by id */
	struct trace *queues[N_TRACE_QUEUES];
	struct process *processes;
	struct moved *moved;
	uint16_t own_ports[2];
	uint64_t began_ns, active_ns;	 /* the first span; the last sign of an SDK */
	uint64_t received_ns;		 /* ... the last span of one */
	uint64_t late_ns, late_until_ns; /* how long after their end spans came lately */
	uint64_t last_due_ns;
	uint32_t depth;	 /* of traces that go on before their time, for another's links */
	uint32_t futile; /* headers of which no span was received, since one was */
};

/** traces_add() - a span into its trace, which waits from now on. -ENOMEM: it is still the caller's. */
int traces_add(struct clew_join *j, struct clew_span *span, uint64_t due_ns);
/** traces_note() - a span that does not wait: its trace is remembered until due_ns, or as long as it is. NULL:
 * there is no memory for it, which is counted. */
struct trace *traces_note(struct clew_join *j, const struct clew_span *span, uint64_t due_ns);
/** traces_note_joined() - a span that r was joined with before. */
void traces_note_joined(struct clew_join *j, const struct clew_span *span, const struct received *r,
			uint64_t due_ns);
void trace_free(struct clew_join *j, struct trace *t);
/** trace_move() - into a queue, at its end. */
void trace_move(struct clew_join *j, struct trace *t, enum trace_queue to, uint64_t due_ns);
/** traces_forget() - those that went on and are due, and what is too much. */
void traces_forget(struct clew_join *j, uint64_t now_ns);
struct trace *trace_find(struct clew_join *j, const struct clew_id128 *id);

/** late_note() - where it will be looked for. */
void late_note(struct clew_join *j, const struct trace *t, const struct seen *k);
/** late_note_trace() - its spans hang among those of that received trace. */
void late_note_trace(struct clew_join *j, const struct trace *t, const struct clew_id128 *received);
/** late_received() - traces that went on and that r may be about are looked at again. */
void late_received(struct clew_join *j, const struct received *r, uint64_t now_ns);

/* ---- match.c ---- */
/** trace_match() - for each span that is not matched yet: as_trace, as_span, nested. */
void trace_match(struct clew_join *j, struct trace *t);

/* ---- settle.c ---- */
/** trace_settle() - its spans go on; it is remembered until due_ns. */
void trace_settle(struct clew_join *j, struct trace *t, uint64_t due_ns);
/** moved_to() - the trace that this one's spans belong to. */
struct clew_id128 moved_to(struct clew_join *j, struct clew_id128 id);
/** moved_once() - the next one on the way there. False: there is none. */
bool moved_once(struct clew_join *j, struct clew_id128 *id);
/** join_moved_note() - of an earlier session. */
void join_moved_note(struct clew_join *j, const struct clew_id128 *from,
		     const struct clew_id128 *to);
/** received_find() - the span that a header or an SDK names so; NULL: it did not come, or is forgotten. */
struct received *received_find(struct clew_join *j, const struct clew_id128 *trace,
			       const struct clew_id64 *span);
/** process_of() - NULL where no SDK is known in it. */
struct process *process_of(struct clew_join *j, const struct clew_seen_facts *f);
/** learn_process() - its SDK sends that resource. */
void learn_process(struct clew_join *j, const struct clew_seen_facts *f, struct clew_resource *r);
/** name_process() - a service whose SDK is known has the SDK's resource. */
void name_process(struct clew_join *j, struct clew_span *s);
void processes_done(struct clew_join *j);
