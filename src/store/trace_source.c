/* SPDX-License-Identifier: Apache-2.0 */
#include "store/trace_source.h"

#include <inttypes.h>

/* Matching spans that a statement names one by one; more are joined where they are found. */
#define MAX_FEW 1000u

/* Does a line know enough? */
static bool line_knows(const struct clew_trace_query *tq)
{
	const struct clew_span_filter *f = &tq->f;

	return !tq->any && !f->n_attrs && !f->n_where && !f->link_classes && !f->incomplete;
}

/* ---- conditions on lines ---- */

static void line_condition(const struct source *s, struct clew_buf *out)
{
	const struct clew_trace_query *tq = s->tq;
	const struct clew_span_filter *f = &tq->f;

	clew_buf_adds(out, "true");
	if (tq->shape)
		clew_buf_addf(out, " AND shape = %" PRIu64, tq->shape);
	clew_buf_addf(out, " AND %s(duration_ns >= %" PRIu64 " AND duration_ns < %" PRIu64 ")",
		      tq->outside ? "NOT " : "", tq->min_ns,
		      tq->max_ns ? tq->max_ns : (uint64_t)INT64_MAX);
	if (s->joined && s->few && s->n_few)
		clew_buf_addf(out, " AND trace_id IN (%s)", s->few_ids.data);
	if (s->joined)
		return;
	if (f->service.p)
		clew_buf_addf(out, " AND service = %u", s->service);
	if (f->name.p)
		clew_buf_addf(out, " AND operation = %u", s->operation);
	filter_bounds(f, out);
	for (uint32_t k = 0; f->kinds && k <= CLEW_KIND_CONSUMER; k++)
		if (!(f->kinds >> k & 1))
			clew_buf_addf(out, " AND kind <> %u", k);
}

static uint64_t match_hash(const struct clew_id128 *trace, uint64_t span)
{
	uint8_t key[24];

	memcpy(key, trace->b, 16);
	memcpy(key + 16, &span, 8);
	return clew_hash64(key, sizeof(key), 0) | 1;
}

bool line_is_meant(const struct source *s, const struct digest_trace *t)
{
	const struct clew_span_filter *f = &s->tq->f;
	uint64_t took = (uint64_t)t->duration_ns, start = (uint64_t)t->start_ns;

	bool inside = took >= s->tq->min_ns && (!s->tq->max_ns || took < s->tq->max_ns);

	if ((s->tq->shape && t->shape != s->tq->shape) || inside == s->tq->outside)
		return false;
	if (s->tq->except && id_set_has(&s->excluded, match_hash(&t->id, 0)))
		return false;
	if (s->joined)
		return id_set_has(&s->matches, match_hash(&t->id, s->tq->any ? 0 : t->root_span));
	return (!f->service.p || t->service == s->service) &&
	       (!f->name.p || t->operation == s->operation) && took >= f->min_duration_ns &&
	       (!f->max_duration_ns || took <= f->max_duration_ns) && start >= f->since_ns &&
	       (!f->until_ns || start <= f->until_ns) &&
	       (!f->error || t->status == CLEW_STATUS_ERROR) &&
	       (!f->kinds || f->kinds >> t->kind & 1);
}

/* ---- matching spans ---- */

/* 1, which ends it: there are many, and all are not wanted. */
static int keep_match(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col trace = duck_col(chunk, 0), span = duck_col(chunk, 1);
	struct source *s = user;
	char num[64];

	for (idx_t i = 0; i < rows; i++) {
		struct clew_id128 id = huge_id128(((duckdb_uhugeint *)trace.data)[i]);
		uint64_t span_id = s->tq->any ? 0 : ((uint64_t *)span.data)[i];
		int r = id_set_add(&s->matches, match_hash(&id, span_id));

		if (r < 0)
			return r;
		if (r == 0 || !s->few)
			continue;
		if (s->n_few == MAX_FEW) {
			s->few = false;
			return 1;
		}
		clew_buf_addf(&s->few_ids, "%s%s::UHUGEINT", s->n_few ? "," : "",
			      huge_sql(&id, num));
		clew_buf_addf(&s->few_spans, "%s%" PRIu64 "::UBIGINT", s->n_few ? "," : "",
			      span_id);
		s->n_few++;
	}
	return s->few_ids.err ? s->few_ids.err : s->few_spans.err;
}

/*
 * Whether they are few, and then all of them; else those are needed that may match what is beside the rollups.
 * (A trace may match by a span that is sealed, so those of a hour with something beside are asked as well.)
 */
static int find_matches(struct source *s, const char *matching, char **ret_error)
{
	size_t n = 0;
	int r;

	s->few = true;
	r = query_each(&s->q, matching, keep_match, s, ret_error);
	(void)digest_traces(s->digest, &n);
	return r == 0 && !s->few && n ? query_each(&s->q, matching, keep_match, s, ret_error) : r;
}

/* A SELECT of the spans that a filter means. */
static int matching_spans(struct source *s, struct clew_span_filter f, struct clew_buf *out,
			  char **ret_error)
{
	struct clew_buf where = {0};
	int r;

	f.root = false;
	r = filter_where(s->q.st, &f, &where, ret_error);
	for (size_t i = s->from; r == 0 && i < s->to; i++) {
		if (i > s->from)
			clew_buf_adds(out, " UNION ALL ");
		r = filter_source(&s->q, &s->q.parts[i], &f, "trace_id, span_id", where.data, out,
				  NULL, ret_error);
	}
	clew_buf_done(&where);
	return r < 0 ? r : out->err;
}

static int keep_excluded(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col trace = duck_col(chunk, 0);
	struct source *s = user;
	int r = 0;

	for (idx_t i = 0; r >= 0 && i < rows; i++) {
		struct clew_id128 id = huge_id128(((duckdb_uhugeint *)trace.data)[i]);

		r = id_set_add(&s->excluded, match_hash(&id, 0));
	}
	return r < 0 ? r : 0;
}

/* The traces that tq->except leaves out: of what is beside now, of the others by SQL later. */
static int find_excluded(struct source *s, struct clew_buf *out, char **ret_error)
{
	size_t n = 0;
	int r = matching_spans(s, *s->tq->except, out, ret_error);

	(void)digest_traces(s->digest, &n);
	return r == 0 && n && out->len ? query_each(&s->q, out->data, keep_excluded, s, ret_error)
				       : r;
}

/* ---- the source ---- */

/* Lines of sealed traces that a later line, or one of the digest, replaces. */
static void add_replaced(struct source *s, struct clew_buf *out)
{
	const struct digest_trace *t;
	const char *sep = "";
	size_t n;
	char num[64];

	t = digest_traces(s->digest, &n);
	clew_buf_adds(out, "later AS (");
	for (size_t i = s->from; i < s->to; i++)
		if (s->q.parts[i].has_rollups) {
			clew_buf_addf(out,
				      "%sSELECT trace_id, sealed_ns FROM %s.trace WHERE continued",
				      sep, s->q.parts[i].name);
			sep = " UNION ALL ";
		}
	/* One list, not a SELECT each: of those the engine takes a thousand. */
	clew_buf_addf(out, "%sSELECT unnest([", sep);
	sep = "";
	for (size_t i = 0; i < n; i++)
		if (t[i].continued) {
			clew_buf_addf(out, "%s%s::UHUGEINT", sep, huge_sql(&t[i].id, num));
			sep = ",";
		}
	clew_buf_addf(out, "]::UHUGEINT[]) AS trace_id, %" PRId64 "::BIGINT AS sealed_ns)",
		      INT64_MAX);
}

#define LINE_COLUMNS                                                                           \
	"trace_id, root_span, shape, start_ns, duration_ns, service, operation, kind, spans, " \
	"services, errors, continued, sealed_ns"

static int make_with(struct source *s, const char *matching, const struct clew_buf *excluded)
{
	struct clew_buf *out = &s->with;
	const char *sep = "";

	clew_buf_adds(out, "WITH ");
	add_replaced(s, out);
	if (s->joined && s->few && s->n_few)
		clew_buf_addf(out,
			      ", m AS (SELECT unnest([%s]) AS trace_id, unnest([%s]) AS span_id)",
			      s->few_ids.data, s->few_spans.data);
	else if (s->joined)
		clew_buf_addf(out, ", m AS (SELECT DISTINCT trace_id%s FROM (%s))",
			      s->tq->any ? "" : ", span_id", matching);
	if (excluded->len)
		clew_buf_addf(out, ", x AS (SELECT DISTINCT trace_id FROM (%s))", excluded->data);
	clew_buf_adds(out, ", lines AS (");
	for (size_t i = s->from; i < s->to; i++) {
		if (!s->q.parts[i].has_rollups)
			continue;
		clew_buf_addf(out, "%sSELECT " LINE_COLUMNS " FROM %s.trace WHERE ", sep,
			      s->q.parts[i].name);
		line_condition(s, out);
		sep = " UNION ALL ";
	}
	s->has_sealed = *sep && !(s->few && !s->n_few);
	/*
	 * NOT IN, not NOT EXISTS: the engine then never makes the lines the side that is put into a
	 * table, of which it would push every value into the scans of the other (3 s).
	 */
	clew_buf_adds(out,
		      "), t AS (SELECT * FROM lines l WHERE (l.trace_id NOT IN (SELECT trace_id"
		      " FROM later) OR (l.continued AND (l.trace_id, l.sealed_ns) IN (SELECT"
		      " trace_id, max(sealed_ns) FROM later GROUP BY trace_id)))");
	if (s->joined)
		clew_buf_addf(out, " AND EXISTS (SELECT 1 FROM m WHERE m.trace_id = l.trace_id%s)",
			      s->tq->any ? "" : " AND m.span_id = l.root_span");
	if (excluded->len)
		clew_buf_adds(out, " AND l.trace_id NOT IN (SELECT trace_id FROM x)");
	return clew_buf_adds(out, ") ");
}

void source_close(struct source *s)
{
	query_end(&s->q);
	digest_free(s->digest);
	clew_buf_done(&s->with);
	id_set_done(&s->matches);
	id_set_done(&s->excluded);
	clew_buf_done(&s->few_ids);
	clew_buf_done(&s->few_spans);
}

static int find_names(struct source *s)
{
	const struct clew_span_filter *f = &s->tq->f;
	struct clew_store *st = s->q.st;

	if (f->service.p && dict_find(&st->dicts[DICT_SERVICE], f->service, 0, &s->service) < 0)
		return -ENODATA;
	if (f->name.p && dict_find(&st->dicts[DICT_OPERATION], f->name, 0, &s->operation) < 0)
		return -ENODATA;
	return 0;
}

int source_open(struct source *s, struct clew_store *st, const struct clew_trace_query *tq,
		char **ret_error)
{
	struct clew_buf matching = {0}, excluded = {0};
	int r;

	*s = (struct source){.tq = tq, .joined = !line_knows(tq)};
	r = query_begin(st, &s->q, ret_error);
	if (r < 0)
		return r;
	r = find_names(s);
	/* A trace's line lies where its run is: an hour's edge may be between. */
	minute_window(&s->q, tq->f.since_ns, tq->f.until_ns, &s->from, &s->to);
	if (r == 0)
		r = digest_beside(&s->q, s->from, s->to, &s->digest, ret_error);
	if (r == 0 && s->joined)
		r = matching_spans(s, tq->f, &matching, ret_error);
	if (r == 0 && s->joined && matching.len)
		r = find_matches(s, matching.data, ret_error);
	if (r == 0 && tq->except)
		r = find_excluded(s, &excluded, ret_error);
	if (r == 0)
		r = make_with(s,
			      matching.len ? matching.data
					   : "SELECT trace_id, span_id FROM c.no_spans",
			      &excluded);
	clew_buf_done(&matching);
	clew_buf_done(&excluded);
	if (r < 0)
		source_close(s);
	return r;
}

int source_ask(struct source *s, const char *select, duck_chunk_fn fn, void *user, char **ret_error)
{
	struct clew_buf sql = {0};
	int r;

	if (!s->has_sealed)
		return 0;
	clew_buf_add(&sql, s->with.data, s->with.len);
	clew_buf_adds(&sql, select);
	r = sql.err ? sql.err : query_each(&s->q, sql.data, fn, user, ret_error);
	clew_buf_done(&sql);
	return r;
}
