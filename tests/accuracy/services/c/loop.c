/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread, one epoll loop, many requests interleaved: nothing blocks, pauses are timers of the loop
 * (none with THINK_MS=0), calls wait for one of CONNS connections in a queue. PARALLEL=1 makes the calls
 * of a request at the same time.
 */
#include "flow.h"

#include <sys/epoll.h>

enum what { LISTENER, CLIENT, BACK };

struct source {
	enum what what;
	int fd;
	size_t len;
	struct call *call; /* BACK: whose answer it waits for */
	char in[MAX_HEAD];
};

struct request {
	struct source *client; /* NULL: a job or a timer */
	char token[TOKEN + 1];
	const char *kinds[MAX_STEPS];
	int n, next, open, status;
};

struct call {
	struct call *next;
	struct request *request;
	const char *kind;
	int tries;
};

/* What happens later: a heap by time. */
struct later {
	uint64_t due;
	void (*run)(void *arg);
	void *arg;
};

static struct later *heap;
static size_t heap_len, heap_cap;
static struct source *free_backs[4096];
static int n_free, n_open, ep;
static struct call *waiting, **waiting_last = &waiting;
static bool parallel;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

static void swap(size_t a, size_t b)
{
	struct later t = heap[a];

	heap[a] = heap[b];
	heap[b] = t;
}

static void later(uint64_t ns, void (*run)(void *), void *arg)
{
	size_t i = heap_len++;

	if (heap_len > heap_cap) {
		heap_cap = heap_cap ? heap_cap * 2 : 256;
		heap = realloc(heap, heap_cap * sizeof(*heap));
		if (!heap)
			abort();
	}
	heap[i] = (struct later){now() + ns, run, arg};
	for (; i && heap[(i - 1) / 2].due > heap[i].due; i = (i - 1) / 2)
		swap(i, (i - 1) / 2);
}

static struct later earliest(void)
{
	struct later first = heap[0];
	size_t i = 0;

	heap[0] = heap[--heap_len];
	for (;;) {
		size_t kid = 2 * i + 1;

		if (kid + 1 < heap_len && heap[kid + 1].due < heap[kid].due)
			kid++;
		if (kid >= heap_len || heap[i].due <= heap[kid].due)
			return first;
		swap(i, kid);
		i = kid;
	}
}

/* Pauses, then runs; at once where there is no pause. */
static void after_pause(void (*run)(void *), void *arg)
{
	uint64_t ns = flow_pause_ns();

	if (ns)
		later(ns, run, arg);
	else
		run(arg);
}

static void watch(struct source *s)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s};

	epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &ev);
}

static struct source *source(enum what what, int fd)
{
	struct source *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->what = what;
	s->fd = fd;
	return s;
}

/* ---- calls ---- */

static struct source *connect_back(void)
{
	struct source *s = source(BACK, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	/* Loopback: connect() does not wait. */
	flow_nodelay(s->fd);
	if (connect(s->fd, (struct sockaddr *)&flow.back, sizeof(flow.back))) {
		perror("connect");
		abort();
	}
	n_open++;
	watch(s);
	return s;
}

static void make(struct call *c)
{
	struct source *s;
	char out[256];
	int n;

	if (!n_free && n_open >= flow.conns) {
		c->next = NULL;
		*waiting_last = c;
		waiting_last = &c->next;
		return;
	}
	s = n_free ? free_backs[--n_free] : connect_back();
	s->call = c;
	n = flow_request(c->request->token, c->tries ? flow_retry(c->kind) : c->kind, out,
			 sizeof(out));
	if (send(s->fd, out, (size_t)n, 0) != n)
		abort();
}

static void make_from_pause(void *arg)
{
	make(arg);
}

static void next_step(void *arg);

static void finish(struct request *r)
{
	char out[256];

	if (r->client)
		send(r->client->fd, out, (size_t)flow_answer(r->status, false, out, sizeof(out)),
		     0);
	free(r);
}

static void maybe_background(struct request *r)
{
	struct request *job;

	if (!r->client || flow_chance() >= flow.background)
		return;
	job = calloc(1, sizeof(*job));
	strcpy(job->token, r->token);
	job->kinds[job->n++] = "background";
	after_pause(next_step, job);
}

static void next_step(void *arg)
{
	struct request *r = arg;
	struct call *c;

	if (r->next == r->n) {
		maybe_background(r);
		finish(r);
		return;
	}
	c = calloc(1, sizeof(*c));
	c->request = r;
	c->kind = r->kinds[r->next++];
	make(c);
}

/* All calls at once, each after a pause of its own; the last answer ends the request. */
static void fan_out(void *arg)
{
	struct request *r = arg;

	if (!r->n) {
		next_step(r);
		return;
	}
	r->open = r->n;
	r->next = r->n;
	for (int i = 0, n = r->n; i < n; i++) {
		struct call *c = calloc(1, sizeof(*c));

		c->request = r;
		c->kind = strcmp(r->kinds[i], "call") ? r->kinds[i] : "parallel";
		after_pause(make_from_pause, c);
	}
}

static void done(struct call *c, int status)
{
	struct request *r = c->request;

	if (status >= 400 && c->tries < flow.retries) {
		c->tries++;
		make(c);
		return;
	}
	if (status >= 400)
		r->status = 502;
	free(c);
	if (!parallel || !r->client)
		after_pause(next_step, r);
	else if (!--r->open)
		next_step(r);
}

static void timer(void *arg)
{
	struct request *r = calloc(1, sizeof(*r));

	(void)arg;
	strcpy(r->token, "-");
	r->kinds[r->n++] = "timer";
	next_step(r);
	later(flow_period_ns(), timer, NULL);
}

/* ---- reading ---- */

static void begin(struct source *s)
{
	struct request *r = calloc(1, sizeof(*r));

	r->client = s;
	r->status = 200;
	if (!flow_token(s->in, r->token))
		abort();
	r->n = flow_plan(r->kinds);
	if (parallel)
		fan_out(r);
	else
		after_pause(next_step, r);
}

static void back_answered(struct source *s)
{
	struct call *c = s->call;
	int status = flow_status(s->in);

	s->call = NULL;
	free_backs[n_free++] = s;
	done(c, status);
	while (n_free && waiting) {
		c = waiting;
		waiting = c->next;
		if (!waiting)
			waiting_last = &waiting;
		make(c);
	}
}

static void readable(struct source *s)
{
	ssize_t n = recv(s->fd, s->in + s->len, MAX_HEAD - 1 - s->len, MSG_DONTWAIT);
	size_t whole;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		/* A client that leaves while its request is open would leave it a dangling source: it is
		 * kept, and only closed. */
		close(s->fd);
		return;
	}
	s->len += (size_t)n;
	s->in[s->len] = 0;
	whole = flow_message(s->in, s->len);
	if (!whole)
		return;
	if (s->what == CLIENT)
		begin(s);
	s->len -= whole;
	if (s->what == BACK)
		back_answered(s);
}

static int wait_ms(void)
{
	uint64_t t = now();

	if (!heap_len)
		return -1;
	return heap[0].due > t ? (int)((heap[0].due - t + 999999) / 1000000) : 0;
}

int main(void)
{
	struct epoll_event got[256];
	struct source *listener;

	flow_init();
	parallel = flow_env("PARALLEL") > 0;
	ep = epoll_create1(EPOLL_CLOEXEC);
	listener = source(LISTENER, flow_listen(SOCK_NONBLOCK));
	watch(listener);
	if (flow.timer_ns > 0)
		timer(NULL);
	for (;;) {
		int n = epoll_wait(ep, got, 256, wait_ms());

		for (int i = 0; i < n; i++) {
			struct source *s = got[i].data.ptr;
			int fd;

			if (s->what != LISTENER) {
				readable(s);
				continue;
			}
			while ((fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
				flow_nodelay(fd);
				watch(source(CLIENT, fd));
			}
		}
		while (heap_len && heap[0].due <= now()) {
			struct later l = earliest();

			l.run(l.arg);
		}
	}
}
