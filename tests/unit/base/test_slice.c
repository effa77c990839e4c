/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed bytes: what they say is a number, and which of two comes first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/slice.h"

static void test_number(void **state)
{
	static const struct {
		const char *text;
		bool is;
		double value;
	} cases[] = {
		{"0", true, 0},
		{"-12.5e1", true, -125},
		{"18446744073709551616", true, 18446744073709551616.0},
		{"", false, 0},
		{"1x", false, 0},
		{"1 ", false, 0},
		{"x", false, 0},
		{"nan", false, 0},
		{"-inf", false, 0},
		{"1e999", false, 0},
		/* 63 digits, and one more than there is room for */
		{"000000000000000000000000000000000000000000000000000000000000007", true, 7},
		{"0000000000000000000000000000000000000000000000000000000000000007", false, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		double v = -1;

		if (slice_number(slice_str(cases[i].text), &v) != cases[i].is ||
		    v != (cases[i].is ? cases[i].value : -1))
			fail_msg("'%s': %g", cases[i].text, v);
	}
}

static void test_number_ends_with_the_slice(void **state)
{
	double v;

	assert_true(slice_number(slice_of("1234", 2), &v));
	assert_true(v > 11.5 && v < 12.5);
	assert_false(slice_number(slice_of("1\0002", 3), &v));
}

static void test_order(void **state)
{
	assert_true(slice_order(SLICE("a"), SLICE("b")) < 0);
	assert_true(slice_order(SLICE("b"), SLICE("a")) > 0);
	assert_true(slice_order(SLICE("a"), SLICE("ab")) < 0);
	assert_true(slice_order(SLICE(""), SLICE("a")) < 0);
	assert_int_equal(slice_order(SLICE("ab"), SLICE("ab")), 0);
	assert_int_equal(slice_order(slice_str(NULL), SLICE("")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_number_ends_with_the_slice),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
