/* SPDX-License-Identifier: Apache-2.0 */
#include "store/retention_clock.h"

uint64_t retention_now(struct retention_clock *c, uint64_t wall_ns, uint64_t boot_ns,
		       bool *ret_waits)
{
	uint64_t ran_ns = c->boot_ns ? boot_ns - c->boot_ns : 0;
	uint64_t may_ns = c->boot_ns ? RETENTION_JUMP_NS : RETENTION_CLOSED_NS;
	bool ahead = c->believed_ns && wall_ns > c->believed_ns + ran_ns + may_ns;

	c->boot_ns = boot_ns;
	c->waited_ns = ahead ? c->waited_ns + ran_ns : 0;
	if (ahead && c->waited_ns < RETENTION_BELIEVE_NS) {
		c->believed_ns += ran_ns;
	} else {
		c->believed_ns = wall_ns;
		c->waited_ns = 0;
		ahead = false;
	}
	*ret_waits = ahead;
	return c->believed_ns;
}
