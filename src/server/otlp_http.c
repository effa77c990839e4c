/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OTLP over HTTP: POST /v1/traces, protobuf or JSON, answered in the same type; gzip. A connection's
 * thread waits until the spans are on disk. Source: OpenTelemetry Protocol 1.x, OTLP/HTTP.
 */
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "server/ingest.h"

/* Who waits for a commit; it may give up before the commit comes. */
struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int refs;
	bool done;
	struct ingest_result res;
};

static bool is_json(struct request *rq)
{
	const char *type = MHD_lookup_connection_value(rq->mhd, MHD_HEADER_KIND, "Content-Type");

	return type && !strncasecmp(type, "application/json", 16);
}

static enum MHD_Result send_status(struct request *rq, int status, enum clew_rpc_code code,
				   const char *message)
{
	bool json = is_json(rq);
	struct clew_buf out = {0};
	enum MHD_Result r = MHD_NO;

	if (clew_rpc_status(&out, json, code, message) == 0)
		r = answer_bytes(rq, status, json ? "application/json" : "application/x-protobuf",
				 clew_buf_slice(&out));
	clew_buf_done(&out);
	return r;
}

enum MHD_Result otlp_http_error(struct request *rq, int status, const char *text)
{
	enum clew_rpc_code code = status == 401	  ? CLEW_RPC_UNAUTHENTICATED
				  : status == 404 ? CLEW_RPC_NOT_FOUND
				  : status == 413 ? CLEW_RPC_RESOURCE_EXHAUSTED
				  : status == 503 ? CLEW_RPC_UNAVAILABLE
						  : CLEW_RPC_INVALID_ARGUMENT;

	return send_status(rq, status, code, text);
}

int otlp_http_head(struct request *rq, const char **ret_why)
{
	const char *type = MHD_lookup_connection_value(rq->mhd, MHD_HEADER_KIND, "Content-Type");
	const char *coding =
		MHD_lookup_connection_value(rq->mhd, MHD_HEADER_KIND, "Content-Encoding");

	if (!type || (!is_json(rq) && strncasecmp(type, "application/x-protobuf", 22))) {
		*ret_why = "Content-Type must be application/x-protobuf or application/json";
		return MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
	}
	if (!coding || !*coding || !strcasecmp(coding, "identity"))
		return 0;
	if (strcasecmp(coding, "gzip")) {
		*ret_why = "Content-Encoding must be gzip, or not be there";
		return MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
	}
	return http_unpack(rq) < 0 ? MHD_HTTP_SERVICE_UNAVAILABLE : 0;
}

/* ---- waiting ---- */

static void waiter_unref(struct waiter *w)
{
	bool last;

	pthread_mutex_lock(&w->lock);
	last = --w->refs == 0;
	pthread_mutex_unlock(&w->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->cond);
	free(w);
}

static struct waiter *waiter_new(void)
{
	struct waiter *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;

	if (!w)
		return NULL;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->cond, &attr);
	pthread_condattr_destroy(&attr);
	w->refs = 2;
	return w;
}

static void on_done(void *user, const struct ingest_result *res)
{
	struct waiter *w = user;

	pthread_mutex_lock(&w->lock);
	w->res = *res;
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
	waiter_unref(w);
}

static void await(struct waiter *w, struct ingest_result *ret)
{
	uint64_t due = clew_mono_ns() + INGEST_COMMIT_NS;
	struct timespec until = {.tv_sec = (time_t)(due / 1000000000u),
				 .tv_nsec = (long)(due % 1000000000u)};
	int r = 0;

	pthread_mutex_lock(&w->lock);
	while (!w->done && r == 0)
		r = pthread_cond_timedwait(&w->cond, &w->lock, &until);
	*ret = w->done ? w->res
		       : (struct ingest_result){
				 .code = CLEW_RPC_UNAVAILABLE,
				 .status = 503,
				 .message = "the spans are not on disk yet: send them again"};
	pthread_mutex_unlock(&w->lock);
	waiter_unref(w);
}

enum MHD_Result otlp_http_traces(struct request *rq)
{
	bool json = is_json(rq);
	struct waiter *w = waiter_new();
	struct ingest_result res;
	struct clew_buf out = {0};
	enum MHD_Result r = MHD_NO;

	if (!w)
		return send_status(rq, 503, CLEW_RPC_UNAVAILABLE, "out of memory: try again");
	if (ingest_submit(rq->server, clew_buf_slice(&rq->body), json, true, on_done, w, &res)) {
		await(w, &res);
	} else {
		w->refs = 1;
		waiter_unref(w);
	}
	if (res.status != 200)
		return send_status(rq, res.status, res.code, res.message);
	if (clew_otlp_response(&out, json, res.rejected, res.message) == 0)
		r = answer_bytes(rq, 200, json ? "application/json" : "application/x-protobuf",
				 clew_buf_slice(&out));
	clew_buf_done(&out);
	return r;
}
