/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets that must not reach a store or an output.
 */
#pragma once

#include "base/buf.h"

/** clew_header_secret() - Authorization, Cookie, Set-Cookie, Proxy-Authorization and their like. */
bool clew_header_secret(struct slice name);

/** clew_name_secret() - is this the name of a secret (token, password, key, secret ...)? Any case.
 */
bool clew_name_secret(struct slice name);

/**
 * clew_redact_query() - append a query with the values of secret names replaced by REDACTED, the
 * rest as it was. Names are percent-decoded before they are judged. Returns 0 or the buffer's
 * error.
 */
int clew_redact_query(struct clew_buf *out, struct slice query);
