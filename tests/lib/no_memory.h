/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of memory when it is wanted. Linked with --wrap for malloc, calloc, realloc and strdup (no_memory_wraps in
 * tests/meson.build); what libraries allocate does not fail.
 */
#pragma once

#include <stdbool.h>

/** no_memory_from() - the allocation after so many others fails, alone or with all that follow (for_good). */
void no_memory_from(unsigned others, bool for_good);
/** no_memory_end() - none fails from here on. */
void no_memory_end(void);
/* How many failed since no_memory_from(). */
extern unsigned no_memory_failed;
