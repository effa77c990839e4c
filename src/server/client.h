/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How commands ask a store: through its writer's socket when one lives, else with the store open
 * read-only and the same handlers in this process.
 */
#pragma once

#include "query/query.h"

/**
 * clew_client_ask() - one call of the native API.
 * @dir: the store's directory. @method: "GET" or "POST".
 * @target: "/api/clew/v1/..." with parameters, encoded (clew_query_param()).
 * @body: of a POST. @write: takes the answer's bytes as they come.
 *
 * Returns 0 or what clew_query_run() returns; -EBUSY when a writer lives and does not answer. Bytes
 * may have been written before a failure.
 */
int clew_client_ask(const char *dir, const char *method, const char *target, struct slice body,
		    clew_write_fn write, void *user, char **ret_error);
