/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the store's answers: JSON lines, and fields that may be absent.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/**
 * json_lines_next() - the next line's object, which the caller owns; *at moves behind it.
 * 1: an object; 0: the end; -EBADMSG: a line that is no object.
 */
int json_lines_next(const char *text, size_t len, size_t *at, json_t **ret);

/** json_lines_all() - all of them as an array, which the caller owns. 0, -EBADMSG, -ENOMEM. */
int json_lines_all(const char *text, size_t len, json_t **ret);

/* Fields of an object; "" and 0 for what is absent or of another type. */
const char *json_str(const json_t *o, const char *key);
uint64_t json_u64(const json_t *o, const char *key);
