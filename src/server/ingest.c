/* SPDX-License-Identifier: Apache-2.0 */
#include "server/ingest.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "model/otlp_in.h"

/* What JSON takes of memory is a multiple of its text. */
#define JSON_MEMORY_FACTOR 24u

struct submission {
	struct clew_server *server;
	ingest_done_fn done;
	void *user;
	size_t spans;
	struct ingest_result success; /* what to answer if they are stored */
};

static bool CLEW_PRINTF(4, 5)
	refuse(struct ingest_result *ret, enum clew_rpc_code code, int status, const char *fmt, ...)
{
	va_list ap;

	*ret = (struct ingest_result){.code = code, .status = status};
	va_start(ap, fmt);
	vsnprintf(ret->message, sizeof(ret->message), fmt, ap);
	va_end(ap);
	return false;
}

/* ---- memory ---- */

static bool memory_take(struct clew_server *s, size_t n, bool may_wait)
{
	uint64_t due = clew_mono_ns() + INGEST_WAIT_NS;
	struct timespec until = {.tv_sec = (time_t)(due / 1000000000u),
				 .tv_nsec = (long)(due % 1000000000u)};
	bool ok;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	/* One that is larger than all we have goes alone. */
	while ((s->decoding && s->decoding + n > INGEST_MEMORY) && may_wait && r == 0)
		r = pthread_cond_timedwait(&s->cond, &s->lock, &until);
	ok = !s->decoding || s->decoding + n <= INGEST_MEMORY;
	if (ok)
		s->decoding += n;
	pthread_mutex_unlock(&s->lock);
	return ok;
}

static void memory_give(struct clew_server *s, size_t n)
{
	pthread_mutex_lock(&s->lock);
	s->decoding -= n;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

/* ---- the store ---- */

static const char *store_reason(struct clew_server *s)
{
	struct clew_store_stats st;

	clew_store_stats(s->st, &st);
	if (!st.failing)
		return "the server cannot write as fast as spans come: try again";
	return strstr(st.last_error, "No space") ? "the server's disk is full: try again later"
						 : "the server cannot write its store: try again "
						   "later";
}

static void on_stored(void *user, int r)
{
	struct submission *sub = user;
	struct ingest_counters *c = &sub->server->ingest;
	struct ingest_result res;

	if (r == 0) {
		c->stored += sub->spans;
		sub->done(sub->user, &sub->success);
	} else {
		c->failed += sub->spans;
		refuse(&res, CLEW_RPC_UNAVAILABLE, 503, "%s",
		       r == -ENOSPC ? "the server's disk is full: try again later"
				    : "the server could not store the spans: try again later");
		sub->done(sub->user, &res);
	}
	/* The last that we touch: the server may be freed after it. */
	atomic_fetch_sub(&sub->server->submissions, 1);
	free(sub);
}

static bool store(struct clew_server *s, struct clew_otlp_in *in, struct submission *sub,
		  struct ingest_result *ret)
{
	int r;

	/* Counted first: whoever ends the intake waits for those that did not see it. */
	atomic_fetch_add(&s->submissions, 1);
	if (atomic_load(&s->intake_ended)) {
		atomic_fetch_sub(&s->submissions, 1);
		return refuse(ret, CLEW_RPC_UNAVAILABLE, 503, "the server is ending: try again");
	}
	if (s->received_fn)
		s->received_fn(s->received_user, in->spans, in->n);
	r = clew_store_append_durable(s->st, in->spans, in->n, on_stored, sub);
	if (r == 0) {
		in->n = 0; /* they are the store's */
		return true;
	}
	atomic_fetch_sub(&s->submissions, 1);
	s->ingest.refused += in->n;
	return refuse(ret, CLEW_RPC_UNAVAILABLE, 503, "%s",
		      r == -ENOMEM ? "out of memory: try again" : store_reason(s));
}

/* ---- one request ---- */

static void count(struct clew_server *s, const struct clew_otlp_in *in)
{
	struct ingest_counters *c = &s->ingest;

	c->rejected_ids += in->rejected_ids;
	c->rejected_times += in->rejected_times;
	c->reversed += in->reversed;
	c->cut_names += in->cut_names;
	c->dropped_resource += in->dropped_resource;
}

static bool bad_message(struct clew_server *s, int r, const char *error, struct ingest_result *ret)
{
	s->ingest.malformed++;
	if (r == -E2BIG)
		return refuse(ret, CLEW_RPC_RESOURCE_EXHAUSTED, 413, "nothing was kept: %s", error);
	if (r == -ENOMEM)
		return refuse(ret, CLEW_RPC_UNAVAILABLE, 503, "out of memory: try again");
	return refuse(ret, CLEW_RPC_INVALID_ARGUMENT, 400, "nothing was kept: %s", error);
}

static bool take(struct clew_server *s, struct clew_otlp_in *in, ingest_done_fn done, void *user,
		 struct ingest_result *ret)
{
	uint64_t rejected = in->rejected_ids + in->rejected_times;
	struct submission *sub;

	count(s, in);
	if (rejected && !in->n)
		return refuse(ret, CLEW_RPC_INVALID_ARGUMENT, 400,
			      "none of %" PRIu64 " spans was kept: %s", rejected, in->error);
	sub = calloc(1, sizeof(*sub));
	if (!sub)
		return refuse(ret, CLEW_RPC_UNAVAILABLE, 503, "out of memory: try again");
	*sub = (struct submission){
		.server = s,
		.done = done,
		.user = user,
		.spans = in->n,
		.success = {.code = CLEW_RPC_OK, .status = 200, .rejected = rejected},
	};
	if (rejected)
		snprintf(sub->success.message, sizeof(sub->success.message),
			 "%zu spans were kept, %" PRIu64 " were not: %s", in->n, rejected,
			 in->error);
	if (store(s, in, sub, ret))
		return true;
	free(sub);
	return false;
}

bool ingest_submit(struct clew_server *s, struct slice body, bool json, bool may_wait,
		   ingest_done_fn done, void *user, struct ingest_result *ret)
{
	uint64_t now = clew_now_ns();
	uint64_t age = s->opts.retention.max_age_ns;
	struct clew_otlp_in in = {
		.oldest_ns = now - (age && age < INGEST_OLDEST_NS ? age : INGEST_OLDEST_NS),
		.newest_ns = now + INGEST_NEWEST_NS,
		.max_spans = INGEST_SPANS};
	size_t memory = body.n * (json ? JSON_MEMORY_FACTOR : CLEW_OTLP_MEMORY_FACTOR);
	bool ok;
	int r;

	s->ingest.requests++;
	if (!memory_take(s, memory, may_wait)) {
		s->ingest.refused_memory++;
		return refuse(ret, CLEW_RPC_UNAVAILABLE, 503,
			      "too many requests at a time: try again");
	}
	r = json ? clew_otlp_read_json(body, &in) : clew_otlp_read(body, &in);
	memory_give(s, memory);
	ok = r == 0 ? take(s, &in, done, user, ret) : bad_message(s, r, in.error, ret);
	if (!ok)
		log_debug("otlp: %s", ret->message);
	clew_otlp_in_done(&in);
	return ok;
}
