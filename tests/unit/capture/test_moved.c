/* SPDX-License-Identifier: Apache-2.0 */
/* What a collection moved: this program has a heap of its own, as HotSpot would leave it, and is looked at as a process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "capture/runtime/hotspot_moved.h"
#include "capture/runtime/proc.h"

#define ROOM  (16ull << 20)
#define ROOMS 5u
#define CLASS 0x1234u

static uint8_t collector[64] __attribute__((aligned(8)));

/* An object of room i went to the heap's last part. */
static void move_one(uint8_t *heap, uint32_t i)
{
	uint64_t *from = (uint64_t *)(void *)(heap + i * ROOM + 4096);
	uint64_t *to = (uint64_t *)(void *)(heap + ROOMS * ROOM + i * 64ull);

	to[0] = 1;
	from[1] = to[1] = CLASS;
	from[0] = (uint64_t)(uintptr_t)to | 3;
}

static uint32_t count_moved(const struct clew_buf *out)
{
	uint32_t n = 0;

	for (size_t at = 0; at < out->len;) {
		const struct clew_rec_moved *m = (const void *)(out->data + at);

		n += m->n_moved;
		at += m->hdr.len;
	}
	return n;
}

static void test_more_rooms_than_are_read(void **state)
{
	size_t bytes = ROOMS * ROOM + 4096;
	uint8_t *heap = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct clew_heap h = {.start = (uint64_t)(uintptr_t)heap,
			      .bytes = bytes,
			      .gc = (uint64_t)(uintptr_t)collector,
			      .gc_count = 0,
			      .gc_active = 8};
	struct runtime_proc self = {.tgid = (uint32_t)getpid()};
	struct moved_rooms *rooms = calloc(1, sizeof(*rooms) + ROOMS * sizeof(*rooms->room));
	struct clew_buf out = {0};

	(void)state;
	assert_true(heap != MAP_FAILED && rooms);
	rooms->tgid = self.tgid;
	for (uint32_t n = ROOMS - 1; n <= ROOMS; n++) {
		uint32_t left_out = 77;

		rooms->n = n;
		for (uint32_t i = 0; i < n; i++) {
			uint64_t start = h.start + i * ROOM;

			move_one(heap, i);
			rooms->room[i] = (struct moved_room){start, start + ROOM, start + ROOM};
		}
		clew_buf_clear(&out);
		assert_int_equal(moved_find(&self, &h, rooms, &out, &left_out), 0);
		assert_int_equal(count_moved(&out), ROOMS - 1);
		assert_int_equal(left_out, n - (ROOMS - 1));
	}
	clew_buf_done(&out);
	free(rooms);
	munmap(heap, bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_more_rooms_than_are_read)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
