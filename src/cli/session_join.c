/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session that traces and takes spans of SDKs joins the two (join/join.h): the kernel's spans go to
 * the store by way of it, and what it finds out about received ones is told to the store.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/session_internal.h"

/* What is told to the store at once. */
#define AMENDMENTS 512u

struct session_joining {
	struct session *session;
	struct clew_join *join;
	struct clew_amendment amendments[AMENDMENTS];
	struct clew_store_alias aliases[AMENDMENTS];
	size_t n_amendments, n_aliases;
};

/* What it is about was handed on before, and must be in the store's queue before it. */
static void tell(struct session_joining *g)
{
	session_flush_spans(g->session);
	clew_store_amend(g->session->store, g->amendments, g->n_amendments, g->aliases,
			 g->n_aliases);
	g->n_amendments = g->n_aliases = 0;
}

static void on_amend(void *user, const struct clew_amendment *a)
{
	struct session_joining *g = user;

	if (g->n_amendments == AMENDMENTS)
		tell(g);
	g->amendments[g->n_amendments++] = *a;
}

static void on_alias(void *user, const struct clew_id128 *from, const struct clew_id128 *to)
{
	struct session_joining *g = user;

	if (g->n_aliases == AMENDMENTS)
		tell(g);
	g->aliases[g->n_aliases++] = (struct clew_store_alias){
		.trace_id = *from, .canonical = *to, .evidence = CLEW_EV_WIRE, .confidence = 1};
}

static void on_received(void *user, struct clew_span *const *spans, size_t n)
{
	struct session_joining *g = user;

	clew_join_received(g->join, spans, n, clew_mono_ns());
}

static void on_span(void *user, struct clew_span *span)
{
	struct session_joining *g = user;

	session_take_span(g->session, span);
}

static int recall_span(void *user, struct clew_span *span)
{
	struct session_joining *g = user;

	clew_join_recall(g->join, span, clew_mono_ns());
	clew_span_free(span);
	return 0;
}

static void recall_alias(void *user, const struct clew_store_alias *a)
{
	struct session_joining *g = user;

	clew_join_recall_alias(g->join, &a->trace_id, &a->canonical);
}

/* SDKs send what was seen before a restart when it is over. */
static void recall(struct session_joining *g)
{
	const struct clew_span_filter f = {
		.since_ns = clew_clock_ns(CLOCK_REALTIME) - CLEW_JOIN_REMEMBER_NS,
		.limit = CLEW_JOIN_MAX_RECEIVED,
		.sort = CLEW_SORT_START,
	};
	_cleanup_(freep) char *error = NULL;
	int r = clew_store_aliases(g->session->store, f.since_ns, recall_alias, g, &error);

	if (r == 0)
		r = clew_store_find_spans(g->session->store, &f, recall_span, g, &error);
	clew_join_recalled(g->join, clew_mono_ns());
	if (r < 0)
		log_warn("spans of SDKs for what was seen before are kept apart: %s",
			 error ? error : strerror(-r));
}

int session_open_join(struct session *s)
{
	struct clew_join_opts o = {.on_span = on_span, .on_amend = on_amend, .on_alias = on_alias};
	struct session_joining *g;
	int r;

	if (!s->opts->server || !s->opts->server->otlp || !s->pipeline || !s->store)
		return 0;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->session = s;
	o.user = g;
	r = clew_join_new(&o, &g->join);
	if (r < 0) {
		free(g);
		return r;
	}
	s->joining = g;
	recall(g);
	clew_server_on_received(s->server, on_received, g);
	return 0;
}

void session_join_ports(struct session *s)
{
	struct clew_server_ports p;

	if (!s->joining)
		return;
	clew_server_ports(s->server, &p);
	clew_join_own_ports(s->joining->join, p.otlp_http, p.otlp_grpc);
}

bool session_join_span(struct session *s, struct clew_span *span)
{
	if (!s->joining)
		return false;
	clew_join_span(s->joining->join, span, clew_mono_ns());
	return true;
}

void session_join_advance(struct session *s)
{
	if (!s->joining)
		return;
	clew_join_advance(s->joining->join, clew_mono_ns());
	tell(s->joining);
}

void session_join_flush(struct session *s)
{
	if (s->joining)
		clew_join_flush(s->joining->join);
}

void session_join_tell(struct session *s)
{
	if (s->joining)
		tell(s->joining);
}

bool session_join_stats(const struct session *s, struct clew_join_stats *ret)
{
	if (s->joining)
		clew_join_stats(s->joining->join, ret);
	return s->joining != NULL;
}

void session_print_joined(const struct session *s)
{
	struct clew_join_stats j;

	if (!s->joining)
		return;
	clew_join_stats(s->joining->join, &j);
	if (!j.received && !s->opts->verbose)
		return;
	fprintf(stderr,
		"clew: received %llu spans, joined %llu of them with what the kernel saw, %llu "
		"traces with others",
		(unsigned long long)j.received, (unsigned long long)j.joined,
		(unsigned long long)j.aliases);
	if (j.late)
		fprintf(stderr, " (%llu when that was stored)", (unsigned long long)j.late);
	if (j.nested)
		fprintf(stderr, "; %llu exchanges within a received span",
			(unsigned long long)j.nested);
	if (j.conflicts)
		fprintf(stderr, "; %llu traces of two others", (unsigned long long)j.conflicts);
	if (j.early)
		fprintf(stderr, "; %llu spans could not wait", (unsigned long long)j.early);
	if (j.too_late)
		fprintf(stderr, "; %llu received spans came too late",
			(unsigned long long)j.too_late);
	fputc('\n', stderr);
}

void session_close_join(struct session *s)
{
	if (!s->joining)
		return;
	clew_join_free(s->joining->join);
	free(s->joining);
	s->joining = NULL;
}
