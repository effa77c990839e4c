/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer's server. On clew.sock (0600) in the store's directory: HTTP/1.1 with the native API's
 * calls, for the commands. When asked, on TCP ports too: the page, the APIs, health (docs/server.md).
 * Each connection has a thread of its own, so none waits for another, and the store's writer waits
 * for none.
 */
#pragma once

#include "base/cleanup.h"
#include "store/store.h"

struct clew_server;

#define CLEW_SERVER_SOCKET "clew.sock"
/* Of an answer that lacks what is sealed in some hours, as it cannot be read: which ("2026-01-02T04Z ..."). */
#define CLEW_LEFT_OUT_HEADER "Clew-Left-Out"
/* In the store's directory, 0600, while TCP ports are open: which ones. */
#define CLEW_SERVER_PORTS "ports.json"
/* Connections at a time on the socket; more are closed at once. */
#define CLEW_SERVER_MAX_CONNECTIONS 32u
/* ... on the HTTP port, of all clients. */
#define CLEW_SERVER_HTTP_CONNECTIONS 256u
/* Bytes of a request's body; more is answered 413. */
#define CLEW_SERVER_MAX_BODY (1u << 20)
/* ... of OTLP over HTTP, before and after decompression. */
#define CLEW_OTLP_HTTP_MAX_BODY (20u << 20)
/* A client that neither sends nor reads for this long is closed. */
#define CLEW_SERVER_IDLE_S 60u
/* A token is at least so long. */
#define CLEW_SERVER_MIN_TOKEN 16u

/* What listens on TCP. Strings are copied. */
struct clew_server_opts {
	const char *listen; /* an IPv4 or IPv6 address; NULL: 127.0.0.1 */
	uint16_t http_port; /* 0: a free one */
	bool otlp;	    /* take OTLP, on: */
	uint16_t otlp_http_port, otlp_grpc_port;
	struct clew_store_retention retention;
	const char *token; /* NULL: none */
	const char *token_file;
	const char *tls_cert, *tls_key; /* PEM files; NULL: no TLS */
	const char *ui_dir;		/* the page's files from there; NULL: those built in */
};

/**
 * clew_server_start() - serve a store that was opened for writing, until clew_server_stop().
 * A socket that a dead writer left is replaced (the store's lock says that nobody else lives).
 */
int clew_server_start(struct clew_store *st, struct clew_server **ret, char **ret_error);

/**
 * clew_server_listen() - open the TCP ports, once. -EINVAL for options that do not go together,
 * -EADDRINUSE, others of the system; the text says what to do.
 */
int clew_server_listen(struct clew_server *s, const struct clew_server_opts *opts,
		       char **ret_error);

/**
 * clew_server_received_fn - spans that came over OTLP, before they are stored; borrowed. From any
 * thread, several at a time.
 */
typedef void (*clew_server_received_fn)(void *user, struct clew_span *const *spans, size_t n);

/** clew_server_on_received() - before clew_server_listen(). */
void clew_server_on_received(struct clew_server *s, clew_server_received_fn fn, void *user);

/**
 * clew_server_end_intake() - take no more spans: senders are told to try again, as after the end. When it returns,
 * none that was told to the received_fn waits for the store any more (or it takes no spans: 5 s).
 */
void clew_server_end_intake(struct clew_server *s);

/* What was opened. */
struct clew_server_ports {
	const char *host; /* as in a URL: "127.0.0.1", "[::1]" */
	bool tls;
	uint16_t http, otlp_http, otlp_grpc; /* 0: not open */
};

void clew_server_ports(const struct clew_server *s, struct clew_server_ports *ret);

/* A figure of what feeds the store (capture, pipeline, export), for /metrics. Texts are static. */
struct clew_server_figure {
	const char *name, *help;
	const char *reason; /* figures of one name follow each other and differ in it; or NULL */
	bool gauge;	    /* else a counter */
	uint64_t value;
};

/* Kept at a time; more are left out. */
#define CLEW_SERVER_FIGURES 48u

/** clew_server_figures() - show these from now on, in place of the last ones. Of any thread. */
void clew_server_figures(struct clew_server *s, const struct clew_server_figure *v, size_t n);

/**
 * clew_server_stop() - before the store is closed. Takes no new requests, lets those that run end
 * (5 s), then closes. Takes NULL.
 */
void clew_server_stop(struct clew_server *s);
CLEW_DEFINE_CLEANUP(struct clew_server *, clew_server_stop)
