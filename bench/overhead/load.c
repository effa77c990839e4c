/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clew-load: an HTTP/1.1 load generator that knows what it sent.
 *
 * Closed loop (-c): each connection sends its next request when the answer has come and a random think
 * time has passed: at most as many requests are in flight as there are connections.
 *
 * Open loop (-r): requests a second on a fixed schedule, whatever the answers do. Latency is counted from
 * the intended time, so that a stall is not hidden by the requests that it held back.
 *
 * Each "%t" in the URL becomes a fresh random token (32 hex digits), one a request. --log FILE has
 * a line a request: token, status (0: none), start and end in Unix ns, "done" or "cut". A request is
 * "cut" when the load ended or the connection broke before its whole answer was here; a log is
 * written for each request that was sent, whatever came of it.
 *
 * One thread, epoll. Standard output gets one JSON object.
 */
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

struct load_stats st;

static struct conn *conns;
static int ep;
static uint64_t rng[2];
static volatile sig_atomic_t stop;
static uint64_t begin_ns, next_due_ns;

static uint64_t now(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

/* xorshift128+: tokens must be fresh, not secret; seeded from the system. */
static uint64_t rand64(void)
{
	uint64_t a = rng[0], b = rng[1];

	rng[0] = b;
	a ^= a << 23;
	rng[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
	return rng[1] + b;
}

static void new_token(char *out)
{
	snprintf(out, TOKEN_DIGITS + 1, "%016llx%016llx", (unsigned long long)rand64(),
		 (unsigned long long)rand64());
}

/* ---- one request's end ---- */

static void log_request(const struct conn *c, bool done)
{
	if (opt.log)
		fprintf(opt.log, "%s\t%d\t%llu\t%llu\t%s\n", c->token, c->status,
			(unsigned long long)c->start_ns, (unsigned long long)now(CLOCK_REALTIME),
			done ? "done" : "cut");
}

static void close_conn(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->state = CLOSED;
}

static bool busy(const struct conn *c)
{
	return c->state >= CONNECTING;
}

static void think(struct conn *c)
{
	double u;

	if (!opt.think_ns)
		return;
	u = (double)(rand64() >> 11) / (double)(1ull << 53);
	/* uniform on 0 to twice the mean: bounded, so that a run ends */
	c->not_before = now(CLOCK_MONOTONIC) + (uint64_t)(u * 2.0 * (double)opt.think_ns);
}

static void request_done(struct conn *c)
{
	add_sample(now(CLOCK_MONOTONIC) - c->due_ns);
	st.done++;
	st.in_flight--;
	if (c->status >= 100 && c->status < 600)
		st.by_class[c->status / 100]++;
	if (c->status >= 200 && c->status < 400)
		st.ok++;
	log_request(c, true);
	think(c);
	c->state = IDLE;
	if (!c->keep || opt.close_each)
		close_conn(c);
}

static void request_failed(struct conn *c)
{
	if (busy(c)) {
		st.broken++;
		st.in_flight--;
		log_request(c, false);
		think(c);
	}
	close_conn(c);
}

/* ---- answers ---- */

static void on_head(struct conn *c)
{
	char *end = strstr(c->in, "\r\n\r\n");
	size_t head;

	if (!end) {
		if (c->in_len == sizeof(c->in) - 1)
			request_failed(c);
		return;
	}
	head = (size_t)(end - c->in) + 4;
	if (!read_head(c)) {
		request_failed(c);
		return;
	}
	if (c->status / 100 == 1) {
		memmove(c->in, c->in + head, c->in_len - head + 1);
		c->in_len -= head;
		on_head(c);
		return;
	}
	c->state = BODY;
	if (!c->chunked && !c->to_eof && !c->body_left)
		request_done(c);
	else if (read_body(c, c->in + head, c->in_len - head))
		request_done(c);
}

static void on_readable(struct conn *c)
{
	static char scrap[65536];
	ssize_t n;

	if (c->state == HEAD)
		n = read(c->fd, c->in + c->in_len, sizeof(c->in) - 1 - c->in_len);
	else
		n = read(c->fd, scrap, sizeof(scrap));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		if (c->state == BODY && c->to_eof && n == 0) {
			c->keep = false;
			request_done(c);
		} else {
			request_failed(c);
		}
		return;
	}
	if (c->state == HEAD) {
		c->in_len += (size_t)n;
		c->in[c->in_len] = 0;
		on_head(c);
	} else if (c->state == BODY) {
		if (read_body(c, scrap, (size_t)n))
			request_done(c);
	} else {
		request_failed(c); /* an idle connection that talks is of no use */
	}
}

/* ---- requests ---- */

static void watch(struct conn *c, uint32_t events, int op)
{
	struct epoll_event ev = {.events = events, .data.u32 = (uint32_t)(c - conns)};

	if (epoll_ctl(ep, op, c->fd, &ev) < 0)
		die("epoll_ctl", strerror(errno));
}

static void send_more(struct conn *c)
{
	while (c->out_off < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
			return;
		}
		if (n < 0) {
			request_failed(c);
			return;
		}
		c->out_off += (size_t)n;
	}
	c->state = HEAD;
}

static bool open_conn(struct conn *c)
{
	int one = 1, r;

	c->fd = socket(opt.addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket", strerror(errno));
	if (opt.addr.ss_family != AF_UNIX)
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	r = connect(c->fd, (struct sockaddr *)&opt.addr, opt.addr_len);
	if (r < 0 && errno != EINPROGRESS) {
		c->state = CONNECTING;
		request_failed(c);
		return false;
	}
	c->state = r < 0 ? CONNECTING : SENDING;
	watch(c, r < 0 ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_ADD);
	return true;
}

static void write_request(struct conn *c)
{
	char path[sizeof(opt.path) + 512];
	size_t n = 0;
	int len;

	for (const char *p = opt.path; *p && n < sizeof(path) - TOKEN_DIGITS - 1; p++) {
		if (p[0] == '%' && p[1] == 't') {
			memcpy(path + n, c->token, TOKEN_DIGITS);
			n += TOKEN_DIGITS;
			p++;
		} else {
			path[n++] = *p;
		}
	}
	path[n] = 0;
	len = snprintf(c->out, sizeof(c->out), "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n", opt.method,
		       path, opt.host, opt.headers, opt.close_each ? "Connection: close\r\n" : "");
	if (len < 0 || (size_t)len >= sizeof(c->out))
		die("the request is too long", opt.path);
	c->out_len = (size_t)len;
	c->out_off = 0;
}

static void start_request(struct conn *c, uint64_t due_ns)
{
	c->due_ns = due_ns;
	c->start_ns = now(CLOCK_REALTIME);
	c->status = 0;
	c->in_len = 0;
	new_token(c->token);
	write_request(c);
	st.sent++;
	st.in_flight++;
	st.in_flight_sum += st.in_flight;
	if (c->state == CLOSED) {
		if (!open_conn(c) || c->state == CONNECTING)
			return;
	} else {
		c->state = SENDING;
	}
	send_more(c);
}

static void on_event(struct conn *c, uint32_t events)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (c->state == CONNECTING) {
		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err) {
			request_failed(c);
			return;
		}
		if (events & EPOLLOUT) {
			watch(c, EPOLLIN, EPOLL_CTL_MOD);
			c->state = SENDING;
			send_more(c);
		}
		return;
	}
	if (c->state == SENDING && (events & EPOLLOUT)) {
		watch(c, EPOLLIN, EPOLL_CTL_MOD);
		send_more(c);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		on_readable(c);
}

/* ---- the schedule ---- */

static bool may_issue(uint64_t t)
{
	if (stop || (opt.n_requests && st.sent >= opt.n_requests))
		return false;
	return !opt.duration_ns || t < begin_ns + opt.duration_ns;
}

/* Starts what is due; returns when the next start is due (0: nothing but events can bring one). */
static uint64_t issue(uint64_t t)
{
	uint64_t wake = 0, step = opt.rate > 0 ? (uint64_t)((double)NS / opt.rate) : 0;

	for (unsigned int i = 0; i < opt.n_conns && may_issue(t); i++) {
		struct conn *c = &conns[i];

		if (busy(c))
			continue;
		if (step) {
			if (next_due_ns > t)
				return next_due_ns;
			start_request(c, next_due_ns);
			next_due_ns += step;
			continue;
		}
		if (c->not_before > t) {
			wake = !wake || c->not_before < wake ? c->not_before : wake;
			continue;
		}
		start_request(c, t);
		if (!busy(c)) /* refused at once: do not spin */
			c->not_before = t + NS / 100;
	}
	return wake;
}

static void loop(void)
{
	const uint64_t grace = 10 * NS;
	uint64_t end_ns = 0;

	begin_ns = next_due_ns = now(CLOCK_MONOTONIC);
	for (;;) {
		struct epoll_event ev[256];
		uint64_t t = now(CLOCK_MONOTONIC), wake = issue(t);
		uint64_t wait = NS / 20;
		struct timespec ts;
		int n;

		if (!may_issue(t)) {
			end_ns = end_ns ? end_ns : t;
			if (!st.in_flight || t > end_ns + grace)
				break;
		} else if (wake) {
			wait = wake > t ? wake - t : 0;
			wait = wait < NS / 20 ? wait : NS / 20;
		}
		ts.tv_sec = 0;
		ts.tv_nsec = (long)wait;
		n = epoll_pwait2(ep, ev, 256, &ts, NULL);
		for (int i = 0; i < n; i++)
			on_event(&conns[ev[i].data.u32], ev[i].events);
	}
	for (unsigned int i = 0; i < opt.n_conns; i++) {
		if (busy(&conns[i])) {
			st.cut++;
			log_request(&conns[i], false);
		}
		close_conn(&conns[i]);
	}
}

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

int main(int argc, char **argv)
{
	uint64_t t;

	parse_options(argc, argv);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	prctl(PR_SET_TIMERSLACK, 1);
	if (getrandom(rng, sizeof(rng), 0) != sizeof(rng))
		die("getrandom", strerror(errno));
	ep = epoll_create1(EPOLL_CLOEXEC);
	conns = calloc(opt.n_conns, sizeof(*conns));
	if (ep < 0 || !conns)
		die("cannot start", strerror(errno));
	for (unsigned int i = 0; i < opt.n_conns; i++)
		conns[i].fd = -1;
	t = now(CLOCK_MONOTONIC);
	loop();
	report((double)(now(CLOCK_MONOTONIC) - t) / 1e9);
	if (opt.log && fclose(opt.log))
		die("log", strerror(errno));
	free(conns);
	free(st.lat);
	return 0;
}
