/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections, ordered bytes with gaps, messages and exchanges.
 *
 * Records go in, in the order of the record stream; exchanges come out by callbacks:
 *
 *	io, conn ──► connection ──► two directions of bytes, each with gaps
 *	                                │  a protocol's parser, or direction flips and byte counts
 *	                                ▼
 *	                            messages ──► exchange = request + response
 *
 * An exchange is seen from one end: the server's end of a call and the client's end are two exchanges
 * with the same wire key. An exchange lives from its begin() callback until its owner frees it after
 * end(). Every exchange that began ends exactly once: complete, or marked incomplete.
 *
 * Time is the records' own: nothing here reads a clock, so a replay gives the same answer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi/record.h"
#include "base/id.h"
#include "base/marks.h"
#include "base/slice.h"

enum clew_proto {
	CLEW_PROTO_RAW = 0, /* direction flips and byte counts */
	CLEW_PROTO_HTTP1 = 1,
};

struct clew_thread_ref {
	uint64_t proc_start_ns;
	uint64_t task;
	uint32_t tgid;
	uint32_t tid;
};

/* A message is the request or the response of an exchange. */
struct clew_message {
	uint64_t offset;	      /* of its first byte, in its direction */
	uint64_t bytes;		      /* seen so far: head and body */
	uint64_t body_bytes;	      /* of them body, without chunk framing where it was seen */
	uint64_t first_begin_ns;      /* begin of the operation that moved its first byte */
	uint64_t first_ns;	      /* end of that operation */
	uint64_t last_ns;	      /* end of the operation that moved its last byte */
	struct clew_thread_ref first; /* who moved its first byte */
	struct clew_thread_ref last;
	uint32_t n_ops;
	bool seen; /* at least one byte was */
	bool done;
	struct slice head; /* captured bytes from its start, a copy that the exchange owns: an HTTP
				 * head, or a raw message's first bytes; may be cut */
};

/* What HTTP/1.x said; slices point into the messages' heads. */
struct clew_http {
	struct slice method;
	struct slice target; /* as sent: origin, absolute, authority or asterisk form */
	uint8_t minor;	 /* HTTP/1.minor of the request (of the response where that was not seen) */
	uint16_t status; /* 0: not seen */
	bool upgraded;	 /* 101, or 2xx to CONNECT: bytes after it are the new protocol's */
	int64_t req_content_length; /* -1: none */
	int64_t resp_content_length;
	bool fields_known; /* the request's head was whole: these fields of it are all there are */
	bool trace;	   /* ... a field of a trace is there: traceparent, b3, X-B3-TraceId */
	struct slice host, user_agent;
};

struct clew_conn;

struct clew_exchange {
	uint64_t id;		/* counts up from 1 in one stream */
	struct clew_conn *conn; /* outlives the exchange */
	enum clew_proto proto;
	enum clew_role role; /* SERVER: this end answered; CLIENT: this end asked */
	uint32_t incomplete; /* enum clew_incomplete */
	uint32_t tgid;	     /* the process at this end, of the request's first byte */
	uint64_t proc_start_ns;
	struct clew_id128 wire_key;
	bool has_wire_key; /* false where the offset of the request is not known */
	bool conn_closed;  /* it ended because its connection did, not because tracing stopped */
	bool began_by_connect; /* client: the first exchange of a connection whose connect() was seen */
	struct clew_message req;
	struct clew_message resp;
	struct clew_http http;
	void *user;  /* the pipeline's */
	void *cause; /* the causality engine's */
	/* Thread counters at the request's first operation and at the response's last. */
	uint8_t n_cnt_begin, n_cnt_end;
	uint64_t cnt_begin[CLEW_CNT_MAX], cnt_end[CLEW_CNT_MAX]; /* so many of them are set */
	/* private to the stream layer from here on */
	struct clew_exchange *next;
};

/* A connection's facts; the rest of it is private. */
struct clew_conn {
	uint64_t cookie;
	uint64_t peer_cookie; /* unix */
	enum clew_role role;
	enum clew_proto proto;
	uint16_t family; /* enum clew_family */
	uint16_t lport, rport;
	uint8_t laddr[16], raddr[16];
	uint32_t netns;
	uint32_t tx_seq0, rx_seq0;
	bool seq_known;
	char *path; /* unix: the listener's path, NUL-terminated, '@' for an abstract one; NULL if none */
	struct clew_thread_ref connector; /* who called connect(); tgid 0 if that was not seen */
	uint64_t connect_ns;		  /* when; 0 if not seen */
	uint64_t established_ns;
	uint64_t first_ns, last_ns;
	uint64_t n_exchanges;
	uint64_t lost;		  /* operations lost, as far as is known */
	void *user;		  /* the pipeline's */
	uint64_t caller;	  /* the causality engine's: the task that called on it last, */
	uint32_t callers_changed; /* and how often that was another one than before */
};

enum clew_part { CLEW_PART_REQUEST, CLEW_PART_RESPONSE };

/*
 * Callbacks; none may feed the stream. All may be NULL. For one operation that touches an exchange they
 * come in the order begin, head, io, end; head() is called once for each exchange.
 */
struct clew_stream_ops {
	/* The first byte of a request was moved. Head fields may still be empty. */
	void (*begin)(void *u, struct clew_exchange *x);
	/* The request's head is known (or will not be): method, target and headers are final. */
	void (*head)(void *u, struct clew_exchange *x);
	/*
	 * An operation moved bytes of this exchange. first: the first of this part. Called once for
	 * each exchange that the operation touched, in wire order, after begin().
	 */
	void (*io)(void *u, struct clew_exchange *x, enum clew_part part, bool first,
		   const struct clew_rec_io *io);
	/* It is over: complete, or as incomplete says. The callee owns x: clew_exchange_free(). */
	void (*end)(void *u, struct clew_exchange *x);
	/* connect() was called by a target; c->connector and c->connect_ns are set. */
	void (*connect)(void *u, struct clew_conn *c);
	/* The connection is gone; every exchange of it has ended. */
	void (*close)(void *u, struct clew_conn *c);
};

struct clew_stream_opts {
	struct clew_id128 boot_id;   /* for loopback and unix wire keys */
	uint32_t max_conns;	     /* 0: 262144; the least recently used is closed beyond it */
	uint32_t max_open_exchanges; /* 0: 1024 a connection (pipelining) */
	uint32_t max_head_bytes;     /* 0: 65536 kept of one head */
	uint64_t idle_ns; /* 0: 2 s; a response whose end is not known ends after this silence */
	bool no_response_heads; /* nobody wants them: those that are whole at once are not copied */
};

struct clew_stream_stats {
	uint64_t ops, messages, exchanges, conns, conns_open;
	uint64_t lost_ops; /* as the records say */
	uint64_t
		astray_ops; /* whose place in the stream is not known: bytes that are missing there */
	uint64_t gaps;	    /* places where bytes were not captured inside a head */
	uint64_t resyncs;   /* parsers that lost and found their place */
	uint64_t
		unpaired_ops; /* operations with bytes of no exchange: a server's greeting, the rest
				   * of a response that began before us, what a loss left unpaired */
	uint64_t bad_records; /* impossible ones, skipped */
	uint64_t dropped_conns, dropped_exchanges; /* limits */
};

struct clew_stream;

/** clew_stream_new() - ops and opts are copied. Returns 0, -ENOMEM. */
int clew_stream_new(const struct clew_stream_ops *ops, void *user,
		    const struct clew_stream_opts *opts, struct clew_stream **ret);
/** clew_stream_free() - ends every open exchange first (their callbacks run). Takes NULL. */
void clew_stream_free(struct clew_stream *s);

/**
 * clew_stream_feed() - one record of type io or conn (others are ignored).
 * Never fails for bad input: an impossible record is counted and skipped. Returns 0 or -ENOMEM.
 */
int clew_stream_feed(struct clew_stream *s, const struct clew_rec *rec);
/** clew_stream_advance() - the record stream has reached now_ns: apply idle limits. */
void clew_stream_advance(struct clew_stream *s, uint64_t now_ns);
/** clew_stream_process_gone() - end what the process's connections still had open. */
void clew_stream_process_gone(struct clew_stream *s, uint32_t tgid, uint64_t now_ns);
/** clew_stream_flush() - tracing ends: end every open exchange. */
void clew_stream_flush(struct clew_stream *s);
const struct clew_stream_stats *clew_stream_stats(const struct clew_stream *s);

void clew_exchange_free(struct clew_exchange *x);

/** clew_conn_ref() - the connection outlives what refers to it. Returns c. */
struct clew_conn *clew_conn_ref(struct clew_conn *c);
void clew_conn_unref(struct clew_conn *c);

/**
 * clew_exchange_header() - the value of an HTTP header, name compared without case, first match.
 * Returns an empty slice (p NULL) if it is absent or was not captured.
 */
struct slice clew_exchange_header(const struct clew_exchange *x, enum clew_part part,
				  struct slice name);

/**
 * clew_wire_key() - the 128-bit key that both ends of an exchange compute alike.
 * @c: a connection with its addresses (and sequence numbers for TCP).
 * @dir: the direction of the request as seen from this end: TX at the client.
 * @offset: of the request's first byte. @stream_id: 0 for protocols without streams.
 * Source: docs/architecture.md, "Ids".
 */
struct clew_id128 clew_wire_key(const struct clew_conn *c, enum clew_dir dir, uint64_t offset,
				uint32_t stream_id, const struct clew_id128 *boot_id);
