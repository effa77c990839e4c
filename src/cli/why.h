/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a span hangs where it hangs, in words.
 */
#pragma once

#include "base/buf.h"
#include "cli/tree.h"

/** why_link() - "certain (0.99): the same thread read the request; ...", "orphan (0.40): ...", or
 * why there is no link. Always some words. */
void why_link(struct clew_buf *b, const struct tree_span *s);

/**
 * why_candidate() - the i-th likely parent of an orphan, best first: who it is, when it began and was
 * answered, and why it is not believed. False if there is none.
 */
bool why_candidate(struct clew_buf *b, const struct tree *t, const struct tree_span *s, size_t i);

/** why_incomplete() - what is missing of an incomplete span. */
void why_incomplete(struct clew_buf *b, const struct tree_span *s);
