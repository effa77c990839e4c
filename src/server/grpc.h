/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OTLP over gRPC: TraceService/Export on HTTP/2 (libnghttp2), and nothing else of gRPC.
 *
 *	loop (a thread) ─► connection (HTTP/2 session, perhaps TLS) ─► call (a stream) ─► ingest
 *	     ▲                                                             │
 *	     └────────── finished calls, eventfd ◄── the store's writer ◄──┘
 *
 * Two loops accept from one socket; each owns its connections and their calls and alone touches them.
 * Only ingest_done comes from another thread: it puts the call on its loop's list. A call outlives its
 * connection until then.
 *
 * Source: gRPC over HTTP/2 (PROTOCOL-HTTP2.md), OTLP/gRPC.
 */
#pragma once

#include <nghttp2/nghttp2.h>

#include "server/ingest.h"

#define GRPC_LOOPS 2u
/* Of all loops; more are closed at once. */
#define GRPC_CONNECTIONS 512u
/* Calls of one connection at a time. */
#define GRPC_STREAMS 100u
/* A message, before and after decompression; more is RESOURCE_EXHAUSTED. */
#define GRPC_MAX_MESSAGE (4u << 20)
/* Of a call that is refused, this is read all the same; then it is reset. */
#define GRPC_DISCARD (64u << 20)
/* A connection without a call is closed after this silence; one that does not greet, sooner. */
#define GRPC_IDLE_NS (600ull * 1000 * 1000 * 1000)

struct grpc_loop;
struct grpc_tls;

struct grpc_conn {
	struct grpc_loop *loop;
	int fd;
	void *tls;				     /* gnutls_session_t, or NULL */
	bool handshaking, greeted, dead, want_write; /* greeted: its first frame has come */
	nghttp2_session *session;
	struct grpc_call *calls;
	uint32_t n_calls;
	uint64_t opened_ns, active_ns; /* when it came; when it last got bytes */
	const uint8_t *out;	       /* the session's, not yet written */
	size_t out_n;
	struct grpc_conn *prev, *next;
};

struct grpc_call {
	struct grpc_loop *loop;
	struct grpc_conn *conn; /* NULL: it is gone */
	int32_t stream;
	bool path_ok, type_ok, authorized, gzip, coding_bad;
	bool submitted; /* ingest has it, or had it */
	uint64_t begin_ns;
	struct clew_buf body; /* the frame: 5 bytes and the message */
	uint64_t taken;
	enum clew_rpc_code refuse; /* when its body has come; OK: not refused */
	const char *refuse_why;
	struct ingest_result res;
	struct clew_buf answer; /* 5 bytes and the message */
	size_t answered;
	struct grpc_call *prev, *next; /* of the connection */
	struct grpc_call *done_next;   /* of the loop's finished ones */
};

struct grpc_loop {
	struct grpc *grpc;
	pthread_t thread;
	bool has_thread;
	int epoll_fd, event_fd;
	struct grpc_conn *conns;
	pthread_mutex_t lock; /* finished */
	struct grpc_call *finished;
	uint32_t waiting; /* calls that ingest has; under lock */
};

struct grpc {
	struct clew_server *server;
	int listen_fd;
	struct grpc_tls *tls;
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	struct grpc_loop loops[GRPC_LOOPS];
	_Atomic uint32_t n_conns;
	_Atomic bool stopping;
};

/* ---- grpc.c: the loops ---- */
/** grpc_start() - takes the listening socket over, also on failure. */
int grpc_start(struct clew_server *s, int listen_fd, struct grpc **ret, char **ret_error);
/** grpc_stop() - no new calls; those that run end (5 s). Takes NULL. */
void grpc_stop(struct grpc *g);

/* ---- grpc_conn.c: one connection ---- */
int grpc_callbacks(nghttp2_session_callbacks **ret);
/** grpc_conn_new() - takes the socket over, also on failure. */
void grpc_conn_new(struct grpc_loop *l, int fd);
/** grpc_conn_io() - the socket is ready: read, work, write. Closes it when it is over. */
void grpc_conn_io(struct grpc_conn *c, uint32_t events);
/** grpc_conn_flush() - write what the session has. */
void grpc_conn_flush(struct grpc_conn *c);
void grpc_conn_close(struct grpc_conn *c);
/** grpc_conn_look() - reset calls that take too long; close it if it is silent. */
void grpc_conn_look(struct grpc_conn *c, uint64_t now);

/* ---- grpc_call.c: one call ---- */
struct grpc_call *grpc_call_new(struct grpc_conn *c, int32_t stream);
void grpc_call_header(struct grpc_call *call, struct slice name, struct slice value);
/** grpc_call_data() - false: too much of it, reset it. */
bool grpc_call_data(struct grpc_call *call, const uint8_t *data, size_t n);
/** grpc_call_end() - the request is whole. */
void grpc_call_end(struct grpc_call *call);
/** grpc_call_closed() - its stream is gone. Frees it, unless ingest has it. */
void grpc_call_closed(struct grpc_call *call);
/** grpc_call_finished() - what ingest said, from the loop. */
void grpc_call_finished(struct grpc_call *call);

/* ---- grpc_tls.c ---- */
int grpc_tls_new(const char *cert, const char *key, struct grpc_tls **ret, char **ret_error);
void grpc_tls_free(struct grpc_tls *t);
int grpc_tls_session(struct grpc_tls *t, int fd, void **ret);
void grpc_tls_end(void *session);
/** 0: done; -EAGAIN; others: it failed. */
int grpc_tls_handshake(void *session);
/** Bytes; 0: the end; -EAGAIN; others. */
ssize_t grpc_tls_read(void *session, void *p, size_t n);
ssize_t grpc_tls_write(void *session, const void *p, size_t n);
