/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the readers of OTLP: whatever the bytes, there are spans that are whole, or none and a reason;
 * and what is read can be written as OTLP/JSON and read again, span for span.
 *
 * Input: one byte (even: protobuf, odd: JSON), then the request.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "model/otlp_in.h"
#include "model/otlp_json.h"

static void check_attrs(const struct clew_attr *attrs, uint32_t n, uint64_t *sum)
{
	FUZZ_CHECK(n <= CLEW_SPAN_MAX_ATTRS);
	for (uint32_t i = 0; i < n; i++) {
		FUZZ_CHECK(attrs[i].key.n <= CLEW_OTLP_MAX_NAME);
		*sum += clew_hash64(attrs[i].key.p, attrs[i].key.n, 0);
		if (attrs[i].type == CLEW_ATTR_STR)
			*sum += clew_hash64(attrs[i].str.p, attrs[i].str.n, 1);
		for (uint32_t k = 0; k < i; k++)
			FUZZ_CHECK(!slice_eq(attrs[i].key, attrs[k].key));
	}
}

/* Reads all that there is, so that the sanitizer sees it. A sum of the ids. */
static uint64_t check_spans(const struct clew_otlp_in *in)
{
	uint64_t ids = 0, sum = 0;

	for (size_t i = 0; i < in->n; i++) {
		const struct clew_span *s = in->spans[i];

		FUZZ_CHECK(!clew_id128_none(&s->trace_id) && !clew_id64_none(&s->span_id));
		FUZZ_CHECK(s->resource && s->resource->service.n);
		FUZZ_CHECK(s->name.n <= CLEW_OTLP_MAX_NAME && s->scope.n <= CLEW_OTLP_MAX_NAME);
		FUZZ_CHECK(s->kind <= CLEW_KIND_CONSUMER && s->status <= CLEW_STATUS_ERROR);
		FUZZ_CHECK(s->n_links <= CLEW_SPAN_MAX_LINKS &&
			   s->n_events <= CLEW_SPAN_MAX_EVENTS);
		FUZZ_CHECK(s->is_root == clew_id64_none(&s->parent_span_id));
		check_attrs(s->attrs, s->n_attrs, &sum);
		check_attrs(s->resource->attrs, s->resource->n_attrs, &sum);
		for (uint32_t k = 0; k < s->n_links; k++)
			check_attrs(s->links[k].attrs, s->links[k].n_attrs, &sum);
		for (uint32_t k = 0; k < s->n_events; k++)
			check_attrs(s->events[k].attrs, s->events[k].n_attrs, &sum);
		ids += clew_hash64(&s->trace_id, sizeof(s->trace_id), 0) ^
		       clew_hash64(&s->span_id, sizeof(s->span_id), 0);
	}
	FUZZ_CHECK(sum != 1); /* it is used */
	return ids;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct clew_otlp_in in = {.max_spans = 1000}, again = {0};
	struct clew_buf json = {0};
	uint64_t ids;
	int r;

	if (size < 1 || size > 65536)
		return 0;
	r = data[0] & 1 ? clew_otlp_read_json(slice_of(data + 1, size - 1), &in)
			: clew_otlp_read(slice_of(data + 1, size - 1), &in);
	FUZZ_CHECK(r == 0 || r == -EBADMSG || r == -E2BIG || (r == -ENOMEM && no_memory_failed));
	FUZZ_CHECK(r == 0 || (!in.n && !in.spans));
	FUZZ_CHECK(r != -EBADMSG || in.error[0]);
	FUZZ_CHECK(memchr(in.error, 0, sizeof(in.error)));
	ids = check_spans(&in);
	r = in.n ? clew_otlp_json(&json, in.spans, in.n) : 0;
	if (in.n && r == 0) {
		r = clew_otlp_read_json(clew_buf_slice(&json), &again);
		if (r < 0 && !no_memory_failed)
			fprintf(stderr, "%d %s\n", r, again.error);
		FUZZ_CHECK(r || (again.n == in.n && check_spans(&again) == ids));
	}
	FUZZ_CHECK(r == 0 || (r == -ENOMEM && no_memory_failed));
	clew_buf_done(&json);
	clew_otlp_in_done(&again);
	clew_otlp_in_done(&in);
	return 0;
}
