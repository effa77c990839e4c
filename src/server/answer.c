/* SPDX-License-Identifier: Apache-2.0 */
/* Answers, and the headers that all of them carry. */
#include <stdio.h>
#include <time.h>

#include "query/query.h"
#include "server/internal.h"

/* When to ask again after a 429 or a 503. */
#define RETRY_AFTER_S "1"

/* What the path takes, by its route, or by the call that the route leaves it to. */
static const char *allowed(const struct request *rq)
{
	const char *method = rq->route->any ? clew_query_method(slice_str(rq->target)) : NULL;

	if (rq->route->get_or_post)
		return "GET, HEAD, POST";
	return rq->route->post || (method && !strcmp(method, "POST")) ? "POST" : "GET, HEAD";
}

/* "2026-01-02T04Z 2026-01-02T05Z" */
static void add_left_out(const struct request *rq, struct MHD_Response *response)
{
	char text[CLEW_STORE_LEFT_OUT * 24] = "";
	size_t n = 0;

	for (size_t i = 0; i < rq->n_left_out; i++) {
		time_t t = (time_t)rq->left_out[i] * 3600;
		struct tm tm;

		n += strftime(text + n, sizeof(text) - n, i ? " %Y-%m-%dT%HZ" : "%Y-%m-%dT%HZ",
			      gmtime_r(&t, &tm));
	}
	if (n)
		MHD_add_response_header(response, CLEW_LEFT_OUT_HEADER, text);
}

enum MHD_Result answer_send(struct request *rq, int status, const char *type,
			    struct MHD_Response *response)
{
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	if (type)
		MHD_add_response_header(response, "Content-Type", type);
	if (rq->listener->kind != LISTEN_UNIX) {
		MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
		MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
		MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
		if (!MHD_get_response_header(response, "Cache-Control"))
			MHD_add_response_header(response, "Cache-Control", "no-store");
	}
	if (status == 429 || status == 503)
		MHD_add_response_header(response, "Retry-After", RETRY_AFTER_S);
	if (status == 405) /* RFC 9110, 15.5.6 */
		MHD_add_response_header(response, "Allow", allowed(rq));
	add_left_out(rq, response);
	if (status == 401) {
		MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"clew\"");
		MHD_add_response_header(response, "WWW-Authenticate", "Basic realm=\"clew\"");
	}
	rq->status = status;
	r = MHD_queue_response(rq->mhd, (unsigned)status, response);
	MHD_destroy_response(response);
	conns_state(rq->conn, false, true);
	return r;
}

enum MHD_Result answer_bytes(struct request *rq, int status, const char *type, struct slice bytes)
{
	void *data = (void *)(uintptr_t)(bytes.p ? bytes.p : "");

	return answer_send(rq, status, type,
			   MHD_create_response_from_buffer(bytes.n, data, MHD_RESPMEM_MUST_COPY));
}

enum MHD_Result answer_error(struct request *rq, int status, const char *text)
{
	struct clew_buf out = {0};
	enum MHD_Result r = MHD_NO;

	if (rq->listener->kind == LISTEN_OTLP)
		return otlp_http_error(rq, status, text);
	if (clew_query_error(&out, -EIO, text) == 0)
		r = answer_bytes(rq, status, "application/json", clew_buf_slice(&out));
	clew_buf_done(&out);
	return r;
}
