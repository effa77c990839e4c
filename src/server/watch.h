/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server makes of each span as it is stored: metrics of spans, the service graph, the live
 * tail. All of it runs on the store's writer thread, in memory and bounded.
 */
#pragma once

#include "server/internal.h"

/* Upper bounds of the histograms, seconds; those of Grafana Tempo's generator. */
#define WATCH_BUCKETS 12
extern const double watch_bounds[WATCH_BUCKETS];

struct watch_histogram {
	uint64_t buckets[WATCH_BUCKETS + 1]; /* not cumulative; the last one: above all bounds */
	uint64_t n;
	double sum;
};

void watch_observe(struct watch_histogram *h, uint64_t ns);
/** watch_label() - append key="value" as Prometheus' text format has it. */
void watch_label(struct clew_buf *out, const char *key, struct slice value);
/** watch_histogram_text() - append the lines of one; labels: what stands before le. */
void watch_histogram_text(struct clew_buf *out, const char *name, struct slice labels,
			  const struct watch_histogram *h);

/* ---- spanmetrics.c: calls and latency by service, operation, kind and status ---- */
/* Series at a time; spans beyond are counted in one whose labels say "(other)". */
#define SPANMETRICS_SERIES 2000u
struct spanmetrics;
struct spanmetrics *spanmetrics_new(void);
void spanmetrics_free(struct spanmetrics *m);
void spanmetrics_add(struct spanmetrics *m, const struct clew_span *s);
int spanmetrics_text(struct spanmetrics *m, struct clew_buf *out);

/* ---- graph.c: who calls whom, from the two spans of a call ---- */
#define GRAPH_EDGES 1000u
/* Spans that wait for their other half, and how long. */
#define GRAPH_HALVES  65536u
#define GRAPH_WAIT_NS (10ull * 1000 * 1000 * 1000)
struct graph;
struct graph *graph_new(void);
void graph_free(struct graph *g);
void graph_add(struct graph *g, const struct clew_span *s);
int graph_text(struct graph *g, struct clew_buf *out);

/* ---- tail.c: traces as they come, as server-sent events ---- */
#define TAIL_CLIENTS 16u
/* Lines that wait for one client; beyond it they are lost, and counted to it. */
#define TAIL_LINES 256u
/* Traces that are looked at at a time. */
#define TAIL_TRACES 8192u
/* A trace is told when nothing of it came for so long, and at the latest so long after its first. */
#define TAIL_QUIET_NS (1000ull * 1000 * 1000)
#define TAIL_MAX_NS   (5000ull * 1000 * 1000)
struct tail;
struct tail *tail_new(struct clew_server *s);
void tail_free(struct tail *t);
void tail_add(struct tail *t, const struct clew_span *s);
/** tail_stop() - end all clients' answers. */
void tail_stop(struct tail *t);
void tail_counts(struct tail *t, uint64_t *ret_clients, uint64_t *ret_lost);
enum MHD_Result tail_answer(struct request *rq);

/* ---- metrics.c ---- */
int watch_start(struct clew_server *s);
void watch_stop(struct clew_server *s);
enum MHD_Result metrics_answer(struct request *rq);
