/* SPDX-License-Identifier: Apache-2.0 */
/* heat: when traces began and how long they took, a count a cell: the whole window at a glance. */
#include <inttypes.h>
#include <math.h>

#include "query/trace_query.h"
#include "store/latency.h"

#define DEFAULT_COLUMNS 120

struct heat {
	struct clew_buf rows, cells;
	uint64_t n, errors;
	int bucket; /* of the last row; -1: there is none */
	unsigned n_rows;
};

static int put_cell(void *user, const struct clew_heat_cell *c)
{
	struct heat *h = user;

	if (c->bucket != h->bucket) {
		h->bucket = c->bucket;
		clew_buf_addf(&h->rows, "%s{\"from_ns\":%.0f,\"to_ns\":%.0f}",
			      h->n_rows++ ? "," : "", ceil(clew_latency_from(c->bucket)),
			      ceil(clew_latency_from(c->bucket + 1u)));
	}
	h->n += c->n;
	h->errors += c->errors;
	return clew_buf_addf(&h->cells, "%s[%u,%u,%" PRIu64 ",%" PRIu64 "]",
			     h->cells.len ? "," : "", c->column, h->n_rows - 1, c->n, c->errors);
}

int call_heat(struct call *c)
{
	struct clew_trace_query tq = {0};
	struct heat h = {.bucket = -1};
	uint64_t columns = DEFAULT_COLUMNS;
	int r = params_u64(&c->params, "columns", &columns, c->ret_error);

	if (r == 0 && (!columns || columns > CLEW_HEAT_MAX_COLUMNS))
		r = call_fail(c, -EINVAL, "columns: 1 to %u", CLEW_HEAT_MAX_COLUMNS);
	if (r == 0)
		r = trace_query(c, &tq);
	if (r == 0)
		r = call_fill_window(c, &tq.f.since_ns, &tq.f.until_ns);
	if (r == 0)
		r = clew_store_trace_heat(c->st, &tq, (uint32_t)columns, put_cell, &h,
					  c->ret_error);
	clew_buf_addf(&c->out,
		      "{\"since_ns\":%" PRIu64 ",\"until_ns\":%" PRIu64 ",\"columns\":%" PRIu64
		      ",\"n\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"rows\":[",
		      tq.f.since_ns, tq.f.until_ns, columns, h.n, h.errors);
	clew_buf_add(&c->out, h.rows.data, h.rows.len);
	clew_buf_adds(&c->out, "],\"cells\":[");
	clew_buf_add(&c->out, h.cells.data, h.cells.len);
	clew_buf_adds(&c->out, "]}");
	if (r == 0)
		r = h.rows.err ? h.rows.err : h.cells.err;
	clew_buf_done(&h.rows);
	clew_buf_done(&h.cells);
	return r < 0 ? r : call_end_line(c);
}
