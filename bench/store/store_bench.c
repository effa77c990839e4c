/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store costs: CPU time and bytes a span, and how long queries take.
 *
 *	store_bench DIR [SPANS [HOURS [WHAT]]]      default 1,000,000 spans over 24 hours
 *
 * DIR is left for a look. When it holds a store already, only the questions are asked;
 * WHAT: those whose name holds it. CPU time is
 * the whole process's, the engine's threads included; making the spans is measured on its own and
 * subtracted.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "store/gen.h"

#define START_NS 1767225600000000000ull /* 2026-01-01 */
#define ROUNDS	 40

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static uint64_t dir_bytes(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat sb;
	uint64_t n = 0;

	while (d && (e = readdir(d)))
		if ((strstr(e->d_name, ".duckdb") || strstr(e->d_name, ".log")) &&
		    !fstatat(dirfd(d), e->d_name, &sb, 0))
			n += (uint64_t)sb.st_blocks * 512;
	if (d)
		closedir(d);
	return n;
}

static void die(const char *what, char *error)
{
	fprintf(stderr, "store_bench: %s: %s\n", what, error ? error : "?");
	exit(1);
}

/* ---- filling ---- */

static double gen_cost_us(uint64_t n, uint64_t step_ns)
{
	struct clew_span *spans[GEN_MAX_SPANS];
	double t0 = cpu_us();
	struct gen g;

	gen_init(&g, 1, START_NS, step_ns);
	for (uint64_t done = 0; done < n;) {
		size_t k = gen_trace(&g, spans);

		for (size_t i = 0; i < k; i++)
			clew_span_free(spans[i]);
		done += k;
	}
	gen_done(&g);
	return (cpu_us() - t0) / (double)n;
}

static uint64_t fill(struct clew_store *st, uint64_t n, uint64_t step_ns)
{
	struct clew_span *spans[GEN_MAX_SPANS];
	struct clew_store_stats s;
	struct gen g;

	gen_init(&g, 1, START_NS, step_ns);
	for (uint64_t done = 0; done < n;) {
		size_t k = gen_trace(&g, spans);

		clew_store_append(st, spans, k);
		done += k;
		do { /* faster than any disk: wait, lose nothing */
			clew_store_stats(st, &s);
			if (s.queued < 30000)
				break;
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		} while (true);
	}
	if (clew_store_flush(st) < 0)
		die("flush", NULL);
	gen_done(&g);
	return g.traces;
}

/* ---- asking ---- */

static int count_span(void *user, struct clew_span *s)
{
	++*(uint64_t *)user;
	clew_span_free(s);
	return 0;
}

static int count_trace(void *user, const struct clew_trace_summary *t)
{
	++*(uint64_t *)user;
	return 0;
}

static int count_service(void *user, const struct clew_service_stats *s)
{
	++*(uint64_t *)user;
	return 0;
}

static int count_edge(void *user, const struct clew_edge_stats *e)
{
	++*(uint64_t *)user;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int count_pattern(void *user, const struct clew_pattern_stats *p)
{
	++*(uint64_t *)user;
	return 0;
}

static int count_bucket(void *user, const struct clew_latency_bucket *b)
{
	++*(uint64_t *)user;
	return 0;
}

static int count_red(void *user, const struct clew_red_row *row)
{
	*(uint64_t *)user += row->n > 0;
	return 0;
}

enum ask { BY_ID, SPANS, TRACES, SERVICES, MAP, PATTERNS, TRACE_HIST, SPAN_HIST, RED };

/* What the page asks of many traces at once. */
static int ask_sums(struct clew_store *st, enum ask how, const struct clew_span_filter *f,
		    uint64_t *found, char **ret_error)
{
	struct clew_trace_query tq = {.f = *f};
	struct clew_red_query rq = {.since_ns = START_NS,
				    .until_ns = START_NS + 24ull * 3600 * 1000000000,
				    .step_ns = 24ull * 60 * 1000000000,
				    .by_service = true};
	struct clew_pattern_totals totals;

	tq.f.limit = 0;
	if (how == PATTERNS)
		return clew_store_patterns(st, &tq, 50, &totals, count_pattern, found, ret_error);
	if (how == TRACE_HIST)
		return clew_store_trace_latency(st, &tq, count_bucket, found, ret_error);
	if (how == SPAN_HIST)
		return clew_store_span_latency(st, &tq.f, count_bucket, found, ret_error);
	return clew_store_red(st, &rq, count_red, found, ret_error);
}

static const char *only = "";

static void ask(struct clew_store *st, const char *what, enum ask how,
		void (*make)(struct clew_span_filter *f, uint64_t round, uint64_t traces),
		int rounds, uint64_t traces)
{
	const struct clew_service_query all = {0};
	double ms[ROUNDS], cpu0 = cpu_us();
	uint64_t found = 0;
	char *error = NULL;

	if (!strstr(what, only))
		return;
	for (int i = 0; i < rounds; i++) {
		struct clew_span_filter f = {.limit = 20};
		struct clew_id128 id = gen_trace_id(((uint64_t)i * 7919 + 13) % traces);
		double t0;
		int r = 0;

		if (make)
			make(&f, (uint64_t)i, traces);
		t0 = now_ms();
		if (how == BY_ID)
			r = clew_store_get_trace(st, &id, count_span, &found, &error);
		else if (how == SPANS)
			r = clew_store_find_spans(st, &f, count_span, &found, &error);
		else if (how == TRACES)
			r = clew_store_find_traces(st, &f, count_trace, &found, &error);
		else if (how >= PATTERNS)
			r = ask_sums(st, how, &f, &found, &error);
		else if (how == SERVICES)
			r = clew_store_services(st, &all, NULL, count_service, &found, &error);
		else
			r = clew_store_map(st, 0, 0, 0, NULL, count_edge, &found, &error);
		ms[i] = now_ms() - t0;
		if (r < 0)
			die(what, error);
	}
	qsort(ms, (size_t)rounds, sizeof(*ms), by_value);
	printf("%-44s %9.1f %9.1f %9.1f %9.1f\n", what, ms[rounds / 2], ms[rounds * 95 / 100],
	       (cpu_us() - cpu0) / 1e3 / rounds, (double)found / rounds);
}

static const char *const some[] = {"cart", "payment", "search", "stock", "email"};

static void slow_service(struct clew_span_filter *f, uint64_t round, uint64_t traces)
{
	f->service = slice_str(some[round % 5]);
	f->min_duration_ns = 20000000;
	f->sort = CLEW_SORT_START;
}

static void slowest(struct clew_span_filter *f, uint64_t round, uint64_t traces)
{
	f->service = slice_str(some[round % 5]);
	f->sort = CLEW_SORT_DURATION;
}

static void rare(struct clew_span_filter *f, uint64_t round, uint64_t traces)
{
	static char text[24];

	f->n_attrs = 1;
	f->attrs[0].key = SLICE("shop.order.id");
	f->attrs[0].value = slice_str(gen_order((round * 7919 + 13) % traces, text));
	f->sort = CLEW_SORT_START;
}

static void user(struct clew_span_filter *f, uint64_t round, uint64_t traces)
{
	static char text[24];

	f->n_attrs = 1;
	f->attrs[0].key = SLICE("enduser.id");
	snprintf(text, sizeof(text), "user-%" PRIu64, round * 1013 % 50000);
	f->attrs[0].value = slice_str(text);
	f->sort = CLEW_SORT_START;
}

static void high(struct clew_span_filter *f, uint64_t round, uint64_t traces)
{
	f->n_where = 1;
	f->where[0].op = CLEW_WHERE_GE;
	f->where[0].key = SLICE("http.response.status_code");
	f->where[0].value = SLICE("503");
	f->sort = CLEW_SORT_START;
}

static void one_service(struct clew_span_filter *f, uint64_t round, uint64_t traces)
{
	f->service = slice_str(some[round % 5]);
}

static void common(struct clew_span_filter *f, uint64_t round, uint64_t traces)
{
	f->n_attrs = 1;
	f->attrs[0].key = SLICE("http.request.method");
	f->attrs[0].value = SLICE("PUT");
	f->service = slice_str(some[round % 5]);
	f->sort = CLEW_SORT_START;
}

static void absent(struct clew_span_filter *f, uint64_t round, uint64_t traces)
{
	f->n_attrs = 1;
	f->attrs[0].key = SLICE("http.request.method");
	f->attrs[0].value = SLICE("BREW");
}

static void newest(struct clew_span_filter *f, uint64_t round, uint64_t traces)
{
	f->sort = CLEW_SORT_START;
}

static void ask_all(struct clew_store *st, uint64_t traces)
{
	printf("%-44s %9s %9s %9s %9s\n", "query", "p50 ms", "p95 ms", "CPU ms", "found");
	ask(st, "trace by id", BY_ID, NULL, ROUNDS, traces);
	ask(st, "spans: service, >= 20 ms, newest 20", SPANS, slow_service, ROUNDS, traces);
	ask(st, "spans: service, longest 20", SPANS, slowest, ROUNDS, traces);
	ask(st, "spans: attribute value that is unique", SPANS, rare, ROUNDS, traces);
	ask(st, "spans: attribute value that is rare", SPANS, user, ROUNDS, traces);
	ask(st, "spans: common value and service, newest 20", SPANS, common, ROUNDS, traces);
	ask(st, "spans: value that nobody has", SPANS, absent, ROUNDS, traces);
	ask(st, "traces: newest 20", TRACES, newest, ROUNDS, traces);
	ask(st, "traces: service, >= 20 ms, newest 20", TRACES, slow_service, ROUNDS, traces);
	ask(st, "traces: attribute value that is rare", TRACES, user, ROUNDS, traces);
	ask(st, "traces: service, longest 20", TRACES, slowest, 5, traces);
	ask(st, "spans: number >= 503, newest 20", SPANS, high, ROUNDS, traces);
	ask(st, "services, all time", SERVICES, NULL, 10, traces);
	ask(st, "map, all time", MAP, NULL, 10, traces);
	ask(st, "red by service, 60 steps of 24 min", RED, NULL, 10, traces);
	ask(st, "patterns, all time", PATTERNS, NULL, 10, traces);
	ask(st, "patterns of roots with an attribute", PATTERNS, user, 10, traces);
	ask(st, "histogram of traces, all time", TRACE_HIST, NULL, 10, traces);
	ask(st, "histogram of a service's spans, all time", SPAN_HIST, one_service, 10, traces);
}

int main(int argc, char **argv)
{
	uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
	uint64_t hours = argc > 3 ? strtoull(argv[3], NULL, 10) : 24;
	uint64_t step, traces;
	struct clew_store_opts opts = {.command = "store_bench"};
	struct clew_store *st = NULL;
	struct clew_store_stats s;
	struct rusage ru;
	double gen_us, cpu0, t0;
	char *error = NULL;

	if (argc < 2 || argv[1][0] == '-' || !n || !hours) {
		fprintf(stderr, "usage: store_bench DIR [SPANS [HOURS [WHAT]]]\n");
		return 2;
	}
	only = argc > 4 ? argv[4] : "";
	step = hours * 3600 * 1000000000ull / (n / 10 + 1);
	gen_us = gen_cost_us(n < 300000 ? n : 300000, step);
	if (dir_bytes(argv[1])) {
		opts.read_only = true;
		if (clew_store_open(argv[1], &opts, &st, &error) < 0)
			die("open", error);
		ask_all(st, n / 10);
		clew_store_close(st);
		return 0;
	}
	if (clew_store_open(argv[1], &opts, &st, &error) < 0)
		die("open", error);
	cpu0 = cpu_us();
	t0 = now_ms();
	traces = fill(st, n, step);
	clew_store_stats(st, &s);
	printf("%" PRIu64 " spans in %" PRIu64 " traces over %" PRIu64 " hours; %" PRIu64
	       " batches, %" PRIu64 " seals, %" PRIu64 " lost\n",
	       s.stored, traces, hours, s.batches, s.seals, s.dropped_queue + s.dropped_error);
	clew_store_close(st);
	st = NULL;
	getrusage(RUSAGE_SELF, &ru);
	printf("CPU %.2f us a span (making it, %.2f, not counted), wall %.2f us, RSS %ld MiB\n",
	       (cpu_us() - cpu0) / (double)n - gen_us, gen_us, (now_ms() - t0) * 1e3 / (double)n,
	       ru.ru_maxrss / 1024);
	printf("disk %.1f bytes a span\n", (double)dir_bytes(argv[1]) / (double)n);
	opts.read_only = true;
	t0 = now_ms();
	if (clew_store_open(argv[1], &opts, &st, &error) < 0)
		die("open again", error);
	printf("open read-only %.0f ms\n", now_ms() - t0);
	ask_all(st, traces);
	clew_store_close(st);
	return 0;
}
