/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session counts, for its server's /metrics; the losses are session_losses.c's.
 */
#include "cli/session_internal.h"

#define TELL_NS 1000000000ull

struct figures {
	struct clew_server_figure v[CLEW_SERVER_FIGURES];
	size_t n;
};

static void add(struct figures *f, const char *name, const char *reason, uint64_t value,
		const char *help)
{
	if (f->n < CLEW_SERVER_FIGURES)
		f->v[f->n++] = (struct clew_server_figure){
			.name = name, .help = help, .reason = reason, .value = value};
}

static void add_capture(struct figures *f, const struct clew_capture *capture)
{
	struct clew_capture_stats c;

	clew_capture_stats(capture, &c);
	add(f, "clew_capture_records_total", NULL, c.records, "Records read from the kernel.");
	add(f, "clew_capture_bytes_total", NULL, c.bytes, "... their bytes.");
	add(f, "clew_capture_runtimes_total", NULL, c.runtimes, "Processes of a known runtime.");
	add(f, "clew_capture_runtime_tasks_total", NULL, c.runtime_tasks,
	    "... whose task is read.");
	add(f, "clew_capture_agents_total", NULL, c.agents, "Agents that were put in.");
	add(f, "clew_capture_agents_failed_total", NULL, c.agents_failed,
	    "Agents that could not be, or left early.");
}

static void add_pipeline(struct figures *f, const struct clew_pipeline *pipeline)
{
	static const char links[] = "clew_links_total",
			  links_help[] =
				  "Calls, by how sure the request is that they were made for.";
	const struct clew_causality_stats *c;
	struct clew_pipeline_stats p;

	clew_pipeline_stats(pipeline, &p);
	c = &p.causality;
	add(f, "clew_messages_total", NULL, p.stream.messages, "Messages seen on connections.");
	add(f, "clew_exchanges_total", NULL, p.stream.exchanges, "Requests with their responses.");
	add(f, "clew_spans_total", NULL, p.spans, "Spans made of what was captured.");
	add(f, "clew_traces_total", NULL, p.traces, "Traces that are over.");
	add(f, "clew_incomplete_spans_total", NULL, p.incomplete_spans,
	    "Spans of which something was lost.");
	add(f, links, "certain", c->certain, links_help);
	add(f, links, "probable", c->probable, links_help);
	add(f, links, "orphan", c->orphans, links_help);
	add(f, links, "root", c->roots, links_help);
}

static void add_export(struct figures *f, struct clew_export *export)
{
	struct clew_export_stats e;

	clew_export_stats(export, &e);
	add(f, "clew_export_sent_spans_total", NULL, e.sent,
	    "Spans that the receiver acknowledged.");
	add(f, "clew_export_requests_total", NULL, e.requests, "Requests to the receiver.");
	add(f, "clew_export_retries_total", NULL, e.retries, "... that were sent again.");
	add(f, "clew_export_sent_bytes_total", NULL, e.bytes, "... their bytes.");
	add(f, "clew_export_queued_spans", NULL, e.queued, "Spans that wait to be sent.");
	f->v[f->n - 1].gauge = true;
	add(f, "clew_export_failing", NULL, e.failing, "1 while the receiver cannot be reached.");
	f->v[f->n - 1].gauge = true;
}

static void add_losses(struct figures *f, const struct session *s)
{
	struct session_loss all[SESSION_LOSSES];

	session_losses(s, all);
	for (size_t i = 0; i < SESSION_LOSSES; i++)
		if (all[i].metric && all[i].here)
			add(f, all[i].metric, all[i].reason, all[i].n, all[i].help);
}

static void add_join(struct figures *f, const struct session *s)
{
	struct clew_join_stats j;

	if (!session_join_stats(s, &j))
		return;
	add(f, "clew_join_spans_total", "joined", j.joined,
	    "Received spans and spans of the kernel that tell of the same exchange.");
	add(f, "clew_join_spans_total", "nested", j.nested,
	    "Received spans and spans of the kernel that tell of the same exchange.");
	add(f, "clew_join_late_spans_total", NULL, j.late,
	    "... that had been stored before the received one came.");
	add(f, "clew_join_traces_total", NULL, j.aliases,
	    "Traces that were found to be another's.");
	add(f, "clew_join_conflicts_total", NULL, j.conflicts, "... but two different ones'.");
	add(f, "clew_join_own_calls_total", NULL, j.own,
	    "Calls of targets to this server's OTLP ports, left out.");
	add(f, "clew_join_early_spans_total", NULL, j.early,
	    "Spans that could not wait for those of SDKs.");
	add(f, "clew_join_too_late_spans_total", NULL, j.too_late,
	    "Received spans older than what is remembered of the kernel's.");
	add(f, "clew_join_forgotten_spans_total", NULL, j.forgotten,
	    "Spans of the kernel that could not be remembered for as long as they should.");
	add(f, "clew_join_held_spans", NULL, j.held, "Spans that wait for those of SDKs.");
	f->v[f->n - 1].gauge = true;
	add(f, "clew_join_remembered_spans", NULL, j.remembered,
	    "... and those that went on, for what comes late.");
	f->v[f->n - 1].gauge = true;
}

void session_tell_figures(struct session *s, uint64_t now_ns)
{
	struct figures f = {0};

	if (!s->server || now_ns < s->figures_due_ns)
		return;
	s->figures_due_ns = now_ns + TELL_NS;
	if (s->capture)
		add_capture(&f, s->capture);
	if (s->pipeline)
		add_pipeline(&f, s->pipeline);
	add_join(&f, s);
	if (s->export)
		add_export(&f, s->export);
	add_losses(&f, s);
	clew_server_figures(s->server, f.v, f.n);
}
