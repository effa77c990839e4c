/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durations on a log scale: three buckets for each power of two, so 9.97 a decade. Bucket 3 e + k
 * begins at 2^e, 2^(e + 1/3) or 2^(e + 2/3) ns. Bucket numbers are stored: they never change.
 */
#pragma once

#include <stdint.h>

#define CLEW_LATENCY_BUCKETS 192

static inline uint8_t clew_latency_bucket(uint64_t ns)
{
	unsigned e;
	uint64_t m;

	if (ns < 2)
		return 0;
	e = 63u - (unsigned)__builtin_clzll(ns);
	m = ns << (63u - e);					       /* 2^63 to 2^64 */
	return (uint8_t)(3 * e + (m >= UINT64_C(0xa14517cc6b945712)) + /* 2^(1/3) */
			 (m >= UINT64_C(0xcb2ff529eb71e416)));	       /* 2^(2/3) */
}

/** clew_latency_from() - where a bucket begins; CLEW_LATENCY_BUCKETS gives the last one's end. */
double clew_latency_from(unsigned bucket);

/**
 * clew_latency_quantile() - of counts by bucket, interpolated within the bucket on the log scale, so
 * at most a quarter off; 0 where there are none.
 */
uint64_t clew_latency_quantile(const uint64_t counts[CLEW_LATENCY_BUCKETS], double q);
