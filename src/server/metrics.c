/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics in Prometheus' text format, and the hook that feeds what it shows of spans. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/units.h"
#include "server/watch.h"

const double watch_bounds[WATCH_BUCKETS] = {0.002, 0.004, 0.008, 0.016, 0.032, 0.064,
					    0.128, 0.256, 0.512, 1.024, 2.048, 4.096};

void watch_observe(struct watch_histogram *h, uint64_t ns)
{
	double s = (double)ns / 1e9;
	int i = 0;

	while (i < WATCH_BUCKETS && s > watch_bounds[i])
		i++;
	h->buckets[i]++;
	h->n++;
	h->sum += s;
}

/* Backslash, quote and newline are escaped; what is not UTF-8 becomes U+FFFD, as in JSON. */
void watch_label(struct clew_buf *out, const char *key, struct slice value)
{
	struct clew_buf json = {0};

	clew_json_str(&json, value);
	clew_buf_addf(out, "%s=\"", key);
	for (size_t i = 1; i + 1 < json.len; i++) {
		char c = json.data[i];

		/* JSON's escapes that Prometheus does not know: a blank for what nobody reads. */
		if (c == '\\' && strchr("\"\\n", json.data[i + 1])) {
			clew_buf_addc(out, c);
			c = json.data[++i];
		} else if (c == '\\') {
			i += json.data[i + 1] == 'u' ? 5 : 1;
			c = ' ';
		}
		clew_buf_addc(out, c);
	}
	clew_buf_addc(out, '"');
	clew_buf_done(&json);
}

void watch_histogram_text(struct clew_buf *out, const char *name, struct slice labels,
			  const struct watch_histogram *h)
{
	uint64_t sum = 0;

	for (int i = 0; i < WATCH_BUCKETS; i++) {
		sum += h->buckets[i];
		clew_buf_addf(out, "%s_bucket{%.*s,le=\"%g\"} %" PRIu64 "\n", name, (int)labels.n,
			      labels.p, watch_bounds[i], sum);
	}
	clew_buf_addf(out, "%s_bucket{%.*s,le=\"+Inf\"} %" PRIu64 "\n%s_sum{%.*s} %.9g\n", name,
		      (int)labels.n, labels.p, h->n, name, (int)labels.n, labels.p, h->sum);
	clew_buf_addf(out, "%s_count{%.*s} %" PRIu64 "\n", name, (int)labels.n, labels.p, h->n);
}

/* ---- what is stored ---- */

static void on_stored(void *user, const struct clew_span *span)
{
	struct clew_server *s = user;

	spanmetrics_add(s->spanmetrics, span);
	graph_add(s->graph, span);
	tail_add(s->tail, span);
}

int watch_start(struct clew_server *s)
{
	s->spanmetrics = spanmetrics_new();
	s->graph = graph_new();
	s->tail = tail_new(s);
	if (!s->spanmetrics || !s->graph || !s->tail)
		return -ENOMEM;
	clew_store_on_stored(s->st, on_stored, s);
	return 0;
}

void watch_stop(struct clew_server *s)
{
	clew_store_on_stored(s->st, NULL, NULL);
	spanmetrics_free(s->spanmetrics);
	graph_free(s->graph);
	tail_free(s->tail);
}

/* ---- health ---- */

static void head(struct clew_buf *b, const char *name, const char *type, const char *help)
{
	clew_buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void counter(struct clew_buf *b, const char *name, const char *help, uint64_t v)
{
	head(b, name, "counter", help);
	clew_buf_addf(b, "%s %" PRIu64 "\n", name, v);
}

static void gauge(struct clew_buf *b, const char *name, const char *help, double v)
{
	head(b, name, "gauge", help);
	clew_buf_addf(b, "%s %.15g\n", name, v);
}

static void reason(struct clew_buf *b, const char *name, const char *why, uint64_t v)
{
	clew_buf_addf(b, "%s{reason=\"%s\"} %" PRIu64 "\n", name, why, v);
}

static uint64_t store_bytes(struct clew_server *s, uint64_t *ret_partitions)
{
	int fd = openat(clew_store_fd(s->st), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	uint64_t bytes = 0;
	struct stat sb;

	*ret_partitions = 0;
	for (struct dirent *e; d && (e = readdir(d));) {
		struct slice name = slice_str(e->d_name);

		if (fstatat(fd, e->d_name, &sb, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(sb.st_mode))
			continue;
		bytes += (uint64_t)sb.st_size;
		*ret_partitions +=
			slice_starts(name, SLICE("spans-")) && slice_ends(name, SLICE(".duckdb"));
	}
	if (d)
		closedir(d);
	else
		closep(&fd);
	return bytes;
}

static void put_store(struct clew_server *s, struct clew_buf *b)
{
	struct clew_store_stats st;
	uint64_t partitions, bytes = store_bytes(s, &partitions);

	clew_store_stats(s->st, &st);
	counter(b, "clew_store_spans_total", "Spans that were stored.", st.stored);
	counter(b, "clew_store_duplicates_total", "Spans that were stored already.", st.duplicates);
	head(b, "clew_store_lost_spans_total", "counter", "Spans that were not stored.");
	reason(b, "clew_store_lost_spans_total", "shed", st.shed_spans);
	reason(b, "clew_store_lost_spans_total", "queue_full", st.dropped_queue);
	reason(b, "clew_store_lost_spans_total", "error", st.dropped_error);
	head(b, "clew_store_lost_traces_total", "counter",
	     "Traces that were left out whole (shed), or of which spans were dropped.");
	reason(b, "clew_store_lost_traces_total", "shed", st.shed_traces);
	reason(b, "clew_store_lost_traces_total", "queue_full", st.cut_traces);
	counter(b, "clew_store_untold_spans_total",
		"Dropped spans that are not told with their trace.", st.cut_untold);
	gauge(b, "clew_store_kept_ratio",
	      "The part of captured traces that is kept: less than 1 while the store cannot keep "
	      "up.",
	      st.kept);
	counter(b, "clew_store_refused_spans_total",
		"Spans that were refused, for their sender to send again.", st.refused);
	counter(b, "clew_retention_partitions_total", "Hours that retention dropped.",
		st.retention_partitions);
	counter(b, "clew_retention_spans_total", "... their spans.", st.retention_spans);
	counter(b, "clew_retention_bytes_total", "... their bytes.", st.retention_bytes);
	gauge(b, "clew_retention_waits",
	      "1 while the clock has gone ahead and no hour is dropped by it: for a day at most.",
	      st.retention_waits);
	counter(b, "clew_store_amended_spans_total",
		"Stored spans that were changed: received ones that were joined, and the kernel's "
		"that they tell.",
		st.amended);
	counter(b, "clew_store_amendments_missed_total",
		"... that were not there to be changed within some seconds.", st.amend_missed);
	counter(b, "clew_store_amendments_dropped_total",
		"Amendments and aliases that could not wait, or be written.", st.amend_dropped);
	counter(b, "clew_store_commits_total", "Batches written.", st.batches);
	counter(b, "clew_store_seals_total", "Runs sealed.", st.seals);
	counter(b, "clew_store_failures_total", "Attempts to write that failed.", st.failures);
	clew_buf_addf(b,
		      "# HELP clew_store_write_seconds_total Time of the writer's thread.\n"
		      "# TYPE clew_store_write_seconds_total counter\n"
		      "clew_store_write_seconds_total %.6f\n",
		      (double)st.write_ns / 1e9);
	gauge(b, "clew_store_damaged_files",
	      "Files that cannot be used and lie beside the others (*.damaged): what they hold is "
	      "not told.",
	      (double)st.damaged_files);
	gauge(b, "clew_store_damaged_bytes",
	      "Of logs of the newest spans, when the store was opened: left out.",
	      (double)st.damaged_bytes);
	gauge(b, "clew_store_damaged_hours",
	      "Hours that are used and have blocks that could not be read when they were asked "
	      "for.",
	      (double)st.damaged_hours);
	counter(b, "clew_store_hours_left_out_total",
		"Times that a query was answered without an hour, as it could not be read.",
		st.left_out);
	gauge(b, "clew_store_queued_spans", "Spans that wait to be written.", (double)st.queued);
	gauge(b, "clew_store_failing", "1 while the store cannot be written.", st.failing);
	gauge(b, "clew_store_bytes", "Size of the store's files.", (double)bytes);
	gauge(b, "clew_store_partitions", "Files of spans.", (double)partitions);
}

static void put_otlp(struct clew_server *s, struct clew_buf *b)
{
	struct ingest_counters *c = &s->ingest;

	counter(b, "clew_otlp_requests_total", "OTLP requests.", c->requests);
	counter(b, "clew_otlp_malformed_requests_total", "... of which nothing was kept.",
		c->malformed);
	counter(b, "clew_otlp_accepted_spans_total", "Spans that were acknowledged.", c->stored);
	head(b, "clew_otlp_rejected_spans_total", "counter", "Spans that were left out.");
	reason(b, "clew_otlp_rejected_spans_total", "ids", c->rejected_ids);
	reason(b, "clew_otlp_rejected_spans_total", "time", c->rejected_times);
	head(b, "clew_otlp_refused_spans_total", "counter", "Spans to be sent again.");
	reason(b, "clew_otlp_refused_spans_total", "queue_full", c->refused);
	reason(b, "clew_otlp_refused_spans_total", "store", c->failed);
	counter(b, "clew_otlp_refused_memory_total", "Requests refused for want of memory.",
		c->refused_memory);
	counter(b, "clew_otlp_reversed_spans_total", "Spans that ended before they began.",
		c->reversed);
	counter(b, "clew_otlp_cut_names_total", "Names that were cut.", c->cut_names);
	counter(b, "clew_otlp_dropped_resource_attributes_total",
		"Attributes of resources that were left out.", c->dropped_resource);
}

static void put_http(struct clew_server *s, struct clew_buf *b)
{
	struct server_counters *c = &s->counters;
	uint64_t clients, lost;

	counter(b, "clew_http_requests_total", "HTTP requests.", c->requests);
	counter(b, "clew_connections_total", "Connections, gRPC's too.", c->connections);
	head(b, "clew_refused_total", "counter", "Requests and connections refused.");
	reason(b, "clew_refused_total", "token", c->refused_auth);
	reason(b, "clew_refused_total", "host", c->refused_host);
	reason(b, "clew_refused_total", "size", c->refused_size);
	reason(b, "clew_refused_total", "busy", c->refused_busy);
	reason(b, "clew_refused_total", "gone", c->refused_gone);
	reason(b, "clew_refused_total", "time", c->timed_out);
	reason(b, "clew_refused_total", "connections", c->refused_connections);
	tail_counts(s->tail, &clients, &lost);
	gauge(b, "clew_tail_clients", "Clients of the live tail.", (double)clients);
	counter(b, "clew_tail_lost_total", "Traces that a client of the tail was too slow for.",
		lost);
}

void clew_server_figures(struct clew_server *s, const struct clew_server_figure *v, size_t n)
{
	n = n < CLEW_SERVER_FIGURES ? n : CLEW_SERVER_FIGURES;
	pthread_mutex_lock(&s->lock);
	memcpy(s->figures, v, n * sizeof(*v));
	s->n_figures = n;
	pthread_mutex_unlock(&s->lock);
}

static void put_figures(struct clew_server *s, struct clew_buf *b)
{
	struct clew_server_figure v[CLEW_SERVER_FIGURES];
	const char *last = "";
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->n_figures;
	memcpy(v, s->figures, n * sizeof(*v));
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(last, v[i].name) != 0)
			head(b, v[i].name, v[i].gauge ? "gauge" : "counter", v[i].help);
		last = v[i].name;
		if (v[i].reason)
			reason(b, v[i].name, v[i].reason, v[i].value);
		else
			clew_buf_addf(b, "%s %" PRIu64 "\n", v[i].name, v[i].value);
	}
}

static void put_process(struct clew_buf *b)
{
	struct rusage ru;
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%*u %lu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	getrusage(RUSAGE_SELF, &ru);
	gauge(b, "process_resident_memory_bytes", "Resident memory.",
	      (double)pages * (double)sysconf(_SC_PAGESIZE));
	clew_buf_addf(b,
		      "# HELP process_cpu_seconds_total Processor time.\n"
		      "# TYPE process_cpu_seconds_total counter\n"
		      "process_cpu_seconds_total %.3f\n",
		      (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
			      (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
}

enum MHD_Result metrics_answer(struct request *rq)
{
	struct clew_server *s = rq->server;
	struct clew_buf b = {0};
	enum MHD_Result r;

	clew_buf_addf(&b, "# TYPE clew_build_info gauge\nclew_build_info{version=\"%s\"} 1\n",
		      CLEW_VERSION);
	put_process(&b);
	put_figures(s, &b);
	put_store(s, &b);
	put_otlp(s, &b);
	put_http(s, &b);
	spanmetrics_text(s->spanmetrics, &b);
	graph_text(s->graph, &b);
	r = b.err ? answer_error(rq, 503, "out of memory: try again")
		  : answer_bytes(rq, 200, "text/plain; version=0.0.4; charset=utf-8",
				 clew_buf_slice(&b));
	clew_buf_done(&b);
	return r;
}
