/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/why.h"

#include <stdlib.h>
#include <string.h>

#include "cli/json_lines.h"
#include "query/why.h"

static struct clew_why_span span_of(const struct tree_span *s)
{
	return (struct clew_why_span){
		.link_class = s->link_class,
		.evidence = s->evidence,
		.confidence = s->confidence,
		.kind = s->kind,
		.has_parent = *s->parent_id != 0,
		.start_ns = s->start_ns,
	};
}

void why_link(struct clew_buf *b, const struct tree_span *s)
{
	struct clew_why_span span = span_of(s);

	clew_why_link(b, &span);
}

static const json_t *link_attr(const json_t *link, const char *key)
{
	const json_t *attribute;
	size_t i;

	json_array_foreach(json_object_get(link, "attributes"), i,
			   attribute) if (!strcmp(json_str(attribute, "key"),
						  key)) return json_object_get(attribute, "value");
	return NULL;
}

/* OTLP/JSON writes 64-bit integers as strings. */
static uint64_t link_time(const json_t *link, const char *key)
{
	return strtoull(json_str(link_attr(link, key), "intValue"), NULL, 10);
}

bool why_candidate(struct clew_buf *b, const struct tree *t, const struct tree_span *s, size_t i)
{
	const json_t *link = json_array_get(s->links, i), *confidence;
	struct clew_why_span span = span_of(s);
	struct clew_why_candidate c;
	uint32_t here;

	if (!link)
		return false;
	confidence = json_object_get(link_attr(link, "clew.link.confidence"), "doubleValue");
	c = (struct clew_why_candidate){
		.trace_id = json_str(link, "traceId"),
		.span_id = json_str(link, "spanId"),
		.service = json_str(link_attr(link, "clew.candidate.service"), "stringValue"),
		.name = json_str(link_attr(link, "clew.candidate.name"), "stringValue"),
		.start_ns = link_time(link, "clew.candidate.start_ns"),
		.end_ns = link_time(link, "clew.candidate.end_ns"),
		.confidence = json_is_number(confidence) ? json_number_value(confidence) : -1,
	};
	here = strcmp(c.trace_id, t->trace_id) ? TREE_NONE : tree_find(t, c.span_id);
	if (here != TREE_NONE) {
		c.here = true;
		c.service = t->spans[here].service;
		c.name = t->spans[here].name;
		c.start_ns = t->spans[here].start_ns;
		c.end_ns = t->spans[here].end_ns;
	}
	clew_why_candidate(b, &span, &c, i);
	return true;
}

void why_incomplete(struct clew_buf *b, const struct tree_span *s)
{
	clew_why_incomplete(b, s->incomplete);
}
