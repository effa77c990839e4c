/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session knows of each service, into its store: soon after the first calls, every
 * KEEP_NS while it runs, and when it ends.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "cli/session_internal.h"

#define FIRST_NS 3000000000ull
#define KEEP_NS	 30000000000ull

struct row {
	struct clew_buf text; /* what the row's slices point at */
	size_t ends[7];	      /* of service, runtime, version, task, model, settled, orphaned */
	struct clew_service_known known;
};

struct rows {
	struct row *v;
	size_t n;
	bool failed;
};

static void add_count(struct clew_buf *b, const char **sep, const char *name, uint64_t n)
{
	if (!n)
		return;
	clew_buf_addf(b, "%s\"%s\":%" PRIu64, *sep, name, n);
	*sep = ",";
}

static void add_settled(struct clew_buf *b, const struct clew_service_report *r)
{
	const char *sep = "";
	char word[64];

	clew_buf_addc(b, '{');
	for (uint32_t i = 0; i < CLEW_EV_N_FOR; i++)
		add_count(b, &sep, clew_evidence_words(1u << i, word, sizeof(word)), r->settled[i]);
	clew_buf_addc(b, '}');
}

static void add_orphaned(struct clew_buf *b, const struct clew_service_report *r)
{
	const char *sep = "";

	clew_buf_addc(b, '{');
	for (uint32_t i = 0; i < CLEW_N_ORPHAN_WHY; i++)
		add_count(b, &sep, clew_orphan_why_name(i), r->orphaned[i]);
	clew_buf_addc(b, '}');
}

static void add_row(void *user, const struct clew_service_known *k)
{
	struct rows *rows = user;
	struct row *v = reallocarray(rows->v, rows->n + 1, sizeof(*v)), *row;
	const struct slice texts[] = {k->service, k->runtime, k->version, k->task,
				      slice_str(k->report.model)};
	size_t i = 0;

	if (!v) {
		rows->failed = true;
		return;
	}
	rows->v = v;
	row = &v[rows->n++];
	*row = (struct row){.known = *k};
	for (; i < sizeof(texts) / sizeof(texts[0]); i++) {
		clew_buf_add(&row->text, texts[i].p, texts[i].n);
		row->ends[i] = row->text.len;
	}
	add_settled(&row->text, &k->report);
	row->ends[i++] = row->text.len;
	add_orphaned(&row->text, &k->report);
	row->ends[i] = row->text.len;
	rows->failed |= row->text.err != 0;
}

static struct slice part(const struct row *row, size_t i)
{
	size_t from = i ? row->ends[i - 1] : 0;

	return slice_of(row->text.data + from, row->ends[i] - from);
}

static uint64_t unix_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct clew_service_model model_of(const struct row *row, const char *options, uint64_t now)
{
	const struct clew_service_report *r = &row->known.report;

	return (struct clew_service_model){
		.service = part(row, 0),
		.time_ns = now,
		.runtime = part(row, 1),
		.version = part(row, 2),
		.task = part(row, 3),
		.model = part(row, 4),
		.groups = row->known.groups,
		.answers = r->answers,
		.hits = r->hits,
		.misses = r->misses,
		.roots = r->roots,
		.certain = r->certain,
		.probable = r->probable,
		.orphans = r->orphans,
		.settled = part(row, 5),
		.orphaned = part(row, 6),
		.options = slice_str(options),
	};
}

static int put(struct session *s, const struct rows *rows, char **ret_error)
{
	_cleanup_(freep) struct clew_service_model *models = calloc(rows->n + 1, sizeof(*models));
	const char *options = clew_pipeline_options(s->pipeline);
	uint64_t now = unix_ns();

	if (!models || rows->failed)
		return -ENOMEM;
	for (size_t i = 0; i < rows->n; i++)
		models[i] = model_of(&rows->v[i], options, now);
	return clew_store_put_service_models(s->store, models, rows->n, ret_error);
}

/* Returns how many services there are. */
static size_t keep(struct session *s)
{
	_cleanup_(freep) char *error = NULL;
	struct rows rows = {0};
	int r = clew_pipeline_services(s->pipeline, add_row, &rows);

	if (r == 0)
		r = put(s, &rows, &error);
	for (size_t i = 0; i < rows.n; i++)
		clew_buf_done(&rows.v[i].text);
	free(rows.v);
	/* Said once; what is kept is a little older then. */
	if (r < 0 && !s->services_failed)
		log_warn("what is known of the services could not be kept for `clew services "
			 "--why`: %s",
			 error ? error : strerror(-r));
	s->services_failed = r < 0;
	return rows.n;
}

void session_keep_services(struct session *s, uint64_t now_ns)
{
	if (!s->pipeline || !s->store)
		return;
	if (!s->services_due_ns)
		s->services_due_ns = now_ns + FIRST_NS;
	if (now_ns < s->services_due_ns)
		return;
	s->services_due_ns = now_ns + (keep(s) ? KEEP_NS : FIRST_NS);
}

void session_keep_services_last(struct session *s)
{
	if (s->pipeline && s->store)
		(void)keep(s);
}
