/* SPDX-License-Identifier: Apache-2.0 */
/* trace/ID/span/SPANID: everything of one span, and why it hangs where it hangs. */
#include <inttypes.h>

#include "query/call.h"
#include "query/candidates.h"
#include "query/span_json.h"
#include "query/why.h"

static void put_events(struct clew_buf *b, const struct clew_span *s)
{
	clew_buf_adds(b, ",\"events\":[");
	for (uint32_t i = 0; i < s->n_events; i++) {
		const struct clew_span_event *e = &s->events[i];

		clew_buf_addf(b, "%s{\"time_ns\":%" PRIu64, i ? "," : "", e->time_ns);
		put_str(b, ",\"name\":", e->name);
		clew_buf_adds(b, ",\"attributes\":");
		attrs_json(b, e->attrs, e->n_attrs);
		clew_buf_addc(b, '}');
	}
	clew_buf_addc(b, ']');
}

static struct slice str_attr(const struct clew_span_link *l, const char *key)
{
	for (uint32_t i = 0; i < l->n_attrs; i++)
		if (slice_eq(l->attrs[i].key, slice_str(key)) && l->attrs[i].type == CLEW_ATTR_STR)
			return l->attrs[i].str;
	return SLICE("");
}

static uint64_t int_attr(const struct clew_span_link *l, const char *key)
{
	for (uint32_t i = 0; i < l->n_attrs; i++)
		if (slice_eq(l->attrs[i].key, slice_str(key)) && l->attrs[i].type == CLEW_ATTR_INT)
			return (uint64_t)l->attrs[i].i;
	return 0;
}

/* The words of a mark, "a, b; against: c", one by one. */
static void put_words(struct clew_buf *b, const char *words)
{
	bool first = true;

	while (*words) {
		size_t n = strcspn(words, ",;");

		put_str(b, first ? "" : ",", slice_of(words, n));
		first = false;
		words += n;
		words += strspn(words, ",; ");
	}
}

/* The same in words: what speaks for the parent (of an orphan: for the best guess), and what against it. */
static void put_reasons(struct clew_buf *b, const char *words)
{
	const char *against = strstr(words, "against: ");
	bool guessed = against && against != words;
	const char *sep = "";

	while (*words) {
		size_t n = strcspn(words, ",;");
		bool speaks = !against || words < against;
		size_t skip = words == against ? strlen("against: ") : 0;

		clew_buf_addf(b, "%s{\"for\":%s", sep, speaks ? "true" : "false");
		put_str(b, ",\"text\":",
			clew_why_reason(slice_of(words + skip, n - skip), guessed && !speaks));
		clew_buf_addc(b, '}');
		sep = ",";
		words += n;
		words += strspn(words, ",; ");
	}
}

/* Candidates of another trace were described by candidates_describe(); those of this one are asked. */
static int put_candidate(struct call *c, const struct clew_span *s, const struct clew_why_span *why,
			 uint32_t i)
{
	const struct clew_span_link *l = &s->links[i];
	_cleanup_(clew_span_freep) struct clew_span *own = NULL;
	_cleanup_(freep) char *service = NULL, *name = NULL;
	struct slice sv = str_attr(l, "clew.candidate.service"), nm;
	struct clew_buf text = {0};
	struct clew_why_candidate cand;
	char trace[33], span[17];

	nm = str_attr(l, "clew.candidate.name");
	cand = (struct clew_why_candidate){
		.trace_id = trace,
		.span_id = span,
		.confidence = (double)l->confidence,
		.start_ns = int_attr(l, "clew.candidate.start_ns"),
		.end_ns = int_attr(l, "clew.candidate.end_ns"),
		.here = clew_id128_eq(&l->trace_id, &s->trace_id),
	};
	if (cand.here && !clew_store_get_span(c->st, &l->trace_id, &l->span_id, &own, NULL)) {
		sv = own->resource ? own->resource->service : SLICE("");
		nm = own->name;
		cand.start_ns = own->start_ns;
		cand.end_ns = own->start_ns + own->duration_ns;
	}
	clew_hex(l->trace_id.b, 16, trace);
	clew_hex(l->span_id.b, 8, span);
	service = strndup(sv.p ? sv.p : "", sv.n);
	name = strndup(nm.p ? nm.p : "", nm.n);
	if (!service || !name)
		return -ENOMEM;
	cand.service = service;
	cand.name = name;
	clew_why_candidate(&text, why, &cand, i);
	put_str(&c->out, ",", clew_buf_slice(&text));
	clew_buf_done(&text);
	return 0;
}

static void put_text(struct call *c, const char *before,
		     void (*words)(struct clew_buf *, const void *), const void *of)
{
	struct clew_buf text = {0};

	words(&text, of);
	put_str(&c->out, before, clew_buf_slice(&text));
	clew_buf_done(&text);
}

static void link_words(struct clew_buf *b, const void *span)
{
	clew_why_link(b, span);
}

static void incomplete_words(struct clew_buf *b, const void *words)
{
	clew_buf_adds(b, "incomplete: ");
	clew_why_incomplete(b, words);
}

/* What the columns say, as clew_span_show_fields() shows it: a received span has no class. */
static int put_why(struct call *c, const struct clew_span *s)
{
	char evidence[256], incomplete[256];
	bool ours = s->evidence || (s->link_class != CLEW_LINK_ROOT && s->confidence >= 0);
	struct clew_why_span why = {
		.link_class = ours ? clew_link_class_name(s->link_class) : "",
		.evidence = clew_evidence_words(s->evidence, evidence, sizeof(evidence)),
		.confidence = (double)s->confidence,
		.kind = s->kind,
		.has_parent = !clew_id64_none(&s->parent_span_id),
		.start_ns = s->start_ns,
	};
	int r = 0;

	put_str(&c->out, ",\"why\":{\"class\":", slice_str(why.link_class));
	clew_buf_adds(&c->out, ",\"evidence\":[");
	put_words(&c->out, why.evidence);
	clew_buf_adds(&c->out, "],\"reasons\":[");
	put_reasons(&c->out, why.evidence);
	if (why.confidence >= 0)
		clew_buf_addf(&c->out, "],\"confidence\":%.4g", why.confidence);
	else
		clew_buf_adds(&c->out, "],\"confidence\":null");
	put_text(c, ",\"text\":[", link_words, &why);
	for (uint32_t i = 0; r == 0 && s->link_class == CLEW_LINK_ORPHAN && i < s->n_links; i++)
		r = put_candidate(c, s, &why, i);
	clew_incomplete_words(s->incomplete, incomplete, sizeof(incomplete));
	if (*incomplete)
		put_text(c, ",", incomplete_words, incomplete);
	clew_buf_adds(&c->out, "]}");
	return r;
}

static int put_span(struct call *c, struct clew_span *s)
{
	int r = candidates_describe(c->st, &s, 1, c->ret_error);

	if (r == 0)
		r = span_json_whole(&c->out, s);
	if (r < 0)
		return r;
	c->out.data[--c->out.len] = '\0'; /* the object goes on */
	put_str(&c->out, ",\"status_message\":", s->status_message);
	put_str(&c->out, ",\"trace_state\":", s->trace_state);
	put_str(&c->out, ",\"scope\":", s->scope);
	clew_buf_addf(&c->out, ",\"dropped\":{\"attributes\":%u,\"links\":%u,\"events\":%u}",
		      s->dropped_attrs, s->dropped_links, s->dropped_events);
	put_events(&c->out, s);
	clew_buf_adds(&c->out, ",\"resource\":");
	attrs_json(&c->out, s->resource ? s->resource->attrs : NULL,
		   s->resource ? s->resource->n_attrs : 0);
	r = put_why(c, s);
	clew_buf_addc(&c->out, '}');
	return r;
}

int call_trace_span(struct call *c, const struct clew_id128 *id, struct slice span)
{
	_cleanup_(clew_span_freep) struct clew_span *s = NULL;
	struct clew_id64 span_id;
	int r = call_no_params(c);

	if (r < 0)
		return r;
	if (clew_unhex(span.p, span.n, span_id.b, sizeof(span_id.b)) < 0)
		return call_fail(c, -EINVAL, "'%.*s' is not the id of a span: 16 hex digits",
				 (int)(span.n < 64 ? span.n : 64), span.p);
	r = clew_store_get_span(c->st, id, &span_id, &s, c->ret_error);
	if (r == -ENOENT)
		return call_fail(c, r, "there is no span %.*s in this trace", (int)span.n, span.p);
	if (r == 0)
		r = put_span(c, s);
	return r < 0 ? r : call_end_line(c);
}
