/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading tokio's code: for tokio.c and its tests.
 */
#pragma once

#include <stdint.h>

#include "base/slice.h"

/**
 * tokio_find_id() - where a function that stores a word of a thread-local, and returns what was there, does so.
 * @tp_off: of the thread-local, from the thread pointer; @size: its bytes.
 * 0: *ret is that word's place, from the thread pointer; -ENOENT: no such store; -ENOTSUP: several.
 */
int tokio_find_id(struct slice code, int32_t tp_off, uint64_t size, int32_t *ret);
