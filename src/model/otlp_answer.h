/* SPDX-License-Identifier: Apache-2.0 */
/* What a receiver of OTLP answers: ExportTraceServiceResponse and google.rpc.Status. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

/* Of google.rpc.Code, which are gRPC's own too. */
enum clew_rpc_code {
	CLEW_RPC_OK = 0,
	CLEW_RPC_INVALID_ARGUMENT = 3,
	CLEW_RPC_NOT_FOUND = 5,
	CLEW_RPC_RESOURCE_EXHAUSTED = 8,
	CLEW_RPC_UNIMPLEMENTED = 12,
	CLEW_RPC_INTERNAL = 13,
	CLEW_RPC_UNAVAILABLE = 14,
	CLEW_RPC_UNAUTHENTICATED = 16,
};

/** clew_otlp_response() - append one; without a partial success when nothing was rejected. */
int clew_otlp_response(struct clew_buf *out, bool json, uint64_t rejected, const char *message);
/** clew_rpc_status() - append a google.rpc.Status. */
int clew_rpc_status(struct clew_buf *out, bool json, enum clew_rpc_code code, const char *message);
