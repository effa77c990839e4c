/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a HotSpot VM's threads make their objects: see hotspot_heap.h.
 *
 * All of it stands in the tables that libjvm carries for debuggers (vmstructs.h), the same fields in 17 to 25:
 *
 *	Universe::_collectedHeap ─► CollectedHeap: _reserved, _total_collections, _is_gc_active
 *	JavaThread ─► Thread::_tlab: ThreadLocalAllocBuffer _start, _top, _end
 *	JVMFlag::flags: which collector it is
 *
 * ZGC has no reserved region (its addresses have colours), Shenandoah moves objects while Java runs, Epsilon
 * never moves any and is nobody's choice: not read.
 */
#include <string.h>

#include "capture/runtime/hotspot_heap.h"

#define MAX_FLAGS   4096
#define MAX_STRIDE  64
#define MAX_HEAP    (1ull << 44)
#define MIN_ROOMS   2
#define STACK_WORDS 1024 /* the oldest that are looked at */

enum slot {
	F_HEAP,
	F_RESERVED,
	F_COUNT,
	F_ACTIVE,
	F_REGION_START,
	F_REGION_WORDS,
	F_ROOM,
	F_ROOM_START,
	F_ROOM_TOP,
	F_ROOM_END,
	F_FLAGS,
	F_N_FLAGS,
	F_FLAG_NAME,
	F_FLAG_ADDR,
	F_MAX
};

static const struct vm_field_row rows[] = {
	{F_HEAP, "Universe", "_collectedHeap"},
	{F_RESERVED, "CollectedHeap", "_reserved"},
	{F_COUNT, "CollectedHeap", "_total_collections"},
	{F_ACTIVE, "CollectedHeap", "_is_gc_active"},
	{F_ACTIVE, "CollectedHeap", "_is_stw_gc_active"}, /* 23 and later */
	{F_REGION_START, "MemRegion", "_start"},
	{F_REGION_WORDS, "MemRegion", "_word_size"},
	{F_ROOM, "Thread", "_tlab"},
	{F_ROOM_START, "ThreadLocalAllocBuffer", "_start"},
	{F_ROOM_TOP, "ThreadLocalAllocBuffer", "_top"},
	{F_ROOM_END, "ThreadLocalAllocBuffer", "_end"},
	{F_FLAGS, "JVMFlag", "flags"},
	{F_N_FLAGS, "JVMFlag", "numFlags"},
	{F_FLAG_NAME, "JVMFlag", "_name"},
	{F_FLAG_ADDR, "JVMFlag", "_addr"},
};

#define N_ROWS (sizeof(rows) / sizeof(*rows))

static const char *const collectors[] = {"UseSerialGC", "UseParallelGC", "UseG1GC"};

struct flags {
	const struct runtime_proc *proc;
	uint64_t table, name, addr, stride;
};

/* The name of the i-th flag, empty if it has none that can be read. */
static void flag_name(const struct flags *f, uint64_t i, char *ret, size_t size)
{
	uint64_t at;

	memset(ret, 0, size);
	if (!runtime_read_u64(f->proc, f->table + i * f->stride + f->name, &at) && at)
		(void)runtime_read(f->proc, at, ret, size - 1);
}

/* The table does not say how long an entry is: as long as makes the first ones names. */
static bool find_stride(struct flags *f)
{
	for (f->stride = 16; f->stride <= MAX_STRIDE; f->stride += 8) {
		uint64_t i = 0;

		for (; i < 8; i++) {
			char name[32];

			flag_name(f, i, name, sizeof(name));
			if (name[0] < 'A' || name[0] > 'Z' || name[1] < 'A' || name[1] > 'z')
				break;
		}
		if (i == 8)
			return true;
	}
	return false;
}

static bool flag_is_set(const struct flags *f, uint64_t n, const char *name)
{
	for (uint64_t i = 0; i < n; i++) {
		char have[32];
		uint64_t at;
		uint8_t on;

		flag_name(f, i, have, sizeof(have));
		if (strcmp(have, name) != 0)
			continue;
		return !runtime_read_u64(f->proc, f->table + i * f->stride + f->addr, &at) &&
		       !runtime_read(f->proc, at, &on, sizeof(on)) && on == 1;
	}
	return false;
}

static bool collector_fits(const struct runtime_proc *p, const struct vm_field *field)
{
	struct flags f = {
		.proc = p, .name = field[F_FLAG_NAME].value, .addr = field[F_FLAG_ADDR].value};
	uint64_t n;

	if (runtime_read_u64(p, field[F_FLAGS].value, &f.table) ||
	    runtime_read_u64(p, field[F_N_FLAGS].value, &n) || !find_stride(&f))
		return false;
	if (n > MAX_FLAGS)
		return false;
	for (size_t i = 0; i < sizeof(collectors) / sizeof(*collectors); i++)
		if (flag_is_set(&f, n, collectors[i]))
			return true;
	return false;
}

static bool place_window(const struct vm_field *f, struct clew_heap *h, uint64_t heap)
{
	uint64_t count = f[F_COUNT].value, active = f[F_ACTIVE].value, low;
	uint64_t room = f[F_ROOM_START].value;

	low = (count < active ? count : active) & ~7ull;
	if (count - low > 60 || active - low > 63 || count & 3)
		return false;
	h->gc = heap + low;
	h->gc_count = count - low;
	h->gc_active = active - low;
	if (f[F_ROOM_TOP].value < room || f[F_ROOM_TOP].value - room > 56 ||
	    f[F_ROOM_END].value < room || f[F_ROOM_END].value - room > 56)
		return false;
	h->room = (int32_t)(f[F_ROOM].value + room);
	h->room_start = 0;
	h->room_top = f[F_ROOM_TOP].value - room;
	h->room_end = f[F_ROOM_END].value - room;
	return true;
}

int hotspot_heap_find(const struct runtime_proc *p, const struct vm_image *im,
		      const struct runtime_elf *elf, struct clew_heap *ret, const char **why_not)
{
	struct vm_field f[F_MAX] = {};
	struct clew_heap h = {};
	uint64_t heap, start, words;
	int err = vm_fields_exported(p, im, elf, rows, N_ROWS, f);

	*why_not = "this build does not tell where its heap is";
	for (int i = 0; !err && i < F_MAX; i++)
		if (!f[i].found)
			err = -ENOTSUP;
	if (err)
		return err;
	if (!collector_fits(p, f)) {
		*why_not = "its collector moves objects while Java runs";
		return -ENOTSUP;
	}
	if (runtime_read_u64(p, f[F_HEAP].value, &heap) || !heap ||
	    runtime_read_u64(p, heap + f[F_RESERVED].value + f[F_REGION_START].value, &start) ||
	    runtime_read_u64(p, heap + f[F_RESERVED].value + f[F_REGION_WORDS].value, &words) ||
	    !start || !words)
		return -EAGAIN;
	*why_not = "its heap does not look as this version's should";
	if (words > MAX_HEAP / 8 || start >> 47 || start & 7 || !place_window(f, &h, heap))
		return -EINVAL;
	h.start = start;
	h.bytes = words * 8;
	*ret = h;
	return 0;
}

/* {start, top, end} of a thread's room. A thread that has none yet, or a collection, leaves zeros. */
static int check_room(const struct runtime_proc *p, const struct clew_heap *h, uint64_t thread)
{
	uint64_t window[8], start, top, end;

	if (runtime_read(p, thread + h->room, window, sizeof(window)))
		return -EAGAIN;
	start = window[h->room_start / 8];
	top = window[h->room_top / 8];
	end = window[h->room_end / 8];
	if (!start)
		return top || end ? -EAGAIN : 0;
	if (start < h->start || end > h->start + h->bytes || top < start || top > end)
		return -EINVAL;
	return 1;
}

/* How many words below the end of its stack the first one is that names an object; 0: none does. */
static uint32_t first_object(const struct runtime_proc *p, const struct clew_heap *h,
			     const struct java_thread *t)
{
	uint64_t words[STACK_WORDS];

	if (t->stack_high - t->stack_low < sizeof(words) ||
	    runtime_read(p, t->stack_high - sizeof(words), words, sizeof(words)))
		return 0;
	for (uint32_t i = 0; i < STACK_WORDS; i++) {
		uint64_t w = words[STACK_WORDS - 1 - i];

		if (w - h->start < h->bytes && !(w & 7))
			return i + 1;
	}
	return 0;
}

int hotspot_heap_check(const struct runtime_proc *p, const struct java_thread *threads, size_t n,
		       int32_t step, struct clew_heap *heap)
{
	size_t rooms = 0;

	heap->thread = step;
	heap->skip = UINT32_MAX;
	for (size_t i = 0; i < n; i++) {
		const struct java_thread *t = &threads[i];
		int64_t stack = (int64_t)(t->stack_high - t->fsbase);
		int r = check_room(p, heap, t->addr);
		uint32_t first = first_object(p, heap, t);

		if (r == -EINVAL || stack < 0 || stack > 1 << 20)
			return -EINVAL;
		if (i && stack != heap->stack)
			return -EINVAL;
		heap->stack = (int32_t)stack;
		if (first && first - 1 < heap->skip)
			heap->skip = first - 1;
		rooms += r > 0;
	}
	return rooms >= MIN_ROOMS && heap->skip < STACK_WORDS ? 0 : -EINVAL;
}
