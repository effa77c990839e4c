/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the API's calls take, by the handlers that answer them (src/query): p50 and p95 over many
 * different questions each, drawn by lot, the same ones each time.
 *
 *	query_bench DIR [QUESTIONS [THREADS [WHAT]]]      default 100 questions of a kind, 1 thread
 *
 * DIR holds a store that store_bench filled. THREADS of the engine: 1, as in a server; 2, as in a command
 * without one. WHAT: those whose name holds it. Processor time is the whole process's, the engine's threads
 * included. Questions about all spans are all alike: of these a fifth is asked.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "query/query.h"
#include "store/gen.h"

#define MAX_QUESTIONS 2000
#define MS	      UINT64_C(1000000)
#define HOUR	      (3600 * 1000 * MS)

struct bench {
	struct clew_store *st;
	uint64_t state; /* of the random numbers */
	uint64_t first_ns, last_ns, traces;
	struct clew_buf target, answer;
	char (*orders)[24]; /* some that are there */
	size_t n_orders;
	const char *only;
	int questions;
};

static double clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static uint64_t below(struct bench *b, uint64_t n)
{
	uint64_t z = b->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % (n ? n : 1);
}

static int keep_answer(void *user, const char *bytes, size_t n)
{
	struct bench *b = user;

	return clew_buf_add(&b->answer, bytes, n);
}

/* May be -ENOENT, or -ETIMEDOUT (which takes its 30 s); whatever else fails ends the bench. */
static int run(struct bench *b)
{
	char *error = NULL;
	int r;

	clew_buf_clear(&b->answer);
	r = b->target.err ? b->target.err
			  : clew_query_run(b->st, SLICE("GET"), clew_buf_slice(&b->target),
					   slice_of(NULL, 0), keep_answer, b, &error);
	if (r < 0 && r != -ENOENT && r != -ETIMEDOUT) {
		fprintf(stderr, "query_bench: %s: %s\n", b->target.data ? b->target.data : "?",
			error ? error : "?");
		exit(1);
	}
	free(error);
	return r;
}

/* ---- parts of a question ---- */

static void call(struct bench *b, const char *path)
{
	clew_buf_clear(&b->target);
	clew_buf_addf(&b->target, CLEW_API_PREFIX "%s", path);
}

static void param(struct bench *b, const char *key, const char *value)
{
	clew_query_param(&b->target, key, slice_str(value));
}

static void number(struct bench *b, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	param(b, key, text);
}

static void service(struct bench *b)
{
	static const char *const names[] = {"front",   "cart",	   "catalog", "checkout",
					    "payment", "shipping", "account", "search",
					    "ads",     "reviews",  "email",   "stock"};

	param(b, "service", names[below(b, GEN_SERVICES)]);
}

static void hour(struct bench *b)
{
	uint64_t length = b->last_ns - b->first_ns;
	uint64_t from = b->first_ns + below(b, length > HOUR ? length - HOUR : 1);

	number(b, "since", from);
	number(b, "until", from + HOUR);
}

/* All but an hour, which begins anywhere in the first one. */
static void day(struct bench *b)
{
	uint64_t from = b->first_ns + below(b, HOUR), length = b->last_ns - b->first_ns;

	number(b, "since", from);
	number(b, "until", from + (length > 2 * HOUR ? length - HOUR : length));
}

/* 5 ms to 320 ms. */
static void duration(struct bench *b)
{
	number(b, "min_duration", 5 * MS << below(b, 7));
}

static void attr(struct bench *b, const char *key, const char *value)
{
	char text[96];

	snprintf(text, sizeof(text), "%s=%s", key, value);
	param(b, "attr", text);
}

static void method(struct bench *b)
{
	static const char *const methods[] = {"GET", "POST", "PUT"};

	attr(b, "http.request.method", methods[below(b, 3)]);
}

static void trace_of(struct bench *b, uint64_t n, const char *rest)
{
	struct clew_id128 id = gen_trace_id(n);
	char hex[33];

	clew_hex(id.b, sizeof(id.b), hex);
	call(b, "trace/");
	clew_buf_addf(&b->target, "%s%s", hex, rest);
}

/* ---- questions ---- */

static void id_document(struct bench *b)
{
	trace_of(b, below(b, b->traces), "");
}

static void id_tree(struct bench *b)
{
	trace_of(b, below(b, b->traces), "/tree");
}

static void id_absent(struct bench *b)
{
	trace_of(b, (UINT64_C(1) << 40) + below(b, 1u << 30), "");
}

static void slow_traces(struct bench *b)
{
	call(b, "traces");
	service(b);
	duration(b);
}

static void slow_traces_hour(struct bench *b)
{
	slow_traces(b);
	hour(b);
}

static void slow_traces_day(struct bench *b)
{
	slow_traces(b);
	day(b);
}

static void slow_spans(struct bench *b)
{
	call(b, "spans?limit=20&sort=start");
	service(b);
	duration(b);
}

static void slow_spans_hour(struct bench *b)
{
	slow_spans(b);
	hour(b);
}

static void longest_traces(struct bench *b)
{
	call(b, "traces?sort=duration");
	service(b);
}

static void longest_traces_hour(struct bench *b)
{
	longest_traces(b);
	hour(b);
}

static void longest_spans_hour(struct bench *b)
{
	call(b, "spans?limit=20&sort=duration");
	service(b);
	hour(b);
}

static void unique_value(struct bench *b)
{
	call(b, "traces");
	attr(b, "shop.order.id", b->orders[below(b, b->n_orders)]);
}

static void unique_absent(struct bench *b)
{
	char text[24];

	call(b, "traces");
	attr(b, "shop.order.id", gen_order((UINT64_C(1) << 40) + below(b, 1u << 30), text));
}

static void rare(struct bench *b, const char *path)
{
	char text[24];

	call(b, path);
	snprintf(text, sizeof(text), "user-%" PRIu64, below(b, 50000));
	attr(b, "enduser.id", text);
}

static void rare_traces(struct bench *b)
{
	rare(b, "traces");
}

static void rare_spans(struct bench *b)
{
	rare(b, "spans?limit=20&sort=start");
}

static void frequent_value(struct bench *b)
{
	call(b, "traces");
	method(b);
}

static void frequent_value_hour(struct bench *b)
{
	frequent_value(b);
	hour(b);
}

static void service_value(struct bench *b)
{
	call(b, "traces");
	service(b);
	method(b);
}

static void service_value_hour(struct bench *b)
{
	service_value(b);
	hour(b);
}

static void service_number(struct bench *b)
{
	static const char *const conditions[] = {
		"http.response.status_code>=503", "http.response.status_code=502",
		"http.response.body.size>19990", "http.response.body.size<10"};

	call(b, "spans?limit=20&sort=start");
	service(b);
	param(b, "where", conditions[below(b, 4)]);
}

/* Clients' spans have the one, servers' the other. */
static void never_meet(struct bench *b)
{
	char text[32];

	call(b, "traces");
	snprintf(text, sizeof(text), "10.0.%d.%d", (int)below(b, 11) + 1, (int)below(b, 3) + 1);
	attr(b, "server.port", "8080");
	attr(b, "client.address", text);
}

static void never_meet_hour(struct bench *b)
{
	never_meet(b);
	hour(b);
}

/* A service, and what only callees that are others get. */
static void never_service(struct bench *b)
{
	call(b, "traces?service=cart&kind=server");
	attr(b, "clew.http.path_template", below(b, 2) ? "/pay" : "/search");
}

#define OF_TIMES(name, path)                     \
	static void name##_hour(struct bench *b) \
	{                                        \
		call(b, path);                   \
		hour(b);                         \
	}                                        \
	static void name##_day(struct bench *b)  \
	{                                        \
		call(b, path);                   \
		day(b);                          \
	}                                        \
	static void name##_all(struct bench *b)  \
	{                                        \
		call(b, path);                   \
	}

#define OF_SERVICES(name, path)                          \
	static void name##_service_hour(struct bench *b) \
	{                                                \
		call(b, path);                           \
		service(b);                              \
		hour(b);                                 \
	}                                                \
	static void name##_service_all(struct bench *b)  \
	{                                                \
		call(b, path);                           \
		service(b);                              \
	}

OF_TIMES(map, "map")
OF_TIMES(patterns, "patterns")
OF_SERVICES(patterns, "patterns")
OF_TIMES(histogram, "histogram")
OF_SERVICES(spans, "histogram?spans=1")
OF_TIMES(overview, "overview")
OF_SERVICES(red, "red")
OF_SERVICES(operations, "operations")
OF_TIMES(services, "services")

static void rare_histogram(struct bench *b)
{
	rare(b, "histogram?any=1");
}

static const struct question {
	const char *what;
	void (*make)(struct bench *b);
	int asked_ms; /* 0: no figure was asked for */
	bool alike;
} questions[] = {
	{"by id: the whole trace", id_document, 10},
	{"by id: its tree", id_tree, 10},
	{"by id: not there", id_absent, 10},
	{"traces: service, duration", slow_traces, 50},
	{"traces: service, duration, of an hour", slow_traces_hour, 50},
	{"traces: service, duration, of a day", slow_traces_day, 50},
	{"spans: service, duration", slow_spans, 50},
	{"spans: service, duration, of an hour", slow_spans_hour, 50},
	{"traces: service, longest", longest_traces, 0, true},
	{"traces: service, longest, of an hour", longest_traces_hour},
	{"spans: service, longest, of an hour", longest_spans_hour},
	{"traces: unique value", unique_value, 150},
	{"traces: unique value, not there", unique_absent, 150},
	{"traces: rare value", rare_traces, 150},
	{"spans: rare value", rare_spans, 150},
	{"traces: frequent value", frequent_value, 150},
	{"traces: frequent value, of an hour", frequent_value_hour, 150},
	{"traces: service and value", service_value, 150},
	{"traces: service and value, of an hour", service_value_hour, 150},
	{"spans: service and number", service_number, 150},
	{"traces: values that never meet, of an hour", never_meet_hour, 150},
	{"traces: values that never meet", never_meet, 150, true},
	{"traces: service and value that never meet", never_service, 150, true},
	{"graph: an hour", map_hour, 300},
	{"graph: a day", map_day, 300},
	{"graph: all", map_all, 300, true},
	{"patterns: an hour", patterns_hour, 500},
	{"patterns: a day", patterns_day, 500},
	{"patterns: all", patterns_all, 500, true},
	{"patterns: a service, an hour", patterns_service_hour, 500},
	{"patterns: a service, all", patterns_service_all, 500, true},
	{"histogram: an hour", histogram_hour, 200},
	{"histogram: a day", histogram_day, 200},
	{"histogram: all", histogram_all, 200, true},
	{"histogram: traces with a rare value", rare_histogram, 200},
	{"histogram: a service's spans, an hour", spans_service_hour, 200},
	{"histogram: a service's spans, all", spans_service_all, 200, true},
	{"overview: an hour", overview_hour},
	{"overview: a day", overview_day},
	{"overview: all", overview_all, 0, true},
	{"red: a service, an hour", red_service_hour},
	{"red: a service, all", red_service_all, 0, true},
	{"operations: a service, an hour", operations_service_hour},
	{"operations: a service, all", operations_service_all, 0, true},
	{"services: an hour", services_hour},
	{"services: a day", services_day},
	{"services: all", services_all, 0, true},
};

/* ---- asking ---- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double at(const double *sorted, int n, int percent)
{
	int i = n * percent / 100;

	return sorted[i < n ? i : n - 1];
}

static void ask(struct bench *b, const struct question *q)
{
	static double wall[MAX_QUESTIONS], cpu[MAX_QUESTIONS];
	int n = q->alike ? (b->questions + 4) / 5 : b->questions, empty = 0;
	double bytes = 0;
	char asked[16] = "";

	if (!strstr(q->what, b->only))
		return;
	b->state = clew_hash64(q->what, strlen(q->what), 1);
	for (int i = 0; i < n; i++) {
		double t0, c0;

		q->make(b);
		t0 = clock_ms(CLOCK_MONOTONIC);
		c0 = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
		run(b);
		wall[i] = clock_ms(CLOCK_MONOTONIC) - t0;
		cpu[i] = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - c0;
		empty += b->answer.len == 0;
		bytes += (double)b->answer.len;
	}
	qsort(wall, (size_t)n, sizeof(*wall), by_value);
	qsort(cpu, (size_t)n, sizeof(*cpu), by_value);
	if (q->asked_ms)
		snprintf(asked, sizeof(asked), "%d", q->asked_ms);
	printf("%-44s %5s %8.1f %8.1f %8.1f %8.1f %5d %5d %8.1f\n", q->what, asked, at(wall, n, 50),
	       at(wall, n, 95), at(cpu, n, 50), at(cpu, n, 95), n, empty, bytes / n / 1024);
	fflush(stdout);
}

/* Orders that are there, from traces that are. */
static void find_orders(struct bench *b)
{
	b->orders = calloc((size_t)b->questions, sizeof(*b->orders));
	b->state = 1;
	for (int tries = 0; b->orders && tries < 20 * b->questions; tries++) {
		const char *found;

		if (b->n_orders == (size_t)b->questions)
			return;
		id_document(b);
		if (run(b) < 0 || clew_buf_addc(&b->answer, '\0') < 0)
			continue;
		found = strstr(b->answer.data, "\"order-");
		if (found)
			snprintf(b->orders[b->n_orders++], sizeof(*b->orders), "%.*s",
				 (int)strcspn(found + 1, "\""), found + 1);
	}
	if (!b->n_orders) {
		fprintf(stderr, "query_bench: found no order: did store_bench fill it?\n");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct clew_store_opts opts = {.read_only = true, .command = "query_bench"};
	struct bench b = {.questions = argc > 2 ? atoi(argv[2]) : 100,
			  .only = argc > 4 ? argv[4] : ""};
	struct clew_store_size size;
	char *error = NULL;

	if (argc < 2 || argv[1][0] == '-' || b.questions < 1 || b.questions > MAX_QUESTIONS) {
		fprintf(stderr, "usage: query_bench DIR [QUESTIONS [THREADS [WHAT]]]\n");
		return 2;
	}
	opts.threads = argc > 3 ? (uint32_t)atoi(argv[3]) : 1;
	opts.memory_bytes = opts.threads == 1 ? CLEW_STORE_MEMORY_BYTES : 0;
	if (clew_store_open(argv[1], &opts, &b.st, &error) < 0 ||
	    clew_store_bounds(b.st, &b.first_ns, &b.last_ns, &error) < 0 ||
	    clew_store_size(b.st, &size, &error) < 0) {
		fprintf(stderr, "query_bench: %s\n", error ? error : "?");
		return 1;
	}
	/* Some traces have two lines; the last ones are perhaps not there. */
	b.traces = size.spans / 10 - size.spans / 1000;
	printf("%" PRIu64 " spans in %" PRIu64 " partitions, %u threads, ms\n", size.spans,
	       size.partitions, opts.threads);
	find_orders(&b);
	printf("%-44s %5s %8s %8s %8s %8s %5s %5s %8s\n", "", "asked", "p50", "p95", "CPU p50",
	       "CPU p95", "n", "none", "KiB");
	for (size_t i = 0; i < sizeof(questions) / sizeof(*questions); i++)
		ask(&b, &questions[i]);
	clew_store_close(b.st);
	clew_buf_done(&b.target);
	clew_buf_done(&b.answer);
	free(b.orders);
	return 0;
}
