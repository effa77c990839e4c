/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which futexes are locks. See lock.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "causality/hash.h"

struct clew_causality;
struct ctx;
struct proc;

#define MAX_FUTEXES 65536 /* oldest first beyond it */

struct futex_key {
	uint64_t proc_start_ns;
	uint64_t key;
	uint64_t tgid;
};

struct futex {
	UT_hash_handle hh;
	struct futex *prev, *next; /* oldest first */
	struct futex_key key;
	uint32_t wakes, held;
	uint32_t told;	 /* wake-ups of owners by workers */
	uint32_t waiter; /* the thread that was woken first */
	bool several;	 /* others were, too */
	uint32_t tells,
		others; /* wake-ups of owners by who had read a response later than they; other ones */
};

/* W was woken on the futex at key; held: while a call of it, or of its waker, was out. */
void lock_learn(struct clew_causality *c, const struct ctx *w, uint64_t key, bool held);
/* A worker woke the owner w there, who waited for it or, if true is returned, perhaps for a lock not known yet. */
bool lock_waited(struct clew_causality *c, struct ctx *w, uint64_t key);
/* Several wait there, in a process where the owners of requests wait at addresses of their own. */
bool lock_shared(struct clew_causality *c, const struct proc *p, uint64_t key);
bool lock_is(struct clew_causality *c, const struct proc *p, uint64_t key);
/* An owner was woken on it; tells: as it is when another's call has ended. Is it such a futex? */
bool lock_tells(struct clew_causality *c, const struct proc *p, uint64_t key, bool tells);
/* One lock, or one condition variable. */
bool lock_same(uint64_t key, uint64_t other);
void lock_done(struct clew_causality *c);
