/* SPDX-License-Identifier: Apache-2.0 */
/* The paths, and what answers each. */
#include <time.h>

#include "base/clock.h"
#include "query/query.h"
#include "server/api.h"
#include "server/internal.h"
#include "server/spool.h"
#include "server/watch.h"

/* ---- the native API ---- */

enum MHD_Result answer_spool(struct request *rq, const char *type, struct spool *spool)
{
	if (spool->fd >= 0)
		return answer_send(
			rq, 200, type,
			MHD_create_response_from_fd64(spool->bytes, spool_take_fd(spool)));
	return answer_bytes(rq, 200, type, clew_buf_slice(&spool->buf));
}

/* On the Unix socket connections are few as it is. */
bool query_turn_begin(struct request *rq)
{
	struct clew_server *s = rq->server;
	uint64_t due = clew_mono_ns() + SERVER_QUERY_WAIT_NS;
	struct timespec until = {.tv_sec = (time_t)(due / 1000000000u),
				 .tv_nsec = (long)(due % 1000000000u)};
	int r = 0;

	if (rq->listener->kind == LISTEN_UNIX)
		return true;
	pthread_mutex_lock(&s->lock);
	while (s->queries >= SERVER_QUERIES && r == 0)
		r = pthread_cond_timedwait(&s->cond, &s->lock, &until);
	if (s->queries < SERVER_QUERIES) {
		s->queries++;
		r = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return r == 0;
}

void query_turn_end(struct request *rq)
{
	if (rq->listener->kind == LISTEN_UNIX)
		return;
	pthread_mutex_lock(&rq->server->lock);
	rq->server->queries--;
	pthread_cond_broadcast(&rq->server->cond);
	pthread_mutex_unlock(&rq->server->lock);
}

static enum MHD_Result query_answer(struct request *rq)
{
	_cleanup_(freep) char *error = NULL;
	struct slice target = slice_str(rq->target);
	const char *method = strcmp(rq->method, "HEAD") ? rq->method : "GET";
	struct spool spool;
	enum MHD_Result sent;
	int r;

	if (!query_turn_begin(rq)) {
		rq->server->counters.refused_busy++;
		return answer_error(rq, MHD_HTTP_SERVICE_UNAVAILABLE,
				    "too many queries run at a time: try again");
	}
	spool_init(&spool, clew_store_fd(rq->server->st));
	r = clew_query_run(rq->server->st, slice_str(method), target, clew_buf_slice(&rq->body),
			   spool_write, &spool, &error);
	query_turn_end(rq);
	if (r < 0)
		sent = answer_error(rq, clew_query_status(r), error ? error : strerror(-r));
	else
		sent = answer_spool(rq, clew_query_content_type(target), &spool);
	spool_done(&spool);
	return sent;
}

/* ---- health ---- */

static enum MHD_Result healthz(struct request *rq)
{
	return answer_bytes(rq, 200, "text/plain", SLICE("ok\n"));
}

static enum MHD_Result readyz(struct request *rq)
{
	struct clew_store_stats st;

	clew_store_stats(rq->server->st, &st);
	if (atomic_load(&rq->server->stopping))
		return answer_bytes(rq, 503, "text/plain", SLICE("stopping\n"));
	if (st.failing)
		return answer_bytes(rq, 503, "text/plain",
				    SLICE("the store cannot be written: see its counters "
					  "(/api/clew/v1/stats)\n"));
	return answer_bytes(rq, 200, "text/plain", SLICE("ready\n"));
}

/* ---- the rest ---- */

static enum MHD_Result nothing(struct request *rq)
{
	return answer_error(rq, MHD_HTTP_NOT_FOUND, "there is no such path");
}

static const struct route unix_routes[] = {
	{"/", .below = true, .any = true, .body = CLEW_SERVER_MAX_BODY, .run = query_answer},
	{NULL},
};

static const struct route http_routes[] = {
	{CLEW_API_PREFIX "tail", .run = tail_answer},
	{"/metrics", .run = metrics_answer},
	{CLEW_API_PREFIX, .below = true, .any = true, .body = CLEW_SERVER_MAX_BODY,
	 .run = query_answer},
	{"/healthz", .open = true, .run = healthz},
	{"/readyz", .open = true, .run = readyz},
	{"/api/clew/", .below = true, .any = true, .run = nothing},
	{"/api/v3/", .below = true, .run = jaeger_v3_answer},
	{"/api/", .below = true, .run = jaeger_v1_answer},
	{"/tempo/", .below = true, .run = tempo_answer},
	{"/", .below = true, .run = page_answer},
	{NULL},
};

static const struct route otlp_routes[] = {
	{"/v1/traces", .post = true, .body = CLEW_OTLP_HTTP_MAX_BODY, .head = otlp_http_head,
	 .run = otlp_http_traces},
	{"/healthz", .open = true, .run = healthz},
	{"/readyz", .open = true, .run = readyz},
	{NULL},
};

static const struct route none = {"", .any = true, .open = true, .body = CLEW_OTLP_HTTP_MAX_BODY,
				  .run = nothing};

const struct route *route_find(enum listener_kind kind, struct slice path)
{
	static const struct route *const tables[LISTEN_KINDS] = {
		[LISTEN_UNIX] = unix_routes,
		[LISTEN_HTTP] = http_routes,
		[LISTEN_OTLP] = otlp_routes,
	};

	for (const struct route *r = tables[kind]; r->path; r++) {
		struct slice own = slice_str(r->path);

		if (r->below ? slice_starts(path, own) : slice_eq(path, own))
			return r;
	}
	return &none;
}
