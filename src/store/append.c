/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans into a partition's `hot` table: DataChunks by an appender, one transaction a partition.
 *
 * A span whose (trace, span) id is stored already is left out. Its partition follows from its
 * start, so only that partition is asked: `hot` by a set of hashes in memory, `span` only for spans
 * that began before the newest sealed one (in a live recording: few, and only just after sealing).
 */
#include <inttypes.h>

#include "base/json.h"
#include "model/otlp_json.h"
#include "store/internal.h"

/* A span with its names as numbers. */
struct item {
	const struct clew_span *s;
	uint64_t hash; /* of its ids */
	uint32_t service, operation, scope, resource;
	uint32_t first_key; /* of its attributes' keys in filler.keys */
};

/* The vectors of one chunk while it is filled. */
struct filler {
	struct clew_store *st;
	struct item *items; /* of the batch */
	uint32_t *keys;
	duckdb_data_chunk chunk;
	duckdb_vector vec[N_SPAN_COLUMNS];
	void *data[N_SPAN_COLUMNS];
	uint64_t *valid[N_SPAN_COLUMNS]; /* NULL until a NULL was written */
	uint64_t list_n[N_SPAN_COLUMNS]; /* elements of a list column so far */
	uint64_t list_cap[N_SPAN_COLUMNS];
	duckdb_vector child[N_SPAN_COLUMNS];
	struct clew_buf scratch, json;
};

static void fill_begin(struct filler *f)
{
	duckdb_data_chunk_reset(f->chunk);
	for (int i = 0; i < N_SPAN_COLUMNS; i++) {
		f->vec[i] = duckdb_data_chunk_get_vector(f->chunk, (idx_t)i);
		f->data[i] = duckdb_vector_get_data(f->vec[i]);
		f->valid[i] = NULL;
		f->list_n[i] = 0;
		f->list_cap[i] = 0;
		if (i >= FIRST_LIST)
			f->child[i] = duckdb_list_vector_get_child(f->vec[i]);
	}
}

static void put_null(struct filler *f, enum span_column c, idx_t row)
{
	if (!f->valid[c]) {
		duckdb_vector_ensure_validity_writable(f->vec[c]);
		f->valid[c] = duckdb_vector_get_validity(f->vec[c]);
	}
	duckdb_validity_set_row_invalid(f->valid[c], row);
}

static void put_str(struct filler *f, enum span_column c, idx_t row, struct slice s)
{
	if (!s.n) {
		put_null(f, c, row);
		return;
	}
	s = duck_utf8(s, &f->scratch);
	duckdb_vector_assign_string_element_len(f->vec[c], row, s.p, s.n);
}

static void put_time(struct filler *f, enum span_column c, idx_t row, int64_t ns)
{
	if (ns < 0)
		put_null(f, c, row);
	else
		((int64_t *)f->data[c])[row] = ns;
}

/* Room for n more elements; the list entry of the row. Returns the index of the first. */
static uint64_t put_list(struct filler *f, enum span_column c, idx_t row, uint64_t n)
{
	uint64_t first = f->list_n[c];

	if (!n) {
		put_null(f, c, row);
		((duckdb_list_entry *)f->data[c])[row] = (duckdb_list_entry){first, 0};
		return first;
	}
	if (first + n > f->list_cap[c]) {
		f->list_cap[c] = (first + n) * 2 < 4096 ? 4096 : (first + n) * 2;
		duckdb_list_vector_reserve(f->vec[c], f->list_cap[c]);
	}
	f->list_n[c] = first + n;
	duckdb_list_vector_set_size(f->vec[c], f->list_n[c]);
	((duckdb_list_entry *)f->data[c])[row] = (duckdb_list_entry){first, n};
	return first;
}

static void put_attrs(struct filler *f, idx_t row, const struct item *it)
{
	const struct clew_span *s = it->s;
	uint64_t first = put_list(f, COL_ATTR_KEYS, row, s->n_attrs);
	uint32_t *keys;
	char num[64];

	put_list(f, COL_ATTR_VALUES, row, s->n_attrs);
	keys = duckdb_vector_get_data(f->child[COL_ATTR_KEYS]);
	for (uint32_t i = 0; i < s->n_attrs; i++) {
		struct slice text = attr_text(&s->attrs[i], num, sizeof(num));

		keys[first + i] = f->keys[it->first_key + i];
		text = duck_utf8(text, &f->scratch);
		duckdb_vector_assign_string_element_len(f->child[COL_ATTR_VALUES], first + i,
							text.p ? text.p : "", text.n);
	}
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

/* Attributes of a link or event: OTLP/JSON key-values, or "" where there are none. */
static struct slice attrs_json(struct filler *f, const struct clew_attr *attrs, uint32_t n)
{
	clew_buf_clear(&f->json);
	if (!n)
		return SLICE("");
	for (uint32_t i = 0; i < n; i++) {
		clew_buf_adds(&f->json, i ? ",{\"key\":" : "[{\"key\":");
		clew_json_str(&f->json, attrs[i].key);
		clew_buf_adds(&f->json, ",\"value\":");
		put_plain_value(&f->json, &attrs[i]);
		clew_buf_addc(&f->json, '}');
	}
	clew_buf_addc(&f->json, ']');
	return clew_buf_slice(&f->json);
}

static void put_links(struct filler *f, idx_t row, const struct clew_span *s)
{
	uint64_t first = put_list(f, COL_LINK_TRACES, row, s->n_links);

	put_list(f, COL_LINK_SPANS, row, s->n_links);
	put_list(f, COL_LINK_CONFIDENCES, row, s->n_links);
	put_list(f, COL_LINK_ATTRS, row, s->n_links);
	for (uint32_t i = 0; i < s->n_links; i++) {
		const struct clew_span_link *l = &s->links[i];
		struct slice json = attrs_json(f, l->attrs, l->n_attrs);
		duckdb_uhugeint *traces = duckdb_vector_get_data(f->child[COL_LINK_TRACES]);
		uint64_t *spans = duckdb_vector_get_data(f->child[COL_LINK_SPANS]);
		float *confidences = duckdb_vector_get_data(f->child[COL_LINK_CONFIDENCES]);

		traces[first + i] = id128_huge(&l->trace_id);
		spans[first + i] = id64_int(&l->span_id);
		confidences[first + i] = l->confidence;
		duckdb_vector_assign_string_element_len(f->child[COL_LINK_ATTRS], first + i, json.p,
							json.n);
	}
}

static void put_events(struct filler *f, idx_t row, const struct clew_span *s)
{
	uint64_t first = put_list(f, COL_EVENT_TIMES, row, s->n_events);

	put_list(f, COL_EVENT_NAMES, row, s->n_events);
	put_list(f, COL_EVENT_ATTRS, row, s->n_events);
	for (uint32_t i = 0; i < s->n_events; i++) {
		const struct clew_span_event *e = &s->events[i];
		struct slice json = attrs_json(f, e->attrs, e->n_attrs);
		struct slice name = duck_utf8(e->name, &f->scratch);
		int64_t *times = duckdb_vector_get_data(f->child[COL_EVENT_TIMES]);

		times[first + i] = (int64_t)e->time_ns;
		duckdb_vector_assign_string_element_len(f->child[COL_EVENT_NAMES], first + i,
							name.p ? name.p : "", name.n);
		duckdb_vector_assign_string_element_len(f->child[COL_EVENT_ATTRS], first + i,
							json.p, json.n);
	}
}

#define PUT(f, c, type, row, value) (((type *)(f)->data[COL_##c])[row] = (type)(value))

static void put_ids(struct filler *f, idx_t row, const struct clew_span *s)
{
	PUT(f, TRACE_ID, duckdb_uhugeint, row, id128_huge(&s->trace_id));
	PUT(f, SPAN_ID, uint64_t, row, id64_int(&s->span_id));
	if (clew_id64_none(&s->parent_span_id))
		put_null(f, COL_PARENT_ID, row);
	else
		PUT(f, PARENT_ID, uint64_t, row, id64_int(&s->parent_span_id));
	if (clew_id128_none(&s->wire_key))
		put_null(f, COL_WIRE_KEY, row);
	else
		PUT(f, WIRE_KEY, duckdb_uhugeint, row, id128_huge(&s->wire_key));
}

static void put_names(struct filler *f, idx_t row, const struct item *it)
{
	PUT(f, SERVICE, uint32_t, row, it->service);
	PUT(f, OPERATION, uint32_t, row, it->operation);
	PUT(f, SCOPE, uint32_t, row, it->scope);
	if (it->s->resource)
		PUT(f, RESOURCE, uint32_t, row, it->resource);
	else
		put_null(f, COL_RESOURCE, row);
}

static int put_span(struct filler *f, idx_t row, const struct item *it)
{
	const struct clew_span *s = it->s;

	put_ids(f, row, s);
	put_names(f, row, it);
	put_attrs(f, row, it);
	PUT(f, START_NS, int64_t, row, s->start_ns);
	PUT(f, DURATION_NS, int64_t, row, s->duration_ns);
	PUT(f, KIND, uint8_t, row, s->kind);
	PUT(f, STATUS, uint8_t, row, s->status);
	PUT(f, LINK_CLASS, uint8_t, row, s->link_class);
	PUT(f, IS_ROOT, bool, row, s->is_root);
	PUT(f, EVIDENCE, uint32_t, row, s->evidence);
	PUT(f, INCOMPLETE, uint32_t, row, s->incomplete);
	PUT(f, CONFIDENCE, float, row, s->confidence);
	PUT(f, PID, uint32_t, row, s->pid);
	PUT(f, TID, uint32_t, row, s->tid);
	PUT(f, PROC_START_NS, int64_t, row, s->proc_start_ns);
	PUT(f, SAMPLING, uint64_t, row, s->sampling_threshold);
	PUT(f, CLOCK_OFFSET, int64_t, row, s->clock_offset_ns);
	put_time(f, COL_CPU_NS, row, s->times.cpu_ns);
	put_time(f, COL_RUNQ_NS, row, s->times.runq_ns);
	put_time(f, COL_FUTEX_NS, row, s->times.futex_ns);
	put_time(f, COL_DISK_NS, row, s->times.disk_ns);
	put_time(f, COL_NET_NS, row, s->times.net_ns);
	put_time(f, COL_SLEEP_NS, row, s->times.sleep_ns);
	put_time(f, COL_OTHER_NS, row, s->times.other_ns);
	PUT(f, DROPPED_ATTRS, uint32_t, row, s->dropped_attrs);
	PUT(f, DROPPED_LINKS, uint32_t, row, s->dropped_links);
	PUT(f, DROPPED_EVENTS, uint32_t, row, s->dropped_events);
	put_str(f, COL_STATUS_MESSAGE, row, s->status_message);
	put_str(f, COL_TRACE_STATE, row, s->trace_state);
	put_links(f, row, s);
	put_events(f, row, s);
	return f->scratch.err ? f->scratch.err : f->json.err;
}

/* The types of a chunk's columns: the schema's. */
static int filler_init(struct filler *f, struct clew_store *st)
{
	static const duckdb_type types[N_SPAN_COLUMNS] = {
#define X(c, name, type) [COL_##c] = DUCKDB_TYPE_##type,
		SPAN_COLUMNS(X) SPAN_LISTS(X)
#undef X
	};
	duckdb_logical_type logical[N_SPAN_COLUMNS];

	*f = (struct filler){.st = st};
	for (int i = 0; i < N_SPAN_COLUMNS; i++) {
		logical[i] = duckdb_create_logical_type(types[i]);
		if (i >= FIRST_LIST) {
			duckdb_logical_type child = logical[i];

			logical[i] = duckdb_create_list_type(child);
			duckdb_destroy_logical_type(&child);
		}
	}
	f->chunk = duckdb_create_data_chunk(logical, N_SPAN_COLUMNS);
	for (int i = 0; i < N_SPAN_COLUMNS; i++)
		duckdb_destroy_logical_type(&logical[i]);
	return f->chunk ? 0 : -ENOMEM;
}

static void filler_done(struct filler *f)
{
	duckdb_destroy_data_chunk(&f->chunk);
	clew_buf_done(&f->scratch);
	clew_buf_done(&f->json);
	free(f->items);
	free(f->keys);
}

static int append_rows(struct filler *f, duckdb_appender a, const struct item *items, size_t n,
		       char **ret_error)
{
	const size_t max = duckdb_vector_size();

	for (size_t done = 0; done < n;) {
		size_t rows = n - done < max ? n - done : max;

		fill_begin(f);
		for (size_t i = 0; i < rows; i++) {
			int r = put_span(f, i, &items[done + i]);

			if (r < 0)
				return r;
		}
		duckdb_data_chunk_set_size(f->chunk, rows);
		if (duckdb_append_data_chunk(a, f->chunk) != DuckDBSuccess)
			return duck_append_error(a, ret_error);
		done += rows;
	}
	return 0;
}

/* The transaction is open. */
static int append_to(struct filler *f, struct part *p, const struct item *items, size_t n,
		     char **ret_error)
{
	duckdb_appender a = NULL;
	int r;

	if (duckdb_appender_create_ext(f->st->conn, p->name, "main", "hot", &a) != DuckDBSuccess) {
		r = duck_append_error(a, ret_error);
		duckdb_appender_destroy(&a);
		return r;
	}
	r = append_rows(f, a, items, n, ret_error);
	if (r == 0 && duckdb_appender_flush(a) != DuckDBSuccess)
		r = duck_append_error(a, ret_error);
	duckdb_appender_destroy(&a);
	return r;
}

/* ---- spans that are stored already ---- */

static int collect_ids(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col trace = duck_col(chunk, 0), span = duck_col(chunk, 1);
	struct id_set *set = user;
	struct clew_span key;
	int r = 0;

	for (idx_t i = 0; r == 0 && i < rows; i++) {
		key.trace_id = huge_id128(((duckdb_uhugeint *)trace.data)[i]);
		key.span_id = int_id64(((uint64_t *)span.data)[i]);
		r = id_set_add(set, span_hash(&key)) < 0 ? -ENOMEM : 0;
	}
	return r;
}

/* Ids of the sealed spans that began when these did. */
static int sealed_ids(struct clew_store *st, struct part *p, const struct item *items, size_t n,
		      struct id_set *ret, char **ret_error)
{
	int64_t min = INT64_MAX, max = INT64_MIN;
	char sql[192];

	for (size_t i = 0; i < n; i++) {
		int64_t start = (int64_t)items[i].s->start_ns;

		if (start > p->sealed_max_ns)
			continue;
		min = start < min ? start : min;
		max = start > max ? start : max;
	}
	if (min > max)
		return 0;
	snprintf(sql, sizeof(sql),
		 "SELECT trace_id, span_id FROM %s.span WHERE start_ns >= %" PRId64
		 " AND start_ns <= %" PRId64,
		 p->name, min, max);
	return duck_each(st->conn, sql, collect_ids, ret, ret_error);
}

/* Leave out what is stored already: the rest moves to the front; the order stays. */
static int leave_out_known(struct clew_store *st, struct part *p, struct item *items, size_t *n,
			   char **ret_error)
{
	struct id_set sealed = {0};
	size_t kept = 0;
	int r = part_load_ids(st, p, ret_error);

	if (r == 0)
		r = sealed_ids(st, p, items, *n, &sealed, ret_error);
	for (size_t i = 0; r == 0 && i < *n; i++) {
		if (id_set_has(&sealed, items[i].hash))
			continue;
		/* From here on they are known; if the commit fails, the set is read again. */
		r = id_set_add(&p->ids, items[i].hash);
		if (r > 0)
			items[kept++] = items[i];
		r = r < 0 ? r : 0;
	}
	id_set_done(&sealed);
	if (r == 0)
		*n = kept;
	return r;
}

/* ---- a batch ---- */

/* Names become numbers before the transaction: new ones need a commit of their own. */
static int learn_names(struct filler *f, struct clew_span **spans, size_t n)
{
	struct clew_store *st = f->st;
	size_t n_keys = 0;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		n_keys += spans[i]->n_attrs;
	f->items = malloc(n * sizeof(*f->items));
	f->keys = malloc((n_keys + 1) * sizeof(*f->keys));
	if (!f->items || !f->keys)
		return -ENOMEM;
	n_keys = 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct clew_span *s = spans[i];
		struct item *it = &f->items[i];

		*it = (struct item){.s = s, .hash = span_hash(s), .first_key = (uint32_t)n_keys};
		r = dict_add(&st->dicts[DICT_SERVICE],
			     s->resource ? s->resource->service : SLICE(""), 0, &it->service);
		if (r == 0)
			r = dict_add(&st->dicts[DICT_OPERATION], s->name, 0, &it->operation);
		if (r == 0)
			r = dict_add(&st->dicts[DICT_SCOPE], s->scope, 0, &it->scope);
		if (r == 0)
			r = names_resource(st, s->resource, &it->resource);
		for (uint32_t k = 0; r == 0 && k < s->n_attrs; k++)
			r = dict_add(&st->dicts[DICT_KEY], s->attrs[k].key, key_type(&s->attrs[k]),
				     &f->keys[n_keys++]);
	}
	return r;
}

static void tell_stored(struct clew_store *st, const struct item *items, size_t n)
{
	pthread_mutex_lock(&st->stored_lock);
	for (size_t i = 0; st->stored_fn && i < n; i++)
		st->stored_fn(st->stored_user, items[i].s);
	pthread_mutex_unlock(&st->stored_lock);
}

static int append_hour(struct filler *f, struct part *p, struct item *items, size_t n,
		       char **ret_error)
{
	struct clew_store *st = f->st;
	size_t kept = n;
	int r = leave_out_known(st, p, items, &kept, ret_error);

	if (r == 0 && kept) {
		r = duck_exec(st->conn, "BEGIN TRANSACTION;", ret_error);
		if (r == 0)
			r = append_to(f, p, items, kept, ret_error);
		if (r == 0)
			r = duck_exec(st->conn, "COMMIT;", ret_error);
		if (r < 0)
			(void)duck_exec(st->conn, "ROLLBACK;", NULL);
	}
	if (r < 0) {
		p->ids_loaded = false; /* what is stored is what the disk says */
		return r;
	}
	pthread_mutex_lock(&st->queue_lock);
	st->stats.stored += kept;
	st->stats.duplicates += n - kept;
	pthread_mutex_unlock(&st->queue_lock);
	pthread_mutex_lock(&st->state_lock);
	p->hot_rows += kept;
	pthread_mutex_unlock(&st->state_lock);
	p->used_ns = clew_mono_ns();
	p->dirty = p->dirty || kept;
	tell_stored(st, items, kept);
	return 0;
}

static int64_t hour_of(const struct clew_span *s)
{
	return (int64_t)s->start_ns / HOUR_NS;
}

int append_batch(struct clew_store *st, struct clew_span **spans, size_t n, char **ret_error)
{
	struct filler f;
	int r = filler_init(&f, st);

	if (r == 0)
		r = learn_names(&f, spans, n);
	if (r == 0)
		r = names_save(st, ret_error);
	for (size_t i = 0, end; r == 0 && i < n; i = end) {
		struct part *p;

		for (end = i + 1; end < n && hour_of(spans[end]) == hour_of(spans[i]); end++)
			;
		r = part_get(st, hour_of(spans[i]), &p, ret_error);
		if (r == 0)
			r = append_hour(&f, p, f.items + i, end - i, ret_error);
		if (r == -EMFILE) { /* an hour too many: these are lost, the others are not */
			pthread_mutex_lock(&st->queue_lock);
			st->stats.dropped_error += end - i;
			snprintf(st->stats.last_error, sizeof(st->stats.last_error), "%s",
				 ret_error && *ret_error ? *ret_error : "too many hours");
			pthread_mutex_unlock(&st->queue_lock);
			queue_settle(spans + i, end - i, -EMFILE);
			r = 0;
		}
	}
	filler_done(&f);
	return r;
}
