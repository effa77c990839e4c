/* SPDX-License-Identifier: Apache-2.0 */
/* Names as small numbers, by where their text lives (names live as long as the store). */
#pragma once

#include <stdint.h>

#include "base/slice.h"

/* All zeros is an empty one. */
struct name_set {
	struct slice *v;
	uint32_t n, cap;
	uint32_t *slots, n_slots;
};

/** name_set_id() - the number of a name, the next one where it is new. -ENOMEM. */
int name_set_id(struct name_set *s, struct slice name, uint32_t *ret);
void name_set_done(struct name_set *s);
