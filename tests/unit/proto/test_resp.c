/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a message of RESP ends: for whole inputs, and for the same in pieces of one byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>

#include "proto/resp.h"

#define BAD  -EBADMSG
#define MORE -EAGAIN

struct resp_case {
	const char *in;
	ssize_t want; /* bytes of the first message; MORE: it goes on; BAD */
};

static const struct resp_case replies[] = {
	{"+OK\r\n:1\r\n", 5},
	{"-ERR no\r\n", 9},
	{"+\r\n", 3},
	{"$5\r\nhello\r\nx", 11},
	{"$0\r\n\r\n", 6},
	{"$-1\r\n", 5},
	{"*-1\r\n", 5},
	{"*0\r\n+", 4},
	{"*2\r\n$1\r\na\r\n:7\r\n", 15},
	{"*2\r\n*1\r\n+a\r\n*0\r\n", 16},
	{"%1\r\n+k\r\n*1\r\n#t\r\n", 16},
	{"|1\r\n+a\r\n+b\r\n:1\r\n", 16},
	{"~1\r\n_\r\n", 7},
	{"=5\r\ntxt:a\r\n", 11},
	{"!2\r\nno\r\n", 8},
	{",1.5\r\n", 6},
	{"(123456789012345678901\r\n", 24},
	{">1\r\n+x\r\n", 8},
	{"", MORE},
	{"$5", MORE},
	{"$5\r\nhello\r", MORE},
	{"*3\r\n:1\r\n:2\r\n", MORE},
	{"hello\r\n", BAD},
	{"+OK\rx", BAD},
	{"$\r\n", BAD},
	{"$x\r\n", BAD},
	{"$1-\r\n", BAD},
	{"$1234567890123456789\r\n", BAD},
	{"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", BAD},
	{"*9999999999\r\n", BAD},
};

static const struct resp_case commands[] = {
	{"*1\r\n$4\r\nPING\r\n*1", 14},
	{"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", 19},
	{"*2\r\n$3\r\nGET\r\n", MORE},
	{"PING\r\n", BAD},
	{"*0\r\n", BAD},
	{"*-1\r\n", BAD},
	{"*1\r\n:1\r\n", BAD},
	{"*1\r\n$-1\r\n", BAD},
	{"$1\r\na\r\n", BAD},
};

static ssize_t take_pieces(const char *in, size_t n, size_t piece, bool command)
{
	struct clew_resp r;
	size_t at = 0;

	clew_resp_begin(&r, command);
	while (at < n && !r.whole) {
		ssize_t took =
			clew_resp_take(&r, slice_of(in + at, n - at < piece ? n - at : piece));

		if (took < 0)
			return took;
		assert_true(took > 0);
		at += (size_t)took;
	}
	return r.whole ? (ssize_t)at : -EAGAIN;
}

static void check(const struct resp_case *cases, size_t n, bool command)
{
	for (const struct resp_case *k = cases; k < cases + n; k++) {
		assert_int_equal(take_pieces(k->in, strlen(k->in), SIZE_MAX, command), k->want);
		assert_int_equal(take_pieces(k->in, strlen(k->in), 1, command), k->want);
	}
}

static void test_ends(void **state)
{
	check(replies, sizeof(replies) / sizeof(replies[0]), false);
	check(commands, sizeof(commands) / sizeof(commands[0]), true);
}

static void test_pass(void **state)
{
	struct clew_resp r;

	clew_resp_begin(&r, false);
	assert_int_equal(clew_resp_pass(&r, 5), 0); /* a line of unknown length */
	assert_int_equal(clew_resp_take(&r, SLICE("*2\r\n$10\r\nab")), 11);
	assert_int_equal(clew_resp_pass(&r, 4), 4);
	assert_int_equal(clew_resp_pass(&r, 50), 6); /* what follows is not known */
	assert_false(r.whole);
	assert_int_equal(clew_resp_take(&r, SLICE("$3\r\n")), 4);
	assert_int_equal(clew_resp_pass(&r, 5), 5);
	assert_true(r.whole);
}

static void test_is_command(void **state)
{
	assert_true(clew_resp_is_command(SLICE("*2\r\n$3\r\n")));
	assert_true(clew_resp_is_command(SLICE("*1\r\n$4\r\nPING\r\n*1\r\n")));
	assert_false(clew_resp_is_command(SLICE("*2\r\n$3\r")));
	assert_false(clew_resp_is_command(SLICE("*2\r\n")));
	assert_false(clew_resp_is_command(SLICE("")));
	assert_false(clew_resp_is_command(SLICE("*2\r\n:3\r\n")));
	assert_false(clew_resp_is_command(SLICE("* text\r\nmore\r\n")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_pass),
		cmocka_unit_test(test_is_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
