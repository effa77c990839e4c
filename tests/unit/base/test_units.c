/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/units.h"

#define UNTOUCHED 0xfeedull

struct parse_case {
	const char *text;
	int r;
	uint64_t value;
};

static void check(int (*parse)(const char *, uint64_t *), const struct parse_case *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t v = UNTOUCHED;
		int r = parse(c[i].text, &v);

		if (r != c[i].r || v != (r ? UNTOUCHED : c[i].value))
			fail_msg("'%s': %d, %llu", c[i].text, r, (unsigned long long)v);
	}
}

static void test_duration(void **state)
{
	static const struct parse_case cases[] = {
		{"0", 0, 0},
		{" 0 ", 0, 0},
		{"1ns", 0, 1},
		{"250ms", 0, 250000000},
		{"1.5s", 0, 1500000000},
		{".5s", 0, 500000000},
		{"5m", 0, 300000000000},
		{"5min", 0, 300000000000},
		{"2h", 0, 7200000000000},
		{"1d", 0, 86400000000000},
		{"3us", 0, 3000},
		{"3\xc2\xb5s", 0, 3000},
		{"3\xce\xbcs", 0, 3000},
		{"1h30m", 0, 5400000000000},
		{"1 m 04 s", 0, 64000000000},
		{"0.0000000001s", 0, 0},
		{"9223372036854775807ns", 0, INT64_MAX},
		{"9223372036854775808ns", -ERANGE, 0},
		{"99999999999999999999s", -ERANGE, 0},
		{"200000d", -ERANGE, 0},
		{"", -EINVAL, 0},
		{" ", -EINVAL, 0},
		{"5", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{".s", -EINVAL, 0},
		{"-5s", -EINVAL, 0},
		{"5 parsecs", -EINVAL, 0},
		{"5S", -EINVAL, 0},
		{"5s6", -EINVAL, 0},
		{"30m1h", -EINVAL, 0},
		{"1s1s", -EINVAL, 0},
		{"1e3s", -EINVAL, 0},
		{"0x10s", -EINVAL, 0},
	};

	check(clew_parse_duration, cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_size(void **state)
{
	static const struct parse_case cases[] = {
		{"0", 0, 0},
		{"4096", 0, 4096},
		{"4k", 0, 4096},
		{"4K", 0, 4096},
		{"64KiB", 0, 65536},
		{"16 MiB", 0, 16777216},
		{"1.5MiB", 0, 1572864},
		{"2GB", 0, 2000000000},
		{"1t", 0, 1ull << 40},
		{"12b", 0, 12},
		{"8388607TiB", 0, 8388607ull << 40},
		{"8388608TiB", -ERANGE, 0},
		{"99999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"12x", -EINVAL, 0},
		{"k", -EINVAL, 0},
		{"1.5", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"4k4k", -EINVAL, 0},
		{"4 k i", -EINVAL, 0},
	};

	check(clew_parse_size, cases, sizeof(cases) / sizeof(cases[0]));
}

static int parse_port(const char *text, uint64_t *ret)
{
	return clew_parse_u64(text, 65535, ret);
}

static void test_number(void **state)
{
	static const struct parse_case cases[] = {
		{"0", 0, 0},	       {"65535", 0, 65535},
		{"65536", -ERANGE, 0}, {"18446744073709551616", -ERANGE, 0},
		{"", -EINVAL, 0},      {"+1", -EINVAL, 0},
		{"-1", -EINVAL, 0},    {" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},    {"0x1", -EINVAL, 0},
	};

	check(parse_port, cases, sizeof(cases) / sizeof(cases[0]));
}

static int parse_at(const char *text, uint64_t *ret)
{
	return clew_parse_time(text, 1790000000000000000ull, ret);
}

static void test_time(void **state)
{
	static const struct parse_case cases[] = {
		{"1970-01-01T00:00:00Z", 0, 0},
		{"2026-11-22T21:05:00Z", 0, 1795381500000000000ull},
		{"2026-11-22t21:05:00z", 0, 1795381500000000000ull},
		{"2026-11-22T21:05:00.5Z", 0, 1795381500500000000ull},
		{"2026-11-22T21:05:00.123456789123Z", 0, 1795381500123456789ull},
		{"2026-11-22T22:05:00+01:00", 0, 1795381500000000000ull},
		{"2026-11-22 15:35:00 -0530", 0, 1795381500000000000ull},
		/* Local time: the test's zone is UTC-2. */
		{"2026-11-22T19:05:00", 0, 1795381500000000000ull},
		{"2026-11-22 19:05", 0, 1795381500000000000ull},
		{"2026-11-22", 0, 1795312800000000000ull},
		{"2024-02-29", 0, 1709172000000000000ull},
		{"now", 0, 1790000000000000000ull},
		{"5m", 0, 1789999700000000000ull},
		{"0", 0, 1790000000000000000ull},
		{"2026-02-29", -ERANGE, 0},
		{"2026-13-01", -ERANGE, 0},
		{"2026-00-10", -ERANGE, 0},
		{"2026-11-22T24:00:00Z", -ERANGE, 0},
		{"1969-12-31T23:59:59Z", -ERANGE, 0},
		{"2300-01-01T00:00:00Z", -ERANGE, 0},
		{"200000d", -ERANGE, 0},
		{"30000d", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"2026", -EINVAL, 0},
		{"2026-11", -EINVAL, 0},
		{"2026-11-22T", -EINVAL, 0},
		{"2026-11-22T21", -EINVAL, 0},
		{"2026-11-22T21:05:", -EINVAL, 0},
		{"2026-11-22T21:05:00.Z", -EINVAL, 0},
		{"2026-11-22T21:05:00+1", -EINVAL, 0},
		{"2026-11-22T21:05:00+24:00", -EINVAL, 0},
		{"2026-11-22T21:05:00Zx", -EINVAL, 0},
		{"2026-11-22x", -EINVAL, 0},
		{"yesterday", -EINVAL, 0},
	};

	setenv("TZ", "TST+2", 1);
	tzset();
	check(parse_at, cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_print_duration(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{0, "0 ns"},
		{830, "830 ns"},
		{999, "999 ns"},
		{1000, "1.0 us"},
		{3249, "3.2 us"},
		{99940, "99.9 us"},
		{99960, "100 us"},
		{999499, "999 us"},
		{999500, "1.0 ms"},
		{250000000, "250 ms"},
		{999499999, "999 ms"},
		{999500000, "1.00 s"},
		{1234000000, "1.23 s"},
		{9994000000ull, "9.99 s"},
		{9995000000ull, "10.0 s"},
		{59940000000ull, "59.9 s"},
		{59960000000ull, "1 m 00 s"},
		{64000000000ull, "1 m 04 s"},
		{3599400000000ull, "59 m 59 s"},
		{3599600000000ull, "1 h 00 m"},
		{7500000000000ull, "2 h 05 m"},
		{86399000000000ull, "1 d 00 h"},
		{273600000000000ull, "3 d 04 h"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[CLEW_UNITS_TEXT];
		uint64_t back;

		assert_string_equal(clew_format_duration(cases[i].ns, text), cases[i].text);
		/* What is printed can be read, and is near. */
		assert_int_equal(clew_parse_duration(text, &back), 0);
		assert_true(back <= cases[i].ns + cases[i].ns / 20 &&
			    back + cases[i].ns / 20 >= cases[i].ns);
	}
}

static void test_print_size(void **state)
{
	char text[CLEW_UNITS_TEXT];

	assert_string_equal(clew_format_size(0, text), "0 B");
	assert_string_equal(clew_format_size(1023, text), "1023 B");
	assert_string_equal(clew_format_size(4096, text), "4.0 KiB");
	assert_string_equal(clew_format_size(1048575, text), "1.0 MiB");
	assert_string_equal(clew_format_size(16u << 20, text), "16.0 MiB");
	assert_string_equal(clew_format_size(300ull << 30, text), "300 GiB");
}

static void test_print_time(void **state)
{
	char text[CLEW_UNITS_TEXT];
	uint64_t back;

	assert_string_equal(clew_format_time(1795381500500999999ull, text),
			    "2026-11-22T21:05:00.500Z");
	assert_int_equal(clew_parse_time(text, 0, &back), 0);
	assert_int_equal(back, 1795381500500000000ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duration),       cmocka_unit_test(test_size),
		cmocka_unit_test(test_number),	       cmocka_unit_test(test_time),
		cmocka_unit_test(test_print_duration), cmocka_unit_test(test_print_size),
		cmocka_unit_test(test_print_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
