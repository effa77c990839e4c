/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks as nanoseconds in one number.
 */
#pragma once

#include <stdint.h>
#include <time.h>

/** clew_clock_ns() - what clock id (CLOCK_...) shows, ns. */
static inline uint64_t clew_clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/** clew_mono_ns() - CLOCK_MONOTONIC, ns: the records' own time. */
static inline uint64_t clew_mono_ns(void)
{
	return clew_clock_ns(CLOCK_MONOTONIC);
}
