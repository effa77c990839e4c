/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who an orphan's candidates are: a link names a span of another trace by its ids only; here it gets
 * that span's service, name and times as attributes (clew.candidate.*).
 *
 * Limits: CANDIDATES_MAX_LINKS links of one document, of at most CANDIDATES_MAX_TRACES traces; the
 * others keep their ids.
 */
#pragma once

#include "store/store.h"

#define CANDIDATES_MAX_LINKS  512
#define CANDIDATES_MAX_TRACES 64

/** candidates_describe() - of the orphans among these spans of one trace. 0, -ENOMEM, or the store's errors. */
int candidates_describe(struct clew_store *st, struct clew_span *const *v, size_t n,
			char **ret_error);
