/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins: spans that a kernel saw and spans that an SDK sent become one trace, each exchange once.
 *
 *	kernel   S_A ── C_A ── S_B ── C_B ── S_C        B carries no SDK and forwards no header
 *	SDKs     a1 ─── a2                   c1         c1 begins a trace of its own
 *	            ╲___ traceparent on C_A
 *
 *	joined   a1 ─── a2 ─── S_B ── C_B ── c1         all of a1's trace
 *
 * A kernel span and a received one are the same end of the same exchange
 *
 *	client   where the request's header names the received span, and did not come in with the
 *	         request that the call was made for (a proxy passes it on);
 *	server   where the received span names the peer's address and port, and is the one on that
 *	         connection at that time; or where it is above the received span of a call that the
 *	         kernel's request made;
 *	client without a header: the one call of its request that an SDK's span to that port holds.
 *
 * Then the received span stays as it was sent, gets what only the kernel knows (times, wire key,
 * evidence) and, where it has no parent or the kernel saw the hops between, the kernel's parent; the
 * kernel's span is left out and what hangs from it hangs from the received one. An SDK that tells
 * several exchanges as one span (a retry, a database's round trips) has them as its children.
 * What is not certain stays apart: two spans for one exchange are better than one wrong parent.
 *
 * Received spans are stored when they come; SDKs send seconds later. So it is the kernel's that
 * wait (CLEW_JOIN_HOLD_NS), and only while something is there to wait for: SDKs send to us, a header
 * of theirs was seen, or the tracing has just begun. Some come later than any wait (a long delay, an
 * outage between): what is needed of a span of the kernel is remembered for minutes, and what comes
 * for it then is joined all the same. on_amend tells what the joining changes about spans that are
 * stored: received ones always, the kernel's where they went on too early.
 *
 * Threads: clew_join_received() from any; the others from one.
 */
#pragma once

#include "model/amendment.h"

/* How long spans of the kernel wait: an SDK's own delay (5 s by default), and its sending. Longer where
 * spans came later than that within the last minute: by 3 s more than they did, 18 s at most. */
#define CLEW_JOIN_HOLD_NS (7000ull * 1000 * 1000)
/* After this long without a sign of an SDK nothing waits. */
#define CLEW_JOIN_ACTIVE_NS (60ull * 1000 * 1000 * 1000)
/* Spans of the kernel that wait; beyond it the oldest traces go on at once (stats.early). */
#define CLEW_JOIN_MAX_HELD 100000u
/* Received spans that are remembered, the newest. */
#define CLEW_JOIN_MAX_RECEIVED 131072u
/*
 * Spans of the kernel are remembered for so long after they went on, if received spans came within as
 * long (or the tracing has begun within as long): a Collector tries for five minutes. At most so many
 * spans and traces; beyond it the oldest are forgotten early (stats.forgotten).
 */
#define CLEW_JOIN_REMEMBER_NS	 (360ull * 1000 * 1000 * 1000)
#define CLEW_JOIN_MAX_REMEMBERED 262144u
#define CLEW_JOIN_MAX_TRACES	 131072u
/* Processes whose SDK's resource is known. */
#define CLEW_JOIN_MAX_KNOWN 65536u
/* Traces that were found to be another's; beyond it the oldest are forgotten here, not in the store. */
#define CLEW_JOIN_MAX_MOVED 262144u

struct clew_join_opts {
	uint64_t hold_ns; /* 0: CLEW_JOIN_HOLD_NS */
	/* A span of the kernel, final; the callee owns it. */
	void (*on_span)(void *user, struct clew_span *span);
	void (*on_amend)(void *user, const struct clew_amendment *a);
	/* All spans of the first trace are the second's. */
	void (*on_alias)(void *user, const struct clew_id128 *from, const struct clew_id128 *to);
	void *user;
};

struct clew_join_stats {
	uint64_t received; /* spans that were looked at */
	uint64_t joined;   /* ... that a span of the kernel was left out for */
	uint64_t nested; /* spans of the kernel that hang from a received one that tells them too */
	uint64_t late;	 /* of both: spans of the kernel that had gone on without it */
	uint64_t aliases;   /* traces that were found to be another's */
	uint64_t conflicts; /* ... but two different ones' */
	uint64_t own;	    /* spans of calls to our own ports */
	uint64_t early;	    /* spans that went on before their time: CLEW_JOIN_MAX_HELD */
	uint64_t
		forgotten; /* spans that could not be remembered for as long: CLEW_JOIN_MAX_REMEMBERED */
	uint64_t too_late;   /* received spans older than what is remembered */
	uint64_t held;	     /* now: spans that wait */
	uint64_t remembered; /* ... and those that went on, for what comes late */
};

struct clew_join;

int clew_join_new(const struct clew_join_opts *opts, struct clew_join **ret);
/** clew_join_free() - drops what waits; flush first to keep it. Takes NULL. */
void clew_join_free(struct clew_join *j);
/** clew_join_own_ports() - where we take OTLP on this machine: calls to it are left out. */
void clew_join_own_ports(struct clew_join *j, uint16_t http, uint16_t grpc);
/** clew_join_span() - a span of the kernel, which is ours from now on. */
void clew_join_span(struct clew_join *j, struct clew_span *span, uint64_t now_ns);
/**
 * What an earlier session stored within the last CLEW_JOIN_REMEMBER_NS, so that what comes late for it is joined:
 * first the aliases, the oldest first, then spans in any order (the kernel's, and received ones, which may have come
 * when that session joined no more), then clew_join_recalled(). Before any other span comes.
 *
 * clew_join_recall() - a span, borrowed; its header is taken from what was kept of it.
 */
void clew_join_recall_alias(struct clew_join *j, const struct clew_id128 *from,
			    const struct clew_id128 *to);
void clew_join_recall(struct clew_join *j, struct clew_span *span, uint64_t now_ns);
void clew_join_recalled(struct clew_join *j, uint64_t now_ns);
/**
 * clew_join_received() - spans that an SDK sent; borrowed. Before they are given to the store: those
 * of a trace that is known to be another's get that one's id.
 */
void clew_join_received(struct clew_join *j, struct clew_span *const *spans, size_t n,
			uint64_t now_ns);
/** clew_join_advance() - hand out what has waited long enough. now_ns: monotonic. */
void clew_join_advance(struct clew_join *j, uint64_t now_ns);
/** clew_join_flush() - hand out all. */
void clew_join_flush(struct clew_join *j);
void clew_join_stats(struct clew_join *j, struct clew_join_stats *ret);
