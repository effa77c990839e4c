/* SPDX-License-Identifier: Apache-2.0 */
/* Halves of calls: against a plain list, with keys that want the same places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/halves.h"

#define MAX 64u

struct plain {
	uint64_t keys[MAX];
	uint32_t n;
};

static uint32_t plain_at(const struct plain *p, uint64_t key)
{
	uint32_t i = 0;

	while (i < p->n && p->keys[i] != key)
		i++;
	return i;
}

static void plain_remove(struct plain *p, uint32_t i)
{
	memmove(&p->keys[i], &p->keys[i + 1], (--p->n - i) * sizeof(*p->keys));
}

static void test_against_a_list(void **state)
{
	struct plain p = {.n = 0};
	unsigned int seed = 7;
	struct halves t;

	assert_int_equal(halves_init(&t, MAX), 0);
	for (int i = 0; i < 200000; i++) {
		/* Few homes, some of them at the table's end: long chains that go round. */
		uint64_t key = (uint64_t)(120 + rand_r(&seed) % 10) << 1 |
			       (uint64_t)(rand_r(&seed) % 20) << 40 | 1;
		uint32_t at = plain_at(&p, key);
		struct half *h = halves_find(&t, key);

		assert_int_equal(h != NULL, at < p.n);
		if (h) {
			assert_int_equal(h->key, key);
			assert_int_equal(h->duration_ns, key * 3);
			halves_remove(&t, h);
			plain_remove(&p, at);
		} else {
			if (p.n == MAX) {
				halves_remove(&t, halves_oldest(&t));
				plain_remove(&p, 0);
			}
			halves_add(&t, &(struct half){.key = key, .duration_ns = key * 3});
			p.keys[p.n++] = key;
		}
		assert_int_equal(t.n, p.n);
		h = halves_oldest(&t);
		assert_int_equal(h ? h->key : 0, p.n ? p.keys[0] : 0);
	}
	halves_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
