/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session tells its user: the line of a finished trace and the summary at the end.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/units.h"
#include "cli/out.h"
#include "cli/session_internal.h"

/* "1 span", "12 spans" */
#define COUNT(n, one, many) (n), (n) == 1 ? one : many

static void print_losses(const struct session *s)
{
	struct session_loss all[SESSION_LOSSES];
	bool any = false;

	session_losses(s, all);
	for (size_t i = 0; i < SESSION_LOSSES; i++) {
		if (!all[i].n)
			continue;
		fprintf(stderr, "%s%" PRIu64 " %s", any ? "; " : "clew: lost: ", all[i].n,
			all[i].said);
		any = true;
	}
	fprintf(stderr, any ? "\n" : "clew: lost: nothing\n");
}

void session_print_agents(struct session *s)
{
	struct clew_capture_stats c = {0};

	if (!s->capture || !s->opts->capture.runtime.agents)
		return;
	clew_capture_stats(s->capture, &c);
	if (c.agents_failed > s->agents_failed)
		log_warn("--agent: %" PRIu64 " of %" PRIu64 " could not be put in; %s",
			 c.agents_failed, c.agents + c.agents_failed, c.agent_why);
	s->agents_failed = c.agents_failed;
}

static void print_service(void *user, const struct clew_service_known *k)
{
	const struct clew_service_report *r = &k->report;
	const struct out_style st = {.width = 200};
	_cleanup_(freep) char *name = strndup(k->service.p, k->service.n);
	uint64_t all = r->hits + r->misses;
	struct clew_buf b = {0};

	/* A process may call itself what it likes. */
	out_text(&b, &st, name ? name : "", st.width);
	fprintf(stderr, "clew: %s: %s", b.data ? b.data : "", r->model);
	clew_buf_done(&b);
	if (all)
		fprintf(stderr, ", %.1f %% of %" PRIu64 " checkpoints",
			100.0 * (double)r->hits / (double)all, all);
	fprintf(stderr,
		"; calls: %" PRIu64 " certain, %" PRIu64 " probable, %" PRIu64 " orphans, %" PRIu64
		" of its own\n",
		r->certain, r->probable, r->orphans, r->roots);
}

/* For -v: what was read of runtimes' tasks, and what could not be. */
static void print_runtimes(const struct session *s)
{
	struct clew_capture_stats c = {0};

	if (!s->capture || s->opts->capture.runtime.off)
		return;
	clew_capture_stats(s->capture, &c);
	fprintf(stderr,
		"clew: runtimes: %" PRIu64 " %s, tasks read in %" PRIu64 "; not looked at %" PRIu64
		", self-test failed %" PRIu64 "; Go HTTP calls without socket %" PRIu64
		", table full %" PRIu64 "; heap rooms not read %" PRIu64,
		COUNT(c.runtimes, "process", "processes"), c.runtime_tasks, c.runtime_dropped,
		c.runtime_distrusted, c.go_conns_unknown, c.go_conns_full, c.heap_rooms_unread);
	if (s->opts->capture.runtime.go_channels)
		fprintf(stderr,
			"; taken from Go's channels without a sender %" PRIu64 ", lent %" PRIu64,
			c.go_gifts_unknown, c.go_gifts_lent);
	if (s->opts->capture.runtime.tokio_wakers)
		fprintf(stderr, "; wakes of unknown tokio tasks %" PRIu64, c.tokio_wakes_unknown);
	fputc('\n', stderr);
}

static void print_exported(const struct session *s)
{
	struct clew_export_stats ex;

	if (!s->export)
		return;
	clew_export_stats(s->export, &ex);
	fprintf(stderr, "clew: exported %" PRIu64 " %s to %s", COUNT(ex.sent, "span", "spans"),
		clew_export_url(s->export));
	if (s->opts->verbose)
		fprintf(stderr,
			" in %" PRIu64 " requests, %" PRIu64 " of them again, %" PRIu64
			" bytes, %.1f us of CPU a span",
			ex.requests, ex.retries, ex.bytes,
			ex.appended ? (double)ex.cpu_ns / 1e3 / (double)ex.appended : 0);
	if (clew_export_lost(&ex) && ex.last_error[0])
		fprintf(stderr, "; last error: %s", ex.last_error);
	fputc('\n', stderr);
}

void session_print_summary(struct session *s)
{
	struct clew_pipeline_stats p = {0};
	struct clew_store_stats st = {0};

	if (s->pipeline)
		clew_pipeline_stats(s->pipeline, &p);
	fflush(stdout);
	session_print_agents(s);
	fprintf(stderr, "clew: %" PRIu64 " %s", COUNT(s->operations, "operation", "operations"));
	if (s->pipeline)
		fprintf(stderr,
			", %" PRIu64 " %s, %" PRIu64 " %s, %" PRIu64 " %s, %" PRIu64 " %s, %" PRIu64
			" %s, %" PRIu64 " incomplete",
			COUNT(p.stream.messages, "message", "messages"),
			COUNT(p.stream.exchanges, "exchange", "exchanges"),
			COUNT(p.spans, "span", "spans"), COUNT(p.traces, "trace", "traces"),
			COUNT(p.causality.orphans, "orphan", "orphans"), p.incomplete_spans);
	fputc('\n', stderr);
	if (s->pipeline && s->opts->verbose)
		(void)clew_pipeline_services(s->pipeline, print_service, NULL);
	if (s->opts->verbose)
		print_runtimes(s);
	print_losses(s);
	if (s->store) {
		clew_store_stats(s->store, &st);
		fprintf(stderr, "clew: stored %" PRIu64 " %s in %s; look: clew traces -d %s\n",
			COUNT(st.stored, "span", "spans"), s->opts->db, s->opts->db);
	}
	session_print_joined(s);
	print_exported(s);
}

/* A borrowed text in a field of its own width, safe for a terminal. */
static void add_field(struct clew_buf *b, const struct out_style *st, struct slice text,
		      unsigned int width)
{
	char copy[200];

	snprintf(copy, sizeof(copy), "%.*s", (int)text.n, text.n ? text.p : "");
	out_left(b, st, copy, width);
	clew_buf_adds(b, "  ");
}

void session_print_live(const struct clew_trace_done *t)
{
	const struct out_style st = out_style();
	time_t seconds = (time_t)(t->start_ns / 1000000000u);
	char hex[33], when[16], took[CLEW_UNITS_TEXT];
	struct clew_buf b = {0};
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(when, sizeof(when), "%H:%M:%S", &tm);
	clew_hex(t->trace_id.b, sizeof(t->trace_id.b), hex);
	clew_buf_addf(&b, "%s.%03u  ", when, (unsigned int)(t->start_ns / 1000000u % 1000u));
	out_right(&b, &st, out_duration(&st, t->duration_ns, took), 9);
	clew_buf_addf(&b, "  %.8s  ", hex);
	add_field(&b, &st, t->service, 16);
	add_field(&b, &st, t->name, st.width > 100 ? 48 : 32);
	clew_buf_addf(&b, "%u %s%s\n", t->n_spans, t->n_spans == 1 ? "span" : "spans",
		      t->error ? "  error" : "");
	(void)out_write(&b);
	clew_buf_done(&b);
}

void session_wait_for_store(struct session *s)
{
	struct clew_store_stats st;

	if (!s->store)
		return;
	clew_store_stats(s->store, &st);
	if (st.queued > CLEW_STORE_QUEUE_SPANS / 2 && !st.failing)
		(void)clew_store_flush(s->store);
}
