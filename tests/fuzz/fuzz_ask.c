/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the readers of what clients ask and receivers answer: TraceQL, Tempo's tags, OTLP's answers.
 * Whatever the text, there is a filter whose slices can be read, or -EINVAL and a reason.
 *
 * Input: one byte (0: TraceQL, 1: tags, 2 and 3: an OTLP response, 4 and 5: a google.rpc.Status, as
 * protobuf or JSON), then the text.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "fuzz.h"
#include "model/otlp_answer.h"
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
static uint64_t read_filter(const struct traceql *q)
{
	const struct clew_span_filter *f = &q->filter;
	uint64_t sum = 0;

	FUZZ_CHECK(f->n_attrs <= CLEW_FILTER_MAX_ATTRS && f->n_where <= CLEW_FILTER_MAX_WHERE);
	FUZZ_CHECK(q->n_trace <= TRACEQL_MAX_TRACE_CONDITIONS);
	FUZZ_CHECK(q->n_shown <= CLEW_FILTER_MAX_ATTRS + CLEW_FILTER_MAX_WHERE);
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
	for (uint32_t i = 0; i < q->n_trace; i++)
		read_text(q->trace[i].text, &sum);
	for (uint32_t i = 0; i < q->n_shown; i++)
		read_text(q->shown[i].key, &sum);
	return sum;
}

static void ask(bool tags, struct slice text)
{
	struct api_call c = {0};
	struct traceql q = {0};
	int r = tags ? traceql_tags(&c, text, &q) : traceql_parse(&c, text, &q);

	FUZZ_CHECK(r == 0 || (r == -EINVAL && c.error) || r == -ENOMEM);
	if (r == 0)
		FUZZ_CHECK(read_filter(&q) != 0);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text;

	if (size < 1 || size > 16384)
		return 0;
	text = slice_of(data + 1, size - 1);
	if (data[0] % 6 < 2)
		ask(data[0] % 6 == 1, text);
	else
		answer(data[0] % 6 >= 4, data[0] & 1, text);
	return 0;
}
