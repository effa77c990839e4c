/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A path with its ids folded, so that spans of one kind share one name: /item/42 is /item/{id}.
 */
#pragma once

#include "base/slice.h"

/* The longest template; what is longer ends in "…". */
#define CLEW_TEMPLATE_MAX 160

/**
 * clew_path_template() - fold what looks like an id in each segment: numbers, UUIDs, hexadecimal
 * and random-looking strings, dates, addresses of mail. A guess from the text alone: it never
 * claims to be the route.
 * @path: without its query. @out: at least CLEW_TEMPLATE_MAX + 4 bytes; NUL-terminated.
 * Returns the length. *ret_folded: whether anything was.
 */
size_t clew_path_template(struct slice path, char *out, bool *ret_folded);
