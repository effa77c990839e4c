/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the server share.
 *
 *	listener (Unix socket, HTTP) ─► connection, a thread each ─► request ─► route ─► answer
 *
 * A request's body is read up to its route's limit, all bodies together up to SERVER_BODIES; a
 * connection that takes too long over a request is closed by the watch. Every limit has a counter.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include <microhttpd.h>

#include "base/buf.h"
#include "server/server.h"

/* Bytes of all requests' bodies at a time; more is answered 503. */
#define SERVER_BODIES (256ull << 20)
/* Queries at a time on the HTTP port; one more waits this long, then is answered 503. */
#define SERVER_QUERIES	     8u
#define SERVER_QUERY_WAIT_NS (10ull * 1000 * 1000 * 1000)
/* Of a query that is to be asked anew, as it found a damaged block (-ERESTART). */
#define SERVER_QUERY_TRIES 3
/* How often one that waits looks whether its client still does. */
#define SERVER_QUERY_LOOK_NS (250ull * 1000 * 1000)
/* From a request's first line to the last byte of its body. */
#define SERVER_REQUEST_NS (30ull * 1000 * 1000 * 1000)
/* What clew_server_stop() leaves to requests that run. */
#define SERVER_DRAIN_NS (5ull * 1000 * 1000 * 1000)

enum listener_kind { LISTEN_UNIX, LISTEN_HTTP, LISTEN_OTLP, LISTEN_KINDS };

struct listener {
	struct clew_server *server;
	enum listener_kind kind;
	struct MHD_Daemon *daemon;
	uint16_t port;
};

/* A connection; in the server's list from accept to close. */
struct conn {
	struct listener *listener;
	int fd;
	uint64_t since_ns; /* monotonic: of what it does now */
	bool reading;	   /* a request's first line has come, its last byte not */
	bool answering;
	struct conn *prev, *next;
};

struct request;

/* What answers a path. */
struct route {
	const char *path;
	bool below; /* paths that begin with it, too */
	bool post;  /* POST, else GET and HEAD */
	bool get_or_post;
	bool any;    /* the call decides on the method itself */
	bool open;   /* without a token, from any Host */
	size_t body; /* bytes of its body at most */
	/* Before the body comes: 0, or the status to refuse it with; NULL: nothing to check. */
	int (*head)(struct request *rq, const char **ret_why);
	enum MHD_Result (*run)(struct request *rq);
};

/* One request, from its first line to its answer. */
struct request {
	struct listener *listener;
	struct clew_server *server;
	struct MHD_Connection *mhd;
	struct conn *conn;
	const struct route *route;
	const char *method;
	char *target; /* as it was sent */
	struct slice path;
	struct clew_buf body;
	struct z_stream_s *unpack; /* of a body that comes compressed, or NULL */
	uint64_t bodies;	   /* its part of server->bodies */
	uint64_t taken;		   /* bytes of its body so far */
	bool unpacked;		   /* to the end of a gzip member */
	int refuse;		   /* the status to refuse it with when its body is read; 0: none */
	bool begun;
	int status;			       /* of its answer, for the log */
	int64_t left_out[CLEW_STORE_LEFT_OUT]; /* hours that the answer is without */
	size_t n_left_out;
	uint64_t begin_ns;
};

/* Numbers of its own, for /metrics. */
struct server_counters {
	_Atomic uint64_t requests, refused_auth, refused_host, refused_size, refused_busy,
		refused_gone, timed_out;
	_Atomic uint64_t connections, refused_connections;
};

/* ... and of what came over OTLP: requests, spans. */
struct ingest_counters {
	_Atomic uint64_t requests, malformed, refused_memory;
	_Atomic uint64_t stored, failed, refused, rejected_ids, rejected_times;
	_Atomic uint64_t reversed, cut_names, dropped_resource; /* kept, but for that */
};

struct page;
struct grpc;
struct spanmetrics;
struct graph;
struct tail;

struct clew_server {
	struct clew_store *st;
	struct clew_server_opts opts; /* of clew_server_listen(); no strings */
	struct listener listeners[LISTEN_KINDS];
	bool bound; /* the Unix socket's name is ours */
	bool ports_written;
	char *token, *cert, *key;	     /* texts */
	char *host;			     /* where we listen, as in a URL */
	clew_server_received_fn received_fn; /* or NULL */
	void *received_user;
	struct page *page;
	struct grpc *grpc; /* NULL: no OTLP */
	struct spanmetrics *spanmetrics;
	struct graph *graph;
	struct tail *tail;
	uint16_t grpc_port;
	_Atomic bool stopping;
	_Atomic bool intake_ended; /* no more spans: clew_server_end_intake() */
	_Atomic uint64_t bodies;
	_Atomic uint32_t active; /* requests between first line and answer */
	struct server_counters counters;
	struct ingest_counters ingest;
	_Atomic uint32_t submissions; /* that the store has not answered */

	pthread_mutex_t lock; /* conns, queries, decoding, figures */
	pthread_cond_t cond;
	struct conn *conns;
	uint32_t queries;
	uint64_t decoding; /* bytes that requests take while they are decoded */
	struct clew_server_figure figures[CLEW_SERVER_FIGURES];
	size_t n_figures;
	pthread_t watch;
	bool has_watch;
};

/** server_fail() - a text for the user; returns err. */
int server_fail(char **ret_error, int err, const char *fmt, ...) CLEW_PRINTF(3, 4);

/* ---- http.c: the life of a request ---- */
/** http_serve() - a daemon for a listening socket, which it owns from then on. -EIO. */
int http_serve(struct clew_server *s, enum listener_kind kind, int fd, bool tls);

/** http_unpack() - the body of this request is gzip; the limit is of what is in it. -ENOMEM. */
int http_unpack(struct request *rq);

/* ---- otlp_http.c ---- */
int otlp_http_head(struct request *rq, const char **ret_why);
enum MHD_Result otlp_http_traces(struct request *rq);
/** otlp_http_error() - what answer_error() is elsewhere. */
enum MHD_Result otlp_http_error(struct request *rq, int status, const char *text);

/* ---- answer.c ---- */
/** answer_send() - queue a response and let go of it; headers that all answers have are added. */
enum MHD_Result answer_send(struct request *rq, int status, const char *type,
			    struct MHD_Response *response);
/** answer_bytes() - the bytes are copied. */
enum MHD_Result answer_bytes(struct request *rq, int status, const char *type, struct slice bytes);
/** answer_error() - {"error": text}; 429 and 503 with Retry-After. */
enum MHD_Result answer_error(struct request *rq, int status, const char *text);

/* ---- auth.c ---- */
/** auth_check() - 0, or the status to refuse with, and why. */
int auth_check(struct request *rq, const char **ret_why);
/** auth_token_sent() - is this an Authorization with our token? NULL: none was sent. */
bool auth_token_sent(struct clew_server *s, const char *sent);
/** auth_token_read() - the token of a file, without blanks around it. */
int auth_token_read(const char *path, char **ret, char **ret_error);

/* ---- conns.c ---- */
int conns_init(struct clew_server *s);
void conns_done(struct clew_server *s);
/** conns_notify() - MHD's callback. */
void conns_notify(void *listener, struct MHD_Connection *mhd, void **context,
		  enum MHD_ConnectionNotificationCode code);
/** conns_gone() - whether a connection's other end is closed: nobody reads an answer any more. */
bool conns_gone(const struct conn *c);
/** conns_state() - what a connection does from now on. */
void conns_state(struct conn *c, bool reading, bool answering);

/* ---- listen.c ---- */
int listen_unix(struct clew_server *s, char **ret_error);
int listen_tcp(struct clew_server *s, const char *address, uint16_t port, const char *option,
	       int *ret_fd, uint16_t *ret_port, char **ret_error);
/** listen_loopback() - whether only this machine reaches the address. -EINVAL: not an address. */
int listen_loopback(const char *address);
int ports_write(struct clew_server *s, char **ret_error);
void ports_remove(struct clew_server *s);

/* ---- routes.c ---- */
/**
 * query_turn_begin() - a place among the queries that run.
 *
 * 0; -EAGAIN: none came free in time; -EPIPE: who asked has gone meanwhile (a page whose user chose
 * something else), so that those who are still there have its place; counted.
 */
int query_turn_begin(struct request *rq);
/** query_turn_end() - the place is free again; notes which hours the answer is without. */
void query_turn_end(struct request *rq);
struct spool;
/** answer_spool() - 200 with what was written to it. */
enum MHD_Result answer_spool(struct request *rq, const char *type, struct spool *spool);
/** route_find() - never NULL: what is not found has a route too. */
const struct route *route_find(enum listener_kind kind, struct slice path);

/* ---- page.c: the web page ---- */
int page_open(struct clew_server *s, const char *dir, char **ret_error);
void page_close(struct clew_server *s);
enum MHD_Result page_answer(struct request *rq);
