/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a HotSpot VM's collections moved: see hotspot_moved.c.
 */
#pragma once

#include "base/buf.h"
#include "capture/runtime/runtime.h"

struct moved_watch;

/* After a collection: rooms that were known to be filled before it, the newest first. */
struct moved_rooms {
	uint64_t proc_start_ns;
	uint32_t tgid, collections, n;
	struct moved_room {
		uint64_t start, top, end;
	} room[];
};

/**
 * moved_note() - a heap record is on its way. Where it is the first of its process after a collection, and the rooms of
 * before are known: these, which the caller frees. Else NULL.
 */
struct moved_rooms *moved_note(struct moved_watch **all, const struct clew_rec_heap *h);
void moved_forget(struct moved_watch **all);

/**
 * moved_find() - read what the collection left in the rooms, and append clew_rec_moved records to out. 0; -ESTALE:
 * there was another collection since; -errno. ret_left_out: rooms that were not looked at, as the limits were reached.
 */
int moved_find(const struct runtime_proc *p, const struct clew_heap *h,
	       const struct moved_rooms *rooms, struct clew_buf *out, uint32_t *ret_left_out);
