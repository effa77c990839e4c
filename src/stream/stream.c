/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records in: connections' facts, the order of operations, time.
 *
 * Operations of one direction are put in order by their offsets. One that comes too early waits
 * (HOLD_MAX of a connection, LINGER_NS) unless loss was reported, which explains the hole; one that
 * repeats bytes loses them. A closed connection waits LINGER_NS for late records if something is
 * still open on it, or not all of its bytes were told.
 */
#include <errno.h>
#include <stdlib.h>

#include "stream/internal.h"

#define DEFAULT_MAX_CONNS     262144
#define DEFAULT_MAX_EXCHANGES 1024
#define DEFAULT_MAX_HEAD      65536
#define DEFAULT_IDLE_NS	      2000000000ull

int clew_stream_new(const struct clew_stream_ops *ops, void *user,
		    const struct clew_stream_opts *opts, struct clew_stream **ret)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->heap = calloc(1, sizeof(*s->heap));
	if (!s->heap) {
		free(s);
		return -ENOMEM;
	}
	s->heap->refs = 1;
	s->ops = *ops;
	s->user = user;
	s->opts = *opts;
	if (!s->opts.max_conns)
		s->opts.max_conns = DEFAULT_MAX_CONNS;
	if (!s->opts.max_open_exchanges)
		s->opts.max_open_exchanges = DEFAULT_MAX_EXCHANGES;
	if (!s->opts.max_head_bytes)
		s->opts.max_head_bytes = DEFAULT_MAX_HEAD;
	if (!s->opts.idle_ns)
		s->opts.idle_ns = DEFAULT_IDLE_NS;
	list_init(&s->lru);
	list_init(&s->idle);
	list_init(&s->linger);
	list_init(&s->busy);
	*ret = (struct clew_stream *)s;
	return 0;
}

/* Which direction is which may change only between exchanges, and then both begin anew. */
static void set_role(struct conn *c, enum clew_role role, bool guessed)
{
	if (c->open)
		return;
	c->role_guessed = guessed;
	if (c->pub.role == role)
		return;
	c->pub.role = role;
	for (int d = 0; d < 2; d++) {
		c->flow[d].state = FLOW_HEAD;
		c->flow[d].x = NULL;
	}
}

/* The role of a connection that no record told: by its first bytes, else by who sends first. */
static void guess_role(struct conn *c, enum clew_dir dir, const struct cursor *cur)
{
	bool status, request;
	struct clew_http1_head h;

	if (c->pub.role != CLEW_ROLE_UNKNOWN && (!c->role_guessed || c->open))
		return;
	status = cur->cap && clew_http1_status_line(cursor_slice(cur), &h) > 0;
	request = cur->cap && clew_http1_request_line(cursor_slice(cur), &h) > 0;
	if (c->pub.role != CLEW_ROLE_UNKNOWN && !status && !request)
		return;
	set_role(c, (dir == CLEW_DIR_TX) != status ? CLEW_ROLE_CLIENT : CLEW_ROLE_SERVER, true);
}

static int dispatch(struct conn *c, enum clew_part part, struct cursor *cur)
{
	int r = 0;

	while (cur->n && !r) {
		switch (c->mode) {
		case MODE_UNKNOWN:
			if (part == CLEW_PART_REQUEST) {
				r = http_request_bytes(c, cur);
			} else if (c->open) {
				raw_begin_mode(c, c->open);
			} else {
				c->joined_mid = false;
				conn_unpaired(c, cur, cur->n);
			}
			break;
		case MODE_HTTP:
			r = part == CLEW_PART_REQUEST ? http_request_bytes(c, cur)
						      : http_response_bytes(c, cur);
			break;
		case MODE_RAW:
			r = raw_bytes(c, part, cur);
			break;
		case MODE_TUNNEL:
			r = tunnel_bytes(c, part, cur);
			break;
		}
	}
	return r;
}

static void gap(struct conn *c, enum clew_part part, uint64_t n, bool explained)
{
	c->hole_untold |= !explained;
	/* What may have become a request line will not. */
	if (c->mode == MODE_UNKNOWN && c->open)
		raw_begin_mode(c, c->open);
	if (c->mode != MODE_HTTP && (c->mode != MODE_UNKNOWN || part == CLEW_PART_RESPONSE))
		raw_gap(c, part, n);
	else if (part == CLEW_PART_REQUEST)
		http_request_gap(c, n);
	else
		http_response_gap(c, n, explained);
}

static void eof(struct conn *c, enum clew_part part)
{
	if (c->mode == MODE_HTTP)
		http_eof(c, part);
	else
		raw_eof(c, part);
}

static void watch_idle(struct conn *c)
{
	bool wanted = c->mode == MODE_HTTP  ? http_wants_idle(c)
		      : c->mode == MODE_RAW ? c->open && !c->framed && c->open->pub.resp.seen
					    : false;

	if (wanted)
		list_move_tail(&c->s->idle, &c->idle);
	else
		list_del(&c->idle);
}

/* No memory inside an operation: its bytes count as lost, and what is open is cut here. */
static void out_of_memory(struct conn *c)
{
	c->s->stats.dropped_exchanges += c->n_open;
	conn_end_all(c, CLEW_INC_LIMIT, false);
	c->req_hole = true;
	for (int d = 0; d < 2; d++) {
		c->flow[d].x = NULL;
		c->flow[d].state = c->mode == MODE_HTTP ? FLOW_SKIP : FLOW_HEAD;
	}
}

/* An operation whose turn it is. */
static int process(struct conn *c, const struct clew_rec_io *io)
{
	struct flow *f = &c->flow[io->dir], *other = &c->flow[!io->dir];
	uint64_t skip = 0, hole = 0, end = io->offset + io->bytes;
	enum clew_part part;
	struct cursor cur;
	int r = 0;

	if (io->offset > f->next)
		hole = io->offset - f->next;
	else
		skip = f->next - io->offset;
	if (skip && skip >= io->bytes)
		return 0;

	cur = (struct cursor){
		.io = io,
		.off = io->offset,
		.n = io->bytes,
		.p = (const char *)io + io->hdr_bytes + io->n_counters * sizeof(uint64_t),
		.cap = io->cap_len,
		.op_start = true,
	};
	cursor_take(&cur, skip);
	cur.op_start = true;
	if (io->bytes)
		guess_role(c, io->dir, &cur);
	part = io->dir == req_dir(c) ? CLEW_PART_REQUEST : CLEW_PART_RESPONSE;

	c->lost_told = hole ? 0 : io->lost_conn;
	if (c->lost_told && other->x)
		other->x->pub.incomplete |= CLEW_INC_LOSS;
	if (hole) {
		gap(c, part, hole, c->lost_seen > f->lost_at_last);
		f->next = io->offset;
	}
	r = dispatch(c, part, &cur);
	if (r)
		out_of_memory(c);
	if (c->s->touched)
		xch_io_flush(c->s->touched);
	if (part == CLEW_PART_REQUEST && io->bytes)
		c->hole_here = c->skipped = false;
	f->next = end;
	f->lost_at_last = c->lost_seen;
	if (io->end_ns > c->pub.last_ns)
		c->pub.last_ns = io->end_ns;
	if (io->hdr.flags & CLEW_IO_EOF)
		eof(c, part);
	return r;
}

/* Is there no request that the next message of the responses, f, can be for? */
static bool nothing_waits(const struct conn *c, const struct flow *f)
{
	if (c->mode == MODE_HTTP)
		return f->state == FLOW_HEAD && !f->x && !http_waiting(c);
	return c->mode == MODE_RAW && c->framed && !c->open;
}

/* Must this operation wait for another one? */
static bool early(struct conn *c, const struct clew_rec_io *io)
{
	const struct flow *f = &c->flow[io->dir];

	if (io->offset > f->next)
		return c->lost_seen <= f->lost_at_last;
	/*
	 * A response before its request: two threads share the socket, and the reader was faster. Or
	 * the request was lost, and nothing will come: then loss was told, mostly.
	 */
	return io->bytes && io->offset == f->next && io->dir != req_dir(c) && !c->req_hole &&
	       nothing_waits(c, f) && c->lost_seen <= req_flow(c)->lost_at_last;
}

static int hold(struct conn *c, const struct clew_rec_io *io)
{
	struct held **at = &c->held, *h = malloc(sizeof(*h));
	struct clew_rec_io *copy = malloc(io->hdr.len);

	if (!h || !copy) {
		free(h);
		free(copy);
		return -ENOMEM;
	}
	memcpy(copy, io, io->hdr.len);
	while (*at && ((*at)->io->dir != io->dir || (*at)->io->offset <= io->offset))
		at = &(*at)->next;
	*h = (struct held){.next = *at, .io = copy};
	*at = h;
	if (!c->n_held++) {
		c->hold_ns = c->s->now_ns;
		if (list_empty(&c->linger))
			list_move_tail(&c->s->linger, &c->linger);
	}
	return 0;
}

/* Process what need not wait any longer; all that waits if force. */
static int release(struct conn *c, bool force)
{
	struct held **at, *h;
	int r = 0, r2;

	for (at = &c->held; (h = *at);) {
		if (!force && early(c, h->io)) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		c->n_held--;
		r2 = process(c, h->io);
		if (!r)
			r = r2;
		free(h->io);
		free(h);
		at = &c->held;
	}
	return r;
}

static bool io_valid(const struct clew_rec_io *io)
{
	return io->hdr.len >= sizeof(*io) && io->hdr_bytes >= sizeof(*io) &&
	       io->dir <= CLEW_DIR_TX &&
	       (uint64_t)io->hdr_bytes + io->n_counters * sizeof(uint64_t) + io->cap_len <=
		       io->hdr.len &&
	       io->cap_len <= io->bytes && io->offset + io->bytes >= io->offset;
}

/* Threads used it at once, and which bytes are whose is not known: a hole that is explained. */
static int astray(struct conn *c)
{
	c->s->stats.astray_ops++;
	c->lost_seen++;
	conn_lost(c);
	return 0;
}

static int feed_io(struct stream *s, const struct clew_rec_io *io)
{
	struct conn *c;
	struct flow *f;
	int r, r2;

	if (!io_valid(io)) {
		s->stats.bad_records++;
		return 0;
	}
	s->op++;
	s->stats.ops++;
	s->stats.lost_ops += io->lost_conn;
	if (io->hdr.flags & CLEW_IO_PEEK)
		return 0;
	c = conn_find(s, io->conn);
	if (!c && !(c = conn_new(s, io->conn)))
		return -ENOMEM;
	list_move_tail(&s->lru, &c->lru);
	if (!c->pub.first_ns)
		c->pub.first_ns = io->begin_ns;
	c->lost_seen += io->lost_conn;
	c->pub.lost += io->lost_conn;
	if (io->hdr.flags & CLEW_IO_ASTRAY)
		return astray(c);
	if (!io->bytes && !(io->hdr.flags & CLEW_IO_EOF))
		return 0;
	f = &c->flow[io->dir];
	if (!f->known) {
		f->known = true;
		f->next = io->offset;
		if (io->offset && !c->pub.n_exchanges)
			c->joined_mid = c->req_hole = true;
	}
	/* What went by may count the operation that made us see an adopted connection. */
	if (f->adopted && io->offset < f->next)
		f->next = io->offset;
	f->adopted = false;
	if (early(c, io) && c->n_held < HOLD_MAX)
		return hold(c, io);
	r = c->n_held >= HOLD_MAX ? release(c, true) : 0;
	r2 = process(c, io);
	if (c->n_held) {
		int r3 = release(c, false);

		r2 = r2 ? r2 : r3;
	}
	if (c->closing && !c->open && !c->held)
		conn_close(c, 0);
	else
		watch_idle(c);
	return r ? r : r2;
}

static int set_path(struct conn *c, const struct clew_rec_conn *rec)
{
	const char *p = (const char *)rec + rec->hdr_bytes;
	size_t n = rec->path_len;

	if (!n || c->pub.path)
		return 0;
	c->pub.path = malloc(n + 1);
	if (!c->pub.path)
		return -ENOMEM;
	memcpy(c->pub.path, p, n);
	/* An abstract name begins with NUL, and may hold more of them. */
	for (size_t i = 0; i < n; i++)
		if (!c->pub.path[i] && !p[0])
			c->pub.path[i] = '@';
	c->pub.path[n] = '\0';
	return 0;
}

static void set_facts(struct conn *c, const struct clew_rec_conn *rec)
{
	struct clew_conn *p = &c->pub;

	p->family = rec->family;
	p->lport = rec->lport;
	p->rport = rec->rport;
	p->netns = rec->netns;
	if (rec->peer_conn)
		p->peer_cookie = rec->peer_conn;
	memcpy(p->laddr, rec->laddr, sizeof(p->laddr));
	memcpy(p->raddr, rec->raddr, sizeof(p->raddr));
	if (rec->role == CLEW_ROLE_CLIENT || rec->role == CLEW_ROLE_SERVER)
		set_role(c, rec->role, false);
	if (rec->event == CLEW_CONN_CONNECT)
		return;
	p->tx_seq0 = rec->tx_seq0;
	p->rx_seq0 = rec->rx_seq0;
	p->seq_known = rec->family == CLEW_AF_INET || rec->family == CLEW_AF_INET6;
	if (rec->event != CLEW_CONN_ADOPTED && !p->established_ns)
		p->established_ns = rec->ts_ns;
	for (int d = 0; d < 2; d++) {
		uint64_t went_by = d == CLEW_DIR_TX ? rec->tx_offset : rec->rx_offset;

		if (c->flow[d].known)
			continue;
		if (went_by && !c->pub.n_exchanges)
			c->joined_mid = c->req_hole = true;
		c->flow[d].known = true;
		c->flow[d].adopted = rec->event == CLEW_CONN_ADOPTED;
		c->flow[d].next = went_by;
	}
}

/*
 * Were more bytes moved than operations told of? The one that learns that the other side is gone is told after the
 * connection is closed.
 */
static bool untold(const struct conn *c, const struct clew_rec_conn *rec)
{
	const struct flow *tx = &c->flow[CLEW_DIR_TX], *rx = &c->flow[CLEW_DIR_RX];

	return (tx->known && rec->tx_offset > tx->next) || (rx->known && rec->rx_offset > rx->next);
}

static void closed(struct conn *c, const struct clew_rec_conn *rec)
{
	struct stream *s = c->s;

	if (rec->lost > c->pub.lost) {
		s->stats.lost_ops += rec->lost - c->pub.lost;
		c->lost_seen += rec->lost - c->pub.lost;
		c->pub.lost = rec->lost;
		conn_lost(c);
	}
	if (!c->open && !c->held && !untold(c, rec)) {
		conn_close(c, 0);
		return;
	}
	c->closing = true;
	c->close_ns = s->now_ns;
	if (list_empty(&c->linger))
		list_move_tail(&s->linger, &c->linger);
}

static int feed_conn(struct stream *s, const struct clew_rec_conn *rec)
{
	struct conn *c;

	if (rec->hdr.len < sizeof(*rec) || rec->hdr_bytes < sizeof(*rec) ||
	    rec->hdr_bytes + rec->path_len > rec->hdr.len) {
		s->stats.bad_records++;
		return 0;
	}
	c = conn_find(s, rec->conn);
	if (rec->event == CLEW_CONN_CLOSED) {
		if (c)
			closed(c, rec);
		return 0;
	}
	if (rec->event < CLEW_CONN_CONNECT || rec->event > CLEW_CONN_ADOPTED)
		return 0;
	if (!c && !(c = conn_new(s, rec->conn)))
		return -ENOMEM;
	list_move_tail(&s->lru, &c->lru);
	if (!c->pub.first_ns)
		c->pub.first_ns = rec->ts_ns;
	set_facts(c, rec);
	if (set_path(c, rec))
		return -ENOMEM;
	if (rec->event != CLEW_CONN_CONNECT)
		return 0;
	/* A second connect() on the same socket: the one that asks how the first went does not
	 * count. */
	if (c->pub.established_ns || !rec->tgid)
		return 0;
	c->pub.connector = (struct clew_thread_ref){.proc_start_ns = rec->proc_start_ns,
						    .task = rec->task,
						    .tgid = rec->tgid,
						    .tid = rec->tid};
	c->pub.connect_ns = rec->ts_ns;
	set_role(c, CLEW_ROLE_CLIENT, false);
	if (s->ops.connect)
		s->ops.connect(s->user, &c->pub);
	return 0;
}

static void linger_due(struct conn *c)
{
	struct stream *s = c->s;

	list_del(&c->linger);
	if (c->held && c->hold_ns + LINGER_NS <= s->now_ns) {
		release(c, true);
		watch_idle(c);
	}
	if (c->closing && (c->close_ns + LINGER_NS <= s->now_ns || (!c->open && !c->held)))
		conn_close(c, 0);
	else if (c->held || c->closing)
		list_move_tail(&s->linger, &c->linger);
}

void clew_stream_advance(struct clew_stream *pub, uint64_t now_ns)
{
	struct stream *s = (struct stream *)pub;
	struct conn *c;

	if (now_ns > s->now_ns)
		s->now_ns = now_ns;
	for (struct list *l = s->linger.next, *next; l != &s->linger; l = next) {
		next = l->next;
		c = list_conn(l, linger);
		if ((!c->held || c->hold_ns + LINGER_NS > s->now_ns) &&
		    (!c->closing || c->close_ns + LINGER_NS > s->now_ns))
			break;
		linger_due(c);
	}
	while (!list_empty(&s->idle)) {
		c = list_conn(s->idle.next, idle);
		if (c->pub.last_ns + s->opts.idle_ns > s->now_ns)
			break;
		list_del(&c->idle);
		if (c->mode == MODE_HTTP)
			http_idle(c);
		else
			raw_idle(c);
	}
}

int clew_stream_feed(struct clew_stream *pub, const struct clew_rec *rec)
{
	struct stream *s = (struct stream *)pub;

	switch (rec->type) {
	case CLEW_REC_IO:
		if (rec->len < sizeof(struct clew_rec_io))
			break;
		clew_stream_advance(pub, ((const struct clew_rec_io *)rec)->end_ns);
		return feed_io(s, (const struct clew_rec_io *)rec);
	case CLEW_REC_CONN:
		if (rec->len < sizeof(struct clew_rec_conn))
			break;
		clew_stream_advance(pub, ((const struct clew_rec_conn *)rec)->ts_ns);
		return feed_conn(s, (const struct clew_rec_conn *)rec);
	default:
		return 0;
	}
	s->stats.bad_records++;
	return 0;
}

void clew_stream_process_gone(struct clew_stream *pub, uint32_t tgid, uint64_t now_ns)
{
	struct stream *s = (struct stream *)pub;

	clew_stream_advance(pub, now_ns);
	for (struct list *l = s->busy.next, *next; l != &s->busy; l = next) {
		struct conn *c = list_conn(l, busy);

		next = l->next;
		if (c->open->pub.tgid != tgid)
			continue;
		conn_end_all(c, 0, true);
		c->req_hole = true;
		list_del(&c->idle);
	}
}

void clew_stream_flush(struct clew_stream *pub)
{
	struct stream *s = (struct stream *)pub;

	while (!list_empty(&s->linger)) {
		struct conn *c = list_conn(s->linger.next, linger);

		list_del(&c->linger);
		release(c, true);
		if (c->closing)
			conn_close(c, 0);
	}
	while (!list_empty(&s->busy)) {
		struct conn *c = list_conn(s->busy.next, busy);

		conn_end_all(c, 0, false);
		c->req_hole = true;
		list_del(&c->idle);
	}
}

void clew_stream_free(struct clew_stream *pub)
{
	struct stream *s = (struct stream *)pub;

	if (!s)
		return;
	clew_stream_flush(pub);
	while (!list_empty(&s->lru))
		conn_close(list_conn(s->lru.next, lru), 0);
	free(s->slots);
	heap_unref(s->heap);
	free(s);
}

const struct clew_stream_stats *clew_stream_stats(const struct clew_stream *pub)
{
	return &((const struct stream *)pub)->stats;
}
