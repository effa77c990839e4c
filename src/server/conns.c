/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections that are open, and the watch that closes those that take too long: over a
 * request's head and body (SERVER_REQUEST_NS), or over sending any (CLEW_SERVER_IDLE_S). The HTTP
 * library's own limit is of silence only: a byte now and then would hold a connection for ever.
 */
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "server/internal.h"

#define LOOK_NS (1000ull * 1000 * 1000)

bool conns_gone(const struct conn *c)
{
	struct pollfd fd = {.fd = c ? c->fd : -1, .events = POLLRDHUP};

	return fd.fd >= 0 && poll(&fd, 1, 0) > 0;
}

void conns_state(struct conn *c, bool reading, bool answering)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->listener->server->lock);
	c->reading = reading;
	c->answering = answering;
	c->since_ns = clew_mono_ns();
	pthread_mutex_unlock(&c->listener->server->lock);
}

static void add(struct listener *l, struct MHD_Connection *mhd, void **context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct clew_server *s = l->server;
	struct conn *c = calloc(1, sizeof(*c));

	*context = c;
	if (!c)
		return;
	*c = (struct conn){
		.listener = l, .fd = info ? info->connect_fd : -1, .since_ns = clew_mono_ns()};
	s->counters.connections++;
	pthread_mutex_lock(&s->lock);
	c->next = s->conns;
	if (c->next)
		c->next->prev = c;
	s->conns = c;
	pthread_mutex_unlock(&s->lock);
}

void conns_notify(void *listener, struct MHD_Connection *mhd, void **context,
		  enum MHD_ConnectionNotificationCode code)
{
	struct listener *l = listener;
	struct conn *c = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		add(l, mhd, context);
		return;
	}
	if (!c)
		return;
	pthread_mutex_lock(&l->server->lock);
	if (c->prev)
		c->prev->next = c->next;
	else
		l->server->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	pthread_mutex_unlock(&l->server->lock);
	free(c);
	*context = NULL;
}

static void look(struct clew_server *s)
{
	uint64_t now = clew_mono_ns();

	for (struct conn *c = s->conns; c; c = c->next) {
		uint64_t limit = c->reading
					 ? SERVER_REQUEST_NS
					 : SERVER_REQUEST_NS + CLEW_SERVER_IDLE_S * 1000000000ull;

		if (c->answering || c->fd < 0 || now - c->since_ns < limit)
			continue;
		shutdown(c->fd, SHUT_RDWR); /* its thread closes it */
		c->since_ns = now;
		s->counters.timed_out++;
	}
}

static void *watch_main(void *arg)
{
	struct clew_server *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!atomic_load(&s->stopping)) {
		uint64_t due = clew_mono_ns() + LOOK_NS;
		struct timespec until = {.tv_sec = (time_t)(due / 1000000000u),
					 .tv_nsec = (long)(due % 1000000000u)};

		pthread_cond_timedwait(&s->cond, &s->lock, &until);
		look(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int conns_init(struct clew_server *s)
{
	pthread_condattr_t attr;
	int r;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->cond, &attr);
	pthread_condattr_destroy(&attr);
	r = pthread_create(&s->watch, NULL, watch_main, s);
	s->has_watch = r == 0;
	return -r;
}

void conns_done(struct clew_server *s)
{
	if (s->has_watch) {
		pthread_mutex_lock(&s->lock);
		pthread_cond_broadcast(&s->cond);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->watch, NULL);
		s->has_watch = false;
	}
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->cond);
}
