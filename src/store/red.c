/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of spans over time and latency.
 *
 *	a window with few spans       every span is looked at; any step in time
 *	one with many                 rollups by the minute, and what is in none: hot, and what was sealed
 *	                              before there were rollups
 */
#include <inttypes.h>

#include "store/internal.h"
#include "store/latency.h"

#define MINUTE_NS UINT64_C(60000000000)

uint64_t spans_between(const struct query *q, uint64_t since_ns, uint64_t until_ns)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < q->n_parts; i++) {
		int64_t from = q->parts[i].hour * HOUR_NS, to = from + HOUR_NS;
		int64_t a = (int64_t)since_ns > from ? (int64_t)since_ns : from;
		int64_t b = until_ns && (int64_t)until_ns < to ? (int64_t)until_ns : to;

		if (a < b)
			sum += (uint64_t)((double)q->parts[i].rows * (double)(b - a) /
					  (double)HOUR_NS);
	}
	return sum;
}

void beside_rollups(const struct part_ref *p, const char *cols, const char *where,
		    struct clew_buf *out, const char **sep)
{
	if (p->has_hot) {
		clew_buf_addf(out, "%sSELECT %s FROM %s WHERE %s", *sep, cols, p->hot, where);
		*sep = " UNION ALL ";
	}
	if (p->has_tail || p->digested < p->indexed) {
		clew_buf_addf(out, "%sSELECT %s FROM %s.span WHERE rowid >= %" PRIu64 " AND %s%s",
			      *sep, cols, p->name, p->digested, where, not_gone(p));
		*sep = " UNION ALL ";
	}
}

void rollup_rows(struct query *q, size_t from, size_t to, const char *table, const char *cols,
		 const char *where, const char *beside, const char *spans_where,
		 struct clew_buf *out)
{
	const char *sep = "";

	for (size_t i = from; i < to; i++) {
		const struct part_ref *p = &q->parts[i];

		if (p->has_rollups && p->digested) {
			clew_buf_addf(out, "%sSELECT %s FROM %s.%s WHERE %s", sep, cols, p->name,
				      table, where);
			sep = " UNION ALL ";
		}
		beside_rollups(p, beside, spans_where, out, &sep);
	}
	if (!*sep)
		clew_buf_addf(out, "SELECT %s FROM c.no_spans", beside);
}

void minute_window(const struct query *q, uint64_t since_ns, uint64_t until_ns, size_t *ret_from,
		   size_t *ret_to)
{
	filter_hours(q, since_ns > (uint64_t)HOUR_NS ? since_ns - (uint64_t)HOUR_NS : 0,
		     until_ns ? until_ns + (uint64_t)HOUR_NS : 0, ret_from, ret_to);
}

struct red {
	struct clew_store *st;
	const struct clew_red_query *rq;
	clew_red_fn fn;
	void *user;
};

static int give(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col c[7];
	struct red *red = user;
	int r = 0;

	for (idx_t i = 0; i < 7; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct clew_red_row row = {
			.step = (uint32_t)((int64_t *)c[0].data)[i],
			.bucket = ((uint8_t *)c[4].data)[i],
			.n = (uint64_t)((int64_t *)c[5].data)[i],
			.errors = (uint64_t)((int64_t *)c[6].data)[i],
		};

		if (red->rq->by_service)
			row.service = names_get(red->st, DICT_SERVICE, ((uint32_t *)c[1].data)[i]);
		if (red->rq->by_name) {
			row.name = names_get(red->st, DICT_OPERATION, ((uint32_t *)c[2].data)[i]);
			row.kind = ((uint8_t *)c[3].data)[i];
		}
		r = red->fn(red->user, &row);
	}
	return r;
}

/* The conditions on service, name and kind. -ENODATA: there are no such names. */
static int conditions(struct clew_store *st, const struct clew_red_query *rq, struct clew_buf *out)
{
	struct clew_span_filter f = {.service = rq->service, .name = rq->name, .kinds = rq->kinds};
	int r = filter_where(st, &f, out, NULL);
	const char *sep = " AND service IN (";
	uint32_t id;

	for (size_t i = 0; r == 0 && i < rq->n_services; i++)
		if (!dict_find(&st->dicts[DICT_SERVICE], rq->services[i], 0, &id)) {
			clew_buf_addf(out, "%s%u", sep, id);
			sep = ",";
		}
	if (r < 0 || !rq->services)
		return r;
	return *sep == ',' ? clew_buf_addc(out, ')') : -ENODATA;
}

/* Which step a time is in; time, since, step and split are of one unit. */
static void step_of(const struct clew_red_query *rq, const char *time, uint64_t since,
		    uint64_t step, uint64_t split, struct clew_buf *out)
{
	if (rq->split_ns)
		clew_buf_addf(out, "(%s >= %" PRIu64 ")::BIGINT AS s", time, split);
	else
		clew_buf_addf(out, "((%s - %" PRIu64 ") // %" PRIu64 ")::BIGINT AS s", time, since,
			      step);
}

static void exact_source(struct query *q, const struct clew_red_query *rq, const char *where,
			 struct clew_buf *sql)
{
	const char *sep = "";
	size_t from, to;

	filter_hours(q, rq->since_ns, rq->until_ns, &from, &to);
	for (size_t i = from; i < to; i++)
		for (int hot = 0; hot < 2; hot++) {
			clew_buf_addf(sql, "%sSELECT ", sep);
			step_of(rq, "start_ns", rq->since_ns, rq->step_ns ? rq->step_ns : INT64_MAX,
				rq->split_ns, sql);
			clew_buf_addf(sql,
				      ", service, operation, kind,"
				      " clew_bucket(duration_ns) AS bucket, 1 AS n,"
				      " (status = 2)::INTEGER AS errors FROM %s%s WHERE %s%s",
				      hot ? q->parts[i].hot : q->parts[i].name, hot ? "" : ".span",
				      where, not_gone(&q->parts[i]));
			if (rq->since_ns)
				clew_buf_addf(sql, " AND start_ns >= %" PRIu64, rq->since_ns);
			if (rq->until_ns)
				clew_buf_addf(sql, " AND start_ns < %" PRIu64, rq->until_ns);
			sep = " UNION ALL ";
		}
}

static int rollup_source(struct query *q, const struct clew_red_query *rq, const char *where,
			 struct clew_buf *sql, char **ret_error)
{
	uint64_t first = rq->since_ns / MINUTE_NS, step = rq->step_ns / MINUTE_NS;
	uint64_t end = rq->until_ns ? rq->until_ns / MINUTE_NS : INT32_MAX;
	struct clew_buf cols = {0}, times = {0}, beside = {0}, minutes = {0};
	size_t from, to;
	int r;

	filter_hours(q, rq->since_ns, rq->until_ns, &from, &to);
	r = query_digested(q, from, to, ret_error);
	step_of(rq, "minute", first, step ? step : INT32_MAX, rq->split_ns / MINUTE_NS, &cols);
	clew_buf_adds(&cols, ", service, operation, kind, bucket, n, errors");
	clew_buf_addf(&minutes, "%s AND minute >= %" PRIu64 " AND minute < %" PRIu64, where, first,
		      end);
	step_of(rq, "start_ns // 60000000000", first, step ? step : INT32_MAX,
		rq->split_ns / MINUTE_NS, &beside);
	clew_buf_adds(&beside, ", service, operation, kind, clew_bucket(duration_ns) AS bucket,"
			       " 1 AS n, (status = 2)::INTEGER AS errors");
	clew_buf_addf(&times, "%s AND start_ns >= %" PRIu64, where, first * MINUTE_NS);
	if (rq->until_ns)
		clew_buf_addf(&times, " AND start_ns < %" PRIu64, rq->until_ns);
	if (r == 0 && (cols.err || minutes.err || beside.err || times.err))
		r = -ENOMEM;
	if (r == 0)
		rollup_rows(q, from, to, "red", cols.data, minutes.data, beside.data, times.data,
			    sql);
	clew_buf_done(&cols);
	clew_buf_done(&minutes);
	clew_buf_done(&beside);
	clew_buf_done(&times);
	return r;
}

/* Times onto whole minutes, where minutes is what there is. */
static void round_times(struct clew_red_query *rq)
{
	uint64_t steps;

	rq->since_ns -= rq->since_ns % MINUTE_NS;
	rq->split_ns -= rq->split_ns % MINUTE_NS;
	rq->step_ns = (rq->step_ns + MINUTE_NS - 1) / MINUTE_NS * MINUTE_NS;
	if (!rq->until_ns)
		return;
	steps = rq->step_ns ? rq->step_ns : MINUTE_NS;
	rq->until_ns = rq->since_ns + (rq->until_ns - rq->since_ns + steps - 1) / steps * steps;
}

int clew_store_red(struct clew_store *st, struct clew_red_query *rq, clew_red_fn fn, void *user,
		   char **ret_error)
{
	struct red red = {st, rq, fn, user};
	struct clew_buf sql = {0}, where = {0};
	struct query q;
	size_t head;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	r = conditions(st, rq, &where);
	clew_buf_addf(
		&sql,
		"SELECT s, %s AS service, %s AS operation, %s AS kind, bucket, sum(n)::BIGINT,"
		" sum(errors)::BIGINT FROM (",
		rq->by_service ? "service" : "0::UINTEGER",
		rq->by_name ? "operation" : "0::UINTEGER", rq->by_name ? "kind" : "0::UTINYINT");
	head = sql.len;
	if (r == 0 && spans_between(&q, rq->since_ns, rq->until_ns) <= st->opts.exact_spans) {
		exact_source(&q, rq, where.data, &sql);
	} else if (r == 0) {
		round_times(rq);
		r = rollup_source(&q, rq, where.data, &sql, ret_error);
	}
	if (r == 0 && sql.len > head) {
		clew_buf_adds(&sql, ") GROUP BY ALL");
		if (rq->grouped)
			clew_buf_adds(&sql, " ORDER BY service, s");
		r = sql.err ? sql.err : query_each(&q, sql.data, give, &red, ret_error);
	}
	query_end(&q);
	clew_buf_done(&sql);
	clew_buf_done(&where);
	return r == -ENODATA ? 0 : r;
}

/* ---- the bounds ---- */

static int keep_bounds(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col lo = duck_col(chunk, 0), hi = duck_col(chunk, 1);
	int64_t *bounds = user;

	for (idx_t i = 0; i < rows; i++) {
		if (duck_null(&lo, i))
			continue;
		bounds[0] =
			((int64_t *)lo.data)[i] < bounds[0] ? ((int64_t *)lo.data)[i] : bounds[0];
		bounds[1] =
			((int64_t *)hi.data)[i] > bounds[1] ? ((int64_t *)hi.data)[i] : bounds[1];
	}
	return 0;
}

/* Hours do not overlap: the first that has spans has the first span. */
static int bounds_of(struct query *q, size_t i, int64_t bounds[2], char **ret_error)
{
	char sql[256];

	snprintf(sql, sizeof(sql),
		 "SELECT min(min_start_ns), max(max_start_ns) FROM %s.run UNION ALL"
		 " SELECT min(start_ns), max(start_ns) FROM %s",
		 q->parts[i].name, q->parts[i].hot);
	return query_each(q, sql, keep_bounds, bounds, ret_error);
}

int clew_store_bounds(struct clew_store *st, uint64_t *ret_first_ns, uint64_t *ret_last_ns,
		      char **ret_error)
{
	int64_t first[2] = {INT64_MAX, 0}, last[2] = {INT64_MAX, 0};
	struct query q;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < q.n_parts && first[0] == INT64_MAX; i++)
		r = bounds_of(&q, i, first, ret_error);
	for (size_t i = q.n_parts; r == 0 && i > 0 && last[0] == INT64_MAX; i--)
		r = bounds_of(&q, i - 1, last, ret_error);
	query_end(&q);
	if (r < 0)
		return r;
	*ret_first_ns = first[0] == INT64_MAX ? 0 : (uint64_t)first[0];
	*ret_last_ns = first[0] == INT64_MAX ? 0 : (uint64_t)last[1];
	return 0;
}
