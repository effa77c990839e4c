/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's spans while they wait, trace by trace. A trace goes on as a whole when its time has
 * come; spans of it that come later wait anew and find what became of the others.
 */
#include <utlist.h>

#include "join/internal.h"

struct trace *trace_find(struct clew_join *j, const struct clew_id128 *id)
{
	struct trace *t;

	HASH_FIND(hh, j->traces, id, sizeof(*id), t);
	return t;
}

static int grow(struct trace *t)
{
	uint32_t cap = t->cap ? t->cap * 2 : 8;
	struct seen *v = realloc(t->v, cap * sizeof(*v));

	if (!v)
		return -ENOMEM;
	t->v = v;
	t->cap = cap;
	return 0;
}

static struct trace *trace_new(struct clew_join *j, const struct clew_id128 *id)
{
	struct trace *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->id = *id;
	HASH_ADD(hh, j->traces, id, sizeof(t->id), t);
	return t;
}

int traces_add(struct clew_join *j, struct clew_span *span, uint64_t due_ns)
{
	struct trace *t = trace_find(j, &span->trace_id);

	if (!t)
		t = trace_new(j, &span->trace_id);
	else if (!t->waiting)
		DL_DELETE(j->remembered, t);
	if (!t)
		return -ENOMEM;
	if (!t->waiting) {
		t->waiting = true;
		t->due_ns = due_ns;
		DL_APPEND(j->waiting, t);
	}
	if (t->n == t->cap && grow(t) < 0)
		return -ENOMEM;
	t->v[t->n++] = (struct seen){
		.span = span,
		.id = span->span_id,
		.parent_id = span->parent_span_id,
		.header_trace = span->header_trace_id,
		.header_span = span->header_span_id,
		.start_ns = span->start_ns,
		.end_ns = span->start_ns + span->duration_ns,
		.parent = -1,
		.kind = (uint8_t)span->kind,
	};
	t->n_waiting++;
	j->stats.held++;
	return 0;
}

void trace_free(struct clew_join *j, struct trace *t)
{
	if (t->waiting)
		DL_DELETE(j->waiting, t);
	else
		DL_DELETE(j->remembered, t);
	HASH_DEL(j->traces, t);
	for (uint32_t i = 0; i < t->n; i++)
		clew_span_free(t->v[i].span);
	free(t->v);
	free(t);
}

void traces_forget(struct clew_join *j, uint64_t now_ns)
{
	while (j->remembered &&
	       (j->remembered->due_ns <= now_ns || HASH_COUNT(j->traces) > CLEW_JOIN_MAX_TRACES))
		trace_free(j, j->remembered);
}
