/* SPDX-License-Identifier: Apache-2.0 */
#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Wider than any product below, so that overflow is seen and never wraps. */
typedef unsigned __int128 wide;

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit duration_units[] = {
	{"ns", 1},
	{"us", CLEW_NS_PER_US},
	{"\xc2\xb5s", CLEW_NS_PER_US}, /* micro sign */
	{"\xce\xbcs", CLEW_NS_PER_US}, /* Greek mu */
	{"ms", CLEW_NS_PER_MS},
	{"s", CLEW_NS_PER_S},
	{"m", 60 * CLEW_NS_PER_S},
	{"min", 60 * CLEW_NS_PER_S},
	{"h", 3600 * CLEW_NS_PER_S},
	{"d", 86400 * CLEW_NS_PER_S},
	{NULL, 0},
};

static const struct unit size_units[] = {
	{"b", 1},
	{"k", 1ull << 10},
	{"kib", 1ull << 10},
	{"kb", 1000},
	{"m", 1ull << 20},
	{"mib", 1ull << 20},
	{"mb", 1000000},
	{"g", 1ull << 30},
	{"gib", 1ull << 30},
	{"gb", 1000000000},
	{"t", 1ull << 40},
	{"tib", 1ull << 40},
	{"tb", 1000000000000},
	{NULL, 0},
};

static const char *skip_blanks(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

/* The text ends here, but for blanks. */
static bool at_end(const char *s)
{
	return !*skip_blanks(s);
}

/*
 * A decimal number as whole + part / scale. Digits of the fraction after the 18th do not count.
 * Returns the bytes read, 0 if there is no number; *ret_whole saturates.
 */
static size_t read_number(const char *s, uint64_t *ret_whole, uint64_t *ret_part,
			  uint64_t *ret_scale)
{
	const char *start = s;
	uint64_t whole = 0, part = 0, scale = 1;
	size_t digits = 0;

	for (; isdigit((unsigned char)*s); s++, digits++) {
		if (__builtin_mul_overflow(whole, 10ull, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*s - '0'), &whole))
			whole = UINT64_MAX;
	}
	if (*s == '.') {
		for (s++; isdigit((unsigned char)*s); s++, digits++) {
			if (scale >= 1000000000000000000ull)
				continue;
			part = part * 10 + (uint64_t)(*s - '0');
			scale *= 10;
		}
	}
	if (!digits)
		return 0;
	*ret_whole = whole;
	*ret_part = part;
	*ret_scale = scale;
	return (size_t)(s - start);
}

/* The unit whose name is all of the letters at s; NULL if there is none. */
static const struct unit *read_unit(const struct unit *units, bool fold, const char *s,
				    size_t *ret_n)
{
	size_t n = 0;

	while (isalpha((unsigned char)s[n]) || (unsigned char)s[n] >= 0x80)
		n++;
	for (; units->name; units++) {
		if (strlen(units->name) == n &&
		    !(fold ? strncasecmp(units->name, s, n) : strncmp(units->name, s, n))) {
			*ret_n = n;
			return units;
		}
	}
	return NULL;
}

int clew_parse_duration(const char *text, uint64_t *ret_ns)
{
	const char *s = skip_blanks(text);
	uint64_t last = UINT64_MAX;
	wide total = 0;

	if (*s == '0' && at_end(s + 1)) {
		*ret_ns = 0;
		return 0;
	}
	do {
		uint64_t whole, part, scale;
		const struct unit *unit;
		size_t n = read_number(s, &whole, &part, &scale);

		if (!n)
			return -EINVAL;
		s = skip_blanks(s + n);
		unit = read_unit(duration_units, false, s, &n);
		/* Each unit is smaller than the one before it: "1h30m", never "30m1h". */
		if (!unit || unit->factor >= last)
			return -EINVAL;
		last = unit->factor;
		total += (wide)whole * unit->factor + (wide)part * unit->factor / scale;
		s = skip_blanks(s + n);
	} while (*s);
	if (total > INT64_MAX)
		return -ERANGE;
	*ret_ns = (uint64_t)total;
	return 0;
}

int clew_parse_size(const char *text, uint64_t *ret_bytes)
{
	const char *s = skip_blanks(text);
	uint64_t whole, part, scale, factor = 1;
	size_t n = read_number(s, &whole, &part, &scale);
	wide total;

	if (!n)
		return -EINVAL;
	s = skip_blanks(s + n);
	if (*s) {
		const struct unit *unit = read_unit(size_units, true, s, &n);

		if (!unit || !at_end(s + n))
			return -EINVAL;
		factor = unit->factor;
	}
	if (factor == 1 && part)
		return -EINVAL; /* half a byte */
	total = (wide)whole * factor + (wide)part * factor / scale;
	if (total > INT64_MAX)
		return -ERANGE;
	*ret_bytes = (uint64_t)total;
	return 0;
}

int clew_parse_u64(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*text)
		return -EINVAL;
	for (const char *s = text; *s; s++)
		if (!isdigit((unsigned char)*s))
			return -EINVAL;
	for (const char *s = text; *s; s++) {
		if (__builtin_mul_overflow(v, 10ull, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -ERANGE;
	}
	if (v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

/* Exactly n digits. Returns the number, or -1. */
static int digits(const char *s, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if (!isdigit((unsigned char)s[i]))
			return -1;
		v = v * 10 + (s[i] - '0');
	}
	return v;
}

static int days_in(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* "Z", "+01:00", "-0530". Returns the bytes read, or -EINVAL; 0 when there is no zone. */
static int read_zone(const char *s, int *ret_offset_s)
{
	int h, m;

	if (*s == 'Z' || *s == 'z') {
		*ret_offset_s = 0;
		return 1;
	}
	if (*s != '+' && *s != '-')
		return 0;
	h = digits(s + 1, 2);
	if (h < 0)
		return -EINVAL;
	m = digits(s + (s[3] == ':' ? 4 : 3), 2);
	if (m < 0 || h > 23 || m > 59)
		return -EINVAL;
	*ret_offset_s = (h * 3600 + m * 60) * (*s == '-' ? -1 : 1);
	return s[3] == ':' ? 6 : 5;
}

/* "T21:05", "T21:05:00", "T21:05:00.123". Returns the bytes read, 0 if there is none, or -errno. */
static int read_clock(const char *s, struct tm *tm, uint64_t *ret_frac_ns)
{
	const char *start = s;

	if (*s != 'T' && *s != 't' && !(*s == ' ' && isdigit((unsigned char)s[1])))
		return 0;
	tm->tm_hour = digits(s + 1, 2);
	if (tm->tm_hour < 0 || s[3] != ':')
		return -EINVAL;
	tm->tm_min = digits(s + 4, 2);
	if (tm->tm_min < 0)
		return -EINVAL;
	s += 6;
	if (*s == ':') {
		tm->tm_sec = digits(s + 1, 2);
		if (tm->tm_sec < 0)
			return -EINVAL;
		s += 3;
		if (*s == '.') {
			uint64_t unit = CLEW_NS_PER_S / 10;

			if (!isdigit((unsigned char)*++s))
				return -EINVAL;
			for (; isdigit((unsigned char)*s); s++, unit /= 10)
				*ret_frac_ns += unit * (uint64_t)(*s - '0');
		}
	}
	if (tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60)
		return -ERANGE;
	return (int)(s - start);
}

/* A calendar date, with or without a clock and a zone. */
static int read_date(const char *s, uint64_t *ret_unix_ns)
{
	struct tm tm = {.tm_isdst = -1};
	int year = digits(s, 4), month, day, offset_s = 0, n, zone;
	uint64_t frac_ns = 0;
	time_t t;

	if (year < 0 || s[4] != '-')
		return -EINVAL;
	month = digits(s + 5, 2);
	if (month < 0 || s[7] != '-')
		return -EINVAL;
	day = digits(s + 8, 2);
	if (day < 0)
		return -EINVAL;
	if (month < 1 || month > 12 || day < 1 || day > days_in(year, month))
		return -ERANGE;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	n = read_clock(s + 10, &tm, &frac_ns);
	if (n < 0)
		return n;
	s += 10 + n;
	s = skip_blanks(s);
	zone = n ? read_zone(s, &offset_s) : 0;
	if (zone < 0 || !at_end(s + zone))
		return -EINVAL;
	t = zone ? timegm(&tm) - offset_s : mktime(&tm);
	if (t < 0 || t > INT64_MAX / (int64_t)CLEW_NS_PER_S)
		return -ERANGE;
	*ret_unix_ns = (uint64_t)t * CLEW_NS_PER_S + frac_ns;
	return 0;
}

int clew_parse_time(const char *text, uint64_t now_ns, uint64_t *ret_unix_ns)
{
	const char *s = skip_blanks(text);
	uint64_t age;
	int r;

	if (!strncmp(s, "now", 3) && at_end(s + 3)) {
		*ret_unix_ns = now_ns;
		return 0;
	}
	if (digits(s, 4) >= 0 && s[4] == '-')
		return read_date(s, ret_unix_ns);
	r = clew_parse_duration(s, &age);
	if (r < 0)
		return r;
	if (age > now_ns)
		return -ERANGE;
	*ret_unix_ns = now_ns - age;
	return 0;
}

/* One unit: a decimal below 100, none above. */
static const char *print_unit(double v, const char *unit, char *out)
{
	snprintf(out, CLEW_UNITS_TEXT, "%.*f %s", v < 99.95 ? 1 : 0, v, unit);
	return out;
}

static const char *print_pair(uint64_t total, uint64_t per, const char *big, const char *small,
			      char *out)
{
	snprintf(out, CLEW_UNITS_TEXT, "%" PRIu64 " %s %02" PRIu64 " %s", total / per, big,
		 total % per, small);
	return out;
}

/* The thresholds are where rounding would print the next unit's one: 999.95 us is "1.0 ms". */
const char *clew_format_duration(uint64_t ns, char out[CLEW_UNITS_TEXT])
{
	if (ns < 1000)
		snprintf(out, CLEW_UNITS_TEXT, "%" PRIu64 " ns", ns);
	else if (ns < 999500)
		print_unit((double)ns / 1e3, "us", out);
	else if (ns < 999500000)
		print_unit((double)ns / 1e6, "ms", out);
	else if (ns < 9995000000ull)
		snprintf(out, CLEW_UNITS_TEXT, "%.2f s", (double)ns / 1e9);
	else if (ns < 59950000000ull)
		print_unit((double)ns / 1e9, "s", out);
	else if (ns < 3599500000000ull)
		print_pair((ns + 500000000) / CLEW_NS_PER_S, 60, "m", "s", out);
	else if (ns < 86370000000000ull)
		print_pair((ns + 30000000000ull) / (60 * CLEW_NS_PER_S), 60, "h", "m", out);
	else
		print_pair(ns / (3600 * CLEW_NS_PER_S) +
				   (ns % (3600 * CLEW_NS_PER_S) >= 1800 * CLEW_NS_PER_S),
			   24, "d", "h", out);
	return out;
}

const char *clew_format_size(uint64_t bytes, char out[CLEW_UNITS_TEXT])
{
	static const char *const names[] = {"KiB", "MiB", "GiB", "TiB"};
	double v = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(out, CLEW_UNITS_TEXT, "%" PRIu64 " B", bytes);
		return out;
	}
	for (; v >= 1023.5 && i < 3; i++)
		v /= 1024;
	return print_unit(v, names[i], out);
}

const char *clew_format_time(uint64_t unix_ns, char out[CLEW_UNITS_TEXT])
{
	time_t t = (time_t)(unix_ns / CLEW_NS_PER_S);
	struct tm tm;
	size_t n;

	gmtime_r(&t, &tm);
	n = strftime(out, CLEW_UNITS_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, CLEW_UNITS_TEXT - n, ".%03uZ",
		 (unsigned)(unix_ns % CLEW_NS_PER_S / CLEW_NS_PER_MS));
	return out;
}

uint64_t clew_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * CLEW_NS_PER_S + (uint64_t)ts.tv_nsec;
}
