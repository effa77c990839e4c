/* SPDX-License-Identifier: Apache-2.0 */
/* SQL, and what the store says of itself. */
#include <inttypes.h>

#include "query/call.h"

int call_sql(struct call *c)
{
	int r = clew_store_sql(c->st, c->body, &c->out, c->ret_error);

	return r < 0 ? r : call_end_line(c);
}

int call_stats(struct call *c)
{
	struct clew_store_stats s;

	clew_store_stats(c->st, &s);
	clew_buf_addf(&c->out,
		      "{\"appended\":%" PRIu64 ",\"stored\":%" PRIu64 ",\"duplicates\":%" PRIu64
		      ",\"dropped_queue\":%" PRIu64 ",\"dropped_error\":%" PRIu64
		      ",\"queued\":%" PRIu64 ",\"batches\":%" PRIu64 ",\"seals\":%" PRIu64
		      ",\"failures\":%" PRIu64 ",\"recoveries\":%" PRIu64 ",\"write_ns\":%" PRIu64
		      ",\"write_cpu_ns\":%" PRIu64 ",\"failing\":%s,\"last_error\":",
		      s.appended, s.stored, s.duplicates, s.dropped_queue, s.dropped_error,
		      s.queued, s.batches, s.seals, s.failures, s.recoveries, s.write_ns,
		      s.write_cpu_ns, s.failing ? "true" : "false");
	clew_json_str(&c->out, slice_str(s.last_error));
	clew_buf_adds(&c->out, "}");
	return call_end_line(c);
}
