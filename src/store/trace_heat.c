/* SPDX-License-Identifier: Apache-2.0 */
/* When traces began and how long they took: a count for each cell of time and latency. */
#include <inttypes.h>

#include "store/trace_source.h"

struct heat {
	uint64_t since_ns, length_ns;
	uint32_t columns;
	struct clew_heat_cell *v; /* by bucket, then column */
};

/* A trace may match by a span, and have begun before the window. */
static uint32_t column_of(const struct heat *h, int64_t start_ns)
{
	uint64_t after = (uint64_t)start_ns - h->since_ns;

	if ((uint64_t)start_ns < h->since_ns)
		return 0;
	if (after >= h->length_ns)
		return h->columns - 1;
	return (uint32_t)((unsigned __int128)after * h->columns / h->length_ns);
}

static void add(struct heat *h, uint32_t column, uint8_t bucket, uint64_t n, uint64_t errors)
{
	struct clew_heat_cell *c = &h->v[(size_t)bucket * h->columns + column];

	c->n += n;
	c->errors += errors;
}

static int keep_cells(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col c[4];
	struct heat *h = user;

	for (idx_t i = 0; i < 4; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; i < rows; i++)
		add(h, ((uint32_t *)c[0].data)[i], ((uint8_t *)c[1].data)[i],
		    (uint64_t)((int64_t *)c[2].data)[i], (uint64_t)((int64_t *)c[3].data)[i]);
	return 0;
}

static int ask_sealed(struct source *s, struct heat *h, char **ret_error)
{
	char select[512];

	/* As column_of() has it; a HUGEINT where the product needs one. */
	snprintf(select, sizeof(select),
		 "SELECT least(%u, greatest(0, (start_ns - %" PRIu64
		 "::BIGINT)::HUGEINT * %u // %" PRIu64
		 "))::UINTEGER AS c, clew_bucket(duration_ns) AS b, count(*),"
		 " count(*) FILTER (errors > 0) FROM t GROUP BY c, b",
		 h->columns - 1, h->since_ns, h->columns, h->length_ns);
	return source_ask(s, select, keep_cells, h, ret_error);
}

static int give(struct heat *h, clew_heat_fn fn, void *user)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < (size_t)h->columns * CLEW_LATENCY_BUCKETS; i++) {
		h->v[i].bucket = (uint8_t)(i / h->columns);
		h->v[i].column = (uint32_t)(i % h->columns);
		if (h->v[i].n)
			r = fn(user, &h->v[i]);
	}
	return r;
}

int clew_store_trace_heat(struct clew_store *st, const struct clew_trace_query *tq,
			  uint32_t columns, clew_heat_fn fn, void *user, char **ret_error)
{
	struct heat h = {.since_ns = tq->f.since_ns,
			 .length_ns = tq->f.until_ns - tq->f.since_ns,
			 .columns = columns};
	const struct digest_trace *t;
	struct source s;
	size_t n;
	int r;

	if (!columns || columns > CLEW_HEAT_MAX_COLUMNS || tq->f.until_ns <= tq->f.since_ns)
		return -EINVAL;
	r = source_open(&s, st, tq, ret_error);
	if (r < 0)
		return r == -ENODATA ? 0 : r;
	h.v = calloc((size_t)columns * CLEW_LATENCY_BUCKETS, sizeof(*h.v));
	r = h.v ? ask_sealed(&s, &h, ret_error) : -ENOMEM;
	t = digest_traces(s.digest, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (line_is_meant(&s, &t[i]))
			add(&h, column_of(&h, t[i].start_ns),
			    clew_latency_bucket((uint64_t)t[i].duration_ns), 1, t[i].errors > 0);
	source_close(&s);
	if (r == 0)
		r = give(&h, fn, user);
	free(h.v);
	return r;
}
