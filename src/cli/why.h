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

/** why_candidates() - an orphan's likely parents, best first; nothing without candidates. */
void why_candidates(struct clew_buf *b, const struct tree *t, const struct tree_span *s);

/** why_incomplete() - what is missing of an incomplete span. */
void why_incomplete(struct clew_buf *b, const struct tree_span *s);
