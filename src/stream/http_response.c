/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The response direction of HTTP/1.x. A response answers the oldest request that waits, as long as
 * that is certain (see "Pairing" in stream/internal.h); else its bytes belong to nothing.
 *
 * An interim response (1xx but 101) is not part of the response message: that begins with the final
 * one.
 */
#include <errno.h>

#include "stream/internal.h"

static enum verdict judge(struct slice in, bool all_captured, struct clew_http1_head *h,
			  size_t *used)
{
	ssize_t n = clew_http1_response(in, h), line;

	if (n > 0) {
		*used = (size_t)n;
		return HEAD_WHOLE;
	}
	line = clew_http1_status_line(in, h);
	if (line > 0)
		return n == -EBADMSG ? HEAD_BAD : all_captured ? HEAD_MORE : HEAD_CUT;
	if (line == -EBADMSG)
		return HEAD_NOT;
	return all_captured ? HEAD_MORE : HEAD_CUT;
}

static bool strong(const struct cursor *cur)
{
	struct clew_http1_head h;

	return cur->op_start && cur->cap && clew_http1_status_line(cursor_slice(cur), &h) > 0;
}

struct xch *http_waiting(const struct conn *c)
{
	struct xch *x = c->open;

	while (x && x->pub.resp.done)
		x = (struct xch *)x->pub.next;
	return x;
}

/* May this request, which has a hole before it, be paired with what comes now? */
static bool pairable(const struct conn *c, const struct xch *x)
{
	return x == c->open && !x->pub.next && !x->owed &&
	       ((!c->pipelined && !c->hole_untold) || x->quiet) && c->lost_seen == x->lost_at_begin;
}

void http_response_done(struct conn *c, struct xch *x)
{
	struct flow *f = resp_flow(c), *req = req_flow(c);

	f->state = FLOW_HEAD;
	f->x = NULL;
	if (!x)
		return;
	x->pub.resp.done = true;
	if (req->x == x && req->state == FLOW_OPEN) {
		/* Late bytes of an upload whose end is not marked must not look like a request. */
		req->state = x->wants_upgrade ? FLOW_HEAD : FLOW_SKIP;
		req->x = NULL;
		x->pub.req.done = true;
	}
	if (x->pub.req.done)
		xch_end(x, 0);
}

/* 101, or 2xx to CONNECT: the exchange is over and what follows is another protocol's. */
static void upgraded(struct conn *c, struct xch *x)
{
	struct flow *req = req_flow(c), *resp = resp_flow(c);

	x->pub.http.upgraded = true;
	x->pub.req.done = x->pub.resp.done = true;
	xch_end(x, 0);
	conn_end_all(c, CLEW_INC_UNSYNCED, false);
	c->mode = MODE_TUNNEL;
	c->pub.proto = CLEW_PROTO_RAW;
	req->x = resp->x = NULL;
}

static void interim_over(struct xch *x)
{
	struct clew_message *m = &x->pub.resp;

	xch_forget(x, CLEW_PART_RESPONSE);
	if (m->seen) {
		/* Its first bytes were too few to tell; the message begins anew. */
		xch_io_flush(x);
		*m = (struct clew_message){.head = m->head};
		x->op_seen[CLEW_PART_RESPONSE] = 0;
	}
	x->interim = false;
}

static void head_whole(struct conn *c, struct xch *x, const struct clew_http1_head *h)
{
	enum clew_http1_body body;
	struct flow *f = resp_flow(c);

	body = clew_http1_response_body(h, x->pub.http.method);
	x->pub.http.status = h->status;
	x->pub.http.resp_content_length = h->transfer_encoding ? -1 : h->content_length;
	if (!x->pub.http.method.p)
		x->pub.http.minor = h->minor;
	switch (body) {
	case CLEW_HTTP1_BODY_NONE:
		http_response_done(c, x);
		break;
	case CLEW_HTTP1_BODY_TUNNEL:
		upgraded(c, x);
		break;
	case CLEW_HTTP1_BODY_CLOSE:
		/* Of a request that was not seen it might as well be the answer to a HEAD. */
		f->state = x->pub.http.method.p ? FLOW_CLOSE : FLOW_OPEN;
		f->headless = false;
		break;
	default:
		http_body_begin(f, x, h, body);
		break;
	}
}

/* Nothing certain can be said of what comes now: whoever waits ends, and the bytes are nobody's. */
static void give_up(struct conn *c, struct cursor *cur)
{
	conn_end_all(c, CLEW_INC_LOSS | CLEW_INC_UNSYNCED, false);
	c->req_hole = true;
	resp_flow(c)->state = FLOW_SKIP;
	resp_flow(c)->x = NULL;
	conn_unpaired(c, cur, cur->n);
}

/* Gather a head that came in pieces, or is cut. */
static int at_head(struct conn *c, struct xch *x, struct cursor *cur)
{
	struct clew_http1_head h = {.content_length = -1};
	struct flow *f = resp_flow(c);
	size_t had = x->pub.resp.head.n, used = had + cur->cap;
	struct slice in = cursor_slice(cur);
	enum verdict v = HEAD_CUT;
	bool wanted = true;
	int r;

	f->x = x;
	if (had || cur->cap) {
		if (!had) {
			v = judge(in, cur->cap == cur->n, &h, &used);
			wanted = v != HEAD_WHOLE || !c->s->opts.no_response_heads ||
				 used > c->s->opts.max_head_bytes;
			r = wanted ? xch_keep(x, CLEW_PART_RESPONSE, slice_of(in.p, used),
					      c->s->opts.max_head_bytes)
				   : 0;
		} else {
			r = xch_keep(x, CLEW_PART_RESPONSE, in, c->s->opts.max_head_bytes);
			if (!r)
				v = judge(x->pub.resp.head, cur->cap == cur->n, &h, &used);
		}
		if (r == -ENOMEM)
			return r;
		if (r)
			v = HEAD_CUT;
	}
	if (v == HEAD_CUT || v == HEAD_BAD || v == HEAD_NOT) {
		if (h.status)
			x->pub.http.status = h.status;
		http_head_broken(c, x, CLEW_PART_RESPONSE, cur,
				 v == HEAD_CUT ? CLEW_INC_NO_HEAD : CLEW_INC_UNSYNCED);
		return 0;
	}
	if (wanted)
		x->pub.resp.head.n = used;
	in = x->pub.resp.head;
	x->interim = v == HEAD_WHOLE ? h.status < 200 && h.status != 101
				     : in.n >= 12 && in.p[9] == '1' && memcmp(in.p + 9, "101", 3);
	if (x->interim)
		cursor_take(cur, used - had);
	else {
		xch_touch(x, CLEW_PART_RESPONSE, cur->io, cur->off, used - had, 0);
		cursor_take(cur, used - had);
	}
	if (v == HEAD_WHOLE && x->interim) {
		interim_over(x);
		f->x = NULL;
	} else if (v == HEAD_WHOLE) {
		head_whole(c, x, &h);
	}
	return 0;
}

static int next_response(struct conn *c, struct cursor *cur)
{
	struct flow *f = resp_flow(c);
	struct xch *x = f->x ? f->x : http_waiting(c);

	if (!x) {
		/* Nobody asked, as far as we saw. */
		f->state = FLOW_SKIP;
		c->req_hole |= c->mode == MODE_HTTP;
		conn_unpaired(c, cur, cur->n);
		return 0;
	}
	if (!f->x && x->pub.next)
		c->pipelined = true;
	if (!f->x && x->unsure) {
		/* Nothing answered what is in the hole before this request was sent: it pipelines. */
		if (x->owed)
			c->pipelined = true;
		if (!pairable(c, x) || !strong(cur)) {
			give_up(c, cur);
			return 0;
		}
		x->unsure = false;
		c->req_hole = c->hole_untold = false;
		c->s->stats.resyncs++;
	}
	return at_head(c, x, cur);
}

int http_response_bytes(struct conn *c, struct cursor *cur)
{
	struct flow *f = resp_flow(c);
	struct xch *x;
	int r = 0;

	while (cur->n && !r && c->mode == MODE_HTTP) {
		x = f->x;
		switch (f->state) {
		case FLOW_HEAD:
			r = next_response(c, cur);
			break;
		case FLOW_SKIP:
			conn_unpaired(c, cur, cur->n);
			break;
		case FLOW_OPEN:
			if (x)
				x->resp_open_ended = true;
			/* Pipelined: the next answer ends this one. */
			if (x && x->pub.next && strong(cur))
				http_response_done(c, x);
			else
				http_body(c, CLEW_PART_RESPONSE, f, cur);
			break;
		default:
			if (http_body(c, CLEW_PART_RESPONSE, f, cur))
				http_response_done(c, x);
			break;
		}
	}
	return r;
}

void http_response_gap(struct conn *c, uint64_t n, bool explained)
{
	struct flow *f = resp_flow(c);
	struct xch *x = f->x, *last;
	uint64_t over;
	int done = http_body_gap(f, n, &over);

	if (over == n) {
		if (done)
			http_response_done(c, x);
		return;
	}
	for (last = c->open; last && last->pub.next; last = (struct xch *)last->pub.next)
		;
	if (f->state == FLOW_OPEN && x && x == last && !x->unsure) {
		x->pub.incomplete |= CLEW_INC_LOSS;
		return;
	}
	/* The hole is older than the newest request, whose client had waited for what was in it. */
	if (explained && last && !last->pub.resp.seen && !c->pipelined &&
	    last->lost_at_begin == c->lost_seen && last->lost_at_begin > f->lost_at_last) {
		while (c->open != last)
			xch_end(c->open,
				CLEW_INC_LOSS | (c->open->pub.resp.seen ? CLEW_INC_CUT
									: CLEW_INC_NO_RESPONSE));
		last->unsure = true;
		last->owed = false;
		f->state = FLOW_HEAD;
		f->x = NULL;
		return;
	}
	conn_end_all(c, CLEW_INC_LOSS | CLEW_INC_UNSYNCED, false);
	c->req_hole = true;
	f->state = FLOW_SKIP;
	f->x = NULL;
}

void http_eof(struct conn *c, enum clew_part part)
{
	struct flow *f = part == CLEW_PART_REQUEST ? req_flow(c) : resp_flow(c);

	if (part == CLEW_PART_REQUEST) {
		if (f->x && f->x->pub.resp.done)
			xch_end(f->x, 0);
		return;
	}
	conn_end_all(c, 0, true);
}

bool http_wants_idle(struct conn *c)
{
	const struct flow *f = resp_flow(c);

	if (!c->open)
		return false;
	return (f->state == FLOW_OPEN && f->x) || (c->open->unsure && !pairable(c, c->open));
}

void http_idle(struct conn *c)
{
	struct flow *f = resp_flow(c);
	struct xch *x = f->x;

	if (f->state == FLOW_OPEN && x) {
		x->pub.incomplete |= CLEW_INC_END_GUESSED;
		http_response_done(c, x);
		if (c->open == x)
			xch_end(x, 0);
		return;
	}
	conn_end_all(c, CLEW_INC_LOSS | CLEW_INC_UNSYNCED, false);
}
