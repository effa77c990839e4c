/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reasoning of the BPF side, compiled natively: bpf/pure.bpf.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/pure.bpf.h"

static bool glob(const char *pattern, const char *text)
{
	struct clew_glob_run g = {.p_len = strlen(pattern), .t_len = strlen(text)};

	for (int i = 0; i < CLEW_GLOB_STEPS; i++)
		if (clew_glob_step(&g, pattern[g.p], text[g.t]))
			return g.matched;
	return false;
}

static void test_glob(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} rows[] = {
		{"nginx", "nginx", true},
		{"nginx", "nginx2", false},
		{"nginx", "ngin", false},
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "/any/thing", true},
		{"python3*", "python3.11", true},
		{"python3*", "python3", true},
		{"*python3", "/usr/bin/python3", true},
		{"/usr/*/python?", "/usr/bin/python3", true},
		{"/usr/*/python?", "/usr/bin/python", false},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-b-b-d", false},
		{"*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
		{"**", "x", true},
		{"?", "", false},
		{"??", "ab", true},
		{"a?c", "abc", true},
		{"*.py", "a.py.pyc", false},
		{"*.py", "a.pyc.py", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (glob(rows[i].pattern, rows[i].text) != rows[i].matches)
			fail_msg("%s against %s", rows[i].pattern, rows[i].text);
}

static void test_glob_ends(void **state)
{
	char pattern[128], text[256];
	struct clew_glob_run g = {.p_len = sizeof(pattern), .t_len = sizeof(text)};
	int steps = 0;

	/* The worst case runs out of steps or ends; it never reads past either. */
	memset(pattern, 'a', sizeof(pattern));
	pattern[0] = '*';
	memset(text, 'a', sizeof(text));
	pattern[sizeof(pattern) - 1] = 'b';
	while (steps++ < 1000000) {
		assert_true(g.p <= sizeof(pattern) && g.t <= sizeof(text));
		if (clew_glob_step(&g, g.p < g.p_len ? pattern[g.p] : 0,
				   g.t < g.t_len ? text[g.t] : 0))
			break;
	}
	assert_false(g.matched);
	assert_true(steps < 1000000);
}

static void test_extend(void **state)
{
	static const uint64_t truths[] = {
		0,	    1,		 4095,	      0x7fffffff,  0x80000000,
		0xffffffff, 0x100000000, 0x100000001, 0x1ffffffff, 0x123456789abcd};
	static const int64_t errors[] = {0, 1, -1, 1000000, -1000000, 0x7ffffff0, -0x7ffffff0};

	for (size_t i = 0; i < sizeof(truths) / sizeof(*truths); i++)
		for (size_t j = 0; j < sizeof(errors) / sizeof(*errors); j++)
			assert_int_equal(
				clew_extend_offset((uint32_t)truths[i], truths[i] + errors[j]),
				truths[i]);
}

static void test_active(void **state)
{
	/* 1000 bytes sent, 300 of them again, 200 in flight; sequence numbers wrap. */
	uint32_t una = 0xffffff00, nxt = una + 200;

	assert_int_equal(clew_tcp_active(801, 1300, 300, nxt, una), 1);
	assert_int_equal(clew_tcp_active(800, 1300, 300, nxt, una), 0);
	/* FIN sent or acknowledged, socket repaired: not to be told. */
	assert_int_equal(clew_tcp_active(803, 1300, 300, nxt, una), -1);
	assert_int_equal(clew_tcp_active(799, 1300, 300, nxt, una), -1);
	/* nothing sent yet */
	assert_int_equal(clew_tcp_active(1, 0, 0, una, una), 1);
	assert_int_equal(clew_tcp_active(0, 0, 0, una, una), 0);
	/* more than 4 GiB */
	assert_int_equal(clew_tcp_active(5000000001, 5000000000, 0, una, una), 1);
}

static void test_classify(void **state)
{
	/* Numbers of asm/unistd_64.h; a reader's buffer is never read for a send, nor the reverse.
	 */
	static const int rx[] = {0, 45, 19, 327, 47}, tx[] = {1, 44, 20, 328, 46};
	static const enum clew_call kinds[] = {CLEW_CALL_BUF, CLEW_CALL_BUF, CLEW_CALL_IOV,
					       CLEW_CALL_IOV, CLEW_CALL_MSG};

	for (int i = 0; i < 5; i++) {
		assert_int_equal(clew_classify(rx[i], false), kinds[i]);
		assert_int_equal(clew_classify(tx[i], true), kinds[i]);
		assert_int_equal(clew_classify(rx[i], true), CLEW_CALL_OTHER);
		assert_int_equal(clew_classify(tx[i], false), CLEW_CALL_OTHER);
	}
	assert_int_equal(clew_classify(40, true), CLEW_CALL_SPLICE);
	assert_int_equal(clew_classify(275, false), CLEW_CALL_SPLICE);
	assert_int_equal(clew_classify(426, true), CLEW_CALL_URING);
	assert_int_equal(clew_classify(299, false), CLEW_CALL_MMSG);
	assert_int_equal(clew_classify(307, true), CLEW_CALL_MMSG);
	assert_int_equal(clew_classify((uint64_t)-1, true), CLEW_CALL_OTHER);
	assert_int_equal(clew_classify(35, false), CLEW_CALL_OTHER);
}

static void test_futex(void **state)
{
	for (unsigned int op = 0; op < 14; op++) {
		bool wakes = op == 1 || op == 3 || op == 4 || op == 5 || op == 7 || op == 10;

		assert_int_equal(clew_futex_wakes(op), wakes);
		assert_int_equal(clew_futex_wakes(op | 128), wakes); /* FUTEX_PRIVATE_FLAG */
		assert_int_equal(clew_futex_wakes(op | 256), wakes); /* FUTEX_CLOCK_REALTIME */
	}
}

static void test_run(void **state)
{
	struct clew_run r = {0};
	bool first;

	assert_int_equal(clew_run_take(&r, 0, 30, 64, &first), 30);
	assert_true(first);
	assert_int_equal(clew_run_take(&r, 0, 30, 64, &first), 30);
	assert_false(first);
	assert_int_equal(clew_run_take(&r, 0, 30, 64, &first), 4);
	assert_int_equal(clew_run_take(&r, 0, 30, 64, &first), 0);
	assert_int_equal(clew_run_take(&r, 1, 100, 64, &first), 64);
	assert_true(first);
	assert_int_equal(clew_run_take(&r, 0, 1, 64, &first), 1);
	assert_true(first);
	assert_int_equal(clew_run_take(&r, 1, 10, 0, &first), 0);
	assert_true(first);
}

/* A thread that has sent n bytes, from at on, and whose hook has not run yet. */
struct sender {
	uint64_t at;
	uint32_t n; /* 0: none */
};

/*
 * Threads send to one connection at once, and their hooks run in any order: no place that is told is wrong, and
 * where one thread sends after the other, all are told. The stream passes 4 GiB on its way.
 */
static void test_place(void **state)
{
	__u64 told = 0xfffff000, before;
	uint64_t end = told, seed = 1;
	struct sender senders[4] = {{0}};
	unsigned int pending = 0, placed = 0, alone = 0, alone_placed = 0;

	for (int i = 0; i < 200000; i++) {
		struct sender *s = &senders[(seed >> 33) % 4];
		bool at_once = seed >> 63; /* half of the time they wait for each other */

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		if (!s->n && (!pending || at_once)) {
			*s = (struct sender){.at = end, .n = 1 + (seed >> 40) % 3};
			end += s->n;
			pending++;
		} else if (s->n) {
			bool by_itself = pending == 1 && !(told & CLEW_TOLD_ASTRAY);

			before = told;
			alone += by_itself;
			if (clew_place(told, (uint32_t)end, s->n, false, &told)) {
				assert_int_equal(before, s->at);
				alone_placed += by_itself;
				placed++;
			}
			s->n = 0;
			pending--;
			assert_true(pending || told == end);
		}
	}
	assert_int_equal(alone, alone_placed);
	assert_true(placed > 5000 && end > 0x100000000);
}

/* Somebody sends who never tells: what comes after is found again, and one who tells too late is not believed. */
static void test_place_again(void **state)
{
	__u64 told = 100;

	assert_false(clew_place(told, 160, 10, false, &told)); /* 50 of nobody */
	assert_int_equal(told, 110 | CLEW_TOLD_ASTRAY);
	assert_false(clew_place(told, 170, 10, true, &told));
	assert_int_equal(told, 170);
	assert_true(clew_place(told, 175, 5, false, &told));
	assert_false(clew_place(told, 175, 50, false, &told)); /* they were somebody's */
	assert_int_equal(told, 175);
	assert_true(clew_place(told, 180, 5, false, &told));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glob),	    cmocka_unit_test(test_glob_ends),
		cmocka_unit_test(test_extend),	    cmocka_unit_test(test_active),
		cmocka_unit_test(test_classify),    cmocka_unit_test(test_futex),
		cmocka_unit_test(test_run),	    cmocka_unit_test(test_place),
		cmocka_unit_test(test_place_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
