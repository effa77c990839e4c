/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What follows the heads of HTTP/1.x messages: bodies, by the framing that the heads announced, or
 * what is left of a head that is broken. An owner that has ended already (f->x is NULL) changes
 * nothing: its bytes are followed, and belong to no exchange.
 */
#include "stream/internal.h"

#define LAST_CHUNK 5 /* bytes: 0, and two line ends */

static void give(struct conn *c, enum clew_part part, struct flow *f, struct cursor *cur,
		 uint64_t n, uint64_t body)
{
	if (!f->x) {
		conn_unpaired(c, cur, n);
		return;
	}
	xch_touch(f->x, part, cur->io, cur->off, n, body);
	cursor_take(cur, n);
}

static int chunked(struct conn *c, enum clew_part part, struct flow *f, struct cursor *cur)
{
	uint64_t data = 0, over;
	ssize_t n;

	if (cur->cap) {
		n = clew_http1_chunks_feed(&f->chunks, cursor_slice(cur), &data);
		if (n < 0) {
			if (f->x)
				f->x->pub.incomplete |= CLEW_INC_UNSYNCED;
			f->state = FLOW_OPEN;
			f->headless = false;
			return 0;
		}
		give(c, part, f, cur, (uint64_t)n, data);
		return clew_http1_chunks_done(&f->chunks);
	}
	over = clew_http1_chunks_skip(&f->chunks, cur->n, &data);
	give(c, part, f, cur, over, data);
	/*
	 * A writer's vectors beyond those that are captured: no chunk is as short as the last one,
	 * so it is the last one that ends the operation here. (Nothing captured at all may be a size
	 * line that was written alone.)
	 */
	if (cur->n == LAST_CHUNK && cur->io->dir == CLEW_DIR_TX && cur->io->cap_len &&
	    clew_http1_chunks_at_size(&f->chunks)) {
		give(c, part, f, cur, cur->n, 0);
		return 1;
	}
	if (cur->n) {
		f->state = FLOW_OPEN;
		f->headless = false;
	}
	return 0;
}

void http_body_begin(struct flow *f, struct xch *x, const struct clew_http1_head *h,
		     enum clew_http1_body body)
{
	switch (body) {
	case CLEW_HTTP1_BODY_LENGTH:
		f->state = FLOW_LENGTH;
		f->left = (uint64_t)h->content_length;
		break;
	case CLEW_HTTP1_BODY_CHUNKED:
		f->state = FLOW_CHUNKED;
		f->chunks = (struct clew_http1_chunks){0};
		break;
	default:
		if (body == CLEW_HTTP1_BODY_UNKNOWN)
			x->pub.incomplete |= CLEW_INC_UNSYNCED;
		f->state = FLOW_OPEN;
		f->headless = false;
		break;
	}
}

void http_head_broken(struct conn *c, struct xch *x, enum clew_part part, struct cursor *cur,
		      uint32_t why)
{
	struct flow *f = part == CLEW_PART_REQUEST ? req_flow(c) : resp_flow(c);

	x->pub.incomplete |= why;
	if (why & CLEW_INC_NO_HEAD)
		c->s->stats.gaps++;
	xch_touch(x, part, cur->io, cur->off, cur->n, 0);
	cursor_take(cur, cur->n);
	f->state = FLOW_OPEN;
	f->headless = true;
	if (part == CLEW_PART_REQUEST)
		xch_head_told(x);
	else
		x->resp_open_ended = true;
}

int http_body(struct conn *c, enum clew_part part, struct flow *f, struct cursor *cur)
{
	uint64_t n = cur->n;

	switch (f->state) {
	case FLOW_LENGTH:
		if (n > f->left)
			n = f->left;
		f->left -= n;
		give(c, part, f, cur, n, n);
		return !f->left;
	case FLOW_CHUNKED:
		return chunked(c, part, f, cur);
	default:
		give(c, part, f, cur, n, f->headless ? 0 : n);
		return 0;
	}
}

int http_body_gap(struct flow *f, uint64_t n, uint64_t *ret_over)
{
	uint64_t over = 0, data;

	if (f->state == FLOW_LENGTH) {
		over = n < f->left ? n : f->left;
		f->left -= over;
	} else if (f->state == FLOW_CHUNKED) {
		over = clew_http1_chunks_skip(&f->chunks, n, &data);
	} else if (f->state == FLOW_CLOSE) {
		over = n;
	}
	if (over && f->x)
		f->x->pub.incomplete |= CLEW_INC_LOSS;
	*ret_over = over;
	return f->state == FLOW_LENGTH && !f->left;
}
