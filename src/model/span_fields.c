/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "model/span.h"

static struct clew_attr *add(struct clew_span_shown *to, const char *key, enum clew_attr_type type)
{
	struct clew_attr *a = &to->attrs[to->n++];

	*a = (struct clew_attr){.key = slice_str(key), .type = type};
	return a;
}

static void add_str(struct clew_span_shown *to, const char *key, const char *value)
{
	add(to, key, CLEW_ATTR_STR)->str = slice_str(value);
}

static void add_link(const struct clew_span *s, struct clew_span_shown *to)
{
	/* Spans that were received have no evidence of ours: their parent is what their sender
	 * said. */
	if (!s->evidence && (s->link_class == CLEW_LINK_ROOT || s->confidence < 0))
		return;
	add_str(to, "clew.link.class", clew_link_class_name(s->link_class));
	clew_evidence_words(s->evidence, to->evidence, sizeof(to->evidence));
	if (to->evidence[0])
		add_str(to, "clew.link.evidence", to->evidence);
	if (s->confidence >= 0) /* rounded: a float's digits beyond these mean nothing */
		add(to, "clew.link.confidence", CLEW_ATTR_DOUBLE)->d =
			(double)(int)((double)s->confidence * 10000 + 0.5) / 10000;
}

static void add_times(const struct clew_span *s, struct clew_span_shown *to)
{
	const struct {
		const char *key;
		int64_t ns;
	} times[] = {
		{"clew.time.cpu_ns", s->times.cpu_ns},
		{"clew.time.runq_ns", s->times.runq_ns},
		{"clew.time.futex_ns", s->times.futex_ns},
		{"clew.time.disk_ns", s->times.disk_ns},
		{"clew.time.net_ns", s->times.net_ns},
		{"clew.time.sleep_ns", s->times.sleep_ns},
		{"clew.time.other_ns", s->times.other_ns},
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
		if (times[i].ns >= 0)
			add(to, times[i].key, CLEW_ATTR_INT)->i = times[i].ns;
}

void clew_span_shown(const struct clew_span *s, struct clew_span_shown *ret)
{
	ret->n = 0;
	add_link(s, ret);
	if (s->incomplete)
		add_str(ret, "clew.incomplete",
			clew_incomplete_words(s->incomplete, ret->incomplete,
					      sizeof(ret->incomplete)));
	if (!clew_id128_none(&s->wire_key)) {
		clew_hex(s->wire_key.b, sizeof(s->wire_key.b), ret->wire_key);
		add_str(ret, "clew.wire_key", ret->wire_key);
	}
	if (s->tid)
		add(ret, "thread.id", CLEW_ATTR_INT)->i = s->tid;
	add_times(s, ret);
}

void clew_span_show_fields(struct clew_span *s)
{
	struct clew_span_shown shown;

	clew_span_shown(s, &shown);
	for (uint32_t i = 0; i < shown.n; i++) {
		const struct clew_attr *a = &shown.attrs[i];

		/* the keys are literals of this file */
		if (a->type == CLEW_ATTR_STR)
			clew_span_set_str(s, a->key.p, a->str);
		else if (a->type == CLEW_ATTR_INT)
			clew_span_set_int(s, a->key.p, a->i);
		else
			clew_span_set_double(s, a->key.p, a->d);
	}
}
