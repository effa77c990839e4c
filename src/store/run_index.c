/* SPDX-License-Identifier: Apache-2.0 */
#include "store/run_index.h"

/* Hashes of one block that are kept apart; beyond it an entry may be written twice. */
#define SEEN_SLOTS (1u << 15)
/* Ids of names whose hashes are remembered. */
#define KNOWN_IDS 1024u

/* What is in this many spans of a block is common there; so many things are, at most: the most common ones. */
#define COMMON_SPANS 4u
#define COMMON_MAX   128u
/* Things said of a block's spans; of a block with more nothing is told. */
#define SAID_MAX (1u << 16)
#define ROW_END	 UINT32_MAX
#define NO_SLOT	 UINT32_MAX

struct seen {
	uint32_t hash;
	uint16_t round, n; /* of the block; spans, as far as they are counted */
};

/* What is said of each span of the block that is read: slots of seen, then ROW_END. */
struct said {
	uint32_t v[SAID_MAX], n;
	uint32_t distinct[SEEN_SLOTS / 2], n_distinct; /* slots that are in v */
	/* Of names: index_hash_id(), 0: not known yet; and where it is in seen, if round says so. */
	struct {
		uint32_t hash, slot;
		uint16_t round;
	} known[N_DICTS][KNOWN_IDS];
	uint8_t common[SEEN_SLOTS]; /* of a slot: its number among the common things, + 1 */
	uint32_t slots[COMMON_MAX], n_common;
};

static uint32_t fold(uint64_t h)
{
	return (uint32_t)(h ^ h >> 32);
}

uint32_t index_hash_attr(uint32_t key_id, struct slice value)
{
	return fold(clew_hash64(value.p ? value.p : "", value.n, 1 + (uint64_t)key_id));
}

uint32_t index_hash_id(enum dict_kind kind, uint32_t id)
{
	uint32_t v[2] = {(uint32_t)kind, id};

	return fold(clew_hash64(v, sizeof(v), UINT64_C(1) << 40));
}

uint32_t index_hash_resource(uint32_t id)
{
	uint32_t v[2] = {N_DICTS, id};

	return fold(clew_hash64(v, sizeof(v), UINT64_C(1) << 40));
}

uint32_t index_hash_trace(const struct clew_id128 *id)
{
	return hot_trace_hash(id128_huge(id));
}

uint32_t index_hash_pair(uint32_t a, uint32_t b)
{
	uint32_t v[2] = {a < b ? a : b, a < b ? b : a};

	return fold(clew_hash64(v, sizeof(v), UINT64_C(3) << 40));
}

uint32_t index_hash_told(uint32_t a)
{
	return fold(clew_hash64(&a, sizeof(a), UINT64_C(4) << 40));
}

static int put(struct entries *e, uint32_t hash)
{
	if (e->n == e->cap) {
		size_t cap = e->cap ? e->cap * 2 : 65536;
		uint64_t *v = realloc(e->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		e->v = v;
		e->cap = cap;
	}
	e->v[e->n++] = (uint64_t)hash << 32 | e->block;
	return 0;
}

/* said: a search may ask for it together with others. */
static int add(struct entries *e, uint32_t hash, bool said, uint32_t *ret_slot)
{
	uint32_t i = hash & (SEEN_SLOTS - 1);
	struct said *s = e->said;

	if (e->n_seen >= SEEN_SLOTS / 2) {
		s->n = SAID_MAX;
		*ret_slot = NO_SLOT;
		return put(e, hash);
	}
	while (e->seen[i].round == e->round && e->seen[i].hash != hash)
		i = (i + 1) & (SEEN_SLOTS - 1);
	*ret_slot = i;
	if (said && s->n < SAID_MAX)
		s->v[s->n++] = i;
	if (e->seen[i].round == e->round) {
		e->seen[i].n += e->seen[i].n < UINT16_MAX;
		return 0;
	}
	e->seen[i] = (struct seen){hash, e->round, 1};
	e->n_seen++;
	if (said)
		s->distinct[s->n_distinct++] = i;
	return put(e, hash);
}

/* The same of a name: most are there already. */
static int add_id(struct entries *e, enum dict_kind kind, uint32_t id, bool said)
{
	struct said *s = e->said;
	uint32_t slot;
	int r;

	if (id >= KNOWN_IDS)
		return add(e, index_hash_id(kind, id), said, &slot);
	if (s->known[kind][id].round == e->round) {
		slot = s->known[kind][id].slot;
		e->seen[slot].n += said && e->seen[slot].n < UINT16_MAX;
		if (said && s->n < SAID_MAX)
			s->v[s->n++] = slot;
		return 0;
	}
	if (!s->known[kind][id].hash)
		s->known[kind][id].hash = index_hash_id(kind, id);
	r = add(e, s->known[kind][id].hash, said, &slot);
	if (r == 0 && slot != NO_SLOT) {
		s->known[kind][id].slot = slot;
		s->known[kind][id].round = e->round;
	}
	return r;
}

/* ---- what is said together ---- */

/* The common things of the block, at least so many spans each. False: there are too many. */
static bool find_common(struct entries *e, uint32_t spans)
{
	struct said *s = e->said;

	while (s->n_common)
		s->common[s->slots[--s->n_common]] = 0;
	for (uint32_t i = 0; i < s->n_distinct; i++) {
		uint32_t slot = s->distinct[i];

		if (e->seen[slot].n < spans)
			continue;
		if (s->n_common == COMMON_MAX)
			return false;
		s->slots[s->n_common++] = slot;
		s->common[slot] = (uint8_t)s->n_common;
	}
	return true;
}

static void find_pairs(const struct said *s, uint64_t with[COMMON_MAX][2])
{
	uint32_t row[256], n = 0;
	uint64_t mask[2] = {0};

	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t slot = s->v[i], c;

		if (slot != ROW_END) {
			c = s->common[slot];
			if (c && n < 256) {
				row[n++] = c - 1;
				mask[(c - 1) / 64] |= UINT64_C(1) << ((c - 1) % 64);
			}
			continue;
		}
		for (uint32_t k = 0; k < n; k++) {
			with[row[k]][0] |= mask[0];
			with[row[k]][1] |= mask[1];
		}
		n = 0;
		mask[0] = mask[1] = 0;
	}
}

/*
 * The block's last row was read. Rows of it that are of an earlier run would not be told of; of a block that is not
 * full it is told as of a part, which holds as long as no later run adds to it.
 */
static int end_block(struct entries *e)
{
	uint64_t with[COMMON_MAX][2] = {{0}};
	struct said *s = e->said;
	int r = 0;

	if (!e->from_start || s->n == SAID_MAX)
		return 0;
	for (uint32_t spans = COMMON_SPANS; !find_common(e, spans);)
		spans *= 2;
	find_pairs(s, with);
	for (uint32_t a = 0; r == 0 && a < s->n_common; a++) {
		uint32_t hash = e->seen[s->slots[a]].hash, told;

		told = index_hash_told(hash);
		r = put(e, e->block_rows == BLOCK_SPANS ? told : index_hash_told_part(told));
		for (uint32_t b = a + 1; r == 0 && b < s->n_common; b++)
			if (with[a][b / 64] >> (b % 64) & 1)
				r = put(e, index_hash_pair(hash, e->seen[s->slots[b]].hash));
	}
	return r;
}

static int begin_block(struct entries *e, uint32_t block)
{
	int r = end_block(e);

	e->block = block;
	e->block_rows = 0;
	e->n_seen = 0;
	e->said->n = e->said->n_distinct = 0;
	if (!++e->round) { /* they come again */
		memset(e->seen, 0, SEEN_SLOTS * sizeof(*e->seen));
		memset(e->said->known, 0, sizeof(e->said->known));
		e->round = 1;
	}
	return r;
}

/* ---- rows ---- */

static int add_trace(struct entries *e, const struct clew_id128 *trace, uint32_t row)
{
	if (e->n_traces && clew_id128_eq(&e->trace, trace)) {
		e->traces[e->n_traces - 1].spans++;
		return 0;
	}
	if (e->n_traces == e->cap_traces) {
		size_t cap = e->cap_traces ? e->cap_traces * 2 : 8192;
		struct trace_entry *traces = realloc(e->traces, cap * sizeof(*traces));

		if (!traces)
			return -ENOMEM;
		e->traces = traces;
		e->cap_traces = cap;
	}
	e->trace = *trace;
	e->traces[e->n_traces++] = (struct trace_entry){index_hash_trace(trace), row, 1};
	return 0;
}

static int add_attrs(struct entries *e, const struct hot_row *row)
{
	const struct hot_text *t = hot_attrs(row);
	const char *p = hot_values(row);
	uint32_t slot;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < row->n_attrs; p += t[i++].len) {
		r = add(e, index_hash_attr(t[i].key, slice_of(p, t[i].len)), true, &slot);
		if (r == 0)
			r = add_id(e, DICT_KEY, t[i].key, false);
	}
	return r;
}

/* The row at a place of span. */
static int index_row(struct entries *e, const struct hot_row *row, uint64_t at)
{
	struct clew_id128 trace = huge_id128(row->trace_id);
	uint32_t block = (uint32_t)(at / BLOCK_SPANS), slot;
	int r = 0;

	if (block != e->block) {
		r = begin_block(e, block);
		e->from_start = at % BLOCK_SPANS == 0;
	}
	if (hot_is_gone(row))
		return r;
	if (r == 0)
		r = add_id(e, DICT_SERVICE, row->service, true);
	if (r == 0)
		r = add_id(e, DICT_OPERATION, row->operation, true);
	if (r == 0)
		r = add_trace(e, &trace, (uint32_t)at);
	if (r == 0 && row->flags & HOT_RESOURCE)
		r = add(e, index_hash_resource(row->resource), false, &slot);
	if (r == 0)
		r = add_attrs(e, row);
	if (r == 0 && e->said->n < SAID_MAX)
		e->said->v[e->said->n++] = ROW_END;
	e->block_rows++;
	if (r == 0 && e->digest)
		r = digest_add_hot(e->digest, row, at);
	return r;
}

/* By hash; stable, so blocks stay ascending. Two buffers, four passes of a byte. */
static int sort_entries(struct entries *e)
{
	uint64_t *from = e->v, *to = malloc((e->n ? e->n : 1) * sizeof(*to));

	if (!to)
		return -ENOMEM;
	for (int shift = 32; shift < 64; shift += 8) {
		size_t at[257] = {0};
		uint64_t *swap;

		for (size_t i = 0; i < e->n; i++)
			at[(from[i] >> shift & 0xff) + 1]++;
		for (int i = 0; i < 256; i++)
			at[i + 1] += at[i];
		for (size_t i = 0; i < e->n; i++)
			to[at[from[i] >> shift & 0xff]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	/* Four swaps: the result is in e->v again. */
	free(to);
	return 0;
}

static int by_hash(const void *a, const void *b)
{
	const struct trace_entry *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->first_row < y->first_row ? -1 : x->first_row > y->first_row;
}

/* n rows of cols unsigned integers, row by row. */
static int append_ints(duckdb_connection conn, struct part *p, const char *table,
		       const uint32_t *rows, size_t n, size_t cols, char **ret_error)
{
	const size_t max = duckdb_vector_size();
	duckdb_logical_type types[3];
	duckdb_data_chunk chunk;
	duckdb_appender a = NULL;
	int r = 0;

	types[0] = types[1] = types[2] = duckdb_create_logical_type(DUCKDB_TYPE_UINTEGER);
	chunk = duckdb_create_data_chunk(types, cols);
	duckdb_destroy_logical_type(&types[0]);
	if (duckdb_appender_create_ext(conn, p->name, "main", table, &a) != DuckDBSuccess)
		r = duck_append_error(a, ret_error);
	for (size_t i = 0; r == 0 && i < n; i += max) {
		size_t some = n - i < max ? n - i : max;

		duckdb_data_chunk_reset(chunk);
		for (size_t c = 0; c < cols; c++) {
			uint32_t *data =
				duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, c));

			for (size_t k = 0; k < some; k++)
				data[k] = rows[(i + k) * cols + c];
		}
		duckdb_data_chunk_set_size(chunk, some);
		if (duckdb_append_data_chunk(a, chunk) != DuckDBSuccess)
			r = duck_append_error(a, ret_error);
	}
	if (r == 0 && duckdb_appender_flush(a) != DuckDBSuccess)
		r = duck_append_error(a, ret_error);
	duckdb_destroy_data_chunk(&chunk);
	duckdb_appender_destroy(&a);
	return r;
}

int entries_store(duckdb_connection conn, struct part *p, struct entries *e, const char *source,
		  uint64_t from, uint64_t to, char **ret_error)
{
	int r;

	/* (hash << 32 | block) as two integers, the hash first */
	for (size_t i = 0; i < e->n; i++)
		e->v[i] = e->v[i] << 32 | e->v[i] >> 32;
	r = append_ints(conn, p, "block_index", (const uint32_t *)e->v, e->n, 2, ret_error);
	if (r == 0)
		r = append_ints(conn, p, "trace_index", (const uint32_t *)e->traces, e->n_traces, 3,
				ret_error);
	if (r == 0 && e->digest)
		r = rollup_store(conn, p, e->digest, source, from, to, ret_error);
	if (r == 0 && e->filter && p->has_filters)
		r = trace_filter_store(conn, p, e->filter, from, to, ret_error);
	return r;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "entries_store() reads halves of integers");

int entries_init(struct entries *e, struct clew_store *st, bool digests)
{
	*e = (struct entries){.block = UINT32_MAX - 1};
	e->seen = calloc(SEEN_SLOTS, sizeof(*e->seen));
	e->said = calloc(1, sizeof(*e->said));
	e->digest = digests ? digest_new(st, true) : NULL;
	if (!e->seen || !e->said || (digests && !e->digest))
		return -ENOMEM;
	return 0;
}

void entries_done(struct entries *e)
{
	digest_free(e->digest);
	free(e->filter);
	free(e->traces);
	free(e->v);
	free(e->seen);
	free(e->said);
}

/* Of traces by hash. Without it queries make their own. */
static void make_filter(struct entries *e)
{
	_cleanup_(freep) uint32_t *hashes = malloc((e->n_traces + 1) * sizeof(*hashes));
	uint32_t n = 0;

	for (size_t i = 0; hashes && i < e->n_traces; i++)
		if (!n || hashes[n - 1] != e->traces[i].hash)
			hashes[n++] = e->traces[i].hash;
	if (hashes)
		(void)!fuse_new(hashes, n, &e->filter);
}

int entries_index(struct entries *e, const struct hot *h, uint64_t row)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < h->n; i++)
		r = index_row(e, h->rows[h->order ? h->order[i] : i], row + i);
	if (r == 0)
		r = end_block(e);
	if (r == 0)
		r = sort_entries(e);
	if (e->n_traces)
		qsort(e->traces, e->n_traces, sizeof(*e->traces), by_hash);
	if (r == 0)
		make_filter(e);
	return r;
}
