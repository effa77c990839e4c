/* SPDX-License-Identifier: Apache-2.0 */
#include "query/why.h"

#include <string.h>

#include "base/units.h"

struct phrase {
	const char *word; /* of base/marks.h */
	const char *text;
};

static const struct phrase evidence[] = {
	{"task", "the runtime's task is the same"},
	{"handed", "a task of the request began the one that called, or gave it its work"},
	{"heap", "what the thread that called worked on was made by the one that had read the "
		 "request, for it"},
	{"thread", "the same thread read the request"},
	{"exclusive", "no other request was open there"},
	{"connect", "connect() was called while the request was served"},
	{"completion", "its answer followed the call's response"},
	{"chain", "a sibling call of the same stretch of work is confirmed"},
	{"wake", "the thread that called then woke the one that answers"},
	{"fork", "the request's thread started the one that called"},
	{"order", "the order of work fits"},
	{"model", "the service's answers confirm how it works"},
	{"header", "a trace header on the wire says so"},
	{"wire", "both ends saw the same bytes of one connection"},
	{"conflict",
	 "several requests fit: they used its connection at once, or its response led to "
	 "the answer of another one"},
	{"unconfirmed", "nothing that was seen ties the call to one request"},
	{"none open", "no request was open"},
	{NULL, NULL},
};

/* What was missing where something speaks for a guess. */
static const struct phrase missing = {
	"unconfirmed",
	"too few answers that this service gave while several requests were open bear "
	"that out"};

static const struct phrase incomplete[] = {
	{"loss", "records of its connection were lost"},
	{"no response", "it ended before the response began"},
	{"cut", "it ended before the response's last byte"},
	{"joined", "tracing began in the middle of it"},
	{"unsynced", "the parser lost its place inside it"},
	{"no head", "its head is longer than what was captured (see --payload)"},
	{"end guessed", "its end was inferred from what came next"},
	{"limit", "a table was full"},
	{NULL, NULL},
};

/* The words, separated by ", ", as phrases separated by "; "; an unknown word stands for itself. */
static void add_phrases(struct clew_buf *b, const struct phrase *table, const char *words, size_t n)
{
	const char *end = words + n, *sep = "";

	while (words < end) {
		size_t len = 0;
		const struct phrase *p = table;

		while (words + len < end && words[len] != ',')
			len++;
		while (p->word && (strlen(p->word) != len || strncmp(p->word, words, len) != 0))
			p++;
		clew_buf_adds(b, sep);
		if (p->word)
			clew_buf_adds(b, p->text);
		else
			clew_buf_add(b, words, len);
		sep = "; ";
		words += len;
		while (words < end && (*words == ',' || *words == ' '))
			words++;
	}
}

/* "thread, completion; against: conflict" */
static void add_evidence(struct clew_buf *b, const char *words, bool orphan)
{
	const char *against = strstr(words, "against: ");
	size_t n = against ? (size_t)(against - words) : strlen(words);

	while (n && (words[n - 1] == ' ' || words[n - 1] == ';'))
		n--;
	if (n)
		clew_buf_adds(b, orphan ? ". For the best guess: " : ": ");
	add_phrases(b, evidence, words, n);
	if (!against)
		return;
	against += strlen("against: ");
	clew_buf_adds(b, !n			       ? "; "
			 : strstr(against, "conflict") ? ". Against it: "
						       : ". What is missing: ");
	if (n && !strcmp(against, missing.word))
		clew_buf_adds(b, missing.text);
	else
		add_phrases(b, evidence, against, strlen(against));
}

struct slice clew_why_reason(struct slice word, bool guessed)
{
	const struct phrase *p = evidence;

	if (guessed && slice_eq(word, slice_str(missing.word)))
		return slice_str(missing.text);
	while (p->word && !slice_eq(word, slice_str(p->word)))
		p++;
	return p->word ? slice_str(p->text) : word;
}

static bool is_orphan(const struct clew_why_span *s)
{
	return s->link_class[0] == 'o';
}

void clew_why_link(struct clew_buf *b, const struct clew_why_span *s)
{
	const char *class = s->link_class;

	if (!*class) {
		if (s->has_parent)
			clew_buf_adds(b, "its sender said so: the span was received, not observed");
		else if (s->kind == 2 || s->kind == 5)
			clew_buf_adds(b, "root: its caller is not traced");
		else
			clew_buf_adds(b, "root");
		return;
	}
	clew_buf_adds(b, class);
	if (s->confidence >= 0)
		clew_buf_addf(b, " (%.2f)", s->confidence);
	if (!strcmp(class, "root") && strstr(s->evidence, "none open")) {
		clew_buf_adds(b, ": no request was open, the process did this by itself");
		return;
	}
	if (is_orphan(s))
		clew_buf_adds(b, ": a parent is likely and not known");
	add_evidence(b, s->evidence, is_orphan(s));
}

/* The time between two, "3.2 ms after the call". */
static void add_distance(struct clew_buf *b, uint64_t at_ns, uint64_t call_ns)
{
	char text[CLEW_UNITS_TEXT];

	if (at_ns == call_ns)
		clew_buf_adds(b, "with the call");
	else
		clew_buf_addf(b, "%s %s the call",
			      clew_format_duration(
				      at_ns > call_ns ? at_ns - call_ns : call_ns - at_ns, text),
			      at_ns > call_ns ? "after" : "before");
}

static void add_doubt(struct clew_buf *b, const struct clew_why_span *s, size_t i, bool over)
{
	const char *against = strstr(s->evidence, "against: ");
	bool guess = i == 0 && *s->evidence && against != s->evidence;

	if (guess && against && strstr(against, "conflict"))
		clew_buf_adds(b, "the best guess, and what followed speaks against it");
	else if (guess)
		clew_buf_adds(b, "the best guess, and too little bears it out");
	else if (over)
		clew_buf_adds(b, "it was over, and work may go on after an answer");
	else
		clew_buf_adds(b, "it was open, and nothing names it rather than another");
}

void clew_why_candidate(struct clew_buf *b, const struct clew_why_span *s,
			const struct clew_why_candidate *c, size_t i)
{
	if (*c->service)
		clew_buf_addf(b, "%s %s", c->service, c->name);
	else
		clew_buf_addf(b, "span %.8s of trace %.12s", c->span_id, c->trace_id);
	if (*c->service && !c->here)
		clew_buf_addf(b, " of trace %.12s", c->trace_id);
	if (c->confidence >= 0)
		clew_buf_addf(b, " (%.2f)", c->confidence);
	if (*c->service) {
		clew_buf_adds(b, ": began ");
		add_distance(b, c->start_ns, s->start_ns);
		clew_buf_adds(b, ", answered ");
		add_distance(b, c->end_ns, s->start_ns);
		clew_buf_adds(b, "; ");
		add_doubt(b, s, i, c->end_ns < s->start_ns);
	} else {
		clew_buf_adds(b, ": it is not in the store");
	}
}

void clew_why_incomplete(struct clew_buf *b, const char *words)
{
	add_phrases(b, incomplete, words, strlen(words));
}
