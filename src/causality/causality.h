/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who caused whom, inside one process: which request was being served when a call was made.
 *
 * Exchanges and thread evidence go in, links come out, each with its evidence. A link is decided after
 * the fact, when the answer of the request that it would hang from has been written (or after a bounded
 * wait), so that evidence of both ends counts. An orphan is better than a wrong parent.
 *
 * Time is the records' own; the same records give the same links.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/record.h"
#include "base/marks.h"
#include "stream/stream.h"

#define CLEW_MAX_CANDIDATES 256 /* of a call that several requests share */
#define CLEW_MAX_NEAR	    8	/* of those that are only open at that time */

struct clew_link {
	uint64_t parent; /* id of the server exchange that caused this client exchange; 0: none */
	enum clew_link_class class;
	uint32_t evidence;			  /* enum clew_evidence */
	float confidence;			  /* 0 to 1 */
	uint32_t n_candidates;			  /* orphans: likely requests, best first */
	uint64_t candidates[CLEW_MAX_CANDIDATES]; /* exchange ids */
};

/* Sources of evidence that can be done without, to see what each is worth. */
enum clew_source {
	CLEW_SOURCE_TASK = 1 << 0,
	CLEW_SOURCE_THREAD = 1 << 1,
	CLEW_SOURCE_CONNECT = 1 << 2,
	CLEW_SOURCE_COMPLETION = 1 << 3,
	CLEW_SOURCE_WAKE = 1 << 4,
	CLEW_SOURCE_FORK = 1 << 5,
	CLEW_SOURCE_ORDER = 1 << 6, /* the service's model, where several requests are open */
	CLEW_SOURCE_HEAP = 1 << 7,
};

/* Why a call has become an orphan: the first of these that holds. */
enum clew_orphan_why {
	CLEW_ORPHAN_LOST,	 /* records of the thread or task that called were lost */
	CLEW_ORPHAN_SHARED,	 /* several requests' messages are in it */
	CLEW_ORPHAN_CONFLICT,	 /* it led to the answer of another request than the one guessed */
	CLEW_ORPHAN_UNNAMED,	 /* who called had read none of the open requests */
	CLEW_ORPHAN_UNCONFIRMED, /* one is guessed, too few checkpoints bear it out */
	CLEW_N_ORPHAN_WHY
};

/** clew_orphan_why_name() - "lost", "shared", "conflict", "unnamed", "unconfirmed". */
const char *clew_orphan_why_name(enum clew_orphan_why why);

/* A service: processes of one program that share what was learned. */
struct clew_service_report {
	uint32_t tgid; /* the one that called last */
	uint64_t proc_start_ns;
	const char *model;     /* how it is thought to work; static */
	uint64_t hits, misses; /* its checkpoints, before any link was made of them */
	uint64_t answers;
	uint64_t roots, certain, probable, orphans; /* its calls */
	uint64_t
		settled[CLEW_EV_N_FOR]; /* of certain and probable: by the bits of what spoke for */
	uint64_t orphaned[CLEW_N_ORPHAN_WHY]; /* the orphans */
};

typedef void (*clew_report_fn)(void *user, const struct clew_service_report *r);

struct clew_causality_opts {
	uint32_t without; /* enum clew_source */
	uint64_t
		decide_ns; /* 0: 2 s; longest wait between a request's answer and its calls' links */
	uint64_t
		stream_ns; /* 0: 30 s; a call whose request is still not answered is decided after this */
	uint32_t max_open; /* 0: 262144 undecided calls; beyond it the oldest is decided at once */
	clew_report_fn gone; /* the last of a service's processes is forgotten; NULL: not told */
};

struct clew_causality_stats {
	uint64_t calls, certain, probable, orphans, roots;
	uint64_t forced; /* decided early because a table was full */
	uint64_t late;	 /* evidence that came after the decision */
};

struct clew_causality;

/**
 * decide - the link of client exchange @id is final. Called exactly once for each client exchange that
 * began, in a deterministic order. The server exchanges that the link names have begun and may still be
 * open.
 */
typedef void (*clew_decide_fn)(void *user, uint64_t id, const struct clew_link *link);

int clew_causality_new(clew_decide_fn decide, void *user, const struct clew_causality_opts *opts,
		       struct clew_causality **ret);
/** clew_causality_free() - decides what is still open first. Takes NULL. */
void clew_causality_free(struct clew_causality *c);

/*
 * The stream layer's events, passed on in their order; exchanges are read during the call only. begin()
 * sets x->cause, which the others need, until the end.
 */
void clew_causality_begin(struct clew_causality *c, struct clew_exchange *x);
void clew_causality_io(struct clew_causality *c, const struct clew_exchange *x, enum clew_part part,
		       bool first, const struct clew_rec_io *io);
void clew_causality_end(struct clew_causality *c, const struct clew_exchange *x);
void clew_causality_connect(struct clew_causality *c, const struct clew_conn *conn);
/**
 * clew_causality_record() - thread and handoff records, and, after the stream layer has had it, a conn
 * record (a connection that was refused is closed unused); before it, an io record that says that
 * records of its thread were lost. Others are ignored.
 */
void clew_causality_record(struct clew_causality *c, const struct clew_rec *rec);
/** clew_causality_advance() - the record stream has reached now_ns: decide what is due. */
void clew_causality_advance(struct clew_causality *c, uint64_t now_ns);
/** clew_causality_flush() - tracing ends: decide everything. */
void clew_causality_flush(struct clew_causality *c);

/** clew_causality_report() - once for each service that is known now and of which calls are decided. */
void clew_causality_report(const struct clew_causality *c, clew_report_fn fn, void *user);
const struct clew_causality_stats *clew_causality_stats(const struct clew_causality *c);
