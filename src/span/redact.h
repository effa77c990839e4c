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

/* What the text is: it decides where names begin and values end. */
enum clew_redact_kind {
	CLEW_REDACT_QUERY,
	CLEW_REDACT_PATH,   /* its parameters, as ";jsessionid=..." */
	CLEW_REDACT_HEADER, /* a header's value: Referer, Location, Link and their like */
};

/**
 * clew_redact() - append the text with the values of secret names replaced by REDACTED and without
 * the userinfo of URLs in it, the rest as it was. Names are percent-decoded before they are judged;
 * parameters of an URL that is itself a parameter's value are judged, too, encoded or not.
 * Returns 0 or the buffer's error.
 */
int clew_redact(enum clew_redact_kind kind, struct clew_buf *out, struct slice text);
/** clew_redact_needed() - a quick look: false if clew_redact() would change nothing. */
bool clew_redact_needed(enum clew_redact_kind kind, struct slice text);
