/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request direction of HTTP/1.x: heads, bodies, and finding the place again after a hole.
 */
#include <errno.h>

#include "stream/internal.h"

static enum verdict judge(struct slice in, bool all_captured, struct clew_http1_head *h,
			  size_t *used)
{
	ssize_t n = clew_http1_request(in, h), line;

	if (n > 0) {
		*used = (size_t)n;
		return HEAD_WHOLE;
	}
	line = clew_http1_request_line(in, h);
	if (line > 0)
		return n == -EBADMSG ? HEAD_BAD : all_captured ? HEAD_MORE : HEAD_CUT;
	h->method = h->target = (struct slice){NULL, 0};
	if (line == -EBADMSG)
		return HEAD_NOT;
	if (all_captured)
		return HEAD_MORE;
	return clew_http1_request_start(in, h) ? HEAD_NOT : HEAD_CUT;
}

/*
 * Is this operation's beginning surely that of a request? For finding the place again, so the method must
 * be a known one: the rest of a line that was cut in its method would look like another method.
 */
static bool strong(const struct cursor *cur)
{
	struct clew_http1_head h = {.content_length = -1};
	struct slice in = cursor_slice(cur);
	size_t used;

	return cur->op_start && cur->cap && !clew_http1_request_start(in, &h) &&
	       judge(in, cur->cap == cur->n, &h, &used) != HEAD_NOT;
}

void http_request_done(struct conn *c, struct xch *x)
{
	struct flow *f = req_flow(c);

	f->state = FLOW_HEAD;
	f->x = NULL;
	if (!x)
		return;
	x->pub.req.done = true;
	if (x->pub.resp.done)
		xch_end(x, 0);
}

static struct xch *last_open(const struct conn *c)
{
	struct xch *x = c->open;

	while (x && x->pub.next)
		x = (struct xch *)x->pub.next;
	return x;
}

static struct xch *begin(struct conn *c, const struct cursor *cur, enum clew_proto proto)
{
	struct stream *s = c->s;
	struct flow *resp = resp_flow(c);
	struct xch *x, *last = last_open(c);
	bool quiet = c->pub.last_ns && cur->io->begin_ns > c->pub.last_ns + s->opts.idle_ns;

	/* A response whose end is not marked is over when its client asks for more. */
	if (last && last == c->open && resp->state == FLOW_OPEN && resp->x == last) {
		http_response_done(c, last);
		last = last_open(c);
	}
	/* Unless an answer may have been lost unseen, this client does not wait for answers. */
	if (last && !last->pub.resp.seen &&
	    (c->lost_seen <= resp->lost_at_last || c->lost_seen == last->lost_at_begin))
		c->pipelined = true;
	if (c->n_open >= s->opts.max_open_exchanges) {
		s->stats.dropped_exchanges += c->n_open;
		conn_end_all(c, CLEW_INC_LIMIT, false);
		c->req_hole = c->pipelined = true;
		resp->state = FLOW_SKIP;
	}
	if (resp->state == FLOW_SKIP && !c->open)
		resp->state = FLOW_HEAD;
	x = xch_begin(c, cur->io, cur->off, proto);
	if (!x)
		return NULL;
	x->unsure = c->req_hole;
	x->quiet = quiet;
	x->owed = c->hole_here && (!c->skipped || cur->io->lost_conn);
	req_flow(c)->x = x;
	req_flow(c)->state = FLOW_HEAD;
	return x;
}

static void set_http(struct conn *c, struct xch *x)
{
	c->mode = MODE_HTTP;
	c->pub.proto = x->pub.proto = CLEW_PROTO_HTTP1;
	x->pub.incomplete &= ~(uint32_t)CLEW_INC_JOINED;
}

/* The line's words lie at the start of the copy of the head, which may have moved. */
static void place_line(struct xch *x)
{
	struct clew_http *http = &x->pub.http;

	if (!http->method.p)
		return;
	http->method.p = x->pub.req.head.p;
	http->target.p = x->pub.req.head.p + http->method.n + 1;
}

static void set_line(struct xch *x, const struct clew_http1_head *h)
{
	if (!h->method.p)
		return;
	x->pub.http.method = h->method;
	x->pub.http.target = h->target;
	x->pub.http.minor = h->minor;
	place_line(x);
}

/* A part of the bytes at from, which are at to now. */
static struct slice moved(struct slice part, const char *from, const char *to)
{
	return part.p ? slice_of(to + (part.p - from), part.n) : part;
}

/* from: where the head was that h was read from. */
static void head_whole(struct conn *c, struct xch *x, const struct clew_http1_head *h,
		       const char *from)
{
	enum clew_http1_body body = clew_http1_request_body(h);
	struct flow *f = req_flow(c);

	x->pub.http.req_content_length = h->transfer_encoding ? -1 : h->content_length;
	x->pub.http.fields_known = true;
	x->pub.http.trace = h->trace;
	x->pub.http.host = moved(h->host, from, x->pub.req.head.p);
	x->pub.http.user_agent = moved(h->user_agent, from, x->pub.req.head.p);
	x->wants_upgrade = h->upgrade || slice_eq(h->method, SLICE("CONNECT"));
	x->expects = h->expect_continue;
	xch_head_told(x);
	if (body == CLEW_HTTP1_BODY_NONE && !x->wants_upgrade)
		http_request_done(c, x);
	else
		http_body_begin(f, x, h, body);
}

/* The first operation of a request: mostly its whole head, which is parsed where it is. */
static int head_first(struct conn *c, struct cursor *cur)
{
	struct clew_http1_head h = {.content_length = -1};
	struct slice in = cursor_slice(cur);
	enum verdict v;
	struct xch *x;
	size_t used = cur->cap;
	int r;

	if (!cur->cap) {
		if (c->mode != MODE_HTTP) {
			raw_begin_mode(c, NULL);
			return 0;
		}
		x = begin(c, cur, CLEW_PROTO_HTTP1);
		if (!x)
			return -ENOMEM;
		http_head_broken(c, x, CLEW_PART_REQUEST, cur, CLEW_INC_NO_HEAD);
		return 0;
	}
	v = judge(in, cur->cap == cur->n, &h, &used);
	if (v == HEAD_NOT) {
		raw_begin_mode(c, NULL);
		return 0;
	}
	x = begin(c, cur, v == HEAD_MORE && !h.target.p ? c->pub.proto : CLEW_PROTO_HTTP1);
	if (!x)
		return -ENOMEM;
	if (v != HEAD_MORE || h.target.p)
		set_http(c, x);
	r = xch_keep(x, CLEW_PART_REQUEST, slice_of(in.p, used), c->s->opts.max_head_bytes);
	if (r == -ENOMEM)
		return r;
	if (!r)
		set_line(x, &h);
	if (v == HEAD_CUT || v == HEAD_BAD || r) {
		http_head_broken(c, x, CLEW_PART_REQUEST, cur,
				 v == HEAD_BAD ? CLEW_INC_UNSYNCED : CLEW_INC_NO_HEAD);
		return 0;
	}
	xch_touch(x, CLEW_PART_REQUEST, cur->io, cur->off, used, 0);
	cursor_take(cur, used);
	if (v == HEAD_WHOLE)
		head_whole(c, x, &h, in.p);
	return 0;
}

/* More of a head of which a piece is kept. */
static int head_more(struct conn *c, struct xch *x, struct cursor *cur)
{
	struct clew_http1_head h = {.content_length = -1};
	size_t had = x->pub.req.head.n, used = had + cur->cap;
	bool whole_op = cur->cap == cur->n;
	enum verdict v;
	int r;

	r = xch_keep(x, CLEW_PART_REQUEST, cursor_slice(cur), c->s->opts.max_head_bytes);
	if (r == -ENOMEM)
		return r;
	if (r) {
		set_http(c, x);
		http_head_broken(c, x, CLEW_PART_REQUEST, cur, CLEW_INC_NO_HEAD);
		return 0;
	}
	place_line(x);
	if (x->pub.http.target.p && whole_op && !clew_http1_head_ends(x->pub.req.head, had))
		v = HEAD_MORE;
	else
		v = judge(x->pub.req.head, whole_op, &h, &used);
	if (v == HEAD_NOT) {
		raw_begin_mode(c, x);
		return 0;
	}
	set_line(x, &h);
	if (v != HEAD_MORE || h.target.p)
		set_http(c, x);
	if (v == HEAD_CUT || v == HEAD_BAD) {
		http_head_broken(c, x, CLEW_PART_REQUEST, cur,
				 v == HEAD_BAD ? CLEW_INC_UNSYNCED : CLEW_INC_NO_HEAD);
		return 0;
	}
	x->pub.req.head.n = used;
	xch_touch(x, CLEW_PART_REQUEST, cur->io, cur->off, used - had, 0);
	cursor_take(cur, used - had);
	if (v == HEAD_WHOLE)
		head_whole(c, x, &h, x->pub.req.head.p);
	return 0;
}

static int at_head(struct conn *c, struct cursor *cur)
{
	struct flow *f = req_flow(c);
	bool op_start = cur->op_start;
	size_t blank;

	if (f->x)
		return head_more(c, f->x, cur);
	blank = clew_http1_blank(cursor_slice(cur));
	if (c->mode == MODE_HTTP && blank) {
		cursor_take(cur, blank);
		cur->op_start = op_start;
		if (!cur->n)
			return 0;
	}
	return head_first(c, cur);
}

int http_request_bytes(struct conn *c, struct cursor *cur)
{
	struct flow *f = req_flow(c);
	int r = 0;

	while (cur->n && !r && (c->mode == MODE_HTTP || c->mode == MODE_UNKNOWN)) {
		switch (f->state) {
		case FLOW_HEAD:
			r = at_head(c, cur);
			break;
		case FLOW_SKIP:
			if (strong(cur)) {
				f->state = FLOW_HEAD;
				f->x = NULL;
			} else {
				/* There may be a request in it. */
				c->req_hole = true;
				conn_unpaired(c, cur, cur->n);
			}
			break;
		case FLOW_OPEN:
			if (strong(cur))
				http_request_done(c, f->x);
			else
				http_body(c, CLEW_PART_REQUEST, f, cur);
			break;
		default:
			/* The final answer came before the body, so it was never sent. */
			if (f->x && f->x->expects && f->x->pub.resp.done &&
			    !f->x->pub.req.body_bytes && strong(cur))
				http_request_done(c, f->x);
			else if (http_body(c, CLEW_PART_REQUEST, f, cur))
				http_request_done(c, f->x);
			break;
		}
	}
	return r;
}

void http_request_gap(struct conn *c, uint64_t n)
{
	struct flow *f = req_flow(c);
	struct xch *x = f->x;
	uint64_t over;
	int done = http_body_gap(f, n, &over);

	if (over == n) {
		if (done)
			http_request_done(c, x);
		return;
	}
	if (x) {
		x->pub.incomplete |= CLEW_INC_LOSS;
		if (f->state == FLOW_HEAD) {
			x->pub.incomplete |= CLEW_INC_NO_HEAD;
			c->s->stats.gaps++;
			xch_head_told(x);
		}
		http_request_done(c, x);
	}
	c->hole_here = !x;
	f->state = FLOW_SKIP;
	f->x = NULL;
	c->req_hole = true;
}
