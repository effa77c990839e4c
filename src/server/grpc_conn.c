/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "server/grpc.h"

#define READ_BYTES 65536u
/* Of one connection in one round, so that it does not keep the others waiting. */
#define READ_ROUNDS 16
#define WINDOW	    ((int32_t)GRPC_MAX_MESSAGE * 4)

/* ---- what the session tells ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct grpc_call *call;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	call = grpc_call_new(user, frame->hd.stream_id);
	if (!call)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
	struct grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (call && frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		grpc_call_header(call, slice_of(name, name_n), slice_of(value, value_n));
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
		   size_t n, void *user)
{
	struct grpc_call *call = nghttp2_session_get_stream_user_data(session, stream);

	if (call && !grpc_call_data(call, data, n))
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct grpc_conn *c = user;
	struct grpc_call *call;

	c->greeted = true;
	if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
	    !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (call)
		grpc_call_end(call);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *user)
{
	struct grpc_call *call = nghttp2_session_get_stream_user_data(session, stream);

	if (call)
		grpc_call_closed(call);
	return 0;
}

int grpc_callbacks(nghttp2_session_callbacks **ret)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb))
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	*ret = cb;
	return 0;
}

/* ---- from accept to close ---- */

static int open_session(struct grpc_conn *c)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, GRPC_STREAMS},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, GRPC_MAX_MESSAGE},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 16384},
	};

	if (nghttp2_session_server_new2(&c->session, c->loop->grpc->callbacks, c,
					c->loop->grpc->option) ||
	    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings,
				    sizeof(settings) / sizeof(settings[0])) ||
	    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, WINDOW))
		return -ENOMEM;
	return 0;
}

void grpc_conn_new(struct grpc_loop *l, int fd)
{
	struct clew_server *s = l->grpc->server;
	struct grpc_conn *c = calloc(1, sizeof(*c));
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};

	if (!c || atomic_fetch_add(&l->grpc->n_conns, 1) >= GRPC_CONNECTIONS) {
		if (c)
			atomic_fetch_sub(&l->grpc->n_conns, 1);
		s->counters.refused_connections++;
		free(c);
		close(fd);
		return;
	}
	*c = (struct grpc_conn){.loop = l, .fd = fd, .opened_ns = clew_mono_ns()};
	c->active_ns = c->opened_ns;
	/* A WINDOW_UPDATE goes out while a call waits for the store: its answer must not wait for that one's ACK. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	c->next = l->conns;
	if (c->next)
		c->next->prev = c;
	l->conns = c;
	s->counters.connections++;
	if (l->grpc->tls) {
		c->handshaking = true;
		c->dead = grpc_tls_session(l->grpc->tls, fd, &c->tls) < 0;
	}
	if (c->dead || open_session(c) < 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		grpc_conn_close(c);
}

void grpc_conn_close(struct grpc_conn *c)
{
	struct grpc_loop *l = c->loop;

	if (c->prev)
		c->prev->next = c->next;
	else
		l->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	while (c->calls) {
		nghttp2_session_set_stream_user_data(c->session, c->calls->stream, NULL);
		grpc_call_closed(c->calls);
	}
	nghttp2_session_del(c->session);
	grpc_tls_end(c->tls);
	close(c->fd);
	atomic_fetch_sub(&l->grpc->n_conns, 1);
	free(c);
}

/* ---- bytes ---- */

static ssize_t read_some(struct grpc_conn *c, void *p, size_t n)
{
	ssize_t r;

	if (c->tls)
		return grpc_tls_read(c->tls, p, n);
	r = recv(c->fd, p, n, 0);
	return r < 0 ? -errno : r;
}

static ssize_t write_some(struct grpc_conn *c, const void *p, size_t n)
{
	ssize_t r;

	if (c->tls)
		return grpc_tls_write(c->tls, p, n);
	r = send(c->fd, p, n, MSG_NOSIGNAL);
	return r < 0 ? -errno : r;
}

static void want_write(struct grpc_conn *c, bool want)
{
	struct epoll_event ev = {.events = EPOLLIN | (want ? EPOLLOUT : 0), .data.ptr = c};

	if (c->want_write == want)
		return;
	c->want_write = want;
	if (epoll_ctl(c->loop->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev) < 0)
		c->dead = true;
}

void grpc_conn_flush(struct grpc_conn *c)
{
	while (!c->dead && !c->handshaking) {
		ssize_t n;

		if (!c->out_n) {
			n = nghttp2_session_mem_send(c->session, &c->out);
			if (n <= 0) {
				c->dead = n < 0;
				break;
			}
			c->out_n = (size_t)n;
		}
		n = write_some(c, c->out, c->out_n);
		if (n == -EAGAIN || n == -EINTR)
			break;
		if (n <= 0) {
			c->dead = true;
			break;
		}
		c->out += n;
		c->out_n -= (size_t)n;
	}
	if (!c->dead)
		want_write(c, c->out_n > 0);
}

static void read_all(struct grpc_conn *c)
{
	uint8_t bytes[READ_BYTES];

	for (int i = 0; i < READ_ROUNDS && !c->dead; i++) {
		ssize_t n = read_some(c, bytes, sizeof(bytes));

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n <= 0) {
			c->dead = true;
			return;
		}
		c->active_ns = clew_mono_ns();
		if (nghttp2_session_mem_recv(c->session, bytes, (size_t)n) != n)
			c->dead = true;
		/* TLS may hold bytes that the socket does not show: read until it says no. */
		if (!c->tls && n < (ssize_t)sizeof(bytes))
			return;
	}
}

void grpc_conn_io(struct grpc_conn *c, uint32_t events)
{
	if (c->handshaking) {
		int r = grpc_tls_handshake(c->tls);

		c->dead = r < 0 && r != -EAGAIN;
		c->handshaking = r < 0;
	}
	if (!c->handshaking && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		read_all(c);
	grpc_conn_flush(c);
	if (c->dead || (!nghttp2_session_want_read(c->session) &&
			!nghttp2_session_want_write(c->session) && !c->n_calls))
		grpc_conn_close(c);
}

void grpc_conn_look(struct grpc_conn *c, uint64_t now)
{
	struct clew_server *s = c->loop->grpc->server;
	struct grpc_call *next;

	for (struct grpc_call *call = c->calls; call; call = next) {
		next = call->next;
		if (call->submitted || call->answer.len || now - call->begin_ns < SERVER_REQUEST_NS)
			continue;
		s->counters.timed_out++;
		nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, call->stream,
					  NGHTTP2_CANCEL);
	}
	if (!c->greeted ? now - c->opened_ns > SERVER_REQUEST_NS
			: !c->n_calls && now - c->active_ns > GRPC_IDLE_NS) {
		s->counters.timed_out++;
		grpc_conn_close(c);
		return;
	}
	grpc_conn_flush(c);
	if (c->dead)
		grpc_conn_close(c);
}
