/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of which nothing is known but bytes and turns: a request is a run of bytes from the
 * client, its response the run back. An exchange ends with the next request's first byte, the close
 * or silence.
 *
 * A server that speaks first (a greeting) belongs to no exchange: an exchange begins with a
 * request, and folding the greeting into the first one would put its response before it. It is
 * counted as unpaired. Where the role is not known, whoever speaks first is the client.
 *
 * Where messages say where they end (RESP), they are told apart: commands of several requests can share a run, and
 * each has an exchange of its own, which the replies end in their order. That is certain as long as both directions
 * are followed without a hole; after one, and where a part of a message is neither captured nor of a known length,
 * turns have to do, until the connection is known to be at rest (req_hole, REST_NS).
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

/* Replies to commands that nobody saw may be on their way, unless nothing moved for a while. */
static bool at_rest(const struct conn *c, const struct clew_rec_io *io)
{
	uint64_t last_ns = c->pub.last_ns > c->pub.first_ns ? c->pub.last_ns : c->pub.first_ns;

	return !c->req_hole || io->begin_ns > last_ns + REST_NS;
}

static bool begins_framed(const struct conn *c, const struct cursor *cur)
{
	return cur->op_start && clew_resp_is_command(cursor_slice(cur)) && at_rest(c, cur->io);
}

/*
 * Where the messages end is not known any more. The oldest exchange takes what comes, up to the next turn; nobody can
 * say what of that is for the others.
 */
static void lose_place(struct conn *c)
{
	struct xch *x = c->open;

	c->framed = false;
	req_flow(c)->x = NULL;
	if (!x || !x->pub.next)
		return;
	c->req_hole = true;
	x->pub.incomplete |= CLEW_INC_UNSYNCED;
	while (x->pub.next)
		xch_end((struct xch *)x->pub.next, CLEW_INC_UNSYNCED | CLEW_INC_NO_RESPONSE);
}

/* How many of the bytes at hand belong to the message that *r is in; 0: not known. */
static uint64_t frame(struct clew_resp *r, const struct cursor *cur)
{
	ssize_t n = cur->cap ? clew_resp_take(r, cursor_slice(cur))
			     : (ssize_t)clew_resp_pass(r, cur->n);

	return n > 0 ? (uint64_t)n : 0;
}

static int take(struct xch *x, enum clew_part part, struct cursor *cur, uint64_t n)
{
	const struct clew_message *m = part == CLEW_PART_REQUEST ? &x->pub.req : &x->pub.resp;
	size_t head = n < cur->cap ? (size_t)n : cur->cap;

	if (head > RAW_HEAD_MAX)
		head = RAW_HEAD_MAX;
	if (!m->seen && head && xch_keep(x, part, slice_of(cur->p, head), RAW_HEAD_MAX) == -ENOMEM)
		return -ENOMEM;
	xch_touch(x, part, cur->io, cur->off, n, n);
	cursor_take(cur, n);
	return 0;
}

static int framed_request(struct conn *c, struct cursor *cur)
{
	struct xch *x = req_flow(c)->x;
	struct clew_resp r = c->resp[CLEW_PART_REQUEST];
	uint64_t n;

	if (!x)
		clew_resp_begin(&r, true);
	n = x || c->n_open < c->s->opts.max_open_exchanges ? frame(&r, cur) : 0;
	if (!n) {
		lose_place(c);
		return 0;
	}
	if (!x)
		x = xch_begin(c, cur->io, cur->off, CLEW_PROTO_RAW);
	if (!x || take(x, CLEW_PART_REQUEST, cur, n))
		return -ENOMEM;
	xch_head_told(x);
	c->resp[CLEW_PART_REQUEST] = r;
	x->pub.req.done = r.whole;
	req_flow(c)->x = r.whole ? NULL : x;
	return 0;
}

static int framed_response(struct conn *c, struct cursor *cur)
{
	struct xch *x = c->open;
	struct clew_resp *r = &c->resp[CLEW_PART_RESPONSE];
	uint64_t n = frame(r, cur);

	if (!n) {
		lose_place(c);
		return 0;
	}
	if (r->push)
		conn_unpaired(c, cur, n);
	else if (take(x, CLEW_PART_RESPONSE, cur, n))
		return -ENOMEM;
	if (!r->whole)
		return 0;
	if (!r->push) {
		x->pub.req.done = x->pub.resp.done = true;
		xch_end(x, 0);
	}
	clew_resp_begin(r, false);
	return 0;
}

static int request(struct conn *c, struct cursor *cur)
{
	struct xch *x = c->open;
	bool flip_lost = c->lost_told && cur->off == req_flow(c)->next;
	bool silent = !c->answered && c->pub.last_ns &&
		      cur->io->begin_ns > c->pub.last_ns + c->s->opts.idle_ns;

	if (c->framed && x)
		return framed_request(c, cur);
	if (x && (x->pub.resp.seen || flip_lost || silent)) {
		end_open(c, flip_lost && !x->pub.resp.seen ? CLEW_INC_LOSS : 0);
		x = NULL;
	}
	if (!x && is_http(cur)) {
		c->mode = MODE_HTTP;
		req_flow(c)->state = resp_flow(c)->state = FLOW_HEAD;
		return 0;
	}
	c->framed = !x && begins_framed(c, cur);
	if (c->framed) {
		int r;

		c->req_hole = false;
		clew_resp_begin(&c->resp[CLEW_PART_RESPONSE], false);
		r = framed_request(c, cur);
		if (r || c->framed)
			return r;
		/* It goes wrong behind its head, and nothing was taken: turns have to do. */
	}
	if (!x) {
		x = xch_begin(c, cur->io, cur->off, CLEW_PROTO_RAW);
		if (!x)
			return -ENOMEM;
		if (flip_lost)
			x->pub.incomplete |= CLEW_INC_LOSS;
	}
	if (take(x, CLEW_PART_REQUEST, cur, cur->n))
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
		/* Whose command was not seen? Not a server's that speaks by itself. */
		c->req_hole |= c->framed;
		conn_unpaired(c, cur, cur->n);
		return 0;
	}
	if (c->lost_told)
		x->pub.incomplete |= CLEW_INC_LOSS;
	c->answered = true;
	if (c->framed)
		return framed_response(c, cur);
	x->pub.req.done = true;
	return take(x, CLEW_PART_RESPONSE, cur, cur->n);
}

void raw_gap(struct conn *c, enum clew_part part, uint64_t n)
{
	struct clew_resp *r = &c->resp[part];

	conn_lost(c);
	c->req_hole = true;
	if (c->framed && (clew_resp_pass(r, n) != n || r->whole))
		lose_place(c);
}

void raw_eof(struct conn *c, enum clew_part part)
{
	if (part == CLEW_PART_RESPONSE && c->mode == MODE_RAW)
		end_open(c, 0);
}

/*
 * A goodbye (PostgreSQL's Terminate, MySQL's COM_QUIT, TLS' close_notify): where answers were given before, either end
 * closes right after it. Who waits for an answer reads the end of the connection first, or gives up later. And what goes
 * one way between the two ends of a socketpair() is no question.
 */
bool raw_needs_none(const struct conn *c, const struct xch *x)
{
	uint64_t end_ns;

	if (x->pub.incomplete & CLEW_INC_LOSS)
		return false;
	if (!c->answered)
		return c->pub.family == CLEW_AF_UNIX && !c->pub.path;
	/* Of Unix sockets nobody tells that they were closed: the process is gone. */
	end_ns = c->closing ? c->close_ns : c->s->now_ns;
	return end_ns <= x->pub.req.last_ns + GOODBYE_NS;
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
	if (take(x, part, cur, cur->n))
		return -ENOMEM;
	xch_head_told(x);
	return 0;
}
