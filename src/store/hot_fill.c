/* SPDX-License-Identifier: Apache-2.0 */
#include "store/hot_fill.h"

#include <string.h>

static const struct {
	const char *name;
	duckdb_type type;
	bool list;
} columns[N_SPAN_COLUMNS] = {
#define X(c, sql, t) [COL_##c] = {#sql, DUCKDB_TYPE_##t, false},
	SPAN_COLUMNS(X)
#undef X
#define X(c, sql, t) [COL_##c] = {#sql, DUCKDB_TYPE_##t, true},
		SPAN_LISTS(X)
#undef X
};

void hot_fill_columns(duckdb_bind_info info, bool numbered)
{
	duckdb_logical_type type, list;

	for (int i = 0; i < N_SPAN_COLUMNS; i++) {
		type = duckdb_create_logical_type(columns[i].type);
		list = columns[i].list ? duckdb_create_list_type(type) : NULL;
		duckdb_bind_add_result_column(info, columns[i].name, list ? list : type);
		if (list)
			duckdb_destroy_logical_type(&list);
		duckdb_destroy_logical_type(&type);
	}
	if (!numbered)
		return;
	type = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
	duckdb_bind_add_result_column(info, "rowid", type);
	duckdb_destroy_logical_type(&type);
}

/* What is being filled. */
struct fill {
	duckdb_vector vec;
	void *data;
	uint64_t *valid; /* NULL until there was a NULL */
	const struct hot_row *const *rows;
	idx_t n;
};

static void put_null(struct fill *f, idx_t i)
{
	if (!f->valid) {
		duckdb_vector_ensure_validity_writable(f->vec);
		f->valid = duckdb_vector_get_validity(f->vec);
	}
	f->valid[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

/* As the engine has it: up to 12 bytes in place, else four of them and where they are. */
static duckdb_string_t text_of(const char *p, uint32_t len)
{
	duckdb_string_t s = {0};

	s.value.inlined.length = len;
	if (len <= sizeof(s.value.inlined.inlined)) {
		memcpy(s.value.inlined.inlined, p, len);
	} else {
		memcpy(s.value.pointer.prefix, p, sizeof(s.value.pointer.prefix));
		s.value.pointer.ptr = (char *)(uintptr_t)p;
	}
	return s;
}

static void fill_text(struct fill *f, bool state)
{
	duckdb_string_t *out = f->data;

	for (idx_t i = 0; i < f->n; i++) {
		const struct hot_more *m = hot_more(f->rows[i]);
		uint32_t len = !m ? 0 : state ? m->state_len : m->status_len;

		if (!len) {
			put_null(f, i);
			continue;
		}
		out[i] = text_of(hot_texts(f->rows[i], m) + (state ? m->status_len : 0), len);
	}
}

static void fill_time(struct fill *f, int which)
{
	int64_t *out = f->data;

	for (idx_t i = 0; i < f->n; i++) {
		int64_t v = hot_time(f->rows[i], which);

		if (v < 0)
			put_null(f, i);
		else
			out[i] = v;
	}
}

static void fill_parents(struct fill *f)
{
	uint64_t *out = f->data;

	for (idx_t i = 0; i < f->n; i++) {
		out[i] = f->rows[i]->parent_id;
		if (!out[i])
			put_null(f, i);
	}
}

static void fill_wire_keys(struct fill *f)
{
	duckdb_uhugeint *out = f->data;

	for (idx_t i = 0; i < f->n; i++) {
		out[i] = f->rows[i]->wire_key;
		if (!out[i].lower && !out[i].upper)
			put_null(f, i);
	}
}

static void fill_resources(struct fill *f)
{
	uint32_t *out = f->data;

	for (idx_t i = 0; i < f->n; i++) {
		out[i] = f->rows[i]->resource;
		if (!(f->rows[i]->flags & HOT_RESOURCE))
			put_null(f, i);
	}
}

/* ---- lists ---- */

enum list { LIST_ATTRS, LIST_LINKS, LIST_EVENTS };

/* The entries of all rows; the child vector has room for their elements then. */
static void *begin_list(struct fill *f, enum list which)
{
	duckdb_list_entry *out = f->data;
	uint64_t n = 0;

	for (idx_t i = 0; i < f->n; i++) {
		const struct hot_row *r = f->rows[i];
		uint64_t len = which == LIST_ATTRS   ? r->n_attrs
			       : which == LIST_LINKS ? r->n_links
						     : r->n_events;

		out[i] = (duckdb_list_entry){n, len};
		if (!len)
			put_null(f, i);
		n += len;
	}
	duckdb_list_vector_reserve(f->vec, n);
	duckdb_list_vector_set_size(f->vec, n);
	return duckdb_vector_get_data(duckdb_list_vector_get_child(f->vec));
}

static void fill_attr_keys(struct fill *f)
{
	uint32_t *out = begin_list(f, LIST_ATTRS);

	for (idx_t i = 0; i < f->n; i++)
		for (uint32_t k = 0; k < f->rows[i]->n_attrs; k++)
			*out++ = hot_attrs(f->rows[i])[k].key;
}

static void fill_attr_values(struct fill *f)
{
	duckdb_string_t *out = begin_list(f, LIST_ATTRS);

	for (idx_t i = 0; i < f->n; i++) {
		const struct hot_text *t = hot_attrs(f->rows[i]);
		const char *p = hot_values(f->rows[i]);

		for (uint32_t k = 0; k < f->rows[i]->n_attrs; p += t[k++].len)
			*out++ = text_of(p, t[k].len);
	}
}

static void fill_links(struct fill *f, idx_t col)
{
	char *out = begin_list(f, LIST_LINKS);
	duckdb_uhugeint *traces = (duckdb_uhugeint *)out;
	float *confidences = (float *)out;
	uint64_t *spans = (uint64_t *)out;
	duckdb_string_t *attrs = (duckdb_string_t *)out;
	idx_t at = 0;

	for (idx_t i = 0; i < f->n; i++) {
		const struct hot_more *m = hot_more(f->rows[i]);
		const struct hot_link *l = m ? hot_links(m) : NULL;
		const char *p = m ? hot_texts(f->rows[i], m) + m->status_len + m->state_len : NULL;

		for (uint32_t k = 0; k < f->rows[i]->n_links; p += l[k++].attrs_len, at++)
			if (col == COL_LINK_TRACES)
				traces[at] = l[k].trace_id;
			else if (col == COL_LINK_SPANS)
				spans[at] = l[k].span_id;
			else if (col == COL_LINK_CONFIDENCES)
				confidences[at] = l[k].confidence;
			else
				attrs[at] = text_of(p, l[k].attrs_len);
	}
}

static void fill_events(struct fill *f, idx_t col)
{
	char *out = begin_list(f, LIST_EVENTS);
	duckdb_string_t *texts = (duckdb_string_t *)out;
	int64_t *times = (int64_t *)out;
	idx_t at = 0;

	for (idx_t i = 0; i < f->n; i++) {
		const struct hot_row *r = f->rows[i];
		const struct hot_more *m = hot_more(r);
		const struct hot_event *e = m ? hot_events(r, m) : NULL;
		const char *p = m ? hot_texts(r, m) + m->status_len + m->state_len : NULL;

		for (uint32_t k = 0; k < r->n_links; k++)
			p += hot_links(m)[k].attrs_len;
		for (uint32_t k = 0; k < r->n_events; k++, at++) {
			if (col == COL_EVENT_TIMES)
				times[at] = e[k].time_ns;
			else if (col == COL_EVENT_NAMES)
				texts[at] = text_of(p, e[k].name_len);
			else
				texts[at] = text_of(p + e[k].name_len, e[k].attrs_len);
			p += e[k].name_len + e[k].attrs_len;
		}
	}
}

/* ---- a column ---- */

#define EACH(type, value)                                  \
	do {                                               \
		type *out_ = f.data;                       \
		for (idx_t i = 0; i < n; i++) {            \
			const struct hot_row *r = rows[i]; \
			out_[i] = value;                   \
		}                                          \
	} while (false)

#define MORE(field) (r->flags & HOT_MORE ? hot_more(r)->field : 0)

static void fill_rare(struct fill f, idx_t col, const struct hot_row *const *rows,
		      const uint32_t *nums, idx_t n)
{
	switch (col) {
	case COL_SAMPLING:
		EACH(uint64_t, MORE(sampling));
		break;
	case COL_CLOCK_OFFSET:
		EACH(int64_t, MORE(clock_offset_ns));
		break;
	case COL_DROPPED_ATTRS:
	case COL_DROPPED_LINKS:
	case COL_DROPPED_EVENTS:
		EACH(uint32_t, MORE(dropped[col - COL_DROPPED_ATTRS]));
		break;
	case COL_STATUS_MESSAGE:
	case COL_TRACE_STATE:
		fill_text(&f, col == COL_TRACE_STATE);
		break;
	case COL_ATTR_KEYS:
		fill_attr_keys(&f);
		break;
	case COL_ATTR_VALUES:
		fill_attr_values(&f);
		break;
	case COL_LINK_TRACES:
	case COL_LINK_SPANS:
	case COL_LINK_CONFIDENCES:
	case COL_LINK_ATTRS:
		fill_links(&f, col);
		break;
	case COL_EVENT_TIMES:
	case COL_EVENT_NAMES:
	case COL_EVENT_ATTRS:
		fill_events(&f, col);
		break;
	case N_SPAN_COLUMNS:
		for (idx_t i = 0; i < n; i++)
			((int64_t *)f.data)[i] = nums[i];
		break;
	default:
		fill_time(&f, (int)(col - COL_CPU_NS));
	}
}

void hot_fill(duckdb_vector vec, idx_t col, const struct hot_row *const *rows, const uint32_t *nums,
	      idx_t n)
{
	struct fill f = {vec, duckdb_vector_get_data(vec), NULL, rows, n};

	switch (col) {
#define CASE(c, type, field)          \
	case COL_##c:                 \
		EACH(type, r->field); \
		break
		CASE(TRACE_ID, duckdb_uhugeint, trace_id);
		CASE(SPAN_ID, uint64_t, span_id);
		CASE(START_NS, int64_t, start_ns);
		CASE(DURATION_NS, int64_t, duration_ns);
		CASE(SERVICE, uint32_t, service);
		CASE(OPERATION, uint32_t, operation);
		CASE(SCOPE, uint32_t, scope);
		CASE(KIND, uint8_t, kind);
		CASE(STATUS, uint8_t, status);
		CASE(LINK_CLASS, uint8_t, link_class);
		CASE(IS_ROOT, bool, flags &HOT_ROOT);
		CASE(EVIDENCE, uint32_t, evidence);
		CASE(INCOMPLETE, uint32_t, incomplete);
		CASE(CONFIDENCE, float, confidence);
		CASE(PID, uint32_t, pid);
		CASE(TID, uint32_t, tid);
		CASE(PROC_START_NS, int64_t, proc_start_ns);
	case COL_PARENT_ID:
		fill_parents(&f);
		break;
	case COL_WIRE_KEY:
		fill_wire_keys(&f);
		break;
	case COL_RESOURCE:
		fill_resources(&f);
		break;
	default:
		fill_rare(f, col, rows, nums, n);
	}
#undef CASE
}
