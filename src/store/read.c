/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of `span` and `hot` back into spans. */
#include <jansson.h>

#include "store/internal.h"

#define VALUE(c, type, row) (((type *)(c).data)[row])

static struct duck_col list_child(const struct duck_col *list)
{
	duckdb_vector v = duckdb_list_vector_get_child(list->vector);

	return (struct duck_col){duckdb_vector_get_data(v), duckdb_vector_get_validity(v), v};
}

static duckdb_list_entry list_at(const struct duck_col *list, idx_t row)
{
	if (duck_null(list, row))
		return (duckdb_list_entry){0, 0};
	return ((duckdb_list_entry *)list->data)[row];
}

static void set_form(struct clew_span *s, const struct dict_entry *key)
{
	for (uint32_t i = s->n_attrs; i > 0; i--)
		if (slice_eq(s->attrs[i - 1].key, key->name)) {
			s->attrs[i - 1].form = key_form(key->type);
			return;
		}
}

static void set_attr(struct clew_span *s, const struct dict_entry *key, struct slice text)
{
	char buf[64];

	snprintf(buf, sizeof(buf), "%.*s", (int)(text.n < 63 ? text.n : 63), text.p);
	switch (key->type) {
	case CLEW_ATTR_INT:
		clew_span_set_int(s, key->name.p, strtoll(buf, NULL, 10));
		break;
	case CLEW_ATTR_DOUBLE:
		clew_span_set_double(s, key->name.p, strtod(buf, NULL));
		break;
	case CLEW_ATTR_BOOL:
		clew_span_set_bool(s, key->name.p, buf[0] == 't');
		break;
	default:
		clew_span_set_str(s, key->name.p, text);
		if (key_form(key->type))
			set_form(s, key);
	}
}

static void read_attrs(struct clew_store *st, struct clew_span *s, duckdb_data_chunk chunk,
		       idx_t row)
{
	struct duck_col keys = duck_col(chunk, COL_ATTR_KEYS);
	struct duck_col values = duck_col(chunk, COL_ATTR_VALUES);
	duckdb_list_entry k = list_at(&keys, row), v = list_at(&values, row);
	struct duck_col ids = list_child(&keys), texts = list_child(&values);

	for (uint64_t i = 0; i < k.length && i < v.length; i++) {
		const struct dict_entry *key =
			dict_get(&st->dicts[DICT_KEY], VALUE(ids, uint32_t, k.offset + i));

		if (key)
			set_attr(s, key, duck_str(&texts, v.offset + i));
	}
}

/* Zeroed room for an array in the span's memory, which is laid out for text. */
static void *alloc_array(struct clew_span *s, size_t n, size_t size)
{
	const uintptr_t align = sizeof(void *) - 1;
	char *p = clew_span_alloc(s, n * size + align);

	if (!p)
		return NULL;
	p = (char *)(((uintptr_t)p + align) & ~align);
	return memset(p, 0, n * size);
}

/* Attributes of a link or an event, from the OTLP/JSON key-values that append.c wrote. */
static uint32_t parse_attrs(struct clew_span *s, struct slice json, struct clew_attr **ret)
{
	json_t *list = json.n ? json_loadb(json.p, json.n, 0, NULL) : NULL;
	size_t n = json_array_size(list);
	struct clew_attr *attrs = n ? alloc_array(s, n, sizeof(*attrs)) : NULL;
	uint32_t done = 0;

	for (size_t i = 0; attrs && i < n; i++) {
		json_t *kv = json_array_get(list, i), *value = json_object_get(kv, "value");
		struct clew_attr *a = &attrs[done];
		json_t *v;

		a->key =
			clew_span_copy(s, slice_str(json_string_value(json_object_get(kv, "key"))));
		if ((v = json_object_get(value, "stringValue"))) {
			a->type = CLEW_ATTR_STR;
			a->form = (uint8_t)json_integer_value(json_object_get(value, "form"));
			a->str = clew_span_copy(
				s, slice_of(json_string_value(v), json_string_length(v)));
		} else if ((v = json_object_get(value, "intValue"))) {
			a->type = CLEW_ATTR_INT;
			a->i = strtoll(json_string_value(v) ? json_string_value(v) : "0", NULL, 10);
		} else if ((v = json_object_get(value, "doubleValue"))) {
			a->type = CLEW_ATTR_DOUBLE;
			a->d = json_number_value(v);
		} else {
			a->type = CLEW_ATTR_BOOL;
			a->b = json_is_true(json_object_get(value, "boolValue"));
		}
		done++;
	}
	json_decref(list);
	*ret = attrs;
	return done;
}

static void read_links(struct clew_span *s, duckdb_data_chunk chunk, idx_t row)
{
	struct duck_col traces = duck_col(chunk, COL_LINK_TRACES);
	struct duck_col spans = duck_col(chunk, COL_LINK_SPANS);
	struct duck_col conf = duck_col(chunk, COL_LINK_CONFIDENCES);
	struct duck_col attrs = duck_col(chunk, COL_LINK_ATTRS);
	duckdb_list_entry at = list_at(&traces, row);
	struct duck_col t = list_child(&traces), sp = list_child(&spans), cf = list_child(&conf);
	struct duck_col js = list_child(&attrs);

	for (uint64_t i = 0; i < at.length; i++) {
		struct clew_id128 trace = huge_id128(VALUE(t, duckdb_uhugeint, at.offset + i));
		struct clew_id64 span =
			int_id64(VALUE(sp, uint64_t, list_at(&spans, row).offset + i));
		struct slice json = duck_str(&js, list_at(&attrs, row).offset + i);
		uint32_t before = s->n_links;

		clew_span_add_link(s, &trace, &span,
				   VALUE(cf, float, list_at(&conf, row).offset + i));
		if (json.n && s->n_links > before)
			s->links[before].n_attrs = parse_attrs(s, json, &s->links[before].attrs);
	}
}

static void read_events(struct clew_span *s, duckdb_data_chunk chunk, idx_t row)
{
	struct duck_col times = duck_col(chunk, COL_EVENT_TIMES);
	struct duck_col names = duck_col(chunk, COL_EVENT_NAMES);
	struct duck_col attrs = duck_col(chunk, COL_EVENT_ATTRS);
	duckdb_list_entry at = list_at(&times, row);
	struct duck_col t = list_child(&times), nm = list_child(&names), js = list_child(&attrs);
	struct clew_span_event *events;

	if (!at.length)
		return;
	events = alloc_array(s, at.length, sizeof(*events));
	if (!events) {
		s->dropped_events += (uint32_t)at.length;
		return;
	}
	for (uint64_t i = 0; i < at.length; i++) {
		struct slice json = duck_str(&js, list_at(&attrs, row).offset + i);

		events[i].time_ns = (uint64_t)VALUE(t, int64_t, at.offset + i);
		events[i].name = clew_span_copy(s, duck_str(&nm, list_at(&names, row).offset + i));
		events[i].n_attrs = parse_attrs(s, json, &events[i].attrs);
	}
	s->events = events;
	s->n_events = (uint32_t)at.length;
}

static int64_t read_time(duckdb_data_chunk chunk, enum span_column c, idx_t row)
{
	struct duck_col col = duck_col(chunk, (idx_t)c);

	return duck_null(&col, row) ? -1 : VALUE(col, int64_t, row);
}

static struct slice read_str(struct clew_span *s, duckdb_data_chunk chunk, enum span_column c,
			     idx_t row)
{
	struct duck_col col = duck_col(chunk, (idx_t)c);

	return duck_null(&col, row) ? slice_of(NULL, 0) : clew_span_copy(s, duck_str(&col, row));
}

#define GET(c, type) \
	(((type *)duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, COL_##c)))[row])

static void read_ids(struct clew_store *st, struct clew_span *s, duckdb_data_chunk chunk, idx_t row)
{
	struct duck_col parent = duck_col(chunk, COL_PARENT_ID);
	struct duck_col wire = duck_col(chunk, COL_WIRE_KEY);
	struct duck_col resource = duck_col(chunk, COL_RESOURCE);

	s->trace_id = alias_canonical(st, huge_id128(GET(TRACE_ID, duckdb_uhugeint)));
	s->span_id = int_id64(GET(SPAN_ID, uint64_t));
	if (!duck_null(&parent, row))
		s->parent_span_id = int_id64(GET(PARENT_ID, uint64_t));
	if (!duck_null(&wire, row))
		s->wire_key = huge_id128(GET(WIRE_KEY, duckdb_uhugeint));
	s->name = names_get(st, DICT_OPERATION, GET(OPERATION, uint32_t));
	s->scope = names_get(st, DICT_SCOPE, GET(SCOPE, uint32_t));
	if (!duck_null(&resource, row)) {
		struct clew_resource *r = names_resource_get(st, GET(RESOURCE, uint32_t));

		s->resource = r ? clew_resource_ref(r) : NULL;
	}
}

struct clew_span *read_span(struct clew_store *st, duckdb_data_chunk chunk, idx_t row)
{
	struct clew_span *s = clew_span_new();

	if (!s)
		return NULL;
	read_ids(st, s, chunk, row);
	s->start_ns = (uint64_t)GET(START_NS, int64_t);
	s->duration_ns = (uint64_t)GET(DURATION_NS, int64_t);
	s->kind = GET(KIND, uint8_t);
	s->status = GET(STATUS, uint8_t);
	s->link_class = GET(LINK_CLASS, uint8_t);
	s->is_root = GET(IS_ROOT, bool);
	s->evidence = GET(EVIDENCE, uint32_t);
	s->incomplete = GET(INCOMPLETE, uint32_t);
	s->confidence = GET(CONFIDENCE, float);
	s->pid = GET(PID, uint32_t);
	s->tid = GET(TID, uint32_t);
	s->proc_start_ns = (uint64_t)GET(PROC_START_NS, int64_t);
	s->sampling_threshold = GET(SAMPLING, uint64_t);
	s->clock_offset_ns = GET(CLOCK_OFFSET, int64_t);
	s->dropped_attrs = GET(DROPPED_ATTRS, uint32_t);
	s->dropped_links = GET(DROPPED_LINKS, uint32_t);
	s->dropped_events = GET(DROPPED_EVENTS, uint32_t);
	s->times = (struct clew_span_times){
		.cpu_ns = read_time(chunk, COL_CPU_NS, row),
		.runq_ns = read_time(chunk, COL_RUNQ_NS, row),
		.futex_ns = read_time(chunk, COL_FUTEX_NS, row),
		.disk_ns = read_time(chunk, COL_DISK_NS, row),
		.net_ns = read_time(chunk, COL_NET_NS, row),
		.sleep_ns = read_time(chunk, COL_SLEEP_NS, row),
		.other_ns = read_time(chunk, COL_OTHER_NS, row),
	};
	s->status_message = read_str(s, chunk, COL_STATUS_MESSAGE, row);
	s->trace_state = read_str(s, chunk, COL_TRACE_STATE, row);
	read_attrs(st, s, chunk, row);
	read_links(s, chunk, row);
	read_events(s, chunk, row);
	return s;
}
