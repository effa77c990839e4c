/* SPDX-License-Identifier: Apache-2.0 */
/* clew-load's figures: every latency is kept, so that percentiles are exact. */
#include "load.h"

#include <stdlib.h>

#define MAX_SAMPLES (64u << 20) /* latencies kept; beyond it samples_lost counts */

void add_sample(uint64_t ns)
{
	if (st.n_lat == st.cap_lat) {
		size_t cap = st.cap_lat ? st.cap_lat * 2 : 65536;
		uint64_t *p = cap <= MAX_SAMPLES ? realloc(st.lat, cap * sizeof(*p)) : NULL;

		if (!p) {
			st.samples_lost++;
			return;
		}
		st.lat = p;
		st.cap_lat = cap;
	}
	st.lat[st.n_lat++] = ns;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double percentile_us(double p)
{
	size_t i;

	if (!st.n_lat)
		return 0;
	i = (size_t)(p * (double)(st.n_lat - 1));
	return (double)st.lat[i] / 1000.0;
}

void report(double seconds)
{
	qsort(st.lat, st.n_lat, sizeof(*st.lat), by_value);
	printf("{\"sent\":%llu,\"done\":%llu,\"ok\":%llu,\"cut\":%llu,\"broken\":%llu,",
	       (unsigned long long)st.sent, (unsigned long long)st.done, (unsigned long long)st.ok,
	       (unsigned long long)st.cut, (unsigned long long)st.broken);
	printf("\"status_2xx\":%llu,\"status_3xx\":%llu,\"status_4xx\":%llu,\"status_5xx\":%llu,",
	       (unsigned long long)st.by_class[2], (unsigned long long)st.by_class[3],
	       (unsigned long long)st.by_class[4], (unsigned long long)st.by_class[5]);
	printf("\"seconds\":%.6f,\"rps\":%.1f,\"in_flight_mean\":%.2f,\"samples_lost\":%llu,",
	       seconds, seconds > 0 ? (double)st.done / seconds : 0,
	       st.sent ? (double)st.in_flight_sum / (double)st.sent : 0,
	       (unsigned long long)st.samples_lost);
	printf("\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f}"
	       "\n",
	       percentile_us(0.50), percentile_us(0.90), percentile_us(0.99), percentile_us(0.999),
	       percentile_us(1.0));
}
