/* SPDX-License-Identifier: Apache-2.0 */
/* SQL, and what the store says of itself. */
#include <inttypes.h>

#include "query/call.h"

/* openapi.json, by tools/embed-file */
extern const char clew_openapi[];
extern const size_t clew_openapi_size;

int call_openapi(struct call *c)
{
	int r = call_no_params(c);

	clew_buf_add(&c->out, clew_openapi, clew_openapi_size);
	return r < 0 ? r : call_hand_on(c, 0);
}

int call_sql(struct call *c)
{
	int r = clew_store_sql(c->st, c->body, &c->out, c->ret_error);

	return r < 0 ? r : call_end_line(c);
}

static void put_stats(struct clew_buf *b, const struct clew_store_stats *s)
{
	clew_buf_addf(b,
		      "{\"appended\":%" PRIu64 ",\"stored\":%" PRIu64 ",\"duplicates\":%" PRIu64
		      ",\"shed_spans\":%" PRIu64 ",\"shed_traces\":%" PRIu64
		      ",\"dropped_queue\":%" PRIu64 ",\"cut_traces\":%" PRIu64
		      ",\"cut_untold\":%" PRIu64 ",\"kept\":%.6g,\"dropped_error\":%" PRIu64
		      ",\"queued\":%" PRIu64 ",\"batches\":%" PRIu64 ",\"seals\":%" PRIu64
		      ",\"failures\":%" PRIu64 ",\"recoveries\":%" PRIu64 ",\"write_ns\":%" PRIu64
		      ",\"write_cpu_ns\":%" PRIu64 ",\"damaged_files\":%" PRIu64
		      ",\"damaged_bytes\":%" PRIu64 ",\"damaged_hours\":%" PRIu64
		      ",\"left_out\":%" PRIu64 ",\"failing\":%s,\"last_error\":",
		      s->appended, s->stored, s->duplicates, s->shed_spans, s->shed_traces,
		      s->dropped_queue, s->cut_traces, s->cut_untold, s->kept, s->dropped_error,
		      s->queued, s->batches, s->seals, s->failures, s->recoveries, s->write_ns,
		      s->write_cpu_ns, s->damaged_files, s->damaged_bytes, s->damaged_hours,
		      s->left_out, s->failing ? "true" : "false");
	clew_json_str(b, slice_str(s->last_error));
	clew_buf_addc(b, '}');
}

int call_stats(struct call *c)
{
	struct clew_store_stats s;

	clew_store_stats(c->st, &s);
	put_stats(&c->out, &s);
	return call_end_line(c);
}

int call_status(struct call *c)
{
	struct clew_store_size size = {0};
	struct clew_store_stats s;
	uint64_t first = 0, last = 0;
	int r = call_no_params(c);

	if (r == 0)
		r = clew_store_size(c->st, &size, c->ret_error);
	if (r == 0)
		r = clew_store_bounds(c->st, &first, &last, c->ret_error);
	if (r < 0)
		return r;
	clew_store_stats(c->st, &s);
	clew_buf_addf(&c->out, "{\"version\":\"%s\",\"store\":{", CLEW_VERSION);
	put_str(&c->out, "\"dir\":", slice_str(clew_store_dir(c->st)));
	clew_buf_addf(&c->out,
		      ",\"writable\":%s,\"bytes\":%" PRIu64 ",\"spans\":%" PRIu64
		      ",\"traces_sealed\":%" PRIu64 ",\"partitions\":%" PRIu64
		      ",\"first_ns\":%" PRIu64 ",\"last_ns\":%" PRIu64 "},\"writer\":",
		      size.read_only ? "false" : "true", size.bytes, size.spans, size.traces,
		      size.partitions, first, last);
	put_stats(&c->out, &s);
	clew_buf_addf(&c->out,
		      ",\"retention\":{\"partitions\":%" PRIu64 ",\"spans\":%" PRIu64
		      ",\"bytes\":%" PRIu64 "}}",
		      s.retention_partitions, s.retention_spans, s.retention_bytes);
	return call_end_line(c);
}
