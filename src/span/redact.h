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
 * clew_redact_query() - append a query with the values of secret names replaced by REDACTED and
 * without the userinfo of URLs in it, the rest as it was. Names are percent-decoded before they are
 * judged; parameters of an URL that is itself a parameter's value are judged, too, encoded or not.
 * Returns 0 or the buffer's error.
 */
int clew_redact_query(struct clew_buf *out, struct slice query);
/** clew_redact_path() - the same for a path: its parameters, as ";jsessionid=...". */
int clew_redact_path(struct clew_buf *out, struct slice path);
/** clew_redact_header() - the same for a header's value: Referer, Location, Link and their like. */
int clew_redact_header(struct clew_buf *out, struct slice value);
/** clew_redact_needed() - a quick look: false if the above would change nothing. */
bool clew_redact_needed(struct slice text);
