/* SPDX-License-Identifier: Apache-2.0 */
#include "server/grpc.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

#define EVENTS	64
#define LOOK_MS 1000

static void accept_all(struct grpc_loop *l)
{
	int fd;

	/* One at a time: the other loop takes the next. */
	fd = accept4(l->grpc->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		grpc_conn_new(l, fd);
	else if (errno == EMFILE || errno == ENFILE)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

/* In the order in which they were finished. */
static void take_finished(struct grpc_loop *l)
{
	struct grpc_call *list, *ordered = NULL, *next;
	eventfd_t n;

	eventfd_read(l->event_fd, &n);
	pthread_mutex_lock(&l->lock);
	list = l->finished;
	l->finished = NULL;
	for (; list; list = next) {
		next = list->done_next;
		list->done_next = ordered;
		ordered = list;
		l->waiting--;
	}
	pthread_mutex_unlock(&l->lock);
	for (; ordered; ordered = next) {
		next = ordered->done_next;
		grpc_call_finished(ordered);
	}
}

static void look(struct grpc_loop *l)
{
	uint64_t now = clew_mono_ns();
	struct grpc_conn *next;

	for (struct grpc_conn *c = l->conns; c; c = next) {
		next = c->next;
		grpc_conn_look(c, now);
	}
}

/* Connections are told to go; whoever has a call is waited for. */
static void drain(struct grpc_loop *l)
{
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, l->grpc->listen_fd, NULL);
	for (struct grpc_conn *c = l->conns; c; c = c->next) {
		nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
				      nghttp2_session_get_last_proc_stream_id(c->session),
				      NGHTTP2_NO_ERROR, NULL, 0);
		grpc_conn_flush(c);
	}
}

static bool busy(struct grpc_loop *l)
{
	bool waiting;

	for (struct grpc_conn *c = l->conns; c; c = c->next)
		if (c->n_calls || c->out_n)
			return true;
	pthread_mutex_lock(&l->lock);
	waiting = l->waiting > 0;
	pthread_mutex_unlock(&l->lock);
	return waiting;
}

static void round_of(struct grpc_loop *l, int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(l->epoll_fd, events, EVENTS, timeout_ms);
	bool finished = false;

	for (int i = 0; i < n; i++) {
		void *p = events[i].data.ptr;

		if (p == l->grpc)
			accept_all(l);
		else if (p == l)
			finished = true;
		else
			grpc_conn_io(p, events[i].events);
	}
	/* Last: it may write to connections, and one that fails then is closed in the next round. */
	if (finished)
		take_finished(l);
}

static void *loop_main(void *arg)
{
	struct grpc_loop *l = arg;
	uint64_t looked = clew_mono_ns(), until;

	while (!atomic_load(&l->grpc->stopping)) {
		round_of(l, LOOK_MS);
		if (clew_mono_ns() - looked < LOOK_MS * 1000000ull)
			continue;
		look(l);
		looked = clew_mono_ns();
	}
	drain(l);
	for (until = clew_mono_ns() + SERVER_DRAIN_NS; busy(l) && clew_mono_ns() < until;)
		round_of(l, 20);
	while (l->conns)
		grpc_conn_close(l->conns);
	return NULL;
}

/* ---- beginning and end ---- */

static int loop_start(struct grpc *g, struct grpc_loop *l)
{
	struct epoll_event accepting = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = g};
	struct epoll_event done = {.events = EPOLLIN, .data.ptr = l};
	int r;

	l->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->event_fd < 0 || l->epoll_fd < 0 ||
	    epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, g->listen_fd, &accepting) < 0 ||
	    epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->event_fd, &done) < 0)
		return -errno;
	r = pthread_create(&l->thread, NULL, loop_main, l);
	l->has_thread = r == 0;
	return -r;
}

int grpc_start(struct clew_server *s, int listen_fd, struct grpc **ret, char **ret_error)
{
	struct grpc *g = calloc(1, sizeof(*g));
	int r = 0;

	if (!g) {
		close(listen_fd);
		return -ENOMEM;
	}
	g->server = s;
	g->listen_fd = listen_fd;
	for (unsigned i = 0; i < GRPC_LOOPS; i++) {
		g->loops[i] = (struct grpc_loop){.grpc = g, .epoll_fd = -1, .event_fd = -1};
		pthread_mutex_init(&g->loops[i].lock, NULL);
	}
	fcntl(listen_fd, F_SETFL, O_NONBLOCK);
	if (s->cert)
		r = grpc_tls_new(s->cert, s->key, &g->tls, ret_error);
	if (r == 0)
		r = grpc_callbacks(&g->callbacks);
	if (r == 0 && nghttp2_option_new(&g->option))
		r = -ENOMEM;
	for (unsigned i = 0; r == 0 && i < GRPC_LOOPS; i++)
		r = loop_start(g, &g->loops[i]);
	if (r < 0) {
		server_fail(ret_error, r, "cannot serve gRPC: %s", strerror(-r));
		grpc_stop(g);
		return r;
	}
	*ret = g;
	return 0;
}

/* A call that the store still has when the time is over: the store ends after us, so it is waited for. */
static void settle(struct grpc_loop *l)
{
	for (;;) {
		bool waiting;

		take_finished(l);
		pthread_mutex_lock(&l->lock);
		waiting = l->waiting > 0;
		pthread_mutex_unlock(&l->lock);
		if (!waiting)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
}

void grpc_stop(struct grpc *g)
{
	if (!g)
		return;
	atomic_store(&g->stopping, true);
	for (unsigned i = 0; i < GRPC_LOOPS; i++)
		if (g->loops[i].event_fd >= 0)
			eventfd_write(g->loops[i].event_fd, 1);
	for (unsigned i = 0; i < GRPC_LOOPS; i++) {
		struct grpc_loop *l = &g->loops[i];

		if (l->has_thread) {
			pthread_join(l->thread, NULL);
			settle(l);
		}
		closep(&l->epoll_fd);
		closep(&l->event_fd);
		pthread_mutex_destroy(&l->lock);
	}
	close(g->listen_fd);
	grpc_tls_free(g->tls);
	nghttp2_option_del(g->option);
	nghttp2_session_callbacks_del(g->callbacks);
	free(g);
}
