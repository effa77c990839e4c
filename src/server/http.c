/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a request: first line, head (where it may be refused before its body is read), body up
 * to a limit, answer, end.
 */
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include <zlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/internal.h"

/* Of one connection, for its head and what is sent. */
#define CONN_MEMORY ((size_t)65536)
/* Of a body that is refused, this is read all the same; then the connection is closed. */
#define DISCARD_MAX (64ull << 20)

static void *request_begin(void *user, const char *uri, struct MHD_Connection *mhd)
{
	struct listener *l = user;
	struct request *rq = calloc(1, sizeof(*rq));
	const union MHD_ConnectionInfo *info;

	if (!rq)
		return NULL;
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	*rq = (struct request){
		.listener = l,
		.server = l->server,
		.mhd = mhd,
		.conn = info ? info->socket_context : NULL,
		.target = strdup(uri),
		.begin_ns = clew_mono_ns(),
	};
	l->server->counters.requests++;
	l->server->active++;
	conns_state(rq->conn, true, false);
	return rq;
}

static void request_end(void *user, struct MHD_Connection *mhd, void **state,
			enum MHD_RequestTerminationCode how)
{
	struct request *rq = *state;

	if (!rq)
		return;
	conns_state(rq->conn, false, false);
	log_debug("%s %s: %d in %" PRIu64 " us%s", rq->method ? rq->method : "?",
		  rq->target ? rq->target : "?", rq->status, (clew_mono_ns() - rq->begin_ns) / 1000,
		  how == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "" : ", broken off");
	if (rq->unpack)
		inflateEnd(rq->unpack);
	free(rq->unpack);
	clew_buf_done(&rq->body);
	atomic_fetch_sub(&rq->server->bodies, rq->bodies);
	atomic_fetch_sub(&rq->server->active, 1);
	free(rq->target);
	free(rq);
	*state = NULL;
}

/* ---- the head ---- */

static unsigned long long announced(struct request *rq)
{
	const char *text = MHD_lookup_connection_value(rq->mhd, MHD_HEADER_KIND, "Content-Length");

	return text ? strtoull(text, NULL, 10) : 0;
}

static enum MHD_Result refuse_size(struct request *rq)
{
	char text[96];

	rq->server->counters.refused_size++;
	snprintf(text, sizeof(text), "the body of the request is larger than %zu bytes",
		 rq->route->body);
	return answer_error(rq, MHD_HTTP_CONTENT_TOO_LARGE, text);
}

static bool method_fits(const struct request *rq)
{
	if (rq->route->any)
		return true;
	if (!strcmp(rq->method, "POST"))
		return rq->route->post || rq->route->get_or_post;
	if (rq->route->post)
		return false;
	return !strcmp(rq->method, "GET") || !strcmp(rq->method, "HEAD");
}

/* What can be said before the body has come. */
static enum MHD_Result head(struct request *rq)
{
	const char *why = NULL;
	int status;

	rq->path = slice_of(rq->target, strcspn(rq->target, "?"));
	rq->route = route_find(rq->listener->kind, rq->path);
	status = rq->route->open ? 0 : auth_check(rq, &why);
	if (status)
		return answer_error(rq, status, why);
	if (!method_fits(rq))
		return answer_error(rq, MHD_HTTP_METHOD_NOT_ALLOWED,
				    rq->route->post	     ? "this path takes POST"
				    : rq->route->get_or_post ? "this path takes GET and POST"
							     : "this path takes GET");
	status = rq->route->head ? rq->route->head(rq, &why) : 0;
	if (status)
		return answer_error(rq, status, why ? why : "out of memory");
	if (announced(rq) > rq->route->body) {
		/* Many clients read no answer before they have sent all: let them, if that is not
		 * too much. */
		if (announced(rq) > DISCARD_MAX ||
		    MHD_lookup_connection_value(rq->mhd, MHD_HEADER_KIND, "Expect"))
			return refuse_size(rq);
		rq->refuse = MHD_HTTP_CONTENT_TOO_LARGE;
	}
	clew_buf_init(&rq->body, rq->route->body);
	return MHD_YES;
}

/* ---- the body ---- */

/* Bytes of the body, as they are used. */
static void keep(struct request *rq, const void *data, size_t n)
{
	struct clew_server *s = rq->server;
	int r;

	if (atomic_fetch_add(&s->bodies, n) + n > SERVER_BODIES) {
		atomic_fetch_sub(&s->bodies, n);
		rq->refuse = MHD_HTTP_SERVICE_UNAVAILABLE;
		return;
	}
	rq->bodies += n;
	r = clew_buf_add(&rq->body, data, n);
	if (r == -EFBIG)
		rq->refuse = MHD_HTTP_CONTENT_TOO_LARGE;
	else if (r < 0)
		rq->refuse = MHD_HTTP_SERVICE_UNAVAILABLE;
}

int http_unpack(struct request *rq)
{
	rq->unpack = calloc(1, sizeof(*rq->unpack));
	if (!rq->unpack)
		return -ENOMEM;
	return inflateInit2(rq->unpack, 15 + 16) == Z_OK ? 0 : -ENOMEM;
}

/* What is left over after the end is another member (RFC 1952, 2.2). */
static void unpack(struct request *rq, const char *data, size_t n)
{
	z_stream *z = rq->unpack;
	unsigned char out[16384];

	z->next_in = (unsigned char *)(uintptr_t)data;
	z->avail_in = (unsigned)n;
	do {
		int r;

		if (rq->unpacked) {
			inflateReset(z);
			rq->unpacked = false;
		}
		z->next_out = out;
		z->avail_out = sizeof(out);
		r = inflate(z, Z_NO_FLUSH);
		keep(rq, out, sizeof(out) - z->avail_out);
		rq->unpacked = r == Z_STREAM_END;
		if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
			rq->refuse = MHD_HTTP_BAD_REQUEST;
		/* A full buffer may have more behind it, but not behind a member's end. */
	} while (!rq->refuse && (z->avail_in || (!z->avail_out && !rq->unpacked)));
}

/* False: the connection is to be closed. */
static bool take(struct request *rq, const char *data, size_t n)
{
	rq->taken += n;
	if (!rq->refuse && rq->taken > rq->route->body)
		rq->refuse = MHD_HTTP_CONTENT_TOO_LARGE;
	if (rq->refuse)
		return rq->taken <= DISCARD_MAX;
	if (rq->unpack)
		unpack(rq, data, n);
	else
		keep(rq, data, n);
	return true;
}

static enum MHD_Result refuse(struct request *rq)
{
	if (rq->refuse == MHD_HTTP_CONTENT_TOO_LARGE)
		return refuse_size(rq);
	if (rq->refuse == MHD_HTTP_BAD_REQUEST)
		return answer_error(rq, rq->refuse,
				    "nothing was kept: the body is not gzip, or broken off");
	rq->server->counters.refused_busy++;
	return answer_error(rq, rq->refuse, "too many requests at a time: try again");
}

static enum MHD_Result handle(void *user, struct MHD_Connection *mhd, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *data_n, void **state)
{
	struct request *rq = *state;

	if (!rq || !rq->target)
		return MHD_NO;
	if (!rq->begun) { /* the head only: the body is yet to come */
		rq->begun = true;
		rq->method = method;
		return head(rq);
	}
	if (*data_n) {
		bool go_on = take(rq, data, *data_n);

		*data_n = 0;
		return go_on ? MHD_YES : MHD_NO;
	}
	if (rq->unpack && !rq->unpacked && !rq->refuse)
		rq->refuse = MHD_HTTP_BAD_REQUEST;
	conns_state(rq->conn, false, true);
	return rq->refuse ? refuse(rq) : rq->route->run(rq);
}

/* ---- the daemon ---- */

static void library_log(void *user, const char *fmt, va_list ap)
{
	char line[512];

	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug("http: %s", line);
}

int http_serve(struct clew_server *s, enum listener_kind kind, int fd, bool tls)
{
	struct listener *l = &s->listeners[kind];
	unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
			 MHD_USE_POLL | MHD_USE_ERROR_LOG | MHD_USE_ITC | (tls ? MHD_USE_TLS : 0);
	unsigned connections =
		kind == LISTEN_UNIX ? CLEW_SERVER_MAX_CONNECTIONS : CLEW_SERVER_HTTP_CONNECTIONS;
	struct MHD_OptionItem tls_options[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, s->cert},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, s->key},
		{MHD_OPTION_END, 0, NULL},
	};

	l->server = s;
	l->kind = kind;
	l->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, handle, l, MHD_OPTION_EXTERNAL_LOGGER, library_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, connections,
		MHD_OPTION_CONNECTION_TIMEOUT, CLEW_SERVER_IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONN_MEMORY, MHD_OPTION_URI_LOG_CALLBACK,
		request_begin, l, MHD_OPTION_NOTIFY_COMPLETED, request_end, l,
		MHD_OPTION_NOTIFY_CONNECTION, conns_notify, l, MHD_OPTION_ARRAY,
		tls ? tls_options : tls_options + 2, MHD_OPTION_END);
	return l->daemon ? 0 : -EIO;
}
