/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of an exchange: begin, bytes, end. Each that begins is handed over by end() exactly
 * once.
 *
 * For one operation that touches it the callbacks come in this order: begin, head, io, end.
 */
#include <errno.h>
#include <stdlib.h>

#include "stream/internal.h"

static struct clew_thread_ref thread_of(const struct clew_rec_io *io)
{
	return (struct clew_thread_ref){.proc_start_ns = io->proc_start_ns,
					.task = io->task,
					.tgid = io->tgid,
					.tid = io->tid};
}

static struct xch *xch_new(struct clew_pool *pool)
{
	const size_t from = offsetof(struct xch, pub.cnt_begin);
	const size_t to = offsetof(struct xch, pub.cnt_end) + sizeof(uint64_t) * CLEW_CNT_MAX;
	struct xch *x = clew_pool_take(pool, sizeof(*x));

	/* All but the counters, of which it is said how many there are. */
	if (x) {
		memset(x, 0, from);
		memset((char *)x + to, 0, sizeof(*x) - to);
	}
	return x;
}

static uint8_t counters_of(const struct clew_rec_io *io, uint64_t out[CLEW_CNT_MAX])
{
	uint8_t n = io->n_counters < CLEW_CNT_MAX ? io->n_counters : CLEW_CNT_MAX;

	memcpy(out, (const uint8_t *)io + io->hdr_bytes, n * sizeof(uint64_t));
	return n;
}

static bool can_key(const struct clew_conn *c)
{
	if (c->family == CLEW_AF_UNIX)
		return c->peer_cookie != 0;
	return c->seq_known;
}

struct xch *xch_begin(struct conn *c, const struct clew_rec_io *io, uint64_t req_offset,
		      enum clew_proto proto)
{
	struct stream *s = c->s;
	struct xch *x = xch_new(&c->heap->pool);

	if (!x)
		return NULL;
	c->refs++;
	x->pub.id = ++s->next_id;
	x->pub.conn = &c->pub;
	x->pub.proto = proto;
	x->pub.role = c->pub.role;
	x->pub.tgid = io->tgid;
	x->pub.proc_start_ns = io->proc_start_ns;
	x->pub.req.offset = req_offset;
	x->pub.http.req_content_length = x->pub.http.resp_content_length = -1;
	x->pub.began_by_connect =
		c->pub.role == CLEW_ROLE_CLIENT && !c->pub.n_exchanges && c->pub.connector.tgid;
	if (can_key(&c->pub)) {
		x->pub.wire_key =
			clew_wire_key(&c->pub, req_dir(c), req_offset, 0, &s->opts.boot_id);
		x->pub.has_wire_key = true;
	}
	if (c->joined_mid)
		x->pub.incomplete |= CLEW_INC_JOINED;
	c->joined_mid = false;
	x->lost_at_begin = c->lost_seen;

	*c->open_tail = x;
	c->open_tail = (struct xch **)&x->pub.next;
	if (!c->n_open++)
		list_move_tail(&s->busy, &c->busy);
	c->pub.n_exchanges++;
	s->stats.exchanges++;
	if (s->ops.begin)
		s->ops.begin(s->user, &x->pub);
	return x;
}

void xch_touch(struct xch *x, enum clew_part part, const struct clew_rec_io *io, uint64_t off,
	       uint64_t n, uint64_t body)
{
	struct clew_message *m = part == CLEW_PART_REQUEST ? &x->pub.req : &x->pub.resp;
	struct stream *s = ((struct conn *)x->pub.conn)->s;
	bool first = !m->seen;

	if (first) {
		m->seen = true;
		m->offset = off;
		m->first_begin_ns = io->begin_ns;
		m->first_ns = io->end_ns;
		m->first = thread_of(io);
		if (part == CLEW_PART_REQUEST)
			x->pub.n_cnt_begin = counters_of(io, x->pub.cnt_begin);
		s->stats.messages++;
	}
	m->bytes += n;
	m->body_bytes += body;
	if (s->touched && s->touched != x)
		xch_io_flush(s->touched);
	if (x->op_seen[part] == s->op)
		return;
	x->op_seen[part] = s->op;
	m->n_ops++;
	if (io->end_ns >= m->last_ns) {
		m->last_ns = io->end_ns;
		m->last = thread_of(io);
		if (part == CLEW_PART_RESPONSE)
			x->pub.n_cnt_end = counters_of(io, x->pub.cnt_end);
	}
	s->touched = x;
	x->pending_io = io;
	x->pending_part = part;
	x->pending_first = first;
}

void xch_io_flush(struct xch *x)
{
	struct stream *s = ((struct conn *)x->pub.conn)->s;
	const struct clew_rec_io *io = x->pending_io;

	x->pending_io = NULL;
	if (s->touched == x)
		s->touched = NULL;
	if (io && s->ops.io)
		s->ops.io(s->user, &x->pub, x->pending_part, x->pending_first, io);
}

int xch_keep(struct xch *x, enum clew_part part, struct slice bytes, size_t limit)
{
	struct clew_message *m = part == CLEW_PART_REQUEST ? &x->pub.req : &x->pub.resp;
	size_t need = m->head.n + bytes.n;

	if (need > limit)
		return -EFBIG;
	if (need > x->cap[part]) {
		/* The first piece is usually the whole head: no slack for it. */
		struct clew_pool *pool = &((struct conn *)x->pub.conn)->heap->pool;
		size_t cap = clew_pool_room(m->head.n ? need * 2 : need);
		char *p = clew_pool_take(pool, cap);

		if (!p)
			return -ENOMEM;
		if (m->head.n)
			memcpy(p, x->buf[part], m->head.n);
		clew_pool_give(pool, x->buf[part], x->cap[part]);
		x->buf[part] = p;
		x->cap[part] = cap;
	}
	if (bytes.n)
		memcpy(x->buf[part] + m->head.n, bytes.p, bytes.n);
	m->head = slice_of(x->buf[part], need);
	return 0;
}

void xch_forget(struct xch *x, enum clew_part part)
{
	struct clew_message *m = part == CLEW_PART_REQUEST ? &x->pub.req : &x->pub.resp;

	m->head.n = 0;
}

void xch_head_told(struct xch *x)
{
	struct stream *s = ((struct conn *)x->pub.conn)->s;

	if (x->head_told)
		return;
	x->head_told = true;
	if (s->ops.head)
		s->ops.head(s->user, &x->pub);
}

void xch_end(struct xch *x, uint32_t incomplete)
{
	struct conn *c = (struct conn *)x->pub.conn;
	struct stream *s = c->s;
	struct xch **link = &c->open, *prev = NULL;

	x->pub.incomplete |= incomplete;
	/* It may have looked like the beginning of a head to the end. */
	if (x->pub.proto == CLEW_PROTO_RAW)
		x->pub.req.body_bytes = x->pub.req.bytes;
	xch_head_told(x);
	xch_io_flush(x);
	while (*link != x) {
		prev = *link;
		link = (struct xch **)&prev->pub.next;
	}
	*link = (struct xch *)x->pub.next;
	if (!*link)
		c->open_tail = prev ? (struct xch **)&prev->pub.next : &c->open;
	x->pub.next = NULL;
	if (!--c->n_open)
		list_del(&c->busy);
	for (int d = 0; d < 2; d++)
		if (c->flow[d].x == x)
			c->flow[d].x = NULL;
	x->ended = true;
	if (s->ops.end)
		s->ops.end(s->user, &x->pub);
	else
		clew_exchange_free(&x->pub);
}

void conn_lost(struct conn *c)
{
	for (struct xch *x = c->open; x; x = (struct xch *)x->pub.next)
		x->pub.incomplete |= CLEW_INC_LOSS;
}

void conn_unpaired(struct conn *c, struct cursor *cur, uint64_t n)
{
	struct stream *s = c->s;

	if (n && s->unpaired_op != s->op) {
		s->unpaired_op = s->op;
		s->stats.unpaired_ops++;
	}
	if (n)
		c->skipped = true;
	cursor_take(cur, n);
}

/* What is missing of an exchange whose connection ends, or stops being watched, now. */
static uint32_t missing(const struct conn *c, const struct xch *x, bool closed)
{
	if (!x->pub.resp.seen && x->pub.req.seen &&
	    (c->mode == MODE_TUNNEL || (c->mode == MODE_RAW && closed && raw_needs_none(c, x))))
		return 0;
	if (!x->pub.resp.seen)
		return CLEW_INC_NO_RESPONSE;
	if (x->pub.resp.done || x->pub.proto != CLEW_PROTO_HTTP1)
		return 0;
	if (x->resp_open_ended)
		return closed ? 0 : CLEW_INC_END_GUESSED;
	if (closed && resp_flow((struct conn *)c)->x == x &&
	    resp_flow((struct conn *)c)->state == FLOW_CLOSE)
		return 0;
	return CLEW_INC_CUT;
}

void conn_end_all(struct conn *c, uint32_t incomplete, bool closed)
{
	struct xch *x;

	while ((x = c->open)) {
		uint32_t why = missing(c, x, closed);

		if (!why)
			x->pub.resp.done = x->pub.resp.seen;
		x->pub.conn_closed = closed;
		xch_end(x, why | incomplete);
	}
}

void clew_exchange_free(struct clew_exchange *pub)
{
	struct xch *x = (struct xch *)pub;
	struct conn *c;

	if (!x)
		return;
	c = (struct conn *)pub->conn;
	clew_pool_give(&c->heap->pool, x->buf[0], x->cap[0]);
	clew_pool_give(&c->heap->pool, x->buf[1], x->cap[1]);
	clew_pool_give(&c->heap->pool, x, sizeof(*x));
	conn_unref(c);
}

struct slice clew_exchange_header(const struct clew_exchange *x, enum clew_part part,
				  struct slice name)
{
	if (x->proto != CLEW_PROTO_HTTP1)
		return (struct slice){NULL, 0};
	return clew_http1_field(part == CLEW_PART_REQUEST ? x->req.head : x->resp.head, name);
}
