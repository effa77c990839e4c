/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where objects went in a collection.
 *
 *	a room before it:   │ A │ B │ C │ D │         what is alive is copied, and where to is put into the
 *	                      │       └───────► D'    first word of what was copied: the address, its low bits 011
 *	                      └───────────────► A'
 *
 * Serial, Parallel and G1 leave the room as it is until new objects are made in it; that begins at the other end of the
 * heap's young part, and it takes some time until it comes to the rooms that were filled last. So when the first
 * heap record after a collection comes by, the rooms that were told of before it are read: a word that looks
 * so, and whose object has the same class (its second word) as what it points to, tells of a move.
 *
 *	a room:   start │ A │ B │ C │ filler ................ │      top is what was told last; C came later
 *	                        top └─ 1, class, length       end
 *
 * Only what had been filled is looked at, as behind it may stand what earlier collections left. Before a collection the
 * VM puts an array over the rest of each room: it begins where the last object ends, and ends where the room does.
 * Where none is found, objects behind top are not known.
 *
 * Source: HotSpot's markWord (marked_value 3), the same in 17 to 25. With compact object headers the class is
 * elsewhere: nothing is found then.
 *
 * Limits: MAX_ROOMS a process, the oldest goes; MAX_BYTES are read after a collection, MAX_MOVED told: the rooms behind
 * are counted (struct clew_capture_stats, heap_rooms_unread).
 */
#include <stdlib.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "capture/runtime/hotspot_moved.h"

#define MAX_WATCHED 64
#define MAX_ROOMS   4096
#define MAX_BYTES   (64u << 20)
#define MAX_MOVED   65536
#define READ_BYTES  (256u << 10)
#define BATCH	    512 /* moves that are checked, and told, at a time */
#define MARK_MASK   7ull
#define MARKED	    3ull
#define UNLOCKED    1ull
#define RESERVE	    1024 /* bytes at the end of a room, behind what is told as its end */

struct room {
	UT_hash_handle hh; /* by where it starts; in the order in which they were told of last */
	uint64_t start, top, end;
};

struct moved_watch {
	UT_hash_handle hh; /* by tgid */
	uint32_t tgid, collections;
	uint64_t proc_start_ns;
	struct room *rooms;
};

/* ---- which rooms ---- */

static void forget_room(struct moved_watch *w, struct room *r)
{
	HASH_DEL(w->rooms, r);
	free(r);
}

static void forget_rooms(struct moved_watch *w)
{
	while (w->rooms)
		forget_room(w, w->rooms);
}

static void forget_watch(struct moved_watch **all, struct moved_watch *w)
{
	forget_rooms(w);
	HASH_DEL(*all, w);
	free(w);
}

static struct moved_watch *watch_of(struct moved_watch **all, const struct clew_rec_heap *h)
{
	struct moved_watch *w;

	HASH_FIND(hh, *all, &h->tgid, sizeof(h->tgid), w);
	if (w && w->proc_start_ns == h->proc_start_ns)
		return w;
	if (w || HASH_COUNT(*all) >= MAX_WATCHED)
		forget_watch(all, w ? w : *all);
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->tgid = h->tgid;
	w->proc_start_ns = h->proc_start_ns;
	w->collections = h->collections;
	HASH_ADD(hh, *all, tgid, sizeof(w->tgid), w);
	if (!w->hh.tbl) {
		free(w);
		return NULL;
	}
	return w;
}

static void note_room(struct moved_watch *w, const struct clew_rec_heap *h)
{
	struct room *r;

	if (!h->room_start || h->room_top <= h->room_start)
		return;
	HASH_FIND(hh, w->rooms, &h->room_start, sizeof(h->room_start), r);
	if (r) {
		HASH_DEL(w->rooms, r);
	} else {
		if (HASH_COUNT(w->rooms) >= MAX_ROOMS)
			forget_room(w, w->rooms);
		r = calloc(1, sizeof(*r));
	}
	if (!r)
		return;
	r->start = h->room_start;
	r->top = h->room_top > r->top ? h->room_top : r->top;
	r->end = h->room_end;
	HASH_ADD(hh, w->rooms, start, sizeof(r->start), r);
	if (!r->hh.tbl)
		free(r);
}

static struct moved_rooms *rooms_before(const struct moved_watch *w, uint32_t collections)
{
	uint32_t n = HASH_COUNT(w->rooms);
	struct moved_rooms *all = malloc(sizeof(*all) + n * sizeof(*all->room));

	if (!all)
		return NULL;
	all->tgid = w->tgid;
	all->proc_start_ns = w->proc_start_ns;
	all->collections = collections;
	all->n = n;
	for (const struct room *r = w->rooms; r; r = r->hh.next)
		all->room[--n] = (struct moved_room){r->start, r->top, r->end};
	return all;
}

struct moved_rooms *moved_note(struct moved_watch **all, const struct clew_rec_heap *h)
{
	struct moved_watch *w = watch_of(all, h);
	struct moved_rooms *before = NULL;
	int32_t later = w ? (int32_t)(h->collections - w->collections) : -1;

	if (later < 0)
		return NULL;
	if (later > 0) {
		if (later == 1 && w->rooms)
			before = rooms_before(w, h->collections);
		w->collections = h->collections;
		forget_rooms(w);
	}
	note_room(w, h);
	return before;
}

void moved_forget(struct moved_watch **all)
{
	while (*all)
		forget_watch(all, *all);
}

/* ---- what was moved ---- */

struct find {
	const struct runtime_proc *proc;
	const struct clew_heap *heap;
	const struct moved_rooms *rooms;
	struct clew_buf *out;
	uint32_t n, n_told;
	uint64_t from[BATCH], to[BATCH];
	uint32_t class[BATCH];
	uint64_t words[READ_BYTES / 8];
};

static int tell(struct find *f, uint32_t (*pairs)[2], uint32_t n)
{
	struct clew_rec_moved m = {
		.hdr = {sizeof(m) + n * sizeof(*pairs), CLEW_REC_MOVED, 0},
		.ts_ns = clew_mono_ns(),
		.proc_start_ns = f->rooms->proc_start_ns,
		.base = f->heap->start,
		.tgid = f->rooms->tgid,
		.collections = f->rooms->collections,
		.n_moved = n,
		.hdr_bytes = sizeof(m),
	};
	int err = n ? clew_buf_add(f->out, &m, sizeof(m)) : 0;

	f->n_told += n;
	return err || !n ? err : clew_buf_add(f->out, pairs, n * sizeof(*pairs));
}

/* Those of the batch whose class is the same where they went. */
static int tell_batch(struct find *f)
{
	uint32_t class[BATCH], pairs[BATCH][2], n = 0;
	struct iovec remote[BATCH];

	for (uint32_t i = 0; i < f->n; i++)
		remote[i] = (struct iovec){(void *)(f->to[i] + 8), sizeof(*class)};
	for (uint32_t at = 0; at < f->n; at++) { /* ends early where one cannot be read */
		struct iovec local = {class + at, (f->n - at) * sizeof(*class)};
		ssize_t got = process_vm_readv(f->proc->tgid, &local, 1, remote + at, f->n - at, 0);
		uint32_t to = at + (got > 0 ? (uint32_t)got / sizeof(*class) : 0);

		for (; at < to; at++) {
			if (class[at] != f->class[at])
				continue;
			pairs[n][0] = (uint32_t)((f->from[at] - f->heap->start) / 8);
			pairs[n++][1] = (uint32_t)((f->to[at] - f->heap->start) / 8);
		}
	}
	f->n = 0;
	return tell(f, pairs, n);
}

static int look_through(struct find *f, uint64_t from, size_t n)
{
	int err = 0;

	for (size_t i = 0; !err && i + 1 < n; i++) {
		uint64_t to = f->words[i] & ~MARK_MASK;

		if ((f->words[i] & MARK_MASK) != MARKED || to - f->heap->start >= f->heap->bytes)
			continue;
		f->from[f->n] = from + i * 8;
		f->to[f->n] = to;
		f->class[f->n] = (uint32_t)f->words[i + 1];
		if (++f->n == BATCH)
			err = tell_batch(f);
	}
	return err;
}

static bool still_the_same(const struct find *f)
{
	uint8_t window[64];
	uint32_t count;

	if (runtime_read(f->proc, f->heap->gc, window, sizeof(window)))
		return false;
	memcpy(&count, window + f->heap->gc_count, sizeof(count));
	return count == f->rooms->collections && !window[f->heap->gc_active];
}

/* Is it an array that lies there, and that ends where the room does? Its length follows the class, of 4 bytes or 8. */
static bool is_filler(const uint64_t *w, uint64_t at, uint64_t end)
{
	const uint64_t length[] = {w[1] >> 32, w[2] & UINT32_MAX};
	const uint64_t head[] = {16, 24};

	for (int i = 0; w[0] == UNLOCKED && i < 2; i++)
		if (at + head[i] + length[i] * 4 - end <= RESERVE)
			return true;
	return false;
}

/* Where what was filled ends; top, where that is not known. */
static uint64_t find_end(struct find *f, const struct moved_room *room)
{
	for (uint64_t at = room->top; at + 24 <= room->end;) {
		size_t n = room->end - at < READ_BYTES ? room->end - at : READ_BYTES;

		if (runtime_read(f->proc, at, f->words, n))
			break;
		for (size_t i = 0; i + 3 <= n / 8; i++)
			if (is_filler(f->words + i, at + i * 8, room->end))
				return at + i * 8;
		if (n < READ_BYTES)
			break;
		at += n - 16;
	}
	return room->top;
}

static int look_at(struct find *f, const struct moved_room *room)
{
	uint64_t at = room->start, end = find_end(f, room);
	int err = 0;

	while (!err && at + 16 <= end) {
		size_t n = end - at < READ_BYTES ? end - at : READ_BYTES;

		if (runtime_read(f->proc, at, f->words, n))
			return 0; /* given back to the system */
		err = look_through(f, at, n / 8);
		if (n < READ_BYTES)
			break;
		at += n - 8;
	}
	return err;
}

int moved_find(const struct runtime_proc *p, const struct clew_heap *h,
	       const struct moved_rooms *rooms, struct clew_buf *out, uint32_t *ret_left_out)
{
	struct find *f = calloc(1, sizeof(*f));
	uint64_t bytes = 0;
	uint32_t i = 0;
	int err = 0;

	if (!f)
		return -ENOMEM;
	f->proc = p;
	f->heap = h;
	f->rooms = rooms;
	f->out = out;
	if (h->bytes > 8ull << 32)
		err = -ENOTSUP;
	for (; !err && i < rooms->n && f->n_told < MAX_MOVED; i++) {
		bytes += rooms->room[i].end - rooms->room[i].start;
		if (bytes > MAX_BYTES)
			break;
		err = look_at(f, &rooms->room[i]);
	}
	if (!err)
		err = tell_batch(f);
	if (!err && !still_the_same(f))
		err = -ESTALE;
	if (!err)
		*ret_left_out = rooms->n - i;
	free(f);
	return err;
}
