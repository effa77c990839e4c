/* SPDX-License-Identifier: Apache-2.0 */
#include "store/latency.h"

#include <math.h>

double clew_latency_from(unsigned bucket)
{
	return bucket ? exp2((double)bucket / 3) : 0;
}

uint64_t clew_latency_quantile(const uint64_t counts[CLEW_LATENCY_BUCKETS], double q)
{
	uint64_t all = 0, below = 0;
	double rank;

	for (unsigned i = 0; i < CLEW_LATENCY_BUCKETS; i++)
		all += counts[i];
	if (!all)
		return 0;
	rank = q * (double)all;
	for (unsigned i = 0; i < CLEW_LATENCY_BUCKETS; i++) {
		if (!counts[i])
			continue;
		if ((double)(below + counts[i]) >= rank) {
			double part = (rank - (double)below) / (double)counts[i];

			return (uint64_t)llround(exp2(((double)i + part) / 3));
		}
		below += counts[i];
	}
	return 0;
}
