/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 (RFC 3629, table in section 4): what was seen on a wire may be anything, what we tell others
 * must be text.
 */
#pragma once

#include "base/buf.h"

/** clew_utf8_len() - bytes of the valid sequence at p, of which n >= 1 are there; 0: it is none. */
size_t clew_utf8_len(const unsigned char *p, size_t n);

/** clew_utf8_valid() - whether all of it is UTF-8. */
bool clew_utf8_valid(struct slice s);

/** clew_utf8_clean() - append s, with U+FFFD for each byte that is not UTF-8. The buffer's errors. */
int clew_utf8_clean(struct clew_buf *b, struct slice s);
