/* SPDX-License-Identifier: Apache-2.0 */
#include "server/server.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <microhttpd.h>

#include "query/query.h"
#include "server/spool.h"

struct clew_server {
	struct clew_store *st;
	struct MHD_Daemon *daemon;
	int fd; /* the listening socket, until the daemon owns it */
	bool bound;
};

/* One request, from its first line to its answer. */
struct request {
	char *target; /* as it was sent */
	struct clew_buf body;
	bool too_large, begun;
};

/*
 * The directory's path may be longer than a socket's address takes (108 bytes); /proc's name of its
 * descriptor is short.
 */
static void socket_address(int dir_fd, struct sockaddr_un *sa)
{
	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d/" CLEW_SERVER_SOCKET,
		 dir_fd);
}

static int fail(char **ret_error, int err, const char *what, const char *dir)
{
	if (ret_error && !*ret_error &&
	    asprintf(ret_error, "cannot %s %s/" CLEW_SERVER_SOCKET ": %s", what, dir,
		     strerror(-err)) < 0)
		*ret_error = NULL;
	return err;
}

static int listen_on(struct clew_server *s, char **ret_error)
{
	int dir_fd = clew_store_fd(s->st);
	const char *dir = clew_store_dir(s->st);
	struct sockaddr_un sa;

	socket_address(dir_fd, &sa);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return fail(ret_error, -errno, "make", dir);
	if (unlinkat(dir_fd, CLEW_SERVER_SOCKET, 0) < 0 && errno != ENOENT)
		return fail(ret_error, -errno, "replace", dir);
	if (bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return fail(ret_error, -errno, "bind", dir);
	s->bound = true;
	if (fchmodat(dir_fd, CLEW_SERVER_SOCKET, 0600, 0) < 0)
		return fail(ret_error, -errno, "protect", dir);
	if (listen(s->fd, 64) < 0)
		return fail(ret_error, -errno, "listen on", dir);
	return 0;
}

/* ---- requests ---- */

static void *request_begin(void *user, const char *uri, struct MHD_Connection *conn)
{
	struct request *rq = calloc(1, sizeof(*rq));

	if (!rq)
		return NULL;
	rq->target = strdup(uri);
	clew_buf_init(&rq->body, CLEW_SERVER_MAX_BODY);
	return rq;
}

static void request_end(void *user, struct MHD_Connection *conn, void **state,
			enum MHD_RequestTerminationCode how)
{
	struct request *rq = *state;

	if (!rq)
		return;
	clew_buf_done(&rq->body);
	free(rq->target);
	free(rq);
	*state = NULL;
}

static enum MHD_Result respond(struct MHD_Connection *conn, int status, const char *type,
			       struct MHD_Response *response)
{
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	r = MHD_queue_response(conn, (unsigned)status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result send_error(struct MHD_Connection *conn, int err, const char *text)
{
	struct clew_buf out = {0};
	enum MHD_Result r = MHD_NO;

	if (clew_query_error(&out, err, text) == 0)
		r = respond(
			conn, clew_query_status(err), "application/json",
			MHD_create_response_from_buffer(out.len, out.data, MHD_RESPMEM_MUST_COPY));
	clew_buf_done(&out);
	return r;
}

static enum MHD_Result answer(struct clew_server *s, struct MHD_Connection *conn,
			      const char *method, struct request *rq)
{
	_cleanup_(freep) char *error = NULL;
	struct spool spool;
	struct slice target = slice_str(rq->target);
	enum MHD_Result sent;
	int r;

	spool_init(&spool, clew_store_fd(s->st));
	r = clew_query_run(s->st, slice_str(method), target, clew_buf_slice(&rq->body), spool_write,
			   &spool, &error);
	if (r < 0)
		sent = send_error(conn, r, error);
	else if (spool.fd >= 0)
		sent = respond(conn, 200, clew_query_content_type(target),
			       MHD_create_response_from_fd64(spool.bytes, spool_take_fd(&spool)));
	else
		sent = respond(conn, 200, clew_query_content_type(target),
			       MHD_create_response_from_buffer(spool.buf.len,
							       spool.buf.data ? spool.buf.data
									      : (char[]){""},
							       MHD_RESPMEM_MUST_COPY));
	spool_done(&spool);
	return sent;
}

static enum MHD_Result handle(void *user, struct MHD_Connection *conn, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *data_n, void **state)
{
	struct request *rq = *state;

	if (!rq || !rq->target)
		return MHD_NO;
	if (!rq->begun) { /* the head only: the body is yet to come */
		rq->begun = true;
		return MHD_YES;
	}
	if (*data_n) {
		if (clew_buf_add(&rq->body, data, *data_n) < 0)
			rq->too_large = true;
		*data_n = 0;
		return MHD_YES;
	}
	if (rq->too_large)
		return send_error(conn, -EFBIG, "the body of the request is larger than 1 MiB");
	return answer(user, conn, method, rq);
}

int clew_server_start(struct clew_store *st, struct clew_server **ret, char **ret_error)
{
	struct clew_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->st = st;
	s->fd = -1;
	r = listen_on(s, ret_error);
	if (r == 0) {
		s->daemon = MHD_start_daemon(
			MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
				MHD_USE_POLL,
			0, NULL, NULL, handle, s, MHD_OPTION_LISTEN_SOCKET, s->fd,
			MHD_OPTION_CONNECTION_LIMIT, CLEW_SERVER_MAX_CONNECTIONS,
			MHD_OPTION_CONNECTION_TIMEOUT, CLEW_SERVER_IDLE_S,
			MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)65536,
			MHD_OPTION_URI_LOG_CALLBACK, request_begin, s, MHD_OPTION_NOTIFY_COMPLETED,
			request_end, s, MHD_OPTION_END);
		if (s->daemon)
			s->fd = -1; /* the daemon closes it */
		else
			r = fail(ret_error, -EIO, "serve", clew_store_dir(st));
	}
	if (r < 0) {
		clew_server_stop(s);
		return r;
	}
	*ret = s;
	return 0;
}

void clew_server_stop(struct clew_server *s)
{
	if (!s)
		return;
	/* First, so that no command finds a socket that will not answer. */
	if (s->bound)
		(void)!unlinkat(clew_store_fd(s->st), CLEW_SERVER_SOCKET, 0);
	if (s->daemon)
		MHD_stop_daemon(s->daemon);
	closep(&s->fd);
	free(s);
}
