/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In which stretch was the object at an address made? Of one process, since its last collection. See heap_rooms.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct clew_causality;
struct heap_rooms;
struct heap_stretch;
struct proc;

/* The rooms of p after so many collections; NULL where there were more since, or where memory is short. */
struct heap_rooms *heap_rooms_of(struct clew_causality *c, struct proc *p, uint32_t collections);
/* What lies in [from, to) was made in the stretch, which is referenced. Nothing happens where from is 0. */
void heap_rooms_add(struct clew_causality *c, struct heap_rooms *r, uint64_t from, uint64_t to,
		    struct heap_stretch *of);
/* The stretch's piece that begins at from, if there is one, ends at to. */
void heap_rooms_end(struct heap_rooms *r, uint64_t from, uint64_t to,
		    const struct heap_stretch *of);
/* The last collection moved an object. */
void heap_rooms_moved(struct clew_causality *c, struct heap_rooms *r, uint64_t from, uint64_t to);
/* r may be NULL. NULL: not known. Borrowed. */
struct heap_stretch *heap_rooms_at(struct heap_rooms *r, uint64_t addr);
/* Was there, perhaps, an object at this place that the last collection moved away? */
bool heap_rooms_left(struct heap_rooms *r, uint64_t addr);
/* How many collections there had been. */
uint32_t heap_rooms_collections(const struct heap_rooms *r);
void heap_forget_proc(struct proc *p);
