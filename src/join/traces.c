/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's spans while they wait, trace by trace. A trace goes on as a whole when its time has
 * come; spans of it that come later wait anew and find what became of the others. What is compared is
 * remembered after that, for received spans that come late.
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
	uint32_t cap = t->cap ? t->cap * 2 : 4;
	struct seen *v = realloc(t->v, cap * sizeof(*v));

	if (!v)
		return -ENOMEM;
	t->v = v;
	t->cap = cap;
	return 0;
}

void trace_move(struct clew_join *j, struct trace *t, enum trace_queue to, uint64_t due_ns)
{
	DL_DELETE(j->queues[t->queue], t);
	t->queue = to;
	t->due_ns = due_ns;
	DL_APPEND(j->queues[to], t);
}

static struct trace *trace_new(struct clew_join *j, const struct clew_id128 *id,
			       enum trace_queue queue, uint64_t due_ns)
{
	struct trace *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->id = *id;
	t->queue = queue;
	t->due_ns = due_ns;
	HASH_ADD(hh, j->traces, id, sizeof(t->id), t);
	if (!t->hh.tbl) {
		free(t);
		return NULL;
	}
	DL_APPEND(j->queues[queue], t);
	return t;
}

static struct seen *add_seen(struct clew_join *j, struct trace *t, const struct clew_span *s)
{
	struct seen *k;

	if (t->n == t->cap && grow(t) < 0)
		return NULL;
	k = &t->v[t->n++];
	*k = (struct seen){
		.id = s->span_id,
		.parent_id = s->parent_span_id,
		.header_trace = s->header_trace_id,
		.header_span = s->header_span_id,
		.start_ns = s->start_ns,
		.end_ns = s->start_ns + s->duration_ns,
		.facts = clew_seen_facts_of(s),
		.parent = -1,
		.kind = (uint8_t)s->kind,
		.open = s->incomplete & (CLEW_INC_NO_RESPONSE | CLEW_INC_CUT),
	};
	said_of(s, &k->said);
	late_note(j, t, k);
	j->stats.remembered++;
	return k;
}

int traces_add(struct clew_join *j, struct clew_span *span, uint64_t due_ns)
{
	struct trace *t = trace_find(j, &span->trace_id);
	struct seen *k;

	if (!t)
		t = trace_new(j, &span->trace_id, TRACE_WAITING, due_ns);
	else if (t->queue != TRACE_WAITING)
		trace_move(j, t, TRACE_WAITING, due_ns);
	k = t ? add_seen(j, t, span) : NULL;
	if (!k)
		return -ENOMEM;
	k->span = span;
	t->n_waiting++;
	j->stats.held++;
	return 0;
}

struct trace *traces_note(struct clew_join *j, const struct clew_span *span, uint64_t due_ns)
{
	struct trace *t = trace_find(j, &span->trace_id);

	if (!t)
		t = trace_new(j, &span->trace_id, TRACE_REMEMBERED, due_ns);
	/* Without memory for it: what comes late for it stays beside it. */
	if (t && add_seen(j, t, span))
		return t;
	j->stats.forgotten++;
	return NULL;
}

void traces_note_joined(struct clew_join *j, const struct clew_span *span, const struct received *r,
			uint64_t due_ns)
{
	struct trace *t = traces_note(j, span, due_ns);
	struct seen *k = t ? &t->v[t->n - 1] : NULL;

	if (!k)
		return;
	k->as_trace = r->trace_id;
	k->as_span = r->span_id;
	k->settled = true;
	t->n_matched++;
	late_note_trace(j, t, &k->as_trace);
}

void trace_free(struct clew_join *j, struct trace *t)
{
	DL_DELETE(j->queues[t->queue], t);
	HASH_DEL(j->traces, t);
	for (uint32_t i = 0; i < t->n; i++)
		clew_span_free(t->v[i].span);
	j->stats.remembered -= t->n;
	free(t->v);
	free(t);
}

void traces_forget(struct clew_join *j, uint64_t now_ns)
{
	struct trace *t;

	while ((t = j->queues[TRACE_REMEMBERED])) {
		if (t->due_ns > now_ns && HASH_COUNT(j->traces) <= CLEW_JOIN_MAX_TRACES &&
		    j->stats.remembered <= CLEW_JOIN_MAX_REMEMBERED)
			break;
		if (t->due_ns > now_ns)
			j->stats.forgotten += t->n;
		trace_free(j, t);
	}
}
