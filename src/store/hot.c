/* SPDX-License-Identifier: Apache-2.0 */
#include "store/hot.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"

struct hot *hot_new(uint32_t max)
{
	struct hot *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->refs = 1;
	h->fd = -1;
	h->cap = max;
	h->min_ns = INT64_MAX;
	h->max_ns = INT64_MIN;
	h->rows = malloc(((size_t)max + 1) * sizeof(*h->rows));
	h->traces = malloc(((size_t)max + 1) * sizeof(*h->traces));
	if (!h->rows || !h->traces) {
		hot_unref(h);
		return NULL;
	}
	return h;
}

struct hot *hot_ref(struct hot *h)
{
	atomic_fetch_add(&h->refs, 1);
	return h;
}

void hot_unref(struct hot *h)
{
	struct hot_block *next;

	if (!h || atomic_fetch_sub(&h->refs, 1) > 1)
		return;
	for (struct hot_block *b = h->blocks; b; b = next) {
		next = b->next;
		free(b->bytes);
		free(b);
	}
	if (h->fd >= 0)
		close(h->fd);
	id_set_done(&h->ids);
	free(h->order);
	free(h->traces);
	free(h->rows);
	free(h);
}

static uint64_t swap(uint64_t v)
{
	return __builtin_bswap64(v);
}

uint64_t hot_row_hash(const struct hot_row *r)
{
	uint64_t id[3] = {swap(r->trace_id.upper), swap(r->trace_id.lower), swap(r->span_id)};

	return clew_hash64(id, sizeof(id), 0) | 1;
}

uint32_t hot_trace_hash(duckdb_uhugeint id)
{
	uint64_t b[2] = {swap(id.upper), swap(id.lower)}, h;

	h = clew_hash64(b, sizeof(b), UINT64_C(2) << 40);
	return (uint32_t)(h ^ h >> 32);
}

void hot_add_row(struct hot *h, uint32_t i, const struct hot_row *r)
{
	h->rows[i] = r;
	h->traces[i] = hot_trace_hash(r->trace_id);
	h->min_ns = r->start_ns < h->min_ns ? r->start_ns : h->min_ns;
	h->max_ns = r->start_ns > h->max_ns ? r->start_ns : h->max_ns;
}

/* The frame's bytes become h's. NULL: no memory, the frame stays. */
static const char *keep_block(struct hot *h, struct clew_buf *frame)
{
	struct hot_block *b = malloc(sizeof(*b));

	if (!b)
		return NULL;
	/* It stays as it is for long: give back what it was grown by. */
	b->bytes = realloc(frame->data, frame->len);
	if (!b->bytes)
		b->bytes = frame->data;
	b->next = h->blocks;
	h->blocks = b;
	*frame = (struct clew_buf){.limit = frame->limit};
	return b->bytes + HOT_FRAME_HEAD;
}

int hot_keep(struct hot *h, struct clew_buf *frame, uint32_t rows)
{
	const char *at;

	if (rows > h->cap - h->n)
		return -ENOBUFS;
	at = keep_block(h, frame);
	if (!at)
		return -ENOMEM;
	for (uint32_t i = 0; i < rows; i++) {
		const struct hot_row *row = (const struct hot_row *)at;

		hot_add_row(h, h->n + i, row);
		at += row->bytes;
	}
	return 0;
}

void hot_replace_row(struct hot *h, uint64_t i, const struct hot_row *r)
{
	__atomic_store_n(&h->rows[i], r, __ATOMIC_RELEASE);
	__atomic_store_n(&h->traces[i], hot_trace_hash(r->trace_id), __ATOMIC_RELAXED);
}

int hot_change(struct hot *h, struct clew_buf *frame, uint32_t rows)
{
	uint64_t before = h->bytes;
	const char *at = NULL;
	int r = hot_log_write(h, frame, rows, true);

	if (r == 0 && !(at = keep_block(h, frame))) {
		hot_log_cut(h, before);
		r = -ENOMEM;
	}
	for (uint32_t i = 0; r == 0 && i < rows; i++) {
		const struct hot_row *row = (const struct hot_row *)(at + sizeof(uint64_t));

		hot_replace_row(h, *(const uint64_t *)at, row);
		/* Without memory for it, it may come twice. */
		(void)id_set_add(&h->ids, hot_row_hash(row));
		at += sizeof(uint64_t) + row->bytes;
	}
	return r;
}

int hot_append(struct hot *h, struct clew_buf *frame, uint32_t rows)
{
	uint64_t before = h->bytes;
	int r;

	if (rows > h->cap - h->n)
		return -ENOBUFS;
	r = hot_log_write(h, frame, rows, false);
	if (r == 0) {
		r = hot_keep(h, frame, rows);
		if (r < 0)
			hot_log_cut(h, before);
	}
	return r;
}

int hot_read_ids(struct hot *h)
{
	id_set_done(&h->ids);
	for (uint32_t i = 0; i < h->n; i++)
		if (id_set_add(&h->ids, hot_row_hash(h->rows[i])) < 0)
			return -ENOMEM;
	return 0;
}

/* ---- the order of a run ---- */

struct group {
	duckdb_uhugeint id;
	int64_t first_ns;
	uint32_t n, at;
};

struct groups {
	struct group *v;
	uint32_t *slots, *of_row, *order;
	uint32_t n, n_slots;
};

static bool same_id(duckdb_uhugeint a, duckdb_uhugeint b)
{
	return a.lower == b.lower && a.upper == b.upper;
}

/* Which trace each row is of. */
static void find_groups(struct groups *g, const struct hot *h)
{
	for (uint32_t i = 0; i < h->n; i++) {
		const struct hot_row *r = h->rows[i];
		uint32_t s = h->traces[i] & (g->n_slots - 1);
		struct group *group;

		while (g->slots[s] != UINT32_MAX && !same_id(g->v[g->slots[s]].id, r->trace_id))
			s = (s + 1) & (g->n_slots - 1);
		if (g->slots[s] == UINT32_MAX) {
			g->v[g->n] = (struct group){r->trace_id, r->start_ns, 0, 0};
			g->slots[s] = g->n++;
		}
		group = &g->v[g->slots[s]];
		group->n++;
		if (r->start_ns < group->first_ns)
			group->first_ns = r->start_ns;
		g->of_row[i] = g->slots[s];
	}
}

static int by_begin(const void *a, const void *b, void *user)
{
	const struct group *v = user, *x = &v[*(const uint32_t *)a], *y = &v[*(const uint32_t *)b];

	if (x->first_ns != y->first_ns)
		return x->first_ns < y->first_ns ? -1 : 1;
	if (x->id.upper != y->id.upper)
		return x->id.upper < y->id.upper ? -1 : 1;
	return x->id.lower < y->id.lower ? -1 : x->id.lower > y->id.lower;
}

static int by_start(const void *a, const void *b, void *user)
{
	const struct hot *h = user;
	const struct hot_row *x = h->rows[*(const uint32_t *)a], *y = h->rows[*(const uint32_t *)b];

	if (x->start_ns != y->start_ns)
		return x->start_ns < y->start_ns ? -1 : 1;
	return x->span_id < y->span_id ? -1 : x->span_id > y->span_id;
}

static void sort_rows(struct hot *h, uint32_t *v, uint32_t n)
{
	if (n > 64) {
		qsort_r(v, n, sizeof(*v), by_start, h);
		return;
	}
	for (uint32_t i = 1; i < n; i++) {
		uint32_t x = v[i], k = i;

		for (; k && by_start(&v[k - 1], &x, h) > 0; k--)
			v[k] = v[k - 1];
		v[k] = x;
	}
}

static void order_rows(struct groups *g, struct hot *h)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < g->n; i++)
		g->order[i] = i;
	qsort_r(g->order, g->n, sizeof(*g->order), by_begin, g->v);
	for (uint32_t i = 0; i < g->n; i++) {
		g->v[g->order[i]].at = at;
		at += g->v[g->order[i]].n;
	}
	for (uint32_t i = 0; i < h->n; i++)
		h->order[g->v[g->of_row[i]].at++] = i;
	for (uint32_t i = 0; i < g->n; i++)
		sort_rows(h, h->order + g->v[i].at - g->v[i].n, g->v[i].n);
}

int hot_sort(struct hot *h)
{
	struct groups g = {.n_slots = 1024};
	int r = -ENOMEM;

	while (g.n_slots < h->n * 2)
		g.n_slots *= 2;
	g.v = malloc(((size_t)h->n + 1) * sizeof(*g.v));
	g.of_row = malloc(((size_t)h->n + 1) * sizeof(*g.of_row));
	g.order = malloc(((size_t)h->n + 1) * sizeof(*g.order));
	g.slots = malloc(g.n_slots * sizeof(*g.slots));
	free(h->order);
	h->order = malloc(((size_t)h->n + 1) * sizeof(*h->order));
	if (g.v && g.of_row && g.order && g.slots && h->order) {
		memset(g.slots, 0xff, g.n_slots * sizeof(*g.slots));
		find_groups(&g, h);
		order_rows(&g, h);
		r = 0;
	}
	free(g.v);
	free(g.of_row);
	free(g.order);
	free(g.slots);
	return r;
}
