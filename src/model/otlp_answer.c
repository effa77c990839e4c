/* SPDX-License-Identifier: Apache-2.0 */
#include "model/otlp_answer.h"

#include <inttypes.h>

#include <otlp.pb-c.h>

#include "base/json.h"
#include "model/proto_put.h"

/* Fields of google.rpc.Status. */
enum { STATUS_CODE = 1, STATUS_MESSAGE };

static int add_response(struct clew_buf *out, uint64_t rejected, const char *message)
{
	typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTracePartialSuccess partial_type;
	typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse
		response_type;
	partial_type partial =
		OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_PARTIAL_SUCCESS__INIT;
	response_type response =
		OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_SERVICE_RESPONSE__INIT;
	uint8_t bytes[1024];
	size_t n;

	if (!rejected)
		return out->err;
	partial.rejected_spans = (int64_t)rejected;
	partial.error_message.data = (uint8_t *)(uintptr_t)message;
	partial.error_message.len = strnlen(message, 512);
	response.partial_success = &partial;
	n = opentelemetry__proto__collector__trace__v1__export_trace_service_response__pack(
		&response, bytes);
	return clew_buf_add(out, bytes, n);
}

int clew_otlp_response(struct clew_buf *out, bool json, uint64_t rejected, const char *message)
{
	if (!json)
		return add_response(out, rejected, message);
	if (!rejected)
		return clew_buf_adds(out, "{}");
	clew_buf_addf(out,
		      "{\"partialSuccess\":{\"rejectedSpans\":\"%" PRIu64 "\",\"errorMessage\":",
		      rejected);
	clew_json_str(out, slice_str(message));
	return clew_buf_adds(out, "}}");
}

int clew_rpc_status(struct clew_buf *out, bool json, enum clew_rpc_code code, const char *message)
{
	if (json) {
		clew_buf_addf(out, "{\"code\":%d,\"message\":", code);
		clew_json_str(out, slice_str(message));
		return clew_buf_addc(out, '}');
	}
	proto_add_varint(out, STATUS_CODE, code);
	proto_add_bytes(out, STATUS_MESSAGE, slice_str(message));
	return out->err;
}
