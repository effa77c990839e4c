/* SPDX-License-Identifier: Apache-2.0 */
#include "store/hot_encode.h"

#include <stddef.h>

#include "base/json.h"
#include "model/otlp_json.h"
#include "store/internal.h"

static uint8_t up_to(uint32_t n)
{
	return (uint8_t)(n < HOT_MAX_LISTS ? n : HOT_MAX_LISTS);
}

/* As in OTLP/JSON, but for what is text here and a list, a map or bytes there: its form is beside it. */
static void put_plain_value(struct clew_buf *b, const struct clew_attr *a)
{
	if (a->type != CLEW_ATTR_STR || !a->form) {
		clew_otlp_json_value(b, a);
		return;
	}
	clew_buf_addf(b, "{\"form\":%u,\"stringValue\":", a->form);
	clew_json_str(b, a->str);
	clew_buf_addc(b, '}');
}

/* Attributes of a link or event: OTLP/JSON key-values, or nothing where there are none. */
static struct slice attrs_json(struct clew_buf *json, const struct clew_attr *attrs, uint32_t n)
{
	clew_buf_clear(json);
	if (!n)
		return SLICE("");
	for (uint32_t i = 0; i < n; i++) {
		clew_buf_adds(json, i ? ",{\"key\":" : "[{\"key\":");
		clew_json_str(json, attrs[i].key);
		clew_buf_adds(json, ",\"value\":");
		put_plain_value(json, &attrs[i]);
		clew_buf_addc(json, '}');
	}
	clew_buf_addc(json, ']');
	return clew_buf_slice(json);
}

/* The texts behind the entries that hold their lengths. */
static void put_attrs(struct clew_buf *out, const struct clew_span *s, uint32_t n,
		      const uint32_t *keys, struct clew_buf *scratch)
{
	size_t at = out->len;
	char num[64];

	if (!clew_buf_room(out, n * sizeof(struct hot_text)))
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct slice text = attr_text(&s->attrs[i], num, sizeof(num));
		struct hot_text t;

		if (s->attrs[i].type == CLEW_ATTR_STR)
			text = duck_utf8(text, scratch);
		t = (struct hot_text){keys[i], (uint32_t)text.n};
		if (clew_buf_add(out, text.p, text.n) < 0)
			return;
		memcpy(out->data + at + i * sizeof(t), &t, sizeof(t));
	}
}

static int pad(struct clew_buf *out, size_t row)
{
	static const char zeros[8];

	return clew_buf_add(out, zeros, (8 - (out->len - row) % 8) % 8);
}

static bool needs_more(const struct clew_span *s)
{
	const int64_t *times = &s->times.cpu_ns;

	for (int i = 0; i < 7; i++)
		if (times[i] >= (int64_t)HOT_UNKNOWN)
			return true;
	return s->n_links || s->n_events || s->sampling_threshold || s->clock_offset_ns ||
	       s->dropped_attrs || s->dropped_links || s->dropped_events || s->status_message.n ||
	       s->trace_state.n;
}
_Static_assert(sizeof(struct clew_span_times) == 7 * sizeof(int64_t), "it is read as an array");

static void put_link_texts(struct clew_buf *out, const struct clew_span *s, uint32_t n, size_t at,
			   struct clew_buf *json)
{
	for (uint32_t i = 0; i < n && !out->err; i++) {
		const struct clew_span_link *l = &s->links[i];
		struct slice text = attrs_json(json, l->attrs, l->n_attrs);
		struct hot_link link = {id128_huge(&l->trace_id), id64_int(&l->span_id),
					l->confidence, (uint32_t)text.n};

		clew_buf_add(out, text.p, text.n);
		memcpy(out->data + at + i * sizeof(link), &link, sizeof(link));
	}
}

static void put_event_texts(struct clew_buf *out, const struct clew_span *s, uint32_t n, size_t at,
			    struct clew_buf *scratch, struct clew_buf *json)
{
	for (uint32_t i = 0; i < n && !out->err; i++) {
		const struct clew_span_event *e = &s->events[i];
		struct slice name = duck_utf8(e->name, scratch);
		struct hot_event event = {(int64_t)e->time_ns, (uint32_t)name.n, 0};
		struct slice text;

		clew_buf_add(out, name.p, name.n);
		text = attrs_json(json, e->attrs, e->n_attrs);
		clew_buf_add(out, text.p, text.n);
		event.attrs_len = (uint32_t)text.n;
		memcpy(out->data + at + i * sizeof(event), &event, sizeof(event));
	}
}

static void put_more(struct clew_buf *out, const struct clew_span *s, const struct hot_row *row,
		     struct clew_buf *scratch, struct clew_buf *json)
{
	size_t at = out->len, links = at + sizeof(struct hot_more);
	size_t events = links + row->n_links * sizeof(struct hot_link);
	struct hot_more m = {
		.sampling = s->sampling_threshold,
		.clock_offset_ns = s->clock_offset_ns,
		.dropped = {s->dropped_attrs + (s->n_attrs - row->n_attrs),
			    s->dropped_links + (s->n_links - row->n_links),
			    s->dropped_events + (s->n_events - row->n_events)},
	};
	struct slice text;

	memcpy(m.times, &s->times, sizeof(m.times));
	for (int i = 0; i < 7; i++)
		m.times[i] = m.times[i] < 0 ? -1 : m.times[i];
	if (!clew_buf_room(out, events + row->n_events * sizeof(struct hot_event) - at))
		return;
	text = duck_utf8(s->status_message, scratch);
	m.status_len = (uint32_t)text.n;
	clew_buf_add(out, text.p, text.n);
	text = duck_utf8(s->trace_state, scratch);
	m.state_len = (uint32_t)text.n;
	clew_buf_add(out, text.p, text.n);
	put_link_texts(out, s, row->n_links, links, json);
	put_event_texts(out, s, row->n_events, events, scratch, json);
	memcpy(out->data + at, &m, sizeof(m));
}

int hot_encode(struct clew_buf *out, const struct clew_span *s, const struct span_ids *ids,
	       struct clew_buf *scratch, struct clew_buf *json)
{
	/* Times are signed in the tables. */
	uint64_t start_ns = s->start_ns < INT64_MAX ? s->start_ns : INT64_MAX;
	uint64_t end_ns = INT64_MAX - start_ns;
	const int64_t *times = &s->times.cpu_ns;
	size_t at = out->len;
	struct hot_row row = {
		.flags = (uint8_t)((s->is_root ? HOT_ROOT : 0) |
				   (ids->resource != UINT32_MAX ? HOT_RESOURCE : 0) |
				   (needs_more(s) ? HOT_MORE : 0)),
		.n_attrs = up_to(s->n_attrs),
		.n_links = up_to(s->n_links),
		.n_events = up_to(s->n_events),
		.trace_id = id128_huge(&s->trace_id),
		.wire_key = id128_huge(&s->wire_key),
		.span_id = id64_int(&s->span_id),
		.parent_id = id64_int(&s->parent_span_id),
		.start_ns = (int64_t)start_ns,
		.duration_ns = (int64_t)(s->duration_ns < end_ns ? s->duration_ns : end_ns),
		.proc_start_ns = (int64_t)s->proc_start_ns,
		.service = ids->service,
		.operation = ids->operation,
		.resource = ids->resource == UINT32_MAX ? 0 : ids->resource,
		.scope = ids->scope,
		.kind = (uint8_t)s->kind,
		.status = (uint8_t)s->status,
		.link_class = s->link_class,
		.evidence = s->evidence,
		.incomplete = s->incomplete,
		.confidence = s->confidence,
		.pid = s->pid,
		.tid = s->tid,
	};

	for (int i = 0; i < 7; i++)
		row.times[i] = times[i] < 0 || times[i] >= (int64_t)HOT_UNKNOWN
				       ? HOT_UNKNOWN
				       : (uint32_t)times[i];
	if (!clew_buf_room(out, sizeof(row)))
		return out->err;
	put_attrs(out, s, row.n_attrs, ids->keys, scratch);
	if (row.flags & HOT_MORE) {
		pad(out, at);
		row.more_at = (uint32_t)(out->len - at);
		put_more(out, s, &row, scratch, json);
	}
	pad(out, at);
	row.bytes = (uint32_t)(out->len - at);
	if (out->err || scratch->err || json->err) {
		out->len = at;
		return out->err ? out->err : scratch->err ? scratch->err : json->err;
	}
	memcpy(out->data + at, &row, sizeof(row));
	return 0;
}

int hot_changed_row(struct clew_buf *out, const struct hot_row *old, const struct hot_row *row,
		    const int64_t times[7])
{
	size_t at = out->len;
	struct hot_row r = *row;
	struct hot_more m = {0};
	bool far = false;

	for (int i = 0; i < 7; i++) {
		bool fits = times[i] < (int64_t)HOT_UNKNOWN;

		m.times[i] = times[i] < 0 ? -1 : times[i];
		r.times[i] = times[i] < 0 || !fits ? HOT_UNKNOWN : (uint32_t)times[i];
		far = far || !fits;
	}
	clew_buf_add(out, old, old->bytes);
	if (far && !(old->flags & HOT_MORE)) {
		r.flags |= HOT_MORE;
		r.more_at = old->bytes;
		r.bytes += (uint32_t)sizeof(m);
		clew_buf_add(out, &m, sizeof(m));
	}
	if (out->err)
		return out->err;
	memcpy(out->data + at, &r, sizeof(r));
	if (r.flags & HOT_MORE)
		memcpy(out->data + at + r.more_at + offsetof(struct hot_more, times), m.times,
		       sizeof(m.times));
	return 0;
}
