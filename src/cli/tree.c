/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "cli/json_lines.h"

/* More than this is no trace that a terminal shows; the document's size is limited besides. */
#define TREE_MAX_SPANS 10000000u

/* OTLP/JSON writes 64-bit integers as strings; readers take numbers too. */
static uint64_t read_u64(const json_t *v)
{
	if (json_is_string(v))
		return strtoull(json_string_value(v), NULL, 10);
	return json_is_integer(v) && json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v)
							       : 0;
}

static const char *string_of(const json_t *value)
{
	return json_str(value, "stringValue");
}

static void read_attribute(struct tree_span *s, const char *key, const json_t *value)
{
	if (!strcmp(key, "error.type"))
		s->error = string_of(value);
	else if (!strcmp(key, "clew.incomplete"))
		s->incomplete = string_of(value);
	else if (!strcmp(key, "clew.link.class"))
		s->link_class = string_of(value);
	else if (!strcmp(key, "clew.link.evidence"))
		s->evidence = string_of(value);
	else if (!strcmp(key, "clew.link.confidence"))
		s->confidence = json_number_value(json_object_get(value, "doubleValue"));
	else if (!strcmp(key, "server.address"))
		s->peer = string_of(value);
	else if (!strcmp(key, "server.port"))
		s->peer_port = read_u64(json_object_get(value, "intValue"));
	else if (!strcmp(key, "clew.trace.not_stored"))
		s->not_stored = read_u64(json_object_get(value, "intValue"));
}

static void read_span(struct tree_span *s, const json_t *o, const char *service)
{
	const json_t *status = json_object_get(o, "status"), *attribute;
	size_t i;

	*s = (struct tree_span){
		.id = json_str(o, "spanId"),
		.parent_id = json_str(o, "parentSpanId"),
		.service = service,
		.name = json_str(o, "name"),
		.error = "",
		.incomplete = "",
		.link_class = "",
		.evidence = "",
		.peer = "",
		.confidence = -1,
		.links = json_object_get(o, "links"),
		.start_ns = read_u64(json_object_get(o, "startTimeUnixNano")),
		.end_ns = read_u64(json_object_get(o, "endTimeUnixNano")),
		.kind = (int)json_u64(o, "kind"),
		.status = (int)json_u64(status, "code"),
		.parent = TREE_NONE,
		.first_child = TREE_NONE,
		.last_child = TREE_NONE,
		.next = TREE_NONE,
	};
	json_array_foreach(json_object_get(o, "attributes"), i, attribute)
		read_attribute(s, json_str(attribute, "key"), json_object_get(attribute, "value"));
	if (!*s->error && s->status == 2)
		s->error = json_str(status, "message");
	if (s->end_ns < s->start_ns)
		s->end_ns = s->start_ns;
}

static const char *service_of(const json_t *resource_spans)
{
	const json_t *resource = json_object_get(resource_spans, "resource"), *attribute;
	size_t i;

	json_array_foreach(
		json_object_get(resource, "attributes"), i,
		attribute) if (!strcmp(json_str(attribute, "key"),
				       "service.name")) return string_of(json_object_get(attribute,
											 "value"));
	return "unknown_service";
}

/* Call fn for each span of the document. */
static void each_span(const json_t *doc,
		      void (*fn)(struct tree *t, const json_t *span, const char *service),
		      struct tree *t)
{
	const json_t *resource, *scope, *span;
	size_t i, j, k;

	json_array_foreach(json_object_get(doc, "resourceSpans"), i, resource)
	{
		const char *service = service_of(resource);

		json_array_foreach(json_object_get(resource, "scopeSpans"), j, scope)
			json_array_foreach(json_object_get(scope, "spans"), k, span)
				fn(t, span, service);
	}
}

static void count_span(struct tree *t, const json_t *span, const char *service)
{
	if (t->n < TREE_MAX_SPANS)
		t->n++;
}

static void add_span(struct tree *t, const json_t *span, const char *service)
{
	if (t->n >= TREE_MAX_SPANS)
		return;
	if (!*t->trace_id)
		t->trace_id = json_str(span, "traceId");
	read_span(&t->spans[t->n++], span, service);
}

static int by_start(const void *a, const void *b)
{
	const struct tree_span *x = a, *y = b;

	if (x->start_ns != y->start_ns)
		return x->start_ns < y->start_ns ? -1 : 1;
	return strcmp(x->id, y->id);
}

static int by_id(const void *a, const void *b)
{
	const struct tree_span *x = *(const struct tree_span *const *)a;
	const struct tree_span *y = *(const struct tree_span *const *)b;
	int r = strcmp(x->id, y->id);

	return r ? r : x < y ? -1 : x > y;
}

static void append_child(struct tree *t, uint32_t parent, uint32_t child)
{
	struct tree_span *p = &t->spans[parent];

	if (p->last_child == TREE_NONE)
		p->first_child = child;
	else
		t->spans[p->last_child].next = child;
	p->last_child = child;
	p->n_children++;
}

/* The first of the spans that have this id. */
static uint32_t find(struct tree_span *const *ids, const struct tree *t, const char *id)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(ids[mid]->id, id) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == t->n || strcmp(ids[low]->id, id) != 0)
		return TREE_NONE;
	return (uint32_t)(ids[low] - t->spans);
}

uint32_t tree_find(const struct tree *t, const char *id)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (!strcmp(t->spans[i].id, id))
			return i;
	return TREE_NONE;
}

static int find_parents(struct tree *t)
{
	struct tree_span **ids = calloc(t->n, sizeof(*ids));

	if (!ids)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++)
		ids[i] = &t->spans[i];
	qsort(ids, t->n, sizeof(*ids), by_id);
	for (uint32_t i = 0; i < t->n; i++) {
		struct tree_span *s = &t->spans[i];

		if (!*s->parent_id)
			continue;
		s->parent = find(ids, t, s->parent_id);
		if (s->parent == i)
			s->parent = TREE_NONE;
		s->lost_parent = s->parent == TREE_NONE;
	}
	free(ids);
	return 0;
}

/*
 * Open rings: from each span walk up until a span whose way to a root is known. A span that the
 * same walk meets again closes a ring; the walk began at the earliest span that leads there, and
 * the link that closes the ring is cut.
 */
static int cut_rings(struct tree *t)
{
	uint32_t *walk = calloc(t->n, sizeof(*walk)); /* 0: not seen; else number of the walk */

	if (!walk)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++) {
		uint32_t at = i;

		while (at != TREE_NONE && !walk[at]) {
			uint32_t up = t->spans[at].parent;

			walk[at] = i + 1;
			if (up != TREE_NONE && walk[up] == i + 1) {
				t->spans[at].parent = TREE_NONE;
				t->spans[at].lost_parent = true;
				up = TREE_NONE;
			}
			at = up;
		}
	}
	free(walk);
	return 0;
}

static void link_children(struct tree *t)
{
	uint32_t last_root = TREE_NONE;

	for (uint32_t i = 0; i < t->n; i++) {
		if (t->spans[i].parent != TREE_NONE) {
			append_child(t, t->spans[i].parent, i);
			continue;
		}
		if (last_root == TREE_NONE)
			t->first_root = i;
		else
			t->spans[last_root].next = i;
		last_root = i;
	}
}

/* Children are not always later than their parents (clocks), so: leaves first, by counting. */
static int count_below(struct tree *t)
{
	uint32_t *left = calloc(t->n, sizeof(*left));

	if (!left)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++)
		left[i] = t->spans[i].n_children;
	for (uint32_t i = 0; i < t->n; i++) {
		uint32_t at = i;

		/* A leaf starts a walk up that goes on while it is the last child to be counted. */
		if (t->spans[i].n_children)
			continue;
		while (t->spans[at].parent != TREE_NONE) {
			uint32_t up = t->spans[at].parent;

			t->spans[up].n_below += 1 + t->spans[at].n_below;
			if (--left[up])
				break;
			at = up;
		}
	}
	free(left);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int summarize(struct tree *t)
{
	const char **services = calloc(t->n, sizeof(*services));

	if (!services)
		return -ENOMEM;
	t->start_ns = UINT64_MAX;
	for (uint32_t i = 0; i < t->n; i++) {
		struct tree_span *s = &t->spans[i];
		uint64_t h = clew_hash64(s->service, strlen(s->service),
					 (uint64_t)s->kind * 4 + (uint64_t)s->status);

		s->group = clew_hash64(s->name, strlen(s->name), h);
		services[i] = s->service;
		if (s->start_ns < t->start_ns)
			t->start_ns = s->start_ns;
		if (s->end_ns > t->end_ns)
			t->end_ns = s->end_ns;
		t->n_errors += s->status == 2;
		t->n_orphans += tree_is_orphan(s);
		t->n_incomplete += *s->incomplete != '\0';
		t->not_stored += s->not_stored;
	}
	qsort(services, t->n, sizeof(*services), by_text);
	for (uint32_t i = 0; i < t->n; i++)
		t->n_services += !i || strcmp(services[i], services[i - 1]) != 0;
	free(services);
	return 0;
}

static int build(struct tree *t)
{
	int r;

	each_span(t->doc, count_span, t);
	if (!t->n)
		return -EBADMSG;
	t->spans = calloc(t->n, sizeof(*t->spans));
	if (!t->spans)
		return -ENOMEM;
	t->n = 0;
	each_span(t->doc, add_span, t);
	qsort(t->spans, t->n, sizeof(*t->spans), by_start);
	r = find_parents(t);
	if (!r)
		r = cut_rings(t);
	if (!r) {
		link_children(t);
		r = count_below(t);
	}
	return r ? r : summarize(t);
}

int tree_read(const char *json, size_t n, struct tree *ret)
{
	struct tree t = {.trace_id = "", .first_root = TREE_NONE};
	int r;

	t.doc = json_loadb(json, n, JSON_ALLOW_NUL, NULL);
	r = json_is_object(t.doc) ? build(&t) : -EBADMSG;
	if (r < 0) {
		tree_done(&t);
		return r;
	}
	*ret = t;
	return 0;
}

void tree_done(struct tree *t)
{
	free(t->spans);
	json_decref(t->doc);
}
