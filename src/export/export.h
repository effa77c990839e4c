/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans to an OTLP receiver, over HTTP or gRPC, on a thread of its own.
 *
 *	clew_export_append() ─► queue ─► batch ─► protobuf or JSON ─► gzip ─► a request ─► an answer
 *	       │ full                       ▲                                               │
 *	       ▼                            └────────── again, after a while ◄──────────────┤
 *	 dropped_queue                                     sent, rejected, refused, gave_up ┘
 *
 * Invariant: every span that was appended is in exactly one of the counters sent, rejected, refused,
 * dropped_queue, dropped_error, gave_up and lost_end, or still waits (queued).
 *
 * A request that failed on the way may have been taken all the same: it is sent again, and the receiver
 * may get its spans twice (same ids), as OTLP has it. So what is counted as lost was never acknowledged.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/span.h"

struct clew_export;

struct clew_export_opts {
	/* otlp+http://HOST[:PORT][/PATH], otlp+https://..., otlp+grpc://HOST[:PORT], otlp+grpcs://...,
	 * or "env": what OpenTelemetry's variables say (docs/export.md). */
	const char *url;
	char *const *headers; /* NAME=VALUE or NAME=@FILE, NULL-terminated; or NULL */
	const char *tls_ca;   /* PEM; NULL: the system's */
	const char *tls_cert; /* of ours, PEM; or NULL */
	const char *tls_key;
	uint64_t timeout_ns; /* of one request; 0: CLEW_EXPORT_TIMEOUT_NS, or as env says */
	bool json;	     /* OTLP/JSON instead of protobuf; HTTP only */
	bool no_gzip;
	const char *user_agent; /* "clew/1.2.3"; NULL: "clew" */

	/* 0: as below. */
	uint32_t queue_spans, batch_spans;
	uint64_t queue_bytes, batch_bytes;
	uint64_t linger_ns, backoff_ns, backoff_max_ns, give_up_ns;
};

#define CLEW_EXPORT_TIMEOUT_NS (10ull * 1000 * 1000 * 1000)
/* Spans that wait; beyond it the newest are dropped (stats: dropped_queue). */
#define CLEW_EXPORT_QUEUE_SPANS 65536u
/* ... and their bytes in memory (some of it is the store's at the same time). */
#define CLEW_EXPORT_QUEUE_BYTES (128ull << 20)
/* One request: so many spans, and about so many bytes before gzip (gRPC receivers take 4 MiB). */
#define CLEW_EXPORT_BATCH_SPANS 4096u
#define CLEW_EXPORT_BATCH_BYTES (2ull << 20)
/* The longest that a span waits for others to come. */
#define CLEW_EXPORT_LINGER_NS (1000ull * 1000 * 1000)
/* Between attempts: from, doubled each time, to; each time a random half less. */
#define CLEW_EXPORT_BACKOFF_NS	   (500ull * 1000 * 1000)
#define CLEW_EXPORT_BACKOFF_MAX_NS (30ull * 1000 * 1000 * 1000)
/* A batch that was tried for so long is dropped (gave_up), for newer ones to have their turn. */
#define CLEW_EXPORT_GIVE_UP_NS (300ull * 1000 * 1000 * 1000)
/* A receiver that asks to wait longer than this is asked again then. */
#define CLEW_EXPORT_WAIT_MAX_NS (300ull * 1000 * 1000 * 1000)

/**
 * clew_export_open() - read the options and start the thread; nothing is sent yet.
 * Returns 0; -EINVAL for options that are wrong, -errno of a file that cannot be read, -ENOMEM.
 * @ret_error: what, and what to do; the caller frees it. Set on failure only.
 */
int clew_export_open(const struct clew_export_opts *opts, struct clew_export **ret,
		     char **ret_error);
/** clew_export_close() - finish at once if it was not, and free. Takes NULL. */
void clew_export_close(struct clew_export *e);
CLEW_DEFINE_CLEANUP(struct clew_export *, clew_export_close)

/** clew_export_url() - where to, for messages; nothing secret is in it. */
const char *clew_export_url(const struct clew_export *e);

/**
 * clew_export_append() - queue spans; never blocks. One thread at a time.
 * It becomes one more owner of each that fits; the caller's ownership stays with the caller.
 */
void clew_export_append(struct clew_export *e, struct clew_span *const *spans, size_t n);

/**
 * clew_export_wait_room() - for who makes spans faster than any receiver takes them: wait until half
 * of the queue is free, the receiver cannot be reached, or timeout_ms. Returns whether to go on.
 */
bool clew_export_wait_room(struct clew_export *e, int timeout_ms);

/**
 * clew_export_finish() - nothing more comes: send what waits, until the time (CLOCK_MONOTONIC), then
 * count the rest as lost_end. May be called again with an earlier time.
 */
void clew_export_finish(struct clew_export *e, uint64_t until_ns);
/** clew_export_wait_finished() - whether all is settled, at the latest after timeout_ms. */
bool clew_export_wait_finished(struct clew_export *e, int timeout_ms);

struct clew_export_stats {
	uint64_t appended;
	uint64_t sent;	   /* acknowledged */
	uint64_t rejected; /* left out by the receiver (partial success) */
	uint64_t refused;  /* the receiver will never take them: wrong path, no right to, ... */
	uint64_t dropped_queue; /* the queue was full */
	uint64_t dropped_error; /* could not be encoded: memory, or larger than a request may be */
	uint64_t gave_up;	/* tried for give_up_ns */
	uint64_t lost_end;	/* not taken until the end of clew_export_finish() */
	uint64_t queued;	/* now, with those of the request that runs */
	uint64_t requests, retries;
	uint64_t bytes;	      /* of requests' bodies, as sent */
	uint64_t cpu_ns;      /* of the thread */
	bool failing;	      /* the last request failed */
	char last_error[256]; /* why the last one that failed did */
};

void clew_export_stats(struct clew_export *e, struct clew_export_stats *ret);
/** clew_export_lost() - all that were not sent and wait no more. */
uint64_t clew_export_lost(const struct clew_export_stats *st);
