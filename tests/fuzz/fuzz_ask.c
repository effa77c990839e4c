/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the readers of what clients ask and receivers answer: TraceQL, Tempo's tags, the parameters of a
 * path, the live tail's filter; OTLP's answers and the HTTP around them.
 * Whatever the text, there is a filter whose slices can be read, or -EINVAL and a reason.
 *
 * Input: one byte (0: TraceQL, 1: tags, 2 and 3: an OTLP response, 4 and 5: a google.rpc.Status, as
 * protobuf or JSON, 6: parameters, 7: a receiver's headers, an empty line, a body; plus 8: it is gRPC's),
 * then the text.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "fuzz.h"
#include "export/internal.h"
#include "model/otlp_answer.h"
#include "query/params.h"
#include "query/query.h"
#include "server/tail_match.h"
#include "server/traceql.h"

/* Of server/api.c, which would bring the HTTP server along. */
int api_fail(struct api_call *c, int status, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!c->error && vasprintf(&c->error, fmt, ap) < 0)
		c->error = NULL;
	va_end(ap);
	return err;
}

int api_add_where(struct api_call *c, struct clew_span_filter *f, const struct clew_filter_where *w)
{
	if (f->n_where == CLEW_FILTER_MAX_WHERE)
		return api_fail(c, 400, -EINVAL, "too many");
	f->where[f->n_where++] = *w;
	return 0;
}

int api_kind(struct slice name)
{
	return name.n && name.p[0] == 's' ? CLEW_KIND_SERVER : -EINVAL;
}

static void read_text(struct slice s, uint64_t *sum)
{
	*sum += s.n ? clew_hash64(s.p, s.n, 0) : 1;
}

/* Reads all that it points to, so that the sanitizer sees it. */
static uint64_t read_filter(const struct clew_span_filter *f)
{
	uint64_t sum = 0;

	FUZZ_CHECK(f->n_attrs <= CLEW_FILTER_MAX_ATTRS && f->n_where <= CLEW_FILTER_MAX_WHERE);
	read_text(f->service, &sum);
	read_text(f->name, &sum);
	for (uint32_t i = 0; i < f->n_attrs; i++) {
		read_text(f->attrs[i].key, &sum);
		read_text(f->attrs[i].value, &sum);
	}
	for (uint32_t i = 0; i < f->n_where; i++) {
		read_text(f->where[i].key, &sum);
		read_text(f->where[i].value, &sum);
	}
	return sum;
}

static uint64_t read_query(const struct traceql *q)
{
	uint64_t sum = 0;

	FUZZ_CHECK(q->n >= 1 && q->n <= TRACEQL_MAX_CASES && q->n_shown <= TRACEQL_MAX_TERMS);
	for (uint32_t i = 0; i < q->n; i++) {
		const struct traceql_case *e = &q->cases[i];

		sum += read_filter(&e->filter);
		FUZZ_CHECK(e->n_trace <= TRACEQL_MAX_TRACE_CONDITIONS);
		for (uint32_t k = 0; k < e->n_trace; k++)
			read_text(e->trace[k].text, &sum);
	}
	for (uint32_t i = 0; i < q->n_shown; i++)
		read_text(q->shown[i].key, &sum);
	return sum;
}

static void ask(bool tags, struct slice text)
{
	struct api_call c = {0};
	struct traceql q = {0};
	int r = tags ? traceql_tags(&c, text, &q) : traceql_parse(&c, text, &q);

	FUZZ_CHECK(r == 0 || (r == -EINVAL && (c.error || no_memory_failed)) || r == -ENOMEM);
	if (r == 0)
		FUZZ_CHECK(read_query(&q) != 0);
	traceql_done(&q);
	free(c.error);
}

static void answer(bool status, bool json, struct slice text)
{
	struct clew_otlp_answer a = {0};
	int r = status ? clew_rpc_status_read(text, json, &a)
		       : clew_otlp_response_read(text, json, &a);

	FUZZ_CHECK(r == 0 || r == -EBADMSG || r == -ENOMEM);
	FUZZ_CHECK(memchr(a.message, 0, sizeof(a.message)));
}

/* A span for the tail's filters to look at. */
static struct clew_span *some_span(void)
{
	struct clew_span *s = clew_span_new();

	if (!s)
		return NULL;
	s->name = SLICE("GET /");
	clew_span_set_str(s, "a", SLICE("b"));
	clew_span_set_int(s, "i", -5);
	clew_span_set_double(s, "d", 0.5);
	clew_span_set_bool(s, "t", true);
	return s;
}

static void parameters(struct slice text)
{
	static const char *const own[] = {"by", "n", "ids"};
	struct clew_span_filter f = {0};
	struct clew_buf again = {0};
	struct params ps;
	char *error = NULL;
	struct slice v;
	uint64_t n;
	bool flag;
	int r = params_parse(&ps, text, &error);

	for (size_t i = 0; r == 0 && i < ps.n; i++)
		FUZZ_CHECK(!clew_query_param(&again, "k", ps.p[i].value) || no_memory_failed);
	if (r == 0 && params_get(&ps, own[0], &v))
		FUZZ_CHECK(!v.n || v.p);
	if (r == 0)
		r = params_u64(&ps, own[1], &n, &error);
	if (r == 0)
		r = params_flag(&ps, own[2], &flag, &error);
	if (r == 0)
		r = params_filter(&ps, &f, &error);
	FUZZ_CHECK(r == 0 || (r == -EINVAL && error) || (r < 0 && no_memory_failed));
	if (r == 0) {
		struct clew_span *s = some_span();

		FUZZ_CHECK(read_filter(&f) != 0 && (s || no_memory_failed));
		if (s && !tail_can_match(&f))
			(void)tail_match(&f, s);
		clew_span_free(s);
	}
	params_done(&ps);
	clew_buf_done(&again);
	free(error);
}

/* As curl hands them over: a line a header, then the body. */
static void receiver(bool grpc, struct slice text)
{
	struct target t = {.grpc = grpc, .gzip = true};
	struct judgement j;
	struct raw_answer a = {0};
	const char *end;

	answer_clear(&a);
	a.status = 200 + text.n % 400;
	while (text.n && text.p[0] != '\n') {
		end = memchr(text.p, '\n', text.n);
		size_t n = end ? (size_t)(end + 1 - text.p) : text.n;

		answer_header(&a, slice_of(text.p, n));
		text = slice_of(text.p + n, text.n - n);
	}
	clew_buf_add(&a.body, text.p, text.n);
	a.status = a.status ? a.status : 503;
	answer_judge(&t, &a, 1000, &j);
	FUZZ_CHECK(memchr(j.why, 0, sizeof(j.why)));
	for (const char *p = j.why; *p; p++)
		FUZZ_CHECK((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f);
	answer_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text;

	if (size < 1 || size > 16384)
		return 0;
	text = slice_of(data + 1, size - 1);
	switch (data[0] % 8) {
	case 0:
	case 1:
		ask(data[0] & 1, text);
		break;
	case 6:
		parameters(text);
		break;
	case 7:
		receiver(data[0] & 8, text);
		break;
	default:
		answer(data[0] & 4, data[0] & 1, text);
	}
	return 0;
}
