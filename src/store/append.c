/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans into a partition's log and memory (hot.h): a frame a batch and partition.
 *
 * A span whose (trace, span) id is stored already is left out. Its partition follows from its
 * start, so only that partition is asked: hot spans and the last run by sets of hashes in memory, `span`
 * only for spans that began before the newest one of the runs before (in a live recording: hardly any).
 */
#include <inttypes.h>

#include "store/damaged.h"

/* A span of the batch that is looked at, and of those the ones that are new. */
struct item {
	const struct queued *q;
	uint64_t hash; /* of its ids */
};

/* A batch's rows, and the head. */
#define FRAME_BYTES (512u << 20)

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
	_cleanup_(freep) char *error = NULL;
	int64_t min = INT64_MAX, max = INT64_MIN;
	char sql[192];
	int r;

	for (size_t i = 0; i < n; i++) {
		int64_t start = items[i].q->row->start_ns;

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
	r = duck_each(st->conn, sql, collect_ids, ret, &error);
	if (r == -EIO && damaged_block(st, p->hour, error)) {
		/* Better twice than not at all. */
		damaged_note(st, p, error);
		return 0;
	}
	return r < 0 ? set_error(ret_error, r, "%s", error ? error : strerror(-r)) : 0;
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

static void tell_stored(struct clew_store *st, const struct item *items, size_t n)
{
	pthread_mutex_lock(&st->stored_lock);
	for (size_t i = 0; st->stored_fn && i < n; i++)
		if (items[i].q->span)
			st->stored_fn(st->stored_user, items[i].q->span);
	pthread_mutex_unlock(&st->stored_lock);
}

static int make_frame(struct clew_buf *frame, const struct item *items, size_t n)
{
	int r = hot_frame_begin(frame);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = clew_buf_add(frame, items[i].q->row, items[i].q->bytes);
	return r == -EFBIG ? -EINVAL : r; /* trying again would not help */
}

static int append_hour(struct clew_store *st, struct part *p, struct item *items, size_t n,
		       char **ret_error)
{
	struct clew_buf frame = {.limit = FRAME_BYTES};
	size_t kept = n;
	struct hot *h;
	int r = hot_to_fill(st, p, &h, ret_error);

	if (r < 0)
		return r;
	pthread_mutex_lock(&st->ids_lock);
	r = leave_out_known(st, p, h, items, &kept, ret_error);
	pthread_mutex_unlock(&st->ids_lock);
	if (r == 0 && kept)
		r = make_frame(&frame, items, kept);
	if (r == 0 && kept)
		r = hot_append(h, &frame, (uint32_t)kept);
	clew_buf_done(&frame);
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

/* An hour too many: these are lost, the others are not. */
static void refuse_hour(struct clew_store *st, struct queued *spans, size_t n, const char *error)
{
	pthread_mutex_lock(&st->queue_lock);
	st->stats.dropped_error += n;
	snprintf(st->stats.last_error, sizeof(st->stats.last_error), "%s",
		 error ? error : "too many hours");
	pthread_mutex_unlock(&st->queue_lock);
	queue_settle(spans, n, -EMFILE);
}

int append_batch(struct clew_store *st, struct queued *spans, size_t n, char **ret_error)
{
	_cleanup_(freep) struct item *items = malloc((n + 1) * sizeof(*items));
	int r = items ? names_save(st, ret_error) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++)
		items[i] = (struct item){&spans[i], hot_row_hash(spans[i].row)};
	for (size_t i = 0, end; r == 0 && i < n; i = end) {
		struct part *p;

		for (end = i + 1; end < n && hour_of(&spans[end]) == hour_of(&spans[i]); end++)
			;
		r = part_get(st, hour_of(&spans[i]), &p, ret_error);
		if (r == 0)
			r = append_hour(st, p, items + i, end - i, ret_error);
		if (r == -EMFILE) {
			refuse_hour(st, spans + i, end - i, ret_error ? *ret_error : NULL);
			r = 0;
		}
	}
	return r;
}
