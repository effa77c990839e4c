/* SPDX-License-Identifier: Apache-2.0 */
#include "model/otlp_build.h"

#include <stdarg.h>
#include <stdio.h>

#define CHUNK_BYTES 65536u

/* ---- the arena ---- */

struct otlp_chunk {
	struct otlp_chunk *next;
	char bytes[] __attribute__((aligned(16)));
};

void *otlp_alloc(struct otlp_arena *a, size_t n)
{
	struct otlp_chunk *c;
	size_t size;
	void *p;

	n = n ? (n + 15) & ~(size_t)15 : 16;
	if (n > a->left) {
		size = n > CHUNK_BYTES / 4 ? n : CHUNK_BYTES;
		if (a->limit && (size > a->limit || a->used > a->limit - size))
			return NULL;
		c = malloc(sizeof(*c) + size);
		if (!c)
			return NULL;
		c->next = a->chunks;
		a->chunks = c;
		a->used += size;
		if (size == n) /* alone in its chunk: what is left of the last one stays in use */
			return c->bytes;
		a->at = c->bytes;
		a->left = size;
	}
	p = a->at;
	a->at += n;
	a->left -= n;
	return p;
}

void otlp_arena_done(struct otlp_arena *a)
{
	struct otlp_chunk *next;

	for (struct otlp_chunk *c = a->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	*a = (struct otlp_arena){.limit = a->limit};
}

/* ---- the builder ---- */

void otlp_builder_done(struct otlp_builder *b)
{
	otlp_arena_done(&b->arena);
	free(b->attrs.v);
	clew_buf_done(&b->text);
	clew_resource_unref(b->resource);
}

int otlp_fail(struct otlp_builder *b, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(b->in->error, sizeof(b->in->error), fmt, ap);
	va_end(ap);
	return err;
}

void clew_otlp_in_done(struct clew_otlp_in *in)
{
	for (size_t i = 0; i < in->n; i++)
		clew_span_free(in->spans[i]);
	free(in->spans);
	in->spans = NULL;
	in->n = in->cap = 0;
}

/* At most max bytes, not in the middle of a character. */
static struct slice cut(struct otlp_builder *b, struct slice s)
{
	if (s.n <= CLEW_OTLP_MAX_NAME)
		return s;
	b->in->cut_names++;
	s.n = CLEW_OTLP_MAX_NAME;
	while (s.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
		s.n--;
	return s;
}

/* ---- attributes ---- */

int otlp_attrs_begin(struct otlp_builder *b)
{
	struct otlp_attrs *l = &b->attrs;

	l->n = l->dropped = 0;
	if (!l->v)
		l->v = malloc(CLEW_SPAN_MAX_ATTRS * sizeof(*l->v));
	return l->v ? 0 : -ENOMEM;
}

void otlp_attrs_add(struct otlp_builder *b, const struct clew_attr *a)
{
	struct otlp_attrs *l = &b->attrs;
	struct slice key = cut(b, a->key);
	uint32_t i = 0;

	while (i < l->n && !slice_eq(l->v[i].key, key))
		i++;
	if (i == CLEW_SPAN_MAX_ATTRS) {
		l->dropped++;
		return;
	}
	l->v[i] = *a;
	l->v[i].key = key;
	l->n += i == l->n;
}

void otlp_text_value(struct otlp_builder *b, enum clew_attr_form form, struct clew_attr *ret)
{
	char *copy = b->text.err ? NULL : otlp_alloc(&b->arena, b->text.len);

	if (copy && b->text.len)
		memcpy(copy, b->text.data, b->text.len);
	ret->type = CLEW_ATTR_STR;
	ret->form = (uint8_t)form;
	ret->str = slice_of(copy, copy ? b->text.len : 0);
}

void otlp_bytes_value(struct otlp_builder *b, struct slice bytes, struct clew_attr *ret)
{
	clew_buf_clear(&b->text);
	otlp_put_base64(&b->text, bytes);
	otlp_text_value(b, CLEW_FORM_BYTES, ret);
	if (ret->str.n < 2) /* no memory */
		return;
	ret->str = slice_of(ret->str.p + 1, ret->str.n - 2); /* without the quotes */
}

void otlp_put_base64(struct clew_buf *b, struct slice s)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	clew_buf_addc(b, '"');
	for (size_t i = 0; i < s.n; i += 3) {
		size_t n = s.n - i < 3 ? s.n - i : 3;
		uint32_t v = 0;

		for (size_t k = 0; k < 3; k++)
			v = v << 8 | (k < n ? (unsigned char)s.p[i + k] : 0u);
		for (size_t k = 0; k < 4; k++)
			clew_buf_addc(b, k <= n ? digits[v >> (18 - 6 * k) & 63] : '=');
	}
	clew_buf_addc(b, '"');
}

/* The key and the value in the span's memory. */
static bool copy_attr(struct clew_span *span, const struct clew_attr *from, struct clew_attr *to)
{
	size_t value_n = from->type == CLEW_ATTR_STR ? from->str.n : 0;
	char *p = clew_span_alloc(span, from->key.n + value_n);

	if (!p)
		return false;
	*to = *from;
	if (from->key.n)
		memcpy(p, from->key.p, from->key.n);
	to->key = slice_of(p, from->key.n);
	if (from->type != CLEW_ATTR_STR)
		return true;
	if (value_n)
		memcpy(p + from->key.n, from->str.p, value_n);
	to->str = slice_of(p + from->key.n, value_n);
	return true;
}

void otlp_span_attrs(struct otlp_builder *b, struct clew_span *span)
{
	const struct otlp_attrs *l = &b->attrs;
	struct clew_attr *room;

	span->dropped_attrs += l->dropped;
	if (!l->n)
		return;
	room = clew_span_room(span, l->n);
	if (!room) {
		span->dropped_attrs += l->n;
		return;
	}
	for (uint32_t i = 0; i < l->n; i++) {
		if (copy_attr(span, &l->v[i], room)) {
			room++;
			span->n_attrs++;
		} else {
			span->dropped_attrs++;
		}
	}
}

struct clew_attr *otlp_copy_attrs(struct otlp_builder *b, struct clew_span *span, uint32_t *ret_n)
{
	const struct otlp_attrs *l = &b->attrs;
	struct clew_attr *v;

	*ret_n = 0;
	span->dropped_attrs += l->dropped;
	if (!l->n)
		return NULL;
	v = (struct clew_attr *)clew_span_alloc_aligned(span, l->n * sizeof(*v));
	if (!v) {
		span->dropped_attrs += l->n;
		return NULL;
	}
	for (uint32_t i = 0; i < l->n; i++) {
		if (copy_attr(span, &l->v[i], &v[*ret_n]))
			++*ret_n;
		else
			span->dropped_attrs++;
	}
	return v;
}

/* ---- the resource ---- */

/* OpenTelemetry's name for a service that says none. */
static void name_service(struct otlp_builder *b)
{
	struct otlp_attrs *l = &b->attrs;
	struct clew_attr service = {.key = SLICE("service.name"),
				    .type = CLEW_ATTR_STR,
				    .str = SLICE("unknown_service")};

	for (uint32_t i = 0; i < l->n; i++) {
		if (!slice_eq(l->v[i].key, service.key))
			continue;
		if (l->v[i].type != CLEW_ATTR_STR || !l->v[i].str.n)
			l->v[i] = service;
		l->v[i].str = cut(b, l->v[i].str);
		return;
	}
	if (l->n == CLEW_SPAN_MAX_ATTRS)
		l->n--;
	otlp_attrs_add(b, &service);
}

int otlp_resource(struct otlp_builder *b)
{
	struct otlp_attrs *l = &b->attrs;
	struct clew_resource *r;
	size_t bytes = 0;
	uint32_t kept = 0;

	b->in->dropped_resource += l->dropped;
	for (uint32_t i = 0; i < l->n; i++) {
		bytes += l->v[i].key.n + (l->v[i].type == CLEW_ATTR_STR ? l->v[i].str.n : 8);
		if (bytes > CLEW_OTLP_MAX_RESOURCE) {
			b->in->dropped_resource += l->n - i;
			break;
		}
		l->v[kept++] = l->v[i];
	}
	l->n = kept;
	name_service(b);
	r = clew_resource_new(l->v, l->n, NULL);
	if (!r)
		return -ENOMEM;
	clew_resource_unref(b->resource);
	b->resource = r;
	return 0;
}

/* ---- spans ---- */

static bool nonzero(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i])
			return true;
	return false;
}

static bool rejected(struct otlp_builder *b, const struct otlp_span *s)
{
	struct clew_otlp_in *in = b->in;
	bool first = !in->rejected_ids && !in->rejected_times;

	if (s->trace_id.n != 16 || s->span_id.n != 8 || !nonzero(s->trace_id) ||
	    !nonzero(s->span_id)) {
		in->rejected_ids++;
		if (first)
			otlp_fail(b, 0,
				  "a span has no valid ids: 16 bytes of trace_id, 8 of span_id, "
				  "not all zero");
		return true;
	}
	if (s->start_ns < in->oldest_ns || (in->newest_ns && s->start_ns > in->newest_ns)) {
		in->rejected_times++;
		if (first)
			otlp_fail(b, 0,
				  "a span begins at %llu ns (Unix), outside the times that are "
				  "taken: is the sender's clock right?",
				  (unsigned long long)s->start_ns);
		return true;
	}
	return false;
}

/* OpenTelemetry's own entry: "ot=th:8;rv:...": 56 bits, trailing zeros left out. */
static uint64_t sampling_threshold(struct slice state)
{
	const char *p = state.n > 6 ? memmem(state.p, state.n, "ot=", 3) : NULL;
	size_t n = p ? (size_t)(state.p + state.n - p) : 0, digits = 0;
	const char *th = p ? memmem(p, n, "th:", 3) : NULL, *comma = p ? memchr(p, ',', n) : NULL;
	uint64_t v = 0;

	if (!th || (comma && comma < th))
		return 0;
	for (th += 3; th < state.p + state.n && digits < 14; th++, digits++) {
		int c = *th, d = c >= '0' && c <= '9'	? c - '0'
				 : c >= 'a' && c <= 'f' ? c - 'a' + 10
							: -1;

		if (d < 0)
			break;
		v = v << 4 | (uint64_t)d;
	}
	return digits ? v << (4 * (14 - digits)) : 0;
}

static void fill(struct otlp_builder *b, struct clew_span *span, const struct otlp_span *s)
{
	bool reversed = s->end_ns < s->start_ns;

	memcpy(span->trace_id.b, s->trace_id.p, 16);
	memcpy(span->span_id.b, s->span_id.p, 8);
	if (s->parent_span_id.n == 8 && !slice_eq(s->parent_span_id, s->span_id))
		memcpy(span->parent_span_id.b, s->parent_span_id.p, 8);
	span->is_root = clew_id64_none(&span->parent_span_id);
	span->link_class = span->is_root ? CLEW_LINK_ROOT : CLEW_LINK_CERTAIN;
	span->kind = s->kind >= 0 && s->kind <= CLEW_KIND_CONSUMER ? (enum clew_span_kind)s->kind
								   : CLEW_KIND_UNSPECIFIED;
	span->status = s->status >= 0 && s->status <= CLEW_STATUS_ERROR
			       ? (enum clew_status)s->status
			       : CLEW_STATUS_UNSET;
	span->start_ns = s->start_ns;
	span->duration_ns = reversed ? 0 : s->end_ns - s->start_ns;
	b->in->reversed += reversed;
	span->name = clew_span_copy(span, cut(b, s->name));
	span->status_message = clew_span_copy(span, s->status_message);
	span->trace_state = clew_span_copy(span, s->trace_state);
	span->sampling_threshold = sampling_threshold(s->trace_state);
	span->scope = clew_span_copy(span, cut(b, b->scope));
	span->dropped_attrs = s->dropped_attrs;
	span->dropped_events = s->dropped_events;
	span->dropped_links = s->dropped_links;
	span->resource = clew_resource_ref(b->resource);
}

int otlp_span_begin(struct otlp_builder *b, const struct otlp_span *s, struct clew_span **ret_span)
{
	struct clew_otlp_in *in = b->in;
	struct clew_span *span;

	*ret_span = NULL;
	if (rejected(b, s))
		return 0;
	if (in->max_spans && in->n == in->max_spans)
		return otlp_fail(b, -E2BIG,
				 "more than %zu spans in one request: send smaller batches",
				 in->max_spans);
	if (in->n == in->cap) {
		size_t cap = in->cap ? in->cap * 2 : 512;
		struct clew_span **v = realloc(in->spans, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		in->spans = v;
		in->cap = cap;
	}
	span = clew_span_new_in(in->pool);
	if (!span)
		return -ENOMEM;
	fill(b, span, s);
	in->spans[in->n++] = span;
	*ret_span = span;
	return 0;
}

struct clew_span_event *otlp_span_events(struct clew_span *span, size_t n, size_t *ret_n)
{
	size_t kept = n < CLEW_SPAN_MAX_EVENTS ? n : CLEW_SPAN_MAX_EVENTS;

	*ret_n = 0;
	span->events =
		kept ? (void *)clew_span_alloc_aligned(span, kept * sizeof(*span->events)) : NULL;
	if (!span->events)
		kept = 0;
	span->dropped_events += (uint32_t)(n - kept);
	span->n_events = (uint32_t)kept;
	if (kept)
		memset(span->events, 0, kept * sizeof(*span->events));
	*ret_n = kept;
	return span->events;
}

struct clew_span_link *otlp_span_links(struct clew_span *span, size_t n, size_t *ret_n)
{
	size_t kept = n < CLEW_SPAN_MAX_LINKS ? n : CLEW_SPAN_MAX_LINKS;

	*ret_n = 0;
	span->links =
		kept ? (void *)clew_span_alloc_aligned(span, kept * sizeof(*span->links)) : NULL;
	if (!span->links)
		kept = 0;
	span->dropped_links += (uint32_t)(n - kept);
	span->n_links = (uint32_t)kept;
	for (size_t i = 0; i < kept; i++)
		span->links[i] = (struct clew_span_link){.confidence = -1};
	*ret_n = kept;
	return span->links;
}
