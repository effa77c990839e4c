/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the stream layer share.
 *
 *	struct stream ── table: cookie ─► struct conn ── flow[RX], flow[TX]
 *	                                      │              └─ x: whose head or body the next byte is of
 *	                                      └─ open: xch ─► xch ─► xch   in wire order, oldest first
 *
 * A connection is in one of these modes:
 *
 *	UNKNOWN ─┬─► HTTP ─► TUNNEL (after 101, or 2xx to CONNECT; stays)
 *	         │    │ ▲
 *	         └─► RAW┘   a boundary without a request line: RAW; a run that begins with one: HTTP
 *
 * Pairing. Requests and responses of HTTP/1.x pair by order alone, so it is certain only while both
 * directions are followed without a hole. A hole inside a body whose length is known costs nothing
 * but a mark. After any other hole
 *	- in the request direction, requests that begin later are `unsure`: unseen ones may be before
 *	  them;
 *	- in the response direction, nothing that was open can be paired any more.
 * An unsure request is paired again, and pairing with it, when its response begins an operation with
 * a status line, nothing was lost between the two, nothing else is open, and this client was never
 * seen to pipeline; then the answer to what is in the hole came before it, as bytes of nobody or in a
 * hole of the responses. Where it was, or where nobody told of the loss (others may have moved the bytes
 * and still wait for their answer), there must be silence of idle_ns before it, too. Anything else
 * ends unpaired.
 */
#pragma once

#include "base/pool.h"
#include "proto/http1.h"
#include "proto/resp.h"
#include "stream/stream.h"

/* Records that wait for an earlier offset, a connection; more and the hole is taken as a loss. */
#define HOLD_MAX 8
/* How long they wait, and how long a closed connection waits for late records. */
#define LINGER_NS 50000000ull
/* A raw connection on which nothing moved for so long has nothing in flight. */
#define REST_NS 100000000ull
/* A raw connection that is closed so soon after its last message was closed with it. */
#define GOODBYE_NS 50000000ull
/* Kept of a raw message's first operation. */
#define RAW_HEAD_MAX 1024

struct conn;
struct stream;

struct list {
	struct list *prev, *next;
};

struct xch {
	struct clew_exchange pub; /* first */
	char *buf[2]; /* by enum clew_part: what pub.req.head and pub.resp.head point to */
	size_t cap[2];
	uint64_t lost_at_begin;		      /* conn.lost_seen when it began */
	uint64_t op_seen[2];		      /* stream.op that touched the part last */
	const struct clew_rec_io *pending_io; /* io() is due for this part */
	uint8_t pending_part;
	bool pending_first;
	bool head_told;	      /* head() was called */
	bool unsure;	      /* a hole in the requests is before it */
	bool quiet;	      /* began after silence */
	bool owed;	      /* unsure, and the answer to what is in the hole was not seen */
	bool resp_open_ended; /* the response's framing was lost or never known */
	bool wants_upgrade; /* Upgrade or CONNECT: what follows the head may be another protocol */
	bool expects;	    /* 100-continue: the body may never be sent */
	bool interim;	    /* the response bytes being gathered are of a 1xx */
	bool ended;
};

enum flow_state {
	FLOW_HEAD,    /* at a boundary, or inside a head (x set) */
	FLOW_LENGTH,  /* in a body of `left` more bytes */
	FLOW_CHUNKED, /* in a chunked body */
	FLOW_CLOSE,   /* in a body that ends with the connection */
	FLOW_OPEN, /* in a body whose end is not marked: the next flip or strong signature ends it
		    */
	FLOW_SKIP, /* out of step: bytes belong to nothing that is known */
};

/* One direction. */
struct flow {
	uint64_t next; /* offset of the next byte */
	bool known;    /* next is meaningful */
	bool adopted;  /* next is from the record of an adopted connection; no operation yet */
	enum flow_state state;
	uint64_t left;
	bool headless;	       /* FLOW_OPEN began in a head: where the body does is not known */
	uint64_t lost_at_last; /* conn.lost_seen at its last record */
	struct clew_http1_chunks chunks;
	struct xch *x; /* whose head or body it is in; NULL at a boundary */
};

enum mode { MODE_UNKNOWN, MODE_HTTP, MODE_RAW, MODE_TUNNEL };

struct held {
	struct held *next;
	struct clew_rec_io *io; /* a copy, tail included */
};

struct conn {
	struct clew_conn pub; /* first */
	struct stream *s;     /* NULL once it left the table */
	struct heap *heap;    /* a reference */
	uint32_t refs;	      /* the table's and its exchanges' */
	struct list lru, idle, linger, busy;
	struct flow flow[2]; /* by enum clew_dir */
	enum mode mode;
	bool role_guessed;
	bool joined;	  /* adopted: what is in flight at first began before us */
	bool joined_mid;  /* ... and no exchange began yet */
	bool answered;	  /* raw: some response was seen */
	bool framed;	  /* raw: the messages that are open say where they end */
	bool pipelined;	  /* a request was sent while another was unanswered */
	bool req_hole;	  /* requests that begin now are unsure */
	bool hole_here;	  /* a hole of whole requests is right before the request bytes at hand */
	bool skipped;	  /* bytes of nobody came after the last request bytes */
	bool hole_untold; /* a hole for which no loss was told: unseen requests may still be open */
	bool closing;
	uint64_t close_ns;
	uint64_t hold_ns;   /* when the oldest held record came */
	uint64_t lost_seen; /* sum of lost_conn */
	uint64_t lost_told; /* of them, by the record at hand */
	struct held *held;  /* by offset, both directions; at most HOLD_MAX */
	uint32_t n_held;
	struct clew_resp resp[2]; /* framed: where in its message each part is */
	struct xch *open, **open_tail;
	uint32_t n_open;
};

/* What exchanges and connections are made of; as long as one of them is there, it is. */
struct heap {
	uint32_t refs; /* the stream's and its connections' */
	struct clew_pool pool;
};

struct stream {
	struct clew_stream_ops ops;
	struct heap *heap;
	void *user;
	struct clew_stream_opts opts;
	struct clew_stream_stats stats;
	struct conn *
		*slots; /* open addressing, a power of two; at most opts.max_conns are in use */
	uint32_t n_slots, n_conns;
	struct list lru, idle, linger, busy; /* of conns; oldest first */
	uint64_t now_ns;
	uint64_t op;	      /* counts io records */
	uint64_t unpaired_op; /* the last one of which bytes went to no exchange */
	struct xch *touched;  /* by the operation at hand, io() still due */
	uint64_t next_id;
};

/* The bytes of one operation that are still to be given to exchanges. */
struct cursor {
	const struct clew_rec_io *io;
	uint64_t off;
	uint64_t n;    /* left */
	const char *p; /* of them captured, from the first on */
	size_t cap;
	bool op_start; /* nothing of the operation was taken yet */
};

/* list.h, in short. An element that is in no list points to itself. */
static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_del(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

static inline void list_move_tail(struct list *head, struct list *l)
{
	list_del(l);
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

#define list_conn(l, member) ((struct conn *)((char *)(l) - offsetof(struct conn, member)))

static inline void cursor_take(struct cursor *cur, uint64_t n)
{
	size_t seen = n < cur->cap ? (size_t)n : cur->cap;

	cur->off += n;
	cur->n -= n;
	cur->p += seen;
	cur->cap -= seen;
	if (n)
		cur->op_start = false;
}

static inline struct slice cursor_slice(const struct cursor *cur)
{
	return slice_of(cur->p, cur->cap);
}

/* The direction that requests of this connection travel in, as seen from this end. */
static inline enum clew_dir req_dir(const struct conn *c)
{
	return c->pub.role == CLEW_ROLE_SERVER ? CLEW_DIR_RX : CLEW_DIR_TX;
}

static inline struct flow *req_flow(struct conn *c)
{
	return &c->flow[req_dir(c)];
}

static inline struct flow *resp_flow(struct conn *c)
{
	return &c->flow[!req_dir(c)];
}

/* table.c */
struct conn *conn_find(const struct stream *s, uint64_t cookie);
/* A new connection, the least recently used one closed if the table is full. NULL: no memory. */
struct conn *conn_new(struct stream *s, uint64_t cookie);
/* End what is open, tell close() and drop it from the table. */
void conn_close(struct conn *c, uint32_t incomplete);
void conn_unref(struct conn *c);
void heap_unref(struct heap *h);

/* exchange.c */
/* A new exchange at the tail of the connection's queue; begin() is told. NULL: no memory. */
struct xch *xch_begin(struct conn *c, const struct clew_rec_io *io, uint64_t req_offset,
		      enum clew_proto proto);
/* n bytes of this operation, the first of them at off, are of this part. */
void xch_touch(struct xch *x, enum clew_part part, const struct clew_rec_io *io, uint64_t off,
	       uint64_t n, uint64_t body);
/* Append to the copy of a head. 0, -ENOMEM, or -EFBIG over the limit (nothing is appended then). */
int xch_keep(struct xch *x, enum clew_part part, struct slice bytes, size_t limit);
void xch_forget(struct xch *x, enum clew_part part);
void xch_head_told(struct xch *x);
/* Tell io() if it is due. */
void xch_io_flush(struct xch *x);
/* Take it out of the queue and hand it over. */
void xch_end(struct xch *x, uint32_t incomplete);
/* End everything that is open, as a connection that ends now leaves it. */
void conn_end_all(struct conn *c, uint32_t incomplete, bool closed);

/* Bytes that belong to no exchange. */
void conn_unpaired(struct conn *c, struct cursor *cur, uint64_t n);
/* Operations were lost: of any exchange that is open. */
void conn_lost(struct conn *c);

/* http_request.c */
int http_request_bytes(struct conn *c, struct cursor *cur);
void http_request_done(struct conn *c, struct xch *x);
/* A hole of n bytes. */
void http_request_gap(struct conn *c, uint64_t n);

/* http_response.c */
int http_response_bytes(struct conn *c, struct cursor *cur);
void http_response_done(struct conn *c, struct xch *x);
/* explained: loss was reported for the hole. */
void http_response_gap(struct conn *c, uint64_t n, bool explained);
/* The exchange that the next response answers, NULL if none is known to wait. */
struct xch *http_waiting(const struct conn *c);
void http_eof(struct conn *c, enum clew_part part);
bool http_wants_idle(struct conn *c);
void http_idle(struct conn *c);

/* http_body.c */
/* What a parser says of a head. */
enum verdict {
	HEAD_WHOLE,
	HEAD_MORE, /* captured so far; goes on in a later operation */
	HEAD_CUT,  /* goes on past what was captured */
	HEAD_BAD,  /* the first line is right, the fields are not */
	HEAD_NOT,  /* not HTTP/1.x */
};
/* A head was read whole: what follows it is framed like this. Not for CLOSE and TUNNEL. */
void http_body_begin(struct flow *f, struct xch *x, const struct clew_http1_head *h,
		     enum clew_http1_body body);
/* The head will not be known whole: what there is of it, and bytes up to the next flip. why: CLEW_INC_. */
void http_head_broken(struct conn *c, struct xch *x, enum clew_part part, struct cursor *cur,
		      uint32_t why);
/* Take bytes of a body. 1: it is complete; 0: goes on (or its framing was lost: FLOW_OPEN). */
int http_body(struct conn *c, enum clew_part part, struct flow *f, struct cursor *cur);
/* Pass over a hole in a body as far as its framing reaches. 1: and the body is complete there. */
int http_body_gap(struct flow *f, uint64_t n, uint64_t *ret_over);

/* raw.c */
int raw_bytes(struct conn *c, enum clew_part part, struct cursor *cur);
void raw_gap(struct conn *c, enum clew_part part, uint64_t n);
void raw_eof(struct conn *c, enum clew_part part);
void raw_idle(struct conn *c);
/* The connection was closed, and what was asked last did not ask for an answer. */
bool raw_needs_none(const struct conn *c, const struct xch *x);
/* From the request at hand on this connection is raw; x (may be NULL) becomes a raw exchange. */
void raw_begin_mode(struct conn *c, struct xch *x);
int tunnel_bytes(struct conn *c, enum clew_part part, struct cursor *cur);
