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
int query_turn_begin(struct request *rq)
{
	struct clew_server *s = rq->server;
	uint64_t now = clew_mono_ns(), due = now + SERVER_QUERY_WAIT_NS, look;
	struct timespec until;
	int r = 0;

	(void)clew_store_left_out(rq->left_out); /* of a request before it */
	if (rq->listener->kind == LISTEN_UNIX)
		return 0;
	pthread_mutex_lock(&s->lock);
	for (; r == 0 && s->queries >= SERVER_QUERIES; now = clew_mono_ns()) {
		look = now + SERVER_QUERY_LOOK_NS;
		until = (struct timespec){.tv_sec = (time_t)(look / 1000000000u),
					  .tv_nsec = (long)(look % 1000000000u)};
		if (conns_gone(rq->conn))
			r = -EPIPE;
		else if (now >= due)
			r = -EAGAIN;
		else
			pthread_cond_timedwait(&s->cond, &s->lock, &until);
	}
	if (r == 0)
		s->queries++;
	pthread_mutex_unlock(&s->lock);
	if (r == -EPIPE)
		s->counters.refused_gone++;
	return r;
}

void query_turn_end(struct request *rq)
{
	rq->n_left_out = clew_store_left_out(rq->left_out);
	if (rq->listener->kind == LISTEN_UNIX)
		return;
	pthread_mutex_lock(&rq->server->lock);
	rq->server->queries--;
	pthread_cond_broadcast(&rq->server->cond);
	pthread_mutex_unlock(&rq->server->lock);
}

/* The answer is sent when it is whole: so it can begin again. */
static int ask(struct request *rq, struct slice target, struct spool *spool, char **ret_error)
{
	const char *method = strcmp(rq->method, "HEAD") ? rq->method : "GET";
	struct clew_store *st = rq->server->st;
	int r = -ERESTART;

	spool_init(spool, clew_store_fd(st));
	for (int i = 0; r == -ERESTART && i < SERVER_QUERY_TRIES; i++) {
		spool_clear(spool);
		free(clew_steal(*ret_error));
		r = clew_query_run(st, slice_str(method), target, clew_buf_slice(&rq->body),
				   spool_write, spool, ret_error);
	}
	return r;
}

static enum MHD_Result query_answer(struct request *rq)
{
	_cleanup_(freep) char *error = NULL;
	struct slice target = slice_str(rq->target);
	struct spool spool;
	enum MHD_Result sent;
	int r;

	r = query_turn_begin(rq);
	if (r < 0) {
		rq->server->counters.refused_busy += r == -EAGAIN;
		return answer_error(rq, MHD_HTTP_SERVICE_UNAVAILABLE,
				    "too many queries run at a time: try again");
	}
	r = ask(rq, target, &spool, &error);
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
	{"/api/v3/traces", .get_or_post = true, .body = CLEW_SERVER_MAX_BODY,
	 .run = jaeger_v3_answer},
	{"/api/v3/trace-summaries", .get_or_post = true, .body = CLEW_SERVER_MAX_BODY,
	 .run = jaeger_v3_answer},
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
