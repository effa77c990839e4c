/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash tables: uthash, as everybody uses it. Without memory HASH_ADD leaves the element out, and its hh.tbl is NULL: by
 * default it would end the process.
 */
#pragma once

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
