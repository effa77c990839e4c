/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans into a partition's log and memory (hot.h): a frame a batch and partition.
 *
 * A span whose (trace, span) id is stored already is left out. Its partition follows from its
 * start, so only that partition is asked: hot spans and the last run by sets of hashes in memory, `span`
 * only for spans that began before the newest one of the runs before (in a live recording: hardly any).
 */
#include <inttypes.h>

#include "store/hot_encode.h"
#include "store/internal.h"

/* A span with its names as numbers. */
struct item {
	const struct clew_span *s;
	uint64_t hash; /* of its ids */
	uint32_t service, operation, scope, resource;
	uint32_t first_key; /* of its attributes' keys in batch.keys */
};

/* A batch has at most 64 MiB of spans in memory; attributes of links as JSON may be longer than they were. */
#define FRAME_BYTES (512u << 20)

/* What a batch is made with. */
struct batch {
	struct clew_store *st;
	struct item *items;
	uint32_t *keys;
	struct clew_buf frame, scratch, json;
};

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

/* In a generation other than h, which it would be added to, or in the last run? Under ids_lock. */
static bool is_recent(const struct part *p, const struct hot *h, uint64_t hash)
{
	for (uint32_t i = 0; i < p->n_hots; i++)
		if (p->hots[i] != h && id_set_has(&p->hots[i]->ids, hash))
			return true;
	return id_set_has(&p->last_ids, hash);
}

/* Leave out what is stored already: the rest moves to the front; the order stays. Under ids_lock. */
static int leave_out_known(struct clew_store *st, struct part *p, struct hot *h, struct item *items,
			   size_t *n, char **ret_error)
{
	struct id_set sealed = {0};
	size_t kept = 0;
	int r = sealed_ids(st, p, items, *n, &sealed, ret_error);

	for (size_t i = 0; r == 0 && i < *n; i++) {
		if (id_set_has(&sealed, items[i].hash) || is_recent(p, h, items[i].hash))
			continue;
		/* From here on they are known; if the write fails, the set is made again. */
		r = id_set_add(&h->ids, items[i].hash);
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
static int learn_names(struct batch *f, struct clew_span **spans, size_t n)
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

static int make_frame(struct batch *f, const struct item *items, size_t n)
{
	int r = hot_frame_begin(&f->frame);

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct item *it = &items[i];
		struct span_ids ids = {it->service, it->operation, it->scope, it->resource,
				       f->keys + it->first_key};

		r = hot_encode(&f->frame, it->s, &ids, &f->scratch, &f->json);
	}
	return r == -EFBIG ? -EINVAL : r; /* trying again would not help */
}

static int append_hour(struct batch *f, struct part *p, struct item *items, size_t n,
		       char **ret_error)
{
	struct clew_store *st = f->st;
	size_t kept = n;
	struct hot *h;
	int r = hot_to_fill(st, p, &h, ret_error);

	if (r < 0)
		return r;
	pthread_mutex_lock(&st->ids_lock);
	r = leave_out_known(st, p, h, items, &kept, ret_error);
	pthread_mutex_unlock(&st->ids_lock);
	if (r == 0 && kept)
		r = make_frame(f, items, kept);
	if (r == 0 && kept)
		r = hot_append(h, &f->frame, (uint32_t)kept);
	if (r < 0) {
		pthread_mutex_lock(&st->ids_lock);
		(void)hot_read_ids(h); /* what is stored is what the disk says */
		pthread_mutex_unlock(&st->ids_lock);
		return set_error(ret_error, r, "cannot write %s/%s: %s", st->dir, h->file,
				 strerror(-r));
	}
	pthread_mutex_lock(&st->queue_lock);
	st->stats.stored += kept;
	st->stats.duplicates += n - kept;
	pthread_mutex_unlock(&st->queue_lock);
	pthread_mutex_lock(&st->state_lock);
	h->n += (uint32_t)kept;
	p->hot_rows += kept;
	pthread_mutex_unlock(&st->state_lock);
	p->used_ns = clew_mono_ns();
	tell_stored(st, items, kept);
	return 0;
}

static int64_t hour_of(const struct clew_span *s)
{
	return (int64_t)s->start_ns / HOUR_NS;
}

static void batch_done(struct batch *f)
{
	clew_buf_done(&f->frame);
	clew_buf_done(&f->scratch);
	clew_buf_done(&f->json);
	free(f->items);
	free(f->keys);
}

/* An hour too many: these are lost, the others are not. */
static void refuse_hour(struct clew_store *st, struct clew_span **spans, size_t n,
			const char *error)
{
	pthread_mutex_lock(&st->queue_lock);
	st->stats.dropped_error += n;
	snprintf(st->stats.last_error, sizeof(st->stats.last_error), "%s",
		 error ? error : "too many hours");
	pthread_mutex_unlock(&st->queue_lock);
	queue_settle(spans, n, -EMFILE);
}

int append_batch(struct clew_store *st, struct clew_span **spans, size_t n, char **ret_error)
{
	struct batch f = {.st = st, .frame = {.limit = FRAME_BYTES}};
	int r = learn_names(&f, spans, n);

	if (r == 0)
		r = names_save(st, ret_error);
	for (size_t i = 0, end; r == 0 && i < n; i = end) {
		struct part *p;

		for (end = i + 1; end < n && hour_of(spans[end]) == hour_of(spans[i]); end++)
			;
		r = part_get(st, hour_of(spans[i]), &p, ret_error);
		if (r == 0)
			r = append_hour(&f, p, f.items + i, end - i, ret_error);
		if (r == -EMFILE) {
			refuse_hour(st, spans + i, end - i, ret_error ? *ret_error : NULL);
			r = 0;
		}
	}
	batch_done(&f);
	return r;
}
