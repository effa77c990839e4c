/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait before a request is sent again: so that many senders do not come back at once. */
#include "export/internal.h"

uint64_t backoff_ns(unsigned int attempt, uint64_t from, uint64_t to, uint32_t random)
{
	uint64_t whole = from;

	for (unsigned int i = 1; i < attempt && whole < to; i++)
		whole *= 2;
	if (whole > to)
		whole = to;
	return whole / 2 +
	       (uint64_t)((double)(whole - whole / 2) * ((double)random / 4294967296.0));
}
