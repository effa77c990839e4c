/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session lost, and where: the one table behind the summary's last line (session_report.c) and the
 * server's /metrics (session_figures.c).
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/session_internal.h"

struct counts {
	struct clew_capture_stats capture;
	struct clew_pipeline_stats pipeline;
	struct clew_store_stats store;
	struct clew_export_stats export;
};

#define KERNEL	 "clew_capture_lost_total"
#define KERNELS	 "What the kernel side could not tell, by kind."
#define EXPORT	 "clew_export_lost_spans_total"
#define EXPORTS	 "Spans that the receiver did not get, by reason."
#define COUNT(f) offsetof(struct counts, f)

/*
 * What the summary says, the metric with its label and help, the counter. The server tells of the store. Where the
 * loss is one of whole traces (which), `of` counts these.
 */
static const struct {
	const char *said, *metric, *reason, *help;
	size_t at;
	const char *which;
	size_t of;
} table[] = {
	{"records, the ring was full (a larger --ring-size helps)", KERNEL, "ring", KERNELS,
	 COUNT(capture.lost_ring)},
	{"runs of a hook that the kernel left out, it ran on that processor already", KERNEL,
	 "not_run", KERNELS, COUNT(capture.lost_not_run)},
	{"records of clew itself, no memory", KERNEL, "memory", KERNELS, COUNT(capture.dropped)},
	{"threads without state", KERNEL, "thread_state", KERNELS, COUNT(capture.lost_task_state)},
	{"sockets without state", KERNEL, "socket_state", KERNELS, COUNT(capture.lost_sock_state)},
	{"prefixes that could not be read, or not to their end", KERNEL, "payload", KERNELS,
	 COUNT(capture.lost_payload)},
	{"sends and receives by several threads at once, whose place is not known",
	 "clew_astray_operations_total", NULL,
	 "Sends and receives of threads that used one connection at once.",
	 COUNT(pipeline.stream.astray_ops)},
	{"exchanges over a limit", "clew_lost_exchanges_total", NULL, "Exchanges over a limit.",
	 COUNT(pipeline.lost_limit)},
	{"left out whole: the store was too slow", NULL, NULL, NULL, COUNT(store.shed_spans), "",
	 COUNT(store.shed_traces)},
	{"the store was too slow", NULL, NULL, NULL, COUNT(store.dropped_queue), "other ",
	 COUNT(store.cut_traces)},
	{"spans that the store could not take", NULL, NULL, NULL, COUNT(store.dropped_error)},
	/* of a summary: none in a store that can be written */
	{"spans that were not written when it ended", NULL, NULL, NULL, COUNT(store.unwritten)},
	{"spans of the export, the receiver was too slow", EXPORT, "queue_full", EXPORTS,
	 COUNT(export.dropped_queue)},
	{"spans of the export, not taken in time", EXPORT, "time", EXPORTS, COUNT(export.gave_up)},
	{"spans that the receiver refused", EXPORT, "refused", EXPORTS, COUNT(export.refused)},
	{"spans that the receiver left out", EXPORT, "rejected", EXPORTS, COUNT(export.rejected)},
	{"spans that could not be exported", EXPORT, "encoding", EXPORTS,
	 COUNT(export.dropped_error)},
};
_Static_assert(sizeof(table) / sizeof(table[0]) == SESSION_LOSSES, "a row for each");

static void take_counts(const struct session *s, struct counts *c)
{
	if (s->pipeline)
		clew_pipeline_stats(s->pipeline, &c->pipeline);
	if (s->capture) {
		clew_capture_stats(s->capture, &c->capture);
	} else {
		c->capture.lost_ring = c->pipeline.lost_ring;
		c->capture.lost_not_run = c->pipeline.lost_not_run;
		c->capture.lost_payload = c->pipeline.lost_payload;
		c->capture.lost_task_state = c->pipeline.lost_state;
	}
	if (s->store)
		clew_store_stats(s->store, &c->store);
	if (s->export)
		clew_export_stats(s->export, &c->export);
	c->export.gave_up += c->export.lost_end;
}

/* Is there in this session what counts there? */
static bool is_here(const struct session *s, size_t at)
{
	if (at >= offsetof(struct counts, export))
		return s->export;
	if (at >= offsetof(struct counts, store))
		return s->store;
	return s->capture || s->pipeline;
}

static uint64_t count_at(const struct counts *c, size_t at)
{
	uint64_t n;

	memcpy(&n, (const char *)c + at, sizeof(n));
	return n;
}

static void say(const struct counts *c, size_t i, struct session_loss *l)
{
	const char *said = table[i].said;
	uint64_t of;

	if (table[i].at == COUNT(capture.lost_ring) && c->capture.slow)
		said = "records, made faster than traces can be made of them";
	if (!table[i].which) {
		snprintf(l->said, sizeof(l->said), "%s", said);
		return;
	}
	of = count_at(c, table[i].of);
	snprintf(l->said, sizeof(l->said), "spans of %" PRIu64 " %s%s, %s", of, table[i].which,
		 of == 1 ? "trace" : "traces", said);
}

void session_losses(const struct session *s, struct session_loss ret[SESSION_LOSSES])
{
	struct counts c = {0};

	take_counts(s, &c);
	for (size_t i = 0; i < SESSION_LOSSES; i++) {
		ret[i] = (struct session_loss){.n = count_at(&c, table[i].at),
					       .metric = table[i].metric,
					       .reason = table[i].reason,
					       .help = table[i].help,
					       .here = is_here(s, table[i].at)};
		say(&c, i, &ret[i]);
	}
}
