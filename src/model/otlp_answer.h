/* SPDX-License-Identifier: Apache-2.0 */
/* What a receiver of OTLP answers, written and read: ExportTraceServiceResponse, google.rpc.Status. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

/* Of google.rpc.Code, which are gRPC's own too. */
enum clew_rpc_code {
	CLEW_RPC_OK = 0,
	CLEW_RPC_CANCELLED = 1,
	CLEW_RPC_INVALID_ARGUMENT = 3,
	CLEW_RPC_DEADLINE_EXCEEDED = 4,
	CLEW_RPC_NOT_FOUND = 5,
	CLEW_RPC_RESOURCE_EXHAUSTED = 8,
	CLEW_RPC_ABORTED = 10,
	CLEW_RPC_OUT_OF_RANGE = 11,
	CLEW_RPC_UNIMPLEMENTED = 12,
	CLEW_RPC_INTERNAL = 13,
	CLEW_RPC_UNAVAILABLE = 14,
	CLEW_RPC_DATA_LOSS = 15,
	CLEW_RPC_UNAUTHENTICATED = 16,
};

/** clew_otlp_response() - append one; without a partial success when nothing was rejected. */
int clew_otlp_response(struct clew_buf *out, bool json, uint64_t rejected, const char *message);
/** clew_rpc_status() - append a google.rpc.Status. */
int clew_rpc_status(struct clew_buf *out, bool json, enum clew_rpc_code code, const char *message);

/* What a receiver said, for its sender. */
struct clew_otlp_answer {
	uint64_t rejected; /* spans, of a partial success */
	int code;	   /* of a google.rpc.Status */
	bool retry_info;   /* ... with a google.rpc.RetryInfo */
	uint64_t retry_ns; /* ... that says to wait so long */
	char message[256]; /* its beginning; not to be trusted on a terminal */
};

/**
 * clew_otlp_response_read() - an ExportTraceServiceResponse. Fields that are absent are 0; unknown ones
 * are left out. Returns 0, or -EBADMSG: it is none.
 */
int clew_otlp_response_read(struct slice bytes, bool json, struct clew_otlp_answer *ret);
/** clew_rpc_status_read() - a google.rpc.Status. Same returns. */
int clew_rpc_status_read(struct slice bytes, bool json, struct clew_otlp_answer *ret);
