/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of a call: "a=b&c=d", percent-encoded, into a filter. */
#pragma once

#include "base/buf.h"
#include "store/store.h"

#define PARAMS_MAX 64

struct params {
	struct {
		struct slice key, value; /* decoded, in text */
	} p[PARAMS_MAX];
	size_t n;
	struct clew_buf text;
};

/** params_parse() - -EINVAL for bad escapes or too many. */
int params_parse(struct params *ps, struct slice query, char **ret_error);
void params_done(struct params *ps);
/** params_filter() - all parameters into a filter, whose slices point into @ps. -EINVAL. */
int params_filter(const struct params *ps, struct clew_span_filter *ret, char **ret_error);
