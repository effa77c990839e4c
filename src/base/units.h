/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durations, sizes and times as people write them, and back.
 *
 * Parsers take the whole text or nothing: blanks around and inside are allowed where the printed
 * form has them ("1 m 04 s"), anything else left over is -EINVAL.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CLEW_NS_PER_US 1000ull
#define CLEW_NS_PER_MS 1000000ull
#define CLEW_NS_PER_S  1000000000ull

/* Room for what the printers below print, the NUL included. */
#define CLEW_UNITS_TEXT 32

/**
 * clew_parse_duration() - "250ms", "1.5s", "1h30m", "2 d" to ns.
 * Units: ns, us (also µs), ms, s, m (min), h, d. The unit must be there, but for "0".
 * Returns 0; -EINVAL if it is not a duration; -ERANGE beyond 2^63 ns (292 years).
 */
int clew_parse_duration(const char *text, uint64_t *ret_ns);

/**
 * clew_parse_size() - "4096", "4k", "4KiB", "1.5MiB", "2GB" to bytes.
 * k, m, g, t alone and KiB, MiB, GiB, TiB are powers of 1024; KB, MB, GB, TB are powers of 1000.
 * Case does not matter. Returns 0; -EINVAL if it is not a size; -ERANGE beyond 2^63.
 */
int clew_parse_size(const char *text, uint64_t *ret_bytes);

/**
 * clew_parse_time() - RFC 3339 with a zone ("2026-11-22T21:05:00.5Z", "... +01:00"), the same
 * without one or a date alone (local time), "now", or an age ("5m": that long before now_ns), to
 * Unix ns. Returns 0; -EINVAL if it is none of these; -ERANGE before 1970 or after 2262, -ERANGE
 * too for a day or an hour that does not exist.
 */
int clew_parse_time(const char *text, uint64_t now_ns, uint64_t *ret_unix_ns);

/** clew_parse_u64() - decimal digits alone, at most max. Returns 0, -EINVAL, -ERANGE. */
int clew_parse_u64(const char *text, uint64_t max, uint64_t *ret);

/**
 * clew_format_duration() - as people say it: "830 ns", "3.2 us", "250 ms", "1.23 s", "1 m 04 s",
 * "2 h 05 m", "3 d 04 h". Rounded; clew_parse_duration() reads it. Returns out.
 */
const char *clew_format_duration(uint64_t ns, char out[CLEW_UNITS_TEXT]);

/** clew_format_size() - "512 B", "4.0 KiB", "16 MiB". Rounded. Returns out. */
const char *clew_format_size(uint64_t bytes, char out[CLEW_UNITS_TEXT]);

/** clew_format_time() - RFC 3339 in UTC with milliseconds: "2026-11-22T21:05:00.500Z". Returns out.
 */
const char *clew_format_time(uint64_t unix_ns, char out[CLEW_UNITS_TEXT]);

/** clew_now_ns() - Unix time now. */
uint64_t clew_now_ns(void);
