/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native API's calls (docs/native-api.md): a path with parameters in, bytes out. The server and
 * the commands that have no server to ask use the same handlers.
 */
#pragma once

#include "base/slice.h"
#include "store/store.h"

/** clew_write_fn - takes bytes of an answer. 0, or a negative errno that ends the call. */
typedef int (*clew_write_fn)(void *user, const char *bytes, size_t n);

#define CLEW_API_PREFIX "/api/clew/v1/"

/**
 * clew_query_run() - answer one call.
 * @method: "GET" or "POST". @target: the path, from "/api/clew/v1/" on, with "?parameters".
 * @body: of a POST.
 *
 * Returns 0; -EINVAL (400), -ENOENT (404), -EOPNOTSUPP (405), -EFBIG (413), -EAGAIN, -ERESTART (store.h) or -ETIMEDOUT
 * (503), others (500), with a text in ret_error. Bytes may have been written before a failure.
 */
int clew_query_run(struct clew_store *st, struct slice method, struct slice target,
		   struct slice body, clew_write_fn write, void *user, char **ret_error);

/** clew_query_status() - the HTTP status of what clew_query_run() returned. */
int clew_query_status(int r);
/** clew_query_method() - what the call behind this target takes; NULL: there is no such call. */
const char *clew_query_method(struct slice target);
/** clew_query_content_type() - of a successful answer to this target. */
const char *clew_query_content_type(struct slice target);
/** clew_query_error() - the body of an error: {"error":"..."} and a newline. */
int clew_query_error(struct clew_buf *out, int r, const char *text);

/** clew_query_param() - append "?key=value", or "&key=value" if there is a '?' already, encoded. */
int clew_query_param(struct clew_buf *target, const char *key, struct slice value);
