/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OTLP requests become stored spans; HTTP and gRPC share it.
 *
 *	body ─► [decode: model] ─► spans ─► the store's queue ─► commit ─► done ─► answer
 *
 * Success is answered when the spans are on disk. What is taken at a time is bounded: the memory of
 * requests that are decoded (INGEST_MEMORY), the spans of one (INGEST_SPANS), the store's queue.
 */
#pragma once

#include "model/otlp_answer.h"
#include "server/internal.h"

/* Of what is decoded at a time; one more waits for so long, then is answered 503. */
#define INGEST_MEMORY  (384ull << 20)
#define INGEST_WAIT_NS (10ull * 1000 * 1000 * 1000)
/* Spans of one request. */
#define INGEST_SPANS 50000u
/* Starts that are taken: this long ago, this far ahead. Each hour is a file of the store. */
#define INGEST_OLDEST_NS (14ull * 24 * 3600 * 1000000000ull)
#define INGEST_NEWEST_NS (24ull * 3600 * 1000000000ull)
/* A commit that takes longer is answered 503; the sender tries again. */
#define INGEST_COMMIT_NS (25ull * 1000 * 1000 * 1000)

/* What to answer. */
struct ingest_result {
	enum clew_rpc_code code;
	int status;	   /* of HTTP */
	uint64_t rejected; /* of a success */
	char message[256];
};

/** ingest_done_fn - once for each ingest_submit() that returned true; from the writer's thread. */
typedef void (*ingest_done_fn)(void *user, const struct ingest_result *res);

/**
 * ingest_submit() - decode and queue. True: done will be called (or was). False: *ret says why not,
 * and done will not be called. @may_wait: wait for memory (a thread of its own), else refuse.
 */
bool ingest_submit(struct clew_server *s, struct slice body, bool json, bool may_wait,
		   ingest_done_fn done, void *user, struct ingest_result *ret);
