/* SPDX-License-Identifier: Apache-2.0 */
/* A filter on a span in memory: what the store's SQL says of a row. */
#pragma once

#include <stdbool.h>

#include "store/store.h"

/** tail_can_match() - NULL, or what of the filter cannot be said of a span in memory. */
const char *tail_can_match(const struct clew_span_filter *f);
bool tail_match(const struct clew_span_filter *f, const struct clew_span *s);
