/* SPDX-License-Identifier: Apache-2.0 */
#include "store/rows.h"

#include "store/hot_encode.h"
#include "store/internal.h"

/* With its head a little less than what malloc() maps anew each time. */
#define CHUNK_BYTES  (64u << 10)
#define SPARE_CHUNKS 64u
/* Of one row: its attributes of links and events as JSON may be several times as long as they were. */
#define ROW_BYTES (64u << 20)

struct row_chunk {
	struct row_chunk *next; /* of those to spare */
	_Atomic uint32_t users; /* its rows that are not dealt with; and who fills it */
	size_t used, cap;
	char bytes[] __attribute__((aligned(8)));
};

void rows_init(struct row_maker *m)
{
	pthread_mutex_init(&m->spare_lock, NULL);
	m->row.limit = ROW_BYTES;
}

void rows_done(struct row_maker *m)
{
	struct row_chunk *next;

	for (struct row_chunk *c = m->spare; c; c = next) {
		next = c->next;
		free(c);
	}
	free(m->open);
	clew_buf_done(&m->row);
	clew_buf_done(&m->scratch);
	clew_buf_done(&m->json);
	pthread_mutex_destroy(&m->spare_lock);
}

/* ---- names ---- */

/* Spans of a kind have the same keys in the same order: after one key comes most likely the one that came after it
 * the last time. */
static int learn_key(struct clew_store *st, const struct clew_attr *a, uint32_t before,
		     uint32_t *ret)
{
	struct dict *keys = &st->dicts[DICT_KEY];
	uint32_t *guess = &st->rows.next_key[before % NEXT_KEYS];
	const struct dict_entry *e = dict_get(keys, *guess);
	int r = 0;

	if (e && e->type == key_type(a) && slice_eq(e->name, a->key)) {
		*ret = *guess;
		return 0;
	}
	r = dict_add(keys, a->key, key_type(a), ret);
	if (r == 0)
		*guess = *ret;
	return r;
}

static int learn_names(struct clew_store *st, const struct clew_span *s, struct span_ids *ids)
{
	struct slice service = s->resource ? s->resource->service : SLICE("");
	uint32_t *keys = st->rows.keys, n = s->n_attrs;
	int r = dict_add(&st->dicts[DICT_SERVICE], service, 0, &ids->service);

	if (r == 0)
		r = dict_add(&st->dicts[DICT_OPERATION], s->name, 0, &ids->operation);
	if (r == 0)
		r = dict_add(&st->dicts[DICT_SCOPE], s->scope, 0, &ids->scope);
	if (r == 0)
		r = names_resource(st, s->resource, &ids->resource);
	for (uint32_t i = 0; r == 0 && i < n && i < HOT_MAX_LISTS; i++)
		r = learn_key(st, &s->attrs[i], i ? keys[i - 1] + 1 : 0, &keys[i]);
	ids->keys = keys;
	return r;
}

/* ---- rows ---- */

int rows_encode(struct clew_store *st, const struct clew_span *s, struct clew_buf *out)
{
	struct span_ids ids;
	int r = learn_names(st, s, &ids);

	return r < 0 ? r : hot_encode(out, s, &ids, &st->rows.scratch, &st->rows.json);
}

static struct row_chunk *take_spare(struct row_maker *m)
{
	struct row_chunk *c;

	pthread_mutex_lock(&m->spare_lock);
	c = m->spare;
	if (c) {
		m->spare = c->next;
		m->n_spare--;
	}
	pthread_mutex_unlock(&m->spare_lock);
	return c;
}

static bool keep_spare(struct row_maker *m, struct row_chunk *c)
{
	bool kept;

	pthread_mutex_lock(&m->spare_lock);
	kept = m->n_spare < SPARE_CHUNKS && c->cap == CHUNK_BYTES;
	if (kept) {
		c->next = m->spare;
		m->spare = c;
		m->n_spare++;
	}
	pthread_mutex_unlock(&m->spare_lock);
	return kept;
}

void rows_give(struct clew_store *st, struct row_chunk *c)
{
	if (atomic_fetch_sub(&c->users, 1) == 1 && !keep_spare(&st->rows, c))
		free(c);
}

/* The chunk that takes n bytes more. */
static struct row_chunk *chunk_for(struct clew_store *st, size_t n)
{
	struct row_chunk *c = st->rows.open;
	size_t cap = n > CHUNK_BYTES ? n : CHUNK_BYTES;

	if (c && c->cap - c->used >= n)
		return c;
	if (c)
		rows_give(st, c);
	c = cap == CHUNK_BYTES ? take_spare(&st->rows) : NULL;
	if (!c)
		c = malloc(sizeof(*c) + cap);
	if (c) {
		*c = (struct row_chunk){.cap = cap};
		atomic_store(&c->users, 1);
	}
	st->rows.open = c;
	return c;
}

int rows_make(struct clew_store *st, const struct clew_span *s, struct queued *ret)
{
	struct clew_buf *row = &st->rows.row;
	struct row_chunk *c;
	char *at;
	int r;

	clew_buf_clear(row);
	r = rows_encode(st, s, row);
	if (r < 0)
		return r;
	c = chunk_for(st, row->len);
	if (!c)
		return -ENOMEM;
	at = c->bytes + c->used;
	memcpy(at, row->data, row->len);
	c->used += row->len;
	atomic_fetch_add(&c->users, 1);
	*ret = (struct queued){.row = (const struct hot_row *)at,
			       .chunk = c,
			       .bytes = (uint32_t)row->len,
			       .trace = hot_trace_hash(((const struct hot_row *)at)->trace_id)};
	return 0;
}
