/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time by which hours are too old.
 *
 * A machine's clock may be wrong for a while: were it believed at once, a jump of a year would drop everything. So a
 * clock that has gone ahead of what can be is believed when clew has run with it for a day; until then time goes on
 * from where it was. What can be: the machine's running time while clew runs, a week where it was closed. A clock that
 * went back is believed at once: it drops nothing.
 *
 *	believed ──────────────────────┬─ ─ ─ ─ ─ goes on ─ ─ ─ ─┐
 *	the clock                      └─ jumps ─────────────────┴── a day later ──►
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RETENTION_JUMP_NS    (3600ull * 1000000000)
#define RETENTION_CLOSED_NS  (7 * 24 * 3600ull * 1000000000)
#define RETENTION_BELIEVE_NS (24 * 3600ull * 1000000000)

struct retention_clock {
	uint64_t believed_ns; /* Unix time; 0: none yet */
	uint64_t boot_ns;     /* CLOCK_BOOTTIME then; 0: of an earlier run */
	uint64_t waited_ns;   /* with a clock that has gone ahead */
};

/** retention_now() - the Unix time to go by, from what the clocks show (CLOCK_REALTIME, CLOCK_BOOTTIME). ret_waits: the
 * clock has gone ahead and is not believed. */
uint64_t retention_now(struct retention_clock *c, uint64_t wall_ns, uint64_t boot_ns,
		       bool *ret_waits);
