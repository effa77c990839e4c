/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "model/span.h"

static void show_link(struct clew_span *s)
{
	char words[256];

	/* Spans that were received have no evidence of ours: their parent is what their sender
	 * said. */
	if (!s->evidence && s->link_class == CLEW_LINK_ROOT)
		return;
	clew_span_set_str(s, "clew.link.class", slice_str(clew_link_class_name(s->link_class)));
	clew_evidence_words(s->evidence, words, sizeof(words));
	if (words[0])
		clew_span_set_str(s, "clew.link.evidence", slice_str(words));
	if (s->confidence >= 0) /* rounded: a float's digits beyond these mean nothing */
		clew_span_set_double(s, "clew.link.confidence",
				     (double)(int)((double)s->confidence * 10000 + 0.5) / 10000);
}

static void show_times(struct clew_span *s)
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
			clew_span_set_int(s, times[i].key, times[i].ns);
}

void clew_span_show_fields(struct clew_span *s)
{
	char text[256];

	show_link(s);
	if (s->incomplete)
		clew_span_set_str(
			s, "clew.incomplete",
			slice_str(clew_incomplete_words(s->incomplete, text, sizeof(text))));
	if (!clew_id128_none(&s->wire_key)) {
		clew_hex(s->wire_key.b, sizeof(s->wire_key.b), text);
		clew_span_set_str(s, "clew.wire_key", slice_str(text));
	}
	if (s->tid)
		clew_span_set_int(s, "thread.id", s->tid);
	show_times(s);
}
