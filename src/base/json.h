/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing JSON text into a buffer. (Reading is jansson's.)
 */
#pragma once

#include "base/buf.h"

/**
 * clew_json_str() - append bytes as a JSON string, quotes included.
 * What is not valid UTF-8 becomes U+FFFD, one for each bad byte, so that the document stays valid
 * whatever was seen on a wire. Returns 0, or the buffer's error.
 */
int clew_json_str(struct clew_buf *b, struct slice s);

/** clew_json_double() - append a number; NaN and infinities, which JSON lacks, become null. */
int clew_json_double(struct clew_buf *b, double v);
