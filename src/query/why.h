/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a span hangs where it hangs, in words: for the page and for the terminal, the same sentences.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct clew_why_span {
	const char *link_class; /* "certain"; "": the span was received */
	const char *evidence;	/* words of base/marks.h */
	double confidence;	/* of the link; -1: none */
	int kind;		/* as in OTLP */
	bool has_parent;
	uint64_t start_ns;
};

/* A likely parent of an orphan. */
struct clew_why_candidate {
	const char *trace_id, *span_id; /* hex */
	const char *service, *name;	/* "": it is not in the store */
	bool here;			/* in the same trace */
	double confidence;		/* -1: none */
	uint64_t start_ns, end_ns;
};

/** clew_why_link() - "certain (0.99): the same thread read the request; ...", "orphan (0.40): ...", or
 * why there is no link. Always some words. */
void clew_why_link(struct clew_buf *b, const struct clew_why_span *s);
/** clew_why_reason() - what one word of the evidence means, as clew_why_link() says it; guessed: something else
 * speaks for a guess. The word itself where it is not known. */
struct slice clew_why_reason(struct slice word, bool guessed);
/** clew_why_candidate() - the i-th likely parent, best first: who it is, when it began and was
 * answered, and why it is not believed. */
void clew_why_candidate(struct clew_buf *b, const struct clew_why_span *s,
			const struct clew_why_candidate *c, size_t i);
/** clew_why_incomplete() - what is missing of an incomplete span, from the words of its mark. */
void clew_why_incomplete(struct clew_buf *b, const char *words);
