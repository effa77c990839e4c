/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One record as one JSON object, field for field: what `clew dump` prints.
 *
 * Names are those of abi/record.h; enums are words where they are known, else numbers; flags are a list of
 * words; a thread's counters are an object. Payload is "payload", text with every byte that is not
 * printable ASCII escaped as \u00XX, and where there are such bytes "payload_base64" beside it.
 */
#pragma once

#include "abi/record.h"
#include "base/buf.h"

/**
 * clew_record_json() - append one object, without a newline.
 * @rec: passed clew_record_check(). Returns 0, or the buffer's error.
 */
int clew_record_json(const struct clew_rec *rec, struct clew_buf *out);
