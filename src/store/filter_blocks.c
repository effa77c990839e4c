/* SPDX-License-Identifier: Apache-2.0 */
#include "store/filter_blocks.h"

#include "store/hour_ask.h"

#include <inttypes.h>

/* Ranges of blocks of one scan; nearby ones are joined until there are no more. */
#define MAX_RANGES 128

int blocks_init(struct block_set *b, const struct part_ref *p)
{
	*b = (struct block_set){.n = (uint32_t)((p->indexed + BLOCK_SPANS - 1) / BLOCK_SPANS)};
	b->in = calloc((size_t)b->n + 1, 1);
	return b->in ? 0 : -ENOMEM;
}

/* block_index as rows of hour_ask(). */
#define INDEX_COLS "hash::BIGINT, block::BIGINT, 0::DOUBLE"

static void mark_block(void *user, const struct hour_row *row)
{
	struct block_set *b = user;

	if (row->b < (int64_t)b->n && b->in[row->b] == b->round)
		b->in[row->b]++;
}

int blocks_with(struct query *q, const struct part_ref *p, const char *hashes, struct block_set *b,
		char **ret_error)
{
	struct clew_buf sql = {0};
	int r;

	clew_buf_addf(&sql, "block_index WHERE hash IN (%s)", hashes);
	r = sql.err ? sql.err
		    : hour_ask(q, p, INDEX_COLS, sql.data, false, mark_block, b, ret_error);
	clew_buf_done(&sql);
	b->round++;
	return r;
}

/* ---- pairs ---- */

enum { TOLD_FIRST = 1, TOLD_SECOND = 2, TOLD_BOTH = TOLD_FIRST | TOLD_SECOND, IN_ONE_SPAN = 4 };

struct pair {
	uint8_t *said; /* of each block */
	uint32_t n,
		own; /* own: the block whose rows are all of the newest run, though it is not full */
	uint32_t hash;
	uint8_t bit;
};

static void read_pair(void *user, const struct hour_row *row)
{
	struct pair *p = user;

	if (row->b < (int64_t)p->n && ((uint32_t)row->a == p->hash || row->b == (int64_t)p->own))
		p->said[row->b] |= p->bit;
}

/* One statement an entry: of one that names several the engine reads what lies between. */
static int ask_pair(struct query *q, const struct part_ref *p, uint32_t hash, uint32_t or_hash,
		    uint8_t bit, struct pair *pair, char **ret_error)
{
	char sql[96];

	snprintf(sql, sizeof(sql), "block_index WHERE hash >= %u AND hash <= %u",
		 hash < or_hash ? hash : or_hash, hash < or_hash ? or_hash : hash);
	pair->hash = hash;
	pair->bit = bit;
	return hour_ask(q, p, INDEX_COLS, sql, false, read_pair, pair, ret_error);
}

/* The last block, if all of its rows are of the newest run. */
static uint32_t own_block(const struct part_ref *p)
{
	uint64_t last = p->indexed / BLOCK_SPANS;

	return p->last_run <= last * BLOCK_SPANS && !p->has_tail ? (uint32_t)last : UINT32_MAX;
}

int blocks_with_pair(struct query *q, const struct part_ref *p, uint32_t a, uint32_t b,
		     struct block_set *blocks, char **ret_error)
{
	_cleanup_(freep) uint8_t *said = calloc((size_t)blocks->n + 1, 1);
	struct pair pair = {.said = said, .n = blocks->n, .own = own_block(p)};
	uint32_t first = index_hash_told(a), second = index_hash_told(b);
	uint32_t both = index_hash_pair(a, b);
	int r;

	if (!said)
		return -ENOMEM;
	r = ask_pair(q, p, first, index_hash_told_part(first), TOLD_FIRST, &pair, ret_error);
	if (r == 0)
		r = ask_pair(q, p, second, index_hash_told_part(second), TOLD_SECOND, &pair,
			     ret_error);
	if (r == 0)
		r = ask_pair(q, p, both, both, IN_ONE_SPAN, &pair, ret_error);
	for (uint32_t i = 0; r == 0 && i < blocks->n; i++)
		if (blocks->in[i] == blocks->round &&
		    (said[i] & (TOLD_BOTH | IN_ONE_SPAN)) != TOLD_BOTH)
			blocks->in[i]++;
	blocks->round++;
	return r;
}

/* ---- ranges of numbers ---- */

/* What attr_range says of each block. */
struct told {
	uint32_t rows; /* of which it is told by service */
	bool any, of_service;
};

struct ranges {
	struct told *v;
	uint32_t n;
};

static void read_range(void *user, const struct hour_row *row)
{
	uint32_t k = (uint32_t)row->a;
	struct ranges *r = user;

	if (row->b >= (int64_t)r->n)
		return;
	if (k == RANGE_TOLD)
		r->v[row->b].rows += (uint32_t)row->c;
	else if (k & RANGE_BY_SERVICE)
		r->v[row->b].of_service = true;
	else
		r->v[row->b].any = true;
}

/* Is it told of all rows of a block? */
static bool is_told(const struct part_ref *p, const struct told *t, uint32_t block)
{
	uint64_t rows = p->indexed - (uint64_t)block * BLOCK_SPANS;

	return t->rows >= (rows < BLOCK_SPANS ? rows : BLOCK_SPANS);
}

int blocks_in_range(struct query *q, const struct part_ref *p, const struct number_range *range,
		    uint32_t service, struct block_set *b, char **ret_error)
{
	_cleanup_(freep) struct told *told = calloc((size_t)b->n + 1, sizeof(*told));
	struct ranges ranges = {told, b->n};
	struct clew_buf sql = {0};
	int r;

	if (!told)
		return -ENOMEM;
	clew_buf_addf(&sql, "attr_range WHERE (%s AND key IN (", range->condition);
	for (uint32_t i = 0; i < range->n_keys; i++) {
		clew_buf_addf(&sql, "%s%u", i ? "," : "", range->keys[i]);
		if (service != NO_SERVICE)
			clew_buf_addf(&sql, ",%u", range_key(service, range->keys[i]));
	}
	clew_buf_adds(&sql, "))");
	if (service != NO_SERVICE)
		clew_buf_addf(&sql, " OR key = %u", RANGE_TOLD);
	r = sql.err ? sql.err
		    : hour_ask(q, p, "key::BIGINT, block::BIGINT, hi", sql.data, true, read_range,
			       &ranges, ret_error);
	clew_buf_done(&sql);
	/* A block that tells of each service is not asked about all of them. */
	for (uint32_t i = 0; i < b->n; i++)
		if (b->in[i] == b->round && told[i].any &&
		    (told[i].of_service || !is_told(p, &told[i], i)))
			b->in[i]++;
	b->round++;
	return r;
}

/* ---- as conditions ---- */

/* Join blocks that lie at most gap apart; how many ranges are there then? */
static uint32_t count_ranges(const struct block_set *b, uint32_t gap)
{
	uint32_t n = 0, last = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		if (b->in[i] != b->round)
			continue;
		if (!n || i - last > gap)
			n++;
		last = i;
	}
	return n;
}

static void add_ranges(const struct block_set *b, uint32_t gap, uint64_t rows, const char **sep,
		       struct clew_buf *out)
{
	for (uint32_t i = 0; i < b->n; i++) {
		uint32_t last = i;
		uint64_t end;

		if (b->in[i] != b->round)
			continue;
		for (uint32_t k = i + 1; k < b->n && k - last <= gap; k++)
			if (b->in[k] == b->round)
				last = k;
		end = ((uint64_t)last + 1) * BLOCK_SPANS;
		clew_buf_addf(out, "%s(rowid >= %" PRIu64 " AND rowid < %" PRIu64 ")", *sep,
			      (uint64_t)i * BLOCK_SPANS, end < rows ? end : rows);
		*sep = " OR ";
		i = last;
	}
}

void blocks_add(const struct block_set *b, const char *head, const struct part_ref *p,
		struct clew_buf *out)
{
	const char *sep = "";
	uint32_t gap = 1;

	if (!blocks_count(b) && !p->has_tail)
		return;
	while (count_ranges(b, gap) > MAX_RANGES)
		gap *= 2;
	clew_buf_addf(out, " UNION ALL %s AND (", head);
	add_ranges(b, gap, p->indexed, &sep, out);
	if (p->has_tail)
		clew_buf_addf(out, "%s(rowid >= %" PRIu64 ")", sep, p->indexed);
	clew_buf_addc(out, ')');
}

uint32_t blocks_count(const struct block_set *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n; i++)
		n += b->in[i] == b->round;
	return n;
}
