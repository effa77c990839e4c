/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of a call: "a=b&c=d", percent-encoded, into a filter. */
#pragma once

#include "base/buf.h"
#include "store/store.h"

#define PARAMS_MAX 64

struct params {
	struct {
		struct slice key, value; /* decoded, in text */
		bool taken;
	} p[PARAMS_MAX];
	size_t n;
	struct clew_buf text;
};

/** params_parse() - -EINVAL for bad escapes or too many. */
int params_parse(struct params *ps, struct slice query, char **ret_error);
void params_done(struct params *ps);
/* Conditions that no index serves want a window of time of at most this. */
#define PARAMS_MAX_WINDOW_NS (24ull * 3600 * 1000000000)

/*
 * A call takes its own parameters first. All of these return 0 and leave *ret alone where the
 * parameter is absent, or -EINVAL.
 */
/** params_get() - the text; false if it was not given. */
bool params_get(struct params *ps, const char *key, struct slice *ret);
int params_u64(struct params *ps, const char *key, uint64_t *ret, char **ret_error);
/** params_flag() - "1" or "true"; "0", "false". */
int params_flag(struct params *ps, const char *key, bool *ret, char **ret_error);
/** params_time() - Unix ns, or "-15m": so long ago. */
int params_time(struct params *ps, const char *key, uint64_t *ret, char **ret_error);
/** params_left() - the key of one that nobody took, or NULL. */
const struct slice *params_left(const struct params *ps);
/** params_filter() - all that were not taken into a filter, whose slices point into @ps. -EINVAL. */
int params_filter(struct params *ps, struct clew_span_filter *ret, char **ret_error);
/** params_cursor() - the text of a cursor behind this row. */
void params_cursor(uint64_t start_ns, const struct clew_id128 *id, char out[64]);
