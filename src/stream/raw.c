/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of which nothing is known but bytes and turns: a request is a run of bytes from the
 * client, its response the run back. An exchange ends with the next request's first byte, the close
 * or silence.
 *
 * A server that speaks first (a greeting) belongs to no exchange: an exchange begins with a
 * request, and folding the greeting into the first one would put its response before it. It is
 * counted as unpaired. Where the role is not known, whoever speaks first is the client.
 */
#include <errno.h>

#include "stream/internal.h"

void raw_begin_mode(struct conn *c, struct xch *x)
{
	for (int d = 0; d < 2; d++) {
		c->flow[d].x = NULL;
		c->flow[d].state = FLOW_HEAD;
	}
	while (c->open && c->open != x)
		xch_end(c->open, CLEW_INC_UNSYNCED);
	c->mode = MODE_RAW;
	c->pub.proto = CLEW_PROTO_RAW;
	if (!x)
		return;
	x->pub.proto = CLEW_PROTO_RAW;
	x->pub.req.body_bytes = x->pub.req.bytes;
	x->pub.http = (struct clew_http){.req_content_length = -1, .resp_content_length = -1};
	if (x->pub.req.head.n > RAW_HEAD_MAX)
		x->pub.req.head.n = RAW_HEAD_MAX;
	xch_head_told(x);
}

static int take_all(struct xch *x, enum clew_part part, struct cursor *cur)
{
	const struct clew_message *m = part == CLEW_PART_REQUEST ? &x->pub.req : &x->pub.resp;
	size_t n = cur->cap < RAW_HEAD_MAX ? cur->cap : RAW_HEAD_MAX;

	if (!m->seen && n && xch_keep(x, part, slice_of(cur->p, n), RAW_HEAD_MAX) == -ENOMEM)
		return -ENOMEM;
	xch_touch(x, part, cur->io, cur->off, cur->n, cur->n);
	cursor_take(cur, cur->n);
	return 0;
}

/* A run that begins with a whole request line of a known method is HTTP after all. */
static bool is_http(const struct cursor *cur)
{
	struct clew_http1_head h;

	return cur->op_start && cur->cap && !clew_http1_request_start(cursor_slice(cur), &h) &&
	       clew_http1_request_line(cursor_slice(cur), &h) > 0;
}

static void end_open(struct conn *c, uint32_t incomplete)
{
	struct xch *x = c->open;

	if (!x)
		return;
	x->pub.req.done = true;
	x->pub.resp.done = x->pub.resp.seen;
	xch_end(x, incomplete | (x->pub.resp.seen ? 0 : CLEW_INC_NO_RESPONSE));
}

static int request(struct conn *c, struct cursor *cur)
{
	struct xch *x = c->open;
	bool flip_lost = c->lost_told && cur->off == req_flow(c)->next;
	bool silent = !c->answered && c->pub.last_ns &&
		      cur->io->begin_ns > c->pub.last_ns + c->s->opts.idle_ns;

	if (x && (x->pub.resp.seen || flip_lost || silent)) {
		end_open(c, flip_lost && !x->pub.resp.seen ? CLEW_INC_LOSS : 0);
		x = NULL;
	}
	if (!x && is_http(cur)) {
		c->mode = MODE_HTTP;
		req_flow(c)->state = resp_flow(c)->state = FLOW_HEAD;
		return 0;
	}
	if (!x) {
		x = xch_begin(c, cur->io, cur->off, CLEW_PROTO_RAW);
		if (!x)
			return -ENOMEM;
		if (flip_lost)
			x->pub.incomplete |= CLEW_INC_LOSS;
	}
	if (take_all(x, CLEW_PART_REQUEST, cur))
		return -ENOMEM;
	xch_head_told(x);
	return 0;
}

int raw_bytes(struct conn *c, enum clew_part part, struct cursor *cur)
{
	struct xch *x = c->open;

	if (part == CLEW_PART_REQUEST)
		return request(c, cur);
	if (!x) {
		conn_unpaired(c, cur, cur->n);
		return 0;
	}
	if (c->lost_told)
		x->pub.incomplete |= CLEW_INC_LOSS;
	x->pub.req.done = true;
	c->answered = true;
	return take_all(x, CLEW_PART_RESPONSE, cur);
}

void raw_gap(struct conn *c, enum clew_part part, uint64_t n)
{
	if (c->open)
		c->open->pub.incomplete |= CLEW_INC_LOSS;
}

void raw_eof(struct conn *c, enum clew_part part)
{
	if (part == CLEW_PART_RESPONSE && c->mode == MODE_RAW)
		end_open(c, 0);
}

void raw_idle(struct conn *c)
{
	end_open(c, 0);
}

/*
 * What follows an upgrade: one exchange for the rest of the connection, whatever its turns. Either
 * side may begin; its key is made of where the requests' direction stood.
 */
int tunnel_bytes(struct conn *c, enum clew_part part, struct cursor *cur)
{
	struct xch *x = c->open;

	if (!x) {
		uint64_t off = part == CLEW_PART_REQUEST ? cur->off : req_flow(c)->next;

		x = xch_begin(c, cur->io, off, CLEW_PROTO_RAW);
		if (!x)
			return -ENOMEM;
	}
	if (take_all(x, part, cur))
		return -ENOMEM;
	xch_head_told(x);
	return 0;
}
