/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocking services in C. MODE:
 *
 *	request  a thread for each request, made for it, by the thread that reads the connection's
 *	conn     a thread for each connection does it all
 *	pool     the thread of a connection reads, queues the work for WORKERS threads (mutex and
 *		 condition), sleeps until it is done and answers
 *	answer   one thread polls all connections and reads; WORKERS threads take requests from the
 *		 queue, work and answer
 *	prefork  WORKERS processes accept; one connection at a time, closed after its answer
 *	fork     a process for each connection, which has one request
 *	leader,	 as conn, and each request ends with a commit that may be made for several (group.h)
 *	writer
 */
#include "flow.h"

#include <sys/epoll.h>
#include <sys/prctl.h>

struct conn {
	int fd;
	size_t len;
	char in[MAX_HEAD];
};

struct job {
	struct job *next;
	struct conn *conn; /* answer: whose request it is */
	char token[TOKEN + 1];
	bool background, done;
	int status;
	pthread_mutex_t lock;
	pthread_cond_t ready;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t some;
	struct job *first, **last;
} queue = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, &queue.first};

/* Connections to the back end: who finds none free waits for one. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t some;
	int fds[1024], n_free, n_open;
} back = {.lock = PTHREAD_MUTEX_INITIALIZER, .some = PTHREAD_COND_INITIALIZER};

static int ep;

static int back_get(void)
{
	int fd = -1;

	pthread_mutex_lock(&back.lock);
	while (!back.n_free && back.n_open >= flow.conns)
		pthread_cond_wait(&back.some, &back.lock);
	if (back.n_free)
		fd = back.fds[--back.n_free];
	else
		back.n_open++;
	pthread_mutex_unlock(&back.lock);
	if (fd >= 0)
		return fd;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	flow_nodelay(fd);
	if (connect(fd, (struct sockaddr *)&flow.back, sizeof(flow.back))) {
		perror("connect");
		abort();
	}
	return fd;
}

static void back_put(int fd)
{
	pthread_mutex_lock(&back.lock);
	back.fds[back.n_free++] = fd;
	pthread_cond_signal(&back.some);
	pthread_mutex_unlock(&back.lock);
}

/* Reads until one message is whole; its length, or 0 at the end of the connection. */
static size_t read_message(struct conn *c)
{
	for (;;) {
		size_t whole;
		ssize_t n;

		c->in[c->len] = 0;
		whole = flow_message(c->in, c->len);
		if (whole)
			return whole;
		n = recv(c->fd, c->in + c->len, MAX_HEAD - 1 - c->len, 0);
		if (n <= 0)
			return 0;
		c->len += (size_t)n;
	}
}

static void consume(struct conn *c, size_t n)
{
	c->len -= n;
	memmove(c->in, c->in + n, c->len);
}

static int exchange(const char *request, int len)
{
	struct conn c = {.fd = back_get()};
	int status;

	if (send(c.fd, request, (size_t)len, 0) != len || !read_message(&c)) {
		perror("back end");
		abort();
	}
	status = flow_status(c.in);
	back_put(c.fd);
	return status;
}

static bool call(const char *incoming, const char *kind)
{
	char request[256];

	for (int i = 0; i <= flow.retries; i++) {
		if (exchange(request, flow_request(incoming, i ? flow_retry(kind) : kind, request,
						   sizeof(request))) < 400)
			return true;
	}
	return false;
}

#include "group.h"

static bool commits(void)
{
	return !strcmp(flow.mode, "leader") || group_writes();
}

static int work(const char *token)
{
	const char *kinds[MAX_STEPS];
	int n = flow_plan(kinds), status = 200;

	flow_sleep(flow_pause_ns());
	for (int i = 0; i < n; i++) {
		if (!call(token, kinds[i]))
			status = 502;
		flow_sleep(flow_pause_ns());
	}
	if (commits() && !group_commit(token))
		status = 502;
	return status;
}

static bool closes(void)
{
	return !strcmp(flow.mode, "prefork") || !strcmp(flow.mode, "fork");
}

static void answer(int fd, int status)
{
	char out[256];
	int n = flow_answer(status, closes(), out, sizeof(out));

	send(fd, out, (size_t)n, 0);
}

static void start(void *(*function)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 << 10);
	if (pthread_create(&t, &attr, function, arg)) {
		perror("pthread_create");
		abort();
	}
	pthread_attr_destroy(&attr);
}

/* ---- the queue ---- */

static void enqueue(struct job *j)
{
	j->next = NULL;
	pthread_mutex_lock(&queue.lock);
	*queue.last = j;
	queue.last = &j->next;
	pthread_cond_signal(&queue.some);
	pthread_mutex_unlock(&queue.lock);
}

static struct job *dequeue(void)
{
	struct job *j;

	pthread_mutex_lock(&queue.lock);
	while (!queue.first)
		pthread_cond_wait(&queue.some, &queue.lock);
	j = queue.first;
	queue.first = j->next;
	if (!queue.first)
		queue.last = &queue.first;
	pthread_mutex_unlock(&queue.lock);
	return j;
}

static void background(const char *token)
{
	flow_sleep(flow_pause_ns());
	call(token, "background");
}

static void *background_thread(void *arg)
{
	background(arg);
	free(arg);
	return NULL;
}

static void maybe_background(const char *token, bool pooled)
{
	if (flow_chance() >= flow.background)
		return;
	if (pooled) {
		struct job *j = calloc(1, sizeof(*j));

		strcpy(j->token, token);
		j->background = true;
		enqueue(j);
	} else {
		start(background_thread, strdup(token));
	}
}

static void rearm(struct conn *c)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = c};

	epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
}

static void *worker(void *arg)
{
	(void)arg;
	for (;;) {
		struct job *j = dequeue();

		if (j->background) {
			background(j->token);
			free(j);
			continue;
		}
		j->status = work(j->token);
		if (j->conn) {
			struct conn *c = j->conn;

			maybe_background(j->token, true);
			answer(c->fd, j->status);
			free(j);
			rearm(c);
			continue;
		}
		pthread_mutex_lock(&j->lock);
		j->done = true;
		pthread_cond_signal(&j->ready);
		pthread_mutex_unlock(&j->lock);
	}
	return NULL;
}

static int by_pool(const char *token)
{
	struct job j = {.lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER};

	strcpy(j.token, token);
	enqueue(&j);
	pthread_mutex_lock(&j.lock);
	while (!j.done)
		pthread_cond_wait(&j.ready, &j.lock);
	pthread_mutex_unlock(&j.lock);
	return j.status;
}

/* ---- serving a connection ---- */

struct one {
	char token[TOKEN + 1];
	int fd;
};

static void *request_thread(void *arg)
{
	struct one *o = arg;
	int status = work(o->token);

	maybe_background(o->token, false);
	answer(o->fd, status);
	free(o);
	return NULL;
}

/* Takes one request; false at the end of the connection. */
static bool serve(struct conn *c)
{
	char token[TOKEN + 1];
	size_t n = read_message(c);

	if (!n || !flow_token(c->in, token))
		return false;
	consume(c, n);
	if (!strcmp(flow.mode, "request")) {
		struct one *o = calloc(1, sizeof(*o));

		strcpy(o->token, token);
		o->fd = c->fd;
		start(request_thread, o);
	} else {
		bool pooled = !strcmp(flow.mode, "pool");
		int status = pooled ? by_pool(token) : work(token);

		maybe_background(token, pooled);
		answer(c->fd, status);
	}
	return true;
}

static void *conn_thread(void *arg)
{
	struct conn *c = arg;

	while (serve(c))
		;
	close(c->fd);
	free(c);
	return NULL;
}

static struct conn *accept_one(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct conn *c;

	if (fd < 0)
		return NULL;
	flow_nodelay(fd);
	c = calloc(1, sizeof(*c));
	c->fd = fd;
	return c;
}

static void *timer_thread(void *arg)
{
	(void)arg;
	for (;;) {
		flow_sleep(flow_period_ns());
		call("-", "timer");
	}
	return NULL;
}

/* answer: the reader never waits for the back end, its workers never read requests. */
static void poll_connections(int listener)
{
	struct epoll_event ev = {.events = EPOLLIN}, got[64];

	ep = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		int n = epoll_wait(ep, got, 64, -1);

		for (int i = 0; i < n; i++) {
			struct conn *c = got[i].data.ptr;
			struct job *j;
			size_t len;

			if (!c) {
				c = accept_one(listener);
				ev = (struct epoll_event){.events = EPOLLIN | EPOLLONESHOT,
							  .data.ptr = c};
				if (c)
					epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
				continue;
			}
			j = calloc(1, sizeof(*j));
			len = read_message(c);
			if (!len || !flow_token(c->in, j->token)) {
				close(c->fd);
				free(c);
				free(j);
				continue;
			}
			consume(c, len);
			j->conn = c;
			enqueue(j);
		}
	}
}

/* One request of a connection that is closed after its answer. */
static void serve_one(int listener)
{
	struct conn *c = accept_one(listener);

	if (!c)
		return;
	serve(c);
	close(c->fd);
	free(c);
}

static void fork_each(int listener)
{
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		struct conn *c = accept_one(listener);

		if (!c)
			continue;
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			close(listener);
			serve(c);
			exit(0);
		}
		close(c->fd);
		free(c);
	}
}

static void prefork(int listener)
{
	for (int i = 0; i < flow.workers; i++) {
		pid_t pid = fork();

		if (pid)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		for (;;)
			serve_one(listener);
	}
	while (wait(NULL) > 0)
		;
}

int main(void)
{
	int listener;

	flow_init();
	group_exchange = exchange;
	listener = flow_listen(0);
	if (flow.timer_ns > 0)
		start(timer_thread, NULL);
	if (closes()) {
		flow.conns = 1;
		if (!strcmp(flow.mode, "prefork"))
			prefork(listener);
		else
			fork_each(listener);
		return 0;
	}
	for (int i = 0;
	     i < flow.workers && (!strcmp(flow.mode, "pool") || !strcmp(flow.mode, "answer")); i++)
		start(worker, NULL);
	if (group_writes())
		start(group_writer, NULL);
	if (!strcmp(flow.mode, "answer"))
		poll_connections(listener);
	for (;;) {
		struct conn *c = accept_one(listener);

		if (c)
			start(conn_thread, c);
	}
}
